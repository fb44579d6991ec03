//! Changing a token by compare-and-set.

use std::net::IpAddr;

use super::harness::{
    Harness, assert_same, by_digest, done, presenting, race, to_name, to_revoked, to_state,
};
use crate::core::change::{Change, Patch, Presenter, SecretPatch};
use crate::core::constraints::Constraints;
use crate::core::digest::{Digest, DigestScheme, StoredDigest};
use crate::core::event::{Actor, EventKind};
use crate::core::id::{KeyId, Note, ScopeName, TokenName};
use crate::core::scope::Grant;
use crate::core::time::LATEST;
use crate::core::token::{Ended, Expiry, Previous, State, Usage, Validity};
use crate::ports::store::{Applied, Use};
use crate::testing::sample;

pub(super) fn a_change_sets_what_it_names_and_nothing_else(harness: &Harness<'_>) {
    let store = harness.store();
    let mut record = sample::record(&sample::owner(1), 1);
    record.note = Note::new("a note").expect("a note");
    record.usage = Usage::new(Some(sample::after(9)), IpAddr::from([192, 0, 2, 1]).into(), 4);
    record.previous = Some(Previous::new(digest(8), sample::after(50)));
    record.bypasses_two_factor = true;
    record.constraints =
        Constraints::from_addresses(vec!["192.0.2.0/24".parse().expect("a network")]);
    let mut row = store.add(record);
    let end =
        Ended::new(Actor::account(sample::owner(2)), Note::new("lost").ok(), sample::after(2));
    let scope = ScopeName::new("nobody:knows").expect("a scope name");
    let other = store.add(sample::record(&sample::owner(1), 2));
    let patches = [
        Patch { state: Some(State::Deactivated(end)), ..Patch::default() },
        Patch { state: Some(State::Active), ..Patch::default() },
        Patch { name: TokenName::new("Zoë’s 🔑").ok(), ..Patch::default() },
        Patch { note: Some(Note::default()), ..Patch::default() },
        Patch { grant: Some(Grant::Full), ..Patch::default() },
        Patch { grant: Grant::only([scope]), ..Patch::default() },
        Patch { validity: Some(Validity::new(None, Expiry::Never)), ..Patch::default() },
        Patch {
            validity: Some(Validity::new(Some(sample::after(1)), Expiry::At(LATEST))),
            ..Patch::default()
        },
        Patch { constraints: Some(Constraints::default()), ..Patch::default() },
        Patch { bypasses_two_factor: Some(false), ..Patch::default() },
        secret(7, Some(Previous::new(digest(6), sample::after(60)))),
        secret(5, None),
    ];
    for (n, patch) in (10..).zip(patches) {
        let event = sample::event(EventKind::TokenEdited, &row, sample::after(n));
        let mut expected = row.clone();
        patch.apply(&mut expected, event.at);
        expected.version = row.version + 1;
        // The other token took a sequence of its own after this one's insertion.
        expected.changed_sequence = row.changed_sequence.max(other.changed_sequence) + 1;
        let change = Change::new(row.id, patch, event).expecting(row.version);
        row = store.change(&change);
        assert_same(&row, &expected);
        assert_same(&store.row(row.id), &expected);
    }
    assert_same(&store.row(other.id), &other);
}

pub(super) fn a_change_advances_version_and_sequence_by_one(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = store.add_many(&sample::owner(1), 0..2);
    store.add_many(&sample::owner(2), 0..3);
    for turn in 0..4 {
        let row = store.change(&to_name(&rows[turn % 2], &format!("turn {turn}")));
        assert_eq!(row.version, 2 + turn as u64 / 2);
        assert_eq!(row.changed_sequence, 3 + turn as u64);
        assert_eq!(store.row(row.id).changed_sequence, row.changed_sequence);
    }
}

pub(super) fn the_time_of_the_last_change_never_goes_back(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    for (at, expected) in [(20, 20), (10, 20), (30, 30)] {
        let mut change = to_name(&row, &format!("at {at}"));
        change.event.at = sample::after(at);
        assert_eq!(store.change(&change).changed_at, sample::after(expected));
    }
}

pub(super) fn a_change_of_another_version_is_a_conflict(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(sample::record(&sample::owner(1), 1));
    let row = store.change(&to_name(&first, "renamed").expecting(1));
    for version in [0, 1, 3] {
        match store.apply(&to_name(&first, "never").expecting(version)) {
            Applied::Conflict(shown) => assert_same(&shown, &row),
            other => panic!("{other:?}"),
        }
        assert_same(&store.row(row.id), &row);
    }
    done(store.apply(&to_name(&first, "again").expecting(2)));
}

pub(super) fn a_change_of_an_unknown_token_is_missing(harness: &Harness<'_>) {
    let store = harness.store();
    let unknown = sample::record(&sample::owner(1), 1);
    for change in [to_name(&unknown, "never"), to_revoked(&unknown).cascading()] {
        assert!(matches!(store.apply(&change), Applied::Missing));
    }
    assert!(store.try_found(unknown.id).is_none());
}

/// Everything speaks against it at first; then one reason after the other is taken away.
pub(super) fn a_change_is_refused_for_the_first_reason(harness: &Harness<'_>) {
    let store = harness.store();
    let record = sample::record(&sample::owner(1), 1);
    let stale = Some(Presenter { token: record.id, version: 9 });
    let change = to_name(&record, "never").expecting(9).presented_by(stale);
    assert!(matches!(store.apply(&change), Applied::Missing));
    let row = store.add(record);
    assert!(matches!(store.apply(&change), Applied::Conflict(_)));
    let change = change.expecting(1);
    assert!(matches!(store.apply(&change), Applied::PresenterChanged));
    let revoked = store.revoke(&row);
    assert!(matches!(store.apply(&change.expecting(9)), Applied::Revoked(_)));
    assert_same(&store.row(row.id), &revoked);
}

