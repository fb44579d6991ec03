#![expect(clippy::arithmetic_side_effects, reason = "a test fails where it overflows")]

use super::*;
use chrono::DateTime;

const BOUND: Duration = Duration::from_secs(2);
/// Two seconds less a thousandth and a tick of 10 ms.
const LEASE_NANOS: u64 = 1_988_000_000;
const LONG: Duration = Duration::from_secs(600);

fn at(millis: u64) -> Reading {
    let date_micros = i64::try_from(millis).unwrap() * 1000 + 1_700_000_000_000_000;
    Reading { steady_nanos: millis * 1_000_000, date_micros }
}

fn token(n: u8) -> TokenId {
    TokenId::from_bytes([n; 16])
}

fn owner() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

fn told(epoch: u64, changes: &[(u64, u8)]) -> Invalidations {
    let changes = changes.iter().map(|(epoch, n)| (Epoch(*epoch), Touched::Token(token(*n))));
    Invalidations::new(Epoch(epoch), Some(changes.collect()), None)
}

fn node() -> Freshness {
    let mut node = Freshness::new(BOUND, Duration::from_millis(10));
    node.registered(at(0), LONG);
    node
}

/// A node that has been told of epoch 10 at time zero.
fn started() -> Freshness {
    let mut node = node();
    let poll = node.poll(at(0));
    assert_eq!(poll.since(), Epoch(u64::MAX));
    let effects = node.answered(poll, at(1), &Invalidations::new(Epoch(10), None, None));
    assert_eq!(effects[0], Effect::Forget(Touched::Everything));
    assert_eq!(effects[1], Effect::Publish(node.lease()));
    assert_eq!(effects.len(), 2);
    node
}

fn poll(node: &mut Freshness, millis: u64, answer: &Invalidations) -> Vec<Effect> {
    let poll = node.poll(at(millis));
    node.answered(poll, at(millis + 1), answer)
}

fn forgets(effects: &[Effect]) -> Vec<Touched> {
    let forgets = effects.iter().filter_map(|effect| match effect {
        Effect::Forget(touched) => Some(touched.clone()),
        _ => None,
    });
    forgets.collect()
}

#[test]
fn a_lease_counts_from_before_the_question() {
    let mut node = started();
    assert_eq!(node.lease().until_nanos, LEASE_NANOS);
    let slow = node.poll(at(500));
    node.answered(slow, at(1700), &told(10, &[]));
    assert_eq!(node.lease().until_nanos, 500_000_000 + LEASE_NANOS);
}

#[test]
fn an_answer_that_comes_after_its_lease_brings_none() {
    let mut node = node();
    let poll = node.poll(at(0));
    let effects = node.answered(poll, at(1988), &told(10, &[]));
    assert_eq!(effects, [Effect::Forget(Touched::Everything)]);
    assert!(!node.lease().holds(at(0)));
}

#[test]
fn a_lease_ends_to_the_nanosecond() {
    let lease = started().lease();
    let end = Reading { steady_nanos: LEASE_NANOS, ..at(1988) };
    assert!(!lease.holds(end));
    assert!(lease.holds(Reading { steady_nanos: LEASE_NANOS - 1, ..end }));
}

#[test]
fn a_node_that_is_not_registered_has_no_lease() {
    let mut node = Freshness::new(BOUND, Duration::ZERO);
    assert_eq!(node.registered_for(at(0)), Duration::ZERO);
    let effects = poll(&mut node, 0, &told(10, &[]));
    assert_eq!(effects, [Effect::Forget(Touched::Everything)]);
    node.registered(at(1), LONG);
    assert_eq!(node.registered_for(at(300_001)), Duration::from_millis(299_400));
    poll(&mut node, 2, &told(10, &[]));
    assert!(node.lease().holds(at(3)));
}

#[test]
fn no_lease_outlasts_the_registration() {
    let mut node = started();
    poll(&mut node, 599_000, &told(10, &[]));
    assert_eq!(node.lease().until_nanos, 599_400_000_000);
}

#[test]
fn a_suspended_machine_has_no_lease_when_it_wakes() {
    let lease = started().lease();
    let woken = Reading { date_micros: at(3_600_000).date_micros, ..at(100) };
    assert!(!lease.holds(woken));
}

