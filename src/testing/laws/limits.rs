//! Names that are given once, and quotas.

use super::harness::{Harness, Subject, done, race, stored, to_state};
use crate::core::id::Kind;
use crate::core::token::{Expiry, State, TokenRecord};
use crate::ports::store::{Filter, Insert, Inserted};
use crate::testing::sample;

fn named(n: u64, name: &str) -> Insert {
    let mut record = sample::record(&sample::owner(1), n);
    record.name = name.parse().expect("a name");
    Insert { unique_name: true, ..sample::insert(record) }
}

fn assert_taken(store: &Subject<'_>, insert: Insert) {
    let answer = store.insert(insert);
    assert!(matches!(answer, Inserted::NameTaken), "{answer:?}");
}

pub(super) fn a_unique_name_is_given_once(harness: &Harness<'_>) {
    let store = harness.store();
    stored(store.insert(named(1, "backup")));
    assert_taken(&store, named(2, "backup"));
    // It is unique even beside a token that did not ask for that, and an empty name is a name.
    store.add(named(3, "").record);
    assert_taken(&store, named(4, ""));
}

pub(super) fn a_name_is_taken_from_one_owner_and_kind_only(harness: &Harness<'_>) {
    let store = harness.store();
    stored(store.insert(named(1, "backup")));
    let mut of_another = sample::record(&sample::owner(2), 1);
    of_another.name = named(1, "backup").record.name;
    stored(store.insert(Insert { unique_name: true, ..sample::insert(of_another) }));
    let mut of_kind = named(2, "backup");
    of_kind.record.kind = Kind::session();
    stored(store.insert(of_kind));
}

pub(super) fn names_repeat_where_uniqueness_is_not_asked(harness: &Harness<'_>) {
    let store = harness.store();
    stored(store.insert(named(1, "backup")));
    stored(store.insert(Insert { unique_name: false, ..named(2, "backup") }));
    stored(store.insert(Insert { unique_name: false, ..named(3, "backup") }));
}

pub(super) fn names_differ_in_any_byte(harness: &Harness<'_>) {
    let store = harness.store();
    // Small and capital, composed and not, with spaces, with a zero-width space.
    for (n, name) in ["é", "É", "e\u{301}", "é ", " é", "é\u{200b}", "e"].into_iter().enumerate()
    {
        stored(store.insert(named(n as u64, name)));
    }
}

pub(super) fn revoking_frees_a_name_and_deactivating_does_not(harness: &Harness<'_>) {
    let store = harness.store();
    let (first, _) = stored(store.insert(named(1, "backup")));
    let first = store.deactivate(&first);
    assert_taken(&store, named(2, "backup"));
    store.revoke(&first);
    stored(store.insert(named(2, "backup")));
    assert_taken(&store, named(3, "backup"));
}

pub(super) fn an_expired_token_keeps_its_name(harness: &Harness<'_>) {
    let store = harness.store();
    let mut expired = named(1, "backup");
    expired.record.validity.expires_at = Expiry::At(sample::after(-1));
    stored(store.insert(expired));
    assert_taken(&store, named(2, "backup"));
}

pub(super) fn a_unique_name_is_given_once_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let name = format!("name {round}");
        let answers = race(|n| store.insert(named(round * 100 + n, &name)));
        assert_eq!(count_stored(&answers), 1, "{answers:?}");
    }
}

fn limited(record: TokenRecord, quota: u32) -> Insert {
    Insert { quota: Some(quota), ..sample::insert(record) }
}

fn assert_full(store: &Subject<'_>, insert: Insert) {
    let answer = store.insert(insert);
    assert!(matches!(answer, Inserted::QuotaReached), "{answer:?}");
}

pub(super) fn a_quota_is_the_most_that_an_owner_has(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    assert_full(&store, limited(sample::record(&owner, 0), 0));
    for n in 0..3 {
        stored(store.insert(limited(sample::record(&owner, n), 3)));
    }
    assert_full(&store, limited(sample::record(&owner, 3), 3));
    assert_full(&store, limited(sample::record(&owner, 3), 2));
    stored(store.insert(limited(sample::record(&owner, 3), 4)));
    stored(store.insert(sample::insert(sample::record(&owner, 4))));
}

pub(super) fn a_quota_counts_neither_revoked_nor_expired_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    let mut expired = sample::record(&sample::owner(1), 2);
    expired.validity.expires_at = Expiry::At(expired.created_at);
    store.add(expired);
    let next = || limited(sample::record(&sample::owner(1), 3), 2);
    assert_full(&store, next());
    store.revoke(&rows[0]);
    stored(store.insert(next()));
}

pub(super) fn a_quota_counts_deactivated_tokens(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(sample::record(&sample::owner(1), 0));
    let end = State::Deactivated(sample::ended(1));
    done(store.apply(&to_state(&first, end)));
    assert_full(&store, limited(sample::record(&sample::owner(1), 1), 1));
}

pub(super) fn a_quota_counts_one_owner_and_kind(harness: &Harness<'_>) {
    let store = harness.store();
    store.add_many(&sample::owner(1), 0..3);
    stored(store.insert(limited(sample::record(&sample::owner(2), 0), 1)));
    let mut session = sample::record(&sample::owner(1), 3);
    session.kind = Kind::session();
    stored(store.insert(limited(session.clone(), 1)));
    session = sample::record(&sample::owner(1), 4);
    session.kind = Kind::session();
    assert_full(&store, limited(session, 1));
}

pub(super) fn a_quota_holds_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let owner = sample::owner(round);
        let answers = race(|n| store.insert(limited(sample::record(&owner, n), 10)));
        assert_eq!(count_stored(&answers), 10, "{answers:?}");
        assert_eq!(store.ids(&Filter::of_owner(owner)).len(), 10);
    }
}

fn count_stored(answers: &[Inserted]) -> usize {
    answers.iter().filter(|answer| matches!(answer, Inserted::Stored(..))).count()
}
