//! The way to the server: cut, silent, slow, or with too many on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfob::Access;
use libtest_mimic::Trial;
use tokio_postgres::NoTls;

use super::cluster::{Cluster, ask};
use super::faults::{SLOW_COMMIT, terminate};
use super::proxy::{End, Proxy, Reach, Weather};
use super::world::{Heard, Issued, World, count, no_transaction_is_left_open, options, refusal};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "ways",
        &[
            ("a_change_whose_answer_is_lost_is_found_by_its_key", || lost(Reach::Answered)),
            ("a_change_that_is_cut_while_it_commits_is_found_by_its_key", || lost(Reach::Server)),
            ("a_change_that_never_arrived_is_made_once_by_its_key", || lost(Reach::Nowhere)),
            ("cut_connections_are_made_anew", cut_connections),
            ("a_slow_way_is_waited_for", slow),
            ("a_black_hole_is_given_up_in_time", black_hole),
            ("a_server_that_stands_still_keeps_nobody_waiting", frozen),
            ("exhausted_connections_are_unavailable", exhausted),
            ("a_locked_table_is_unavailable_and_gathers_no_backends", locked),
        ],
    )
}

/// A database of the shared server, and the way to it.
fn way() -> (String, Proxy) {
    let cluster = SERVERS.cluster();
    (SERVERS.database(), Proxy::start(RUNTIME.handle(), cluster.port()))
}

fn lost(reach: Reach) {
    let (database, proxy) = way();
    let url = SERVERS.cluster().url(&database);
    let world = World::at(&proxy.url(&database), 3000);
    // With what it asks prepared, the next question is nothing but its values.
    let (text, id) = world.token("alice");
    if reach == Reach::Server {
        ask(&url, SLOW_COMMIT).unwrap();
    }
    for (n, end) in [End::Reset, End::Closed, End::HalfClosed].into_iter().enumerate() {
        let key = format!("a key of its own {n}");
        proxy.cut_at(&key, reach, end);
        let heard = RUNTIME.block_on(world.issue("alice", &key));
        assert!(proxy.has_cut());
        match (reach, heard) {
            (_, Heard::Indeterminate) | (Reach::Nowhere, Heard::Unavailable(_)) => {}
            (_, wrong) => panic!("{end:?}: {wrong:?}"),
        }
        let again = RUNTIME.block_on(world.issue("alice", &key));
        let key = format!("SELECT FROM keyfob.issued WHERE idempotency_key = '{key}'");
        match (reach, again) {
            (Reach::Nowhere, Heard::Done(Issued::Now(text, _))) => {
                assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
            }
            (Reach::Answered | Reach::Server, Heard::Done(Issued::Before(id))) => {
                let id = format!("{key} AND id = '\\x{}'", hex(id.as_bytes()));
                assert_eq!(count(&url, &id), 1);
            }
            (_, wrong) => panic!("{end:?}: {wrong:?}"),
        }
        assert_eq!(count(&url, &key), 1);
        assert_eq!(count(&url, "SELECT FROM keyfob.tokens"), n + 2);
    }
    // A revocation whose answer is lost is not hidden by the index.
    world.warm(&text);
    proxy.cut_at("token.revoked", reach, End::Reset);
    let heard = RUNTIME.block_on(world.revoke(id));
    assert!(!matches!(heard, Heard::Done(())), "{heard:?}");
    assert!(proxy.has_cut());
    let patience = Instant::now() + Duration::from_secs(10);
    while reach != Reach::Nowhere && RUNTIME.block_on(world.verdict(&text)) != Ok(false) {
        assert!(Instant::now() < patience, "a revoked token is accepted");
    }
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(reach == Reach::Nowhere));
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    assert_eq!(RUNTIME.block_on(world.verdict(&text)), Ok(false));
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cut_connections() {
    let (database, proxy) = way();
    let world = World::at(&proxy.url(&database), 3000);
    let (text, _) = world.token("alice");
    for end in [End::Reset, End::Closed, End::HalfClosed] {
        proxy.cut(end);
        // Read again on a new connection, whether or not the store has heard of the end.
        assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true), "{end:?}");
        world.is_well_again();
    }
    no_transaction_is_left_open(SERVERS.cluster(), &database);
}

