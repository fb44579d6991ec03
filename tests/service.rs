//! What the service promises, over a store in memory: revocation above all.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use async_trait::async_trait;
use chrono::TimeDelta;
use common::{Detour, Way};
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::Digest;
use keyfob::core::lifecycle::revoke;
use keyfob::core::rotation::may_take_over;
use keyfob::ports::clock::Clock as _;
use keyfob::ports::store::{EventQuery, Filter, Found, Lookup, Query, StoreError, TokenStore};
use keyfob::service::error::{ChangeFailure, IssueFailure};
use keyfob::testing::{
    ManualClock, ManualTimer, RecordingSink, SeededRandomness, block_on, sample,
};
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, EventKind, Expiry, Grant, IdempotencyKey,
    IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, Lifetime, Minting, Narrowing, OwnerId,
    Policy, ReadWrite, Refusal, Rotation, Rules, Shape, State, TokenId, TokenName, TokenRecord,
    Tokens, Verified,
};

const SHAPES: [Shape; 3] = [Shape::MATTERMOST, Shape::ROCKET_CHAT, Shape::ZITADEL];

// Revocation.

#[test]
fn what_a_narrowing_change_took_is_refused_everywhere_once_it_returned() {
    for taking in Taking::ALL {
        let service = Service::new(sample::rules());
        for round in 0..40 {
            let (text, id) = service.issue(owner(1));
            assert_eq!(service.verdict_writing(&text), Ok(()));
            // Odd while the change has not returned.
            let stage = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let mut after = 0;
                        while after < 20 {
                            let returned = stage.load(Ordering::SeqCst) == 1;
                            let verdict = service.verdict_writing(&text);
                            assert!(verdict.is_err() || !returned, "{taking:?}, round {round}");
                            after += u64::from(returned);
                        }
                    });
                }
                taking.from(&service, id);
                stage.store(1, Ordering::SeqCst);
            });
            taking.give_back(&service);
        }
    }
}

#[test]
fn a_row_that_was_read_before_a_change_is_not_indexed_after_it() {
    for taking in Taking::ALL {
        let service = Service::new(sample::rules());
        let (text, id) = service.issue(owner(1));
        let access = Access::needing(&ReadWrite::Write);
        service.fate.hold_after("find");
        let mut slow = pin!(service.tokens.authenticate(&text, &access));
        assert!(poll(slow.as_mut()).is_pending());
        taking.from(&service, id);
        service.fate.release();
        // It began before the change and may be accepted; it may not be remembered.
        let _ = block_on(slow);
        assert!(service.tokens.authenticate_now(&text, &access).is_none(), "{taking:?}");
        assert!(service.verdict_writing(&text).is_err(), "{taking:?}");
    }
}

#[test]
fn a_row_that_is_read_during_a_change_is_forgotten_when_it_returns() {
    for taking in Taking::ALL {
        let service = Service::new(sample::rules());
        let (text, id) = service.issue(owner(1));
        let _ = service.verdict(&text);
        service.fate.hold_before(taking.method());
        {
            let mut change = pin!(taking.future(&service, id));
            assert!(poll(change.as_mut()).is_pending());
            // The store has not changed yet, so this is right.
            assert_eq!(service.verdict_writing(&text), Ok(()), "{taking:?}");
            service.fate.release();
            block_on(change);
        }
        assert!(service.verdict_writing(&text).is_err(), "{taking:?}");
    }
}

#[test]
fn a_change_whose_end_nobody_heard_of_is_known_within_the_bound() {
    let dropped = |service: &Service, taking: Taking, id| {
        service.fate.hold_after(taking.method());
        let mut change = pin!(taking.future(service, id));
        assert!(poll(change.as_mut()).is_pending());
        service.fate.release();
    };
    let failed = |service: &Service, taking: Taking, id| {
        service.fate.fail_after(taking.method());
        assert!(!block_on(taking.future(service, id)), "{taking:?}");
    };
    for (taking, is_dropped) in
        Taking::ALL.into_iter().flat_map(|taking| [(taking, false), (taking, true)])
    {
        let service = Service::new(sample::rules());
        let (text, id) = service.issue(owner(1));
        assert_eq!(service.verdict_writing(&text), Ok(()));
        if is_dropped {
            dropped(&service, taking, id);
        } else {
            failed(&service, taking, id);
        }
        service.clock.advance(TimeDelta::seconds(2));
        assert!(service.verdict_writing(&text).is_err(), "{taking:?}");
    }
}

#[test]
fn a_revocation_ends_what_the_token_has_minted_in_the_index_too() {
    let service = Service::new(policy(|personal| personal.minting = Minting::Within));
    let (parent, id) = service.issue(owner(1));
    let verified = service.accepted(&parent);
    let request = || IssueRequest::new(owner(1), Grant::Full);
    let minted = block_on(service.tokens.issue(request(), By::token(&verified))).unwrap();
    let (child, slow) =
        (minted.0, block_on(service.tokens.issue(request(), By::token(&verified))).unwrap().0);
    assert_eq!(service.verdict(child.expose_secret()), Ok(()));
    let access = Access::<ReadWrite>::any();
    service.fate.hold_after("find");
    let mut reading = pin!(service.tokens.authenticate(slow.expose_secret(), &access));
    assert!(poll(reading.as_mut()).is_pending());
    block_on(service.tokens.revoke(id, By::Host(&Actor::host()), None)).unwrap();
    service.fate.release();
    let _ = block_on(reading);
    for text in [&parent, child.expose_secret(), slow.expose_secret()] {
        assert!(service.tokens.authenticate_now(text, &access).is_none());
        assert_eq!(service.verdict(text), Err("revoked"));
    }
    let again = block_on(service.tokens.issue(request(), By::token(&verified)));
    assert_eq!(again.unwrap_err().code(), "revoked");
}

#[test]
fn a_token_that_is_being_issued_does_not_escape_its_owners_deactivation() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let by = By::Host(&host);
    let request = || IssueRequest::new(owner(1), Grant::Full);

    service.fate.hold_before("insert");
    let mut issuing = pin!(service.tokens.issue(request(), by));
    assert!(poll(issuing.as_mut()).is_pending());
    block_on(service.tokens.deactivate_owner(&owner(1), by, None)).unwrap();
    service.fate.release();
    assert_eq!(block_on(issuing).unwrap_err().code(), "owner_not_active");

    block_on(service.tokens.reactivate_owner(&owner(1), by)).unwrap();
    service.fate.hold_after("insert");
    let mut issuing = pin!(service.tokens.issue(request(), by));
    assert!(poll(issuing.as_mut()).is_pending());
    block_on(service.tokens.deactivate_owner(&owner(1), by, None)).unwrap();
    service.fate.release();
    let (secret, _) = block_on(issuing).unwrap();
    assert_eq!(service.verdict(secret.expose_secret()), Err("owner_deactivated"));
    block_on(service.tokens.reactivate_owner(&owner(1), by)).unwrap();
    assert_eq!(service.verdict(secret.expose_secret()), Ok(()));
}

#[test]
fn an_owner_who_comes_back_from_the_dead_inherits_nothing() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let (text, id) = service.issue(owner(1));
    let verified = service.accepted(&text);
    block_on(service.tokens.delete_owner(&owner(1), By::Host(&host), None)).unwrap();
    block_on(service.tokens.reactivate_owner(&owner(1), By::Host(&host))).unwrap();
    assert_eq!(service.verdict(&text), Err("revoked"));
    let by_ghost = block_on(
        service.tokens.issue(IssueRequest::new(owner(1), Grant::Full), By::token(&verified)),
    );
    assert_eq!(by_ghost.unwrap_err().code(), "revoked");
    let again = block_on(service.tokens.reactivate(id, By::Host(&host)));
    assert_eq!(again.unwrap_err().code(), "revoked");
    let (new, _) = service.issue(owner(1));
    assert_eq!(service.verdict(&new), Ok(()));
}

