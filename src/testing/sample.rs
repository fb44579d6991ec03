//! Tokens, owners and instants to test with: the same in every run.
//!
//! ```
//! use keyfob::testing::sample;
//!
//! let record = sample::record(&sample::owner(1), 1);
//! assert_eq!(record.owner, sample::owner(1));
//! assert_ne!(record.id, sample::record(&sample::owner(1), 2).id);
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "the values are fixed and fit, and a test may fail by panicking"
)]

use chrono::{DateTime, TimeDelta, Utc};

use super::SeededRandomness;
use crate::core::digest::Keyring;
use crate::core::event::{Actor, Event, EventKind};
use crate::core::format::Format;
use crate::core::id::{Kind, OwnerId, RealmId, TokenName};
use crate::core::issue::{Caller, IssueRequest, Issued, issue};
use crate::core::owner::OwnerState;
use crate::core::policy::Rules;
use crate::core::scope::{Grant, ReadWrite};
use crate::core::token::{Ended, TokenRecord};
use crate::ports::store::Insert;

/// The instant at which sample tokens are issued: 2026-01-01T00:00:00Z.
#[must_use]
pub const fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a date of this century")
}

/// So many seconds after [`start`].
#[must_use]
pub fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

/// The realm of sample tokens.
#[must_use]
pub fn realm() -> RealmId {
    RealmId::new("sample").expect("a realm")
}

/// One of many owners.
#[must_use]
pub fn owner(n: u32) -> OwnerId {
    OwnerId::new(format!("owner-{n}")).expect("an owner id")
}

/// The rules by which sample tokens are issued: prefixes `sample` and `session`, no digest key,
/// the default policy.
#[must_use]
pub fn rules() -> Rules {
    let format = Format::new("sample").and_then(|format| format.with("session", Kind::session()));
    Rules::new(format.expect("two prefixes"), Keyring::unkeyed()).in_realm(realm())
}

/// The owner's `n`th token with its secret: personal, named `token n`, for reading, issued at
/// [`start`] by the host, living 90 days.
pub fn issued(owner: &OwnerId, n: u64) -> Issued {
    let grant = Grant::only([ReadWrite::Read]).expect("one scope");
    let name = TokenName::new(format!("token {n}")).expect("a name");
    let request = IssueRequest::new(owner.clone(), grant).named(name);
    let mut rng = SeededRandomness::from_text(format!("{n} {owner}").as_bytes());
    let caller = Caller::Host(&Actor::host());
    issue(request, caller, &OwnerState::unheard_of(), &rules(), start(), &mut rng)
        .expect("the rules allow it")
}

/// The row of [`issued`], without its secret.
#[must_use]
pub fn record(owner: &OwnerId, n: u64) -> TokenRecord {
    issued(owner, n).record
}

/// The insertion of this row, without conditions.
#[must_use]
pub fn insert(record: TokenRecord) -> Insert {
    let event = event(EventKind::TokenIssued, &record, record.created_at);
    Insert::new(record, event)
}

/// An event about this token, by the host.
#[must_use]
pub fn event(kind: EventKind, record: &TokenRecord, at: DateTime<Utc>) -> Event {
    Event::new(kind, Actor::host(), at).about(record.id, record.owner.clone())
}

/// An end that the host put to something, so many seconds after [`start`].
#[must_use]
pub fn ended(seconds: i64) -> Ended {
    Ended::new(Actor::host(), None, after(seconds))
}
