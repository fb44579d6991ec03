//! How long a service goes by what was.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use keyfob::ports::store::Epoch;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{
    ManualClock, ManualTimer, RecordingSink, SeededRandomness, block_on, sample,
};
use keyfob::{
    Access, Builder, By, EventKind, Grant, IssueRequest, Kind, KindPolicy, Minting, Note, OwnerId,
    Policy, ReadWrite, Rules, TokenId, Tokens,
};

use super::{BOUND, BY, Node, TICK, alice, run, two_nodes, two_nodes_by};

#[test]
fn what_another_node_revoked_is_refused_when_the_bound_is_over() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    assert_eq!(there.verdict(&text), Ok(()));
    here.revoke(id);
    assert_eq!(here.verdict(&text), Err("revoked"));
    there.clock.advance(BOUND - TimeDelta::milliseconds(3));
    assert!(there.remembers(&text), "it has not heard of it, and need not");
    there.clock.advance(TimeDelta::milliseconds(3));
    assert!(!there.remembers(&text));
    assert_eq!(there.verdict(&text), Err("revoked"));
}

#[test]
fn while_upkeep_runs_a_revocation_is_known_at_the_next_poll() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    assert_eq!(there.verdict(&text), Ok(()));
    there.clock.advance(TICK * 2);
    run(&mut upkeep);
    here.revoke(id);
    run(&mut upkeep);
    assert!(!there.remembers(&text), "the store has told of the change");
    assert_eq!(there.verdict(&text), Err("revoked"));
    assert_eq!(
        there.report().applied,
        block_on(here.tokens.store().invalidations(Epoch(0))).ok().map(|answer| answer.epoch)
    );
    assert_eq!(there.report().lags.iter().sum::<u64>(), 1);
}

#[test]
fn upkeep_keeps_the_lease_for_as_long_as_the_store_answers() {
    let (_, here, there) = two_nodes();
    let (text, _) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    assert_eq!(there.verdict(&text), Ok(()));
    for _ in 0..100 {
        there.clock.advance(TimeDelta::milliseconds(100));
        run(&mut upkeep);
        assert!(there.remembers(&text));
    }
    // Then it cannot be reached.
    there.reach.cut();
    for _ in 0..16 {
        there.clock.advance(TimeDelta::milliseconds(100));
        run(&mut upkeep);
        assert!(there.remembers(&text), "{:?}", there.report());
    }
    for _ in 0..4 {
        there.clock.advance(TimeDelta::milliseconds(100));
        run(&mut upkeep);
    }
    assert_eq!(there.verdict(&text), Err("store_unavailable"));
    assert_eq!(there.report().lease_left, Duration::ZERO);
    there.reach.mend();
    assert_eq!(there.verdict(&text), Ok(()));
}

#[test]
fn a_node_whose_upkeep_has_died_is_slow_and_not_open() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    assert_eq!(there.verdict(&text), Ok(()));
    drop(upkeep);
    here.revoke(id);
    there.clock.advance(BOUND);
    assert_eq!(there.verdict(&text), Err("revoked"));
}

#[test]
fn a_node_that_was_paused_or_suspended_asks_before_its_first_answer() {
    let pause: fn(&ManualClock) = |clock| clock.advance(BOUND * 3);
    let suspend: fn(&ManualClock) = |clock| clock.suspend(Duration::from_secs(6));
    for stop in [pause, suspend] {
        let (_, here, there) = two_nodes();
        let (text, id) = here.issue();
        assert_eq!(there.verdict(&text), Ok(()));
        here.revoke(id);
        stop(&there.clock);
        assert_eq!(there.verdict(&text), Err("revoked"));
    }
}

#[test]
fn a_restarted_node_remembers_nothing() {
    let (store, here, there) = two_nodes();
    let (text, id) = here.issue();
    assert_eq!(there.verdict(&text), Ok(()));
    here.revoke(id);
    let again = Node::on(&store, 3);
    assert!(!again.remembers(&text));
    assert_eq!(again.verdict(&text), Err("revoked"));
}

#[test]
fn what_was_read_before_another_nodes_change_is_not_kept_after_it() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    there.clock.advance(TICK * 2);
    run(&mut upkeep);
    // The row is on its way back when the token is revoked, and that is told before it arrives.
    there.reach.hold("find");
    let access = Access::any();
    let mut slow = pin!(there.tokens.authenticate(&text, &access));
    let mut context = Context::from_waker(Waker::noop());
    assert!(slow.as_mut().poll(&mut context).is_pending());
    here.revoke(id);
    run(&mut upkeep);
    there.reach.release();
    assert!(block_on(slow).is_ok(), "it was asked before");
    assert!(!there.remembers(&text));
    assert_eq!(there.verdict(&text), Err("revoked"));
}

#[test]
fn setting_what_is_set_hides_no_change_of_others() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    assert_eq!(there.verdict(&text), Ok(()));
    // The last epoch of the store is the revocation's when `there` sets what is set already.
    here.revoke(id);
    let bob = OwnerId::new("bob").unwrap();
    block_on(there.tokens.reactivate_owner(&bob, BY)).unwrap();
    there.clock.advance(BOUND);
    assert_eq!(there.verdict(&text), Err("revoked"));
}