// Rotation.

#[test]
fn a_replaced_secret_works_through_the_index_until_its_overlap_ends() {
    let service = Service::new(sample::rules());
    let (old, id) = service.issue(owner(1));
    let (new, row) = service.rotate(id, 60);
    assert_eq!(row.generation, 2);
    let access = Access::<ReadWrite>::any();
    for (text, generation) in [(&old, 1), (&new, 2)] {
        assert_eq!(service.accepted(text).generation(), generation);
        let hit = service.tokens.authenticate_now(text, &access).unwrap().unwrap();
        assert_eq!(hit.generation(), generation);
    }
    assert_eq!(service.tokens.index_size().0, 2);
    service.clock.advance(TimeDelta::seconds(60) - TimeDelta::microseconds(1));
    // The lease is over: one question is about all that is indexed.
    let finds = service.fate.calls("find");
    assert_eq!(service.verdict(&new), Ok(()));
    assert!(service.tokens.authenticate_now(&old, &access).unwrap().is_ok());
    assert_eq!(service.fate.calls("find"), finds);
    service.clock.advance(TimeDelta::microseconds(1));
    assert!(service.tokens.authenticate_now(&old, &access).is_none());
    assert_eq!(service.verdict(&old), Err("superseded"));
    assert!(service.tokens.authenticate_now(&new, &access).unwrap().is_ok());
}

#[test]
fn evidence_of_a_replaced_secret_asks_for_nothing_once_its_overlap_ended() {
    let service = Service::new(sample::rules());
    let (old, id) = service.issue(owner(1));
    service.rotate(id, 60);
    let verified = service.accepted(&old);
    service.clock.advance(TimeDelta::seconds(60));
    let denied = block_on(service.tokens.reactivate(id, By::token(&verified)));
    assert_eq!(denied.unwrap_err().code(), "superseded");
}

#[test]
fn each_use_of_a_superseded_secret_is_told_once() {
    let service = Service::new(sample::rules());
    let (first, id) = service.issue(owner(1));
    let (second, _) = service.rotate(id, 0);
    let _ = service.heard.take();
    assert_eq!(service.verdict(&first), Err("superseded"));
    let heard = service.heard.take();
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].kind, heard[0].token), (EventKind::TokenReused, Some(id)));
    // Two generations back it is a wrong secret like any other.
    service.rotate(id, 0);
    let _ = service.heard.take();
    assert_eq!(service.verdict(&first), Err("wrong_secret"));
    assert!(service.heard.take().is_empty());
    assert_eq!(service.verdict(&second), Err("superseded"));
}

// Keys.

#[test]
fn a_use_moves_a_row_to_the_current_key_and_goes_on_working() {
    for old in [Keyring::new(key("k1")), Keyring::unkeyed()] {
        let service = Service::new(with_keyring(old.clone()));
        let (text, id) = service.issue(owner(1));
        let both = match old.is_current(&service.row(id).digest) {
            true if service.row(id).digest.key.is_some() => {
                Keyring::new(key("k2")).with_previous(key("k1"))
            }
            _ => Keyring::new(key("k2")).with_previous_unkeyed(),
        };
        let moving = service.with(with_keyring(both));
        for _ in 0..3 {
            assert_eq!(moving.verdict(&text), Ok(()));
        }
        let row = service.row(id);
        assert_eq!(row.digest.key.as_ref().map(KeyId::as_str), Some("k2"));
        assert_eq!((row.version, row.generation), (2, 1));
        assert_eq!(service.with(with_keyring(Keyring::new(key("k2")))).verdict(&text), Ok(()));
        assert_eq!(service.with(with_keyring(old)).verdict(&text), Err("store_unavailable"));
    }
}

#[test]
fn a_move_to_another_key_that_fails_harms_nobody() {
    let service = Service::new(with_keyring(Keyring::new(key("k1"))));
    let (text, id) = service.issue(owner(1));
    let moving = service.with(with_keyring(Keyring::new(key("k2")).with_previous(key("k1"))));
    moving.fate.fail_before("apply");
    assert_eq!(moving.verdict(&text), Ok(()));
    assert_eq!(service.row(id).version, 1);
}

#[test]
fn a_key_that_is_missing_is_no_verdict() {
    let service = Service::new(with_keyring(Keyring::new(key("k1"))));
    let (text, id) = service.issue(owner(1));
    let lacking = service.with(with_keyring(Keyring::new(key("k2"))));
    assert_eq!(lacking.verdict(&text), Err("store_unavailable"));
    assert_eq!(lacking.verdict_strict(&text), Err("store_unavailable"));
    let host = Actor::host();
    let found = block_on(lacking.tokens.find(id, By::Host(&host)));
    assert_eq!(found.unwrap_err().code(), "store_unavailable");
}

#[test]
fn the_sink_hears_of_every_event_that_the_store_has() {
    let service = Service::new(with_keyring(Keyring::new(key("k1"))));
    let (text, id) = service.issue(owner(1));
    let host = Actor::host();
    let by = By::Host(&host);
    let moving = service.with(with_keyring(Keyring::new(key("k2")).with_previous(key("k1"))));
    assert_eq!(moving.verdict(&text), Ok(()));
    block_on(async {
        let tokens = &moving.tokens;
        tokens.edit(id, Some(TokenName::new("new").unwrap()), None, by).await.unwrap();
        tokens.deactivate(id, by, None).await.unwrap();
        tokens.reactivate(id, by).await.unwrap();
        let _ = tokens.rotate(id, Rotation::at_once(), by).await.unwrap();
        let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
        tokens.narrow(id, &narrowing, by).await.unwrap();
        tokens.deactivate_owner(&owner(1), by, None).await.unwrap();
        tokens.reactivate_owner(&owner(1), by).await.unwrap();
        tokens.revoke(id, by, None).await.unwrap();
        tokens.revoke_all_of(&owner(1), None, by, None).await.unwrap();
        tokens.delete_owner(&owner(1), by, None).await.unwrap();
    });
    let stored = block_on(moving.tokens.events(&EventQuery::after(1, 100))).unwrap();
    let stored: Vec<_> = stored.into_iter().map(|stored| stored.event).collect();
    assert_eq!(moving.heard.take(), stored);
}

// Rows that are not what they were.

#[test]
fn a_row_that_was_tampered_with_is_trouble_and_never_accepted() {
    let spoilers: [(&str, SpoilRow); 8] = [
        ("id", |row| row.id = TokenId::from_bytes([9; 16])),
        ("realm", |row| row.realm = sample::realm()),
        ("owner", |row| row.owner = owner(2)),
        ("owner generation", |row| row.owner_generation = 2),
        ("kind", |row| row.kind = Kind::session()),
        ("digest", |row| row.digest.digest = flipped(row.digest.digest)),
        ("previous digest", |row| {
            let previous = row.previous.as_mut().unwrap();
            previous.digest.digest = flipped(previous.digest.digest);
        }),
        ("binding", |row| row.binding = flipped(row.binding)),
    ];
    for (what, spoil) in spoilers {
        let service = Service::new(with_keyring(Keyring::new(key("k1"))));
        let (_, id) = service.issue(owner(1));
        let (text, _) = service.rotate(id, 60);
        service.fate.spoil(Box::new(move |found| spoil(&mut found.record)));
        for _ in 0..2 {
            assert_eq!(service.verdict(&text), Err("store_corrupt"), "{what}");
        }
        assert_eq!(service.verdict_strict(&text), Err("store_corrupt"), "{what}");
        assert_eq!(service.tokens.index_size().0, 0);
        let host = Actor::host();
        let found = block_on(service.tokens.rotate(id, Rotation::at_once(), By::Host(&host)));
        assert_eq!(found.unwrap_err().code(), "store_corrupt", "{what}");
    }
}

