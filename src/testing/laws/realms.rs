//! A handle is bound to one realm, and a token of another one is the same as an unknown one.

use super::harness::{
    Harness, Subject, assert_same, by_digest, presenting, stored, to_name, to_none, to_revoked,
};
use crate::core::id::{IdempotencyKey, RealmId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{TokenRecord, Usage};
use crate::ports::store::{
    Applied, EventQuery, Filter, Insert, Inserted, Lookup, Query, StoreError, Use,
};
use crate::testing::sample;

pub(super) fn other_realm() -> RealmId {
    RealmId::new("çäsar's other realm").expect("a realm")
}

/// The sample for a realm of its own.
fn record_in(realm: &RealmId, n: u64) -> TokenRecord {
    let mut record = sample::record(&sample::owner(1), n);
    record.realm = realm.clone();
    record
}

/// Handles on two realms, with three tokens of the same owner in the first.
fn two_realms<'h>(harness: &'h Harness<'_>) -> (Subject<'h>, Subject<'h>, Vec<TokenRecord>) {
    let (here, there) = (harness.store(), harness.store_in(other_realm()));
    let rows = here.add_many(&sample::owner(1), 0..3);
    (here, there, rows)
}

pub(super) fn a_handle_knows_its_realm(harness: &Harness<'_>) {
    assert_eq!(*harness.store().realm(), sample::realm());
    let there = harness.store_in(other_realm());
    assert_eq!(*there.realm(), other_realm());
    let row = there.add(record_in(&other_realm(), 1));
    assert_eq!(there.row(row.id).realm, other_realm());
}

pub(super) fn two_handles_on_a_realm_are_the_same_store(harness: &Harness<'_>) {
    let (one, two) = (harness.store(), harness.store());
    let row = one.add(sample::record(&sample::owner(1), 1));
    assert_same(&two.row(row.id), &row);
    assert_eq!(two.epoch(), one.epoch());
    two.revoke(&row);
    assert!(!one.is_live(row.id));
}

pub(super) fn a_token_of_another_realm_is_not_found(harness: &Harness<'_>) {
    let (_, there, rows) = two_realms(harness);
    for row in &rows {
        assert!(there.try_found(row.id).is_none());
        assert!(there.find(&by_digest(row)).is_none());
        assert!(there.find(&Lookup::Number(row.number)).is_none());
    }
}

pub(super) fn a_query_stays_in_its_realm(harness: &Harness<'_>) {
    let (here, there, rows) = two_realms(harness);
    let mine = there.add(record_in(&other_realm(), 9));
    let all = |store: &Subject<'_>| {
        let mut query = Query::new(Filter::of_owner(sample::owner(1)), 100);
        query.with_total = true;
        let page = store.query(&query);
        (page.records.iter().map(|row| row.id).collect::<Vec<TokenId>>(), page.total)
    };
    assert_eq!(all(&there), (vec![mine.id], Some(1)));
    assert_eq!(all(&here), (rows.iter().map(|row| row.id).collect(), Some(3)));
}

pub(super) fn a_change_stays_in_its_realm(harness: &Harness<'_>) {
    let (here, there, rows) = two_realms(harness);
    for change in [to_name(&rows[0], "renamed"), to_revoked(&rows[0]).cascading()] {
        assert!(matches!(there.apply(&change), Applied::Missing));
    }
    let usage = Usage::new(Some(sample::after(1)), None, 1);
    there.mark_used(&[Use::new(rows[0].id, usage)]);
    assert_eq!(there.prune(sample::after(999_999_999), 100), 0);
    assert_same(&here.row(rows[0].id), &rows[0]);
}

pub(super) fn a_revocation_stays_in_its_realm(harness: &Harness<'_>) {
    let (here, there, rows) = two_realms(harness);
    let mut child = record_in(&other_realm(), 9);
    child.owner = sample::owner(2);
    let child = there.add(child);
    assert_eq!(there.revoke_all(&to_none(Filter::default())).tokens, [child.id]);
    there.set_standing(&sample::owner(1), OwnerStanding::Deleted);
    rows.iter().for_each(|row| assert_same(&here.row(row.id), row));
}

pub(super) fn an_owner_is_another_one_in_another_realm(harness: &Harness<'_>) {
    let (here, there, rows) = two_realms(harness);
    assert_eq!(there.owner(&sample::owner(1)), OwnerState::unheard_of());
    there.set_standing(&sample::owner(1), OwnerStanding::Deactivated);
    assert_eq!(here.owner(&sample::owner(1)).standing, OwnerStanding::Active);
    assert_eq!(here.found(rows[0].id).owner.standing, OwnerStanding::Active);
    here.add(sample::record(&sample::owner(1), 8));
}

pub(super) fn limits_are_counted_in_one_realm(harness: &Harness<'_>) {
    let (_, there, rows) = two_realms(harness);
    let mut record = record_in(&other_realm(), 9);
    record.name = rows[0].name.clone();
    let insert = Insert { quota: Some(1), unique_name: true, ..sample::insert(record) };
    let (row, _) = stored(there.insert(insert));
    assert_eq!(row.changed_sequence, 1);
}

pub(super) fn a_key_belongs_to_its_realm(harness: &Harness<'_>) {
    let (here, there) = (harness.store(), harness.store_in(other_realm()));
    for (store, realm, n) in [(&here, sample::realm(), 1), (&there, other_realm(), 2)] {
        let insert = sample::insert(record_in(&realm, n));
        let idempotency_key = IdempotencyKey::new("one request").ok();
        stored(store.insert(Insert { idempotency_key, ..insert }));
    }
}

pub(super) fn events_and_epochs_are_of_one_realm(harness: &Harness<'_>) {
    let (here, there) = (harness.store(), harness.store_in(other_realm()));
    let before = there.epoch();
    let row = here.add(sample::record(&sample::owner(1), 1));
    here.revoke(&row);
    assert_eq!(there.epoch(), before);
    assert_eq!(there.all_events(), []);
    let mut of_token = EventQuery::after(0, 10);
    of_token.token = Some(row.id);
    assert_eq!(there.events(&of_token), []);
    let touched = there.invalidations(before).changes;
    assert_eq!(touched, Some(Vec::new()));
}

pub(super) fn a_row_of_another_realm_is_not_stored(harness: &Harness<'_>) {
    let (here, there, _) = two_realms(harness);
    let stray = record_in(&other_realm(), 9);
    let before = here.state(&stray.owner);
    let answer = here.try_insert(sample::insert(stray.clone()));
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
    assert_eq!(here.state(&stray.owner), before);
    assert!(here.try_found(stray.id).is_none() && there.try_found(stray.id).is_none());
}

pub(super) fn a_presenter_of_another_realm_is_refused(harness: &Harness<'_>) {
    let (_, there, rows) = two_realms(harness);
    let insert = sample::insert(record_in(&other_realm(), 9));
    let answer = there.insert(Insert { presenter: presenting(&rows[0]), ..insert });
    assert!(matches!(answer, Inserted::PresenterChanged), "{answer:?}");
}
