//! Each operation of a history in turn, held against what is known of its token.

use std::collections::HashMap;

use super::fates::Fates;
use super::level::Level;
use super::{
    Act, Broken, NEVER, Nanos, Operation, Outcome, Reason, Summary, Terms, Verdicts, Violation,
};

pub(crate) fn judge(history: &[Operation], terms: &Terms) -> Result<Summary, Vec<Violation>> {
    let fates = Fates::of(history, terms.bound)?;
    let mut judge = Judge {
        terms,
        fates,
        revoked: refused_as_revoked(history),
        ended_at: ended_at(history),
        violations: Vec::new(),
        lags: HashMap::new(),
        summary: Summary::default(),
    };
    for (place, operation) in history.iter().enumerate() {
        judge.hear(place, operation);
    }
    let Judge { violations, lags, mut summary, .. } = judge;
    if violations.is_empty() {
        summary.lags = lags.into_values().collect();
        summary.lags.sort_unstable();
        return Ok(summary);
    }
    Err(violations)
}

struct Judge<'a> {
    terms: &'a Terms,
    fates: Fates,
    revoked: HashMap<(u32, u16), (Nanos, usize)>,
    ended_at: Nanos,
    violations: Vec<Violation>,
    /// By the place of the narrowing and the node that was late.
    lags: HashMap<(usize, u16), Nanos>,
    summary: Summary,
}