#[test]
fn a_row_in_the_place_of_another_opens_nothing() {
    let service = Service::new(with_keyring(Keyring::new(key("k1"))));
    let (poor, poor_id) = service.issue_granting(owner(1), Grant::only([ReadWrite::Read]).unwrap());
    let (rich, rich_id) = service.issue(owner(2));
    let (poor_row, rich_row) = (service.row(poor_id), service.row(rich_id));
    // As it stands, and with the id that it is looked for by.
    for id in [rich_id, poor_id] {
        let mut row = rich_row.clone();
        row.id = id;
        let moved = row.clone();
        service.fate.spoil(Box::new(move |found| *found.record = moved.clone()));
        assert!(service.verdict(&poor).is_err());
        // Its digest, too.
        let mut mixed = row;
        mixed.digest = poor_row.digest.clone();
        service.fate.spoil(Box::new(move |found| *found.record = mixed.clone()));
        assert!(service.verdict(&poor).is_err());
    }
    service.fate.spoil(Box::new(|_| ()));
    assert_eq!(service.verdict(&rich), Ok(()));
}

#[test]
fn a_store_in_trouble_is_no_verdict() {
    let service = Service::new(sample::rules());
    let (indexed, id) = service.issue(owner(1));
    let (other, _) = service.issue(owner(1));
    assert_eq!(service.verdict(&indexed), Ok(()));
    for method in ["find", "insert", "apply", "owner", "set_owner", "revoke_all", "query", "events"]
    {
        service.fate.fail_before(method);
    }
    assert_eq!(service.verdict(&other), Err("store_unavailable"));
    assert_eq!(service.verdict_strict(&indexed), Err("store_unavailable"));
    // What is known to be live stays so: nothing can have revoked it.
    assert_eq!(service.verdict(&indexed), Ok(()));
    let host = Actor::host();
    let by = By::Host(&host);
    let issued = block_on(service.tokens.issue(IssueRequest::new(owner(1), Grant::Full), by));
    assert!(matches!(issued, Err(IssueFailure::Unavailable(StoreError::Unavailable(_)))));
    let revoked = block_on(service.tokens.revoke(id, by, None));
    assert!(matches!(revoked, Err(ChangeFailure::Unavailable(_))));
    assert!(block_on(service.tokens.report_leaked(&indexed)).is_err());
    assert!(block_on(service.tokens.deactivate_owner(&owner(1), by, None)).is_err());
    // Nothing was made. Once it cannot be shown any more that nobody else has made something
    // either, it is no verdict.
    assert_eq!(service.verdict(&indexed), Ok(()));
    service.fate.fail_before("invalidations");
    service.clock.advance(TimeDelta::seconds(2));
    assert_eq!(service.verdict(&indexed), Err("store_unavailable"));
}

// Who may do what.

#[test]
fn evidence_of_another_service_is_worth_nothing() {
    let (here, there) = (Service::new(sample::rules()), Service::new(sample::rules()));
    let (_, id) = here.issue(owner(1));
    let (text, _) = there.issue(owner(1));
    let foreign = there.accepted(&text);
    let tokens = &here.tokens;
    assert_eq!(tokens.owner_of(&foreign), None);
    assert_eq!(tokens.kind_of(&foreign), None);
    assert_eq!(tokens.grant_of(&foreign), None);
    assert!(!tokens.bypasses_two_factor(&foreign));
    assert_eq!(
        tokens.permits(&foreign, &ReadWrite::Read, &Grant::Full),
        Err(Refusal::ScopeMissing)
    );
    for by in [By::token(&foreign), By::administrator(&foreign)] {
        let issued = block_on(tokens.issue(IssueRequest::new(owner(1), Grant::Full), by));
        assert_eq!(issued.unwrap_err().code(), "unknown");
        let revoked = block_on(tokens.revoke(id, by, None));
        assert_eq!(revoked.unwrap_err().code(), "unknown");
        let rotated = block_on(tokens.rotate(id, Rotation::at_once(), by));
        assert_eq!(rotated.unwrap_err().code(), "unknown");
        let freed = block_on(tokens.reactivate_owner(&owner(1), by));
        assert_eq!(freed.unwrap_err().code(), "unknown");
    }
    let found = block_on(tokens.find(id, By::token(&foreign)));
    assert_eq!(found.unwrap_err().code(), "not_found");
    assert_eq!(here.row(id).version, 1);
}

#[test]
fn the_tokens_of_others_are_as_if_they_did_not_exist() {
    let service = Service::new(sample::rules());
    let (text, own) = service.issue_session(owner(1));
    let (_, foreign) = service.issue(owner(2));
    let number = service.row(foreign).number;
    let verified = service.accepted(&text);
    let unknown = TokenId::from_bytes([9; 16]);
    let tried = |by: By<'_>, id: TokenId, number: u64, of: &OwnerId| -> Vec<String> {
        let tokens = &service.tokens;
        block_on(async {
            let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
            let name = Some(TokenName::new("mine").unwrap());
            vec![
                said(tokens.find(id, by).await),
                said(tokens.find_by_number(number, by).await),
                said(tokens.edit(id, name, None, by).await),
                said(tokens.narrow(id, &narrowing, by).await),
                said(tokens.rotate(id, Rotation::at_once(), by).await),
                said(tokens.deactivate(id, by, None).await),
                said(tokens.reactivate(id, by).await),
                said(tokens.revoke(id, by, None).await),
                said(tokens.revoke_all_of(of, None, by, None).await),
                said(tokens.deactivate_owner(of, by, None).await),
                said(tokens.reactivate_owner(of, by).await),
                said(tokens.delete_owner(of, by, None).await),
            ]
        })
    };
    let by_number_nobody_has = 1_000_000;
    let of_others = tried(By::token(&verified), foreign, number, &owner(2));
    let of_nobody = tried(By::token(&verified), unknown, by_number_nobody_has, &owner(3));
    assert_eq!(of_others, of_nobody);
    assert!(of_others.iter().all(|said| said.contains("not_found")), "{of_others:?}");
    assert_eq!(service.row(foreign).version, 1);
    // An administrator reaches them.
    let done = tried(By::administrator(&verified), foreign, number, &owner(2));
    assert!(done.iter().all(|said| said == "done"), "{done:?}");
    assert_eq!(service.row(own).version, 1);
}

#[test]
fn a_token_that_mints_nothing_gets_no_secret_by_rotating_another() {
    let service = Service::new(sample::rules());
    let read = Grant::only([ReadWrite::Read]).unwrap();
    let (stolen, stolen_id) = service.issue_granting(owner(1), read);
    let (_, rich_id) = service.issue(owner(1));
    let verified = service.accepted(&stolen);
    let by = By::token(&verified);
    let rotated = block_on(service.tokens.rotate(rich_id, Rotation::at_once(), by));
    assert!(rotated.is_err(), "a token for reading got the secret of one for everything");
    let longer = Rotation::at_once().living(Lifetime::For(TimeDelta::days(300)));
    let rotated = block_on(service.tokens.rotate(stolen_id, longer, by));
    assert!(rotated.is_err(), "a token made itself a successor that outlives it");
    // Its own secret, for the life that it has, it may renew.
    assert!(block_on(service.tokens.rotate(stolen_id, Rotation::at_once(), by)).is_ok());
}

