//! How many requests a second does a server lose to the layer, if its handler does nothing else?
//!
//! One process serves, others ask: this program, started some more times. Who asks keeps 32 requests
//! on their way over as many connections that stay open, each the bytes of a finished request, and only
//! counts answers: a general load generator spends more on a request than this server does, and would
//! be what is measured. That is done in four settings, of two times two:
//!
//! - one thread serves and one process asks, so that each has a processor, where there are two: what
//!   is counted is what the server itself loses, and the asker's work is in no figure;
//! - as many threads serve as there are processors, on tokio's runtime of several threads, and as many
//!   processes ask, so that both sides share all processors: what a whole machine loses.
//!
//! - every request presents the same token, as what load generators repeat does;
//! - a thousand tokens take turns, so that what is kept of one has left the caches when it comes again.
//!
//! Eight services on as many listeners are asked in turns: an empty handler, the same once more (how far
//! two equal servers differ), the handler behind a layer that does nothing (what axum takes for any),
//! behind this crate's, the same with the layer around the router (a router keeps what is behind
//! `Router::layer` in a box, and this is without), with the floor of `verify` around the router and no
//! more (its verdict goes nowhere), behind the least that somebody would write by hand (a digest of the
//! text in a map, and its owner in the request), and as a route of `Routes` that needs a scope. Beside
//! requests a second, by the clock, stands what a request takes of the server's own time, which others
//! on the machine disturb less. Several such servers are measured, one after the other: where a process
//! lies in memory makes a per cent of difference between its services.
//!
//! ```text
//! cargo bench --bench http [-- --smoke]
//! ```
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench prints, reads the clock, and stops when something is wrong"
)]

mod asker;
mod by_hand;
mod floor;
#[path = "../rounds/mod.rs"]
mod rounds;
mod server;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use keyfob::http::{BearerLayer, Need, Routes};
use keyfob::store::memory::MemoryStore;
use keyfob::{Actor, Builder, By, ReadWrite};
use rustix::time::{ClockId, clock_gettime};
use tower::Layer as _;
use tower::layer::util::Identity;

use self::asker::{Asker, ask};
use self::floor::OnFloor;
use self::rounds::fleet::{Fleet, rules};
use self::rounds::floor::Floor;
use self::rounds::{Measured, figure, median, ready, together};
use self::server::{Call, Serve, measured, start};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is = |name| arguments.iter().any(|argument| argument == name);
    if is(ASK) {
        return ask();
    }
    let (servers, rounds, requests) = if is("--smoke") { (1, 3, 500) } else { (9, 25, 2_000) };
    if is(SERVE) {
        return measure(rounds, requests);
    }
    let all = all(servers, &arguments[1..]);
    println!(
        "requests a second; medians over {servers} servers, one after the other, each of {rounds} \
         interleaved rounds of {requests} requests over {CONNECTIONS} connections a thread"
    );
    for (number, Setting { name, .. }) in SETTINGS.iter().enumerate() {
        let (clock, cpu) = (&all[2 * number], &all[2 * number + 1]);
        println!("{name}");
        println!(
            "{:36} {:>10} {:>7} {:>11} {:>7}",
            "", "requests/s", "lost", "CPU ns each", "lost"
        );
        for (case, name) in NAMES.iter().enumerate() {
            println!(
                "  {name:<34} {:>10.0} {:>6.2}% {:>11.0} {:>6.2}%",
                1e9 / clock.median(case),
                lost(clock, case),
                cpu.median(case),
                lost(cpu, case)
            );
        }
        let busy = cpu.0[BARE].iter().zip(&clock.0[BARE]).map(|(cpu, clock)| cpu / clock);
        println!("  the server took {:.2} processors", median(busy.collect()));
    }
    println!("without a network, ns a call");
    for (case, name) in NAMES.iter().enumerate() {
        println!("  {name:<34} {:>10.0}", all[INSIDE].median(case));
    }
    for (number, Setting { name, .. }) in SETTINGS.iter().enumerate() {
        let clock = &all[2 * number];
        for (case, place) in [(LAYER, "in the router"), (AROUND, "around the router")] {
            let what = format!("requests a second that the layer costs, in %, {place}, {name}");
            let noise = lost(clock, AGAIN);
            figure(&what, lost(clock, case) - noise.abs(), "at most 3", noise);
        }
    }
}

/// How many per cent fewer requests a second there are than with the empty handler.
fn lost(measured: &Measured, case: usize) -> f64 {
    100.0 * (1.0 - measured.ratio(BARE, case))
}