fn slow() {
    let (database, proxy) = way();
    let world = World::at(&proxy.url(&database), 3000);
    let (text, id) = world.token("alice");
    proxy.weather(Weather::Slow(Duration::from_millis(100)));
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
    assert_eq!(RUNTIME.block_on(world.revoke(id)), Heard::Done(()));
    // Slower than anybody waits.
    proxy.weather(Weather::Slow(Duration::from_secs(4)));
    let verdict = RUNTIME.block_on(world.strictly(&text));
    assert!(verdict.is_err(), "{verdict:?}");
    assert!(!RUNTIME.block_on(world.issue("alice", "key")).is_done());
    proxy.weather(Weather::Fair);
    world.is_well_again();
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(false));
}

/// What the machine may take to notice that the time is over.
const SLACK: Duration = Duration::from_secs(1);

fn black_hole() {
    let (database, proxy) = way();
    let patience = Duration::from_millis(800);
    let world = Arc::new(World::at(&proxy.url(&database), 800));
    let (text, id) = world.token("alice");
    let (other, _) = world.token("alice");
    world.warm(&text);
    proxy.weather(Weather::BlackHole);
    // The first meets the open connection, the second makes one.
    for key in ["first", "second"] {
        let asked = Instant::now();
        assert!(RUNTIME.block_on(world.strictly(&other)).is_err());
        assert!(asked.elapsed() < patience + SLACK, "{:?}", asked.elapsed());
        let asked = Instant::now();
        assert!(!RUNTIME.block_on(world.issue("alice", key)).is_done());
        assert!(asked.elapsed() < patience + SLACK, "{:?}", asked.elapsed());
        // It reads the row before it changes it.
        let asked = Instant::now();
        assert!(!RUNTIME.block_on(world.revoke(id)).is_done());
        assert!(asked.elapsed() < patience * 2 + SLACK, "{:?}", asked.elapsed());
        let judged = world.tokens.authenticate_now(&text, &Access::any());
        assert!(judged.is_none_or(|judged| judged.is_ok()), "a live token was refused");
    }
    let asked = Instant::now();
    let starting = options(&proxy.url(&database)).patience(patience);
    let reason = refusal(starting);
    assert!(asked.elapsed() < patience + SLACK, "{reason} after {:?}", asked.elapsed());
    proxy.weather(Weather::Fair);
    let back = world.is_well_again();
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
    proxy.cut(End::Reset);
    no_transaction_is_left_open(SERVERS.cluster(), &database);
    println!("back {back:.0?} after a black hole");
}

fn frozen() {
    let cluster = Cluster::start(SERVERS.programs.as_ref().unwrap(), "");
    let database = cluster.database();
    let url = cluster.url(&database);
    let patience = Duration::from_secs(1);
    let world = Arc::new(World::at(&url, 1000));
    let (text, _) = world.token("alice");
    cluster.freeze();
    let asked = Instant::now();
    let callers = Vec::from_iter((0..5000).map(|n| {
        let (world, text) = (Arc::clone(&world), text.clone());
        RUNTIME.spawn(async move {
            if n % 5 == 0 {
                assert!(
                    !world.issue(&format!("owner-{}", n % 400), &n.to_string()).await.is_done()
                );
            } else {
                assert!(world.strictly(&text).await.is_err());
            }
            asked.elapsed()
        })
    }));
    let longest = callers.into_iter().map(|caller| RUNTIME.block_on(caller).unwrap()).max();
    cluster.thaw();
    let back = world.is_well_again();
    let longest = longest.unwrap();
    assert!(longest < patience + SLACK, "somebody waited for {longest:?}");
    assert_eq!(RUNTIME.block_on(world.strictly(&text)), Ok(true));
    no_transaction_is_left_open(&cluster, &database);
    println!("5000 callers, the longest waited {longest:.0?}; back after {back:.0?}");
}

