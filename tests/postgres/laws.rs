//! Every law of stores, straight and behind a pooler.

use keyfob::RealmId;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::testing::laws::{FACTOR_LAWS, FactorHarness, Harness, LAWS};
use keyfob::testing::sample;
use libtest_mimic::Trial;

use super::factor_events::go_together;
use super::{RUNTIME, SERVERS, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for law in LAWS {
        let check = |fresh: fn() -> PostgresOptions| {
            let open = handles(fresh());
            (law.check)(&Harness::new(open, |future| RUNTIME.block_on(future)));
        };
        trials
            .push(trial(format!("direct::{}", law.name), &SERVERS.programs, move || check(direct)));
        trials
            .push(trial(format!("pooled::{}", law.name), &SERVERS.bouncer, move || check(pooled)));
    }
    for law in FACTOR_LAWS {
        let check = |fresh: fn() -> PostgresOptions| {
            let open = handles(fresh());
            (law.check)(&FactorHarness::new(open, |future| RUNTIME.block_on(future)));
        };
        trials
            .push(trial(format!("direct::{}", law.name), &SERVERS.programs, move || check(direct)));
        trials
            .push(trial(format!("pooled::{}", law.name), &SERVERS.bouncer, move || check(pooled)));
    }
    let together = |fresh: fn() -> PostgresOptions| {
        let store = RUNTIME.block_on(PostgresStore::connect(fresh(), sample::realm())).unwrap();
        RUNTIME.block_on(go_together(&store));
    };
    let name = "changes_of_factors_and_their_events_go_together";
    trials.push(trial(format!("direct::{name}"), &SERVERS.programs, move || together(direct)));
    trials.push(trial(format!("pooled::{name}"), &SERVERS.bouncer, move || together(pooled)));
    trials
}

fn direct() -> PostgresOptions {
    PostgresOptions::from_url(&SERVERS.cluster().url(&SERVERS.database())).unwrap()
}

fn pooled() -> PostgresOptions {
    PostgresOptions::from_url(&SERVERS.pooler().url(&SERVERS.database())).unwrap().pooled()
}

fn handles(options: PostgresOptions) -> impl Fn(RealmId) -> PostgresStore + Send + Sync {
    let store = RUNTIME.block_on(PostgresStore::connect(options, sample::realm())).unwrap();
    move |realm| store.in_realm(realm)
}
