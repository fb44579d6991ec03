//! What is written is what is read, field by field.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::harness::{Harness, assert_same, by_digest};
use crate::core::constraints::Constraints;
use crate::core::digest::{Digest, DigestScheme, StoredDigest};
use crate::core::event::Actor;
use crate::core::id::{KeyId, Kind, Note, OwnerId, ScopeName, TokenName};
use crate::core::rate::Rate;
use crate::core::scope::Grant;
use crate::core::time::LATEST;
use crate::core::token::{Ended, Expiry, Previous, State, TokenRecord, Usage, Validity};
use crate::ports::store::{Filter, Query};
use crate::testing::sample;

/// Writes a sample with these changes, reads it back each way, and compares every field.
fn survives(harness: &Harness<'_>, edits: &[&dyn Fn(&mut TokenRecord)]) {
    let store = harness.store();
    for (n, edit) in edits.iter().enumerate() {
        let mut written = sample::record(&sample::owner(1), n as u64);
        edit(&mut written);
        let returned = store.add(written.clone());
        written.number = returned.number;
        written.changed_sequence = returned.changed_sequence;
        written.version = 1;
        assert_same(&returned, &written);
        assert_same(&store.row(written.id), &written);
        assert_same(&store.find(&by_digest(&written)).expect("it is found").record, &written);
        let page = store.query(&Query::new(Filter::of_owner(written.owner.clone()), 100));
        let listed =
            page.records.iter().find(|listed| listed.id == written.id).expect("it is listed");
        assert_same(listed, &written);
    }
}

pub(super) fn texts_survive(harness: &Harness<'_>) {
    survives(
        harness,
        &[
            &|r| {
                r.name = name(
                    "Zoë’s 🔑 \u{202e}\u{1f9d1}\u{200d}\u{1f680} '; DROP TABLE tokens; -- %_\\\"`{}",
                )
            },
            &|r| r.name = name(&"é".repeat(127)),
            &|r| r.name = TokenName::default(),
            &|r| r.name = name(" spaces at both ends "),
            &|r| r.prefix = "other".into(),
            &|r| r.hint = "Zz09aA".into(),
        ],
    );
}

pub(super) fn notes_survive(harness: &Harness<'_>) {
    survives(
        harness,
        &[&|r| r.note = note("line\r\nline\n\ttab 🔑"), &|r| r.note = note(&"ü".repeat(2048))],
    );
}

pub(super) fn owners_and_kinds_survive(harness: &Harness<'_>) {
    survives(
        harness,
        &[
            &|r| r.owner = OwnerId::new("ö".repeat(127) + "x").expect("an owner id of 255 bytes"),
            &|r| r.owner = OwnerId::new("@müller:chat.example/'\"\\%").expect("an owner id"),
            &|r| r.kind = Kind::session(),
            &|r| {
                r.kind =
                    Kind::new("a_kind_with_thirty_two_characters".get(..32).unwrap_or_default())
                        .expect("a kind")
            },
        ],
    );
}

pub(super) fn instants_survive_to_the_microsecond(harness: &Harness<'_>) {
    let odd = "2031-02-28T23:59:59.123457Z".parse::<DateTime<Utc>>().expect("an instant");
    survives(
        harness,
        &[
            &|r| r.validity.expires_at = Expiry::At(LATEST),
            &|r| r.validity.expires_at = Expiry::At(odd),
            &|r| r.created_at = odd,
            &|r| r.changed_at = odd,
            &|r| (r.created_at, r.changed_at) = (DateTime::UNIX_EPOCH, LATEST),
        ],
    );
}

pub(super) fn a_life_without_end_survives(harness: &Harness<'_>) {
    survives(harness, &[&|r| r.validity.expires_at = Expiry::Never]);
}

pub(super) fn a_first_valid_instant_survives(harness: &Harness<'_>) {
    let odd = sample::after(3600) + chrono::TimeDelta::microseconds(1);
    survives(
        harness,
        &[
            &|r| r.validity.not_before = Some(odd),
            &|r| r.validity = Validity::new(Some(DateTime::UNIX_EPOCH), Expiry::Never),
            &|r| r.validity.not_before = Some(LATEST - chrono::TimeDelta::microseconds(1)),
        ],
    );
}

pub(super) fn grants_survive(harness: &Harness<'_>) {
    let longest = "x".repeat(128);
    let only = |names: &[&str]| {
        let names = names.iter().map(|name| ScopeName::new(*name).expect("a scope name"));
        Grant::only(names).expect("at least one scope")
    };
    survives(
        harness,
        &[&|r| r.grant = Grant::Full, &|r| r.grant = only(&["write", "read"]), &|r| {
            r.grant = only(&[
                "read",
                "a:scope,that@nobody:knows{any}more",
                "READ",
                "Read",
                &longest,
                "full",
                "*",
            ])
        }],
    );
}

