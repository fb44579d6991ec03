//! What do time and memory of verification come to as tokens grow from a thousand to ten millions?
//!
//! Times are of calls that hit, beside a floor that parses the same text with the same parser, makes
//! the same digest of one block, reads one coarse clock, and looks for the digest in a flat table
//! without any synchronisation: where its line is the digest tells, so that the load waits for the
//! hash. Medians of interleaved rounds.
//!
//! Refusals of spoilt texts are measured beside one digest. Texts of a wrong shape are told by that alone;
//! where those with a wrong checksum are looked for first may be far away.
//!
//! Bytes are those of all that the service allocates while it fills its index, by ten tokens an
//! owner. The store makes each row when it is asked for it, so that the index is most of what there is.
//! Last comes what texts that are no tokens make the service keep.
//!
//! Variables: `KEYFOB_LONG=1` adds five and twenty million tokens, which take 10 GB, and 10^8 texts that
//! are no tokens.
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints, reads the clock, and stops when something is wrong"
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "rounds/redrawn.rs"]
mod redrawn;
#[expect(dead_code, reason = "other targets use more of it")]
mod rounds;

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use keyfob::os::SystemClock;
use keyfob::ports::clock::Clock as _;
use keyfob::store::memory::MemoryStore;
use keyfob::{Access, Actor, Builder, By, Grant, IssueRequest, OwnerId, ReadWrite, Tokens};

use common::Detour;
use redrawn::Redrawn;
use rounds::fleet::{keep_up, rules};
use rounds::floor::Floor;
use rounds::{Measured, figure};

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let is_long = std::env::var_os("KEYFOB_LONG").is_some();
    let chosen: Vec<usize> =
        std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes: &[usize] = match (&chosen[..], smoke, is_long) {
        (chosen @ [_, ..], _, _) => chosen,
        (_, true, _) => &[1_000],
        (_, _, false) => &[1_000, 100_000, 1_000_000, 10_000_000],
        (_, _, true) => &[1_000, 100_000, 1_000_000, 5_000_000, 10_000_000, 20_000_000],
    };
    // Short, so that most of them are not interrupted by whatever else the machine does.
    let (rounds, calls) = if smoke { (3, 2_000) } else { (1_001, 1_008) };
    println!("one verification; medians of {rounds} interleaved rounds of {calls} calls");
    for size in sizes {
        let bench = Bench::new(*size);
        bench.hits(rounds, calls);
        bench.refusals(rounds, calls);
    }
    let texts = if smoke {
        20_000
    } else if is_long {
        100_000_000
    } else {
        1_000_000
    };
    garbage(texts);
}

// The cases of hits, by their numbers.
const FLOOR: usize = 0;
const AGAIN: usize = 1;
const NOW: usize = 2;
const AWAITED: usize = 3;
const MANY: usize = 4;

// And those of refusals.
const BLOCK: usize = 0;
const BLOCK_AGAIN: usize = 1;
const SHAPE: usize = 2;
const SHAPE_AWAITED: usize = 3;
const CHECKSUM: usize = 4;
const CHECKSUM_AWAITED: usize = 5;

struct Bench {
    tokens: Tokens<ReadWrite>,
    /// One after the other.
    texts: String,
    length: usize,
    floor: Floor,
}

impl Bench {
    fn new(size: usize) -> Self {
        let rules = rules(false);
        let (rows, texts) = Redrawn::new(rules.clone(), SystemClock::new().now(), size);
        let store = Detour::new(rows);
        let length = texts.len() / size;
        let each = || (0..size).map(|number| &texts[number * length..][..length]);
        let (mut built, mut began) = (None, None);
        let allocated = allocation_counter::measure(|| {
            let builder = Builder::system(store, rules.clone());
            let tokens: Tokens<ReadWrite> =
                builder.bound(Duration::from_secs(30)).expected_tokens(size).build();
            began = Some(Instant::now());
            for text in each() {
                let verdict = tokens.authenticate(text, &Access::any()).now_or_never().unwrap();
                let _ = verdict.unwrap();
            }
            built = Some(tokens);
        });
        let (tokens, began) = (built.unwrap(), began.unwrap());
        let filled = began.elapsed().as_nanos() as f64 / size as f64;
        let begun = Instant::now();
        for text in each() {
            let strict = tokens.authenticate_strict(text, &Access::any()).now_or_never().unwrap();
            let _ = strict.unwrap();
        }
        let asked = begun.elapsed().as_nanos() as f64 / size as f64;
        println!(
            "\n{size} tokens: {:.1} bytes each, all in; {filled:.0} ns to fill each in, {asked:.0} to ask the store again",
            allocated.bytes_current as f64 / size as f64,
        );
        let floor = Floor::new(rules, each());
        keep_up(&tokens);
        Self { tokens, texts: shuffled(texts, length), length, floor }
    }