#[test]
fn a_minted_token_does_not_outlive_its_parent_by_rotation() {
    let service = Service::new(policy(|personal| personal.minting = Minting::Within));
    let (text, _) = service.issue(owner(1));
    let verified = service.accepted(&text);
    let request = IssueRequest::new(owner(1), Grant::Full);
    let (_, child) = block_on(service.tokens.issue(request, By::token(&verified))).unwrap();
    let longer = Rotation::at_once().living(Lifetime::For(TimeDelta::days(300)));
    let host = Actor::host();
    let rotated = block_on(service.tokens.rotate(child.id, longer, By::Host(&host)));
    assert_eq!(rotated.unwrap_err().code(), "outlives_parent");
    // The default is cut, as it is when a token is minted.
    let default = Rotation::at_once().living(Lifetime::Default);
    let (_, row) = block_on(service.tokens.rotate(child.id, default, By::Host(&host))).unwrap();
    assert_eq!(row.validity, child.validity);
}

#[test]
fn a_rotated_token_lives_as_long_as_its_new_expiry_says() {
    let service = Service::new(sample::rules());
    let (_, id) = service.issue(owner(1));
    service.clock.advance(TimeDelta::days(80));
    let longer = Rotation::at_once().living(Lifetime::For(TimeDelta::days(366)));
    let host = Actor::host();
    let (secret, row) = block_on(service.tokens.rotate(id, longer, By::Host(&host))).unwrap();
    let end = row.validity.expires_at.at().unwrap();
    service.clock.set(end - TimeDelta::microseconds(1));
    assert_eq!(service.verdict(secret.expose_secret()), Ok(()));
}

#[test]
fn a_token_does_not_wake_one_that_may_do_more() {
    let service = Service::new(sample::rules());
    let read = Grant::only([ReadWrite::Read]).unwrap();
    let (stolen, stolen_id) = service.issue_granting(owner(1), read);
    let (_, full_id) = service.issue(owner(1));
    let host = Actor::host();
    block_on(service.tokens.deactivate(full_id, By::Host(&host), None)).unwrap();
    let verified = service.accepted(&stolen);
    let refused = block_on(service.tokens.reactivate(full_id, By::token(&verified)));
    assert_eq!(refused.unwrap_err().code(), "minting_forbidden");
    assert!(block_on(service.tokens.reactivate(stolen_id, By::token(&verified))).is_ok());
}

#[test]
fn a_token_gets_no_bypass_and_no_wider_networks_out_of_another() {
    let rules = sample::rules();
    let mut parent = sample::record(&owner(1), 1);
    let mut child = sample::record(&owner(1), 2);
    child.parent = Some(parent.id);
    let mut within = KindPolicy::personal();
    within.minting = Minting::Within;
    let policy = Policy::default().with_kind(parent.kind.clone(), within);
    let rules = rules.with_policy(policy);
    let judge = |parent: &TokenRecord, child: &TokenRecord| {
        may_take_over::<ReadWrite>(parent, child, &rules).map_err(|error| error.code())
    };
    assert_eq!(judge(&parent, &child), Ok(()));
    child.bypasses_two_factor = true;
    assert_eq!(judge(&parent, &child), Err("bypass_not_proved"));
    child.bypasses_two_factor = false;
    parent.constraints = Constraints::from_addresses(vec!["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(judge(&parent, &child), Err("constraints_exceeded"));
    child.constraints = parent.constraints.clone();
    child.validity.expires_at = Expiry::Never;
    assert_eq!(judge(&parent, &child), Err("outlives_parent"));
    child.parent = None;
    assert_eq!(judge(&parent, &child), Err("minting_forbidden"));
}

#[test]
fn revoking_what_the_store_knows_as_revoked_ends_it_in_the_index_too() {
    let service = Service::new(sample::rules());
    let (secret, id) = service.issue(owner(1));
    let host = Actor::host();
    assert_eq!(service.verdict(&secret), Ok(()));
    let row = block_on(service.tokens.find(id, By::Host(&host))).unwrap();
    // Behind the service's back, as another process does it.
    let change = revoke(&row, Actor::host(), None, service.clock.now()).unwrap();
    block_on(service.tokens.store().apply(&change)).unwrap();
    block_on(service.tokens.revoke(id, By::Host(&host), None)).unwrap();
    assert!(service.verdict(&secret).is_err());
}

#[test]
fn asking_for_what_is_so_already_changes_nothing() {
    let service = Service::new(sample::rules());
    let (_, id) = service.issue(owner(1));
    let host = Actor::host();
    let before = block_on(service.tokens.find(id, By::Host(&host))).unwrap();
    let mut nothing = Narrowing::<ReadWrite>::to_grant(Grant::Full);
    nothing.require_two_factor = true;
    let (name, note) = (Some(before.name.clone()), Some(before.note.clone()));
    let amended = block_on(service.tokens.amend(id, name, note, &nothing, By::Host(&host)));
    assert_eq!(amended.unwrap().version, before.version);
}

// Leaks.

#[test]
fn a_leaked_secret_ends_its_token_and_counts_as_no_use() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let leaked = |text: &str| block_on(service.tokens.report_leaked(text)).unwrap();

    let (current, id) = service.issue(owner(1));
    let _ = service.heard.take();
    assert!(leaked(&current));
    let kinds: Vec<_> = service.heard.take().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::TokenLeaked, EventKind::TokenRevoked]);
    assert_eq!(service.verdict(&current), Err("revoked"));
    let State::Revoked(end) = service.row(id).state else { panic!("not revoked") };
    // Dead already: it stays as it is.
    service.clock.advance(TimeDelta::seconds(1));
    assert!(leaked(&current));
    assert_eq!(service.row(id).state, State::Revoked(end));

    let (previous, id) = service.issue(owner(1));
    let (next, _) = service.rotate(id, 60);
    assert!(leaked(&previous), "it still opens what the next one does");
    assert_eq!(service.verdict(&next), Err("revoked"));

    let (deactivated, id) = service.issue(owner(1));
    block_on(service.tokens.deactivate(id, By::Host(&host), None)).unwrap();
    assert!(leaked(&deactivated));
    assert_eq!(service.row(id).state.name(), "revoked");

    block_on(service.tokens.flush_usage()).unwrap();
    let page = block_on(service.store.query(&Query::new(Filter::default(), 100))).unwrap();
    assert!(page.records.iter().all(|row| row.usage.last_at.is_none() && row.usage.count == 0));
}

#[test]
fn a_leaked_secret_that_was_rotated_away_does_not_end_what_took_its_place() {
    let service = Service::new(sample::rules());
    let leaked = |text: &str| block_on(service.tokens.report_leaked(text)).unwrap();

    let (previous, id) = service.issue(owner(1));
    let (next, _) = service.rotate(id, 60);
    service.clock.advance(TimeDelta::seconds(60));
    let version = service.row(id).version;
    let _ = service.heard.take();
    assert!(leaked(&previous), "it was a token's secret");
    assert!(service.heard.take().is_empty());
    assert_eq!(service.row(id).version, version);
    assert_eq!(service.verdict(&next), Ok(()));

    let (twice, _) = service.rotate(id, 0);
    assert!(!leaked(&previous), "nobody knows it any more");
    assert!(leaked(&next), "replaced at once");
    assert_eq!(service.verdict(&twice), Ok(()));
    assert!(leaked(&twice));
    assert_eq!(service.verdict(&twice), Err("revoked"));
}

