//! The store in memory keeps every law of `TokenStore` and of `FactorStore`.

use keyfob::store::memory::MemoryStore;
use keyfob::testing::{block_on, sample};

keyfob::store_laws! {
    fresh = { let store = MemoryStore::new(sample::realm()); move |realm| store.in_realm(realm) },
    block_on = block_on,
}

keyfob::factor_store_laws! {
    fresh = { let store = MemoryStore::new(sample::realm()); move |realm| store.in_realm(realm) },
    block_on = block_on,
}