/// Rules under which a token mints others.
fn minting() -> Rules {
    let mut kind = KindPolicy::personal();
    kind.minting = Minting::Within;
    sample::rules().with_policy(Policy::default().with_kind(Kind::personal(), kind))
}

/// A token, and one that it has minted, with its text.
fn minted(here: &Node) -> (TokenId, TokenId, String) {
    let (text, parent) = here.issue();
    let verified = here.accepted(&text);
    let request = IssueRequest::new(alice(), Grant::Full);
    let (secret, child) = block_on(here.tokens.issue(request, By::token(&verified))).unwrap();
    (parent, child.id, secret.expose_secret().to_owned())
}

#[test]
fn a_token_that_was_refused_as_revoked_when_it_minted_is_not_accepted_afterwards() {
    let (_, here, there) = two_nodes_by(&minting());
    let (text, id) = here.issue();
    let verified = there.accepted(&text);
    here.revoke(id);
    assert!(there.remembers(&text));
    let request = IssueRequest::new(alice(), Grant::Full);
    let minted = block_on(there.tokens.issue(request, By::token(&verified)));
    assert_eq!(minted.unwrap_err().code(), "revoked");
    assert!(!there.remembers(&text));
}

#[test]
fn revoking_what_others_had_revoked_in_part_ends_all_that_descends_from_it_here() {
    let (_, here, there) = two_nodes_by(&minting());
    let (parent, child, minted) = minted(&here);
    assert!(there.verdict(&minted).is_ok());
    // The child alone, and the parent afterwards: the store does not name the child again.
    here.revoke(child);
    assert!(there.remembers(&minted));
    there.revoke(parent);
    assert!(!there.remembers(&minted));
}

#[test]
fn revoking_what_others_have_revoked_ends_all_that_descends_from_it_here() {
    let (_, here, there) = two_nodes_by(&minting());
    let (parent, _, minted) = minted(&here);
    assert!(there.verdict(&minted).is_ok());
    here.revoke(parent);
    assert!(there.remembers(&minted));
    there.revoke(parent);
    assert!(!there.remembers(&minted));
}

#[test]
fn a_fence_returns_once_every_node_has_reported() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    assert_eq!(there.verdict(&text), Ok(()));
    // It reports four times in a second at the most.
    there.clock.advance(TimeDelta::milliseconds(250));
    run(&mut upkeep);
    let timer = ManualTimer::new(&here.clock);
    let mut revoking = pin!(here.tokens.revoke_fenced(id, BY, None, &timer));
    let mut context = Context::from_waker(Waker::noop());
    assert!(revoking.as_mut().poll(&mut context).is_pending(), "the other has not heard of it");
    run(&mut upkeep);
    here.clock.advance(TimeDelta::milliseconds(10));
    assert!(revoking.as_mut().poll(&mut context).is_ready());
    assert!(!there.remembers(&text));
}

#[test]
fn a_fence_waits_out_the_bound_of_a_node_that_does_not_answer() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    assert_eq!(there.verdict(&text), Ok(()));
    let timer = ManualTimer::new(&here.clock);
    let mut revoking = pin!(here.tokens.revoke_fenced(id, BY, None, &timer));
    let mut context = Context::from_waker(Waker::noop());
    let mut waited = TimeDelta::zero();
    while revoking.as_mut().poll(&mut context).is_pending() {
        here.clock.advance(TimeDelta::milliseconds(10));
        there.clock.advance(TimeDelta::milliseconds(10));
        waited += TimeDelta::milliseconds(10);
        assert!(waited < BOUND * 2);
    }
    assert!(waited >= BOUND && waited <= BOUND + TimeDelta::milliseconds(20), "{waited}");
    assert!(!there.remembers(&text));
}

#[test]
fn a_store_that_has_lost_changes_is_told_and_nothing_of_it_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let clock = ManualClock::new(sample::start());
    let alarms = RecordingSink::new();
    let store = SqliteStore::open(&path, sample::realm()).unwrap();
    let builder = Builder::new(store, sample::rules(), clock.clone(), SeededRandomness::new(5));
    let tokens: Tokens<ReadWrite> = builder.audit(alarms.clone()).build();
    let request = IssueRequest::new(alice(), Grant::Full);
    let (secret, row) = block_on(tokens.issue(request, BY)).unwrap();
    let verdict = || block_on(tokens.authenticate(secret.expose_secret(), &Access::any()));
    assert!(verdict().is_ok());
    block_on(tokens.edit(row.id, None, Some(Note::new("lost").unwrap()), BY)).unwrap();
    clock.advance(BOUND);
    assert!(verdict().is_ok());
    // As if a copy from before the last change had been put in its place.
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "UPDATE realms SET epoch = epoch - 1;
         DELETE FROM changes WHERE epoch = (SELECT max(epoch) FROM changes);
         DELETE FROM tokens",
    )
    .unwrap();
    clock.advance(BOUND);
    assert_eq!(verdict().unwrap_err().code(), "unknown");
    assert_eq!(tokens.freshness().histories_lost, 1);
    let lost = alarms.events().iter().filter(|e| e.kind == EventKind::StoreHistoryLost).count();
    assert_eq!(lost, 1);
}
