//! The store agrees with the model of stores, and stands every drop of a future.

#[expect(dead_code, reason = "its own target looks whether it compares every field")]
#[path = "../store_model/agreement/mod.rs"]
mod agreement;
#[path = "../cancellation/sweep/mod.rs"]
mod sweep;

use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::testing::sample;
use libtest_mimic::Trial;
use tokio::runtime::Builder;

use super::{RUNTIME, SERVERS, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_store_agrees_with_the_model", &SERVERS.programs, || {
            let store = store(&SERVERS.database());
            let store_in = |realm| store.in_realm(realm);
            agreement::agrees(store_in, |future| RUNTIME.block_on(future), agreement::SEQUENCES, 4);
        }),
        trial("every_drop_leaves_the_store_in_order", &SERVERS.programs, || {
            let database = SERVERS.database();
            // With a thread to spare, a task can be done before its caller looks for the first
            // time, and then there is nothing left to drop.
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let store = runtime.block_on(connect(&database));
            let in_order = || match idle_in_transaction(&database) {
                0 => Ok(()),
                idle => Err(format!("{idle} backends are idle in a transaction")),
            };
            let store_in = |realm| store.in_realm(realm);
            let swept = sweep::sweep(store_in, |future| runtime.block_on(future), in_order);
            let swept = swept.unwrap_or_else(|failure| panic!("{failure}"));
            for (name, function) in swept {
                assert!(function.drops > 0, "{name} never waited");
            }
        }),
        trial("a_dropped_connect_leaves_the_database_in_order", &SERVERS.programs, || {
            for polls in 1.. {
                let database = SERVERS.cluster().database();
                let url = SERVERS.cluster().url(&database);
                let options = PostgresOptions::from_url(&url).unwrap();
                let connecting = PostgresStore::connect(options.clone(), sample::realm());
                let ended = RUNTIME.block_on(sweep::stopped_after(polls, Box::pin(connecting)));
                if let Some(ended) = ended {
                    ended.unwrap();
                    assert!(polls > 10, "it hardly waited");
                    return;
                }
                let store = RUNTIME.block_on(PostgresStore::connect(options, sample::realm()));
                let owner =
                    RUNTIME.block_on(keyfob::TokenStore::owner(&store.unwrap(), &sample::owner(1)));
                owner.unwrap();
                assert_eq!(idle_in_transaction(&database), 0);
            }
        }),
    ]
}

fn store(database: &str) -> PostgresStore {
    RUNTIME.block_on(connect(database))
}

async fn connect(database: &str) -> PostgresStore {
    let options = PostgresOptions::from_url(&SERVERS.cluster().url(database)).unwrap();
    PostgresStore::connect(options, sample::realm()).await.unwrap()
}

fn idle_in_transaction(database: &str) -> usize {
    let sql = format!(
        "SELECT FROM pg_stat_activity WHERE datname = '{database}' AND state LIKE 'idle in transaction%'"
    );
    SERVERS.cluster().admin(&sql).len()
}
