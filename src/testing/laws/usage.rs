//! Writing down that tokens were used.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::harness::{Harness, assert_same, assert_same_but_usage, race, to_name};
use crate::core::event::EventKind;
use crate::core::id::TokenId;
use crate::core::token::{State, TokenRecord, Usage};
use crate::ports::store::{EventQuery, Use};
use crate::testing::sample;

pub(super) fn a_use_moves_forward_only(harness: &Harness<'_>) {
    let store = harness.store();
    let id = store.add(sample::record(&sample::owner(1), 1)).id;
    for (at, expected) in [(20, 20), (10, 20), (21, 21), (21, 21)] {
        store.mark_used(&[used(id, at, 1)]);
        assert_eq!(store.row(id).usage.last_at, Some(sample::after(expected)));
    }
    // In one batch, in no order; and a gathering of uses without a time takes none away.
    store.mark_used(&[used(id, 30, 1), used(id, 40, 1), used(id, 35, 1)]);
    store.mark_used(&[Use::new(id, Usage::new(None, None, 1))]);
    assert_eq!(store.row(id).usage.last_at, Some(sample::after(40)));
}

pub(super) fn the_address_goes_with_the_latest_use(harness: &Harness<'_>) {
    let store = harness.store();
    let id = store.add(sample::record(&sample::owner(1), 1)).id;
    for (at, last) in [(20, 20), (10, 20), (30, 30)] {
        store.mark_used(&[used(id, at, 1)]);
        assert_eq!(store.row(id).usage.last_from, Some(address(last)));
    }
    store.mark_used(&[used(id, 40, 1), used(id, 35, 1)]);
    assert_eq!(store.row(id).usage.last_from, Some(address(40)));
    let from_nowhere = Usage::new(Some(sample::after(50)), None, 1);
    store.mark_used(&[Use::new(id, from_nowhere)]);
    assert_eq!(store.row(id).usage.last_from, None);
}

pub(super) fn counts_of_uses_add_up(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    store.mark_used(&[used(rows[0].id, 20, 2), used(rows[1].id, 20, 5), used(rows[0].id, 10, 3)]);
    store.mark_used(&[used(rows[0].id, 10, 4)]);
    store.mark_used(&[]);
    assert_eq!(store.row(rows[0].id).usage.count, 9);
    assert_eq!(store.row(rows[1].id).usage.count, 5);
}

pub(super) fn no_use_is_lost_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    let id = store.add(sample::record(&sample::owner(1), 1)).id;
    let marked = race(|n| store.mark_used(&[used(id, i64::try_from(n).expect("few"), 2)])).len();
    assert_eq!(store.row(id).usage.count, marked as u64 * 2);
}

pub(super) fn a_use_is_no_change(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let before = (store.epoch(), store.all_events(), store.owner(&row.owner));
    store.mark_used(&[used(row.id, 20, 1)]);
    assert_same_but_usage(&store.row(row.id), &row);
    assert_eq!((store.epoch(), store.all_events(), store.owner(&row.owner)), before);
}

pub(super) fn a_use_of_an_unknown_token_is_skipped(harness: &Harness<'_>) {
    let store = harness.store();
    let id = store.add(sample::record(&sample::owner(1), 1)).id;
    let unknown = sample::record(&sample::owner(1), 2).id;
    store.mark_used(&[used(unknown, 20, 1), used(id, 20, 1), used(unknown, 30, 1)]);
    assert_eq!(store.row(id).usage, used(id, 20, 1).usage);
    assert!(store.try_found(unknown).is_none());
}

pub(super) fn a_new_address_is_told_of(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    let before = (store.epoch(), store.all_events());
    let first = rows.iter().map(|row| telling(row, 20)).collect::<Vec<_>>();
    assert_eq!(store.mark_used(&first), [], "the first one of each");
    assert_eq!((store.epoch(), store.all_events()), before);
    // An earlier use is news too, and another token's address is none of this one.
    let new = telling(&rows[0], 10);
    assert_eq!(store.mark_used(&[new.clone(), telling(&rows[1], 20)]), [rows[0].id]);
    assert_eq!(store.all_events().last(), new.if_new.as_ref());
    assert_eq!(store.all_events().len(), before.1.len() + 1);
    assert_eq!(store.epoch(), before.0);
    let of_token = EventQuery { token: Some(rows[0].id), ..EventQuery::after(0, 9) };
    assert_eq!(store.events(&of_token).last().map(|stored| &stored.event), new.if_new.as_ref());
    // Whoever wants nothing told is told nothing.
    assert_eq!(store.mark_used(&[used(rows[0].id, 30, 1)]), []);
}