impl Judge<'_> {
    fn hear(&mut self, place: usize, operation: &Operation) {
        let (summary, outcome) = (&mut self.summary, operation.outcome);
        let is_done = u64::from(outcome == Outcome::Done);
        match operation.act {
            Act::Connect { token } => {
                summary.connections += 1;
                self.connection(place, operation, token);
            }
            Act::Deactivate { .. } | Act::Revoke { .. } | Act::RevokeAll { .. } => {
                summary.narrowed += is_done;
            }
            Act::Issue { parent, .. } => {
                summary.issued += is_done;
                if let (Some(parent), Outcome::Done) = (parent, outcome) {
                    summary.minted += 1;
                    self.used(place, operation, parent);
                }
            }
            Act::Reactivate { .. } => summary.reactivated += is_done,
            Act::Verify { token, strict } => self.verification(place, operation, token, strict),
        }
        self.summary.unknown += u64::from(outcome == Outcome::Indeterminate);
    }

    fn verification(&mut self, place: usize, operation: &Operation, token: u32, strict: bool) {
        let mut verdicts = Verdicts::default();
        match operation.outcome {
            Outcome::Accepted => {
                verdicts.accepted += 1;
                self.used(place, operation, token);
                self.measure(operation, token);
            }
            Outcome::Refused(_) => {
                verdicts.refused += 1;
                verdicts.barred += u64::from(self.narrowed(operation, token).is_some());
                if self.was_live(operation, token) {
                    self.report(place, Broken::FalselyRefused, None);
                }
            }
            Outcome::Unavailable => verdicts.unavailable += 1,
            Outcome::Done | Outcome::Indeterminate => {}
        }
        let sum = if strict { &mut self.summary.strict } else { &mut self.summary.bounded };
        sum.accepted += verdicts.accepted;
        sum.refused += verdicts.refused;
        sum.barred += verdicts.barred;
        sum.unavailable += verdicts.unavailable;
    }

    /// A token was accepted, or minted another.
    fn used(&mut self, place: usize, operation: &Operation, token: u32) {
        if let Some((broken, against)) = self.narrowed(operation, token) {
            self.report(place, broken, Some(against));
        }
        if let Some((refused_at, against)) = self.revoked.get(&(token, operation.node)).copied()
            && operation.invoked_at >= refused_at
        {
            self.report(place, Broken::Resurrected, Some(against));
        }
        let fate = *self.fates.of_token(token);
        if operation.invoked_at >= fate.expires_at.saturating_add(self.terms.expiry_allowance) {
            self.report(place, Broken::Expired, None);
        }
        if operation.returned_at <= fate.invoked_at {
            self.report(place, Broken::Unissued, None);
        }
    }

    /// The promise that an acceptance breaks by a narrowing, and which one that is.
    fn narrowed(&self, operation: &Operation, token: u32) -> Option<(Broken, usize)> {
        let (from, to) = (operation.invoked_at, operation.returned_at);
        let find = |broken: Broken, off: &dyn Fn(&Level) -> Option<usize>| {
            Some((broken, self.fates.levels(token).find_map(off)?))
        };
        let at_once = |level: &Level| level.off.everywhere.around(from, to).map(|span| span.place);
        match operation.act {
            Act::Issue { .. } => find(Broken::Minted, &at_once),
            Act::Verify { strict: true, .. } => find(Broken::Strict, &at_once),
            _ => find(Broken::Bounded, &|level| Some(level.overdue.around(from, to)?.place))
                .or_else(|| {
                    find(Broken::Fenced, &|level| Some(level.off.fenced.around(from, to)?.place))
                })
                .or_else(|| {
                    let node = operation.node;
                    find(Broken::Local, &|level| {
                        Some(level.off.on_node.get(&node)?.around(from, to)?.place)
                    })
                }),
        }
    }

    /// How late an acceptance was: on the node that narrowed, or a strict one, none is late that
    /// is no violation.
    fn measure(&mut self, operation: &Operation, token: u32) {
        for level in self.fates.levels(token) {
            let off = level.off.everywhere.around(operation.invoked_at, operation.returned_at);
            let Some(span) = off else { continue };
            let lag = operation.invoked_at.saturating_sub(span.start);
            if lag > 0 {
                let last = self.lags.entry((span.place, operation.node)).or_default();
                *last = lag.max(*last);
            }
        }
    }

    fn connection(&mut self, place: usize, operation: &Operation, token: u32) {
        match operation.outcome {
            Outcome::Refused(_) if self.was_live(operation, token) => {
                self.report(place, Broken::CutOff, None);
            }
            // The connections of a process end with it, and nobody notes when.
            Outcome::Indeterminate => return,
            _ => {}
        }
        // To be open is as good as to be accepted at every instant.
        let (from, to) = (operation.invoked_at, operation.returned_at.min(self.ended_at));
        let overdue = |level: &Level| Some(level.overdue.within(from, to)?.place);
        let against = self.fates.levels(token).find_map(overdue);
        if let Some(against) = against {
            self.report(place, Broken::LeftOpen, Some(against));
        }
    }

    /// Whether there is no instant of the operation at which the token may have been dead.
    fn was_live(&self, operation: &Operation, token: u32) -> bool {
        let (from, to) = (operation.invoked_at, operation.returned_at);
        let fate = self.fates.of_token(token);
        fate.returned_at <= from
            && to.saturating_add(self.terms.expiry_allowance) < fate.expires_at
            && self.fates.levels(token).all(|level| level.on.around(from, to).is_some())
    }

    fn report(&mut self, operation: usize, broken: Broken, against: Option<usize>) {
        self.violations.push(Violation { operation, broken, against });
    }
}

/// When and where a node first said of a token that it is revoked.
fn refused_as_revoked(history: &[Operation]) -> HashMap<(u32, u16), (Nanos, usize)> {
    let mut first = HashMap::new();
    for (place, operation) in history.iter().enumerate() {
        let token = match operation.act {
            Act::Connect { token } | Act::Verify { token, .. } => Some(token),
            Act::Issue { parent, .. } => parent,
            _ => None,
        };
        if let (Some(token), Outcome::Refused(Reason::Revoked)) = (token, operation.outcome) {
            let refusal = (operation.returned_at, place);
            let known = first.entry((token, operation.node)).or_insert(refusal);
            *known = refusal.min(*known);
        }
    }
    first
}

/// The last instant that the history tells of.
fn ended_at(history: &[Operation]) -> Nanos {
    let instants = history.iter().flat_map(|operation| {
        [Some(operation.returned_at).filter(|at| *at < NEVER), Some(operation.invoked_at)]
    });
    instants.flatten().max().unwrap_or_default()
}
