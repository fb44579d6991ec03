//! A mark goes up, and one caller sets it.

use super::harness::FactorHarness;
use crate::testing::laws::harness::{RACERS, race};
use crate::testing::sample;

pub(super) fn a_mark_goes_up_only(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let raised = [5, 5, 4, 0, 6, 5, 6, 100, 99, 101].map(|value| store.raise(&owner, "m", value));
    assert_eq!(raised, [true, false, false, false, true, false, false, true, false, true]);
}

pub(super) fn a_mark_is_raised_once_under_contention(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    for value in 1..8 {
        let answers = race(|_| store.raise(&owner, "m", value));
        assert_eq!(answers.iter().filter(|raised| **raised).count(), 1, "{value}");
    }
}

pub(super) fn a_mark_ends_at_the_highest_under_contention(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let racers = RACERS as u64;
    for round in 0..4 {
        let first = round * racers;
        let answers = race(|n| store.raise(&owner, "m", first + n));
        assert!(answers.last().is_some_and(|raised| *raised), "the highest is higher than all");
        assert!(!store.raise(&owner, "m", first + racers - 1));
    }
    assert!(store.raise(&owner, "m", 4 * racers));
}

pub(super) fn a_mark_is_of_one_owner_and_name(harness: &FactorHarness<'_>) {
    let store = harness.store();
    for n in [1, 2, 11] {
        for mark in ["totp", "TOTP", "totp ", "tötp", "email", ""] {
            assert!(store.raise(&sample::owner(n), mark, 7), "{n} {mark:?}");
            assert!(!store.raise(&sample::owner(n), mark, 7), "{n} {mark:?}");
        }
    }
}

pub(super) fn a_mark_holds_every_number(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let edges = [0, 1, 255, 256, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];
    for value in edges {
        assert!(store.raise(&owner, "m", value), "{value}");
        assert!(!store.raise(&owner, "m", value), "{value}");
    }
    edges.into_iter().for_each(|value| assert!(!store.raise(&owner, "m", value), "{value}"));
}
