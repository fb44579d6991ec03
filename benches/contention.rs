//! What does a second thread cost, with one token or many, with changes, and with uses to record?
//!
//! Two threads that share nothing do twice what one does, as far as the machine lets them. How far
//! that is, the floor tells: a table without any synchronisation, which nobody can change while it is
//! read. Ours is asked for the same gain in the same round.
//!
//! With changes, every hundredth call of each thread gives a token another name through the service:
//! its row is written, its place in the index is emptied, and its next use asks the store and fills
//! it again. The floor knows no changes, and goes without.
//!
//! Last, the uses. A use is recorded once a minute and token. In every other round a minute passes
//! before it begins, so that the use of every token is recorded in it; the others have none to
//! record. However many threads use a token, the store hears of it once a minute.
//!
//! ```text
//! cargo bench --bench contention [-- --smoke | uses]
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints, reads the clock, and stops when something is wrong"
)]

#[path = "../tests/common/mod.rs"]
mod common;
mod rounds;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use chrono::TimeDelta;
use keyfob::os::{SystemClock, SystemEntropy};
use keyfob::ports::clock::Clock;
use keyfob::ports::store::{Lookup, StoreError};
use keyfob::store::memory::MemoryStore;
use keyfob::{Access, Actor, Builder, By, ReadWrite, TokenName};

use common::{Detour, Way};
use rounds::fleet::{Fleet, rules};
use rounds::floor::Floor;
use rounds::{Measured, figure, median, ready, together};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let asks = |word: &str| arguments.iter().any(|argument| argument == word);
    let smoke = asks("--smoke");
    let scale = if smoke {
        Scale { rounds: 3, calls: 1_000 }
    } else {
        Scale { rounds: 101, calls: 10_000 }
    };
    if asks("uses") {
        return uses(scale);
    }
    let many = if smoke { 1_000 } else { 100_000 };
    println!(
        "one thread and two; medians of {} interleaved rounds of {} calls a thread",
        scale.rounds, scale.calls
    );
    println!(
        "{:<36} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7}",
        "", "floor 1", "floor 2", "keyfob 1", "keyfob 2", "gain", "gain", "beside", "A/A"
    );
    for changes in [false, true] {
        for (name, size, hot) in [
            ("one hot token", 1_000, true),
            ("1,000 tokens", 1_000, false),
            ("many tokens", many, false),
        ] {
            let bench = Bench::new(size, hot, changes);
            bench.row(name, scale);
        }
    }
    uses(scale);
}

#[derive(Clone, Copy)]
struct Scale {
    rounds: usize,
    /// Of each thread in each round.
    calls: usize,
}

struct Bench {
    fleet: Fleet,
    floor: Floor,
    hot: bool,
    changes: bool,
    /// No two changes give the same name.
    named: AtomicU64,
}

impl Bench {
    fn new(size: usize, hot: bool, changes: bool) -> Self {
        let fleet = Fleet::new(Builder::system(MemoryStore::default(), rules(false)), size, None);
        let floor = Floor::new(rules(false), fleet.texts());
        Self { fleet, floor, hot, changes, named: AtomicU64::new(0) }
    }

    fn row(&self, name: &str, scale: Scale) {
        let measured = Measured::in_turns(6, scale.rounds, |case, round| {
            let threads = if case % 2 == 0 { 1 } else { 2 };
            if case / 2 == 1 {
                self.time(threads, scale.calls, round, |number| self.call(number))
            } else {
                self.time(threads, scale.calls, round, |number| self.floor(number))
            }
        });
        let beside = |ours: usize| {
            let floors = measured.ratios(FLOOR, FLOOR + 1);
            let gains = measured.ratios(ours, ours + 1).into_iter().zip(floors);
            median(gains.map(|(ours, floor)| ours / floor).collect())
        };
        let (ours, noise) = (beside(OURS), beside(AGAIN));
        let name = if self.changes { format!("{name}, 1 % changes") } else { name.to_owned() };
        println!(
            "{name:<36} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>7.2} {:>7.2} {ours:>7.3} {noise:>7.3}",
            measured.median(FLOOR),
            measured.median(FLOOR + 1),
            measured.median(OURS),
            measured.median(OURS + 1),
            2.0 * measured.ratio(FLOOR, FLOOR + 1),
            2.0 * measured.ratio(OURS, OURS + 1),
        );
        let goal = if self.changes { "at least 0.92" } else { "at least 0.97" };
        figure(&format!("gain of a second thread beside the floor's, {name}"), ours, goal, noise);
    }

    fn time(
        &self,
        threads: usize,
        calls: usize,
        round: usize,
        call: impl Fn(usize) -> bool + Sync,
    ) -> f64 {
        let nanos = together(threads, |thread| {
            let call = &call;
            // Each round and thread goes on elsewhere in the list.
            let mut number = (round * 31 + thread * 17) * 4_999 % self.fleet.size();
            move || {
                for _ in 0..calls {
                    assert!(call(black_box(number)), "a live token was refused");
                    number = if number + 1 == self.fleet.size() { 0 } else { number + 1 };
                }
            }
        });
        nanos / calls as f64
    }

    fn text(&self, number: usize) -> &str {
        self.fleet.text(if self.hot { 0 } else { number })
    }

