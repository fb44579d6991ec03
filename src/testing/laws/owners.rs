//! Owners: whether their tokens work, and which life of their id this is.

use super::harness::{Harness, assert_same, done, set, stored, to_name, to_none, to_standing};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::State;
use crate::ports::store::{Filter, Inserted};
use crate::testing::sample;

pub(super) fn an_owner_never_heard_of_is_active_in_generation_one(harness: &Harness<'_>) {
    let store = harness.store();
    assert_eq!(store.owner(&sample::owner(1)), OwnerState::unheard_of());
    store.add(sample::record(&sample::owner(1), 1));
    store.set_standing(&sample::owner(2), OwnerStanding::Deactivated);
    assert_eq!(store.owner(&sample::owner(3)), OwnerState::unheard_of());
}

pub(super) fn only_an_active_owner_gets_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    for standing in [OwnerStanding::Deactivated, OwnerStanding::Deleted] {
        store.set_standing(&owner, standing);
        let mut record = sample::record(&owner, 1);
        record.owner_generation = store.owner(&owner).generation;
        let answer = store.insert(sample::insert(record));
        assert!(matches!(answer, Inserted::OwnerNotActive), "{standing:?}: {answer:?}");
    }
}

pub(super) fn only_the_present_generation_gets_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let of_generation = |generation: u32| {
        let mut record = sample::record(&owner, generation.into());
        record.owner_generation = generation;
        store.insert(sample::insert(record))
    };
    assert!(matches!(of_generation(2), Inserted::OwnerNotActive));
    store.set_standing(&owner, OwnerStanding::Deleted);
    store.set_standing(&owner, OwnerStanding::Active);
    assert!(matches!(of_generation(1), Inserted::OwnerNotActive));
    stored(of_generation(2));
}

pub(super) fn deactivating_an_owner_changes_no_token(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..3);
    let before = store.owner(&sample::owner(1));
    let changed = store.set_standing(&sample::owner(1), OwnerStanding::Deactivated);
    assert!(changed.changed);
    let expected =
        OwnerState::new(OwnerStanding::Deactivated, 1, before.sequence + 1, Some(sample::after(3)));
    assert_eq!(changed.state, expected);
    rows.iter().for_each(|row| assert_same(&store.row(row.id), row));
    // A change to a token of a deactivated owner is made like any other.
    let renamed = store.change(&to_name(&rows[0], "renamed"));
    store.set_standing(&sample::owner(1), OwnerStanding::Active);
    assert_same(&store.row(renamed.id), &renamed);
    assert_eq!(store.owner(&sample::owner(1)).generation, 1);
}

pub(super) fn a_token_is_found_with_its_owners_state(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let other = store.add(sample::record(&sample::owner(2), 1));
    for standing in [OwnerStanding::Deactivated, OwnerStanding::Active, OwnerStanding::Deleted] {
        let changed = store.set_standing(&row.owner, standing);
        let found = store.found(row.id);
        assert_eq!(found.owner, changed.state);
        assert_eq!(found.owner.standing, standing);
        assert_eq!(found.owner, store.owner(&row.owner));
        assert_eq!(store.found(other.id).owner.standing, OwnerStanding::Active);
    }
}

pub(super) fn deleting_an_owner_revokes_all_its_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let rows = store.add_many(&owner, 0..4);
    let other = store.add(sample::record(&sample::owner(2), 0));
    store.deactivate(&rows[1]);
    let revoked = store.revoke(&rows[2]);
    let change = to_standing(&owner, OwnerStanding::Deleted);
    let changed = set(store.set_owner(&change));
    for row in [&rows[0], &rows[1], &rows[3]] {
        let found = store.row(row.id);
        match &found.state {
            State::Revoked(end) => {
                assert_eq!(
                    (&end.by, &end.why, end.at),
                    (&change.event.by, &change.event.why, change.at)
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(found.version > row.version && found.changed_sequence > row.changed_sequence);
        assert_eq!(found.changed_at, change.at);
    }
    assert_same(&store.row(revoked.id), &revoked);
    assert_same(&store.row(other.id), &other);
    assert_eq!(changed.state, store.owner(&owner));
    // Four insertions, two changes, the deletion, three revocations.
    assert_eq!((changed.state.sequence, changed.state.generation), (10, 1));
}

pub(super) fn leaving_deletion_begins_the_next_generation(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let row = store.add(sample::record(&owner, 0));
    for (generation, back) in [(2, OwnerStanding::Active), (3, OwnerStanding::Deactivated)] {
        store.set_standing(&owner, OwnerStanding::Deleted);
        assert_eq!(store.owner(&owner).generation, generation - 1);
        assert_eq!(store.set_standing(&owner, back).state.generation, generation);
        store.set_standing(&owner, OwnerStanding::Active);
        assert_eq!(store.owner(&owner).generation, generation);
    }
    let old = store.row(row.id);
    assert!(matches!(old.state, State::Revoked(_)));
    assert_eq!(old.owner_generation, 1);
    assert_eq!(store.owner(&owner).sequence, 7, "sequences go on from life to life");
}

pub(super) fn setting_a_standing_twice_changes_nothing(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let row = store.add(sample::record(&owner, 0));
    let heard = [OwnerStanding::Active, OwnerStanding::Deactivated, OwnerStanding::Deleted];
    for standing in heard {
        let first = store.set_standing(&owner, standing);
        assert_eq!(first.changed, standing != OwnerStanding::Active);
        let before = store.state(&owner);
        let mut again = to_standing(&owner, standing);
        again.at = sample::after(99);
        let second = set(store.set_owner(&again));
        assert!(!second.changed);
        assert_eq!((second.state, second.epoch), (first.state, first.epoch));
        assert_eq!(store.state(&owner), before);
    }
    assert_eq!(store.row(row.id).version, 2);
}

pub(super) fn an_owners_sequence_counts_its_changes_and_those_of_its_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let sequence = |expected| assert_eq!(store.owner(&owner).sequence, expected);
    let rows = store.add_many(&owner, 0..3);
    sequence(3);
    let (renamed, ..) = done(store.apply(&to_name(&rows[0], "renamed")));
    sequence(renamed.changed_sequence);
    store.revoke_all(&to_none(Filter::of_owner(owner.clone())));
    sequence(7);
    store.set_standing(&owner, OwnerStanding::Deactivated);
    sequence(8);
    store.set_standing(&owner, OwnerStanding::Deactivated);
    sequence(8);
    store.set_standing(&owner, OwnerStanding::Active);
    sequence(9);
    assert_eq!(store.add(sample::record(&owner, 9)).changed_sequence, 10);
}
