//! How often a wrong password may be tried.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyfob::OwnerId;
use keyfob::ports::clock::Clock;
use tokio::sync::Notify;

/// Counts failures for each account and each peer address.
///
/// An attempt takes its place before the password is looked at, so that many at once do not get
/// more tries than one after the other. Where the places left are taken by attempts that are not
/// decided yet, the next one waits for them.
#[derive(Debug)]
pub(crate) struct Attempts {
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<Key, Window>>,
    decided: Notify,
}

/// Who tries to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// An account, whatever it was called.
    Account(OwnerId),
    /// A name that is nobody's: counted likewise, so that a count tells nothing.
    Nobody(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Peer(IpAddr),
    Subject(Subject),
}

#[derive(Debug, Default)]
struct Window {
    /// When the failures were, oldest first, in nanoseconds since the machine started.
    failures: VecDeque<u64>,
    undecided: usize,
}

/// Too many failures.
#[derive(Debug)]
pub(crate) struct TooMany {
    pub(crate) retry_in: Duration,
}

impl Attempts {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, windows: Mutex::default(), decided: Notify::new() }
    }

    /// A place for one attempt. It counts as a failure unless it is said not to be one.
    ///
    /// # Errors
    ///
    /// [`TooMany`] failures, of the account or from this address.
    pub(crate) async fn begin(
        &self,
        subject: Subject,
        peer: Option<IpAddr>,
    ) -> Result<Attempt<'_>, TooMany> {
        let subject = Key::Subject(subject);
        let peer = peer.map(|address| Key::Peer(network(address)));
        loop {
            let mut decided = pin!(self.decided.notified());
            decided.as_mut().enable();
            let is_free = {
                let mut windows = self.windows();
                let now = self.clock.boot_nanos();
                let keys = || [Some(&subject), peer.as_ref()].into_iter().flatten();
                let retry_at = keys()
                    .filter_map(|key| windows.get_mut(key)?.full_until(now))
                    .max()
                    .map(|at| Duration::from_nanos(at.saturating_sub(now)));
                if let Some(retry_in) = retry_at {
                    return Err(TooMany { retry_in });
                }
                let is_free = keys().all(|key| windows.get(key).is_none_or(Window::has_room));
                if is_free {
                    make_room(&mut windows, now);
                    for key in keys() {
                        let window = windows.entry(key.clone()).or_default();
                        window.undecided = window.undecided.saturating_add(1);
                    }
                }
                is_free
            };
            if is_free {
                let counts = Against::Both;
                return Ok(Attempt { attempts: self, subject, peer, counts });
            }
            decided.await;
        }
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, key: &Key, failed: bool) {
        let now = self.clock.boot_nanos();
        let mut windows = self.windows();
        let Some(window) = windows.get_mut(key) else { return };
        window.undecided = window.undecided.saturating_sub(1);
        if failed {
            window.failures.push_back(now);
        }
        if window.is_idle(now) {
            windows.remove(key);
        }
    }
}

/// An attempt that is being decided. Dropped without a word, it was a failure.
#[must_use = "an attempt that is dropped counts as a failure"]
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    subject: Key,
    peer: Option<Key>,
    counts: Against,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Against {
    Both,
    Nobody,
    Subject,
}

impl Attempt<'_> {
    /// The password was right, and all else that can be known.
    pub(crate) fn succeeded(mut self) {
        self.counts = Against::Nobody;
    }

    /// The password was right, and no second factor has let its holder in: a guess counts.
    pub(crate) fn without_second_factor(self, has_guessed: bool) {
        if has_guessed {
            self.failed_with_the_right_password();
        } else {
            self.succeeded();
        }
    }

    /// The password was right and something else was not: whoever holds it guesses no passwords
    /// from this address.
    pub(crate) fn failed_with_the_right_password(mut self) {
        self.counts = Against::Subject;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.attempts.decide(&self.subject, self.counts != Against::Nobody);
        if let Some(peer) = &self.peer {
            self.attempts.decide(peer, self.counts == Against::Both);
        }
        self.attempts.decided.notify_waiters();
    }
}

impl Window {
    /// Until when there are too many failures, if there are.
    fn full_until(&mut self, now: u64) -> Option<u64> {
        self.forget(now);
        let excess = self.failures.len().checked_sub(MOST_FAILURES)?;
        Some(self.failures.get(excess)?.saturating_add(WITHIN_NANOS))
    }

    fn has_room(&self) -> bool {
        self.failures.len().saturating_add(self.undecided) < MOST_FAILURES
    }

    fn is_idle(&mut self, now: u64) -> bool {
        self.forget(now);
        self.failures.is_empty() && self.undecided == 0
    }

    fn forget(&mut self, now: u64) {
        while self.failures.front().is_some_and(|at| at.saturating_add(WITHIN_NANOS) <= now) {
            self.failures.pop_front();
        }
    }
}

/// Forgets what no longer counts once there is much of it; if all of it counts, names that are
/// nobody's go, then addresses. An account is never forgotten, and accounts are few.
fn make_room(windows: &mut HashMap<Key, Window>, now: u64) {
    if windows.len() < MOST_WINDOWS {
        return;
    }
    windows.retain(|_, window| !window.is_idle(now));
    if windows.len() < MOST_WINDOWS {
        return;
    }
    windows.retain(|key, window| {
        window.undecided > 0 || !matches!(key, Key::Subject(Subject::Nobody(_)))
    });
    if windows.len() < MOST_WINDOWS {
        return;
    }
    windows.retain(|key, window| window.undecided > 0 || !matches!(key, Key::Peer(_)));
}

/// One IPv6 customer has 2^64 addresses, and counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

const MOST_FAILURES: usize = 10;

const WITHIN_NANOS: u64 = 5 * 60 * 1_000_000_000;

/// About 10 MiB.
const MOST_WINDOWS: usize = 65_536;
