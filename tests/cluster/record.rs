//! What a node did, as it writes it down: 24 bytes each.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::history::{Act, NEVER, Nanos, Operation, Outcome, Reason, Subject};

/// The machine's steady clock, the same for all processes.
pub(crate) fn now() -> Nanos {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

/// What a node can do, each with the number that it is written down as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Deed {
    Verify,
    VerifyStrictly,
    Revoke,
    RevokeFenced,
    Deactivate,
    Reactivate,
    DeactivateOwner,
    ReactivateOwner,
}

const DEEDS: [Deed; 8] = [
    Deed::Verify,
    Deed::VerifyStrictly,
    Deed::Revoke,
    Deed::RevokeFenced,
    Deed::Deactivate,
    Deed::Reactivate,
    Deed::DeactivateOwner,
    Deed::ReactivateOwner,
];

const OUTCOMES: [Outcome; 6] = [
    Outcome::Accepted,
    Outcome::Done,
    Outcome::Indeterminate,
    Outcome::Refused(Reason::Revoked),
    Outcome::Refused(Reason::Unsaid),
    Outcome::Unavailable,
];

impl Deed {
    fn act(self, subject: u32) -> Act {
        let token = subject;
        match self {
            Self::Verify => Act::Verify { token, strict: false },
            Self::VerifyStrictly => Act::Verify { token, strict: true },
            Self::Revoke => Act::Revoke { token, cascades: true, fenced: false },
            Self::RevokeFenced => Act::Revoke { token, cascades: true, fenced: true },
            Self::Deactivate => Act::Deactivate { whom: Subject::Token(token), fenced: false },
            Self::Reactivate => Act::Reactivate { whom: Subject::Token(token) },
            Self::DeactivateOwner => {
                Act::Deactivate { whom: Subject::Owner(subject), fenced: false }
            }
            Self::ReactivateOwner => Act::Reactivate { whom: Subject::Owner(subject) },
        }
    }
}

/// A file of what a node did. What is written is there after the node's death; what is gathered
/// first, verifications, is lost with it and accuses nobody.
pub(crate) struct Book {
    file: File,
    gathered: Vec<u8>,
}

impl Book {
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::options().create(true).append(true).open(path).unwrap();
        Self { file, gathered: Vec::new() }
    }

    /// Before a change is asked for.
    pub(crate) fn begin(&mut self, deed: Deed, subject: u32, invoked_at: Nanos) {
        self.put(deed, subject, invoked_at, NEVER, Outcome::Indeterminate);
        self.write();
    }

    pub(crate) fn end(&mut self, deed: Deed, subject: u32, invoked_at: Nanos, outcome: Outcome) {
        self.put(deed, subject, invoked_at, now(), outcome);
        if !matches!(deed, Deed::Verify | Deed::VerifyStrictly) || self.gathered.len() > GATHERED {
            self.write();
        }
    }

    fn put(
        &mut self,
        deed: Deed,
        subject: u32,
        invoked_at: Nanos,
        returned_at: Nanos,
        outcome: Outcome,
    ) {
        let outcome = OUTCOMES.iter().position(|known| *known == outcome).unwrap();
        self.gathered.extend(invoked_at.to_le_bytes());
        self.gathered.extend(returned_at.to_le_bytes());
        self.gathered.extend(subject.to_le_bytes());
        self.gathered.extend([deed as u8, u8::try_from(outcome).unwrap(), 0, 0]);
    }

    /// In one call, so that nothing is there by half.
    pub(crate) fn write(&mut self) {
        self.file.write_all(&self.gathered).unwrap();
        self.gathered.clear();
    }
}

/// All that a node wrote down.
pub(crate) fn read(path: &Path, node: u16) -> Vec<Operation> {
    let bytes = std::fs::read(path).unwrap();
    let (whole, rest) = bytes.as_chunks::<RECORD>();
    assert!(rest.is_empty(), "a record by half");
    let mut known = HashSet::new();
    let mut all: Vec<_> = whole.iter().map(parsed).collect();
    // What has ended is told twice: when it began, and when it ended.
    all.sort_by_key(|(.., operation)| operation.returned_at);
    all.retain(|(deed, subject, operation)| {
        let is_verdict = matches!(deed, Deed::Verify | Deed::VerifyStrictly);
        is_verdict || known.insert((*deed, *subject, operation.invoked_at))
    });
    all.into_iter().map(|(.., operation)| Operation { node, ..operation }).collect()
}

fn parsed(bytes: &[u8; RECORD]) -> (Deed, u32, Operation) {
    let eight = |from: usize| u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap());
    let subject = u32::from_le_bytes(bytes[16..20].try_into().unwrap());
    let deed = DEEDS[usize::from(bytes[20])];
    let operation = Operation {
        invoked_at: eight(0),
        returned_at: eight(8),
        act: deed.act(subject),
        node: 0,
        outcome: OUTCOMES[usize::from(bytes[21])],
    };
    (deed, subject, operation)
}

const RECORD: usize = 24;

/// A thousand verifications.
const GATHERED: usize = 1000 * RECORD;
