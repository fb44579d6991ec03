//! What a store is asked to do, and what it answers.

use chrono::{DateTime, Utc};

use crate::core::change::Presenter;
use crate::core::epoch::Epoch;
use crate::core::event::Event;
use crate::core::id::{IdempotencyKey, OwnerId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, TokenRecord, Usage};
use crate::ports::store::Filter;

/// A token to be added, and what must hold in the step that adds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Insert {
    /// The row.
    pub record: TokenRecord,
    /// The most tokens of this kind, neither revoked nor expired, that the owner may then have.
    pub quota: Option<u32>,
    /// Whether the owner may have no other unrevoked token of this kind and name.
    pub unique_name: bool,
    /// The token that asks for it, to be found live again.
    pub presenter: Option<Presenter>,
    /// Makes a repetition find the first one's token.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What to write into the audit log with it.
    pub event: Event,
}

impl Insert {
    /// A token without conditions.
    #[must_use]
    pub const fn new(record: TokenRecord, event: Event) -> Self {
        Self {
            record,
            quota: None,
            unique_name: false,
            presenter: None,
            idempotency_key: None,
            event,
        }
    }
}

/// What became of an [`Insert`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Inserted {
    /// This idempotency key has issued that token already; its secret was shown then.
    AlreadyIssued(TokenId),
    /// A token with this id or digest is there.
    Duplicate,
    /// The owner has an unrevoked token of this name.
    NameTaken,
    /// The owner is deactivated, deleted, or in another generation.
    OwnerNotActive,
    /// The presenting token is no longer what it was.
    PresenterChanged,
    /// The owner has as many as it may have.
    QuotaReached,
    /// It was added; this is the row, and the epoch with which it is visible.
    Stored(Box<TokenRecord>, Epoch),
}

/// What became of a [`Change`](crate::core::change::Change).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Applied {
    /// It was made; this is the row now, with the epoch of the change, and the other tokens that
    /// a cascade revoked.
    Done {
        /// The row.
        record: Box<TokenRecord>,
        /// The epoch with which it is visible.
        epoch: Epoch,
        /// What the cascade revoked besides.
        cascaded: Vec<TokenId>,
    },
    /// The row has another version than expected; this is the row.
    Conflict(Box<TokenRecord>),
    /// There is no such token.
    Missing,
    /// The presenting token is no longer what it was.
    PresenterChanged,
    /// The row is revoked already.
    Revoked(Box<TokenRecord>),
}

/// Many tokens to be revoked in one step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MassRevocation {
    /// Which ones.
    pub filter: Filter,
    /// Except this one: the presenting token.
    pub except: Option<TokenId>,
    /// By whom, why and when.
    pub end: Ended,
    /// What to write into the audit log.
    pub event: Event,
}

impl MassRevocation {
    /// The revocation of all that a filter selects.
    #[must_use]
    pub const fn new(filter: Filter, end: Ended, event: Event) -> Self {
        Self { filter, except: None, end, event }
    }
}

/// What a [`MassRevocation`] did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Revoked {
    /// Which tokens it revoked.
    pub tokens: Vec<TokenId>,
    /// The epoch with which that is visible.
    pub epoch: Epoch,
}

impl Revoked {
    /// These tokens, as of `epoch`.
    #[must_use]
    pub const fn new(tokens: Vec<TokenId>, epoch: Epoch) -> Self {
        Self { tokens, epoch }
    }
}

/// Uses of one token that were gathered before they are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Use {
    /// Which token.
    pub token: TokenId,
    /// The last use among them, its address, and how many to add to the count.
    pub usage: Usage,
    /// What to write into the audit log if the address is a new one.
    pub if_new: Option<Event>,
}

impl Use {
    /// How many addresses of a token are known: more than a person's places and a company's
    /// gateways, and few enough to be compared with on every use.
    pub const KNOWN_ADDRESSES: usize = 16;

    /// Uses that nothing is told of.
    #[must_use]
    pub const fn new(token: TokenId, usage: Usage) -> Self {
        Self { token, usage, if_new: None }
    }

    /// The same, with what to tell if the address is a new one.
    #[must_use]
    pub fn telling(mut self, if_new: Event) -> Self {
        self.if_new = Some(if_new);
        self
    }
}

/// A new standing of an owner.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnerChange {
    /// Whose.
    pub owner: OwnerId,
    /// What it is to be.
    pub standing: OwnerStanding,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The token that asks for a reactivation, to be found live again in the same step.
    pub presenter: Option<Presenter>,
    /// What to write into the audit log with it.
    pub event: Event,
}

impl OwnerChange {
    /// A new standing.
    #[must_use]
    pub const fn new(
        owner: OwnerId,
        standing: OwnerStanding,
        at: DateTime<Utc>,
        event: Event,
    ) -> Self {
        Self { owner, standing, at, presenter: None, event }
    }
}

/// What became of an [`OwnerChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerSet {
    /// The owner is as asked.
    Done(OwnerChanged),
    /// The presenting token is no longer what it was.
    PresenterChanged,
}

/// What an [`OwnerChange`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerChanged {
    /// The state now.
    pub state: OwnerState,
    /// The epoch with which it is visible.
    pub epoch: Epoch,
    /// Whether it was another one before.
    pub changed: bool,
}

impl OwnerChanged {
    /// A state as of `epoch`.
    #[must_use]
    pub const fn new(state: OwnerState, epoch: Epoch, changed: bool) -> Self {
        Self { state, epoch, changed }
    }
}

/// Which events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventQuery {
    /// Of this token.
    pub token: Option<TokenId>,
    /// Of this owner.
    pub owner: Option<OwnerId>,
    /// After this sequence number; zero for all.
    pub after: u64,
    /// How many at the most; 1 to [`Query::LARGEST_PAGE`](super::Query::LARGEST_PAGE).
    pub limit: u32,
}

impl EventQuery {
    /// Events after this sequence number.
    #[must_use]
    pub const fn after(after: u64, limit: u32) -> Self {
        Self { token: None, owner: None, after, limit }
    }
}

/// An event with its place in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a number and an event")]
pub struct StoredEvent {
    /// Grows from event to event.
    pub sequence: u64,
    /// What happened.
    pub event: Event,
}
