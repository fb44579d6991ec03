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

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use keyfob::os::{SystemClock, TokioTimer};
use keyfob::ports::clock::Clock;
use keyfob::store::memory::MemoryStore;
use keyfob::{
    Access, Actor, Builder, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy,
    OwnerId, Policy, ReadWrite, Rules, Tokens,
};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let (sizes, rounds, calls): (&[usize], _, _) =
        if smoke { (&[1_000], 3, 2_000) } else { (&[1_000, 1_000_000], 15, 200_000) };
    println!(
        "one verification of a token in use; medians of {rounds} interleaved rounds of {calls} calls"
    );
    println!(
        "{:>9} {:>7} {:>6} {:>10} {:>10} {:>9} {:>7} {:>6} {:>12}",
        "tokens",
        "threads",
        "key",
        "floor ns",
        "keyfob ns",
        "floor A/A",
        "ratio",
        "allocs",
        "index bytes"
    );
    for keyed in [false, true] {
        for size in sizes {
            let bench = Bench::new(*size, keyed);
            for threads in [1, 2] {
                bench.row(threads, rounds, calls);
            }
        }
    }
    let bench = Bench::new(if smoke { 1_000 } else { 100_000 }, false);
    bench.beside_revocations(rounds, if smoke { 20_000 } else { 2_000_000 });
}

struct Bench {
    tokens: Tokens<ReadWrite>,
    store: MemoryStore,
    rules: Rules,
    /// One after the other, as requests bring them: the text itself is always at hand.
    texts: String,
    length: usize,
    floor: Floor,
    keyed: bool,
}

impl Bench {
    fn new(size: usize, keyed: bool) -> Self {
        let keyring = if keyed {
            Keyring::new(Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap())
        } else {
            Keyring::unkeyed()
        };
        let mut kind = KindPolicy::personal();
        kind.quota = None;
        let rules = Rules::new(Format::new("bench").unwrap(), keyring)
            .with_policy(Policy::default().with_kind(Kind::personal(), kind));
        let store = MemoryStore::default();
        let builder = Builder::system(store.clone(), rules.clone());
        let tokens: Tokens<ReadWrite> = builder.expected_tokens(size).build();
        keep_up(&tokens);
        let host = Actor::host();
        let mut texts: Vec<String> = (0..size)
            .map(|number| {
                let owner = OwnerId::new(format!("owner-{}", number / 10)).unwrap();
                let request = IssueRequest::new(owner, Grant::Full);
                let (secret, _) = ready(tokens.issue(request, By::Host(&host))).unwrap();
                secret.expose_secret().to_owned()
            })
            .collect();
        let floor = Floor::new(&rules, &texts);
        // That so many were issued at once is too much news for the store to list: the index is
        // emptied once more.
        std::thread::sleep(Duration::from_millis(600));
        // Every token is used once, so that all are indexed; then they are presented in an order
        // that has nothing to do with where they are.
        for text in &texts {
            let _ = ready(tokens.authenticate(text, &Access::any())).unwrap();
        }
        shuffle(&mut texts);
        let length = texts[0].len();
        Self { tokens, store, rules, texts: texts.concat(), length, floor, keyed }
    }

