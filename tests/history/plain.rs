//! The contract as it is written, read by whoever has all the time of the world.

use std::collections::BTreeSet;

use crate::history::{Act, Broken, NEVER, Nanos, Operation, Outcome, Reason, Subject, Terms};

/// What a history breaks that makes sense, and where.
pub(crate) fn violations(history: &[Operation], terms: &Terms) -> BTreeSet<(usize, Broken)> {
    let reading = Reading { history, terms };
    let mut violations = BTreeSet::new();
    for (place, operation) in history.iter().enumerate() {
        violations.extend(reading.broken_by(operation).into_iter().map(|broken| (place, broken)));
    }
    violations
}

struct Reading<'a> {
    history: &'a [Operation],
    terms: &'a Terms,
}

impl Reading<'_> {
    fn broken_by(&self, operation: &Operation) -> Vec<Broken> {
        match (operation.act, operation.outcome) {
            (Act::Verify { token, strict: true }, Outcome::Accepted) => {
                let stale = self.is_narrowed(operation, token, |_| Some(0));
                self.accepted(operation, token, stale.then_some(Broken::Strict))
            }
            (Act::Verify { token, strict: false }, Outcome::Accepted) => {
                let narrowed = |allows: &dyn Fn(&Operation) -> Option<Nanos>| {
                    self.is_narrowed(operation, token, allows)
                };
                let stale = if narrowed(&|_| Some(self.terms.bound)) {
                    Some(Broken::Bounded)
                } else if narrowed(&|narrowing| is_fenced(narrowing).then_some(0)) {
                    Some(Broken::Fenced)
                } else if narrowed(&|other| (other.node == operation.node).then_some(0)) {
                    Some(Broken::Local)
                } else {
                    None
                };
                self.accepted(operation, token, stale)
            }
            (Act::Issue { parent: Some(parent), .. }, Outcome::Done) => {
                let stale = self.is_narrowed(operation, parent, |_| Some(0));
                self.accepted(operation, parent, stale.then_some(Broken::Minted))
            }
            (Act::Verify { token, .. }, Outcome::Refused(_)) if self.is_live(operation, token) => {
                vec![Broken::FalselyRefused]
            }
            (Act::Connect { token }, outcome) => {
                let is_cut_off =
                    matches!(outcome, Outcome::Refused(_)) && self.is_live(operation, token);
                let cut_off = is_cut_off.then_some(Broken::CutOff);
                let is_left = outcome != Outcome::Indeterminate && self.is_left(operation, token);
                cut_off.into_iter().chain(is_left.then_some(Broken::LeftOpen)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn accepted(&self, operation: &Operation, token: u32, stale: Option<Broken>) -> Vec<Broken> {
        let mut broken = Vec::from_iter(stale);
        let is_refusal = |other: &&Operation| {
            let presented = match other.act {
                Act::Verify { token, .. } | Act::Connect { token } => Some(token),
                Act::Issue { parent, .. } => parent,
                _ => None,
            };
            other.outcome == Outcome::Refused(Reason::Revoked)
                && presented == Some(token)
                && other.node == operation.node
        };
        let mut refusals = self.history.iter().filter(is_refusal);
        if refusals.any(|refusal| refusal.returned_at <= operation.invoked_at) {
            broken.push(Broken::Resurrected);
        }
        let (issue, expires_at) = self.issue(token);
        if operation.invoked_at >= expires_at.saturating_add(self.terms.expiry_allowance) {
            broken.push(Broken::Expired);
        }
        if is_refused(issue) || operation.returned_at <= issue.invoked_at {
            broken.push(Broken::Unissued);
        }
        broken
    }

    /// Whether a narrowing, so much later than it returned as is said of it, forbids it.
    fn is_narrowed(
        &self,
        operation: &Operation,
        token: u32,
        allows: impl Fn(&Operation) -> Option<Nanos>,
    ) -> bool {
        self.history.iter().any(|narrowing| {
            allows(narrowing).is_some_and(|allowed| {
                self.certainly_hits(narrowing, token)
                    && operation.invoked_at >= narrowing.returned_at + allowed
                    && !self.may_be_lifted(narrowing, operation.returned_at)
            })
        })
    }

    fn may_be_lifted(&self, narrowing: &Operation, before: Nanos) -> bool {
        self.history.iter().any(|other| {
            lifts(other, narrowing)
                && !is_refused(other)
                && other.invoked_at < before
                && done_at(other) > narrowing.invoked_at
        })
    }

    fn is_live(&self, operation: &Operation, token: u32) -> bool {
        let (issue, expires_at) = self.issue(token);
        done_at(issue) <= operation.invoked_at
            && operation.returned_at + self.terms.expiry_allowance < expires_at
            && self.history.iter().all(|narrowing| {
                !self.may_hit(narrowing, token)
                    || narrowing.invoked_at >= operation.returned_at
                    || self.history.iter().any(|other| {
                        lifts(other, narrowing)
                            && other.invoked_at >= done_at(narrowing)
                            && done_at(other) <= operation.invoked_at
                    })
            })
    }

    /// Whether it was open at an instant at which no verification may accept.
    fn is_left(&self, operation: &Operation, token: u32) -> bool {
        let instants = |other: &Operation| [other.invoked_at, other.returned_at];
        let all = self.history.iter().flat_map(instants).filter(|at| *at < NEVER);
        let ended_at = operation.returned_at.min(all.max().unwrap_or_default());
        (operation.invoked_at..ended_at).any(|at| {
            self.history.iter().any(|narrowing| {
                self.certainly_hits(narrowing, token)
                    && at >= narrowing.returned_at + self.terms.bound
                    && !self.may_be_lifted(narrowing, at)
            })
        })
    }

    fn certainly_hits(&self, narrowing: &Operation, token: u32) -> bool {
        let is_by_name =
            matches!(narrowing.act, Act::Revoke { token: named, .. } if named == token);
        narrowing.outcome == Outcome::Done
            && self.means(narrowing, token)
            && (is_by_name
                || matches!(narrowing.act, Act::Deactivate { .. })
                || done_at(self.issue(token).0) <= narrowing.invoked_at)
    }

    fn may_hit(&self, narrowing: &Operation, token: u32) -> bool {
        let is_by_name =
            matches!(narrowing.act, Act::Revoke { token: named, .. } if named == token);
        !is_refused(narrowing)
            && self.means(narrowing, token)
            && (is_by_name
                || matches!(narrowing.act, Act::Deactivate { .. })
                || done_at(narrowing) > self.issue(token).0.invoked_at)
    }

    fn means(&self, narrowing: &Operation, token: u32) -> bool {
        match narrowing.act {
            Act::Deactivate { whom: Subject::Owner(owner), .. } | Act::RevokeAll { owner, .. } => {
                self.owner_and_parent(token).0 == owner
            }
            Act::Deactivate { whom: Subject::Token(named), .. } => named == token,
            Act::Revoke { token: named, cascades, .. } => {
                named == token || cascades && self.descends(token, named)
            }
            _ => false,
        }
    }

    fn descends(&self, token: u32, from: u32) -> bool {
        let parent = self.owner_and_parent(token).1;
        parent.is_some_and(|parent| parent == from || self.descends(parent, from))
    }

    fn owner_and_parent(&self, token: u32) -> (u32, Option<u32>) {
        match self.issue(token).0.act {
            Act::Issue { owner, parent, .. } => (owner, parent),
            act => panic!("{act:?} issues nothing"),
        }
    }

    /// The one that may have gone well, if there is such a one.
    fn issue(&self, token: u32) -> (&Operation, Nanos) {
        let issues = self.history.iter().filter_map(|operation| match operation.act {
            Act::Issue { token: issued, expires_at, .. } if issued == token => {
                Some((operation, expires_at))
            }
            _ => None,
        });
        issues.min_by_key(|(issue, _)| is_refused(issue)).expect("all tokens are issued")
    }
}

fn lifts(other: &Operation, narrowing: &Operation) -> bool {
    match (other.act, narrowing.act) {
        (Act::Reactivate { whom }, Act::Deactivate { whom: blocked, .. }) => whom == blocked,
        _ => false,
    }
}

const fn is_fenced(narrowing: &Operation) -> bool {
    matches!(
        narrowing.act,
        Act::Deactivate { fenced: true, .. }
            | Act::Revoke { fenced: true, .. }
            | Act::RevokeAll { fenced: true, .. }
    )
}

const fn is_refused(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Refused(_))
}

fn done_at(operation: &Operation) -> Nanos {
    if operation.outcome == Outcome::Done { operation.returned_at } else { NEVER }
}
