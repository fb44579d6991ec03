//! Connections that end with their tokens.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use chrono::TimeDelta;
use keyfob::core::lifecycle::Narrowing;
use keyfob::service::live::{EndReason, Live};
use keyfob::testing::block_on;
use keyfob::{Grant, IssueRequest, Lifetime, OwnerId, ReadWrite, Rotation, TokenId};

use super::{BOUND, BY, Node, TICK, alice, run, two_nodes};

type Upkeep = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A node that keeps a connection open, and another one.
struct Scene {
    here: Node,
    there: Node,
    upkeep: Upkeep,
    id: TokenId,
    text: String,
    live: Live,
}

fn scene() -> Scene {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    let live = block_on(there.tokens.live(&there.accepted(&text))).unwrap();
    let mut scene = Scene { here, there, upkeep, id, text, live };
    scene.pass(TICK * 2);
    assert!(scene.live.is_live());
    scene
}

impl Scene {
    /// Lets time pass for both, a little at a time.
    fn pass(&mut self, time: TimeDelta) {
        let mut passed = TimeDelta::zero();
        while passed < time {
            let step = (time - passed).min(TICK * 10);
            self.here.clock.advance(step);
            self.there.clock.advance(step);
            run(&mut self.upkeep);
            passed += step;
        }
    }

    fn ended(&self) -> Option<EndReason> {
        let mut ended = pin!(self.live.ended());
        match ended.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reason) => {
                assert!(!self.live.is_live());
                Some(reason)
            }
            Poll::Pending => {
                assert!(self.live.is_live());
                None
            }
        }
    }
}

#[test]
fn a_connection_ends_at_once_with_whatever_ends_its_token_on_another_node() {
    type End = fn(&Node, TokenId);
    let ends: [(EndReason, End); 6] = [
        (EndReason::Revoked, |node, id| node.revoke(id)),
        (EndReason::Deactivated, |node, id| {
            block_on(node.tokens.deactivate(id, BY, None)).unwrap();
        }),
        (EndReason::OwnerDeactivated, |node, _| {
            block_on(node.tokens.deactivate_owner(&alice(), BY, None)).unwrap();
        }),
        (EndReason::Revoked, |node, _| {
            block_on(node.tokens.delete_owner(&alice(), BY, None)).unwrap();
        }),
        (EndReason::Narrowed, |node, id| {
            let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
            block_on(node.tokens.narrow(id, &narrowing, BY)).unwrap();
        }),
        (EndReason::Superseded, |node, id| {
            let _ = block_on(node.tokens.rotate(id, Rotation::at_once(), BY)).unwrap();
        }),
    ];
    for (reason, end) in ends {
        for is_local in [false, true] {
            let mut scene = scene();
            end(if is_local { &scene.there } else { &scene.here }, scene.id);
            run(&mut scene.upkeep);
            scene.pass(TICK * 10);
            assert_eq!(scene.ended(), Some(reason), "local: {is_local}");
        }
    }
}

#[test]
fn a_connection_ends_when_its_token_expires() {
    let (_, here, there) = two_nodes();
    let mut request = IssueRequest::new(alice(), Grant::Full);
    request.lifetime = Lifetime::For(TimeDelta::seconds(10));
    let (secret, row) = block_on(here.tokens.issue(request, BY)).unwrap();
    let mut upkeep = there.upkeep();
    run(&mut upkeep);
    let text = secret.expose_secret().to_owned();
    let live = block_on(there.tokens.live(&there.accepted(&text))).unwrap();
    let mut scene = Scene { here, there, upkeep, id: row.id, text, live };
    scene.pass(TimeDelta::milliseconds(9_900));
    assert_eq!(scene.ended(), None);
    scene.pass(TimeDelta::milliseconds(400));
    assert_eq!(scene.ended(), Some(EndReason::Expired));
}

#[test]
fn a_connection_goes_on_through_an_overlap_and_ends_with_it() {
    let mut scene = scene();
    let rotation = Rotation::with_overlap(TimeDelta::seconds(5));
    let _ = block_on(scene.here.tokens.rotate(scene.id, rotation, BY)).unwrap();
    scene.pass(TimeDelta::milliseconds(4_900));
    assert_eq!(scene.ended(), None);
    scene.pass(TimeDelta::milliseconds(500));
    assert_eq!(scene.ended(), Some(EndReason::Superseded));
}

#[test]
fn a_connection_goes_on_through_changes_that_take_nothing_away() {
    let mut scene = scene();
    let name = Some("renamed".parse().unwrap());
    block_on(scene.here.tokens.edit(scene.id, name, None, BY)).unwrap();
    let bob = OwnerId::new("bob").unwrap();
    block_on(scene.here.tokens.deactivate_owner(&bob, BY, None)).unwrap();
    let (_, other) = scene.here.issue();
    scene.here.revoke(other);
    scene.pass(BOUND * 3);
    assert_eq!(scene.ended(), None);
    scene.here.revoke(scene.id);
    scene.pass(TICK * 10);
    assert_eq!(scene.ended(), Some(EndReason::Revoked));
}

#[test]
fn no_connection_goes_on_for_longer_than_the_bound_when_the_store_is_away() {
    let mut scene = scene();
    scene.there.reach.cut();
    scene.pass(BOUND - TimeDelta::milliseconds(300));
    assert_eq!(scene.ended(), None);
    scene.pass(TimeDelta::milliseconds(300));
    assert_eq!(scene.ended(), Some(EndReason::Unavailable));
    let verified = scene.here.accepted(&scene.text);
    assert!(block_on(scene.there.tokens.live(&verified)).is_err());
}

#[test]
fn a_connection_survives_its_machines_sleep_if_its_token_did() {
    let sleep = |scene: &mut Scene| {
        scene.there.clock.suspend(std::time::Duration::from_secs(3600));
        run(&mut scene.upkeep);
        scene.pass(TICK * 10);
    };
    let mut spared = scene();
    sleep(&mut spared);
    assert_eq!(spared.ended(), None);
    let mut revoked = scene();
    revoked.here.revoke(revoked.id);
    sleep(&mut revoked);
    assert_eq!(revoked.ended(), Some(EndReason::Revoked));
}

#[test]
fn a_connection_is_opened_by_a_live_token_only() {
    let (_, here, there) = two_nodes();
    let (text, id) = here.issue();
    let verified = there.accepted(&text);
    here.revoke(id);
    let refused = block_on(there.tokens.live(&verified)).unwrap_err();
    assert_eq!(refused.code(), "revoked");
    assert_eq!(there.tokens.live_connections(), 0);
    // Evidence of another service is worth nothing.
    let (text, _) = here.issue();
    assert!(block_on(there.tokens.live(&here.accepted(&text))).is_err());
}

#[test]
fn connections_that_are_closed_are_forgotten() {
    let scene = scene();
    let verified = scene.there.accepted(&scene.text);
    let more: Vec<_> =
        (0..10).map(|_| block_on(scene.there.tokens.live(&verified)).unwrap()).collect();
    assert_eq!(scene.there.tokens.live_connections(), 11);
    drop(more);
    assert_eq!(scene.there.tokens.live_connections(), 1);
    drop(scene.live);
    assert_eq!(scene.there.tokens.live_connections(), 0);
}
