//! Whatever is asked of a store in whatever order, it answers as its documentation says: a small
//! model of it knows each answer, and everything that is there at the end.
//!
//! A failure prints the steps that it takes, shrunk, and the seed of their sequence.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod agreement;
mod broken;

use std::path::Path;

use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};

use self::agreement::{SEQUENCES, agrees, compare};
use self::broken::{Broken, Flaw};

#[test]
fn the_store_in_memory_agrees_with_the_model() {
    let store = MemoryStore::new(sample::realm());
    agrees(|realm| store.in_realm(realm), |future| block_on(future), SEQUENCES, 1);
}

#[test]
fn the_store_in_a_sqlite_file_agrees_with_the_model() {
    // Whether a commit reaches the disk is not asked here: in memory, if there is such a folder.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let folder = folder.unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).unwrap();
    agrees(|realm| store.in_realm(realm), |future| block_on(future), SEQUENCES, 2);
}

#[test]
fn each_broken_store_disagrees_with_the_model() {
    for flaw in Flaw::ALL {
        let found = compare(|realm| Broken::new(realm, flaw), |future| block_on(future), 10_000, 3);
        assert!(found.is_err(), "{flaw:?} was not noticed");
    }
}