    fn hits(&self, rounds: usize, calls: usize) {
        let access = Access::needing(&ReadWrite::Read);
        let at_once = |text: &str| {
            let verdict = self.tokens.authenticate_now(text, &access);
            assert!(matches!(verdict, Some(Ok(_))), "a live token was refused");
        };
        let floor = |text: &str| assert!(self.floor.verify(text), "the floor refuses a token");
        let cases = [FLOOR, AGAIN, NOW, AWAITED, MANY];
        let measured = Measured::in_turns(cases.len(), rounds, |case, round| {
            // Each has tokens of its own, which nothing has brought near.
            let first = (round * cases.len() + case) * calls;
            self.read(first, calls);
            let texts = (first..first + calls).map(|number| black_box(self.text(number)));
            match case {
                FLOOR | AGAIN => timed(texts, floor),
                NOW => timed(texts, at_once),
                AWAITED => self.time_awaiting(texts, &access, true),
                _ => self.time_many(first, calls),
            }
        });
        let allocated = allocation_counter::measure(|| {
            let texts = (0..10_000).map(|number| self.text(number));
            self.time_awaiting(texts, &access, true);
        });
        println!(
            "  floor {:.1} ns, authenticate {:.1} ns with {} allocations in 10,000, authenticate_now {:.1} ns, \
             authenticate_many {:.1} ns a token",
            measured.median(FLOOR),
            measured.median(AWAITED),
            allocated.count_total,
            measured.median(NOW),
            measured.median(MANY),
        );
        let size = self.size();
        let noise = measured.ratio(AGAIN, FLOOR);
        let goal = match size {
            ..10_000 => "at most 1.25",
            1_000_000.. => "at most 1",
            _ => "(none)",
        };
        let of = |case| measured.ratio(case, FLOOR);
        figure(&format!("authenticate beside the floor, {size} tokens"), of(AWAITED), goal, noise);
        figure(&format!("authenticate_now beside the floor, {size} tokens"), of(NOW), goal, noise);
        figure(
            &format!("authenticate_many of 16 beside single calls, {size} tokens"),
            measured.ratio(MANY, AWAITED),
            if size == 10_000_000 { "at most 0.5" } else { "(none)" },
            noise,
        );
    }

    fn refusals(&self, rounds: usize, calls: usize) {
        let rules = self.tokens.rules();
        let access = Access::any();
        let presented = rules.format.parse(self.text(0).as_bytes()).unwrap();
        let block = || {
            black_box(rules.keyring.current_digest(black_box(&presented)));
        };
        let at_once = |text: &str| {
            assert!(matches!(self.tokens.authenticate_now(text, &access), Some(Err(_))));
        };
        // Why is looked at once: a bench that asks each time measures its own question.
        for length in [self.length - 1, self.length] {
            let verdict = self.tokens.authenticate_now(&self.spoilt(0, 1)[..length], &access);
            assert_eq!(verdict.unwrap().unwrap_err().code(), "malformed");
        }
        let cases = [BLOCK, BLOCK_AGAIN, SHAPE, SHAPE_AWAITED, CHECKSUM, CHECKSUM_AWAITED];
        let measured = Measured::in_turns(cases.len(), rounds, |case, round| {
            // Each has texts of its own here too.
            let texts = self.spoilt((round * cases.len() + case) * calls, calls);
            let is_short = matches!(case, SHAPE | SHAPE_AWAITED);
            let length = self.length - usize::from(is_short);
            let texts = (0..calls).map(|n| black_box(&texts[n * self.length..][..length]));
            match case {
                BLOCK | BLOCK_AGAIN => timed(texts, |_| block()),
                SHAPE | CHECKSUM => timed(texts, at_once),
                _ => self.time_awaiting(texts, &access, false),
            }
        });
        println!(
            "  one digest {:.1} ns; at once and awaited, a wrong shape {:.1} and {:.1} ns, \
             a wrong checksum {:.1} and {:.1} ns",
            measured.median(BLOCK),
            measured.median(SHAPE),
            measured.median(SHAPE_AWAITED),
            measured.median(CHECKSUM),
            measured.median(CHECKSUM_AWAITED),
        );
        let noise = measured.ratio(BLOCK_AGAIN, BLOCK);
        let of = |case| measured.ratio(case, BLOCK);
        for (what, case, goal) in
            [("a wrong shape", SHAPE, "at most 0.1"), ("a wrong checksum", CHECKSUM, "at most 0.6")]
        {
            let what = format!("refusing {what} beside one digest, {} tokens", self.size());
            figure(&what, of(case), goal, noise);
        }
    }

