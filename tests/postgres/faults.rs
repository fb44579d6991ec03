//! A server that stops, breaks its connections, or undoes what it was asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::cluster::{Cluster, ask};
use super::load::Load;
use super::world::{Heard, Issued, World, count, no_transaction_is_left_open};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "faults",
        &[
            ("immediate_restarts_lose_nothing_and_invent_nothing", restarts),
            ("terminated_backends_lose_nothing_and_invent_nothing", terminations),
            ("a_passing_deadlock_or_conflict_is_not_noticed", || {
                for code in [DEADLOCK, CONFLICT] {
                    passing(code);
                }
            }),
            ("a_lasting_deadlock_or_conflict_is_unavailable", || {
                for code in [DEADLOCK, CONFLICT] {
                    lasting(code);
                }
            }),
            ("a_real_deadlock_is_not_noticed", real_deadlock),
            ("a_backend_that_is_terminated_while_it_commits_leaves_all_or_nothing", commits),
        ],
    )
}

fn restarts() {
    let cluster = Cluster::start(SERVERS.programs.as_ref().unwrap(), "");
    let database = cluster.database();
    let url = cluster.url(&database);
    let world = Arc::new(World::at(&url, 3000));
    let times = if std::env::var_os("KEYFOB_LONG").is_some() { 50 } else { 8 };
    let mut moments = StdRng::seed_from_u64(8);
    let load = Load::start(&world);
    let mut returns = Vec::new();
    for _ in 0..times {
        std::thread::sleep(Duration::from_millis(moments.random_range(20..600)));
        cluster.stop();
        std::thread::sleep(Duration::from_millis(moments.random_range(0..400)));
        cluster.resume();
        returns.push(load.is_well_again());
    }
    let told = load.end(&url);
    no_transaction_is_left_open(&cluster, &database);
    returns.sort();
    println!("{times} restarts, {told:?}, back after {returns:.0?}");
}

fn terminations() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    let world = Arc::new(World::at(&url, 3000));
    let mut moments = StdRng::seed_from_u64(2);
    let load = Load::start(&world);
    let mut ended = 0;
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(moments.random_range(0..40)));
        ended += cluster.admin(&terminate(&database)).len();
    }
    assert!(ended >= 200, "only {ended} backends were there to be ended");
    let back = load.is_well_again();
    let told = load.end(&url);
    no_transaction_is_left_open(cluster, &database);
    println!("{ended} backends terminated, {told:?}, back after {back:.0?}");
}

/// Ends all of a store's backends.
pub(crate) fn terminate(database: &str) -> String {
    format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'keyfob' AND datname = '{database}'"
    )
}

const DEADLOCK: &str = "40P01";
const CONFLICT: &str = "40001";

/// Makes the next so many writes of tokens fail. A sequence is not rolled back, so it counts.
fn fail(url: &str, code: &str, times: u32) {
    ask(
        url,
        &format!(
            "CREATE SEQUENCE public.failures;
             CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('public.failures') <= {times} THEN
                     RAISE EXCEPTION 'made by the test' USING ERRCODE = '{code}';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON keyfob.states
                 FOR EACH ROW EXECUTE FUNCTION public.fail();"
        ),
    )
    .unwrap();
}

fn passing(code: &str) {
    let database = SERVERS.database();
    let url = SERVERS.cluster().url(&database);
    let world = World::at(&url, 3000);
    fail(&url, code, 2);
    let (text, id) = world.token("alice");
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
    ask(&url, "ALTER SEQUENCE public.failures RESTART").unwrap();
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(false));
    assert_eq!(count(&url, "SELECT FROM keyfob.tokens"), 1);
    assert_eq!(count(&url, "SELECT FROM keyfob.events"), 2, "an issue and a revocation");
    assert_eq!(count(&url, "SELECT FROM keyfob.states WHERE version = 2"), 1);
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn lasting(code: &str) {
    let database = SERVERS.database();
    let url = SERVERS.cluster().url(&database);
    let world = World::at(&url, 3000);
    let (text, id) = world.token("alice");
    world.warm(&text);
    fail(&url, code, 100);
    let refused = RUNTIME.block_on(world.issue("alice", "key"));
    let Heard::Unavailable(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.contains(code), "{reason}");
    let refused = RUNTIME.block_on(world.revoke(id));
    assert!(matches!(refused, Heard::Unavailable(_)), "{refused:?}");
    assert_eq!(RUNTIME.block_on(world.verdict(&text)), Ok(true));
    assert_eq!(count(&url, "SELECT FROM keyfob.states WHERE version = 1"), 1);
    assert_eq!(count(&url, "SELECT FROM keyfob.events"), 1);
    assert_eq!(count(&url, "SELECT FROM keyfob.issued"), 0);
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn real_deadlock() {
    let database = SERVERS.database();
    let url = SERVERS.cluster().url(&database);
    // Whoever has waited this long looks for a circle, and is undone if there is one.
    SERVERS.cluster().admin(&format!("ALTER DATABASE {database} SET deadlock_timeout = '700ms'"));
    let world = World::at(&url, 3000);
    let (text, id) = world.token("alice");
    let outside = std::thread::spawn({
        let url = url.clone();
        // It takes a token and then the realm, where the store takes the realm first.
        move || {
            ask(
                &url,
                "SET deadlock_timeout = '60s'; BEGIN;
                 UPDATE keyfob.states SET use_count = use_count + 1; SELECT pg_sleep(0.5);
                 UPDATE keyfob.realms SET epoch = epoch; COMMIT",
            )
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    outside.join().unwrap().unwrap();
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(false));
    assert_eq!(count(&url, "SELECT FROM keyfob.states WHERE state = 2 AND use_count = 1"), 1);
    // The server writes its statistics a little later.
    let patience = Instant::now() + Duration::from_secs(10);
    let seen =
        format!("SELECT FROM pg_stat_database WHERE datname = '{database}' AND deadlocks > 0");
    while count(&url, &seen) == 0 {
        assert!(Instant::now() < patience, "there was no deadlock");
        std::thread::sleep(Duration::from_millis(50));
    }
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn commits() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    let world = Arc::new(World::at(&url, 3000));
    ask(&url, SLOW_COMMIT).unwrap();
    let issuing = RUNTIME.spawn({
        let world = Arc::clone(&world);
        async move { world.issue("alice", "key").await }
    });
    let committing = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{database}' AND wait_event = 'PgSleep'"
    );
    let patience = Instant::now() + Duration::from_secs(10);
    while cluster.admin(&committing).is_empty() {
        assert!(Instant::now() < patience, "nobody commits");
    }
    assert_eq!(RUNTIME.block_on(issuing).unwrap(), Heard::Indeterminate);
    let again = RUNTIME.block_on(world.issue("alice", "key"));
    assert!(matches!(again, Heard::Done(Issued::Now(..))), "{again:?}");
    let third = RUNTIME.block_on(world.issue("alice", "key"));
    assert!(matches!(third, Heard::Done(Issued::Before(_))), "{third:?}");
    assert_eq!(count(&url, "SELECT FROM keyfob.tokens"), 1);
    no_transaction_is_left_open(cluster, &database);
}

/// Makes every commit of a change take half a second.
pub(crate) const SLOW_COMMIT: &str = "
    CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON keyfob.events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.slowly()";
