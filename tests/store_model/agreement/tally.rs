//! How often each outcome occurred: agreement about what never happens is worth nothing.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, u32>);

impl Tally {
    pub(crate) fn count(&mut self, outcome: &'static str) {
        *self.0.entry(outcome).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (outcome, times) in other.0 {
            *self.0.entry(outcome).or_default() += times;
        }
    }

    /// Fails if an outcome occurred less often than `least`.
    pub(crate) fn assert_each(&self, least: u32) {
        for outcome in OUTCOMES {
            let times = self.0.get(outcome).copied().unwrap_or_default();
            assert!(times >= least, "{outcome} occurred {times} times: {self:#?}");
        }
        let unlisted: Vec<_> =
            self.0.keys().filter(|outcome| !OUTCOMES.contains(outcome)).collect();
        assert!(unlisted.is_empty(), "{unlisted:?} are not listed");
    }
}

const OUTCOMES: &[&str] = &[
    "apply: conflict",
    "apply: done",
    "apply: done with cascade",
    "apply: missing",
    "apply: presenter changed",
    "apply: revoked",
    "events: none",
    "events: some",
    "find: found",
    "find: nothing",
    "insert: already issued",
    "insert: duplicate",
    "insert: name taken",
    "insert: other realm",
    "insert: owner not active",
    "insert: presenter changed",
    "insert: quota reached",
    "insert: stored",
    "invalidations: none",
    "invalidations: some",
    "invalidations: unknown",
    "mark_used",
    "mark_used: new address",
    "mark_used: unknown",
    "prune: all",
    "prune: nothing",
    "prune: parents only",
    "prune: up to the limit",
    "query: last page",
    "query: more",
    "query: resumed",
    "revoke_all: none",
    "revoke_all: one",
    "revoke_all: several",
    "set_owner: changed",
    "set_owner: presenter changed",
    "set_owner: the same",
    "spend",
    "spend: none left",
];