    /// The texts of so many calls, one after the other, each with another last character.
    fn spoilt(&self, first: usize, calls: usize) -> String {
        let mut texts = String::with_capacity(calls * self.length);
        for number in first..first + calls {
            let text = self.text(number);
            texts.push_str(&text[..self.length - 1]);
            texts.push(if text.ends_with('a') { 'b' } else { 'a' });
        }
        texts
    }

    fn size(&self) -> usize {
        self.texts.len() / self.length
    }

    fn text(&self, number: usize) -> &str {
        let start = number % self.size() * self.length;
        &self.texts[start..start + self.length]
    }

    /// Has the texts of so many calls at hand, as those of requests are that have just been read.
    fn read(&self, first: usize, calls: usize) {
        for number in first..first + calls {
            black_box(self.text(number).bytes().fold(0, |seen, byte| seen ^ byte));
        }
    }

    /// The calls of one task, which awaits each of them.
    fn time_awaiting<'t>(
        &self,
        texts: impl ExactSizeIterator<Item = &'t str>,
        access: &Access<'_, ReadWrite>,
        is_live: bool,
    ) -> f64 {
        let calls = texts.len() as f64;
        let task = async {
            let begun = Instant::now();
            for text in texts {
                let verdict = self.tokens.authenticate(text, access).await;
                assert_eq!(verdict.is_ok(), is_live);
            }
            begun.elapsed().as_nanos() as f64 / calls
        };
        task.now_or_never().unwrap()
    }

    fn time_many(&self, first: usize, calls: usize) -> f64 {
        let access = Access::needing(&ReadWrite::Read);
        let task = async {
            let begun = Instant::now();
            for number in (first..first + calls).step_by(16) {
                let calls: [_; 16] = std::array::from_fn(|n| (self.text(number + n), access));
                let verdicts = self.tokens.authenticate_many(black_box(&calls)).await;
                assert!(verdicts.iter().all(Result::is_ok), "a live token was refused");
            }
            begun.elapsed().as_nanos() as f64 / calls as f64
        };
        task.now_or_never().unwrap()
    }
}

/// Nanoseconds a call.
fn timed<'t>(texts: impl ExactSizeIterator<Item = &'t str>, call: impl Fn(&str)) -> f64 {
    let (calls, begun) = (texts.len() as f64, Instant::now());
    texts.for_each(call);
    begun.elapsed().as_nanos() as f64 / calls
}

/// Texts that nobody was given, half of them with a right checksum, make the service keep nothing.
fn garbage(texts: usize) {
    let tokens: Tokens<ReadWrite> = Builder::system(MemoryStore::default(), rules(false)).build();
    let issuing: Tokens<ReadWrite> = Builder::system(MemoryStore::default(), rules(false)).build();
    let host = Actor::host();
    let made_up: Vec<String> = (0..1_000)
        .map(|_| {
            let request = IssueRequest::new(OwnerId::new("nobody").unwrap(), Grant::Full);
            let issued = issuing.issue(request, By::Host(&host)).now_or_never().unwrap();
            issued.unwrap().0.expose_secret().to_owned()
        })
        .collect();
    let mut text = String::new();
    let allocated = allocation_counter::measure(|| {
        for number in 0..texts {
            text.clear();
            text.push_str(&made_up[number / 2 % made_up.len()]);
            if number % 2 == 0 {
                text.pop();
                text.push('_');
            }
            let verdict = tokens.authenticate(&text, &Access::any()).now_or_never().unwrap();
            assert!(verdict.is_err(), "garbage was accepted");
        }
    });
    println!(
        "\n{texts} texts that are no tokens: {} bytes more are kept, {} more at the most",
        allocated.bytes_current, allocated.bytes_max
    );
    assert!(allocated.bytes_max < 16 << 20, "garbage makes the service grow");
}

/// The same texts in an order that has nothing to do with where their tokens are, the same in every
/// run: a multiplicative generator is random enough to defeat a cache.
fn shuffled(texts: String, length: usize) -> String {
    let mut texts = texts.into_bytes();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for index in (1..texts.len() / length).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let other = (state >> 33) as usize % index;
        let (before, after) = texts.split_at_mut(index * length);
        before[other * length..][..length].swap_with_slice(&mut after[..length]);
    }
    String::from_utf8(texts).unwrap()
}
