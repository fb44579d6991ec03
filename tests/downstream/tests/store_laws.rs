//! The host's own store keeps every law.

use downstream::store::ListStore;
use keyfob::testing::{block_on, sample};

keyfob::store_laws! {
    fresh = { let store = ListStore::new(sample::realm()); move |realm| store.in_realm(realm) },
    block_on = block_on,
}