    fn floor(&self, number: usize) -> bool {
        self.floor.verify(black_box(self.text(number)))
    }

    fn call(&self, number: usize) -> bool {
        // One hot token is not the one that is changed.
        if self.changes && number % 100 == 99 {
            let name = format!("name {}", self.named.fetch_add(1, Ordering::Relaxed));
            let (id, host) = (self.fleet.id(number), Actor::host());
            let name = Some(TokenName::new(name).unwrap());
            return ready(self.fleet.tokens.edit(id, name, None, By::Host(&host))).is_ok();
        }
        accepts(&self.fleet, black_box(self.text(number)))
    }
}

fn accepts(fleet: &Fleet, text: &str) -> bool {
    ready(fleet.tokens.authenticate(text, &Access::needing(&ReadWrite::Read))).is_ok()
}

/// Where the cases of a row begin: with one thread, followed by the same with two.
const FLOOR: usize = 0;
const OURS: usize = 2;
const AGAIN: usize = 4;

fn uses(scale: Scale) {
    println!("\nuses to record, and none; both of two threads at once");
    println!("{:<16} {:>8} {:>8} {:>8} {:>8}", "", "none", "recorded", "ratio", "A/A");
    for (name, size) in [("one hot token", 1), ("1,000 tokens", 1_000)] {
        let clock = Ahead::default();
        let store = Detour::new(Flushes::default());
        let builder =
            Builder::new(store.clone(), rules(false), clock.clone(), SystemEntropy::new());
        // The last one only renews the lease, which a minute's passing ends.
        let fleet = Fleet::new(builder, size + 1, None);
        ready(fleet.tokens.flush_usage()).unwrap();
        let flushed = store.way.0.load(Ordering::Relaxed);
        let counted = used(&fleet, 0);

        let (begun, minutes) = (Instant::now(), AtomicU64::new(0));
        let measured = Measured::in_turns(3, scale.rounds, |case, round| {
            let nanos = together(2, |thread| {
                // However often it is measured again, there is something to record.
                if thread == 0 {
                    ready(fleet.tokens.flush_usage()).unwrap();
                    if case == RECORDED {
                        clock.pass(61);
                        minutes.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(accepts(&fleet, fleet.text(size)));
                }
                let (fleet, mut number) = (&fleet, (round * 31 + thread * 17) % size);
                move || {
                    for _ in 0..scale.calls {
                        let text = black_box(fleet.text(number));
                        assert!(accepts(fleet, text), "a live token was refused");
                        number = if number + 1 == size { 0 } else { number + 1 };
                    }
                }
            });
            nanos / scale.calls as f64
        });
        ready(fleet.tokens.flush_usage()).unwrap();
        let minutes = minutes.into_inner();

        let writes = store.way.0.load(Ordering::Relaxed) - flushed;
        let counted = used(&fleet, 0) - counted;
        assert_eq!(fleet.tokens.dropped_uses(), 0);
        // The minutes of the clock on the wall count as well. A use is written once at the most.
        let all = minutes + begun.elapsed().as_secs() / 60 + 1;
        assert!((minutes..=all).contains(&counted), "{counted} uses in {minutes} minutes");
        // The token that renews the lease is written with the others, or else beside them.
        let most = if size == 1 { 2 * all } else { u64::MAX };
        assert!((minutes..=most).contains(&writes), "{writes} writes in {minutes} minutes");
        let (ratio, noise) = (measured.ratio(RECORDED, NONE), measured.ratio(NONE_AGAIN, NONE));
        println!(
            "{name:<16} {:>8.1} {:>8.1} {ratio:>8.3} {noise:>8.3}  {counted} uses of a token and {writes} \
             writes in {minutes} minutes",
            measured.median(NONE),
            measured.median(RECORDED),
        );
        let what = format!("time of a verification with uses recorded, {name}");
        figure(&what, ratio, "at most 1.05", noise);
    }
}

const NONE: usize = 0;
const RECORDED: usize = 1;
const NONE_AGAIN: usize = 2;

/// How often a token's use was written down.
fn used(fleet: &Fleet, number: usize) -> u64 {
    let found = ready(fleet.tokens.store().find(&Lookup::Id(fleet.id(number))));
    found.unwrap().unwrap().record.usage.count
}

/// How often the store was asked to write uses down.
#[derive(Clone, Debug, Default)]
struct Flushes(Arc<AtomicU64>);

#[async_trait]
impl Way for Flushes {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        if method == "mark_used" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The system's clock, with its date ahead.
#[derive(Clone, Debug, Default)]
struct Ahead {
    clock: SystemClock,
    micros: Arc<AtomicI64>,
}

impl Ahead {
    fn pass(&self, seconds: i64) {
        self.micros.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for Ahead {
    fn now_micros(&self) -> i64 {
        self.clock.now_micros() + self.micros.load(Ordering::Relaxed)
    }

    fn coarse_micros(&self) -> i64 {
        self.clock.coarse_micros() + self.micros.load(Ordering::Relaxed)
    }

    fn tick(&self) -> TimeDelta {
        self.clock.tick()
    }

    fn boot_nanos(&self) -> u64 {
        self.clock.boot_nanos()
    }

    fn steady_nanos(&self) -> u64 {
        self.clock.steady_nanos()
    }
}
