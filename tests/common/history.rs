//! What was done to the tokens of a cluster and what came of it, judged by the revocation
//! contract.
//!
//! A history is a list of [`Operation`]s in any order, of all nodes, told by one clock. [`check`]
//! knows nothing of the nodes or of the store but this list: whatever they do inside, a promise
//! that they break is seen in it. Restarts need no word of their own. A node keeps its number
//! through its deaths, and a narrowing that was acknowledged is expected to hold whichever
//! process or store has died since: that it is durable is among what is checked.
//!
//! One operation comes before another if it had returned when the other was invoked, and "when"
//! includes the same instant. A clock that stands still between events, as a simulated one may,
//! must therefore be advanced by a nanosecond for each of them, or order is seen where none was.
//!
//! What nobody was told may have happened: an operation that is indeterminate, was answered
//! "unavailable" or died with its process takes effect at some time after its invocation, or
//! never. It accuses nobody and excuses much.
//!
//! What was accepted is judged by each narrowing alone. That a token was at every instant blocked
//! by one of two, of which each was lifted in time, is not noticed.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails where it panics, in its helpers too"
)]

#[path = "history/fates.rs"]
mod fates;
#[path = "history/judge.rs"]
mod judge;
#[path = "history/level.rs"]
mod level;
#[path = "history/spans.rs"]
mod spans;

/// An instant or a length, in nanoseconds.
pub(crate) type Nanos = u64;

/// When that happens which does not.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// Something that a node did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) invoked_at: Nanos,
    /// [`NEVER`] if the process died before, or if a connection is still open.
    pub(crate) returned_at: Nanos,
    pub(crate) act: Act,
    /// A restarted node is the same node.
    pub(crate) node: u16,
    pub(crate) outcome: Outcome,
}

/// What was asked. Tokens are numbered from 0 without great gaps, for a vector keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A live connection, from its opening until its guard ended.
    Connect { token: u32 },
    /// Blocks until it is reactivated. Deleting an owner is this and a [`RevokeAll`](Self::RevokeAll).
    Deactivate { whom: Subject, fenced: bool },
    /// With a parent, it was minted by that token, which is judged strictly.
    Issue { token: u32, owner: u32, parent: Option<u32>, expires_at: Nanos },
    /// Lifts what [`Deactivate`](Self::Deactivate) did to the same subject, and nothing else.
    Reactivate { whom: Subject },
    /// Ends for good, if it cascades with all that descend from it and exist.
    Revoke { token: u32, cascades: bool, fenced: bool },
    /// Ends for good all tokens of the owner that exist.
    RevokeAll { owner: u32, fenced: bool },
    /// Bounded unless it is strict.
    Verify { token: u32, strict: bool },
}

/// What is deactivated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// All its tokens, those to come too.
    Owner(u32),
    Token(u32),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A verification accepted. A connection is open, or was closed by the host or its client.
    Accepted,
    /// Anything else did what was asked.
    Done,
    /// Nobody knows: its process died, or it said so.
    Indeterminate,
    /// A verification refused, a guard ended its connection for this reason, or anything else
    /// changed nothing.
    Refused(Reason),
    /// It was not known whether the token is good, or whether the change was made.
    Unavailable,
}

/// Why a token was refused, as far as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Deactivated,
    Expired,
    Revoked,
    Unsaid,
}

/// What is promised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long after a narrowing returned other nodes may still accept.
    pub(crate) bound: Nanos,
    /// How far the clock that expiry is judged by may be off the history's, either way.
    pub(crate) expiry_allowance: Nanos,
}

/// A promise, named by how it was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Broken {
    /// A node accepted later than the bound after a narrowing.
    Bounded,
    /// A guard ended a connection though the token was certainly live all the while.
    CutOff,
    /// Accepted or minted when it had expired.
    Expired,
    /// Refused though it was certainly live all the while.
    FalselyRefused,
    /// A node accepted after a fenced narrowing.
    Fenced,
    /// A token was issued twice. Nothing else of the history is judged.
    IssuedTwice,
    /// A guard left a connection open later than the bound after a narrowing.
    LeftOpen,
    /// A node accepted after a narrowing of its own.
    Local,
    /// It returned before it was invoked, or with what cannot come of it. Nothing else of the
    /// history is judged.
    Malformed,
    /// A token minted another after its narrowing.
    Minted,
    /// A node accepted what it had refused as revoked.
    Resurrected,
    /// A strict verification accepted after a narrowing.
    Strict,
    /// Accepted or minted before anybody asked to issue it.
    Unissued,
    /// No operation issues the token. Nothing else of the history is judged.
    UnknownToken,
}

/// Who broke what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The place of the operation in the history.
    pub(crate) operation: usize,
    pub(crate) broken: Broken,
    /// The place of the one that it contradicts, if there is such a one.
    pub(crate) against: Option<usize>,
}

impl Violation {
    /// What a person reads, with the operations themselves.
    pub(crate) fn tell(&self, history: &[Operation]) -> String {
        let tell = |place: usize| format!("#{place} {:?}", history.get(place));
        let against =
            self.against.map_or_else(String::new, |place| format!(" against {}", tell(place)));
        format!("{:?}: {}{against}", self.broken, tell(self.operation))
    }
}

/// What a history without violations is evidence of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) bounded: Verdicts,
    pub(crate) strict: Verdicts,
    pub(crate) connections: u64,
    /// Tokens that were issued, the minted ones too.
    pub(crate) issued: u64,
    pub(crate) minted: u64,
    /// Revocations and deactivations that were done.
    pub(crate) narrowed: u64,
    pub(crate) reactivated: u64,
    /// Operations with an unknown end.
    pub(crate) unknown: u64,
    /// For each narrowing and each other node that accepted after it: how long after it the last
    /// one was invoked. From the shortest to the longest. What had been narrowed already is not
    /// narrowed again.
    pub(crate) lags: Vec<Nanos>,
}

/// How often verifications ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// Of those that were refused: they had to be, by a narrowing that was known to be done. A
    /// history without any shows nothing.
    pub(crate) barred: u64,
    pub(crate) unavailable: u64,
}

/// Judges a history, in `n log n` steps.
///
/// Chains of mints are walked from each of their tokens: they are taken to be short.
///
/// # Errors
///
/// All violations, in the order of the history.
pub(crate) fn check(history: &[Operation], terms: &Terms) -> Result<Summary, Vec<Violation>> {
    judge::judge(history, terms)
}
