//! Tokens in memory: the specification of [`TokenStore`] in code, and a fake for hosts' tests.
//!
//! Each method takes the one lock of its realm, does everything, and lets go, so that every call
//! is one step for all others. Nothing survives the process.

mod factors;
mod nodes;
mod order;
mod realm;

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::realm::Realm;
use crate::core::change::Change;
use crate::core::id::{OwnerId, RealmId, TokenId};
use crate::core::owner::OwnerState;
use crate::ports::store::{
    Applied, Epoch, EventQuery, Found, Insert, Inserted, Invalidations, Lookup, MassRevocation,
    NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, StoreError, StoredEvent,
    TokenStore, Use,
};

/// A store in memory, bound to one realm. Clones are handles on the same realm.
///
/// ```
/// use keyfob::store::memory::MemoryStore;
/// use keyfob::{RealmId, TokenStore};
///
/// let store = MemoryStore::new(RealmId::new("acme")?);
/// let other = store.in_realm(RealmId::new("globex")?);
/// assert_ne!(store.realm(), other.realm());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    name: RealmId,
    realm: Arc<Mutex<Realm>>,
    realms: Arc<Mutex<HashMap<RealmId, Arc<Mutex<Realm>>>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(realm: RealmId) -> Self {
        Self::bound(realm, Arc::default())
    }

    /// A handle on another realm of the same store.
    #[must_use]
    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self::bound(realm, Arc::clone(&self.realms))
    }

    fn bound(name: RealmId, realms: Arc<Mutex<HashMap<RealmId, Arc<Mutex<Realm>>>>>) -> Self {
        let realm = Arc::clone(locked(&realms).entry(name.clone()).or_default());
        Self { name, realm, realms }
    }

    fn locked(&self) -> MutexGuard<'_, Realm> {
        locked(&self.realm)
    }
}

impl Default for MemoryStore {
    /// An empty store for hosts that have one tenant.
    fn default() -> Self {
        Self::new(RealmId::default())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("realm", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn realm(&self) -> &RealmId {
        &self.name
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        if insert.record.realm != self.name {
            return Err(StoreError::Corrupt(format!("a row of realm {}", insert.record.realm)));
        }
        Ok(self.locked().insert(insert))
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        Ok(self.locked().find(key))
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        order::page(self.locked().select(&query.filter), query)
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        Ok(self.locked().apply(change))
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        Ok(self.locked().revoke_all(revocation))
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        Ok(self.locked().mark_used(uses))
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        Ok(self.locked().spend(token, uses))
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        Ok(self.locked().owner(owner))
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        Ok(self.locked().set_owner(change))
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        Ok(self.locked().invalidations(since))
    }

    async fn changed(&self, since: Epoch) {
        poll_fn(|context| self.locked().poll_changed(since, context.waker())).await
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        self.locked().nodes.report(report);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        Ok(self.locked().nodes.list())
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.locked().nodes.forget(node);
        Ok(())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(self.locked().events(query))
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        Ok(self.locked().prune(dead_before, limit))
    }
}

/// A panic while the lock was held cannot leave half a change: each change is decided first and
/// then written without a step that could fail.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
