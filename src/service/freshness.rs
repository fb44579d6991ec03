//! Keeping the index as fresh as the contract says, and telling how fresh it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::core::epoch::{Epoch, Touched};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::freshness::Effect;
use crate::core::scope::Scope;
use crate::ports::store::{NodeId, NodeReport, StoreError};
use crate::service::live::Touch;
use crate::service::upkeep::Bell;
use crate::service::{Inner, Tokens};

/// What a service knows of itself as one of several on a store.
pub(super) struct Keeping {
    /// What others tell it by; without a name it cannot be waited for, and remembers nothing.
    node: Option<NodeId>,
    pub(super) bound: Duration,
    is_asking: AtomicBool,
    /// The epoch that was reported last.
    reported: AtomicU64,
    polls: AtomicU64,
    failed_polls: AtomicU64,
    flushes: AtomicU64,
    histories_lost: AtomicU64,
    lags: [AtomicU64; LAGS],
    /// Rung when there is something to report.
    pub(super) reports: Bell,
}

impl Keeping {
    pub(super) fn new(node: Option<NodeId>, bound: Duration) -> Self {
        Self {
            node,
            bound,
            is_asking: AtomicBool::new(false),
            reported: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            failed_polls: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            histories_lost: AtomicU64::new(0),
            lags: std::array::from_fn(|_| AtomicU64::new(0)),
            reports: Bell::default(),
        }
    }

    /// How often the store is asked when it tells of nothing: eight times in a bound, so that a few
    /// questions may be lost before a lease is.
    pub(super) fn interval(&self) -> Duration {
        self.bound.checked_div(8).unwrap_or(self.bound)
    }

    fn count_lag(&self, lag: TimeDelta) {
        // A change of this moment may have been made after this moment by the other's clock.
        let millis = u64::try_from(lag.num_milliseconds()).unwrap_or_default();
        let bits = u64::BITS.saturating_sub(millis.leading_zeros());
        let place = usize::try_from(bits).unwrap_or(LAGS).min(LAGS.saturating_sub(1));
        if let Some(count) = self.lags.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How fresh a service's index is, for whoever operates it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FreshnessReport {
    /// Everything up to this epoch is known here; `None` before the first answer of the store.
    pub applied: Option<Epoch>,
    /// For how long the index may still be used without an answer of the store; zero when every
    /// verification asks it.
    pub lease_left: Duration,
    /// How often the store was asked what changed.
    pub polls: u64,
    /// How often it did not answer.
    pub failed_polls: u64,
    /// How often everything was forgotten, because the store did not remember as far back as this
    /// service had been away.
    pub flushes: u64,
    /// How often the store had lost changes that it had acknowledged. Anything but zero is for a
    /// person to look at: what was revoked then may be alive again.
    pub histories_lost: u64,
    /// How long after they were made others' changes were applied here: the first counts those
    /// within a millisecond, and each further one those within twice as long as the one before, up
    /// to the last, which counts all others. Of changes that came together the oldest counts.
    pub lags: [u64; LAGS],
}

impl<S: Scope> Tokens<S> {
    /// How fresh the index is.
    #[must_use]
    pub fn freshness(&self) -> FreshnessReport {
        let (inner, keeping) = (&*self.inner, &self.inner.keeping);
        let (lease, at) = (inner.index.lease(), inner.clock.reading());
        let left = lease.until_nanos.saturating_sub(at.steady_nanos);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FreshnessReport {
            applied: inner.index.applied(),
            lease_left: Duration::from_nanos(if lease.holds(at) { left } else { 0 }),
            polls: count(&keeping.polls),
            failed_polls: count(&keeping.failed_polls),
            flushes: count(&keeping.flushes),
            histories_lost: count(&keeping.histories_lost),
            lags: keeping.lags.each_ref().map(count),
        }
    }
}

impl<S: Scope> Inner<S> {
    /// Asks the store what changed, once. With no lease afterwards nothing has been shown, and
    /// every verification asks the store.
    pub(super) async fn poll(&self) -> Result<(), StoreError> {
        if self.index.registered_for(self.clock.reading()).is_zero() {
            self.register().await?;
        }
        let poll = self.index.poll(self.clock.reading());
        self.keeping.polls.fetch_add(1, Ordering::Relaxed);
        let answer = self.store.invalidations(poll.since()).await;
        let answer = answer.inspect_err(|_| {
            self.keeping.failed_polls.fetch_add(1, Ordering::Relaxed);
        })?;
        let poll_from = self.index.applied();
        // What this answer tells of had not returned when the one before it was asked for.
        let until = self.index.lease().until_nanos;
        let effects = self.index.answered(poll, self.clock.reading(), &answer);
        for effect in &effects {
            if let Effect::Forget(touched) = effect {
                self.touch_live(touched, until);
            }
            match effect {
                Effect::Forget(Touched::Everything) if poll_from.is_some() => {
                    self.keeping.flushes.fetch_add(1, Ordering::Relaxed);
                }
                Effect::HistoryLost { seen, now } => self.alarm(*seen, *now),
                _ => {}
            }
        }
        if self.is_unreported() {
            self.keeping.reports.ring();
        }
        // Own changes are no news here.
        let is_news = effects.iter().any(|effect| matches!(effect, Effect::Forget(_)));
        if let Some(first_at) = answer.first_at.filter(|_| is_news) {
            let now = answer.now.unwrap_or_else(|| self.clock.now());
            self.keeping.count_lag(now.signed_duration_since(first_at));
        }
        Ok(())
    }

