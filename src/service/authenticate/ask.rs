//! Asking the store about a presented token, and keeping what it says.

use super::{indexed, named};
use crate::core::digest::Digest;
use crate::core::error::{Refusal, VerifyError};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::format::PresentedToken;
use crate::core::freshness::Ticket;
use crate::core::id::TokenId;
use crate::core::rotation::rehash;
use crate::core::scope::Scope;
use crate::core::token::{Expiry, TokenRecord};
use crate::core::verify::{Accepted, Access, micros, verify};
use crate::ports::store::{Applied, Found, StoreError};
use crate::service::Inner;
use crate::service::error::AuthenticateError;
use crate::service::index::{Kept, second};
use crate::service::usage::Noticed;
use crate::service::verified::Verified;

impl<S: Scope> Inner<S> {
    pub(super) async fn ask_store(
        &self,
        presented: &PresentedToken<'_>,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let judged = self.ask_and_keep(presented, access).await;
        if judged.is_ok() {
            self.meter.accepted();
        }
        judged.map_err(|error| self.refused(error))
    }

    async fn ask_and_keep(
        &self,
        presented: &PresentedToken<'_>,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let mut judged = self.ask(presented, access).await?;
        if let (Err(Refusal::Idle), _) = &judged {
            // The store may not have heard yet of uses that were noticed here.
            self.flush_usage().await?;
            judged = self.ask(presented, access).await?;
        }
        let (accepted, ticket, found) = match judged {
            (Ok(accepted), Some((ticket, found))) => (accepted, ticket, found),
            (Ok(_), None) => return Err(Refusal::Unknown.into()),
            (Err(refusal), found) => {
                let found = found.as_ref().map(|(_, found)| found);
                let id = presented.id().or_else(|| found.map(|found| found.record.id));
                if let Some(id) = id {
                    self.forget_refused(refusal, id, found);
                }
                self.note_refusal(refusal, id, found.map(|found| &*found.record));
                return Err(refusal.into());
            }
        };
        if accepted.rehash {
            self.rehash(presented, &found.record).await;
        }
        let handles = self.index.handles(&found.record, &self.rates);
        let handles = handles.ok_or_else(|| StoreError::unavailable("no handle is left"))?;
        self.count(&found.record, handles.1).await?;
        Ok(self.admit_to_index(presented, &accepted, ticket, &found, handles, access))
    }

    /// Counts a use against the token's limits, when nothing else speaks against it: what is refused
    /// spends nothing.
    async fn count(&self, record: &TokenRecord, class: u32) -> Result<(), AuthenticateError> {
        if let Some(class) = self.index.class(class) {
            class.take(record.id)?;
        }
        match record.constraints.uses {
            // Somebody else had the last one, or has ended the token.
            Some(uses) if !self.store.spend(record.id, uses).await? => Err(Refusal::Spent.into()),
            _ => Ok(()),
        }
    }

    pub(in crate::service) fn forget_refused(
        &self,
        refusal: Refusal,
        id: TokenId,
        found: Option<&Found>,
    ) {
        match (refusal, found) {
            // That was about this secret or this call.
            (
                Refusal::Address
                | Refusal::ScopeMissing
                | Refusal::Superseded
                | Refusal::WrongSecret,
                _,
            ) => {}
            // Somebody ended or blocked it. Who read it before that may be about to keep it.
            (
                Refusal::Revoked
                | Refusal::Deactivated
                | Refusal::OwnerDeactivated
                | Refusal::OwnerDeleted,
                Some(found),
            ) => self.index.refused(id, found.epoch),
            // Time or the policy has ended it, for whatever was kept of it too.
            _ => self.index.unknown(id),
        }
    }

    /// Reads the row and judges it. The ticket is older than the read, so that whatever changes
    /// from here on keeps the row out of the index.
    async fn ask(
        &self,
        presented: &PresentedToken<'_>,
        access: &Access<'_, S>,
    ) -> Result<(Result<Accepted, Refusal>, Option<(Ticket, Found)>), StoreError> {
        let ticket = self.index.ticket();
        let Some(found) = self.find_presented(presented).await? else {
            return Ok((Err(Refusal::Unknown), None));
        };
        let now = self.time_of(&found);
        let verdict =
            match verify(presented, &*found.record, &found.owner, access, &self.rules, now) {
                Ok(accepted) => Ok(accepted),
                Err(VerifyError::Refused(refusal)) => Err(refusal),
                Err(VerifyError::UnknownKey(error)) => return Err(StoreError::unavailable(error)),
            };
        Ok((verdict, Some((ticket, found))))
    }

    fn admit_to_index(
        &self,
        presented: &PresentedToken<'_>,
        accepted: &Accepted,
        ticket: Ticket,
        found: &Found,
        (owner, class): (u32, u32),
        access: &Access<'_, S>,
    ) -> Verified {
        let deadline = match accepted.deadline {
            Expiry::At(at) => micros(at),
            Expiry::Never => i64::MAX,
        };
        let kept = Kept { deadline, generation: accepted.generation, owner, class };
        let now = micros(self.known_now());
        let id = found.record.id;
        self.recorder.record(Noticed { token: id, owner, at_micros: now, from: access.address });
        // Only the store can count uses.
        if found.record.constraints.uses.is_none() {
            let digest = self.index_digest(presented, accepted, &found.record);
            let key = named(presented).map(|(_, key)| key);
            let secret = (id, key, indexed(presented, digest.to_words()));
            self.index.fill((ticket, found.epoch), secret, kept, second(now));
        }
        self.evidence(id, kept)
    }

    /// The digest under which the index finds an accepted text: the one that its row holds, if that
    /// one was compared and is under the current key.
    fn index_digest(
        &self,
        presented: &PresentedToken<'_>,
        accepted: &Accepted,
        record: &TokenRecord,
    ) -> Digest {
        if accepted.generation == record.generation && !accepted.rehash {
            record.digest.digest
        } else {
            self.rules.keyring.current_digest(presented)
        }
    }

    /// Moves a token over to the current key. If that fails the next use tries again.
    async fn rehash(&self, presented: &PresentedToken<'_>, record: &TokenRecord) {
        let Ok(change) = rehash(record, presented, &self.rules.keyring, self.known_now()) else {
            return;
        };
        if let Ok(Applied::Done { epoch, .. }) = self.store.apply(&change).await {
            // The index finds it by the current key already.
            self.changed(epoch, &[]);
            self.tell(&change.event);
        }
    }

    fn note_refusal(&self, refusal: Refusal, id: Option<TokenId>, row: Option<&TokenRecord>) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            token = id.map(tracing::field::display),
            refusal = refusal.code(),
            "token refused"
        );
        let _ = id;
        // Somebody proved to hold a secret that was replaced: its owner should hear of that.
        if let (Refusal::Superseded, Some(record)) = (refusal, row) {
            let event = Event::new(EventKind::TokenReused, Actor::host(), self.known_now());
            self.tell(&event.about(record.id, record.owner.clone()));
        }
    }
}
