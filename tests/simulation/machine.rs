//! A machine: its clocks, none of them quite right, its way to the store, and whether hints reach it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use keyfob::ports::clock::Clock;
use keyfob::ports::timer::Timer;
use keyfob::testing::sample;

use crate::history::Nanos;
use crate::world::{MILLI, World};
use crate::wrong::Wrong;

/// The state of the way to the store and back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    /// What is sent is swallowed, or arrives when nobody expects it any more.
    pub(crate) there_is_cut: bool,
    /// What is answered is.
    pub(crate) back_is_cut: bool,
    /// Nobody listens at the other end, and that is noticed.
    pub(crate) is_refused: bool,
    /// Each way takes up to so much longer.
    pub(crate) slowness: Nanos,
    pub(crate) hints_are_cut: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    world: World,
    state: Arc<Mutex<State>>,
    wrong: Option<Wrong>,
}

#[derive(Debug, Default)]
struct State {
    /// How wrong its clocks go, in parts of a million.
    drift: i64,
    suspended: Nanos,
    /// What its date was set by.
    date_ahead_micros: i64,
    wire: Wire,
    hint: (bool, Option<Waker>),
}

impl Machine {
    pub(crate) fn new(world: &World, wrong: Option<Wrong>) -> Self {
        let drift = world.between(0..1000).cast_signed() - 500;
        let state = Arc::new(Mutex::new(State { drift, ..State::default() }));
        Self { world: world.clone(), state, wrong }
    }

    pub(crate) fn wire(&self) -> Wire {
        self.state().wire
    }

    pub(crate) fn rewire(&self, change: impl FnOnce(&mut Wire)) {
        change(&mut self.state().wire);
    }

    pub(crate) fn mend(&self) {
        self.rewire(|wire| *wire = Wire::default());
    }

    /// The date is set by so much.
    pub(crate) fn set_date(&self, by: TimeDelta) {
        self.state().date_ahead_micros += by.num_microseconds().unwrap();
    }

    /// It has been suspended for so long.
    pub(crate) fn was_suspended(&self, span: Nanos) {
        self.state().suspended += span;
    }

    /// Something changed in the store, or so it says.
    pub(crate) fn hint(&self) {
        let waker = {
            let mut state = self.state();
            state.hint.0 = true;
            state.hint.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) async fn hinted(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.state();
            if std::mem::take(&mut state.hint.0) {
                return Poll::Ready(());
            }
            state.hint.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What it counts while it is not suspended.
    fn steady(&self) -> Nanos {
        let (now, state) = (self.world.now(), self.state());
        let awake = (now - state.suspended).cast_signed();
        let pace = if self.wrong == Some(Wrong::SlowClocks) { 2 } else { 1 };
        let shown = (awake + awake / 1_000_000 * state.drift) / pace;
        // It was started some time before its process was.
        shown.cast_unsigned() + BOOTED_BEFORE
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Clock for Machine {
    fn now_micros(&self) -> i64 {
        let steady = (self.steady() / 1000).cast_signed();
        let state = self.state();
        let suspended = match self.wrong {
            Some(Wrong::SuspensionUnseen) => 0,
            _ => (state.suspended / 1000).cast_signed(),
        };
        sample::start().timestamp_micros() + steady + suspended + state.date_ahead_micros
    }

    fn coarse_micros(&self) -> i64 {
        let now = self.now_micros();
        now - now.rem_euclid(TICK.num_microseconds().unwrap())
    }

    fn tick(&self) -> TimeDelta {
        TICK
    }

    fn boot_nanos(&self) -> u64 {
        self.steady() + self.state().suspended
    }

    fn steady_nanos(&self) -> u64 {
        let steady = self.steady();
        steady - steady % (4 * MILLI)
    }
}

#[async_trait]
impl Timer for Machine {
    /// Whoever waits is woken a little late.
    async fn wait(&self, duration: Duration) {
        let late = self.world.between(0..MILLI);
        self.world.sleep(u64::try_from(duration.as_nanos()).unwrap() + late).await;
    }
}

/// The right time, which the store tells.
pub(crate) fn date(now: Nanos) -> DateTime<Utc> {
    sample::start() + TimeDelta::nanoseconds(now.cast_signed())
}

/// When that is in the world.
pub(crate) fn nanos(at: DateTime<Utc>) -> Nanos {
    let since = at.signed_duration_since(sample::start());
    u64::try_from(since.num_nanoseconds().unwrap_or(i64::MAX)).unwrap()
}

/// How coarse a coarse clock is.
const TICK: TimeDelta = TimeDelta::milliseconds(4);

const BOOTED_BEFORE: Nanos = 5_000 * MILLI;
