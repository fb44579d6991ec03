//! The list of what happened.

use super::harness::{
    Harness, Subject, done, race, stored, to_name, to_none, to_revoked, to_standing, to_state,
};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::id::Note;
use crate::core::owner::OwnerStanding;
use crate::core::time::LATEST;
use crate::core::token::State;
use crate::ports::store::{EventQuery, Filter, Query, StoredEvent};
use crate::testing::sample;

pub(super) fn every_mutation_appends_its_event(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let mut expected = Vec::new();
    let insert = sample::insert(sample::record(&owner, 0));
    expected.push(insert.event.clone());
    let (row, _) = stored(store.insert(insert));
    let changes = [
        to_name(&row, "renamed"),
        to_state(&row, State::Deactivated(sample::ended(2))),
        to_state(&row, State::Active),
        to_revoked(&row).cascading(),
    ];
    for change in changes {
        done(store.apply(&change));
        expected.push(change.event);
    }
    let revocation = to_none(Filter::default());
    store.revoke_all(&revocation);
    expected.push(revocation.event);
    for standing in [OwnerStanding::Deactivated, OwnerStanding::Active, OwnerStanding::Deleted] {
        let change = to_standing(&owner, standing);
        store.set_owner(&change);
        expected.push(change.event);
    }
    assert_eq!(store.all_events(), expected);
}

pub(super) fn every_field_of_an_event_survives(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 0));
    let at = sample::after(5) + chrono::TimeDelta::microseconds(1);
    let by = Actor::with_token(sample::owner(2), row.id);
    let why = || Note::new("Zoë’s\nlaptop 🔑").ok();
    let events = [
        Event::new(EventKind::TokenEdited, by, at).about(row.id, row.owner.clone()).because(why()),
        Event::new(EventKind::TokenNarrowed, Actor::account(sample::owner(3)), LATEST)
            .about(row.id, row.owner.clone()),
        Event::new(EventKind::TokenLeaked, Actor::host(), at).about_owner(row.owner.clone()),
        Event::new(EventKind::TokenRotated, Actor::host(), at).because(Some(Note::default())),
    ];
    for event in events {
        let mut change = to_name(&row, "renamed");
        change.event = event.clone();
        done(store.apply(&change));
        assert_eq!(store.all_events().last(), Some(&event));
    }
}

pub(super) fn events_are_listed_in_the_order_of_commits(harness: &Harness<'_>) {
    let store = harness.store();
    let mut commits = race(|n| {
        let owner = sample::owner(u32::try_from(n).expect("few"));
        let (row, inserted) = stored(store.insert(sample::insert(sample::record(&owner, n))));
        let (_, revoked, _) = done(store.apply(&to_revoked(&row)));
        [(inserted, row.id, EventKind::TokenIssued), (revoked, row.id, EventKind::TokenRevoked)]
    })
    .concat();
    commits.sort_unstable_by_key(|(epoch, ..)| *epoch);
    let expected: Vec<_> = commits.into_iter().map(|(_, id, kind)| (Some(id), kind)).collect();
    let listed: Vec<_> = store.all_events().iter().map(|event| (event.token, event.kind)).collect();
    assert_eq!(listed, expected);
}

pub(super) fn events_of_one_token_or_owner_are_listed_apart(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    let other = store.add(sample::record(&sample::owner(2), 0));
    store.change(&to_name(&rows[0], "renamed"));
    store.set_standing(&sample::owner(1), OwnerStanding::Deactivated);
    let of = |token, owner| {
        let mut query = EventQuery::after(0, 100);
        (query.token, query.owner) = (token, owner);
        store.events(&query).into_iter().map(|stored| stored.event).collect::<Vec<_>>()
    };
    let all = store.all_events();
    let pick = |numbers: &[usize]| numbers.iter().map(|n| all[*n].clone()).collect::<Vec<_>>();
    assert_eq!(of(Some(rows[0].id), None), pick(&[0, 3]));
    assert_eq!(of(Some(other.id), None), pick(&[2]));
    assert_eq!(of(None, Some(sample::owner(1))), pick(&[0, 1, 3, 4]));
    assert_eq!(of(Some(rows[1].id), Some(sample::owner(1))), pick(&[1]));
    assert_eq!(of(Some(other.id), Some(sample::owner(1))), []);
}

pub(super) fn events_are_read_on_from_where_one_stopped(harness: &Harness<'_>) {
    let store = harness.store();
    add_events(&store, 25);
    let all = store.events(&EventQuery::after(0, 100));
    assert_eq!(all.len(), 25);
    assert!(all.is_sorted_by(|earlier, later| earlier.sequence < later.sequence));
    let (mut read, mut after): (Vec<StoredEvent>, u64) = (Vec::new(), 0);
    loop {
        let next = store.events(&EventQuery::after(after, 4));
        assert!(next.len() <= 4 && next.iter().all(|stored| stored.sequence > after));
        let Some(last) = next.last() else {
            break;
        };
        after = last.sequence;
        read.extend(next);
    }
    assert_eq!(read, all);
}

pub(super) fn a_list_of_events_has_one_to_a_thousand(harness: &Harness<'_>) {
    let store = harness.store();
    add_events(&store, Query::LARGEST_PAGE.into());
    add_events(&store, 1);
    assert_eq!(store.events(&EventQuery::after(0, 0)).len(), 1);
    let largest = store.events(&EventQuery::after(0, u32::MAX));
    assert_eq!(largest.len(), Query::LARGEST_PAGE as usize);
}

fn add_events(store: &Subject<'_>, count: u64) {
    let row = store.add(sample::record(&sample::owner(1), store.epoch().0));
    for n in 1..count {
        store.change(&to_name(&row, &format!("name {n}")));
    }
}