    /// This service has made the change of that epoch, which touched no more than this. To be called
    /// before its maker is told that it was made.
    pub(super) fn changed(&self, epoch: Epoch, touched: &[Touched]) {
        let until = self.index.lease().until_nanos;
        self.index.changed(epoch, touched);
        for one in touched {
            self.touch_live(one, until);
        }
    }

    /// Goes by all that happened before the change of that epoch, which this service has made, even
    /// if nobody has told of it yet.
    pub(super) async fn catch_up(&self, epoch: Epoch) {
        let is_behind = || self.index.applied().is_some_and(|applied| applied < epoch);
        if is_behind() && (self.poll().await.is_err() || is_behind()) {
            // What cannot be known now is asked of the store for each token.
            self.index.noticed(epoch, &Touched::Everything);
        }
    }

    fn touch_live(&self, touched: &Touched, until: u64) {
        let touch = match touched {
            Touched::Everything => Some(Touch::All),
            Touched::Owner(owner) => self.index.known_owner(owner).map(Touch::Owner),
            Touched::Token(id) => Some(Touch::Token(*id)),
        };
        if let Some(touch) = touch {
            self.live.touch(touch, until);
        }
    }

    /// Asks, unless somebody else of this service is asking.
    pub(super) async fn freshen(&self) -> Result<(), StoreError> {
        if self.keeping.is_asking.swap(true, Ordering::Acquire) {
            return Ok(());
        }
        let _asking = Asking(&self.keeping.is_asking);
        self.poll().await
    }

    /// The store's time, as well as it is known here without asking.
    pub(super) fn known_now(&self) -> DateTime<Utc> {
        let (lease, at) = (self.index.lease(), self.clock.reading());
        let micros = if lease.holds(at) {
            lease.time_micros(at)
        } else {
            self.clock.now_micros().max(lease.held_micros)
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The store's time, having asked if it was not known: for what is written down.
    pub(super) async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        if !self.index.lease().holds(self.clock.reading()) {
            self.poll().await?;
        }
        Ok(self.known_now())
    }

    /// Has the store know of this node, before it remembers anything and as long as it does, and of
    /// how far it has come.
    async fn register(&self) -> Result<(), StoreError> {
        let Some(node) = self.keeping.node else {
            return Ok(());
        };
        let begun = self.clock.reading();
        let applied = self.index.applied().unwrap_or_default();
        let report = NodeReport::new(node, applied, self.keeping.bound, self.clock.now());
        self.store.report_node(&report).await?;
        self.keeping.reported.store(applied.0, Ordering::Relaxed);
        self.index.registered(begun, REGISTERED_FOR);
        Ok(())
    }

    /// Registers again if that is news to the store, or will be needed soon.
    pub(super) async fn report(&self) -> Result<(), StoreError> {
        let left = self.index.registered_for(self.clock.reading());
        if self.is_unreported() || left.saturating_mul(2) < REGISTERED_FOR {
            self.register().await?;
        }
        Ok(())
    }

    fn is_unreported(&self) -> bool {
        let reported = Epoch(self.keeping.reported.load(Ordering::Relaxed));
        self.index.applied().is_some_and(|applied| applied != reported)
    }

    pub(super) fn node(&self) -> Option<NodeId> {
        self.keeping.node
    }

    fn alarm(&self, seen: Epoch, now: Epoch) {
        self.keeping.histories_lost.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        tracing::error!(
            seen = seen.0,
            now = now.0,
            "the store has lost changes: what was revoked may be alive again"
        );
        let _ = (seen, now);
        self.audit.record(&Event::new(
            EventKind::StoreHistoryLost,
            Actor::host(),
            self.known_now(),
        ));
    }
}

/// Somebody asks, until this is dropped.
struct Asking<'a>(&'a AtomicBool);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Half as long as a store keeps a silent node, so that one that remembers is never forgotten.
const REGISTERED_FOR: Duration = Duration::from_secs(30 * 60);

/// From a millisecond to half a minute, the longest bound, and what is beyond.
const LAGS: usize = 17;
