//! What benches share: cases measured in turns, threads that begin together, and a service whose
//! tokens are in use.
//!
//! A machine is never the same for long. Each round measures every case, a ratio is taken inside a
//! round, and what is told is the median over the rounds. A case that is measured twice shows what
//! the medians are worth: how far apart two of the same are.

pub(crate) mod fleet;
pub(crate) mod floor;

use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What each case cost in each round, in whatever unit it was measured.
pub(crate) struct Measured(pub(crate) Vec<Vec<f64>>);

impl Measured {
    /// Measures so many cases by their numbers, round after round, every other round backwards: no
    /// case always comes after the same one. The first round warms the caches and is not kept.
    pub(crate) fn in_turns(
        cases: usize,
        rounds: usize,
        mut measure: impl FnMut(usize, usize) -> f64,
    ) -> Self {
        let mut costs = vec![Vec::with_capacity(rounds); cases];
        for round in 0..=rounds {
            for turn in 0..cases {
                let turn = if round % 2 == 0 { turn } else { cases - 1 - turn };
                let case = (turn + round / 2) % cases;
                let cost = measure(case, round);
                if round > 0 {
                    costs[case].push(cost);
                }
            }
        }
        Self(costs)
    }

    pub(crate) fn median(&self, case: usize) -> f64 {
        median(self.0[case].clone())
    }

    /// How many times the other case's cost the one's is, round by round.
    pub(crate) fn ratios(&self, one: usize, other: usize) -> Vec<f64> {
        self.0[one].iter().zip(&self.0[other]).map(|(one, other)| one / other).collect()
    }

    /// The median of that.
    pub(crate) fn ratio(&self, one: usize, other: usize) -> f64 {
        median(self.ratios(one, other))
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds that the slowest of so many threads takes for its work, all of them beginning at the
/// same time. What a thread makes ready before it begins is not counted.
///
/// If the kernel gave a thread's processor to somebody else meanwhile, it is measured again: that
/// would be a figure about somebody else. Whoever finds no quiet moment takes what there is.
pub(crate) fn together<W: FnOnce()>(threads: usize, ready: impl Fn(usize) -> W + Sync) -> f64 {
    let (begun, mut least) = (Instant::now(), f64::INFINITY);
    loop {
        let (nanos, is_whole) = at_once(threads, &ready);
        least = least.min(nanos);
        if is_whole {
            return nanos;
        }
        if begun.elapsed() > PATIENCE {
            return least;
        }
    }
}

/// The same, and whether nobody was interrupted.
fn at_once<W: FnOnce()>(threads: usize, ready: &(impl Fn(usize) -> W + Sync)) -> (f64, bool) {
    let barrier = Barrier::new(threads);
    let measured: Vec<(Duration, bool)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let work = ready(thread);
                    let before = interruptions();
                    barrier.wait();
                    let begun = Instant::now();
                    work();
                    (begun.elapsed(), interruptions() == before)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let slowest = measured.iter().map(|(took, _)| *took).max().unwrap();
    (slowest.as_nanos() as f64, measured.iter().all(|(_, is_whole)| *is_whole))
}

/// How often this thread had to leave its processor to another without having asked for it; nothing
/// where the kernel does not tell.
fn interruptions() -> Option<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("nonvoluntary_ctxt_switches"));
    line.map(str::to_owned)
}

/// A machine that is busy all the time is still measured.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a future is worth that never waits: those of stores in memory.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing in memory waits"),
    }
}

/// A figure for the guide: what it is, its value, what it must be, and what the same thing comes to
/// when it is measured beside itself. `benches/peers` reads such lines and renders them.
pub(crate) fn figure(what: &str, value: f64, goal: &str, noise: f64) {
    println!("= {what} | {value:.3} | {goal} | {noise:.3}");
}
