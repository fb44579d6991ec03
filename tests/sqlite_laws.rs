//! The SQLite store keeps every law of stores.

use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};

keyfob::store_laws! {
    fresh = {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).expect("a store");
        move |realm| {
            let _kept = &folder;
            store.in_realm(realm)
        }
    },
    block_on = block_on,
}