#[test]
fn a_text_that_is_no_secret_ends_nothing() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue(owner(1));
    // Another service's tokens have the same form, and other secrets.
    let elsewhere = Service::new(sample::rules());
    let (unknown, _) = elsewhere.issue(owner(1));
    let wrong = with_another_secret(&text);
    for text in ["", "sample_", "hello", &text[..text.len() - 1], &unknown, &wrong] {
        assert!(!block_on(service.tokens.report_leaked(text)).unwrap(), "{text}");
    }
    assert_eq!(service.verdict(&wrong), Err("wrong_secret"));
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(service.row(id).version, 1);
}

// Issuing.

#[test]
fn a_key_issues_one_token_however_often_it_is_sent() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let issue = |number: u32, key: &str| {
        let mut request = IssueRequest::new(owner(number), Grant::Full);
        request.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
        block_on(service.tokens.issue(request, By::Host(&host)))
    };
    let (_, row) = issue(1, "a").unwrap();
    for _ in 0..3 {
        assert!(matches!(issue(1, "a"), Err(IssueFailure::AlreadyIssued(id)) if id == row.id));
    }
    assert!(issue(1, "b").is_ok());
    assert!(issue(2, "a").is_ok());
    // Whoever was not told finds out.
    service.fate.fail_after("insert");
    assert!(issue(1, "c").is_err());
    service.fate.heal();
    let Err(IssueFailure::AlreadyIssued(id)) = issue(1, "c") else { panic!("issued twice") };
    assert_eq!(service.row(id).owner, owner(1));
}

#[test]
fn a_quota_counts_what_is_neither_revoked_nor_expired() {
    let service = Service::new(policy(|personal| personal.quota = Some(3)));
    let host = Actor::host();
    let by = By::Host(&host);
    let issue = |number, seconds| {
        let request = IssueRequest::new(owner(number), Grant::Full);
        let request = request.expires_in(TimeDelta::seconds(seconds));
        block_on(service.tokens.issue(request, by)).map(|(_, row)| row.id)
    };
    let first = issue(1, 100).unwrap();
    let second = issue(1, 100).unwrap();
    issue(1, 10).unwrap();
    assert!(matches!(issue(1, 100), Err(IssueFailure::QuotaReached)));
    assert!(issue(2, 100).is_ok());
    service.issue_session(owner(1));
    service.clock.advance(TimeDelta::seconds(10));
    issue(1, 100).unwrap();
    assert!(matches!(issue(1, 100), Err(IssueFailure::QuotaReached)));
    block_on(service.tokens.deactivate(first, by, None)).unwrap();
    assert!(matches!(issue(1, 100), Err(IssueFailure::QuotaReached)));
    block_on(service.tokens.revoke(second, by, None)).unwrap();
    issue(1, 100).unwrap();
}

#[test]
fn a_quota_holds_against_callers_who_ask_at_once() {
    let service = Service::new(policy(|personal| personal.quota = Some(10)));
    let issued = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let request = IssueRequest::new(owner(1), Grant::Full);
                    let by = Actor::host();
                    let made = block_on(service.tokens.issue(request, By::Host(&by)));
                    issued.fetch_add(u64::from(made.is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(issued.into_inner(), 10);
}

#[test]
fn a_name_is_unique_where_that_is_asked_for() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let issue = |number, name: &str, unique| {
        let mut request = IssueRequest::new(owner(number), Grant::Full);
        request.name = TokenName::new(name).unwrap();
        request.unique_name = unique;
        block_on(service.tokens.issue(request, By::Host(&host))).map(|(_, row)| row.id)
    };
    let first = issue(1, "backup", true).unwrap();
    assert!(matches!(issue(1, "backup", true), Err(IssueFailure::NameTaken)));
    assert!(issue(1, "Backup", true).is_ok());
    assert!(issue(2, "backup", true).is_ok());
    block_on(service.tokens.revoke(first, By::Host(&host), None)).unwrap();
    assert!(issue(1, "backup", true).is_ok());
    assert!(issue(1, "backup", false).is_ok());
    assert!(issue(1, "backup", false).is_ok());
}

#[test]
fn all_tokens_of_an_owner_end_except_the_one_that_is_spared() {
    let service = Service::new(sample::rules());
    let texts: Vec<_> = (0..5).map(|_| service.issue(owner(1))).collect();
    let (others, _) = service.issue(owner(2));
    for (text, _) in &texts {
        assert_eq!(service.verdict(text), Ok(()));
    }
    let verified = service.accepted(&texts[2].0);
    let by = By::token(&verified);
    let ended = block_on(service.tokens.revoke_all_of(&owner(1), Some(verified.id()), by, None));
    assert_eq!(ended.unwrap(), 4);
    for (number, (text, _)) in texts.iter().enumerate() {
        let expected = if number == 2 { Ok(()) } else { Err("revoked") };
        assert_eq!(service.verdict(text), expected);
    }
    assert_eq!(service.verdict(&others), Ok(()));
    let ended = block_on(service.tokens.revoke_all_of(&owner(1), None, by, None));
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(service.verdict(&texts[2].0), Err("revoked"));
}

// Use.

#[test]
fn a_use_is_recorded_once_a_minute_with_the_address_of_the_last() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue(owner(1));
    let used = |last: u8| {
        let access = Access::<ReadWrite>::any().from(Some(address(last)));
        block_on(service.tokens.authenticate(&text, &access)).map(drop).unwrap();
    };
    let usage = || {
        block_on(service.tokens.flush_usage()).unwrap();
        service.row(id).usage
    };
    used(1);
    assert_eq!(service.row(id).usage.last_at, None);
    let first = usage();
    assert_eq!(
        (first.last_at, first.last_from, first.count),
        (Some(sample::start()), Some(address(1)), 1)
    );
    for second in 1..60 {
        service.clock.set(sample::after(second));
        used(2);
    }
    assert_eq!(usage(), first);
    service.clock.set(sample::after(60));
    used(3);
    service.clock.set(sample::after(61));
    used(4);
    let second = usage();
    assert_eq!(
        (second.last_at, second.last_from, second.count),
        (Some(sample::after(60)), Some(address(3)), 2)
    );
    assert_eq!(service.row(id).version, 1);
}

#[test]
fn a_refused_call_is_no_use() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue_granting(owner(1), Grant::only([ReadWrite::Read]).unwrap());
    let used = |service: &Service| {
        block_on(service.tokens.flush_usage()).unwrap();
        service.row(id).usage.count
    };
    assert_eq!(service.verdict_writing(&text), Err("scope_missing"));
    assert_eq!(used(&service), 0);
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(used(&service), 1);
    service.clock.advance(TimeDelta::seconds(100));
    assert_eq!(service.verdict_writing(&text), Err("scope_missing"));
    assert_eq!(used(&service), 1);
    // Nor does it take the place of one.
    assert_eq!(service.verdict(&text), Ok(()));
    assert_eq!(used(&service), 2);
}

#[test]
fn uses_that_could_not_be_written_are_kept_for_the_next_time() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue(owner(1));
    service.fate.fail_before("mark_used");
    assert_eq!(service.verdict(&text), Ok(()));
    assert!(block_on(service.tokens.flush_usage()).is_err());
    assert_eq!(service.verdict(&text), Ok(()));
    service.fate.heal();
    block_on(service.tokens.flush_usage()).unwrap();
    assert_eq!(service.row(id).usage.last_at, Some(sample::start()));
}

