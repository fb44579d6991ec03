//! Connections that end with the token that opened them.

mod registry;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use self::registry::Entry;
pub(super) use self::registry::{Registry, Touch};
use crate::core::error::Refusal;
use crate::core::scope::Scope;
use crate::core::token::Expiry;
use crate::core::verify::micros;
use crate::ports::store::StoreError;
use crate::ports::timer::Timer;
use crate::service::error::AuthenticateError;
use crate::service::upkeep::{all, either};
use crate::service::usage::Noticed;
use crate::service::verified::Verified;
use crate::service::{Inner, Tokens};

/// An open connection of a token. Dropped, it is forgotten.
///
/// It ends by itself where [`upkeep`](Tokens::upkeep) runs: without it nobody looks.
#[must_use = "a connection that is not watched goes on whatever becomes of its token"]
pub struct Live {
    entry: Arc<Entry>,
    registry: Arc<Registry>,
}

/// Why a connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The token was deactivated.
    Deactivated,
    /// The token has expired, or the policy lets it live no longer.
    Expired,
    /// The token may do less than when the connection was opened.
    Narrowed,
    /// The token's owner was deactivated.
    OwnerDeactivated,
    /// The token was revoked, or its owner deleted.
    Revoked,
    /// The secret was replaced, and its overlap is over.
    Superseded,
    /// It could not be shown for the length of the bound that the token is still live.
    Unavailable,
}

impl EndReason {
    /// The stable code of this reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Narrowed => "narrowed",
            Self::OwnerDeactivated => "owner_deactivated",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::Unavailable => "unavailable",
        }
    }

    const fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Deactivated => Self::Deactivated,
            Refusal::OwnerDeactivated => Self::OwnerDeactivated,
            Refusal::Superseded => Self::Superseded,
            Refusal::Expired | Refusal::Idle | Refusal::NotYetValid | Refusal::Policy => {
                Self::Expired
            }
            // Nothing else ends what was accepted once; and what is not there was pruned.
            _ => Self::Revoked,
        }
    }
}

impl Live {
    /// Whether the connection may go on: one load, for every frame.
    #[inline]
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.entry.end().is_none()
    }

    /// Returns when the connection must end: within the bound of whatever ended the token, and in
    /// milliseconds where the store tells of changes. One caller at a time is woken.
    pub async fn ended(&self) -> EndReason {
        poll_fn(|context| match self.entry.end() {
            Some(reason) => Poll::Ready(reason),
            None => self.entry.wait(context.waker()),
        })
        .await
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.registry.forget(&self.entry);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("ended", &self.entry.end()).finish_non_exhaustive()
    }
}

impl<S: Scope> Tokens<S> {
    /// Watches over a connection that a verified token has opened.
    ///
    /// The token is judged anew by the store, so that nothing that ended it since it was verified
    /// is missed.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError`]: it would no longer be accepted, or the store cannot be asked.
    pub async fn live(&self, verified: &Verified) -> Result<Live, AuthenticateError> {
        let inner = &*self.inner;
        // The connection ends when the index may not be used any more; so it must be usable now.
        inner.now().await?;
        let entry = inner.live.watch(verified);
        // Registered first: whatever changes from here on touches it.
        let live = Live { entry, registry: Arc::clone(&inner.live) };
        let (_, deadline) = inner.find_again(verified).await??;
        inner.live.expect(&live.entry, micros_of(deadline));
        Ok(live)
    }

    /// How many connections are watched over.
    #[must_use]
    pub fn live_connections(&self) -> usize {
        self.inner.live.count()
    }
}

