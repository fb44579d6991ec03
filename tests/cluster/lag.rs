//! How long it takes until another process has heard of a revocation, when all is well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfob::os::TokioTimer;
use keyfob::{Access, Grant, IssueRequest};
use libtest_mimic::Failed;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, Programs};
use crate::nodes::BOUND;
use crate::tokens::{self, BY, owner};

pub(crate) fn on_postgres(programs: &Programs) -> Result<(), Failed> {
    let cluster = Cluster::start(programs, "");
    let database = cluster.database();
    measure(&cluster.tcp_url(&database))
}

pub(crate) fn on_sqlite() -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    measure(&format!("sqlite:{}", folder.path().join("tokens.db").display()))
}

/// Two services with connections of their own, which hear of each other through the store alone.
fn measure(url: &str) -> Result<(), Failed> {
    let runtime = Runtime::new().unwrap();
    let (here, there) = runtime.block_on(async {
        let (here, there) = (tokens::service(url).await, tokens::service(url).await);
        for one in [&here, &there] {
            tokio::spawn(one.clone().upkeep(Arc::new(TokioTimer::new())));
        }
        (here, there)
    });
    let mut lags = Vec::new();
    for number in 0..REVOCATIONS {
        let lag = runtime.block_on(async {
            let request = IssueRequest::new(owner(number), Grant::Full);
            let (secret, row) = here.issue(request, BY).await.unwrap();
            let text = secret.expose_secret();
            // That it was issued is news too, after which it is read once more; a machine that has
            // other things to do needs longer to hear of it.
            let mut reads = 0;
            while reads < 2 || there.authenticate_now(text, &Access::any()).is_none() {
                let _ = there.authenticate(text, &Access::any()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20 + u64::from(number % 13))).await;
                reads += 1;
                assert!(reads < 100, "it is never remembered");
            }
            here.revoke(row.id, BY, None).await.unwrap();
            let returned = Instant::now();
            while there.authenticate(text, &Access::any()).await.is_ok() {
                tokio::task::yield_now().await;
                assert!(returned.elapsed() < BOUND, "the contract is broken");
            }
            returned.elapsed()
        });
        lags.push(lag);
    }
    lags.sort_unstable();
    let part = |of: usize| lags[(lags.len() - 1) * of / 1000];
    println!(
        "{REVOCATIONS} revocations known elsewhere after {:.2?} (p50), {:.2?} (p99), {:.2?} (longest)",
        part(500),
        part(990),
        part(1000)
    );
    Ok(())
}

/// Each takes twice 26 ms on average, so that polls fall anywhere in between.
const REVOCATIONS: u32 = if option_env!("KEYFOB_LONG").is_some() { 2000 } else { 300 };
