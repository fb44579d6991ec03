//! Who remembers what it read of one realm, and who waits for news of it.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use super::realm::Realm;
use crate::ports::store::{Epoch, NodeId, NodeReport};

#[derive(Default)]
pub(super) struct Nodes {
    reports: BTreeMap<NodeId, NodeReport>,
    waiting: Vec<Waker>,
}

impl Nodes {
    pub(super) fn report(&mut self, report: &NodeReport) {
        self.reports
            .retain(|_, known| report.at.signed_duration_since(known.at) <= NodeReport::KEPT_FOR);
        self.reports.insert(report.node, *report);
    }

    pub(super) fn list(&self) -> Vec<NodeReport> {
        self.reports.values().copied().collect()
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.reports.remove(&node);
    }

    /// Wakes whoever waits for a change.
    pub(super) fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Realm {
    pub(super) fn poll_changed(&mut self, since: Epoch, waker: &Waker) -> Poll<()> {
        if self.epoch > since {
            return Poll::Ready(());
        }
        let waiting = &mut self.nodes.waiting;
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            // Those who gave up are not told apart; whoever is forgotten here asks by itself.
            if waiting.len() == MOST_WAITING {
                waiting.remove(0);
            }
            waiting.push(waker.clone());
        }
        Poll::Pending
    }
}

/// One for each service on the store, of which a process has a few.
const MOST_WAITING: usize = 64;
