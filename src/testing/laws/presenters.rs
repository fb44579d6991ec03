//! The token that asks is found live again in the step that does what it asks.

use super::harness::{
    Harness, RACERS, Subject, done, presenting, race, set, stored, to_name, to_revoked, to_standing,
};
use crate::core::change::Presenter;
use crate::core::owner::OwnerStanding;
use crate::core::token::{Expiry, State, TokenRecord};
use crate::ports::store::{Applied, Filter, Insert, Inserted, OwnerChange, OwnerSet};
use crate::testing::sample;

/// Neither an insert nor a change is made for this presenting token.
fn refused(store: &Subject<'_>, presenter: Option<Presenter>) {
    let target = store.add(sample::record(&sample::owner(9), 100 + store.epoch().0));
    let before = store.state(&target.owner);
    let standing_before = store.owner(&sample::owner(8));
    let insert = Insert { presenter, ..sample::insert(sample::record(&sample::owner(9), 1)) };
    let answer = store.insert(insert);
    assert!(matches!(answer, Inserted::PresenterChanged), "{answer:?}");
    let change = to_name(&target, "renamed").presented_by(presenter);
    let answer = store.apply(&change);
    assert!(matches!(answer, Applied::PresenterChanged), "{answer:?}");
    let standing = to_standing(&sample::owner(8), OwnerStanding::Deactivated);
    let at = change.event.at;
    let answer = store.set_owner(&OwnerChange { presenter, at, ..standing });
    assert!(matches!(answer, OwnerSet::PresenterChanged), "{answer:?}");
    assert_eq!(store.owner(&sample::owner(8)), standing_before);
    assert_eq!(store.state(&target.owner), before);
}

fn presenter(store: &Subject<'_>) -> TokenRecord {
    store.add(sample::record(&sample::owner(1), 1))
}

pub(super) fn a_live_presenter_is_accepted(harness: &Harness<'_>) {
    let store = harness.store();
    let mut record = sample::record(&sample::owner(1), 1);
    record.validity.not_before = Some(record.created_at);
    let record = store.add(record);
    let presenter = presenting(&record);
    let insert = Insert { presenter, ..sample::insert(sample::record(&sample::owner(9), 1)) };
    let (target, _) = stored(store.insert(insert));
    done(store.apply(&to_name(&target, "renamed").presented_by(presenter)));
    let standing = to_standing(&sample::owner(8), OwnerStanding::Deactivated);
    set(store.set_owner(&OwnerChange { presenter, ..standing }));
    done(store.apply(&to_name(&record, "renamed itself").presented_by(presenter)));
}

pub(super) fn a_deactivated_presenter_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    let record = presenter(&store);
    refused(&store, presenting(&store.deactivate(&record)));
}

pub(super) fn a_revoked_presenter_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    let record = presenter(&store);
    refused(&store, presenting(&store.revoke(&record)));
}

pub(super) fn a_presenter_that_was_changed_since_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    let record = presenter(&store);
    let changed = store.change(&to_name(&record, "renamed"));
    refused(&store, presenting(&record));
    refused(&store, Some(Presenter { token: record.id, version: changed.version + 1 }));
    let insert = sample::insert(sample::record(&sample::owner(9), 1));
    stored(store.insert(Insert { presenter: presenting(&changed), ..insert }));
}

pub(super) fn an_expired_presenter_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    // The insert is decided at the first instant at which it no longer works.
    let mut record = sample::record(&sample::owner(1), 1);
    record.validity.expires_at = Expiry::At(sample::start());
    refused(&store, presenting(&store.add(record)));
}

pub(super) fn a_presenter_that_is_not_valid_yet_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    let mut record = sample::record(&sample::owner(1), 1);
    record.validity.not_before = Some(sample::after(2));
    refused(&store, presenting(&store.add(record)));
}

pub(super) fn a_presenter_of_an_inactive_owner_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    let record = presenter(&store);
    store.set_standing(&record.owner, OwnerStanding::Deactivated);
    refused(&store, presenting(&record));
    store.set_standing(&record.owner, OwnerStanding::Active);
    let insert = sample::insert(sample::record(&sample::owner(9), 1));
    stored(store.insert(Insert { presenter: presenting(&record), ..insert }));
}

pub(super) fn an_unknown_presenter_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    refused(&store, presenting(&sample::record(&sample::owner(1), 1)));
}

/// The child is either refused, or there in time to be revoked with the token that mints it.
pub(super) fn nothing_is_minted_by_a_token_that_is_revoked_meanwhile(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    for round in 0..4 {
        let parent = store.add(sample::record(&owner, round * 1000));
        let mint = |n| {
            let mut record = sample::record(&owner, round * 1000 + n);
            record.parent = Some(parent.id);
            store.insert(Insert { presenter: presenting(&parent), ..sample::insert(record) })
        };
        race(|n| {
            if n == 0 {
                done(store.apply(&to_revoked(&parent).cascading()));
                return;
            }
            match mint(n) {
                Inserted::Stored(..) | Inserted::PresenterChanged => {}
                other => panic!("{other:?}"),
            }
        });
        assert!(matches!(mint(RACERS as u64), Inserted::PresenterChanged));
        let mut filter = Filter::of_owner(owner.clone());
        filter.parent = Some(parent.id);
        for id in store.ids(&filter) {
            assert!(matches!(store.row(id).state, State::Revoked(_)), "it outlives its parent");
        }
    }
}

/// The same for a token whose owner is deleted: it is refused, or revoked with the others.
pub(super) fn nothing_is_issued_to_an_owner_that_is_deleted_meanwhile(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let owner = sample::owner(round);
        store.add(sample::record(&owner, 100));
        race(|n| {
            if n == 0 {
                store.set_owner(&to_standing(&owner, OwnerStanding::Deleted));
                return;
            }
            match store.insert(sample::insert(sample::record(&owner, n))) {
                Inserted::Stored(..) | Inserted::OwnerNotActive => {}
                other => panic!("{other:?}"),
            }
        });
        let unrevoked = Filter::of_owner(owner).unrevoked();
        assert_eq!(store.ids(&unrevoked), [], "they outlive their owner");
    }
}
