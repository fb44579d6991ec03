//! Epochs: who has seen one has seen every change up to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::harness::{
    Harness, RACERS, Subject, done, race, set, stored, to_name, to_none, to_revoked, to_standing,
};
use crate::core::id::TokenId;
use crate::core::owner::OwnerStanding;
use crate::ports::store::{Epoch, Filter, Touched};
use crate::testing::sample;

/// Makes one mutation of each sort; yields the epoch of each and a token that it touched.
fn mutate(store: &Subject<'_>) -> Vec<(Epoch, TokenId)> {
    let owner = sample::owner(1);
    let (row, inserted) = stored(store.insert(sample::insert(sample::record(&owner, 0))));
    let child = store.add_child(&row, 1);
    let child_inserted = store.epoch();
    let (_, renamed, _) = done(store.apply(&to_name(&row, "renamed")));
    let blocked = set(store.set_owner(&to_standing(&owner, OwnerStanding::Deactivated)));
    let unblocked = set(store.set_owner(&to_standing(&owner, OwnerStanding::Active)));
    let (_, revoked, cascaded) = done(store.apply(&to_revoked(&row).cascading()));
    let other = store.add(sample::record(&sample::owner(2), 0));
    let other_inserted = store.epoch();
    let mass = store.revoke_all(&to_none(Filter::default()));
    let deleted = set(store.set_owner(&to_standing(&owner, OwnerStanding::Deleted)));
    vec![
        (inserted, row.id),
        (child_inserted, child.id),
        (renamed, row.id),
        (blocked.epoch, child.id),
        (unblocked.epoch, row.id),
        (revoked, cascaded[0]),
        (other_inserted, other.id),
        (mass.epoch, other.id),
        (deleted.epoch, row.id),
    ]
}

pub(super) fn every_mutation_advances_the_epoch_by_one(harness: &Harness<'_>) {
    let store = harness.store();
    let Epoch(start) = store.epoch();
    let epochs: Vec<_> = mutate(&store).into_iter().map(|(Epoch(epoch), _)| epoch).collect();
    let expected: Vec<_> = (start + 1..).take(epochs.len()).collect();
    assert_eq!(epochs, expected);
    assert_eq!(Some(&store.epoch().0), epochs.last());
}

pub(super) fn epochs_have_no_gaps_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    let Epoch(start) = store.epoch();
    let mut epochs = race(|n| {
        let owner = sample::owner(u32::try_from(n % 4).expect("few"));
        let (row, inserted) = stored(store.insert(sample::insert(sample::record(&owner, n))));
        let (_, renamed, _) = done(store.apply(&to_name(&row, "renamed")));
        [inserted.0, renamed.0]
    })
    .concat();
    epochs.sort_unstable();
    let expected: Vec<_> = (start + 1..).take(epochs.len()).collect();
    assert_eq!(epochs, expected);
}

pub(super) fn what_changed_after_an_epoch_is_listed_in_order(harness: &Harness<'_>) {
    let store = harness.store();
    let start = store.epoch();
    let mutations = mutate(&store);
    let mut sinces = vec![start];
    sinces.extend(mutations.iter().map(|(epoch, _)| *epoch));
    for since in sinces {
        let listed = store.invalidations(since);
        assert_eq!(listed.epoch, store.epoch());
        let changes = listed.changes.expect("it remembers a few changes");
        assert!(changes.is_sorted_by_key(|(epoch, _)| *epoch), "{changes:?}");
        assert!(changes.iter().all(|(epoch, _)| *epoch > since), "{changes:?} after {since:?}");
        for (epoch, token) in mutations.iter().filter(|(epoch, _)| *epoch > since) {
            let owner = store.row(*token).owner;
            let covers = |touched: &Touched| match touched {
                Touched::Everything => true,
                Touched::Owner(touched) => *touched == owner,
                Touched::Token(touched) => touched == token,
            };
            let listed = changes.iter().any(|(at, touched)| at == epoch && covers(touched));
            assert!(listed, "{token} at {epoch:?} is missing in {changes:?}");
        }
    }
}

pub(super) fn nothing_is_listed_after_the_last_epoch(harness: &Harness<'_>) {
    let store = harness.store();
    for _ in 0..2 {
        let listed = store.invalidations(store.epoch());
        assert_eq!(listed.changes, Some(Vec::new()));
        store.add(sample::record(&sample::owner(1), store.epoch().0));
    }
}

pub(super) fn nothing_is_known_after_an_epoch_to_come(harness: &Harness<'_>) {
    let store = harness.store();
    store.add(sample::record(&sample::owner(1), 1));
    let Epoch(now) = store.epoch();
    for since in [now + 1, now + 1000, i64::MAX as u64] {
        let listed = store.invalidations(Epoch(since));
        assert_eq!((listed.epoch, listed.changes), (Epoch(now), None));
    }
}

pub(super) fn a_look_up_shows_every_change_that_has_returned(harness: &Harness<'_>) {
    let store = harness.store();
    let second_handle = harness.store();
    for (epoch, token) in mutate(&store) {
        assert!(second_handle.found(token).epoch >= epoch);
    }
    race(|n| {
        let mine = store.add(sample::record(&sample::owner(7), n));
        for turn in 0..4 {
            let (row, epoch, _) = done(store.apply(&to_name(&mine, &format!("turn {turn}"))));
            let found = second_handle.found(mine.id);
            assert_eq!(found.record.version, row.version);
            assert!(found.epoch >= epoch);
        }
        store.revoke(&mine);
        assert!(!second_handle.is_live(mine.id), "revoked, and found live");
    });
}

/// Row, owner and epoch of a look-up belong together, whatever is being changed meanwhile.
pub(super) fn a_look_up_is_of_one_snapshot(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let start = store.epoch();
    let (finished, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Not before somebody has looked again, so that looks and changes meet.
    let wait_for_looks = || {
        let seen = looks.load(Ordering::SeqCst);
        let waited = (0..100_000).find(|_| {
            thread::park_timeout(Duration::from_micros(50));
            looks.load(Ordering::SeqCst) > seen
        });
        waited.expect("somebody looks");
    };
    // Each turn renames the token, then turns its owner's standing over: two epochs.
    let outcomes = race(|n| {
        if n > 3 {
            return Vec::new();
        }
        if n > 0 {
            let mut seen = Vec::new();
            while !finished.load(Ordering::SeqCst) {
                seen.push(store.found(row.id));
                looks.fetch_add(1, Ordering::SeqCst);
            }
            return seen;
        }
        // Also where a change fails the law, since the others would look for ever.
        let _finish = OnDrop(|| finished.store(true, Ordering::SeqCst));
        for turn in 0..16 {
            wait_for_looks();
            done(store.apply(&to_name(&row, &format!("turn {turn}"))));
            wait_for_looks();
            let standing =
                if turn % 2 == 0 { OwnerStanding::Deactivated } else { OwnerStanding::Active };
            assert!(store.set_standing(&row.owner, standing).changed);
        }
        Vec::new()
    });
    assert_eq!(outcomes.len(), RACERS);
    for found in outcomes.into_iter().flatten() {
        let passed = found.epoch.0 - start.0;
        assert_eq!(found.record.version, 1 + passed.div_ceil(2), "at {passed}");
        let is_active = (passed / 2).is_multiple_of(2);
        assert_eq!(found.owner.standing == OwnerStanding::Active, is_active, "at {passed}");
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
