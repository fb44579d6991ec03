//! How many requests a second does a server lose to the layer, if its handler does nothing else?
//!
//! One process serves, another asks: this program, started once more. The machines that this is run
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
//! on the machine disturb less.
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

#[expect(dead_code, reason = "other targets use more of it")]
mod rounds;

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, stdin};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyfob::http::BearerLayer;
use keyfob::store::memory::MemoryStore;
use keyfob::{Actor, Builder, By};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tower::layer::util::Identity;
use tower::{Layer as _, Service};

use rounds::fleet::{Fleet, rules};
use rounds::{Measured, figure, median, ready, together};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == ASK) {
        return ask();
    }
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let (rounds, requests) = if smoke { (3, 500) } else { (201, 2_000) };

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

    println!(
        "requests a second on one server thread, {CONNECTIONS} connections; medians of {rounds} \
         interleaved rounds of {requests} requests"
    );
    let (mut spent, mut busy) = (vec![Vec::new(); NAMES.len()], Vec::new());
    let clock = Measured::in_turns(NAMES.len(), rounds, |case, round| {
        let before = server.cpu();
        let took = asker.take(case, requests);
        let cpu = (server.cpu() - before).as_nanos() as f64;
        if round > 0 {
            spent[case].push(cpu / requests as f64);
            busy.push(cpu / took);
        }
        took / requests as f64
    });
    let cpu = Measured(spent);
    println!("{:<28} {:>10} {:>7} {:>11} {:>7}", "", "requests/s", "lost", "CPU ns each", "lost");
    for (case, name) in NAMES.iter().enumerate() {
        println!(
            "{name:<28} {:>10.0} {:>6.2}% {:>11.0} {:>6.2}%",
            1e9 / clock.median(case),
            lost(&clock, case),
            cpu.median(case),
            lost(&cpu, case)
        );
    }
    println!("the server's thread was busy for {:.0} % of the time", 100.0 * median(busy));
    inside(&calls, &fleet, rounds, requests);
    for (how, measured) in [("by the clock", &clock), ("by the server's own time", &cpu)] {
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

/// The same services, called without a network: what of the cost is the layer's own work, and not what
/// it finds in the caches after the kernel has been there.
fn inside(calls: &[Call], fleet: &Fleet, rounds: usize, requests: usize) {
    let measured = Measured::in_turns(NAMES.len(), rounds, |case, _| {
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
    });
    for (case, name) in NAMES.iter().enumerate() {
        println!("{name:<28} {:>10.0} ns a call without a network", measured.median(case));
    }
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

/// What a host would write that only wants to know whose a token is: no expiry, no state, no scope,
/// no revocation elsewhere.
mod by_hand {
    use std::collections::HashMap;
    use std::sync::{Arc, RwLock};

    use axum::body::Body;
    use axum::extract::State;
    use axum::middleware::Next;
    use http::header::AUTHORIZATION;
    use http::{Request, Response, StatusCode};
    use sha2::{Digest as _, Sha256};

    use super::TOKENS;
    use super::rounds::fleet::Fleet;

    type Owners = Arc<RwLock<HashMap<[u8; 32], Owner>>>;

    #[derive(Clone, Copy)]
    pub(crate) struct Owner(#[expect(dead_code, reason = "a handler would read it")] usize);

    pub(crate) fn owners(fleet: &Fleet) -> Owners {
        let digest = |number| Sha256::digest(fleet.text(number)).into();
        let owners = (0..TOKENS).map(|number| (digest(number), Owner(number)));
        Arc::new(RwLock::new(owners.collect()))
    }

    pub(crate) async fn check(
        State(owners): State<Owners>,
        mut request: Request<Body>,
        next: Next,
    ) -> Result<Response<Body>, StatusCode> {
        let header = request.headers().get(AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?;
        let text = header.as_bytes().strip_prefix(b"Bearer ").ok_or(StatusCode::UNAUTHORIZED)?;
        let digest: [u8; 32] = Sha256::digest(text).into();
        let owner = owners.read().unwrap().get(&digest).copied();
        request.extensions_mut().insert(owner.ok_or(StatusCode::UNAUTHORIZED)?);
        Ok(next.run(request).await)
    }
}

/// The argument that makes this program the one that asks.
const ASK: &str = "--ask";

/// What answers whoever connects, to the end of the program.
type Serve = Box<dyn FnOnce(TcpListener) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What answers a request that came from nowhere.
type Call = Box<dyn Fn(Request<Body>) -> StatusCode + Sync>;

fn measured<V>(service: V) -> (Serve, Call)
where
    V: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    V: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    V: Clone + Send + Sync + 'static,
    <V as Service<Request<Incoming>>>::Future: Send,
{
    let served = service.clone();
    let call = move |request: Request<Body>| {
        let mut service = service.clone();
        ready(Service::<Request<Body>>::call(&mut service, request)).unwrap().status()
    };
    (Box::new(|listener| Box::pin(serve(listener, served))), Box::new(call))
}

/// One thread that serves each service on a port of its own, to the end of the program.
struct Server {
    ports: Vec<SocketAddr>,
    thread: Handle,
}

impl Server {
    fn start(services: Vec<Serve>) -> Self {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let mut ports = Vec::new();
                for serve in services {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    ports.push(listener.local_addr().unwrap());
                    tokio::spawn(serve(listener));
                }
                tell.send((ports, Handle::current())).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let (ports, thread) = told.recv().unwrap();
        Self { ports, thread }
    }

    /// How long its thread has been running.
    fn cpu(&self) -> Duration {
        let (tell, told) = mpsc::channel();
        self.thread.spawn(async move {
            tell.send(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        });
        told.recv().unwrap().try_into().unwrap()
    }
}

async fn serve<V>(listener: TcpListener, service: V)
where
    V: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    V: Clone + Send + 'static,
    V::Future: Send,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = service.clone();
        let service = service_fn(move |request| service.clone().call(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// The process that asks, as the one that serves sees it.
struct Asker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Asker {
    fn start(server: &Server, fleet: &Fleet) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(ASK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let ports: Vec<String> = server.ports.iter().map(ToString::to_string).collect();
        writeln!(orders, "{}", ports.join(" ")).unwrap();
        for number in 0..=TOKENS {
            writeln!(orders, "{}", fleet.text(number)).unwrap();
        }
        Self { process, orders, answers }
    }

    /// What the server answers to the revoked token.
    fn status(&mut self, case: usize) -> String {
        self.order(case, 0)
    }

    /// Nanoseconds for so many requests.
    fn take(&mut self, case: usize, requests: usize) -> f64 {
        self.order(case, requests).parse().unwrap()
    }

    fn order(&mut self, case: usize, requests: usize) -> String {
        writeln!(self.orders, "{case} {requests}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the other process does: it takes orders until there are no more.
fn ask() {
    let mut lines = stdin().lock().lines().map(Result::unwrap);
    let ports: Vec<SocketAddr> =
        lines.next().unwrap().split(' ').map(|port| port.parse().unwrap()).collect();
    let mut requests: Vec<Vec<u8>> = lines
        .by_ref()
        .take(TOKENS + 1)
        .map(|text| {
            format!("GET / HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {text}\r\n\r\n")
                .into_bytes()
        })
        .collect();
    let revoked = requests.pop().unwrap();
    let mut cases: Vec<Vec<TcpStream>> =
        ports.iter().map(|port| (0..CONNECTIONS).map(|_| connect(*port)).collect()).collect();
    for order in lines {
        let (case, count) = order.split_once(' ').unwrap();
        let case: usize = case.parse().unwrap();
        match count.parse().unwrap() {
            0 => println!("{}", status(&mut connect(ports[case]), &revoked)),
            count => println!("{}", volley(&mut cases[case], &requests, count).as_nanos()),
        }
    }
}

fn connect(port: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(port).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn status(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    String::from_utf8_lossy(&head[9..]).into_owned()
}

/// As soon as a connection is answered it is asked again.
fn volley(connections: &mut [TcpStream], requests: &[Vec<u8>], count: usize) -> Duration {
    let (mut asked, mut answered) = (0, 0);
    let begun = Instant::now();
    for connection in &mut *connections {
        connection.write_all(&requests[asked % requests.len()]).unwrap();
        asked += 1;
    }
    while answered < asked {
        let connection = &mut connections[answered % CONNECTIONS];
        accepted(connection);
        answered += 1;
        if asked < count {
            connection.write_all(&requests[asked % requests.len()]).unwrap();
            asked += 1;
        }
    }
    begun.elapsed()
}

/// Reads one answer: it is a head alone, which an empty line ends.
fn accepted(connection: &mut TcpStream) {
    let (mut answer, mut length) = ([0; 512], 0);
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let read = connection.read(&mut answer[length..]).unwrap();
        assert!(read > 0, "the server hung up");
        length += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
}
