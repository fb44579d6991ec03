//! A store in memory with something in between: to count calls, to stop them, to spoil rows.

use std::fmt;
use std::num::NonZeroU32;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use keyfob::core::change::Change;
use keyfob::core::owner::OwnerState;
use keyfob::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use keyfob::ports::store::{
    Applied, Epoch, EventQuery, Found, Insert, Inserted, Invalidations, Lookup, MassRevocation,
    NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, StoreError, StoredEvent,
    TokenStore, Use,
};
use keyfob::store::memory::MemoryStore;
use keyfob::{Event, OwnerId, RealmId, TokenId};

/// What happens on the way to the store and back. The store itself is a real one.
#[async_trait]
pub(crate) trait Way: fmt::Debug + Send + Sync + 'static {
    /// Before the store is reached by the method of this name; an error keeps it from there.
    async fn there(&self, _method: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the store has done its work, before the caller hears of it.
    async fn back(&self, _method: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    /// A row on its way back.
    fn found(&self, _key: &Lookup, found: Option<Found>) -> Option<Found> {
        found
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Detour<W> {
    pub(crate) store: MemoryStore,
    pub(crate) way: W,
}

impl<W: Way> Detour<W> {
    pub(crate) fn new(way: W) -> Self {
        Self { store: MemoryStore::default(), way }
    }

    async fn by<T: Send>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.way.there(method).await?;
        let done = work.await?;
        self.way.back(method).await?;
        Ok(done)
    }
}

#[async_trait]
impl<W: Way> TokenStore for Detour<W> {
    fn realm(&self) -> &RealmId {
        self.store.realm()
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        self.by("insert", self.store.insert(insert)).await
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let found = self.by("find", self.store.find(key)).await?;
        Ok(self.way.found(key, found))
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.by("query", self.store.query(query)).await
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        self.by("apply", self.store.apply(change)).await
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        self.by("revoke_all", self.store.revoke_all(revocation)).await
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        self.by("mark_used", self.store.mark_used(uses)).await
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        self.by("spend", self.store.spend(token, uses)).await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        self.by("owner", self.store.owner(owner)).await
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        self.by("set_owner", self.store.set_owner(change)).await
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        self.by("invalidations", self.store.invalidations(since)).await
    }

    async fn changed(&self, since: Epoch) {
        let work = async {
            self.store.changed(since).await;
            Ok(())
        };
        // A hint that fails is one that does not come.
        if self.by("changed", work).await.is_err() {
            std::future::pending().await
        }
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        self.by("report_node", self.store.report_node(report)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        self.by("nodes", self.store.nodes()).await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.by("forget_node", self.store.forget_node(node)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.by("events", self.store.events(query)).await
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.by("prune", self.store.prune(dead_before, limit)).await
    }
}

#[async_trait]
impl<W: Way> FactorStore for Detour<W> {
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError> {
        self.by("factor", self.store.factor(owner, method)).await
    }

    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        self.by("set_factor", self.store.set_factor(owner, method, expects, sealed)).await
    }

    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let change = self.store.change_factor(owner, method, expects, sealed, event);
        self.by("change_factor", change).await
    }

    async fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        self.by("reserve_attempt", self.store.reserve_attempt(owner, counter, limits, now)).await
    }

    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        self.by("peek_attempt", self.store.peek_attempt(owner, counter, limits, now)).await
    }

    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError> {
        self.by("clear_attempts", self.store.clear_attempts(owner, counter)).await
    }

    async fn raise_mark(
        &self,
        owner: &OwnerId,
        mark: &str,
        value: u64,
    ) -> Result<bool, StoreError> {
        self.by("raise_mark", self.store.raise_mark(owner, mark, value)).await
    }
}
