//! The one path from a presented text to evidence.

mod many;

use crate::core::digest::{Digest, UnknownKey};
use crate::core::error::{Refusal, VerifyError};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::format::{ParseError, PresentedToken};
use crate::core::freshness::Ticket;
use crate::core::id::TokenId;
use crate::core::rotation::rehash;
use crate::core::scope::Scope;
use crate::core::token::{Expiry, TokenRecord};
use crate::core::verify::{Accepted, Access, Facts, admit, decide, micros, verify};
use crate::ports::store::{Applied, Found, StoreError};
use crate::service::error::AuthenticateError;
use crate::service::index::{Hit, Key};
use crate::service::verified::Verified;
use crate::service::{Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Judges a presented text: from the index if the token is in use here, else from the store.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError`]: not ours, refused, or unavailable, which are three answers.
    pub async fn authenticate(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        match self.inner.look_up(text, access) {
            Looked::Decided(decision) => decision,
            // In a box, so that who finds it in the index moves no room for this about.
            looked => Box::pin(self.inner.conclude(looked, text, access)).await,
        }
    }

    /// Judges a presented text if that needs no store: without waiting, lock or allocation.
    ///
    /// `None` means that only the store can tell.
    #[must_use]
    pub fn authenticate_now(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Option<Result<Verified, AuthenticateError>> {
        match self.inner.look_up(text, access) {
            Looked::Decided(decision) => Some(decision),
            Looked::AskStore(_) | Looked::Lapsed(_) => None,
        }
    }

    /// Judges a presented text by what the store holds at this moment, whatever the index knows.
    ///
    /// # Errors
    ///
    /// As [`Tokens::authenticate`].
    pub async fn authenticate_strict(
        &self,
        text: &str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let inner = &*self.inner;
        let presented = inner.parse(text)?;
        inner.ask_store(&presented, access).await
    }
}

enum Looked<'t> {
    Decided(Result<Verified, AuthenticateError>),
    AskStore(PresentedToken<'t>),
    /// The index may not be used before the store has told what changed.
    Lapsed(PresentedToken<'t>),
}

impl<S: Scope> Inner<S> {
    #[inline]
    fn parse<'t>(&'t self, text: &'t str) -> Result<PresentedToken<'t>, AuthenticateError> {
        self.rules.format.parse(text.as_bytes()).map_err(|error| {
            self.refused(match error {
                ParseError::Malformed => Refusal::Malformed.into(),
                ParseError::NotOurs => AuthenticateError::NotOurs,
            })
        })
    }

    #[inline]
    fn look_up<'t>(&'t self, text: &'t str, access: &Access<'_, S>) -> Looked<'t> {
        match self.parse(text) {
            Ok(presented) => self.judge(presented, access),
            Err(error) => Looked::Decided(Err(error)),
        }
    }

    /// Judges by the index.
    #[inline]
    fn judge<'t>(&self, presented: PresentedToken<'t>, access: &Access<'_, S>) -> Looked<'t> {
        let key = presented.id().map(Key::of);
        let begin = || {
            // Before the index is looked into. The verification has begun by then: a thread that
            // is held up from here on may still accept what was accepted at that moment.
            let begun = (self.index.lease(), self.clock.reading());
            if let Some(key) = key {
                // Kept from the optimiser's reach, so that the loads are begun before the hash.
                std::hint::black_box(self.index.touch(key));
            }
            begun
        };
        let ((lease, at), digest) = self.rules.keyring.current_digest_after(&presented, begin);
        if !lease.holds(at) {
            return Looked::Lapsed(presented);
        }
        let now = lease.time_micros(at).saturating_add(self.tick_micros);
        let words = indexed(&presented, digest);
        let found = match presented.id().zip(key) {
            Some((id, key)) => self.index.find(key, words, second(now)).map(|hit| (id, hit)),
            None => self.index.find_text(words, second(now)),
        };
        let live = |hit: &Hit| decide(Facts::live_until(hit.deadline), now).is_ok();
        let live = found.filter(|(_, hit)| live(hit));
        let Some((id, hit, class)) =
            live.and_then(|(id, hit)| Some((id, hit, self.index.class(hit.class)?)))
        else {
            return Looked::AskStore(presented);
        };
        if let Err(refusal) = admit(class.grant.as_ref(), &class.key.constraints, access) {
            return Looked::Decided(Err(self.refused(refusal.into())));
        }
        if hit.record_use {
            self.recorder.record(id, now, access.address);
        }
        self.meter.hit();
        Looked::Decided(Ok(self.evidence(id, &hit)))
    }

    /// Counts what is not accepted.
    fn refused(&self, error: AuthenticateError) -> AuthenticateError {
        self.meter.refused(&error);
        error
    }

    /// What the index could not decide.
    async fn conclude<'a>(
        &'a self,
        mut looked: Looked<'a>,
        text: &'a str,
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        if let Looked::Lapsed(_) = looked {
            // The index may be as good as ever: what changed is asked once for all who come. While
            // somebody does, the others ask for their own token.
            self.freshen().await.map_err(|error| self.refused(error.into()))?;
            looked = self.look_up(text, access);
        }
        match looked {
            Looked::Decided(decision) => decision,
            Looked::AskStore(presented) => self.ask_store(&presented, access).await,
            Looked::Lapsed(presented) => {
                let asked = self.ask_store(&presented, access).await;
                if let Err(AuthenticateError::Unavailable(_)) = &asked
                    && let Looked::Decided(decision) = self.look_up(text, access)
                {
                    // Whoever asked what changed has been answered since.
                    return decision;
                }
                asked
            }
        }
    }

    async fn ask_store(
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
        self.admit_to_index(presented, &accepted, ticket, &found, access)
    }

    pub(super) fn forget_refused(&self, refusal: Refusal, id: TokenId, found: Option<&Found>) {
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
        access: &Access<'_, S>,
    ) -> Result<Verified, AuthenticateError> {
        let digest = self.index_digest(presented, accepted, &found.record);
        let words = indexed(presented, digest);
        let handles = self.index.handles(&found.record);
        let (owner, class) = handles.ok_or_else(|| StoreError::unavailable("no handle is left"))?;
        let deadline = match accepted.deadline {
            Expiry::At(at) => micros(at),
            Expiry::Never => i64::MAX,
        };
        let hit =
            Hit { deadline, generation: accepted.generation, owner, class, record_use: false };
        let now = micros(self.known_now());
        let id = found.record.id;
        self.recorder.record(id, now, access.address);
        let secret = (id, words, presented.id().is_some());
        self.index.fill((ticket, found.epoch), secret, &hit, second(now));
        Ok(self.evidence(id, &hit))
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

    #[inline]
    fn evidence(&self, id: TokenId, hit: &Hit) -> Verified {
        Verified {
            id,
            generation: hit.generation,
            owner: hit.owner,
            class: hit.class,
            mark: self.mark,
        }
    }
}

/// What the index tells texts by: the digest, which is made of the id and the secret, and the prefix.
/// A text of another prefix claims to be a token of another kind, and is for the store to judge.
#[inline]
fn indexed(presented: &PresentedToken<'_>, digest: Digest) -> [u64; 4] {
    let [first, rest @ ..] = digest.to_words();
    let [second, third, fourth] = rest;
    [first ^ presented.prefix_number(), second, third, fourth]
}

/// A key that is missing here is trouble of this host, and says nothing about the token.
pub(super) fn unknown_key(error: UnknownKey) -> StoreError {
    StoreError::unavailable(error)
}

#[inline]
pub(super) fn second(micros: i64) -> u32 {
    u32::try_from(micros.wrapping_div(1_000_000)).unwrap_or_default()
}