#[test]
fn a_date_that_is_set_ends_the_lease_and_the_next_poll_brings_another() {
    let mut node = started();
    for moved in [60_000_000, -60_000_000] {
        let set = |millis| {
            let at: Reading = at(millis);
            Reading { date_micros: at.date_micros + moved, ..at }
        };
        assert!(!node.lease().holds(set(10)));
        let poll = node.poll(set(10));
        node.answered(poll, set(11), &told(10, &[]));
        assert!(node.lease().holds(set(12)));
    }
}

#[test]
fn what_was_touched_is_forgotten_before_the_lease_is_published() {
    let mut node = started();
    let effects = poll(&mut node, 100, &told(12, &[(11, 1), (12, 2)]));
    assert_eq!(forgets(&effects[..2]), [Touched::Token(token(1)), Touched::Token(token(2))]);
    assert_eq!(effects[2], Effect::Publish(node.lease()));
    assert_eq!(node.applied(), Some(Epoch(12)));
}

#[test]
fn what_was_touched_since_it_was_read_may_not_be_kept() {
    let mut node = started();
    let ticket = node.ticket();
    poll(&mut node, 100, &told(12, &[(11, 1), (12, 2)]));
    let mut kept = |read, n| node.may_keep(ticket, Epoch(read), token(n), &owner());
    assert_eq!([10, 11, 12].map(|read| kept(read, 1)), [false, true, true]);
    assert_eq!([10, 11, 12].map(|read| kept(read, 2)), [false, false, true]);
    assert!(kept(10, 3) && !kept(9, 3), "what was before the first answer is not remembered");
}

#[test]
fn an_owner_touches_all_of_its_tokens() {
    let mut node = started();
    let ticket = node.ticket();
    let changes = Some(vec![(Epoch(11), Touched::Owner(owner()))]);
    poll(&mut node, 100, &Invalidations::new(Epoch(11), changes, None));
    let other = OwnerId::new("bob").unwrap();
    assert!(!node.may_keep(ticket, Epoch(10), token(1), &owner()));
    assert!(node.may_keep(ticket, Epoch(10), token(1), &other));
}

#[test]
fn what_fell_out_of_the_ring_refuses_what_was_read_before() {
    let mut node = started().remembering(2);
    let ticket = node.ticket();
    poll(&mut node, 100, &told(13, &[(11, 1), (12, 2), (13, 3)]));
    assert!(!node.may_keep(ticket, Epoch(10), token(9), &owner()));
    assert!(node.may_keep(ticket, Epoch(11), token(9), &owner()));
    assert!(!node.may_keep(ticket, Epoch(11), token(2), &owner()));
}

#[test]
fn own_changes_keep_older_reads_out_at_once_and_are_not_applied_twice() {
    let mut node = started();
    let ticket = node.ticket();
    node.changed(Epoch(12), [Touched::Token(token(1))]);
    assert!(!node.may_keep(ticket, Epoch(11), token(1), &owner()));
    assert!(node.may_keep(ticket, Epoch(12), token(1), &owner()));
    let effects = poll(&mut node, 100, &told(13, &[(11, 2), (12, 1), (13, 3)]));
    assert_eq!(forgets(&effects), [Touched::Token(token(2)), Touched::Token(token(3))]);
    assert!(!node.may_keep(ticket, Epoch(11), token(1), &owner()));
}

#[test]
fn own_changes_survive_a_store_that_no_longer_remembers() {
    let mut node = started();
    let (ticket, asked) = (node.ticket(), node.poll(at(100)));
    node.changed(Epoch(13), [Touched::Token(token(1))]);
    node.answered(asked, at(101), &Invalidations::new(Epoch(11), None, None));
    assert!(!node.may_keep(ticket, Epoch(12), token(1), &owner()));
    assert!(node.may_keep(ticket, Epoch(13), token(1), &owner()));
}

#[test]
fn a_store_that_no_longer_remembers_makes_it_forget_everything() {
    let mut node = started();
    let ticket = node.ticket();
    let effects = poll(&mut node, 100, &Invalidations::new(Epoch(99), None, None));
    assert_eq!(forgets(&effects), [Touched::Everything]);
    assert!(!node.may_keep(ticket, Epoch(98), token(1), &owner()));
    assert!(node.may_keep(ticket, Epoch(99), token(1), &owner()));
}

