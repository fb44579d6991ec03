//! Which tokens, in which order, from where.

use chrono::{DateTime, Utc};

use crate::core::id::{Kind, OwnerId, TokenId, TokenName};
use crate::core::token::{State, TokenRecord};

/// Which tokens a query or a mass revocation means. An empty filter means all of the realm.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Of this owner.
    pub owner: Option<OwnerId>,
    /// Of one of these owners.
    pub owners: Option<Vec<OwnerId>>,
    /// Not of one of these owners.
    pub except_owners: Vec<OwnerId>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With exactly this name.
    pub name: Option<TokenName>,
    /// Minted by this token.
    pub parent: Option<TokenId>,
    /// In one of these states.
    pub states: Option<Vec<StateName>>,
    /// Expiring at or after this instant, or never.
    pub outlives: Option<DateTime<Utc>>,
    /// Expired at this instant: `expires_at <= at`.
    pub expired_at: Option<DateTime<Utc>>,
    /// Created at or after this instant.
    pub created_from: Option<DateTime<Utc>>,
    /// Created before this instant.
    pub created_before: Option<DateTime<Utc>>,
}

impl Filter {
    /// All tokens of this owner.
    #[must_use]
    pub fn of_owner(owner: OwnerId) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// The same, of this kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The same, that are not revoked.
    #[must_use]
    pub fn unrevoked(mut self) -> Self {
        self.states = Some(vec![StateName::Active, StateName::Deactivated]);
        self
    }

    /// Whether it selects this row: what a store's query must mean.
    #[must_use]
    pub fn selects(&self, record: &TokenRecord) -> bool {
        let end = record.validity.expires_at.at();
        let is = |wanted: &Option<Vec<OwnerId>>| {
            wanted.as_ref().is_none_or(|w| w.contains(&record.owner))
        };
        self.owner.as_ref().is_none_or(|owner| *owner == record.owner)
            && is(&self.owners)
            && !self.except_owners.contains(&record.owner)
            && self.kind.as_ref().is_none_or(|kind| *kind == record.kind)
            && self.name.as_ref().is_none_or(|name| *name == record.name)
            && self.parent.is_none_or(|parent| record.parent == Some(parent))
            && self.states.as_ref().is_none_or(|states| states.contains(&StateName::of(record)))
            && self.outlives.is_none_or(|at| end.is_none_or(|end| end >= at))
            && self.expired_at.is_none_or(|at| end.is_some_and(|end| end <= at))
            && self.created_from.is_none_or(|at| record.created_at >= at)
            && self.created_before.is_none_or(|at| record.created_at < at)
    }
}

/// The name of a state, without by whom, why and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every store must know each")]
pub enum StateName {
    /// Active.
    Active,
    /// Deactivated.
    Deactivated,
    /// Revoked.
    Revoked,
}

impl StateName {
    /// The state of this row.
    #[must_use]
    pub const fn of(record: &TokenRecord) -> Self {
        match record.state {
            State::Active => Self::Active,
            State::Deactivated(_) => Self::Deactivated,
            State::Revoked(_) => Self::Revoked,
        }
    }
}

/// Which page of which tokens, in which order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Query {
    /// Which tokens.
    pub filter: Filter,
    /// By what they are ordered; ties are broken by number, in the same direction.
    pub order: Order,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Where the page begins.
    pub start: Start,
    /// How many rows at the most; 1 to [`Query::LARGEST_PAGE`].
    pub limit: u32,
    /// Whether to count all that the filter selects.
    pub with_total: bool,
}

impl Query {
    /// The largest page: the four products' own limit is 200, Zitadel's 1000.
    pub const LARGEST_PAGE: u32 = 1000;

    /// The first page of these tokens, oldest first.
    #[must_use]
    pub const fn new(filter: Filter, limit: u32) -> Self {
        Self {
            filter,
            order: Order::Number,
            descending: false,
            start: Start::Beginning,
            limit,
            with_total: false,
        }
    }
}

/// By what a query's rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// By the last change.
    Changed,
    /// By creation.
    Created,
    /// By expiry; a token that never expires comes after all others.
    Expires,
    /// By number, the order of insertion.
    Number,
    /// By owner, in the order of the bytes of their ids.
    Owner,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// After the row that this cursor names.
    After(Cursor),
    /// At the first row.
    Beginning,
    /// After this many rows; for wires that page by offset.
    Offset(u32),
}

/// The place after a row. Opaque: a store reads only what it made itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is a text")]
pub struct Cursor(pub String);

/// One page.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The rows, each with its owner.
    pub records: Vec<TokenRecord>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<Cursor>,
    /// How many rows the filter selects in all, if that was asked.
    pub total: Option<u64>,
}

impl Page {
    /// A page.
    #[must_use]
    pub const fn new(records: Vec<TokenRecord>, next: Option<Cursor>, total: Option<u64>) -> Self {
        Self { records, next, total }
    }
}
