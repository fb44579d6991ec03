//! Time that passes when a test says so.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::ports::clock::Clock;
use crate::ports::timer::Timer;

/// A [`Clock`] that is set and advanced by hand. Clones share one time.
///
/// ```
/// use chrono::{DateTime, TimeDelta};
/// use keyfob::ports::clock::Clock;
/// use keyfob::testing::ManualClock;
///
/// let clock = ManualClock::new(DateTime::UNIX_EPOCH);
/// clock.advance(TimeDelta::seconds(3));
/// assert_eq!(clock.clone().now_micros(), 3_000_000);
/// assert_eq!(clock.boot_nanos(), 3_000_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Time>>);

#[derive(Debug)]
struct Time {
    micros: i64,
    boot_nanos: u64,
    /// How much of that the machine was suspended.
    suspended_nanos: u64,
    /// Who waits.
    waiting: BTreeMap<u64, Waker>,
    waits: u64,
}

impl ManualClock {
    /// A clock that shows `at`, rounded down to the microsecond.
    #[must_use]
    pub fn new(at: DateTime<Utc>) -> Self {
        let time = Time {
            micros: at.timestamp_micros(),
            boot_nanos: 0,
            suspended_nanos: 0,
            waiting: BTreeMap::new(),
            waits: 0,
        };
        Self(Arc::new(Mutex::new(time)))
    }

    /// Lets time pass, and wakes whoever waits to see whether it was enough.
    ///
    /// A negative `by` sets the date back, as an operator may; time since boot stands still then.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        let nanos = by.to_std().map_or(0, whole_nanos);
        let mut time = self.time();
        time.micros = time.micros.saturating_add(micros);
        time.boot_nanos = time.boot_nanos.saturating_add(nanos);
        let woken: Vec<Waker> = time.waiting.values().cloned().collect();
        drop(time);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Suspends the machine for so long: its date and the time since boot go on, its steady clock
    /// does not, and nobody is woken before it goes on.
    pub fn suspend(&self, span: Duration) {
        let nanos = whole_nanos(span);
        {
            let mut time = self.time();
            time.suspended_nanos = time.suspended_nanos.saturating_add(nanos);
        }
        self.advance(TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX));
    }

    /// Shows another date, later or earlier, without time passing: what setting a clock does.
    pub fn set(&self, at: DateTime<Utc>) {
        self.time().micros = at.timestamp_micros();
    }

    fn time(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.time().micros
    }

    fn boot_nanos(&self) -> u64 {
        self.time().boot_nanos
    }

    fn steady_nanos(&self) -> u64 {
        let time = self.time();
        time.boot_nanos.saturating_sub(time.suspended_nanos)
    }
}

/// A [`Timer`] whose waits end when its [`ManualClock`] is advanced far enough.
#[derive(Clone, Debug)]
pub struct ManualTimer(ManualClock);

impl ManualTimer {
    /// A timer by this clock.
    #[must_use]
    pub fn new(clock: &ManualClock) -> Self {
        Self(clock.clone())
    }

    /// How many waits have begun and not ended: a test advances the clock once everybody waits.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.time().waiting.len()
    }
}

#[async_trait]
impl Timer for ManualTimer {
    async fn wait(&self, duration: Duration) {
        let (until, number) = {
            let mut time = self.0.time();
            time.waits = time.waits.saturating_add(1);
            (time.boot_nanos.saturating_add(whole_nanos(duration)), time.waits)
        };
        Wait { clock: &self.0, number, until }.await;
    }
}

struct Wait<'c> {
    clock: &'c ManualClock,
    number: u64,
    until: u64,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.time();
        if time.boot_nanos >= self.until {
            return Poll::Ready(());
        }
        time.waiting.insert(self.number, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.clock.time().waiting.remove(&self.number);
    }
}

fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;
    use std::thread;

    #[test]
    fn a_date_that_is_set_back_leaves_the_time_since_boot() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::seconds(10));
        clock.advance(TimeDelta::seconds(-4));
        assert_eq!((clock.now_micros(), clock.boot_nanos()), (6_000_000, 10_000_000_000));
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!((clock.now_micros(), clock.boot_nanos()), (0, 10_000_000_000));
    }

    #[test]
    fn a_suspended_machine_counts_no_steady_time() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::seconds(2));
        clock.suspend(Duration::from_secs(60));
        assert_eq!((clock.now_micros(), clock.boot_nanos()), (62_000_000, 62_000_000_000));
        assert_eq!(clock.steady_nanos(), 2_000_000_000);
    }

    #[test]
    fn a_wait_ends_when_the_clock_has_been_advanced_far_enough() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let timer = ManualTimer::new(&clock);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| block_on(timer.wait(Duration::from_secs(5))));
            while timer.waiting() == 0 {
                thread::yield_now();
            }
            clock.advance(TimeDelta::seconds(4));
            assert_eq!(timer.waiting(), 1);
            clock.advance(TimeDelta::seconds(1));
            waiter.join().unwrap();
        });
        assert_eq!(timer.waiting(), 0);
        block_on(timer.wait(Duration::ZERO));
    }
}