impl<S: Scope> Inner<S> {
    /// Ends connections whose tokens have ended, and all of them when that cannot be known.
    pub(super) async fn keep_live(&self, timer: &dyn Timer) {
        loop {
            let left = self.time_until_live_ends();
            either(self.live.rung(), timer.wait(left)).await;
            if self.live.count() == 0 {
                continue;
            }
            if !self.index.lease().holds(self.clock.reading()) {
                self.show_again(timer).await;
            }
            self.live.expire(micros(self.known_now()), self.lease_end());
            loop {
                self.live.give_up(self.clock.steady_nanos());
                let docket = self.live.due(AT_ONCE);
                if docket.entries.is_empty() {
                    break;
                }
                let judges = docket.entries.iter();
                let judges = judges.map(|(entry, touches)| self.judge_live(entry, *touches));
                let mut is_well = false;
                let judging = async {
                    is_well = all(judges.collect()).await.into_iter().all(|is_judged| is_judged);
                };
                // A store that does not answer does not keep a connection open.
                let left = docket.until.saturating_sub(self.clock.steady_nanos());
                either(judging, timer.wait(Duration::from_nanos(left))).await;
                if !is_well {
                    timer.wait(RETRY).await;
                }
            }
        }
    }

    /// For how long nothing ends by time alone.
    fn time_until_live_ends(&self) -> Duration {
        let lease = self.lease_end().saturating_sub(self.clock.steady_nanos());
        let now = micros(self.known_now());
        let expiry = self.live.next_expiry().saturating_sub(now).max(0).unsigned_abs();
        let interval = self.keeping.interval();
        // With an end that is past, or none, there is nothing to wait for but the next poll.
        let lease = if lease == 0 { interval } else { Duration::from_nanos(lease) };
        lease.min(Duration::from_micros(expiry)).min(interval).max(RETRY)
    }

    fn lease_end(&self) -> u64 {
        self.index.lease().until_nanos
    }

    /// The lease is over. Where this process stood still, or its date was set, the store may be as
    /// well as ever and is asked once more; where the store has not answered for a whole bound, no
    /// connection can be shown to be live.
    async fn show_again(&self, timer: &dyn Timer) {
        let (now, end) = (self.clock.steady_nanos(), self.lease_end());
        let (late, left) = (now.saturating_sub(end), end.saturating_sub(now));
        let interval = self.keeping.interval();
        let half = Duration::from_nanos(late).saturating_mul(2);
        if late == 0 || half > interval {
            let asking = async {
                // What comes of it is seen by whether there is a lease.
                let _ = self.poll().await;
            };
            // A date that was set has ended the lease early; its time is the most that there is.
            let patience =
                if late > 0 { interval } else { interval.min(Duration::from_nanos(left)) };
            either(asking, timer.wait(patience)).await;
        }
        if !self.index.lease().holds(self.clock.reading()) {
            self.live.end_all(EndReason::Unavailable);
        }
    }

    /// Says whether the store could be asked.
    async fn judge_live(&self, entry: &Entry, touches: u32) -> bool {
        if entry.end().is_none() {
            match self.judge_once(entry).await {
                Ok(Ok(deadline)) => self.live.expect(entry, deadline),
                Ok(Err(reason)) => entry.finish(reason),
                Err(_) => return false,
            }
        }
        self.live.is_judged(entry, touches);
        true
    }

    async fn judge_once(&self, entry: &Entry) -> Result<Result<i64, EndReason>, StoreError> {
        let verified = entry.verified(self.mark);
        let mut found = self.find_again(&verified).await?;
        if let Err(Refusal::Idle) = found {
            // A connection that is open is a use.
            let now = micros(self.known_now());
            let (token, owner) = (verified.id, verified.owner);
            self.recorder.record(Noticed { token, owner, at_micros: now, from: None });
            self.flush_usage().await?;
            found = self.find_again(&verified).await?;
        }
        Ok(match found {
            Ok((record, deadline)) => match self.index.handles(&record, &self.rates) {
                Some((_, class)) if class == verified.class => Ok(micros_of(deadline)),
                _ => Err(EndReason::Narrowed),
            },
            Err(refusal) => Err(EndReason::of(refusal)),
        })
    }
}

fn micros_of(deadline: Expiry) -> i64 {
    match deadline {
        Expiry::At(at) => micros(at),
        Expiry::Never => i64::MAX,
    }
}

/// How many tokens are asked of the store at a time.
const AT_ONCE: usize = 64;

/// A store that failed a moment ago is not asked at once again.
const RETRY: Duration = Duration::from_millis(1);
