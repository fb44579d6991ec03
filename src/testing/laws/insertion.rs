//! Adding a token.

use super::harness::{
    Harness, Subject, assert_same, by_digest, presenting, race, stored, to_revoked,
};
use crate::core::change::Presenter;
use crate::core::id::IdempotencyKey;
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::TokenRecord;
use crate::ports::store::{Filter, Insert, Inserted, Lookup};
use crate::testing::sample;

pub(super) fn a_new_token_is_found_as_it_was_returned(harness: &Harness<'_>) {
    let store = harness.store();
    store.add_many(&sample::owner(2), 0..2);
    let (record, epoch) =
        stored(store.insert(sample::insert(sample::record(&sample::owner(1), 1))));
    for key in [Lookup::Id(record.id), Lookup::Number(record.number), by_digest(&record)] {
        let found = store.find(&key).expect("it is found");
        assert_same(&found.record, &record);
        assert_eq!(found.owner, OwnerState::new(OwnerStanding::Active, 1, 1, None));
        assert_eq!(found.epoch, epoch);
    }
    let unknown = sample::record(&sample::owner(1), 2);
    assert!(store.try_found(unknown.id).is_none());
    assert!(store.find(&by_digest(&unknown)).is_none());
    assert!(store.find(&Lookup::Number(record.number + 1)).is_none());
}

pub(super) fn numbers_grow(harness: &Harness<'_>) {
    let store = harness.store();
    let numbers: Vec<_> = (0..20)
        .map(|n| store.add(sample::record(&sample::owner(n % 3), n.into())).number)
        .collect();
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "{numbers:?}");
    assert!(numbers[0] > 0, "zero is no number");
}

pub(super) fn the_store_assigns_number_sequence_and_version(harness: &Harness<'_>) {
    let store = harness.store();
    let before = store.add_many(&sample::owner(1), 0..2);
    let mut record = sample::record(&sample::owner(1), 2);
    (record.number, record.changed_sequence, record.version) = (before[0].number, 70, 80);
    let record = store.add(record);
    assert_ne!(record.number, before[0].number);
    assert_eq!((record.changed_sequence, record.version), (3, 1));
    assert_same(&store.row(record.id), &record);
    assert_eq!(store.add(sample::record(&sample::owner(2), 0)).changed_sequence, 1);
}

pub(super) fn no_insert_replaces_a_token_of_the_same_id(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(sample::record(&sample::owner(1), 1));
    let mut second = sample::record(&sample::owner(2), 2);
    second.id = first.id;
    assert!(matches!(store.insert(sample::insert(second.clone())), Inserted::Duplicate));
    assert_same(&store.row(first.id), &first);
    let revoked = store.revoke(&first);
    assert!(matches!(store.insert(sample::insert(second)), Inserted::Duplicate));
    assert_same(&store.row(first.id), &revoked);
}

pub(super) fn no_insert_replaces_a_token_of_the_same_digest(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(sample::record(&sample::owner(1), 1));
    let mut second = sample::record(&sample::owner(2), 2);
    second.digest = first.digest.clone();
    assert!(matches!(store.insert(sample::insert(second.clone())), Inserted::Duplicate));
    let found = store.find(&by_digest(&first)).expect("it is still found");
    assert_same(&found.record, &first);
    assert!(store.try_found(second.id).is_none());
}

/// Everything speaks against it at first; then one reason after the other is taken away.
pub(super) fn an_insert_is_refused_for_the_first_reason(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let known = keyed(sample::insert(sample::record(&owner, 0)));
    let (known_row, _) = stored(store.insert(known.clone()));
    let mut insert = Insert { quota: Some(1), unique_name: true, ..known };
    insert.presenter = Some(Presenter { token: sample::record(&owner, 9).id, version: 1 });
    insert.record.owner_generation = 2;
    let refusal = |insert: &Insert| store.insert(insert.clone());

    assert!(matches!(refusal(&insert), Inserted::AlreadyIssued(id) if id == known_row.id));
    insert.idempotency_key = None;
    assert!(matches!(refusal(&insert), Inserted::PresenterChanged));
    insert.presenter = presenting(&known_row);
    assert!(matches!(refusal(&insert), Inserted::OwnerNotActive));
    insert.record.owner_generation = 1;
    assert!(matches!(refusal(&insert), Inserted::NameTaken));
    insert.unique_name = false;
    assert!(matches!(refusal(&insert), Inserted::QuotaReached));
    insert.quota = Some(2);
    assert!(matches!(refusal(&insert), Inserted::Duplicate));
    insert.record = sample::record(&owner, 1);
    stored(refusal(&insert));
}