fn exhausted() {
    let settings = "max_connections = 10\nsuperuser_reserved_connections = 0\n";
    let cluster = Cluster::start(SERVERS.programs.as_ref().unwrap(), settings);
    let database = cluster.database();
    let url = cluster.url(&database);
    let world = World::at(&url, 1000);
    let (text, _) = world.token("alice");
    world.warm(&text);
    cluster.admin(&terminate(&database));
    let config: tokio_postgres::Config = cluster.url("postgres").parse().unwrap();
    let others = RUNTIME.block_on(async {
        let mut others = Vec::new();
        let patience = Instant::now() + Duration::from_secs(10);
        // What was ended just now may take a place for a moment yet.
        while others.len() < 10 {
            assert!(Instant::now() < patience, "only {} are there", others.len());
            if let Ok((client, connection)) = config.connect(NoTls).await {
                tokio::spawn(connection);
                others.push(client);
            }
        }
        others
    });
    for key in ["first", "second"] {
        let asked = Instant::now();
        let verdict = RUNTIME.block_on(world.strictly(&text));
        assert!(verdict.as_ref().is_err_and(|reason| reason.contains("53300")), "{verdict:?}");
        let heard = RUNTIME.block_on(world.issue("alice", key));
        assert!(matches!(heard, Heard::Unavailable(_)), "{heard:?}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert_eq!(RUNTIME.block_on(world.verdict(&text)), Ok(true));
    }
    drop(others);
    let back = world.is_well_again();
    assert_eq!(count(&url, "SELECT FROM keyfob.issued"), 0);
    no_transaction_is_left_open(&cluster, &database);
    println!("back {back:.0?} after the others have left");
}

fn locked() {
    let cluster = SERVERS.cluster();
    let database = SERVERS.database();
    let url = cluster.url(&database);
    let patience = Duration::from_millis(300);
    let world = Arc::new(World::at(&url, 300));
    let (text, _) = world.token("alice");
    let (other, _) = world.token("alice");
    world.warm(&text);
    let locking = std::thread::spawn({
        let url = url.clone();
        let held = (patience * HELD).as_secs_f32();
        move || {
            let lock = "BEGIN; LOCK TABLE keyfob.tokens IN ACCESS EXCLUSIVE MODE";
            ask(&url, &format!("{lock}; SELECT pg_sleep({held}); COMMIT")).unwrap();
            Instant::now()
        }
    });
    let granted = format!(
        "SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation > 16000
         AND database = (SELECT oid FROM pg_database WHERE datname = '{database}')"
    );
    while count(&url, &granted) == 0 {}
    let since = Instant::now();
    let until = since + patience * (HELD - 2);
    let callers = Vec::from_iter((0..48).map(|n| {
        let (world, text, other) = (Arc::clone(&world), text.clone(), other.clone());
        RUNTIME.spawn(async move {
            let mut longest = Duration::ZERO;
            for round in 0.. {
                if Instant::now() > until {
                    break;
                }
                let asked = Instant::now();
                if n % 2 == 0 {
                    assert!(world.strictly(&other).await.is_err());
                } else {
                    let heard = world.issue(&format!("owner-{n}"), &format!("{n}-{round}")).await;
                    assert!(!heard.is_done(), "{heard:?}");
                }
                longest = longest.max(asked.elapsed());
                assert_eq!(world.verdict(&text).await, Ok(true));
            }
            longest
        })
    }));
    let backends = format!(
        "SELECT FROM pg_stat_activity WHERE application_name = 'keyfob' AND datname = '{database}'"
    );
    let mut most = 0;
    while !locking.is_finished() {
        most = most.max(cluster.admin(&backends).len());
        std::thread::sleep(Duration::from_millis(10));
    }
    let released = locking.join().unwrap();
    let back = world.is_well_again();
    let after = released.elapsed();
    let longest = callers.into_iter().map(|caller| RUNTIME.block_on(caller).unwrap()).max();
    let longest = longest.unwrap();
    println!(
        "longest {longest:.0?}, {most} backends at once, back {after:.0?} after the release ({back:.0?})"
    );
    assert!(longest < patience + SLACK, "somebody waited for {longest:?}");
    // Ten rounds of giving up on two connections: what was given up on must have ended soon after.
    assert!(most <= 16, "{most} backends at once");
    no_transaction_is_left_open(cluster, &database);
}

/// For how many times the store's patience a table is locked.
const HELD: u32 = 10;
