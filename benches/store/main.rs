//! What does a durable store cost, beside its raw driver doing the same work in the same run?
//!
//! The raw driver runs the statements that the store runs, prepared, on a connection of its own,
//! with values that were made ready before: what is compared is everything else. Both are measured
//! in turns, round after round, and the medians are compared. The files lie where the temporary
//! folder is (`TMPDIR`): on a disk, since it is durability that costs.
//!
//! ```text
//! cargo bench --bench store [-- --smoke | --cycles N | sqlite | postgres]
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints, reads the clock, and stops when something is wrong"
)]

#[expect(dead_code, reason = "other targets use more of it")]
#[path = "../../tests/common/cluster.rs"]
mod cluster;
mod crowd;
mod postgres;
mod sqlite;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyfob::testing::sample;
use keyfob::{
    Actor, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, OwnerId, Policy,
    ReadWrite, RealmId, Rules, TokenStore, Tokens,
};

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Tokens that lie in the store, all of one owner.
    crowd: u32,
    /// Tokens of another owner that are revoked at once.
    doomed: u32,
    rounds: usize,
    reads: usize,
    writes: usize,
    cycles: usize,
}

const FULL: Scale = Scale {
    crowd: 1_000_000,
    doomed: 100_000,
    rounds: 11,
    reads: 4_000,
    writes: 200,
    cycles: 20_000,
};

const SMOKE: Scale =
    Scale { crowd: 2_000, doomed: 500, rounds: 3, reads: 200, writes: 20, cycles: 400 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let asks = |word: &str| arguments.iter().any(|argument| argument == word);
    let mut scale = if asks("--smoke") { SMOKE } else { FULL };
    if let Some(place) = arguments.iter().position(|argument| argument == "--cycles") {
        scale.cycles = arguments[place + 1].parse().unwrap();
    }
    println!(
        "{} tokens of one owner; medians of {} interleaved rounds; {} issue/revoke cycles",
        scale.crowd, scale.rounds, scale.cycles
    );
    if !asks("postgres") {
        sqlite::run(scale);
    }
    if !asks("sqlite") {
        postgres::run(scale);
    }
}

/// The service that is measured: keyed, as a host should be, and without a quota.
pub(crate) fn tokens(store: impl TokenStore) -> Tokens<ReadWrite> {
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    let mut kind = KindPolicy::personal();
    kind.quota = None;
    let rules = Rules::new(Format::new("bench").unwrap(), Keyring::new(key))
        .with_policy(Policy::default().with_kind(Kind::personal(), kind));
    Tokens::new(store, rules)
}

pub(crate) fn realm() -> RealmId {
    sample::realm()
}

pub(crate) fn request(owner: &str) -> IssueRequest<ReadWrite> {
    IssueRequest::new(OwnerId::new(owner).unwrap(), Grant::Full)
}

/// On whose behalf everything is done.
pub(crate) fn by() -> By<'static> {
    static HOST: LazyLock<Actor> = LazyLock::new(Actor::host);
    By::Host(&HOST)
}

/// Times the raw driver and ours in turns, each for so many calls, and prints what the medians say.
///
/// `least` is the share of the raw rate that is asked for.
pub(crate) fn compare(
    name: &str,
    scale: Scale,
    calls: usize,
    least: f64,
    mut raw: impl FnMut(usize) -> Duration,
    mut ours: impl FnMut(usize) -> Duration,
) {
    let (mut raws, mut again, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=scale.rounds {
        let measured = [raw(calls), ours(calls), raw(calls)];
        // The first round warms the caches.
        if round > 0 {
            raws.push(measured[0].as_secs_f64());
            all.push(measured[1].as_secs_f64());
            again.push(measured[2].as_secs_f64());
        }
    }
    let (raw, again, ours) = (median(raws), median(again), median(all));
    let floor = f64::midpoint(raw, again);
    let micros = |seconds: f64| seconds * 1e6 / calls as f64;
    println!(
        "{name:<44} raw {:>8.1} us   keyfob {:>8.1} us   raw A/A {:>4.2}   {:>5.1} % of the raw rate (asked: {:.0} %)",
        micros(floor),
        micros(ours),
        again / raw,
        100.0 * floor / ours,
        100.0 * least,
    );
}

/// Prints a time beside the one that is asked for.
pub(crate) fn report(name: &str, took: Duration, most: &str) {
    println!("{name:<44} {:>10.2} ms   (asked: {most})", took.as_secs_f64() * 1e3);
}

pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

pub(crate) fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap());
    values[values.len() / 2]
}
