//! The example chat server on PostgreSQL: starts and restarts, several nodes on one database, and
//! what becomes of requests while the database is away.
//!
//! The test starts its own server. Where none is installed, each test is reported as ignored, with
//! the reason.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, and waits for other processes"
)]

#[path = "../common/chat_server.rs"]
mod chat_server;
#[expect(dead_code, reason = "other targets use more of it")]
#[path = "../common/cluster.rs"]
mod cluster;
#[expect(dead_code, reason = "other targets use more of it")]
#[path = "../common/factors.rs"]
mod factors;
mod nodes;
mod outage;
mod starts;
mod urls;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Trial};
use serde_json::json;

use self::chat_server::{Server, folder, text};
use self::cluster::{Cluster, Programs};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Started when the first test asks. It is no static, since those are not dropped, and neither
    // the server nor its folder may outlive the test.
    let cluster: Shared =
        Arc::new(LazyLock::new(|| Cluster::start(&Programs::find().unwrap(), "")));
    let trials = [nodes::TRIALS, outage::TRIALS, starts::TRIALS, urls::TRIALS].concat();
    let trials = trials.into_iter().map(|(name, run)| trial(name, run, Arc::clone(&cluster)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// What it is called, and what it does with the server that all share.
type NamedTest = (&'static str, fn(&Cluster));

/// The server of all tests that leave it alone.
type Shared = Arc<LazyLock<Cluster>>;

/// A test that needs a server, or where there is none an ignored one that says so.
fn trial(name: &str, run: fn(&Cluster), cluster: Shared) -> Trial {
    let trial = Trial::test(name, move || {
        run(&cluster);
        Ok(())
    });
    match Programs::find() {
        Ok(_) => trial,
        Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
    }
}

/// A database with its nodes, which share a key.
struct Nodes {
    url: String,
    key: String,
}

impl Nodes {
    /// On a fresh database of a cluster. The first node that starts makes the key.
    fn new(name: &str, cluster: &Cluster) -> Self {
        let key = folder(&format!("{name}_key")).join("shared.key");
        Self { url: cluster.url(&cluster.database()), key: key.to_str().unwrap().to_owned() }
    }

    /// One that logs as much as this.
    fn start(&self, name: &str, log: &str) -> Server {
        Server::start(name, &["--store", &self.url, "--secret-key", &self.key], log)
    }
}

/// A new token's text and id.
fn made(server: &Server, session: &str, name: &str) -> (String, String) {
    let body = json!({"name": name});
    let made = server.call("POST", "/tokens", session, Some(&body)).is(201).json();
    (text(&made["token"]), text(&made["id"]))
}

/// What a server answers to whoever reads with this token.
fn status(server: &Server, token: &str) -> u16 {
    server.call("GET", "/messages", token, None).status
}