pub(super) fn constraints_survive(harness: &Harness<'_>) {
    let from = |networks: &[&str]| {
        let parse = |text: &&str| text.parse::<IpNet>().expect("a network");
        Constraints::from_addresses(networks.iter().map(parse).collect())
    };
    survives(
        harness,
        &[
            &|r| r.constraints = from(&["192.0.2.0/24"]),
            &|r| {
                r.constraints = from(&["2001:db8::/32", "203.0.113.7/32", "::1/128", "0.0.0.0/0"]);
            },
            &|r| r.constraints = from(&[]).at_rate(Rate::new(1_000, 60).expect("a rate")),
            &|r| {
                r.constraints = from(&["192.0.2.0/24"]).for_uses(NonZeroU32::MAX);
                r.spent = u32::MAX - 1;
            },
        ],
    );
}

pub(super) fn digests_survive(harness: &Harness<'_>) {
    let key = || Some(KeyId::new("key-2026_1").expect("a key id"));
    let digest = |byte| Digest::from_bytes([byte; 32]);
    survives(
        harness,
        &[
            &|r| r.digest = StoredDigest::new(DigestScheme::Native, key(), digest(0)),
            &|r| r.digest = StoredDigest::new(DigestScheme::Text, None, digest(0xff)),
            &|r| r.digest = StoredDigest::new(DigestScheme::Text, key(), digest(0x80)),
            &|r| r.binding = digest(7),
        ],
    );
}

pub(super) fn generations_of_secrets_survive(harness: &Harness<'_>) {
    let replaced = |key| StoredDigest::new(DigestScheme::Text, key, Digest::from_bytes([9; 32]));
    let ends_at = sample::after(60) + chrono::TimeDelta::microseconds(1);
    survives(
        harness,
        &[
            &|r| r.generation = 7,
            &|r| r.generation = 0x7fff_ffff,
            &|r| r.secret_issued_at = sample::after(60) + chrono::TimeDelta::microseconds(1),
            &|r| r.previous = Some(Previous::new(replaced(None), ends_at)),
            &|r| r.previous = Some(Previous::new(replaced(KeyId::new("k").ok()), ends_at)),
        ],
    );
}

pub(super) fn creators_survive(harness: &Harness<'_>) {
    let other = sample::record(&sample::owner(2), 0).id;
    survives(
        harness,
        &[&|r| r.creator = Actor::account(sample::owner(2)), &|r| {
            r.creator = Actor::with_token(sample::owner(2), other)
        }],
    );
}

pub(super) fn parents_survive(harness: &Harness<'_>) {
    let parent = harness.store().add(sample::record(&sample::owner(2), 0)).id;
    survives(harness, &[&|r| r.parent = Some(parent)]);
}

pub(super) fn states_survive(harness: &Harness<'_>) {
    let by = || Actor::with_token(sample::owner(2), sample::record(&sample::owner(2), 0).id);
    let at = sample::after(5) + chrono::TimeDelta::microseconds(1);
    survives(
        harness,
        &[
            &|r| r.state = State::Deactivated(Ended::new(by(), Some(note("left\nthe office")), at)),
            &|r| r.state = State::Deactivated(Ended::new(Actor::host(), None, at)),
            &|r| r.state = State::Revoked(Ended::new(by(), Some(note("")), at)),
            &|r| r.state = State::Revoked(Ended::new(Actor::account(sample::owner(3)), None, at)),
        ],
    );
}

pub(super) fn the_right_to_bypass_survives(harness: &Harness<'_>) {
    survives(harness, &[&|r| r.bypasses_two_factor = true]);
}

pub(super) fn an_imported_tokens_usage_survives(harness: &Harness<'_>) {
    let at = Some(sample::after(9) + chrono::TimeDelta::microseconds(1));
    let from = |text: &str| text.parse::<IpAddr>().ok();
    survives(
        harness,
        &[
            &|r| r.usage = Usage::new(at, from("2001:db8::1"), 3),
            &|r| r.usage = Usage::new(at, from("192.0.2.1"), 0x7fff_ffff_ffff),
            &|r| r.usage = Usage::new(at, None, 1),
        ],
    );
}

fn name(text: &str) -> TokenName {
    TokenName::new(text).expect("a token name")
}

fn note(text: &str) -> Note {
    Note::new(text).expect("a note")
}