#[test]
fn a_use_from_a_new_address_is_told_of_once() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue(owner(1));
    let _ = service.heard.take();
    let use_from = |last: u8| {
        service.clock.advance(TimeDelta::seconds(60));
        let access = Access::any().from(Some(IpAddr::from([192, 0, 2, last])));
        let _ = block_on(service.tokens.authenticate(&text, &access)).unwrap();
        block_on(service.tokens.flush_usage())
    };
    for last in [1, 1] {
        use_from(last).unwrap();
    }
    service.fate.fail_before("mark_used");
    assert!(use_from(2).is_err());
    service.fate.heal();
    for last in [2, 1, 2] {
        use_from(last).unwrap();
    }
    let heard = service.heard.take();
    let [event] = &heard[..] else { unreachable!("{heard:?}") };
    assert_eq!(event.kind, EventKind::TokenNewAddress);
    assert_eq!((event.token, event.owner.clone()), (Some(id), Some(owner(1))));
    assert_eq!(event.by, Actor::with_token(owner(1), id));
    assert_eq!(event.why.as_ref().unwrap().as_str(), "192.0.2.2");
    assert_eq!(event.at, sample::after(240), "when it was used from there last");
    let stored = block_on(service.tokens.events(&EventQuery::after(0, 100))).unwrap();
    assert_eq!(stored.iter().filter(|stored| stored.event == *event).count(), 1);
}

#[test]
fn upkeep_writes_uses_down_every_five_seconds() {
    let service = Service::new(sample::rules());
    let (text, id) = service.issue(owner(1));
    assert_eq!(service.verdict(&text), Ok(()));
    let timer = Arc::new(ManualTimer::new(&service.clock));
    let mut upkeep = pin!(service.tokens.clone().upkeep(timer));
    assert!(poll(upkeep.as_mut()).is_pending());
    service.clock.advance(TimeDelta::seconds(4));
    assert!(poll(upkeep.as_mut()).is_pending());
    assert_eq!(service.row(id).usage.count, 0);
    service.clock.advance(TimeDelta::seconds(1));
    assert!(poll(upkeep.as_mut()).is_pending());
    assert_eq!(service.row(id).usage.count, 1);
}

#[test]
fn a_token_that_another_service_uses_is_not_idle() {
    let idle = || policy(|personal| personal.idle_limit = Some(TimeDelta::hours(1)));
    let here = Service::new(idle());
    let there = here.with(idle());
    let (text, _) = here.issue(owner(1));
    assert_eq!(here.verdict(&text), Ok(()));
    here.clock.set(sample::after(3599));
    assert_eq!(there.verdict(&text), Ok(()));
    block_on(there.tokens.flush_usage()).unwrap();
    here.clock.set(sample::after(3600));
    assert_eq!(here.verdict(&text), Ok(()));
    // What was noticed here and not yet written down counts too.
    here.clock.set(sample::after(3600 + 3599));
    assert_eq!(here.verdict(&text), Ok(()));
    here.clock.set(sample::after(3600 + 3599 + 3599));
    assert_eq!(there.verdict(&text), Err("idle"));
    assert_eq!(here.verdict(&text), Ok(()));
    assert_eq!(there.verdict(&text), Ok(()));
    here.clock.set(sample::after(20_000));
    assert_eq!(here.verdict(&text), Err("idle"));
    assert_eq!(here.verdict_strict(&text), Err("idle"));
}

#[test]
fn an_idle_token_is_not_refused_while_the_store_cannot_be_asked() {
    let service = Service::new(policy(|personal| personal.idle_limit = Some(TimeDelta::hours(1))));
    let (text, _) = service.issue(owner(1));
    assert_eq!(service.verdict(&text), Ok(()));
    service.clock.set(sample::after(3600));
    service.fate.fail_before("mark_used");
    assert_eq!(service.verdict(&text), Err("store_unavailable"));
}

#[test]
fn an_address_decides_in_the_index_as_in_the_store() {
    let service = Service::new(sample::rules());
    let host = Actor::host();
    let mut request = IssueRequest::new(owner(1), Grant::Full);
    request.constraints = Constraints::from_addresses(vec!["192.0.2.0/24".parse().unwrap()]);
    let (secret, _) = block_on(service.tokens.issue(request, By::Host(&host))).unwrap();
    let text = secret.expose_secret();
    for round in 0..3 {
        for (from, expected) in [
            (Some(address(7)), Ok(())),
            (Some("::ffff:192.0.2.7".parse().unwrap()), Ok(())),
            (Some([192, 0, 3, 7].into()), Err("address_not_allowed")),
            (Some("2001:db8::1".parse().unwrap()), Err("address_not_allowed")),
            (None, Err("address_not_allowed")),
        ] {
            let access = Access::<ReadWrite>::any().from(from);
            let verdict = class(block_on(service.tokens.authenticate(text, &access)));
            assert_eq!(verdict, expected, "{from:?} in round {round}");
            let strict = class(block_on(service.tokens.authenticate_strict(text, &access)));
            assert_eq!(strict, expected, "{from:?} in round {round}");
        }
    }
}

// The index.

#[test]
fn a_token_in_the_index_is_known_by_its_own_text_alone() {
    for keyring in [Keyring::unkeyed(), Keyring::new(key("k1"))] {
        let service = Service::new(with_keyring(keyring));
        let (text, _) = service.issue(owner(1));
        assert_eq!(service.verdict(&text), Ok(()));
        assert_eq!(service.verdict(&with_another_secret(&text)), Err("wrong_secret"));
        let prefix = text.find('_').unwrap();
        for place in 0..text.len() {
            let (before, rest) = text.split_at(place);
            let (own, after) = rest.split_at(1);
            for other in ["_", "-", " ", "\0", "~", "a", "b", "y", "9", "A", "Z"] {
                let verdict = service.verdict(&format!("{before}{other}{after}"));
                let expected = if place <= prefix { "not_ours" } else { "malformed" };
                assert_eq!(
                    verdict.err(),
                    (other != own).then_some(expected),
                    "{other:?} at {place}"
                );
            }
            assert!(service.verdict(&format!("{before}{after}")).is_err(), "without {place}");
            assert!(
                service.verdict(&format!("{before}{own}{own}{after}")).is_err(),
                "{place} twice"
            );
        }
        assert_eq!(service.verdict(&text), Ok(()));
    }
}

