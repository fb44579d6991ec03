//! Clusters in a simulated world: the shipped service on each node, and everything around it that can
//! go wrong does, by the chance of a seed. What came of it is judged by the revocation contract.
//!
//! One thread runs a world, and nothing in it asks the machine for time or chance, so that a seed
//! tells the same story each time. A failure prints its seed; `KEYFOB_SEED`, set at build time, has
//! that one told alone. With `KEYFOB_LONG` set there are ten times as many.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, and says what it found and how long that took"
)]

mod book;
mod cluster;
#[expect(dead_code, reason = "others need more of it")]
#[path = "../common/history.rs"]
mod history;
mod machine;
mod node;
mod store;
mod world;
mod wrong;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use self::cluster::{Mischief, run};
use self::history::{Broken, Summary, Violation, check};
use self::wrong::Wrong;

/// What all clusters together are evidence of.
#[derive(Debug, Default)]
struct Evidence {
    operations: usize,
    barred: u64,
    accepted: u64,
    strict: u64,
    unavailable: u64,
    unknown: u64,
    narrowed: u64,
    reactivated: u64,
    minted: u64,
    connections: u64,
    /// How often a node accepted what had been narrowed elsewhere, within the bound.
    late: usize,
    mischief: BTreeMap<Mischief, u64>,
}

impl Evidence {
    fn add(&mut self, operations: usize, summary: &Summary, mischief: &BTreeMap<Mischief, u64>) {
        self.operations += operations;
        self.barred += summary.bounded.barred;
        self.accepted += summary.bounded.accepted;
        self.strict += summary.strict.accepted;
        self.unavailable += summary.bounded.unavailable;
        self.unknown += summary.unknown;
        self.narrowed += summary.narrowed;
        self.reactivated += summary.reactivated;
        self.minted += summary.minted;
        self.connections += summary.connections;
        self.late += summary.lags.len();
        for (kind, times) in mischief {
            *self.mischief.entry(*kind).or_default() += times;
        }
    }
}

#[test]
fn clusters_keep_the_contract_whatever_befalls_them() {
    let seeds = match option_env!("KEYFOB_SEED") {
        Some(seed) => {
            let seed: u64 = seed.parse().unwrap();
            seed..seed + 1
        }
        None => 0..SEEDS,
    };
    let (next, evidence) = (AtomicU64::new(seeds.start), Mutex::new(Evidence::default()));
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end)
                {
                    let course = run(seed, None);
                    match check(&course.history, &course.terms()) {
                        Ok(summary) => evidence.lock().unwrap().add(
                            course.history.len(),
                            &summary,
                            &course.mischief,
                        ),
                        Err(found) => {
                            panic!("seed {seed}: {}", found[0].tell(&course.history))
                        }
                    }
                }
            });
        }
    });
    let found = evidence.into_inner().unwrap();
    println!("{} clusters in {:.0?}: {found:#?}", seeds.end - seeds.start, begun.elapsed());
    // Nothing is shown by a world in which it cannot happen.
    let all = usize::try_from(seeds.end - seeds.start).unwrap();
    if all > 1 {
        assert_eq!(found.mischief.len(), Mischief::ALL.len(), "{:?}", found.mischief);
        let Evidence { barred, accepted, strict, unavailable, unknown, .. } = found;
        let Evidence { narrowed, reactivated, minted, connections, .. } = found;
        let counts = [barred, accepted, strict, unavailable, narrowed, connections];
        assert!(counts.iter().all(|count| *count > 10 * all as u64), "{counts:?}");
        let counts = [unknown, reactivated, minted, found.late as u64];
        assert!(counts.iter().all(|count| *count > all as u64), "{counts:?}");
    }
}

/// Printed by a failure that is to be looked at.
const SEEDS: u64 = if option_env!("KEYFOB_LONG").is_some() { 100_000 } else { 10_000 };

/// While the store was away the date was set, which ends a lease before its time: it was asked once
/// more, until after that time.
#[test]
fn a_date_that_is_set_while_the_store_is_away_keeps_no_connection_open_beyond_the_bound() {
    for seed in [25_593, 80_215] {
        let course = run(seed, None);
        let found = check(&course.history, &course.terms());
        assert!(found.is_ok(), "seed {seed}: {found:?}");
        assert!(course.mischief.contains_key(&Mischief::DateSet));
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in 0..20 {
        let (one, other) = (run(seed, None), run(seed, None));
        assert!(one == other, "seed {seed}");
        assert!(one.history.len() > 100 && !one.mischief.is_empty());
        assert!(one.history != run(seed + 1, None).history);
    }
}

/// The first violation of such a kind, and of how many seeds it took.
fn first(wrong: Wrong, is_such: impl Fn(Broken) -> bool) -> Option<(u64, Violation)> {
    (0..1000).find_map(|seed| {
        let course = run(seed, Some(wrong));
        let found = check(&course.history, &course.terms()).err()?;
        found.into_iter().find(|one| is_such(one.broken)).map(|one| (seed, one))
    })
}

macro_rules! caught {
    ($($name:ident: $wrong:ident breaks $($broken:ident)|+;)+) => {
        $(
            #[test]
            fn $name() {
                let is_such = |broken| matches!(broken, $(Broken::$broken)|+);
                let (seed, one) = first(Wrong::$wrong, is_such).unwrap();
                println!("{one:?} after {seed} clusters");
            }
        )+
    };
}

caught! {
    clocks_that_go_too_slowly_are_caught: SlowClocks breaks Bounded;
    a_suspension_that_no_clock_shows_is_caught: SuspensionUnseen breaks Bounded;
    changes_that_are_told_of_somebody_else_are_caught: ChangesMisnamed breaks Bounded;
    changes_of_a_copy_that_lags_are_caught: StaleChanges breaks Bounded;
    nodes_that_are_not_written_down_are_caught: NodesForgotten breaks Fenced;
    rows_of_a_copy_that_lags_are_caught: StaleRows breaks Strict | Local | Bounded;
    time_that_stands_still_is_caught: StoppedTime breaks Expired;
    trouble_that_is_told_as_absence_is_caught: AbsentForTrouble breaks FalselyRefused;
}