pub(super) fn a_refused_insert_changes_nothing(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let first = store.add(sample::record(&owner, 0));
    let before = store.state(&owner);
    for insert in refusals(&first) {
        let answer = store.insert(insert);
        assert!(!matches!(answer, Inserted::Stored(..)), "{answer:?}");
        assert_eq!(store.state(&owner), before, "after {answer:?}");
    }
    let next = store.add(sample::record(&owner, 1));
    assert_eq!(next.changed_sequence, first.changed_sequence + 1);
}

pub(super) fn a_key_finds_the_first_token_ever_after(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let (first, _) = stored(store.insert(keyed(sample::insert(sample::record(&owner, 0)))));
    let repeat = keyed(sample::insert(sample::record(&owner, 1)));
    let repeated = |store: &Subject<'_>| {
        let answer = store.insert(repeat.clone());
        assert!(matches!(answer, Inserted::AlreadyIssued(id) if id == first.id), "{answer:?}");
        assert_eq!(store.ids(&Filter::of_owner(owner.clone())), [first.id]);
    };
    repeated(&store);
    store.apply(&to_revoked(&first));
    repeated(&store);
    let mut other = repeat.clone();
    other.idempotency_key = Some(IdempotencyKey::new("another request").expect("a key"));
    stored(store.insert(other));
}

pub(super) fn a_key_belongs_to_its_owner(harness: &Harness<'_>) {
    let store = harness.store();
    for n in 1..4 {
        stored(store.insert(keyed(sample::insert(sample::record(&sample::owner(n), 0)))));
    }
}

pub(super) fn a_refused_insert_leaves_its_key_unused(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let first = store.add(sample::record(&owner, 0));
    for insert in refusals(&first) {
        let answer = store.insert(keyed(insert));
        assert!(!matches!(answer, Inserted::Stored(..) | Inserted::AlreadyIssued(_)), "{answer:?}");
    }
    stored(store.insert(keyed(sample::insert(sample::record(&owner, 1)))));
}

pub(super) fn a_key_issues_once_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let owner = sample::owner(round);
        let answers = race(|n| store.insert(keyed(sample::insert(sample::record(&owner, n)))));
        let ids = store.ids(&Filter::of_owner(owner));
        assert_eq!(ids.len(), 1, "{answers:?}");
        let issued = answers.iter().filter(|answer| match answer {
            Inserted::Stored(record, _) => record.id == ids[0],
            Inserted::AlreadyIssued(id) if *id == ids[0] => false,
            other => panic!("{other:?}"),
        });
        assert_eq!(issued.count(), 1);
    }
}

/// One insert for each way to be refused beside this token.
fn refusals(first: &TokenRecord) -> Vec<Insert> {
    let insert = || sample::insert(sample::record(&first.owner, 1));
    let mut same_id = insert();
    same_id.record.id = first.id;
    let mut same_digest = insert();
    same_digest.record.digest = first.digest.clone();
    let mut same_name = Insert { unique_name: true, ..insert() };
    same_name.record.name = first.name.clone();
    let mut other_generation = insert();
    other_generation.record.owner_generation = 2;
    let stale = Some(Presenter { token: first.id, version: first.version + 1 });
    vec![
        same_id,
        same_digest,
        same_name,
        other_generation,
        Insert { quota: Some(1), ..insert() },
        Insert { presenter: stale, ..insert() },
    ]
}

fn keyed(insert: Insert) -> Insert {
    let key = IdempotencyKey::new("one request").expect("a key");
    Insert { idempotency_key: Some(key), ..insert }
}
