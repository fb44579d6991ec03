//! What the PostgreSQL store promises: the laws, straight and behind a pooler; faults of the
//! server and of the way to it; starts; what lies in the database.
//!
//! The test starts its own servers. Where a program is not installed, each test that needs it is
//! reported as ignored, with the reason.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong, waits for other processes, and says what it found"
)]

mod at_rest;
#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/factor_events.rs"]
mod factor_events;
mod faults;
mod laws;
mod load;
mod nodes;
mod plans;
#[path = "../common/pooler.rs"]
mod pooler;
#[path = "../common/proxy.rs"]
mod proxy;
mod sequences;
mod settings;
mod starts;
mod ways;
mod world;

use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};

use keyfob::RealmId;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use self::cluster::{Cluster, Programs};
use self::pooler::Pooler;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        laws::trials,
        sequences::trials,
        faults::trials,
        ways::trials,
        starts::trials,
        settings::trials,
        at_rest::trials,
        plans::trials,
        nodes::trials,
    ]
    .into_iter()
    .flat_map(|trials| trials())
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // What is static is not dropped by itself, and the servers must not outlive the test.
    SERVERS.stop();
    conclusion.exit_code()
}

/// The servers that tests share, started when the first of them asks.
static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers {
    programs: Programs::find(),
    bouncer: Programs::find().and_then(|_| pooler::find()),
    cluster: OnceLock::new(),
    pooler: OnceLock::new(),
});

/// Where every store of these tests lives.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

struct Servers {
    programs: Result<Programs, String>,
    bouncer: Result<std::path::PathBuf, String>,
    cluster: OnceLock<Cluster>,
    pooler: OnceLock<Pooler>,
}

impl Servers {
    fn cluster(&self) -> &Cluster {
        self.cluster.get_or_init(|| {
            let cluster = Cluster::start(self.programs.as_ref().unwrap(), "");
            cluster.admin("CREATE DATABASE ready");
            let url = cluster.url("ready");
            // On a runtime of its own: with it every connection ends, as making copies demands.
            let runtime = Runtime::new().unwrap();
            runtime.block_on(connect(PostgresOptions::from_url(&url).unwrap()));
            drop(runtime);
            let others = "SELECT FROM pg_stat_activity WHERE datname = 'ready'";
            while !cluster.admin(others).is_empty() {
                std::thread::yield_now();
            }
            cluster
        })
    }

    fn pooler(&self) -> &Pooler {
        let cluster = self.cluster();
        self.pooler.get_or_init(|| Pooler::start(self.bouncer.as_ref().unwrap(), cluster))
    }

    /// A database with the schema, and nothing in it.
    fn database(&self) -> String {
        static COPYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one_at_a_time = COPYING.lock();
        self.cluster().copy("ready")
    }

    fn stop(&self) {
        self.pooler.get().inspect(|pooler| pooler.stop());
        self.cluster.get().inspect(|cluster| cluster.discard());
    }
}

async fn connect(options: PostgresOptions) -> PostgresStore {
    PostgresStore::connect(options, RealmId::default()).await.unwrap()
}

/// Tests that need a server, each a fact about this area.
fn facts(area: &str, facts: &[(&str, fn())]) -> Vec<Trial> {
    let fact =
        |(name, run): &(&str, fn())| trial(format!("{area}::{name}"), &SERVERS.programs, *run);
    facts.iter().map(fact).collect()
}

/// A test that needs a server, or where there is none an ignored one that says so.
fn trial<T>(
    name: impl Into<String>,
    needs: &Result<T, String>,
    run: impl FnOnce() + Send + 'static,
) -> Trial {
    let trial = Trial::test(name, move || {
        run();
        Ok(())
    });
    match needs {
        Ok(_) => trial,
        Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
    }
}
