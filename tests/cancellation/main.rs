//! Every public async function can be dropped wherever it waits: what it was to do is done or not
//! done, and whoever comes next finds the store in order.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;
mod functions;
#[expect(dead_code, reason = "other targets ask for the types")]
#[path = "../common/rustdoc.rs"]
mod rustdoc;
mod sweep;
mod ways;

use std::collections::BTreeSet;
use std::path::Path;

use keyfob::RealmId;
use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};

use self::common::{Detour, Way};
use self::functions::async_functions;
use self::sweep::{CASES, Swept, sweep};
use self::ways::{Forgetful, Halving, Leaking, Slow};

#[test]
fn every_public_async_function_is_dropped_somewhere() {
    let dropped = CASES.iter().map(|case| case.name).chain(NEEDING_A_SERVER);
    let dropped: BTreeSet<_> = dropped.map(str::to_owned).collect();
    let public = async_functions();
    let missing: Vec<_> = public.difference(&dropped).collect();
    let gone: Vec<_> = dropped.difference(&public).collect();
    assert!(missing.is_empty(), "never dropped: {missing:?}");
    assert!(gone.is_empty(), "no longer there: {gone:?}");
}

/// Dropped where there is a server, among the tests of PostgreSQL.
const NEEDING_A_SERVER: [&str; 1] = ["PostgresStore::connect"];

#[test]
fn a_slow_store_in_memory_stands_every_drop() {
    let swept = swept(|_| Slow).unwrap_or_else(|failure| panic!("{failure}"));
    for (name, Swept { drops, before, after, changes }) in swept {
        assert!(drops > 0, "{name} never waited");
        // Somebody must have been stopped on either side of each change.
        assert!(!changes || (before > 0 && after > 0), "{name}: {before} before, {after} after");
    }
}

#[test]
fn a_sqlite_file_stands_every_drop() {
    // Whether a commit reaches the disk is not asked here: in memory, if there is such a folder.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let folder = folder.unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).unwrap();
    let swept = sweep(|realm| store.in_realm(realm), |future| block_on(future), || Ok(()));
    let swept = swept.unwrap_or_else(|failure| panic!("{failure}"));
    // A change may be answered before anybody waits for it, though hardly any is.
    let dropped = swept.iter().filter(|(_, swept)| swept.changes && swept.drops > 0).count();
    assert!(dropped > 10, "{swept:#?}");
}

#[test]
fn a_store_that_a_drop_leaves_with_half_a_change_is_noticed() {
    let failure = swept(Halving).unwrap_err();
    assert!(failure.contains("neither"), "{failure}");
}

#[test]
fn a_store_whose_connections_a_drop_leaks_is_noticed() {
    let leaking = Leaking::default();
    let failure = swept(|_| leaking.clone()).unwrap_err();
    assert!(failure.contains("afterwards"), "{failure}");
}

#[test]
fn a_store_that_grants_a_free_attempt_is_noticed() {
    let failure = swept(Forgetful).unwrap_err();
    assert!(failure.contains("attempts were granted"), "{failure}");
}

/// Sweeps the store in memory, on a way of this kind in each realm.
fn swept<W: Way + Clone>(
    way_to: impl Fn(MemoryStore) -> W + Sync,
) -> Result<Vec<(&'static str, Swept)>, String> {
    let store = MemoryStore::new(sample::realm());
    let store_in = |realm: RealmId| {
        let store = store.in_realm(realm);
        Detour { store: store.clone(), ..Detour::new(way_to(store)) }
    };
    sweep(store_in, |future| block_on(future), || Ok(()))
}