    fn beside_revocations(&self, rounds: usize, calls: usize) {
        let other: Tokens<ReadWrite> =
            Builder::system(self.store.clone(), self.rules.clone()).build();
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
                let polls = self.tokens.freshness().polls;
                let time = || self.time(1, calls, round, |text| self.verify(text));
                let before = time();
                is_revoking.store(true, Ordering::Relaxed);
                let during = time();
                is_revoking.store(false, Ordering::Relaxed);
                let after = time();
                // A short round may end before anything was heard of.
                let patience = Instant::now() + Duration::from_secs(5);
                while self.tokens.freshness().polls == polls && Instant::now() < patience {
                    std::thread::sleep(Duration::from_millis(1));
                }
                is_heard_of &= self.tokens.freshness().polls > polls;
                if round > 0 {
                    quiet.push(before);
                    beside.push(during);
                    again.push(after);
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(is_heard_of, "nothing was heard of");
            let (quiet, again, beside) = (median(quiet), median(again), median(beside));
            let report = self.tokens.freshness();
            println!(
                "\n{} tokens, beside another service's revocations ({} of them, heard of in {} polls): \
                 quiet {quiet:.1} ns, beside {beside:.1} ns, quiet A/A {:.2}, ratio {:.2}",
                self.size(),
                revoked.load(Ordering::Relaxed),
                report.polls,
                again / quiet,
                beside / quiet.min(again),
            );
        });
    }

    fn row(&self, threads: usize, rounds: usize, calls: usize) {
        let (mut floors, mut again, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let measured = [
                self.time(threads, calls, round, |text| self.floor.verify(text)),
                self.time(threads, calls, round, |text| self.verify(text)),
                self.time(threads, calls, round, |text| self.floor.verify(text)),
            ];
            // The first round warms the caches.
            if round > 0 {
                floors.push(measured[0]);
                ours.push(measured[1]);
                again.push(measured[2]);
            }
        }
        let (floor, again, ours) = (median(floors), median(again), median(ours));
        let allocated = allocation_counter::measure(|| {
            for number in 0..10_000 {
                assert!(self.verify(self.text(number)));
            }
        });
        println!(
            "{:>9} {threads:>7} {:>6} {floor:>10.1} {ours:>10.1} {:>9.2} {:>7.2} {:>6.2} {:>12}",
            self.size(),
            if self.keyed { "yes" } else { "no" },
            again / floor,
            ours / floor.min(again),
            allocated.count_total as f64 / 10_000.0,
            self.tokens.index_size().1,
        );
    }

    fn size(&self) -> usize {
        self.texts.len() / self.length
    }

    fn text(&self, number: usize) -> &str {
        let start = number % self.size() * self.length;
        &self.texts[start..start + self.length]
    }

    fn verify(&self, text: &str) -> bool {
        let access = Access::needing(&ReadWrite::Read);
        matches!(self.tokens.authenticate_now(text, &access), Some(Ok(_)))
    }

    /// Nanoseconds a call, each thread making `calls` of them at the same time.
    fn time(
        &self,
        threads: usize,
        calls: usize,
        round: usize,
        verify: impl Fn(&str) -> bool + Sync,
    ) -> f64 {
        let barrier = Barrier::new(threads);
        let slowest = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let (barrier, verify) = (&barrier, &verify);
                    // Each round and thread goes on elsewhere in the list.
                    let mut number = (round * 31 + thread * 17) * 4_999 % self.size();
                    scope.spawn(move || {
                        barrier.wait();
                        let begun = Instant::now();
                        for _ in 0..calls {
                            let text = black_box(self.text(number));
                            assert!(verify(text), "a live token was refused");
                            number = if number + 1 == self.size() { 0 } else { number + 1 };
                        }
                        begun.elapsed()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap()
        });
        slowest.as_nanos() as f64 / calls as f64
    }
}

/// Keeps a service fresh, on a thread of its own, to the end of the program.
fn keep_up(tokens: &Tokens<ReadWrite>) {
    let upkeep = tokens.clone().upkeep(Arc::new(TokioTimer::new()));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(upkeep);
    });
}

/// Digests in a flat table of lines of 64 bytes, half empty, without any synchronisation.
struct Floor {
    rules: Rules,
    clock: SystemClock,
    slots: Vec<FloorSlot>,
}

#[repr(align(64))]
#[derive(Clone, Copy, Default)]
struct FloorSlot {
    digest: [u64; 4],
    deadline: i64,
}

impl Floor {
    fn new(rules: &Rules, texts: &[String]) -> Self {
        let slots = vec![FloorSlot::default(); (texts.len() * 2).next_power_of_two()];
        let mut floor = Self { rules: rules.clone(), clock: SystemClock::new(), slots };
        for text in texts {
            let presented = floor.rules.format.parse(text.as_bytes()).unwrap();
            let digest = floor.rules.keyring.current_digest(&presented).to_words();
            let mut index = floor.home(digest);
            while floor.slots[index].deadline != 0 {
                index = (index + 1) % floor.slots.len();
            }
            floor.slots[index] = FloorSlot { digest, deadline: i64::MAX };
        }
        floor
    }

    fn home(&self, digest: [u64; 4]) -> usize {
        digest[0] as usize & (self.slots.len() - 1)
    }

    fn verify(&self, text: &str) -> bool {
        let Ok(presented) = self.rules.format.parse(text.as_bytes()) else {
            return false;
        };
        let digest = self.rules.keyring.current_digest(&presented).to_words();
        let now = self.clock.coarse_micros();
        let mut index = self.home(digest);
        loop {
            let slot = &self.slots[index];
            if slot.digest == digest {
                return now < slot.deadline;
            }
            if slot.deadline == 0 {
                return false;
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The same order in every run: a multiplicative generator is random enough to defeat a cache.
fn shuffle(texts: &mut [String]) {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for index in (1..texts.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        texts.swap(index, (state >> 33) as usize % (index + 1));
    }
}

/// The memory store never waits, so one poll is enough.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the memory store never waits"),
    }
}
