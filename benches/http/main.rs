//! How many requests a second does a server lose to the layer, if its handler does nothing else?
//!
//! One process serves, another asks: this program, started twice more. The machines that this is run
//! on may have two processors, so the server has one thread, which is what is to be saturated, and
//! the other process the other: it keeps 32 requests on their way over as many connections that stay
//! open, each the bytes of a finished request with a token of its own, and only counts answers. A
//! general load generator spends more on a request than this server does, and would be what is
//! measured. How busy the server's thread was is printed: well below 100 %, it was not the bottleneck.
//!
//! Six services on six listeners of that thread are asked in turns: an empty handler, the same once
//! more (how far two equal servers differ), the handler behind a layer that does nothing (what axum
//! takes for any), behind this crate's, the same with the layer around the router (a router
//! keeps what is behind `Router::layer` in a box, and this is without), and behind the least that
//! somebody would write by hand: a digest of the text in a map, and its owner in the request. Beside
//! requests a second, by the clock, stands what a request takes of the thread's own time, which others
//! on the machine disturb less. Several such servers are measured, one after the other: where a
//! process lies in memory makes a per cent of difference between its services.
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
#[expect(dead_code, reason = "other targets use more of it")]
#[path = "../rounds/mod.rs"]
mod rounds;
mod server;

use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use keyfob::http::BearerLayer;
use keyfob::store::memory::MemoryStore;
use keyfob::{Actor, Builder, By};
use tower::Layer as _;
use tower::layer::util::Identity;

use self::asker::{Asker, ask};
use self::rounds::fleet::{Fleet, rules};
use self::rounds::{Measured, figure, median, ready, together};
use self::server::{Call, Server, measured};

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
    let all = Measures::of_servers(servers, &arguments[1..]);
    println!(
        "requests a second on one server thread, {CONNECTIONS} connections; medians over {servers} \
         servers, one after the other, each of {rounds} interleaved rounds of {requests} requests"
    );
    println!("{:<28} {:>10} {:>7} {:>11} {:>7}", "", "requests/s", "lost", "CPU ns each", "lost");
    for (case, name) in NAMES.iter().enumerate() {
        println!(
            "{name:<28} {:>10.0} {:>6.2}% {:>11.0} {:>6.2}%",
            1e9 / all.clock.median(case),
            lost(&all.clock, case),
            all.cpu.median(case),
            lost(&all.cpu, case)
        );
    }
    let busy = all.cpu.0[BARE].iter().zip(&all.clock.0[BARE]).map(|(cpu, clock)| cpu / clock);
    println!(
        "the server's thread was busy for {:.0} % of the time",
        100.0 * median(busy.collect())
    );
    for (case, name) in NAMES.iter().enumerate() {
        println!("{name:<28} {:>10.0} ns a call without a network", all.inside.median(case));
    }
    for (how, measured) in [("by the clock", &all.clock), ("by the server's own time", &all.cpu)] {
        let noise = lost(measured, AGAIN);
        for (case, place) in [(LAYER, "in the router"), (AROUND, "around the router")] {
            let what = format!("requests a second that the layer costs, in %, {place}, {how}");
            figure(&what, lost(measured, case) - noise.abs(), "at most 3", noise);
        }
    }
}

/// How many per cent fewer requests a second there are than with the empty handler.
fn lost(measured: &Measured, case: usize) -> f64 {
    100.0 * (1.0 - measured.ratio(BARE, case))
}

/// What each service cost in each round, in nanoseconds a request.
struct Measures {
    clock: Measured,
    /// Of the server's thread.
    cpu: Measured,
    /// Without a network.
    inside: Measured,
}

impl Measures {
    /// Of several servers, one after the other.
    fn of_servers(servers: usize, arguments: &[String]) -> Self {
        let none = || Measured(vec![Vec::new(); NAMES.len()]);
        let mut all = Self { clock: none(), cpu: none(), inside: none() };
        for _ in 0..servers {
            let mut server = Command::new(std::env::current_exe().unwrap());
            let told = server.arg(SERVE).args(arguments).stderr(Stdio::inherit()).output().unwrap();
            assert!(told.status.success(), "a server failed");
            for line in String::from_utf8(told.stdout).unwrap().lines() {
                let mut words = line.split(' ');
                let measured = match words.next().unwrap() {
                    "clock" => &mut all.clock,
                    "cpu" => &mut all.cpu,
                    _ => &mut all.inside,
                };
                for (costs, cost) in measured.0.iter_mut().zip(words) {
                    costs.push(cost.parse().unwrap());
                }
            }
        }
        all
    }

    /// For the process that reads them.
    fn print(&self) {
        for (name, measured) in
            [("clock", &self.clock), ("cpu", &self.cpu), ("inside", &self.inside)]
        {
            for round in 0..measured.0[BARE].len() {
                let costs: Vec<String> =
                    measured.0.iter().map(|costs| costs[round].to_string()).collect();
                println!("{name} {}", costs.join(" "));
            }
        }
    }
}

/// What one server process does.
fn measure(rounds: usize, requests: usize) {
    let fleet = Fleet::new(Builder::system(MemoryStore::default(), rules(false)), TOKENS + 1, None);
    ready(fleet.tokens.revoke(fleet.id(TOKENS), By::Host(&Actor::host()), None)).unwrap();
    let empty = || Router::new().route("/", get(async || ()));
    let layer = BearerLayer::new(fleet.tokens.clone());
    let (services, calls): (Vec<_>, Vec<_>) = [
        measured(empty()),
        measured(empty().layer(layer.clone())),
        measured(layer.layer(empty())),
        measured(empty()),
        measured(empty().layer(Identity::new())),
        measured(empty().layer(from_fn_with_state(by_hand::owners(&fleet), by_hand::check))),
    ]
    .into_iter()
    .unzip();
    let server = Server::start(services);
    let mut asker = Asker::start(&server, &fleet);
    // The layer is one that refuses; the others have none.
    for (case, name) in NAMES.iter().enumerate() {
        let expected = if [LAYER, AROUND, BY_HAND].contains(&case) { "401" } else { "200" };
        assert_eq!(asker.status(case), expected, "{name}");
    }
    let mut spent = vec![Vec::new(); NAMES.len()];
    let clock = Measured::in_turns(NAMES.len(), rounds, |case, round| {
        let before = server.cpu();
        let took = asker.take(case, requests);
        if round > 0 {
            spent[case].push((server.cpu() - before).as_nanos() as f64 / requests as f64);
        }
        took / requests as f64
    });
    let inside = inside(&calls, &fleet, rounds, requests);
    Measures { clock, cpu: Measured(spent), inside }.print();
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
const BY_HAND: usize = 5;
const NAMES: [&str; 6] = [
    "an empty handler",
    "behind the layer",
    "with the layer around it",
    "an empty handler (A/A)",
    "behind a layer of nothing",
    "behind a layer by hand",
];

const TOKENS: usize = 1_000;
const CONNECTIONS: usize = 32;

/// The argument that makes this program the one that asks.
const ASK: &str = "--ask";

/// The argument that makes it one of the servers.
const SERVE: &str = "--serve";
