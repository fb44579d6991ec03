//! Where second factors, their attempt counters and their one-time marks are kept.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::store::StoreError;
use crate::core::id::OwnerId;

/// Keeps what second factors must remember, keyed by the owner's canonical id.
///
/// **The dangerous lies**, worst first: a reservation that is lost or rolled back gives unlimited
/// guesses; a mark that two callers both set accepts a code twice; an owner's counter that
/// forgets because others fill a cache gives unlimited guesses to whoever fills it. Every
/// reservation and mark must be durable *before* the call returns, in a step of its own that no
/// caller can undo.
#[async_trait]
pub trait FactorStore: fmt::Debug + Send + Sync + 'static {
    /// What is enrolled for this owner under this method.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError>;

    /// Adds, replaces or (with `None`) removes a factor, if its version is still `expects`; zero
    /// means that there is none. Returns whether it was.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError>;

    /// Counts an attempt before it is compared, unless a limit is reached already.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the attempt must then not be compared.
    async fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError>;

    /// Forgets an owner's attempts, after a success or by an administrator.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError>;

    /// Raises a mark to `value` if it is lower, and says whether it was: a code's time step, or
    /// one for a code that is used once.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the code must then not be accepted.
    async fn raise_mark(&self, owner: &OwnerId, mark: &str, value: u64)
    -> Result<bool, StoreError>;
}

/// An enrolled factor.
#[derive(Clone)]
#[non_exhaustive]
pub struct FactorRecord {
    /// What a `SeedSealer` made; opaque to the store.
    pub sealed: Vec<u8>,
    /// Counts the changes.
    pub version: u64,
}

impl FactorRecord {
    /// A factor as a store read it.
    #[must_use]
    pub const fn new(sealed: Vec<u8>, version: u64) -> Self {
        Self { sealed, version }
    }
}

impl fmt::Debug for FactorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorRecord").field("version", &self.version).finish_non_exhaustive()
    }
}

/// How many attempts there may be in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a limit is a number and a time")]
pub struct AttemptLimit {
    /// The most attempts.
    pub attempts: u32,
    /// Within this time; `None` means until they are cleared.
    pub within: Option<TimeDelta>,
}

/// Whether an attempt may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it may or it may not")]
pub enum Reservation {
    /// It is counted, and may be compared.
    Granted,
    /// A limit is reached; `until` is when the next attempt may be made, if ever.
    Locked {
        /// When the next attempt may be made; `None` is not before the attempts are cleared.
        until: Option<DateTime<Utc>>,
    },
}
