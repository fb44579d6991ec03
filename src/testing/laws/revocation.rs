//! Revoking: of one token, of those that it minted, and of many.

use super::harness::{
    Harness, Subject, assert_same, done, race, stored, to_name, to_none, to_revoked, to_state,
};
use crate::core::change::{Change, Patch, SecretPatch};
use crate::core::digest::Digest;
use crate::core::event::{Actor, EventKind};
use crate::core::id::{Kind, Note, TokenId};
use crate::core::scope::Grant;
use crate::core::token::{Ended, Expiry, State, TokenRecord, Validity};
use crate::ports::store::{Applied, Epoch, Filter, Query};
use crate::testing::sample;

pub(super) fn revoked_tokens_stay_revoked(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let by = Actor::account(sample::owner(2));
    let end = Ended::new(by, Note::new("stolen").ok(), sample::after(1));
    let revoked = store.set_state(&row, State::Revoked(end.clone()));
    assert_eq!(revoked.state, State::Revoked(end));
    let mut other_digest = row.digest.clone();
    other_digest.digest = Digest::from_bytes([7; 32]);
    let secret = SecretPatch {
        issued_at: sample::after(3),
        digest: other_digest,
        binding: row.binding,
        generation: 2,
        previous: None,
        prefix: row.prefix.clone(),
        hint: row.hint.clone(),
    };
    let everything = Patch {
        state: Some(State::Active),
        grant: Some(Grant::Full),
        validity: Some(Validity::new(None, Expiry::Never)),
        secret: Some(secret),
        ..Patch::default()
    };
    let event = sample::event(EventKind::TokenReactivated, &row, sample::after(2));
    let changes = [
        to_state(&row, State::Active),
        to_state(&row, State::Deactivated(sample::ended(2))),
        to_state(&row, State::Revoked(sample::ended(2))).cascading(),
        to_name(&row, "renamed"),
        Change::new(row.id, everything, event),
    ];
    for change in changes {
        for change in [change.clone(), change.expecting(revoked.version)] {
            match store.apply(&change) {
                Applied::Revoked(shown) => assert_same(&shown, &revoked),
                other => panic!("{other:?}"),
            }
            assert_same(&store.row(row.id), &revoked);
        }
    }
}

pub(super) fn a_revocation_wins_every_race(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let row = store.add(sample::record(&sample::owner(1), round));
        assert!(store.is_live(row.id));
        race(|n| {
            if n == 0 {
                done(store.apply(&to_revoked(&row)));
                return;
            }
            for turn in 0..4 {
                let version = store.row(row.id).version;
                let state = if turn % 2 == 0 {
                    State::Deactivated(sample::ended(2))
                } else {
                    State::Active
                };
                let _ = store.apply(&to_state(&row, state).expecting(version));
            }
        });
        assert!(matches!(store.row(row.id).state, State::Revoked(_)), "an edit undid it");
    }
}

/// Eight generations below `root`, each with two tokens of which the first has the next ones.
fn family(store: &Subject<'_>, root: &TokenRecord) -> Vec<TokenRecord> {
    let (mut all, mut parent) = (Vec::new(), root.clone());
    for depth in 1..=8 {
        let eldest = store.add_child(&parent, depth * 10);
        all.push(store.add_child(&parent, depth * 10 + 1));
        all.push(eldest.clone());
        parent = eldest;
    }
    all
}

pub(super) fn a_cascade_revokes_all_that_was_minted(harness: &Harness<'_>) {
    let store = harness.store();
    let root = store.add(sample::record(&sample::owner(1), 0));
    let descendants = family(&store, &root);
    let mut foreign = sample::record(&sample::owner(2), 0);
    foreign.parent = Some(root.id);
    let foreign = store.add(foreign);
    store.deactivate(&descendants[0]);
    let end =
        Ended::new(Actor::account(sample::owner(3)), Note::new("stolen").ok(), sample::after(7));
    let change = to_state(&root, State::Revoked(end.clone())).cascading();
    let (row, epoch, cascaded) = done(store.apply(&change));
    let expected: Vec<_> = descendants.iter().chain([&foreign]).collect();
    assert_eq!(sorted(cascaded), sorted(expected.iter().map(|row| row.id).collect()));
    for old in expected {
        let found = store.found(old.id);
        assert_eq!(found.record.state, State::Revoked(end.clone()));
        assert_eq!(found.record.changed_at, end.at);
        assert!(found.record.version > old.version);
        assert!(found.record.changed_sequence > old.changed_sequence);
        assert_eq!(found.epoch, epoch);
    }
    assert_same(&store.row(root.id), &row);
    assert_eq!(store.all_events().last(), Some(&change.event));
    let rows = store.query(&Query::new(Filter::of_owner(root.owner), 100));
    let mut sequences: Vec<_> = rows.records.iter().map(|row| row.changed_sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), descendants.len() + 1, "each has a sequence of its own");
}

pub(super) fn a_cascade_goes_past_what_is_revoked_already(harness: &Harness<'_>) {
    let store = harness.store();
    let root = store.add(sample::record(&sample::owner(1), 0));
    let child = store.add_child(&root, 1);
    let grandchild = store.add_child(&child, 2);
    let child = store.revoke(&child);
    let (_, _, cascaded) =
        done(store.apply(&to_state(&root, State::Revoked(sample::ended(9))).cascading()));
    assert_eq!(cascaded, [grandchild.id]);
    assert_same(&store.row(child.id), &child);
}

