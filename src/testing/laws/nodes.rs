//! Nodes: whoever waits for all of them knows of each.

use std::time::Duration;

use chrono::TimeDelta;

use super::harness::Harness;
use super::realms::other_realm;
use crate::ports::store::{Epoch, NodeId, NodeReport};
use crate::testing::sample;

fn report(n: u8, applied: u64, minutes: i64) -> NodeReport {
    let at = sample::after(0) + TimeDelta::minutes(minutes);
    NodeReport::new(NodeId([n; 16]), Epoch(applied), Duration::from_micros(1_999_999), at)
}

/// Without the time, which a store with a clock of its own writes by that.
fn listed(store: &super::harness::Subject<'_>) -> Vec<(NodeId, u64, Duration)> {
    let mut nodes: Vec<_> =
        store.nodes().iter().map(|report| (report.node, report.applied.0, report.bound)).collect();
    nodes.sort_unstable();
    nodes
}

fn entry(n: u8, applied: u64) -> (NodeId, u64, Duration) {
    let report = report(n, applied, 0);
    (report.node, applied, report.bound)
}

pub(super) fn a_node_is_listed_as_it_last_reported(harness: &Harness<'_>) {
    let (store, other) = (harness.store(), harness.store());
    assert_eq!(listed(&store), []);
    for applied in [7, 9, 3] {
        store.report_node(&report(1, applied, 0));
        assert_eq!(listed(&other), [entry(1, applied)]);
    }
    store.report_node(&report(2, 4, 0));
    assert_eq!(listed(&other), [entry(1, 3), entry(2, 4)]);
}

pub(super) fn a_node_that_has_gone_is_not_listed(harness: &Harness<'_>) {
    let store = harness.store();
    store.forget_node(report(1, 0, 0).node);
    for n in [1, 2] {
        store.report_node(&report(n, 5, 0));
    }
    store.forget_node(report(1, 0, 0).node);
    assert_eq!(listed(&store), [entry(2, 5)]);
}

pub(super) fn a_node_is_kept_for_an_hour(harness: &Harness<'_>) {
    let store = harness.store();
    store.report_node(&report(1, 5, 0));
    store.report_node(&report(2, 5, 59));
    assert_eq!(listed(&store), [entry(1, 5), entry(2, 5)]);
}

pub(super) fn nodes_are_of_one_realm(harness: &Harness<'_>) {
    let (here, there) = (harness.store(), harness.store_in(other_realm()));
    here.report_node(&report(1, 5, 0));
    assert_eq!(listed(&there), []);
    there.report_node(&report(1, 8, 0));
    there.forget_node(report(1, 0, 0).node);
    assert_eq!(listed(&here), [entry(1, 5)]);
}

pub(super) fn a_report_is_no_change(harness: &Harness<'_>) {
    let store = harness.store();
    let row = store.add(sample::record(&sample::owner(1), 1));
    let before = store.state(&row.owner);
    store.report_node(&report(1, 5, 0));
    store.forget_node(report(1, 0, 0).node);
    assert_eq!(store.state(&row.owner), before);
}
