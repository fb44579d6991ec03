//! Which tokens v2's filters and sorting mean. Pure.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::codec::NEVER;
use crate::core::id::{OwnerId, TokenId};
use crate::core::time::{rounded_down, rounded_up};
use crate::ports::store::{Filter, Order};
use crate::wire::shown::shown;

/// What one filter asks of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Created(Relation, DateTime<Utc>),
    Expires(Relation, DateTime<Utc>),
    Organization(String),
    Token(String),
    User(String),
}

/// How an instant of a token's lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    After,
    AfterOrEquals,
    Before,
    BeforeOrEquals,
    Equals,
}

/// By what tokens are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Created,
    Expires,
    Id,
    Organization,
    User,
}

impl Column {
    /// The order of a store; `None` where it has none.
    pub(super) const fn order(self) -> Option<Order> {
        match self {
            Self::Created => Some(Order::Created),
            Self::Expires => Some(Order::Expires),
            Self::User => Some(Order::Owner),
            Self::Id | Self::Organization => None,
        }
    }
}

/// What is to be found: tokens that a filter selects, or the one of an id if it does.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) token: Option<TokenId>,
    /// Conditions that exclude each other: there is nothing to be found.
    pub(super) is_nothing: bool,
}

impl Wanted {
    /// All that this wire shows.
    pub(super) fn shown() -> Self {
        Self { filter: shown(Filter::default()), ..Self::default() }
    }

    /// Of these owners only.
    pub(super) fn of_owners(&mut self, owners: Vec<OwnerId>) {
        let both: Vec<_> = match self.filter.owners.take() {
            Some(known) => {
                let owners: HashSet<_> = owners.into_iter().collect();
                known.into_iter().filter(|owner| owners.contains(owner)).collect()
            }
            None => owners,
        };
        self.is_nothing |= both.is_empty();
        self.filter.owners = Some(both);
    }

    pub(super) fn of_token(&mut self, id: &str) {
        let id = TokenId::parse(id.as_bytes());
        let is_another = self.token.is_some() && self.token != id;
        self.is_nothing |= id.is_none() || is_another;
        self.token = id;
    }

    /// Tokens whose beginning or end lies so to an instant.
    pub(super) fn created(&mut self, relation: Relation, at: DateTime<Utc>) {
        let (from, before) = range(relation, at);
        self.filter.created_from = later(self.filter.created_from, from);
        self.filter.created_before = earlier(self.filter.created_before, before);
    }

    pub(super) fn expires(&mut self, relation: Relation, at: DateTime<Utc>) {
        let (from, before) = range(relation, at);
        self.filter.outlives = later(self.filter.outlives, from);
        // Tokens that never expire are shown with an end, and mean that one here.
        self.is_nothing |= from.is_some_and(|from| from > NEVER);
        let last = before.and_then(|before| before.checked_sub_signed(MICROSECOND));
        if let Some(last) = last.filter(|last| *last < NEVER) {
            self.filter.expired_at = earlier(self.filter.expired_at, Some(last));
        }
    }
}

/// The instants that lie so to this one, by the microsecond: from the first, before the last.
fn range(relation: Relation, at: DateTime<Utc>) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let first = Some(rounded_up(at));
    let behind = rounded_down(at).checked_add_signed(MICROSECOND);
    match relation {
        Relation::After => (behind, None),
        Relation::AfterOrEquals => (first, None),
        Relation::Before => (None, first),
        Relation::BeforeOrEquals => (None, behind),
        Relation::Equals => (first, behind),
    }
}

fn later(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    one.max(other)
}

fn earlier(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(1_000_000_000_000_000_000_i64.saturating_add(nanos))
    }

    /// How two numbers lie to each other.
    type Holds = fn(i64, i64) -> bool;

    const ALL: [(Relation, Holds); 5] = [
        (Relation::After, |own, at| own > at),
        (Relation::AfterOrEquals, |own, at| own >= at),
        (Relation::Before, |own, at| own < at),
        (Relation::BeforeOrEquals, |own, at| own <= at),
        (Relation::Equals, |own, at| own == at),
    ];

    #[test]
    fn an_instant_is_compared_to_the_nanosecond() {
        for (relation, holds) in ALL {
            for asked in [0, 1, 999, 1000, 1001] {
                let (from, before) = range(relation, at(asked));
                // What is stored has whole microseconds.
                for own in [-1000, 0, 1000, 2000] {
                    let lies = from.is_none_or(|from| at(own) >= from)
                        && before.is_none_or(|before| at(own) < before);
                    assert_eq!(lies, holds(own, asked), "{own} {relation:?} {asked}");
                }
            }
        }
    }

    /// Whether a token without an end is found by this.
    fn finds_endless(relation: Relation, at: DateTime<Utc>) -> bool {
        let mut wanted = Wanted::shown();
        wanted.expires(relation, at);
        !wanted.is_nothing && wanted.filter.expired_at.is_none()
    }

    #[test]
    fn what_never_expires_does_so_in_the_last_second_of_9999() {
        let earlier = NEVER.checked_sub_signed(MICROSECOND).unwrap();
        let later = NEVER.checked_add_signed(MICROSECOND).unwrap();
        for (relation, before, same, behind) in [
            (Relation::After, true, false, false),
            (Relation::AfterOrEquals, true, true, false),
            (Relation::Before, false, false, true),
            (Relation::BeforeOrEquals, false, true, true),
            (Relation::Equals, false, true, false),
        ] {
            assert_eq!(finds_endless(relation, earlier), before, "{relation:?} earlier");
            assert_eq!(finds_endless(relation, NEVER), same, "{relation:?} the same");
            assert_eq!(finds_endless(relation, later), behind, "{relation:?} later");
        }
    }

    #[test]
    fn conditions_are_met_all_at_once() {
        let owner = |name: &str| OwnerId::new(name).unwrap();
        let mut wanted = Wanted::shown();
        wanted.of_owners(vec![owner("a"), owner("b")]);
        wanted.of_owners(vec![owner("b"), owner("c")]);
        assert_eq!(wanted.filter.owners, Some(vec![owner("b")]));
        wanted.created(Relation::After, at(0));
        wanted.created(Relation::After, at(5000));
        wanted.created(Relation::Before, at(9000));
        wanted.created(Relation::Before, at(7000));
        assert_eq!(wanted.filter.created_from, Some(at(6000)));
        assert_eq!(wanted.filter.created_before, Some(at(7000)));
        assert!(!wanted.is_nothing);
        wanted.of_owners(vec![owner("c")]);
        assert!(wanted.is_nothing);

        let (one, other) = ("y".repeat(26), format!("{}b", "y".repeat(25)));
        for (ids, is_nothing) in [
            (vec![&one], false),
            (vec![&one, &one], false),
            (vec![&one, &other], true),
            (vec![&"no id".to_owned()], true),
        ] {
            let mut wanted = Wanted::shown();
            ids.iter().for_each(|id| wanted.of_token(id));
            assert_eq!(wanted.is_nothing, is_nothing, "{ids:?}");
        }
    }
}
