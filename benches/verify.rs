//! What does one verification of a token in use cost, beside the least that it could?
//!
//! The floor parses the same text with the same parser, makes the same digest of one block, reads
//! one coarse clock and finds the digest in a flat table without any synchronisation. It cannot
//! be changed while it is read, knows no owners and judges no scope. Both are measured in turns,
//! round after round, and the medians are compared.
//!
//! Last, the same while another service on the store revokes tokens, some hundreds in a second, which
//! this one hears of and forgets.
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints, reads the clock, and stops when something is wrong"
)]

#[expect(dead_code, reason = "other targets use more of it")]
mod rounds;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyfob::store::memory::MemoryStore;
use keyfob::{
    Access, Actor, Builder, By, Format, Grant, IssueRequest, OwnerId, ReadWrite, Shape, Tokens,
};

use rounds::fleet::{Fleet, rules};
use rounds::floor::Floor;
use rounds::{Measured, median, ready, together};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    // Rounds are short, so that most of them are not interrupted by what else the machine does.
    let (sizes, rounds, calls): (&[usize], _, _) =
        if smoke { (&[1_000], 3, 2_000) } else { (&[1_000, 1_000_000], 151, 10_000) };
    println!(
        "one verification of a token in use; medians of {rounds} interleaved rounds of {calls} calls"
    );
    println!(
        "{:>9} {:>7} {:>7} {:>6} {:>10} {:>10} {:>9} {:>7} {:>6} {:>12}",
        "tokens",
        "text",
        "threads",
        "key",
        "floor ns",
        "keyfob ns",
        "floor A/A",
        "ratio",
        "allocs",
        "index bytes"
    );
    for (keyed, shape) in [(false, None), (true, None), (false, Some(Shape::AWX))] {
        for size in sizes {
            let bench = Bench::new(*size, keyed, shape);
            for threads in [1, 2] {
                bench.row(threads, rounds, calls);
            }
        }
    }
    let bench = Bench::new(if smoke { 1_000 } else { 100_000 }, false, None);
    let (rounds, calls) = if smoke { (3, 20_000) } else { (15, 2_000_000) };
    bench.beside_revocations(rounds, calls);
}

struct Bench {
    fleet: Fleet,
    store: MemoryStore,
    floor: Floor,
    keyed: bool,
    shape: Option<Shape>,
}

impl Bench {
    fn new(size: usize, keyed: bool, shape: Option<Shape>) -> Self {
        let mut rules = rules(keyed);
        rules.format = shape.into_iter().fold(rules.format, Format::reading);
        let store = MemoryStore::default();
        let fleet = Fleet::new(Builder::system(store.clone(), rules.clone()), size, shape);
        let floor = Floor::new(rules, fleet.texts());
        Self { fleet, store, floor, keyed, shape }
    }

    fn beside_revocations(&self, rounds: usize, calls: usize) {
        let other: Tokens<ReadWrite> = Builder::system(self.store.clone(), rules(false)).build();
        let (host, is_revoking, is_over) =
            (Actor::host(), AtomicBool::new(false), AtomicBool::new(false));
        let revoked = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_micros(900));
                    if is_revoking.load(Ordering::Relaxed) {
                        let owner = OwnerId::new("other").unwrap();
                        let request = IssueRequest::new(owner, Grant::Full);
                        let (_, row) = ready(other.issue(request, By::Host(&host))).unwrap();
                        ready(other.revoke(row.id, By::Host(&host), None)).unwrap();
                        revoked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let (mut quiet, mut again, mut beside) = (Vec::new(), Vec::new(), Vec::new());
            let mut is_heard_of = true;
            for round in 0..=rounds {
                let polls = self.fleet.tokens.freshness().polls;
                let time = || self.time(1, calls, round, |text| self.verify(text));
                let before = time();
                is_revoking.store(true, Ordering::Relaxed);
                let during = time();
                is_revoking.store(false, Ordering::Relaxed);
                let after = time();
                // A short round may end before anything was heard of.
                let patience = Instant::now() + Duration::from_secs(5);
                while self.fleet.tokens.freshness().polls == polls && Instant::now() < patience {
                    std::thread::sleep(Duration::from_millis(1));
                }
                is_heard_of &= self.fleet.tokens.freshness().polls > polls;
                if round > 0 {
                    quiet.push(before);
                    beside.push(during);
                    again.push(after);
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(is_heard_of, "nothing was heard of");
            let (quiet, again, beside) = (median(quiet), median(again), median(beside));
            let report = self.fleet.tokens.freshness();
            println!(
                "\n{} tokens, beside another service's revocations ({} of them, heard of in {} polls): \
                 quiet {quiet:.1} ns, beside {beside:.1} ns, quiet A/A {:.2}, ratio {:.2}",
                self.fleet.size(),
                revoked.load(Ordering::Relaxed),
                report.polls,
                again / quiet,
                beside / quiet.min(again),
            );
        });
    }

    fn row(&self, threads: usize, rounds: usize, calls: usize) {
        let measured = Measured::in_turns(3, rounds, |case, round| {
            // Each has texts of its own, which nothing has brought near.
            let turn = round * 3 + case;
            if case == OURS {
                self.time(threads, calls, turn, |text| self.verify(text))
            } else {
                self.time(threads, calls, turn, |text| self.floor.verify(text))
            }
        });
        let allocated = allocation_counter::measure(|| {
            for number in 0..10_000 {
                assert!(self.verify(self.fleet.text(number)));
            }
        });
        println!(
            "{:>9} {:>7} {threads:>7} {:>6} {:>10.1} {:>10.1} {:>9.2} {:>7.2} {:>6.2} {:>12}",
            self.fleet.size(),
            if self.shape.is_some() { "id-less" } else { "native" },
            if self.keyed { "yes" } else { "no" },
            measured.median(FLOOR),
            measured.median(OURS),
            measured.ratio(AGAIN, FLOOR),
            measured.ratio(OURS, FLOOR),
            allocated.count_total as f64 / 10_000.0,
            self.fleet.tokens.index_size().1,
        );
    }

    fn verify(&self, text: &str) -> bool {
        let access = Access::needing(&ReadWrite::Read);
        matches!(self.fleet.tokens.authenticate_now(text, &access), Some(Ok(_)))
    }

    /// Nanoseconds a call, each thread making `calls` of them at the same time, in every turn elsewhere
    /// in the list.
    fn time(
        &self,
        threads: usize,
        calls: usize,
        turn: usize,
        verify: impl Fn(&str) -> bool + Sync,
    ) -> f64 {
        let size = self.fleet.size();
        let nanos = together(threads, |thread| {
            let verify = &verify;
            let mut number = (turn * calls + thread * size / threads) % size;
            move || {
                for _ in 0..calls {
                    let text = black_box(self.fleet.text(number));
                    assert!(verify(text), "a live token was refused");
                    number = if number + 1 == size { 0 } else { number + 1 };
                }
            }
        });
        nanos / calls as f64
    }
}

const FLOOR: usize = 0;
const OURS: usize = 1;
const AGAIN: usize = 2;