#[test]
fn every_way_to_ask_says_the_same_of_a_text() {
    /// `None` if only the store can tell.
    type Way = fn(&Service, &str) -> Option<Result<(), &'static str>>;
    const WAYS: [Way; 3] = [
        |service, text| Some(service.verdict(text)),
        |service, text| service.tokens.authenticate_now(text, &Access::any()).map(class),
        |service, text| {
            let calls = [(text, Access::any()); 2];
            let verdicts = block_on(service.tokens.authenticate_many(&calls));
            let [one, other] = <[_; 2]>::try_from(verdicts).unwrap().map(class);
            assert_eq!(one, other);
            Some(one)
        },
    ];
    // What is found in the store at first, and then in the index.
    for (shapes, way) in [&[][..], &SHAPES].into_iter().flat_map(|s| WAYS.map(|way| (s, way))) {
        let mut rules = sample::rules();
        rules.format = shapes.iter().fold(rules.format, |format, shape| format.reading(*shape));
        let service = Service::new(rules);
        let (live, _) = service.issue(owner(1));
        let (revoked, id) = service.issue(owner(1));
        let _ = service.accepted(&revoked);
        block_on(service.tokens.revoke(id, By::Host(&Actor::host()), None)).unwrap();
        let (body, last) = live.split_at(live.len() - 1);
        let like_a_product = |length: usize| format!("sample_{}", "b".repeat(length - 7));
        let texts = [
            live.clone(),
            revoked,
            with_another_secret(&live),
            // With a checksum that is right: no symbol of an id, and none of a secret.
            with_changed(&live, "sample_".len(), 'l'),
            with_changed(&live, live.len() - 7, '-'),
            format!("{body}{}", if last == "a" { "b" } else { "a" }),
            body.to_owned(),
            format!("{live}a"),
            format!("{live} "),
            live.replacen("sample", "session", 1),
            live.replacen("sample", "simple", 1),
            live.to_uppercase(),
            "sample_".to_owned(),
            "sample".to_owned(),
            String::new(),
            "é".repeat(36),
            like_a_product(26),
            like_a_product(43),
            like_a_product(71),
            "b".repeat(26),
            "b".repeat(43),
            "b".repeat(71),
        ];
        for _ in 0..2 {
            for text in &texts {
                let told = way(&service, text);
                let expected = service.verdict_strict(text);
                assert!(told.is_none_or(|told| told == expected), "{text:?}: {told:?}");
            }
        }
        assert_eq!(way(&service, &live), Some(Ok(())), "what is in the index needs no store");
    }
}

#[test]
fn a_wrong_checksum_changes_nothing_for_the_next_text() {
    let service = Service::new(sample::rules());
    let (live, _) = service.issue(owner(1));
    let (revoked, id) = service.issue(owner(1));
    for text in [&live, &revoked] {
        let _ = service.accepted(text);
    }
    block_on(service.tokens.revoke(id, By::Host(&Actor::host()), None)).unwrap();
    let now = |text: &str| service.tokens.authenticate_now(text, &Access::any()).map(class);
    let spoilt = format!("{}_", &live[..live.len() - 1]);
    for number in 0..4 {
        assert_eq!(now(&spoilt), Some(Err("malformed")));
        if number % 2 == 0 {
            assert_eq!(now(&with_another_secret(&live)), None, "only the store can tell");
            assert_eq!(service.verdict(&revoked), Err("revoked"));
            assert_eq!(now(&spoilt), Some(Err("malformed")));
        }
        // From the index, and the second one as if nothing had been.
        assert_eq!(now(&live), Some(Ok(())));
        assert_eq!(now(&live), Some(Ok(())));
    }
}

#[test]
fn an_index_that_grows_forgets_none() {
    // The same ids each time: whatever changes empties the places that are marked alike as well, and
    // there are no two of them among these.
    let service = Service::build(Detour::new(Fate::default()), sample::rules(), |builder| {
        builder.entropy(SeededRandomness::new(1))
    });
    let access = Access::<ReadWrite>::any();
    let many: u32 = 100_000;
    // Before any is indexed, since issuing is a change too.
    let texts: Vec<(String, TokenId)> = (0..many).map(|n| service.issue(owner(n))).collect();
    thread::scope(|scope| {
        let service = &service;
        for half in texts.chunks(texts.len() / 2) {
            scope.spawn(move || {
                for (text, _) in half {
                    assert_eq!(service.verdict(text), Ok(()));
                }
            });
        }
    });
    assert_eq!(service.tokens.index_size().0, texts.len());
    for (number, (text, id)) in texts.iter().enumerate() {
        let hit = service.tokens.authenticate_now(text, &access);
        assert!(matches!(hit, Some(Ok(verified)) if verified.id() == *id), "token {number}");
        if number % 100 == 0 {
            let host = Actor::host();
            block_on(service.tokens.revoke(*id, By::Host(&host), None)).unwrap();
        }
    }
    for (number, (text, _)) in texts.iter().enumerate() {
        let hit = service.tokens.authenticate_now(text, &access);
        assert_eq!(hit.is_some(), number % 100 != 0, "token {number}");
    }
}

#[test]
fn an_index_that_is_full_changes_no_verdict() {
    let service = Service::build(Detour::new(Fate::default()), sample::rules(), |builder| {
        builder.most_indexed(1)
    });
    let texts: Vec<_> = (0..6000).map(|n| service.issue(owner(n % 500))).collect();
    for (text, _) in &texts {
        assert_eq!(service.verdict(text), Ok(()));
    }
    let (used, _) = service.tokens.index_size();
    assert!(used < texts.len(), "{used} are indexed");
    let host = Actor::host();
    for n in (0..500).step_by(2) {
        block_on(service.tokens.deactivate_owner(&owner(n), By::Host(&host), None)).unwrap();
    }
    for (number, (text, id)) in texts.iter().enumerate() {
        if number % 3 == 0 {
            block_on(service.tokens.revoke(*id, By::Host(&host), None)).unwrap();
        }
        let expected = match number {
            _ if number % 3 == 0 => Err("revoked"),
            _ if number % 2 == 0 => Err("owner_deactivated"),
            _ => Ok(()),
        };
        assert_eq!(service.verdict(text), expected, "token {number}");
    }
}

// What the tests above share.

/// A way to take something from a token that writes.
#[derive(Clone, Copy, Debug)]
enum Taking {
    Deactivation,
    MassRevocation,
    Narrowing,
    OwnerDeactivation,
    OwnerDeletion,
    Revocation,
    Rotation,
}

impl Taking {
    const ALL: [Self; 7] = [
        Self::Deactivation,
        Self::MassRevocation,
        Self::Narrowing,
        Self::OwnerDeactivation,
        Self::OwnerDeletion,
        Self::Revocation,
        Self::Rotation,
    ];

    /// The store's method that does it.
    const fn method(self) -> &'static str {
        match self {
            Self::MassRevocation => "revoke_all",
            Self::OwnerDeactivation | Self::OwnerDeletion => "set_owner",
            _ => "apply",
        }
    }

    fn from(self, service: &Service, id: TokenId) {
        assert!(block_on(self.future(service, id)), "{self:?}");
    }

    /// Does it; says whether it was done.
    async fn future(self, service: &Service, id: TokenId) -> bool {
        let host = Actor::host();
        let (tokens, by) = (&service.tokens, By::Host(&host));
        match self {
            Self::Deactivation => tokens.deactivate(id, by, None).await.is_ok(),
            Self::MassRevocation => tokens.revoke_all_of(&owner(1), None, by, None).await.is_ok(),
            Self::Narrowing => {
                let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
                tokens.narrow(id, &narrowing, by).await.is_ok()
            }
            Self::OwnerDeactivation => tokens.deactivate_owner(&owner(1), by, None).await.is_ok(),
            Self::OwnerDeletion => tokens.delete_owner(&owner(1), by, None).await.is_ok(),
            Self::Revocation => tokens.revoke(id, by, None).await.is_ok(),
            Self::Rotation => tokens.rotate(id, Rotation::at_once(), by).await.is_ok(),
        }
    }

    /// Lets the owner have tokens again, and frees the quota.
    fn give_back(self, service: &Service) {
        let host = Actor::host();
        block_on(service.tokens.reactivate_owner(&owner(1), By::Host(&host))).unwrap();
        block_on(service.tokens.revoke_all_of(&owner(1), None, By::Host(&host), None)).unwrap();
    }
}

struct Service {
    tokens: Tokens<ReadWrite>,
    store: Detour<Fate>,
    fate: Fate,
    clock: ManualClock,
    heard: RecordingSink,
}

impl Service {
    fn new(rules: Rules) -> Self {
        Self::build(Detour::new(Fate::default()), rules, |builder| builder)
    }

