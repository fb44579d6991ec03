//! One crate, with tokens of its own.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use crate::rounds::{ready, together};

/// How many tokens each peer has.
pub(crate) const TOKENS: usize = 1_000;

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The crate whose version is told; none for what is written here.
    pub(crate) package: Option<&'static str>,
    pub(crate) revokes: Revokes,
    /// What a verification looks at.
    pub(crate) checks: &'static str,
    /// Each is accepted.
    pub(crate) live: Vec<String>,
    /// One that another issuer made, of the same shape.
    pub(crate) foreign: String,
    /// One that was accepted once.
    pub(crate) revoked: Option<String>,
    pub(crate) verify: Box<dyn Verify>,
}

/// Who can end a token before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revokes {
    /// The crate, by a call.
    Itself,
    /// The caller, who keeps the tokens.
    TheCaller,
    /// Nobody: a signature stays right.
    Nobody,
}

impl fmt::Display for Revokes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Itself => "yes",
            Self::TheCaller => "the caller's map",
            Self::Nobody => "no",
        })
    }
}

impl Peer {
    /// Accepts what it must and refuses what it must; otherwise its time would mean nothing.
    pub(crate) fn is_honest(&self) {
        let name = self.name;
        assert_eq!(self.live.len(), TOKENS, "{name}");
        for text in &self.live {
            assert!(self.verify.one(text), "{name} refuses its own {text}");
        }
        let altered = altered(&self.live[0]);
        assert!(!self.verify.one(&altered), "{name} accepts the altered {altered}");
        assert!(!self.verify.one(&self.foreign), "{name} accepts another issuer's");
        assert_eq!(
            self.foreign.len().abs_diff(self.live[0].len()) < 9,
            true,
            "{name}: other shape"
        );
        assert_eq!(self.revoked.is_some(), self.revokes != Revokes::Nobody, "{name}");
        if let Some(revoked) = &self.revoked {
            assert!(!self.verify.one(revoked), "{name} accepts what was revoked");
        }
    }

    /// How many verifications take about so long.
    pub(crate) fn calls_in(&self, slice: Duration) -> usize {
        let nanos = self.nanos(0, 100).min(self.nanos(100, 100));
        ((slice.as_nanos() as f64 / nanos) as usize).max(10)
    }

    /// Nanoseconds a verification.
    pub(crate) fn nanos(&self, first: usize, calls: usize) -> f64 {
        together(1, |_| {
            // What was measured before it has filled the caches with its own.
            self.verify.many(&self.live, first, calls);
            || self.verify.many(&self.live, first, calls)
        }) / calls as f64
    }

    pub(crate) fn version(&self) -> &'static str {
        self.package.map_or("-", locked_version)
    }
}

/// One character of the last ones is another: not the very last, of which some bits may mean nothing.
fn altered(text: &str) -> String {
    let place = text.len() - 10;
    let other = if text.as_bytes()[place] == b'A' { "B" } else { "A" };
    [&text[..place], other, &text[place + 1..]].concat()
}

/// The version that this was built with, as the lock file tells.
fn locked_version(package: &str) -> &'static str {
    let start = format!("name = \"{package}\"\nversion = \"");
    let mut found = include_str!("../Cargo.lock").split(&start).skip(1);
    let version = found.next().and_then(|rest| rest.split('"').next());
    assert!(found.next().is_none(), "two versions of {package}");
    version.unwrap()
}

/// Says whether a text is accepted. What is called thousands of times is known to the compiler, and
/// awaited where it is called, as a request's handler does.
pub(crate) trait Verify: Sync {
    fn one(&self, text: &str) -> bool;
    fn many(&self, texts: &[String], first: usize, calls: usize);
}

impl<F: AsyncFn(&str) -> bool + Sync> Verify for F {
    fn one(&self, text: &str) -> bool {
        ready(self(text))
    }

    fn many(&self, texts: &[String], first: usize, calls: usize) {
        ready(async {
            let mut number = first % texts.len();
            for _ in 0..calls {
                assert!(self(black_box(&texts[number])).await, "a live token was refused");
                number = if number + 1 == texts.len() { 0 } else { number + 1 };
            }
        });
    }
}
