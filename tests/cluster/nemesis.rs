//! What happens to the nodes meanwhile.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, Programs};
use crate::history::{Operation, Terms, check};
use crate::nodes::{BOUND, Nodes};
use crate::proxy::{End, Proxy, Reach, Weather};
use crate::tokens;

pub(crate) fn on_postgres(programs: &Programs) -> Result<(), Failed> {
    let (many, pace) = if is_long() { (110_000, 1_200.0) } else { (12_000, 400.0) };
    let runtime = Runtime::new().unwrap();
    let cluster = Cluster::start(programs, "");
    let database = cluster.database();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let issued = runtime.block_on(tokens::issue(&cluster.url(&database), many, &path));
    let proxies: Vec<_> = (0..4).map(|_| Proxy::start(runtime.handle(), cluster.port())).collect();
    let urls = proxies.iter().map(|proxy| proxy.url(&database)).collect();
    let mut nodes = Nodes::start(folder.path(), urls, pace);
    let mut random = StdRng::seed_from_u64(4);
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    let begun = Instant::now();
    let least = Duration::from_secs(if is_long() { 60 } else { 30 });
    while begun.elapsed() < least
        || (is_long() && !(nodes.have_revoked(many) && nodes.operations() > 10_000_000))
    {
        assert!(begun.elapsed() < Duration::from_secs(2400), "it takes too long");
        let at = random.random_range(0..nodes.count());
        let fault = FAULTS.choose(&mut random).unwrap();
        *counts.entry(fault).or_default() += 1;
        let time = BOUND.mul_f64(random.random_range(0.1..3.0));
        match *fault {
            "black hole" => {
                proxies[at].weather(Weather::BlackHole);
                std::thread::sleep(time);
                proxies[at].weather(Weather::Fair);
                // What went into the hole stays silent: the next attempt finds the way again.
            }
            "cut" => {
                let ends = [End::Closed, End::HalfClosed, End::Reset];
                proxies[at].cut(*ends.choose(&mut random).unwrap());
            }
            "cut hints" => {
                proxies[at].cut_at("pg_notify", Reach::Nowhere, End::Reset);
                std::thread::sleep(time);
            }
            "killed" => nodes.restart(at),
            "slow" => {
                proxies[at].weather(Weather::Slow(time / 3));
                std::thread::sleep(time);
                proxies[at].weather(Weather::Fair);
            }
            "stands still" => {
                nodes.signal(at, "STOP");
                std::thread::sleep(BOUND * 3);
                nodes.signal(at, "CONT");
            }
            "store restarts" => {
                cluster.stop();
                std::thread::sleep(time / 4);
                cluster.resume();
            }
            "store stands still" => {
                cluster.freeze();
                std::thread::sleep(time / 2);
                cluster.thaw();
            }
            _ => std::thread::sleep(time),
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
    }
    std::thread::sleep(BOUND * 4);
    let mut history = nodes.stop();
    history.extend(issued);
    println!("faults: {counts:?}");
    judge(&history, many, true)
}

/// Quiet times are among them: what happens after a fault matters too.
const FAULTS: [&str; 9] = [
    "black hole",
    "cut",
    "cut hints",
    "killed",
    "none",
    "slow",
    "stands still",
    "store restarts",
    "store stands still",
];

pub(crate) fn on_sqlite() -> Result<(), Failed> {
    let (many, pace) = if is_long() { (20_000, 300.0) } else { (4_000, 150.0) };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
    let runtime = Runtime::new().unwrap();
    let issued = runtime.block_on(tokens::issue(&url, many, &folder.path().join("tokens")));
    let mut nodes = Nodes::start(folder.path(), vec![url; 3], pace);
    let mut random = StdRng::seed_from_u64(5);
    let begun = Instant::now();
    let time = Duration::from_secs(if is_long() { 90 } else { 15 });
    while begun.elapsed() < time {
        let at = random.random_range(0..nodes.count());
        match random.random_range(0..3) {
            0 => nodes.restart(at),
            1 => {
                nodes.signal(at, "STOP");
                std::thread::sleep(BOUND * 3);
                nodes.signal(at, "CONT");
            }
            _ => std::thread::sleep(BOUND),
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..900)));
    }
    std::thread::sleep(BOUND * 4);
    let mut history = nodes.stop();
    history.extend(issued);
    judge(&history, many, false)
}

fn judge(history: &[Operation], many: u32, has_outages: bool) -> Result<(), Failed> {
    let bound = u64::try_from(BOUND.as_nanos()).unwrap();
    let terms = Terms { bound, expiry_allowance: 0 };
    let summary = check(history, &terms).map_err(|violations| {
        let told: Vec<_> = violations.iter().take(5).map(|one| one.tell(history)).collect();
        format!("{} violations, the first:\n{}", violations.len(), told.join("\n"))
    })?;
    let lag = |part: usize| {
        let at = summary.lags.len().saturating_sub(1) * part / 1000;
        Duration::from_nanos(summary.lags.get(at).copied().unwrap_or(0))
    };
    println!(
        "{} operations: verified {:?}, strictly {:?}; {} narrowed, {} reactivated, {} with unknown \
         end; accepted elsewhere after it returned: {} times, for {:.1?} (p50), {:.1?} (p99), \
         {:.1?} (longest)",
        history.len(),
        summary.bounded,
        summary.strict,
        summary.narrowed,
        summary.reactivated,
        summary.unknown,
        summary.lags.len(),
        lag(500),
        lag(990),
        lag(1000),
    );
    // A history without these would show nothing.
    let verdicts = [summary.bounded, summary.strict];
    let is_vacuous = summary.lags.is_empty()
        || summary.narrowed < u64::from(many) / 10
        || verdicts.iter().any(|of| of.accepted < 100 || of.barred < 100)
        || (has_outages && summary.bounded.unavailable == 0);
    if is_vacuous { Err("too little happened".into()) } else { Ok(()) }
}

fn is_long() -> bool {
    option_env!("KEYFOB_LONG").is_some()
}