    /// Another service with these rules, over the same store and clock.
    fn with(&self, rules: Rules) -> Self {
        let store = Detour { store: self.store.store.clone(), way: Fate::default() };
        Self::build(store, rules, |builder| builder.clock(self.clock.clone()))
            .on(self.clock.clone())
    }

    fn build(store: Detour<Fate>, rules: Rules, parts: impl FnOnce(Builder) -> Builder) -> Self {
        static SERVICES: AtomicU64 = AtomicU64::new(0);
        let randomness = SeededRandomness::new(SERVICES.fetch_add(1, Ordering::Relaxed));
        let clock = ManualClock::new(sample::start());
        let heard = RecordingSink::new();
        let builder = Builder::new(store.clone(), rules, clock.clone(), randomness);
        let tokens = parts(builder.audit(heard.clone())).build();
        Self { tokens, fate: store.way.clone(), store, clock, heard }
    }

    fn on(mut self, clock: ManualClock) -> Self {
        self.clock = clock;
        self
    }

    /// A personal token of this owner that may do everything.
    fn issue(&self, owner: OwnerId) -> (String, TokenId) {
        self.issue_granting(owner, Grant::Full)
    }

    fn issue_granting(&self, owner: OwnerId, grant: Grant<ReadWrite>) -> (String, TokenId) {
        self.made(IssueRequest::new(owner, grant))
    }

    fn issue_session(&self, owner: OwnerId) -> (String, TokenId) {
        self.made(IssueRequest::new(owner, Grant::Full).of_kind(Kind::session()))
    }

    fn made(&self, request: IssueRequest<ReadWrite>) -> (String, TokenId) {
        let host = Actor::host();
        let (secret, row) = block_on(self.tokens.issue(request, By::Host(&host))).unwrap();
        (secret.expose_secret().to_owned(), row.id)
    }

    fn rotate(&self, id: TokenId, overlap_seconds: i64) -> (String, TokenRecord) {
        let rotation = Rotation::with_overlap(TimeDelta::seconds(overlap_seconds));
        let host = Actor::host();
        let (secret, row) = block_on(self.tokens.rotate(id, rotation, By::Host(&host))).unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    fn accepted(&self, text: &str) -> Verified {
        block_on(self.tokens.authenticate(text, &Access::any())).unwrap()
    }

    fn verdict(&self, text: &str) -> Result<(), &'static str> {
        class(block_on(self.tokens.authenticate(text, &Access::any())))
    }

    fn verdict_writing(&self, text: &str) -> Result<(), &'static str> {
        let access = Access::needing(&ReadWrite::Write);
        class(block_on(self.tokens.authenticate(text, &access)))
    }

    fn verdict_strict(&self, text: &str) -> Result<(), &'static str> {
        class(block_on(self.tokens.authenticate_strict(text, &Access::any())))
    }

    /// The row as the store has it, whatever stands between.
    fn row(&self, id: TokenId) -> TokenRecord {
        *block_on(self.store.store.find(&Lookup::Id(id))).unwrap().unwrap().record
    }
}

/// What is to go wrong with a store. Clones share it.
#[derive(Clone, Debug, Default)]
struct Fate(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    hold: Option<(Side, &'static str)>,
    held: u64,
    fail: Vec<(Side, &'static str)>,
    calls: HashMap<&'static str, u64>,
    spoil: Option<Spoiler>,
}

type SpoilRow = fn(&mut TokenRecord);

type Spoiler = Box<dyn Fn(&mut Found) + Send>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Before,
    After,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("hold", &self.hold).finish_non_exhaustive()
    }
}

impl Fate {
    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap()
    }

    /// Stops the next call of this method before it reaches the store, until the release.
    fn hold_before(&self, method: &'static str) {
        self.plan().hold = Some((Side::Before, method));
    }

    /// Stops the next call of this method on its way back.
    fn hold_after(&self, method: &'static str) {
        self.plan().hold = Some((Side::After, method));
    }

    fn release(&self) {
        self.plan().held = 0;
    }

    fn fail_before(&self, method: &'static str) {
        self.plan().fail.push((Side::Before, method));
    }

    fn fail_after(&self, method: &'static str) {
        self.plan().fail.push((Side::After, method));
    }

    fn heal(&self) {
        self.plan().fail.clear();
    }

    fn spoil(&self, spoiler: Spoiler) {
        self.plan().spoil = Some(spoiler);
    }

    fn calls(&self, method: &'static str) -> u64 {
        self.plan().calls.get(method).copied().unwrap_or_default()
    }

    async fn pass(&self, side: Side, method: &'static str) -> Result<(), StoreError> {
        {
            let mut plan = self.plan();
            if plan.fail.contains(&(side, method)) {
                return Err(StoreError::unavailable("as planned"));
            }
            if plan.hold == Some((side, method)) {
                plan.hold = None;
                plan.held = 1;
            } else {
                return Ok(());
            }
        }
        std::future::poll_fn(
            |_| {
                if self.plan().held == 0 { Poll::Ready(()) } else { Poll::Pending }
            },
        )
        .await;
        Ok(())
    }
}

#[async_trait]
impl Way for Fate {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        *self.plan().calls.entry(method).or_default() += 1;
        self.pass(Side::Before, method).await
    }

    async fn back(&self, method: &'static str) -> Result<(), StoreError> {
        self.pass(Side::After, method).await
    }

    fn found(&self, _: &Lookup, mut found: Option<Found>) -> Option<Found> {
        if let Some((spoil, found)) = self.plan().spoil.as_ref().zip(found.as_mut()) {
            spoil(found);
        }
        found
    }
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn class<T>(verdict: Result<T, AuthenticateError>) -> Result<(), &'static str> {
    verdict.map(drop).map_err(|error| error.code())
}

/// All that a caller hears.
fn said<T>(outcome: Result<T, ChangeFailure>) -> String {
    outcome.map_or_else(|error| format!("{} {error} {error:?}", error.code()), |_| "done".into())
}

fn owner(n: u32) -> OwnerId {
    sample::owner(n)
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn policy(change: impl FnOnce(&mut KindPolicy)) -> Rules {
    let mut personal = KindPolicy::personal();
    change(&mut personal);
    sample::rules().with_policy(Policy::default().with_kind(Kind::personal(), personal))
}

fn with_keyring(keyring: Keyring) -> Rules {
    Rules::new(sample::rules().format, keyring)
}

/// A key whose bytes follow from its id.
fn key(id: &str) -> Key {
    let bytes: Vec<u8> = id.bytes().cycle().take(Key::SHORTEST).collect();
    Key::new(KeyId::new(id).unwrap(), &bytes).unwrap()
}

fn flipped(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[31] ^= 1;
    Digest::from_bytes(bytes)
}

/// The text with one character of the secret changed, and the checksum that fits it.
fn with_another_secret(text: &str) -> String {
    let (body, _) = text.split_at(text.len() - 6);
    let last = if body.ends_with('a') { 'b' } else { 'a' };
    with_changed(text, body.len() - 1, last)
}

/// The text with another character in that place, and the checksum that fits it.
fn with_changed(text: &str, place: usize, character: char) -> String {
    let (body, _) = text.split_at(text.len() - 6);
    let mut text = format!("{}{character}{}", &body[..place], &body[place + 1..]);
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = rest % 62;
        rest /= 62;
    }
    text.extend(digits.map(|digit| match digit {
        0..10 => char::from_digit(digit, 10).unwrap(),
        10..36 => char::from_digit(digit, 36).unwrap().to_ascii_uppercase(),
        _ => char::from_digit(digit - 26, 36).unwrap(),
    }));
    text
}
