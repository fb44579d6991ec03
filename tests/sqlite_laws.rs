//! The SQLite store keeps every law of `TokenStore` and of `FactorStore`.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use keyfob::RealmId;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};

fn fresh() -> impl Fn(RealmId) -> SqliteStore + Send + Sync {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("tokens.db"), sample::realm()).unwrap();
    move |realm| {
        let _kept = &folder;
        store.in_realm(realm)
    }
}

keyfob::store_laws! { fresh = fresh(), block_on = block_on }
keyfob::factor_store_laws! { fresh = fresh(), block_on = block_on }
