//! Histories in few words. What is not said: node 0 did it, owner 0 has the token, it is not
//! fenced, and it went well.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::history::{
    Act, Broken, NEVER, Nanos, Operation, Outcome, Reason, Subject, Summary, Terms, check,
};
use crate::plain;

pub(crate) const TERMS: Terms = Terms { bound: 100, expiry_allowance: 0 };

pub(crate) const OWNER: Subject = Subject::Owner(0);

const fn operation(act: Act, outcome: Outcome, time: Range<Nanos>) -> Operation {
    Operation { invoked_at: time.start, returned_at: time.end, act, node: 0, outcome }
}

pub(crate) const fn accepted(token: u32, time: Range<Nanos>) -> Operation {
    operation(Act::Verify { token, strict: false }, Outcome::Accepted, time)
}

pub(crate) const fn refused(token: u32, time: Range<Nanos>) -> Operation {
    operation(Act::Verify { token, strict: false }, Outcome::Refused(Reason::Unsaid), time)
}

pub(crate) const fn connected(token: u32, time: Range<Nanos>) -> Operation {
    operation(Act::Connect { token }, Outcome::Accepted, time)
}

pub(crate) const fn issued(token: u32, time: Range<Nanos>) -> Operation {
    let act = Act::Issue { token, owner: 0, parent: None, expires_at: NEVER };
    operation(act, Outcome::Done, time)
}

pub(crate) const fn minted(token: u32, parent: u32, time: Range<Nanos>) -> Operation {
    let act = Act::Issue { token, owner: 0, parent: Some(parent), expires_at: NEVER };
    operation(act, Outcome::Done, time)
}

pub(crate) const fn revoked(token: u32, time: Range<Nanos>) -> Operation {
    operation(Act::Revoke { token, cascades: false, fenced: false }, Outcome::Done, time)
}

pub(crate) const fn cascaded(token: u32, time: Range<Nanos>) -> Operation {
    operation(Act::Revoke { token, cascades: true, fenced: false }, Outcome::Done, time)
}

pub(crate) const fn revoked_all(owner: u32, time: Range<Nanos>) -> Operation {
    operation(Act::RevokeAll { owner, fenced: false }, Outcome::Done, time)
}

pub(crate) const fn deactivated(whom: Subject, time: Range<Nanos>) -> Operation {
    operation(Act::Deactivate { whom, fenced: false }, Outcome::Done, time)
}

pub(crate) const fn reactivated(whom: Subject, time: Range<Nanos>) -> Operation {
    operation(Act::Reactivate { whom }, Outcome::Done, time)
}

pub(crate) const fn token(token: u32) -> Subject {
    Subject::Token(token)
}

/// What else may be said.
pub(crate) trait Said {
    fn on(self, node: u16) -> Self;
    fn ended(self, outcome: Outcome) -> Self;
    fn strictly(self) -> Self;
    fn fenced(self) -> Self;
    fn until(self, expires_at: Nanos) -> Self;
    fn of(self, owner: u32) -> Self;
}

impl Said for Operation {
    fn on(self, node: u16) -> Self {
        Self { node, ..self }
    }

    fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    fn strictly(mut self) -> Self {
        match &mut self.act {
            Act::Verify { strict, .. } => *strict = true,
            act => panic!("{act:?} is not strict or bounded"),
        }
        self
    }

    fn fenced(mut self) -> Self {
        match &mut self.act {
            Act::Deactivate { fenced, .. }
            | Act::Revoke { fenced, .. }
            | Act::RevokeAll { fenced, .. } => *fenced = true,
            act => panic!("{act:?} cannot be fenced"),
        }
        self
    }

    fn until(mut self, at: Nanos) -> Self {
        match &mut self.act {
            Act::Issue { expires_at, .. } => *expires_at = at,
            act => panic!("{act:?} does not expire"),
        }
        self
    }

    fn of(mut self, whose: u32) -> Self {
        match &mut self.act {
            Act::Issue { owner, .. } => *owner = whose,
            act => panic!("{act:?} has no owner"),
        }
        self
    }
}

/// This and nothing else is wrong: the operation in this place breaks it.
pub(crate) fn breaks(broken: Broken, place: usize, history: &[Operation]) {
    breaks_by(TERMS, broken, place, history);
}

pub(crate) fn breaks_by(terms: Terms, broken: Broken, place: usize, history: &[Operation]) {
    assert_eq!(plain::violations(history, &terms), BTreeSet::from([(place, broken)]));
    let violations = check(history, &terms).expect_err("it is accepted");
    let found: Vec<_> = violations.iter().map(|found| (found.operation, found.broken)).collect();
    assert_eq!(found, [(place, broken)], "{}", violations[0].tell(history));
}

/// It makes no sense: the operation in this place is to blame.
pub(crate) fn is_nonsense(broken: Broken, place: usize, history: &[Operation]) {
    let violations = check(history, &TERMS).expect_err("it is accepted");
    let found: Vec<_> = violations.iter().map(|found| (found.operation, found.broken)).collect();
    assert_eq!(found, [(place, broken)]);
}

pub(crate) fn holds(history: &[Operation]) -> Summary {
    holds_by(TERMS, history)
}

pub(crate) fn holds_by(terms: Terms, history: &[Operation]) -> Summary {
    assert_eq!(plain::violations(history, &terms), BTreeSet::new());
    check(history, &terms).unwrap_or_else(|violations| panic!("{}", violations[0].tell(history)))
}
