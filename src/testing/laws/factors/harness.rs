//! How a law reaches the store of factors.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};

use crate::core::event::{Actor, Event, EventKind};
use crate::core::id::{OwnerId, RealmId};
use crate::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use crate::testing::sample;

/// A store of factors that nobody has used yet, and a way to run its futures.
pub struct FactorHarness<'h> {
    open: Box<Open<'h>>,
    block_on: Box<BlockOn<'h>>,
}

type Open<'h> = dyn Fn(RealmId) -> Arc<dyn FactorStore> + Send + Sync + 'h;
type BlockOn<'h> = dyn Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync + 'h;

impl<'h> FactorHarness<'h> {
    /// A harness for the store that `open` yields handles on, one for each realm asked for.
    ///
    /// `block_on` is called from many threads at once.
    pub fn new<S: FactorStore>(
        open: impl Fn(RealmId) -> S + Send + Sync + 'h,
        block_on: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync + 'h,
    ) -> Self {
        let open = move |realm| -> Arc<dyn FactorStore> { Arc::new(open(realm)) };
        Self { open: Box::new(open), block_on: Box::new(block_on) }
    }

    /// The store, in the realm of the samples.
    pub(super) fn store(&self) -> Factors<'_> {
        self.store_in(sample::realm())
    }

    pub(super) fn store_in(&self, realm: RealmId) -> Factors<'_> {
        Factors { store: (self.open)(realm), block_on: &self.block_on, sets: Arc::default() }
    }
}

impl fmt::Debug for FactorHarness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactorHarness").finish_non_exhaustive()
    }
}

/// A handle on the store, for code that does not wait.
#[derive(Clone)]
pub(super) struct Factors<'h> {
    store: Arc<dyn FactorStore>,
    block_on: &'h BlockOn<'h>,
    sets: Arc<AtomicU64>,
}

impl Factors<'_> {
    #[track_caller]
    pub(super) fn factor(&self, owner: &OwnerId, method: &str) -> Option<FactorRecord> {
        self.wait(self.store.factor(owner, method)).expect("factor has an answer")
    }

    /// The version and the bytes of a factor.
    #[track_caller]
    pub(super) fn kept(&self, owner: &OwnerId, method: &str) -> Option<(u64, Vec<u8>)> {
        self.factor(owner, method).map(|record| (record.version, record.sealed))
    }

    #[track_caller]
    pub(super) fn set(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> bool {
        // Whoever is told of it, both must do the same, and see each other.
        if self.sets.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            let set = self.store.set_factor(owner, method, expects, sealed);
            return self.wait(set).expect("set_factor has an answer");
        }
        let event = Event::new(EventKind::FactorEnabled, Actor::host(), sample::start());
        let event = event.about_owner(owner.clone());
        let changed = self.store.change_factor(owner, method, expects, sealed, &event);
        self.wait(changed).expect("change_factor has an answer")
    }

    /// Sets a factor whatever its version is, and returns the version that it has then.
    #[track_caller]
    pub(super) fn put(&self, owner: &OwnerId, method: &str, sealed: &[u8]) -> u64 {
        let before = self.factor(owner, method).map_or(0, |record| record.version);
        assert!(self.set(owner, method, before, Some(sealed)), "the version is as it was read");
        self.factor(owner, method).expect("the factor is found").version
    }

    #[track_caller]
    pub(super) fn reserve(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Reservation {
        let reserve = self.store.reserve_attempt(owner, counter, limits, now);
        self.wait(reserve).expect("reserve_attempt has an answer")
    }

    #[track_caller]
    pub(super) fn peek(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Reservation {
        let peek = self.store.peek_attempt(owner, counter, limits, now);
        self.wait(peek).expect("peek_attempt has an answer")
    }

    /// The answer to a reservation whose future is polled once and dropped, if it had one by then.
    #[track_caller]
    pub(super) fn begin_to_reserve(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Option<Reservation> {
        let begun = self.wait(async {
            let mut reserve = pin!(self.store.reserve_attempt(owner, counter, limits, now));
            poll_fn(|context| Poll::Ready(reserve.as_mut().poll(context))).await
        });
        match begun {
            Poll::Ready(answer) => Some(answer.expect("reserve_attempt has an answer")),
            Poll::Pending => None,
        }
    }

    #[track_caller]
    pub(super) fn clear(&self, owner: &OwnerId, counter: &str) {
        self.wait(self.store.clear_attempts(owner, counter)).expect("clear_attempts has an answer");
    }

    #[track_caller]
    pub(super) fn raise(&self, owner: &OwnerId, mark: &str, value: u64) -> bool {
        self.wait(self.store.raise_mark(owner, mark, value)).expect("raise_mark has an answer")
    }

    /// How many attempts are granted before one is not, at one instant.
    #[track_caller]
    pub(super) fn granted(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> usize {
        let granted = |_: &usize| self.reserve(owner, counter, limits, now) == Reservation::Granted;
        (0..1000).take_while(granted).count()
    }

    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let mut answer = None;
        (self.block_on)(Box::pin(async { answer = Some(future.await) }));
        answer.expect("`block_on` runs a future to its end")
    }
}

/// So many until they are cleared.
pub(super) const fn in_all(attempts: u32) -> AttemptLimit {
    AttemptLimit { attempts, within: None }
}

/// So many in so many seconds.
pub(super) const fn within(attempts: u32, seconds: i64) -> AttemptLimit {
    AttemptLimit { attempts, within: Some(TimeDelta::seconds(seconds)) }
}

pub(super) const fn until(instant: DateTime<Utc>) -> Reservation {
    Reservation::Locked { until: Some(instant) }
}

/// Locked until the attempts are cleared.
pub(super) const FOR_GOOD: Reservation = Reservation::Locked { until: None };