pub(super) fn a_refused_change_changes_nothing(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let rows = store.add_many(&owner, 0..2);
    let revoked = store.revoke(&rows[1]);
    let before = store.state(&owner);
    let refused = [
        to_name(&rows[0], "never").expecting(9),
        to_name(&rows[0], "never").presented_by(presenting(&revoked)),
        to_name(&revoked, "never"),
        to_name(&sample::record(&owner, 9), "never"),
    ];
    for change in refused {
        let answer = store.apply(&change);
        assert!(!matches!(answer, Applied::Done { .. }), "{answer:?}");
        assert_eq!(store.state(&owner), before, "after {answer:?}");
    }
    assert_eq!(store.change(&to_name(&rows[0], "renamed")).changed_sequence, 4);
}

pub(super) fn one_of_many_changes_of_a_version_is_made(harness: &Harness<'_>) {
    let store = harness.store();
    for round in 0..4 {
        let row = store.add(sample::record(&sample::owner(1), round));
        let answers = race(|n| store.apply(&to_name(&row, &format!("name {n}")).expecting(1)));
        let made: Vec<_> = answers.iter().filter_map(made_name).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        let now = store.row(row.id);
        assert_eq!((now.version, &now.name), (2, &made[0]));
    }
}

fn made_name(answer: &Applied) -> Option<TokenName> {
    match answer {
        Applied::Done { record, .. } => Some(record.name.clone()),
        Applied::Conflict(_) => None,
        other => panic!("{other:?}"),
    }
}

pub(super) fn deactivation_says_by_whom_why_and_when_and_can_be_undone(harness: &Harness<'_>) {
    let store = harness.store();
    let first = store.add(sample::record(&sample::owner(1), 1));
    let from = IpAddr::from([192, 0, 2, 1]);
    let usage = Usage::new(Some(sample::after(1)), Some(from), 1);
    store.mark_used(&[Use::new(first.id, usage)]);
    let by = Actor::with_token(sample::owner(2), first.id);
    let end = Ended::new(by, Note::new("on leave").ok(), sample::after(2));
    let blocked = store.set_state(&first, State::Deactivated(end.clone()));
    assert_eq!(blocked.state, State::Deactivated(end));
    assert_same(&store.row(first.id), &blocked);
    let mut expected = first.clone();
    (expected.usage, expected.version, expected.changed_sequence) = (usage, 3, 3);
    expected.changed_at = sample::after(2);
    let back = store.change(&to_state(&blocked, State::Active).expecting(2));
    assert_same(&back, &expected);
    assert_same(&store.row(first.id), &expected);
}

pub(super) fn a_rotated_token_is_found_by_its_new_digest_only(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let patch = secret(7, Some(Previous::new(row.digest.clone(), sample::after(60))));
    let event = sample::event(EventKind::TokenRotated, &row, sample::after(1));
    let rotated = store.change(&Change::new(row.id, patch, event).expecting(1));
    assert!(store.find(&by_digest(&row)).is_none(), "found by the replaced digest");
    assert_same(&store.find(&by_digest(&rotated)).expect("it is found").record, &rotated);
}

pub(super) fn a_digest_is_found_with_its_scheme_and_key_only(harness: &Harness<'_>) {
    let store = harness.store();
    let key = |id: &str| KeyId::new(id).ok();
    let digest = Digest::from_bytes([7; 32]);
    let mut row = sample::record(&sample::owner(1), 1);
    row.digest = StoredDigest::new(DigestScheme::Text, key("k1"), digest);
    let row = store.add(row);
    assert_eq!(store.find(&by_digest(&row)).expect("it is found").record.id, row.id);
    for (scheme, key) in [
        (DigestScheme::Native, key("k1")),
        (DigestScheme::Text, key("k2")),
        (DigestScheme::Text, None),
    ] {
        let mut other = row.clone();
        other.digest = StoredDigest::new(scheme, key, digest);
        assert!(store.find(&by_digest(&other)).is_none(), "{:?}", other.digest);
    }
}

pub(super) fn sequences_follow_commits_under_contention(harness: &Harness<'_>) {
    let store = harness.store();
    let owner = sample::owner(1);
    let rows = store.add_many(&owner, 0..4);
    let changes = race(|n| {
        let row = &rows[n as usize % rows.len()];
        let (row, epoch, _) = done(store.apply(&to_name(row, &format!("name {n}"))));
        (epoch, row.changed_sequence)
    });
    let mut sequences = changes;
    sequences.sort_unstable();
    let sequences: Vec<u64> = sequences.into_iter().map(|(_, sequence)| sequence).collect();
    let expected: Vec<u64> = (5..).take(sequences.len()).collect();
    assert_eq!(sequences, expected, "in the order of epochs");
}

fn digest(byte: u8) -> StoredDigest {
    StoredDigest::new(DigestScheme::Native, None, Digest::from_bytes([byte; 32]))
}

fn secret(byte: u8, previous: Option<Previous>) -> Patch {
    let secret = SecretPatch {
        issued_at: sample::after(3),
        digest: StoredDigest::new(DigestScheme::Text, KeyId::new("k2").ok(), digest(byte).digest),
        binding: digest(byte + 1).digest,
        generation: byte.into(),
        previous,
        prefix: "other".into(),
        hint: "abcdef".into(),
    };
    Patch { secret: Some(secret), ..Patch::default() }
}
