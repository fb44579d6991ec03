//! What a query selects. [`Filter::selects`] says the same in code.

use super::harness::{Harness, Subject};
use crate::core::id::{Kind, OwnerId};
use crate::core::token::{Expiry, TokenRecord};
use crate::ports::store::{Filter, StateName};
use crate::testing::sample;

/// Inserts samples that differ as `edit` says, given their places in the list.
fn rows(store: &Subject<'_>, count: u64, edit: impl Fn(u64, &mut TokenRecord)) -> Vec<TokenRecord> {
    let insert = |n| {
        let mut record = sample::record(&sample::owner(1), n);
        edit(n, &mut record);
        store.add(record)
    };
    (0..count).map(insert).collect()
}

/// The filter selects the rows at these places, and no others.
#[track_caller]
fn selects(store: &Subject<'_>, rows: &[TokenRecord], filter: Filter, expected: &[usize]) {
    let places = |id| rows.iter().position(|row| row.id == id).expect("a row of the law's own");
    let selected: Vec<_> = store.ids(&filter).into_iter().map(places).collect();
    assert_eq!(selected, expected, "{filter:?}");
}

fn all() -> Filter {
    Filter::default()
}

pub(super) fn an_empty_filter_selects_all(harness: &Harness<'_>) {
    let store = harness.store();
    selects(&store, &[], all(), &[]);
    let rows = rows(&store, 3, |n, row| row.owner = sample::owner(u32::from(n == 1)));
    store.revoke(&rows[0]);
    selects(&store, &rows, all(), &[0, 1, 2]);
}

pub(super) fn tokens_are_filtered_by_owner(harness: &Harness<'_>) {
    let store = harness.store();
    let owners = ["a", "A", "ab", "a", "á"].map(|id| OwnerId::new(id).expect("an owner id"));
    let rows = rows(&store, 5, |n, row| row.owner = owners[n as usize].clone());
    let of = |owner: usize| Filter::of_owner(owners[owner].clone());
    selects(&store, &rows, of(0), &[0, 3]);
    selects(&store, &rows, of(1), &[1]);
    selects(&store, &rows, of(4), &[4]);
    selects(&store, &rows, Filter::of_owner(sample::owner(9)), &[]);
}

pub(super) fn tokens_are_filtered_by_several_owners(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = rows(&store, 4, |n, row| row.owner = sample::owner(n as u32 % 3));
    let of = |owners: &[u32]| {
        let owners = owners.iter().map(|n| sample::owner(*n)).collect();
        Filter { owners: Some(owners), ..all() }
    };
    selects(&store, &rows, of(&[0, 2, 2, 9]), &[0, 2, 3]);
    selects(&store, &rows, of(&[1]), &[1]);
    selects(&store, &rows, of(&[]), &[]);
}

pub(super) fn tokens_are_filtered_by_owners_that_are_left_out(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = rows(&store, 4, |n, row| row.owner = sample::owner(n as u32 % 3));
    let except = |owners: &[u32]| Filter {
        except_owners: owners.iter().map(|n| sample::owner(*n)).collect(),
        ..all()
    };
    selects(&store, &rows, except(&[0, 9]), &[1, 2]);
    selects(&store, &rows, except(&[0, 1, 2]), &[]);
}

pub(super) fn tokens_are_filtered_by_kind(harness: &Harness<'_>) {
    let store = harness.store();
    let session = |n, row: &mut TokenRecord| {
        if n == 1 {
            row.kind = Kind::session();
        }
    };
    let rows = rows(&store, 3, session);
    selects(&store, &rows, all().of_kind(Kind::personal()), &[0, 2]);
    selects(&store, &rows, all().of_kind(Kind::session()), &[1]);
    selects(&store, &rows, all().of_kind(Kind::new("bot").expect("a kind")), &[]);
}

pub(super) fn tokens_are_filtered_by_name(harness: &Harness<'_>) {
    let store = harness.store();
    let names = ["backup", "Backup", "backup ", "", "backup", "b_ckup", "b%"];
    let rows = rows(&store, 7, |n, row| row.name = names[n as usize].parse().expect("a name"));
    let named = |name: &str| Filter { name: name.parse().ok(), ..all() };
    selects(&store, &rows, named("backup"), &[0, 4]);
    selects(&store, &rows, named(""), &[3]);
    selects(&store, &rows, named("b_ckup"), &[5]);
    selects(&store, &rows, named("b%"), &[6]);
}