/// What each service cost, in nanoseconds a request: of each kind of cost, each round of all servers,
/// one server after the other.
fn all(servers: usize, arguments: &[String]) -> Vec<Measured> {
    let mut all: Vec<_> = (0..=INSIDE).map(|_| Measured(vec![Vec::new(); NAMES.len()])).collect();
    for _ in 0..servers {
        let mut server = Command::new(std::env::current_exe().unwrap());
        let told = server.arg(SERVE).args(arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(told.status.success(), "a server failed");
        for line in String::from_utf8(told.stdout).unwrap().lines() {
            let (kind, costs) = line.split_once(' ').unwrap();
            let rounds = &mut all[kind.parse::<usize>().unwrap()].0;
            for (rounds, cost) in rounds.iter_mut().zip(costs.split(' ')) {
                rounds.push(cost.parse().unwrap());
            }
        }
    }
    all
}

/// For the process that reads them.
fn tell(kind: usize, measured: &Measured) {
    for round in 0..measured.0[BARE].len() {
        let costs: Vec<_> = measured.0.iter().map(|costs| costs[round].to_string()).collect();
        println!("{kind} {}", costs.join(" "));
    }
}

/// What one server process does.
fn measure(rounds: usize, requests: usize) {
    let fleet = Fleet::new(Builder::system(MemoryStore::default(), rules(false)), TOKENS + 1, None);
    ready(fleet.tokens.revoke(fleet.id(TOKENS), By::Host(&Actor::host()), None)).unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    for (number, setting) in SETTINGS.iter().enumerate() {
        let threads = if setting.shared { processors } else { 1 };
        let ports = start(services(&fleet).0, threads);
        let mut askers: Vec<_> = (0..threads).map(|_| Asker::start(&ports, &fleet)).collect();
        // The layer is one that refuses; the others have none.
        for (case, name) in NAMES.iter().enumerate() {
            let expected =
                if [LAYER, AROUND, ROUTE, BY_HAND].contains(&case) { "401" } else { "200" };
            assert_eq!(askers[0].status(case), expected, "{name}");
        }
        let mut spent = vec![Vec::new(); NAMES.len()];
        let asked = (threads * requests) as f64;
        let clock = Measured::in_turns(NAMES.len(), rounds, |case, round| {
            let before = cpu();
            let took = Asker::take(&mut askers, case, setting.tokens, requests);
            if round > 0 {
                spent[case].push((cpu() - before).as_nanos() as f64 / asked);
            }
            took / asked
        });
        tell(2 * number, &clock);
        tell(2 * number + 1, &Measured(spent));
    }
    tell(INSIDE, &inside(&services(&fleet).1, &fleet, rounds, requests));
}

/// How long this process has been running on any processor.
fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// What is compared, in the order of the names.
fn services(fleet: &Fleet) -> (Vec<Serve>, Vec<Call>) {
    let empty = || Router::new().route("/", get(async || ()));
    // As `axum::serve` does; else each request would make its route and apply its layers anew.
    let served = |router: Router| router.with_state(());
    let layer = BearerLayer::new(fleet.tokens.clone());
    let floor = Arc::new(Floor::new(rules(false), fleet.texts()));
    let routes = Routes::new().get("/", Need::Scope(ReadWrite::Read), async || ());
    let by_hand = by_hand::owners(fleet);
    [
        measured(served(empty())),
        measured(served(empty().layer(layer.clone()))),
        measured(layer.layer(served(empty()))),
        measured(served(empty())),
        measured(served(routes.into_router(&layer))),
        measured(served(empty().layer(from_fn_with_state(by_hand, by_hand::check)))),
        measured(served(empty().layer(Identity::new()))),
        measured(OnFloor(floor, served(empty()))),
    ]
    .into_iter()
    .unzip()
}

/// The same services, called without a network: what of the cost is the layer's own work, and not what
/// it finds in the caches after the kernel has been there.
fn inside(calls: &[Call], fleet: &Fleet, rounds: usize, requests: usize) -> Measured {
    Measured::in_turns(NAMES.len(), rounds, |case, _| {
        together(1, |_| {
            let call = &calls[case];
            move || {
                for number in 0..requests {
                    let text = fleet.text(number % TOKENS);
                    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {text}"));
                    assert_eq!(call(request.body(Body::empty()).unwrap()), StatusCode::OK);
                }
            }
        }) / requests as f64
    })
}

const BARE: usize = 0;
const LAYER: usize = 1;
const AROUND: usize = 2;
const AGAIN: usize = 3;
const ROUTE: usize = 4;
const BY_HAND: usize = 5;
const NAMES: [&str; 8] = [
    "an empty handler",
    "behind the layer",
    "with the layer around it",
    "an empty handler (A/A)",
    "as a route that needs a scope",
    "behind a layer by hand",
    "behind a layer of nothing",
    "with the floor around it",
];

/// How the services are asked.
struct Setting {
    name: &'static str,
    /// Whether servers and askers share all processors.
    shared: bool,
    /// How many tokens take turns.
    tokens: usize,
}

const SETTINGS: [Setting; 4] = [
    Setting {
        name: "one token, on a thread with a processor of its own",
        shared: false,
        tokens: 1,
    },
    Setting { name: "one token, on all processors", shared: true, tokens: 1 },
    Setting {
        name: "a thousand tokens, on a thread with a processor of its own",
        shared: false,
        tokens: TOKENS,
    },
    Setting { name: "a thousand tokens, on all processors", shared: true, tokens: TOKENS },
];

/// The kinds of costs: of each setting by the clock, after it what the server took of processors, and
/// last what a call takes without a network.
const INSIDE: usize = 2 * SETTINGS.len();

const TOKENS: usize = 1_000;
const CONNECTIONS: usize = 32;

/// The argument that makes this program the one that asks.
const ASK: &str = "--ask";

/// The argument that makes it one of the servers.
const SERVE: &str = "--serve";
