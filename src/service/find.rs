//! Reading rows, as they were once written.

use chrono::{DateTime, Utc};

use crate::core::digest::StoredDigest;
use crate::core::error::Refusal;
use crate::core::format::PresentedToken;
use crate::core::scope::Scope;
use crate::core::token::{Expiry, TokenRecord};
use crate::core::verify::{micros, verify_again};
use crate::ports::store::{Found, Lookup, StoreError};
use crate::service::Inner;
use crate::service::authenticate::unknown_key;
use crate::service::index::second;
use crate::service::verified::Verified;

impl<S: Scope> Inner<S> {
    /// The row of the token that a text may be the secret of.
    pub(super) async fn find_presented(
        &self,
        presented: &PresentedToken<'_>,
    ) -> Result<Option<Found>, StoreError> {
        if let Some(id) = presented.id() {
            return self.find_intact(&Lookup::Id(id)).await;
        }
        let second = second(micros(self.known_now()));
        if !self.unknown.admit(second) {
            return Err(StoreError::unavailable("too many texts are nobody's"));
        }
        for StoredDigest { scheme, key, digest } in self.rules.keyring.every_digest(presented) {
            let found = self.find_intact(&Lookup::Digest { scheme, key, digest }).await?;
            if found.is_some() {
                self.unknown.give_back(second);
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The row of the token that a text is the secret of, or was before it was last replaced; dead
    /// ones too. With it, whether the text is a replaced one whose overlap is over.
    pub(super) async fn find_by_text(
        &self,
        text: &str,
    ) -> Result<Option<(TokenRecord, bool)>, StoreError> {
        let Ok(presented) = self.rules.format.parse(text.as_bytes()) else {
            return Ok(None);
        };
        let Some(found) = self.find_presented(&presented).await? else {
            return Ok(None);
        };
        let now = self.time_of(&found);
        let record = found.record;
        let previous = record.previous.as_ref();
        let previous = previous.map(|previous| (&previous.digest, now >= previous.ends_at));
        for (digest, is_over) in std::iter::once((&record.digest, false)).chain(previous) {
            if self.rules.keyring.matches(digest, &presented).map_err(StoreError::unavailable)? {
                return Ok(Some((*record, is_over)));
            }
        }
        Ok(None)
    }

    /// The row that a key names, as it was once written.
    pub(super) async fn find_intact(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let Some(found) = self.store.find(key).await? else {
            return Ok(None);
        };
        match found.record.is_intact(&self.rules.keyring) {
            Ok(true) => Ok(Some(found)),
            Ok(false) => Err(StoreError::Corrupt(format!("token {}", found.record.id))),
            Err(error) => Err(unknown_key(error)),
        }
    }

    /// The row behind evidence that was made earlier, if it would still be accepted, and until when.
    pub(super) async fn find_again(
        &self,
        verified: &Verified,
    ) -> Result<Result<(TokenRecord, Expiry), Refusal>, StoreError> {
        if verified.mark != self.mark {
            return Ok(Err(Refusal::Unknown));
        }
        let Some(found) = self.find_intact(&Lookup::Id(verified.id)).await? else {
            self.forget_refused(Refusal::Unknown, verified.id, None);
            return Ok(Err(Refusal::Unknown));
        };
        let now = self.time_of(&found);
        let verdict =
            verify_again(&*found.record, verified.generation, &found.owner, &self.rules, now);
        // Whoever was told so must not see it accepted a moment later.
        if let Err(refusal) = verdict {
            self.forget_refused(refusal, verified.id, Some(&found));
        }
        Ok(verdict.map(|deadline| (*found.record, deadline)))
    }

    /// When a row was read, by the store's clock if it has one.
    pub(super) fn time_of(&self, found: &Found) -> DateTime<Utc> {
        let told = found.now.map_or_else(|| self.clock.now_micros(), micros);
        let held = DateTime::from_timestamp_micros(self.index.hold(told));
        held.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}
