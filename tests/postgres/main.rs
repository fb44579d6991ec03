//! The PostgreSQL store keeps every law of stores, straight and behind a pooler.
//!
//! The server is started by the test. Where none is installed, each test is reported as ignored,
//! with the reason.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/pooler.rs"]
mod pooler;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock, OnceLock};

use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::testing::laws::{Harness, LAWS};
use keyfob::testing::sample;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use self::cluster::{Cluster, Programs};
use self::pooler::Pooler;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let programs = Programs::find();
    let pooler = programs.clone().and_then(|_| pooler::find());
    let server = Arc::new(Server { cluster: OnceLock::new(), pooler: OnceLock::new() });
    let mut trials = Vec::new();
    for law in LAWS {
        let (here, programs_here) = (Arc::clone(&server), programs.clone());
        trials.push(trial(format!("direct::{}", law.name), &programs, move || {
            let cluster = here.cluster(&programs_here.unwrap());
            check(
                law.check,
                |database| PostgresOptions::from_url(&cluster.url(database)).unwrap(),
                cluster,
            );
        }));
        let (here, programs_here, bouncer) =
            (Arc::clone(&server), programs.clone(), pooler.clone());
        trials.push(trial(format!("pooled::{}", law.name), &pooler, move || {
            let cluster = here.cluster(&programs_here.unwrap());
            let pooler = here.pooler.get_or_init(|| Pooler::start(&bouncer.unwrap(), cluster));
            let options =
                |database: &str| PostgresOptions::from_url(&pooler.url(database)).unwrap().pooled();
            check(law.check, options, cluster);
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers stop before the process ends.
    drop(server);
    conclusion.exit_code()
}

struct Server {
    pooler: OnceLock<Pooler>,
    cluster: OnceLock<Cluster>,
}

impl Server {
    fn cluster(&self, programs: &Programs) -> &Cluster {
        self.cluster.get_or_init(|| Cluster::start(programs, ""))
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn check(law: fn(&Harness<'_>), options: impl Fn(&str) -> PostgresOptions, cluster: &Cluster) {
    let options = options(&cluster.database());
    let store = RUNTIME.block_on(PostgresStore::connect(options, sample::realm())).unwrap();
    law(&Harness::new(|realm| store.in_realm(realm), |future| RUNTIME.block_on(future)));
}

/// A test, or where its server is missing an ignored one that says so.
fn trial<T>(name: String, needs: &Result<T, String>, run: impl FnOnce() + Send + 'static) -> Trial {
    let trial = Trial::test(name, move || {
        run();
        Ok(())
    });
    match needs {
        Ok(_) => trial,
        Err(reason) => trial.with_kind(reason).with_ignored_flag(true),
    }
}