#[test]
fn a_missing_epoch_makes_it_forget_everything() {
    for holes in [&[(12, 1)][..], &[(11, 1)], &[(11, 1), (13, 1)], &[(12, 1), (11, 1)], &[]] {
        let effects = poll(&mut started(), 100, &told(12, holes));
        assert_eq!(forgets(&effects), [Touched::Everything], "{holes:?}");
    }
    let twice = poll(&mut started(), 100, &told(12, &[(11, 1), (11, 2), (12, 3)]));
    assert_eq!(forgets(&twice).len(), 3);
}

#[test]
fn answers_may_overtake_each_other() {
    for is_forgotten in [false, true] {
        let mut node = started();
        let ticket = node.ticket();
        let (first, second) = (node.poll(at(100)), node.poll(at(200)));
        node.answered(second, at(201), &told(12, &[(11, 1), (12, 2)]));
        let lease = node.lease();
        let mut late = told(11, &[(11, 1)]);
        if is_forgotten {
            late.changes = None;
        }
        let effects = node.answered(first, at(300), &late);
        let expected = if is_forgotten { &[Touched::Everything][..] } else { &[] };
        assert_eq!(forgets(&effects), expected);
        assert_eq!((node.applied(), node.lease()), (Some(Epoch(12)), lease));
        assert!(!node.may_keep(ticket, Epoch(11), token(2), &owner()));
    }
}

#[test]
fn a_history_that_goes_back_is_told_and_everything_forgotten() {
    let mut node = started();
    let (ticket, crossing) = (node.ticket(), node.poll(at(90)));
    let effects = poll(&mut node, 100, &told(8, &[]));
    assert_eq!(forgets(&effects), [Touched::Everything]);
    assert_eq!(effects[1], Effect::HistoryLost { seen: Epoch(10), now: Epoch(8) });
    assert_eq!(effects[2], Effect::Publish(node.lease()));
    assert!(!node.may_keep(ticket, Epoch(10), token(1), &owner()), "it is of the lost history");
    let ticket = node.ticket();
    assert!(node.may_keep(ticket, Epoch(8), token(1), &owner()));
    assert_eq!(node.answered(crossing, at(110), &told(11, &[(11, 1)])), []);
    assert_eq!(node.applied(), Some(Epoch(8)));
}

#[test]
fn a_history_that_went_back_behind_what_was_read_is_noticed() {
    // The row was of epoch 11, of which no answer has told; then that epoch was lost.
    let mut node = started();
    let ticket = node.ticket();
    assert!(node.may_keep(ticket, Epoch(11), token(1), &owner()));
    let effects = poll(&mut node, 100, &told(10, &[]));
    assert_eq!(forgets(&effects), [Touched::Everything]);
    assert_eq!(effects[1], Effect::HistoryLost { seen: Epoch(11), now: Epoch(10) });
}

#[test]
fn time_is_the_stores_and_never_runs_backwards() {
    let mut node = started();
    let store = |seconds| {
        let mut answer = told(10, &[]);
        answer.now = DateTime::from_timestamp(seconds, 0);
        answer
    };
    poll(&mut node, 1000, &store(2_000_000_000));
    let time = |node: &Freshness, millis| node.lease().time_micros(at(millis));
    assert_eq!(time(&node, 1000), 2_000_000_000_000_000);
    assert_eq!(time(&node, 1500), 2_000_000_000_500_000, "from before the question");
    poll(&mut node, 1600, &store(1_999_999_000));
    for millis in [1600, 1900] {
        assert_eq!(time(&node, millis), 2_000_000_000_000_000, "it stands still until then");
    }
    poll(&mut node, 2000, &store(2_000_000_001));
    assert_eq!(time(&node, 2000), 2_000_000_001_000_000);
}

#[test]
fn a_token_that_the_store_refused_is_not_kept_by_an_older_read() {
    let mut node = started().remembering(4);
    let ticket = node.ticket();
    for read in [12, 11, 13] {
        node.refused(Epoch(read), token(1));
    }
    let kept = |node: &mut Freshness, read| node.may_keep(ticket, Epoch(read), token(1), &owner());
    assert!(!kept(&mut node, 10) && !kept(&mut node, 12) && kept(&mut node, 13));
    // However often it is presented, it takes one place.
    (14..40).for_each(|read| node.refused(Epoch(read), token(1)));
    assert!(node.may_keep(ticket, Epoch(10), token(2), &owner()));
}
