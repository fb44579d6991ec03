//! What clients are told while the database is away: to try again, in time, and never that their
//! token is not accepted.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::chat_server::{BOB, PASSWORD, Server};
use super::cluster::{Cluster, signal};
use super::{NamedTest, Nodes, made, status};

pub(crate) const TRIALS: &[NamedTest] = &[
    ("a_database_that_is_gone_is_no_verdict", |cluster| {
        outlasts(cluster, "gone", Cluster::stop, Cluster::resume);
    }),
    ("a_database_that_is_silent_is_no_verdict", |cluster| {
        let (leave, come_back) = (|own: &_| to_all("STOP", own), |own: &_| to_all("CONT", own));
        outlasts(cluster, "silent", leave, come_back);
    }),
];

fn outlasts(shared: &Cluster, name: &str, leave: fn(&Cluster), come_back: fn(&Cluster)) {
    // Others need theirs to stay.
    let cluster = Cluster::start(shared.programs(), "");
    let server = Nodes::new(name, &cluster).start(name, "info");
    let session = server.sign_in("bob", PASSWORD);
    let administrator = server.sign_in("admin", "the administrator's password");
    let (token, id) = made(&server, &session, "kept");
    assert_eq!(status(&server, &token), 200);

    leave(&cluster);
    let (one, owner) = (format!("/tokens/{id}"), format!("/owners/{BOB}/deactivate"));
    let rotate = format!("{one}/rotate");
    let sign_in = json!({"username": "bob", "password": PASSWORD});
    let requests = [
        ("GET", "/accounts", &administrator, None),
        ("GET", "/messages", &token, None),
        ("POST", "/messages", &token, Some(json!({"text": "hello"}))),
        ("GET", "/tokens", &session, None),
        ("POST", "/tokens", &session, Some(json!({"name": "new"}))),
        ("GET", "/tokens/current", &token, None),
        ("GET", &one, &session, None),
        ("PATCH", &one, &session, Some(json!({"name": "renamed"}))),
        ("POST", &rotate, &session, None),
        ("POST", &owner, &administrator, None),
    ];
    thread::scope(|scope| {
        for (method, path, token, body) in &requests {
            let server = &server;
            scope.spawn(move || try_again(server, method, path, token, body.as_ref()));
        }
        // More often than wrong passwords may be tried.
        for _ in 0..12 {
            scope.spawn(|| try_again(&server, "POST", "/login", "", Some(&sign_in)));
        }
    });

    come_back(&cluster);
    thread::sleep(BACK_WITHIN);
    assert_eq!((status(&server, &token), status(&server, &session)), (200, 200));
    made(&server, &server.sign_in("bob", PASSWORD), "afterwards");
    assert_eq!(server.stop().status.code(), Some(0));
}

fn try_again(
    server: &Server,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&serde_json::Value>,
) {
    let started = Instant::now();
    let answer = server.call(method, path, token, body);
    assert_eq!(answer.status, 503, "{method} {path}: {}", answer.body);
    assert!(answer.header("retry-after").is_some(), "{method} {path}");
    assert_eq!(answer.header("www-authenticate"), None, "{method} {path}");
    assert!(started.elapsed() < PROMISED, "{method} {path}: {:?}", started.elapsed());
}

/// Sends a signal to the server and to all that answer for it.
fn to_all(name: &str, cluster: &Cluster) {
    let parent = cluster.process();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    for process in children.unwrap().split_whitespace() {
        signal(name, process.parse().unwrap());
    }
    signal(name, parent);
}

/// What the example promises of every request.
const PROMISED: Duration = Duration::from_secs(10);

/// What it promises of the time after an outage.
const BACK_WITHIN: Duration = Duration::from_secs(10);