pub(super) fn a_cascade_spares_everybody_else(harness: &Harness<'_>) {
    let store = harness.store();
    let grandparent = store.add(sample::record(&sample::owner(1), 0));
    let parent = store.add_child(&grandparent, 1);
    let spared =
        [store.add_child(&grandparent, 2), store.add(sample::record(&sample::owner(1), 3))];
    let child = store.add_child(&parent, 4);
    let (_, _, cascaded) = done(store.apply(&to_revoked(&parent).cascading()));
    assert_eq!(cascaded, [child.id]);
    [grandparent].iter().chain(&spared).for_each(|row| assert_same(&store.row(row.id), row));
}

pub(super) fn only_a_cascading_revocation_reaches_children(harness: &Harness<'_>) {
    let store = harness.store();
    let parent = store.add(sample::record(&sample::owner(1), 0));
    let child = store.add_child(&parent, 1);
    let deactivation = to_state(&parent, State::Deactivated(sample::ended(1))).cascading();
    for change in [deactivation, to_name(&parent, "renamed").cascading(), to_revoked(&parent)] {
        assert_eq!(done(store.apply(&change)).2, []);
        assert_same(&store.row(child.id), &child);
    }
}

pub(super) fn a_mass_revocation_revokes_what_its_filter_selects(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..4);
    let child = store.add_child(&rows[0], 8);
    let mut session = sample::record(&sample::owner(1), 4);
    session.kind = Kind::session();
    let session = store.add(session);
    let other = store.add(sample::record(&sample::owner(2), 0));
    let revoked = store.revoke(&rows[1]);
    store.deactivate(&rows[2]);
    let filter = Filter::of_owner(sample::owner(1)).of_kind(Kind::personal());
    let mut revocation = to_none(filter);
    revocation.end.why = Note::new("lost laptop").ok();
    revocation.end.at = sample::after(5);
    revocation.except = Some(rows[3].id);
    let answer = store.revoke_all(&revocation);
    assert_eq!(sorted(answer.tokens), sorted(vec![rows[0].id, rows[2].id, child.id]));
    for old in [&rows[0], &rows[2], &child] {
        let found = store.found(old.id);
        assert_eq!(found.record.state, State::Revoked(revocation.end.clone()));
        assert_eq!((found.record.changed_at, found.epoch), (sample::after(5), answer.epoch));
    }
    for spared in [&revoked, &rows[3], &session, &other] {
        assert_same(&store.row(spared.id), spared);
    }
}

pub(super) fn a_mass_revocation_advances_each_version_and_sequence(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..3);
    let other = store.add(sample::record(&sample::owner(2), 0));
    store.revoke_all(&to_none(Filter::default()));
    let mut sequences: Vec<_> = rows.iter().map(|row| store.row(row.id).changed_sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, [4, 5, 6]);
    assert_eq!(store.row(other.id).changed_sequence, 2);
    rows.iter().chain([&other]).for_each(|row| assert_eq!(store.row(row.id).version, 2));
}

pub(super) fn a_mass_revocation_is_one_event_and_one_epoch(harness: &Harness<'_>) {
    let store = harness.store();
    store.add_many(&sample::owner(1), 0..3);
    // The second time there is nothing left to revoke, and still somebody asked for it.
    for expected in [3, 0] {
        let (epoch, events) = (store.epoch(), store.all_events());
        let revocation = to_none(Filter::of_owner(sample::owner(1)));
        let answer = store.revoke_all(&revocation);
        assert_eq!(answer.tokens.len(), expected);
        assert_eq!(answer.epoch, Epoch(epoch.0 + 1));
        assert_eq!(store.epoch(), answer.epoch);
        assert_eq!(store.all_events(), [events, vec![revocation.event]].concat());
    }
}

/// What is inserted at the same time is revoked too, or was inserted afterwards.
pub(super) fn a_mass_revocation_misses_nothing_that_came_before(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let owner = sample::owner(round);
        let first = store.add(sample::record(&owner, 0));
        let outcomes = race(|n| {
            if n == 0 {
                return Err(store.revoke_all(&to_none(Filter::of_owner(owner.clone()))));
            }
            // Several, so that some of them come while the others are being revoked.
            let mine = (n * 10..n * 10 + 4).map(|n| sample::insert(sample::record(&owner, n)));
            Ok(mine.map(|insert| stored(store.insert(insert))).collect::<Vec<_>>())
        });
        let revocation =
            outcomes.iter().find_map(|outcome| outcome.as_ref().err()).expect("one revoked");
        assert!(revocation.tokens.contains(&first.id) && !store.is_live(first.id));
        for (record, epoch) in outcomes.iter().flatten().flatten() {
            let came_before = *epoch < revocation.epoch;
            assert_eq!(came_before, !store.is_live(record.id));
            assert_eq!(came_before, revocation.tokens.contains(&record.id));
        }
    }
}

fn sorted(mut ids: Vec<TokenId>) -> Vec<TokenId> {
    ids.sort_unstable();
    ids
}