pub(super) fn a_known_address_tells_nothing(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    store.mark_used(&[used(row.id, 20, 1), used(row.id, 30, 1)]);
    let before = store.all_events();
    for at in [30, 20, 30] {
        assert_eq!(store.mark_used(&[telling(&row, at)]), []);
    }
    let nowhere = Usage::new(Some(sample::after(50)), None, 1);
    assert_eq!(store.mark_used(&[Use { usage: nowhere, ..telling(&row, 50) }]), []);
    assert_eq!(
        store.mark_used(&[Use { token: sample::record(&row.owner, 9).id, ..telling(&row, 60) }]),
        []
    );
    assert_eq!(store.all_events(), before);
}

pub(super) fn only_the_last_addresses_are_known(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let many = i64::try_from(Use::KNOWN_ADDRESSES).expect("few");
    store.mark_used(&[used(row.id, 1, 1)]);
    for at in 2..=many {
        assert_eq!(store.mark_used(&[telling(&row, at)]), [row.id]);
    }
    assert_eq!(store.mark_used(&[telling(&row, 1)]), [], "as many are known");
    assert_eq!(store.mark_used(&[telling(&row, many + 1)]), [row.id]);
    assert_eq!(store.mark_used(&[telling(&row, 2)]), []);
    assert_eq!(store.mark_used(&[telling(&row, 1)]), [row.id], "the oldest was forgotten");
}

pub(super) fn a_token_is_good_for_so_many_uses(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    for (uses, expected) in [(2, true), (2, true), (2, false), (3, true), (3, false), (1, false)] {
        assert_eq!(store.spend(rows[0].id, times(uses)), expected, "of {uses}");
    }
    assert_eq!(store.row(rows[0].id).spent, 3);
    assert_eq!(store.row(rows[1].id).spent, 0, "another token's");
}

pub(super) fn the_last_use_is_had_once(harness: &Harness<'_>) {
    let store = harness.store();
    let id = store.add(sample::record(&sample::owner(1), 1)).id;
    let had = race(|_| store.spend(id, times(3)));
    assert!(had.len() > 3, "too few to fight for it");
    assert_eq!(had.iter().filter(|had| **had).count(), 3);
    assert_eq!(store.row(id).spent, 3);
}

pub(super) fn what_is_not_active_has_no_use_left(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    store.deactivate(&rows[0]);
    store.revoke(&rows[1]);
    let unknown = sample::record(&sample::owner(1), 9).id;
    for id in [rows[0].id, rows[1].id, unknown] {
        assert!(!store.spend(id, times(5)));
    }
    assert!(store.try_found(unknown).is_none());
    store.set_state(&rows[0], State::Active);
    assert!(store.spend(rows[0].id, times(1)), "a use was spent that nobody had");
}

pub(super) fn a_spent_use_is_no_change_and_stays_spent(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let before = (store.epoch(), store.all_events(), store.owner(&row.owner));
    assert!(store.spend(row.id, times(1)));
    let spent = TokenRecord { spent: 1, ..row };
    assert_same(&store.row(spent.id), &spent);
    assert_eq!((store.epoch(), store.all_events(), store.owner(&spent.owner)), before);
    // Whatever happens to the token, what was spent is.
    store.change(&to_name(&spent, "renamed"));
    store.deactivate(&spent);
    store.set_state(&spent, State::Active);
    store.mark_used(&[used(spent.id, 20, 1)]);
    assert!(!store.spend(spent.id, times(1)));
}

fn times(uses: u32) -> NonZeroU32 {
    NonZeroU32::new(uses).expect("not none")
}

/// A use at this second, from an address that tells which second it was.
fn used(token: TokenId, second: i64, count: u64) -> Use {
    let usage = Usage::new(Some(sample::after(second)), Some(address(second)), count);
    Use::new(token, usage)
}

/// The same, with what to tell if the address is a new one.
fn telling(row: &TokenRecord, second: i64) -> Use {
    let event = sample::event(EventKind::TokenNewAddress, row, sample::after(second));
    used(row.id, second, 1).telling(event)
}

fn address(second: i64) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(second).expect("a small number")])
}