pub(super) fn tokens_are_filtered_by_parent(harness: &Harness<'_>) {
    let store = harness.store();
    let parents = store.add_many(&sample::owner(2), 0..2);
    let minted = |n, row: &mut TokenRecord| row.parent = Some(parents[n as usize % 2].id);
    let rows = rows(&store, 3, minted);
    let of = |parent: &TokenRecord| Filter { parent: Some(parent.id), ..all() };
    selects(&store, &rows, of(&parents[0]), &[0, 2]);
    selects(&store, &rows, of(&parents[1]), &[1]);
    selects(&store, &rows, of(&rows[0]), &[]);
}

pub(super) fn tokens_are_filtered_by_state(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = rows(&store, 4, |_, _| {});
    store.deactivate(&rows[1]);
    store.revoke(&rows[2]);
    let of = |states: &[StateName]| Filter { states: Some(states.to_vec()), ..all() };
    selects(&store, &rows, of(&[StateName::Active]), &[0, 3]);
    selects(&store, &rows, of(&[StateName::Deactivated]), &[1]);
    selects(&store, &rows, of(&[StateName::Revoked]), &[2]);
    selects(&store, &rows, all().unrevoked(), &[0, 1, 3]);
    selects(&store, &rows, of(&[]), &[]);
}

/// Four rows that expire before, at and after an instant, and never.
fn expiring(store: &Subject<'_>) -> Vec<TokenRecord> {
    let ends = [Some(99), Some(100), Some(101), None];
    rows(store, 4, |n, row| {
        let end = ends[n as usize];
        row.validity.expires_at = end.map_or(Expiry::Never, |at| Expiry::At(sample::after(at)));
    })
}

pub(super) fn tokens_are_filtered_by_what_they_outlive(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = expiring(&store);
    let outliving = |at| Filter { outlives: Some(sample::after(at)), ..all() };
    selects(&store, &rows, outliving(100), &[1, 2, 3]);
    selects(&store, &rows, outliving(999), &[3]);
}

pub(super) fn tokens_are_filtered_by_whether_they_have_expired(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = expiring(&store);
    let expired = |at| Filter { expired_at: Some(sample::after(at)), ..all() };
    selects(&store, &rows, expired(100), &[0, 1]);
    selects(&store, &rows, expired(999), &[0, 1, 2]);
}

pub(super) fn tokens_are_filtered_by_creation(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = rows(&store, 4, |n, row| {
        row.created_at = sample::after(n as i64);
        row.changed_at = row.created_at;
    });
    let (from, before) = (Some(sample::after(1)), Some(sample::after(3)));
    selects(&store, &rows, Filter { created_from: from, ..all() }, &[1, 2, 3]);
    selects(&store, &rows, Filter { created_before: before, ..all() }, &[0, 1, 2]);
    selects(&store, &rows, Filter { created_from: from, created_before: before, ..all() }, &[1, 2]);
}

pub(super) fn a_filter_selects_what_fits_in_every_respect(harness: &Harness<'_>) {
    let store = harness.store();
    let parent = store.add(sample::record(&sample::owner(2), 0));
    // Each row but the first differs from the filter in one respect.
    let rows = rows(&store, 11, |n, row| {
        row.name = "backup".parse().expect("a name");
        row.parent = Some(parent.id);
        match n {
            1 => row.owner = sample::owner(2),
            2 => row.owner = sample::owner(3),
            3 => row.kind = Kind::session(),
            4 => row.name = "other".parse().expect("a name"),
            5 => row.parent = None,
            6 => row.validity.expires_at = Expiry::At(sample::after(10)),
            7 => row.validity.expires_at = Expiry::Never,
            8 => row.created_at = sample::after(-1),
            9 => row.created_at = sample::after(1),
            _ => {}
        }
    });
    store.deactivate(&rows[10]);
    let filter = Filter {
        owner: None,
        owners: Some(vec![sample::owner(1), sample::owner(3)]),
        except_owners: vec![sample::owner(3)],
        kind: Some(Kind::personal()),
        name: "backup".parse().ok(),
        parent: Some(parent.id),
        states: Some(vec![StateName::Active]),
        outlives: Some(sample::after(100)),
        expired_at: Some(sample::after(999_999_999)),
        created_from: Some(sample::start()),
        created_before: Some(sample::after(1)),
    };
    selects(&store, &rows, filter.clone(), &[0]);
    selects(&store, &rows, Filter { owner: Some(sample::owner(1)), ..filter.clone() }, &[0]);
    selects(&store, &rows, Filter { owner: Some(sample::owner(2)), ..filter }, &[]);
}
