//! Where second factors, their attempt counters and their one-time marks are kept.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::store::StoreError;
use crate::core::event::Event;
use crate::core::id::OwnerId;

/// Keeps what second factors must remember, keyed by the owner's canonical id.
///
/// **The dangerous lies**, worst first: a reservation that is lost or rolled back gives unlimited
/// guesses; a mark that two callers both set accepts a code twice; an owner's counter that
/// forgets because others fill a cache gives unlimited guesses to whoever fills it. Every
/// reservation and mark must be durable *before* the call returns, in a step of its own that no
/// caller can undo: a dropped future leaves it made or not made, and whoever heard "granted" was
/// counted.
///
/// A handle is bound to one realm, like those of a [`TokenStore`](super::store::TokenStore); what
/// another realm keeps is not there. Methods, counters and marks are the same only if all their
/// bytes are. Nothing is forgotten but by [`set_factor`](FactorStore::set_factor),
/// [`change_factor`](FactorStore::change_factor) and
/// [`clear_attempts`](FactorStore::clear_attempts). Each "must" here is a law in
/// `keyfob::testing`, and `keyfob::factor_store_laws!` makes a test of each for any store.
#[async_trait]
pub trait FactorStore: fmt::Debug + Send + Sync + 'static {
    /// What is enrolled for this owner under this method, as the last
    /// [`set_factor`](FactorStore::set_factor) that returned left it.
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
    /// Must compare and set in one step: of many calls that expect the same version one returns
    /// true. `false` changed nothing. Removing what is not there, expecting zero, returns true and
    /// changes nothing either. The bytes must survive as they are; no bytes are a factor too.
    ///
    /// Each change raises the version, from 1 on. A version must never come back for one owner and
    /// method, even after the factor was removed and added again, so the store keeps the last one:
    /// otherwise who decided about the former would overwrite the latter.
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

    /// [`set_factor`](FactorStore::set_factor) for a change that somebody asked for: the event that
    /// tells of it is appended to those of the store's tokens.
    ///
    /// Must do both in one step, or neither: where the version is another one, nothing is told. An
    /// event is appended too where there was nothing to remove. It begins no epoch, since nothing
    /// that a token may do has changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        event: &Event,
    ) -> Result<bool, StoreError>;

    /// Counts an attempt before it is compared, unless a limit is reached already.
    ///
    /// Must decide about all limits and count in one step: of any number of calls at once no more
    /// are granted than each limit allows. Without limits it is granted, and counted. A refusal
    /// changes nothing. A store must remember enough to judge by limits that it was not given
    /// before.
    ///
    /// An attempt made at `t` counts `within` a time up to, and not at, `t + within`. One that lies
    /// in the future of `now` counts too, so that a clock that goes back grants nothing more.
    /// Instants count in whole microseconds.
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

    /// What [`reserve_attempt`](FactorStore::reserve_attempt) would answer, with nothing counted:
    /// for whoever is about to do what only an attempt is worth, such as sending a code.
    ///
    /// Must judge by the same attempts, and change nothing. "Granted" holds for this instant alone:
    /// somebody else may make the last attempt, so that nothing may be compared by it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError>;

    /// Forgets an owner's attempts, after a success or by an administrator: of this counter, and of
    /// no other.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError>;

    /// Raises a mark to `value` if it is lower, and says whether it was: a code's time step, or
    /// one for a code that is used once.
    ///
    /// Must compare and set in one step: of many calls with one value one returns true, and a mark
    /// never goes down. A mark that was never raised is lower than every value, zero too.
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
    /// Counts the changes; never zero, and never one that this owner and method had before.
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
    /// The most attempts; zero means none at all.
    ///
    /// With `within`, more than [`MOST_WITHIN`](Self::MOST_WITHIN) are as many.
    pub attempts: u32,
    /// Within this time; `None` means until they are cleared.
    pub within: Option<TimeDelta>,
}

impl AttemptLimit {
    /// The most attempts in a time that a store remembers one by one, so that nobody can make what
    /// it remembers of one owner grow without end.
    pub const MOST_WITHIN: u32 = 200;
}

/// Whether an attempt may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it may or it may not")]
pub enum Reservation {
    /// It is counted, and may be compared.
    Granted,
    /// A limit is reached. Nothing was counted, and nothing may be compared.
    Locked {
        /// The first instant at which an attempt would be granted, if none is made until then;
        /// `None` is not before the attempts are cleared.
        until: Option<DateTime<Utc>>,
    },
}
