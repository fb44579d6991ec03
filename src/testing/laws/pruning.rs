//! Forgetting tokens that are dead.

use super::harness::{Harness, by_digest};
use crate::core::id::TokenId;
use crate::core::token::{Expiry, State, TokenRecord};
use crate::ports::store::{Filter, Lookup};
use crate::testing::sample;

/// A row that expires and is revoked at these seconds.
fn ending(n: u64, expires: Option<i64>, revoked: Option<i64>) -> TokenRecord {
    let mut record = sample::record(&sample::owner(1), n);
    record.validity.expires_at = expires.map_or(Expiry::Never, |at| Expiry::At(sample::after(at)));
    record.state = revoked.map_or(State::Active, |at| State::Revoked(sample::ended(at)));
    record
}

pub(super) fn only_what_was_dead_before_the_instant_is_forgotten(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = [
        (Some(99), None, false),
        (Some(100), None, true),
        (Some(101), None, true),
        (None, None, true),
        (None, Some(99), false),
        (None, Some(100), true),
        (Some(500), Some(99), false),
        (Some(500), Some(101), true),
        // It was dead when it expired, and revoking it later brings nothing back.
        (Some(99), Some(101), false),
    ];
    let mut kept = Vec::new();
    for (n, (expires, revoked, stays)) in (0..).zip(rows) {
        let row = store.add(ending(n, expires, revoked));
        kept.extend(stays.then_some(row.id));
    }
    let mut deactivated = ending(100, None, None);
    deactivated.state = State::Deactivated(sample::ended(1));
    kept.push(store.add(deactivated).id);
    assert_eq!(store.prune(sample::after(100), 1000), 4);
    assert_eq!(store.ids(&Filter::default()), kept);
    assert_eq!(store.prune(sample::after(100), 1000), 0);
}

pub(super) fn no_more_is_forgotten_than_asked(harness: &Harness<'_>) {
    let store = harness.store();
    for n in 0..7 {
        store.add(ending(n, None, Some(1)));
    }
    for (expected, left) in [(3, 4), (3, 1), (1, 0), (0, 0)] {
        assert_eq!(store.prune(sample::after(100), 3), expected);
        assert_eq!(store.ids(&Filter::default()).len(), left);
    }
    store.add(ending(8, None, Some(1)));
    assert_eq!(store.prune(sample::after(100), 0), 0);
}

pub(super) fn a_token_is_kept_while_what_it_minted_is_there(harness: &Harness<'_>) {
    let store = harness.store();
    let parent = store.add(ending(0, None, Some(1)));
    let mut child = ending(1, None, Some(1));
    child.parent = Some(parent.id);
    let child = store.add(child);
    let mut grandchild = ending(2, None, None);
    grandchild.parent = Some(child.id);
    let grandchild = store.add(grandchild);
    let all: Vec<TokenId> = vec![parent.id, child.id, grandchild.id];
    assert_eq!(store.prune(sample::after(100), 10), 0);
    assert_eq!(store.ids(&Filter::default()), all);
    store.revoke(&grandchild);
    // Whether it takes one call or three, the youngest go first.
    let (mut forgotten, mut calls) = (0, 0);
    while forgotten < 3 && calls < 10 {
        forgotten += store.prune(sample::after(100), 1);
        calls += 1;
        let left = store.ids(&Filter::default());
        assert_eq!(left, all[..left.len()]);
    }
    assert_eq!(forgotten, 3);
}

pub(super) fn a_forgotten_token_leaves_its_events_and_nothing_else(harness: &Harness<'_>) {
    let store = harness.store();
    let kept = store.add(ending(0, None, None));
    let forgotten = store.add(ending(1, None, Some(1)));
    let (events, owner) = (store.all_events(), store.owner(&kept.owner));
    assert_eq!(store.prune(sample::after(100), 10), 1);
    for key in [Lookup::Id(forgotten.id), Lookup::Number(forgotten.number), by_digest(&forgotten)] {
        assert!(store.find(&key).is_none(), "{key:?}");
    }
    assert_eq!(store.ids(&Filter::of_owner(kept.owner.clone())), [kept.id]);
    assert_eq!((store.all_events(), store.owner(&kept.owner)), (events, owner));
    store.row(kept.id);
}

pub(super) fn no_number_is_given_twice(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(ending(0, None, Some(1)));
    assert_eq!(store.prune(sample::after(100), 10), 1);
    let second = store.add(ending(1, None, None));
    assert!(second.number > first.number);
    assert!(second.changed_sequence > first.changed_sequence);
}
