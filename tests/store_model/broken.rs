//! Stores that keep the contract but for one thing: the store in memory, asked or quoted wrongly.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use keyfob::core::change::Change;
use keyfob::core::owner::OwnerState;
use keyfob::core::token::TokenRecord;
use keyfob::ports::store::{
    Applied, Epoch, EventQuery, Filter, Found, Insert, Inserted, Invalidations, Lookup,
    MassRevocation, NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, Start,
    StoreError, StoredEvent, Touched, Use,
};
use keyfob::store::memory::MemoryStore;
use keyfob::{OwnerId, RealmId, TokenId, TokenStore};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flaw {
    CascadesAreIgnored,
    ExceptionsAreRevoked,
    ExpectationsAreIgnored,
    InvalidationsMissOwners,
    KeysAreForgotten,
    NamesAreNotUnique,
    OffsetsAreOffByOne,
    PresentersAreNotChecked,
    PruningForgetsParents,
    QuotasAreOffByOne,
    RevocationsExpectAVersion,
    SequencesStandStill,
}

impl Flaw {
    pub(crate) const ALL: [Self; 12] = [
        Self::CascadesAreIgnored,
        Self::ExceptionsAreRevoked,
        Self::ExpectationsAreIgnored,
        Self::InvalidationsMissOwners,
        Self::KeysAreForgotten,
        Self::NamesAreNotUnique,
        Self::OffsetsAreOffByOne,
        Self::PresentersAreNotChecked,
        Self::PruningForgetsParents,
        Self::QuotasAreOffByOne,
        Self::RevocationsExpectAVersion,
        Self::SequencesStandStill,
    ];
}

#[derive(Debug)]
pub(crate) struct Broken {
    store: MemoryStore,
    flaw: Flaw,
    forgotten: Mutex<HashSet<TokenId>>,
}

impl Broken {
    pub(crate) fn new(realm: RealmId, flaw: Flaw) -> Self {
        Self { store: MemoryStore::new(realm), flaw, forgotten: Mutex::default() }
    }

    fn shown(&self, mut row: TokenRecord) -> TokenRecord {
        if self.flaw == Flaw::SequencesStandStill && row.version > 1 {
            row.changed_sequence -= 1;
        }
        row
    }

    fn is_there(&self, row: &TokenRecord) -> bool {
        !self.forgotten.lock().unwrap().contains(&row.id)
    }
}

#[async_trait]
impl TokenStore for Broken {
    fn realm(&self) -> &RealmId {
        self.store.realm()
    }

    async fn insert(&self, mut insert: Insert) -> Result<Inserted, StoreError> {
        match self.flaw {
            Flaw::KeysAreForgotten => insert.idempotency_key = None,
            Flaw::NamesAreNotUnique => insert.unique_name = false,
            Flaw::PresentersAreNotChecked => insert.presenter = None,
            Flaw::QuotasAreOffByOne => insert.quota = insert.quota.map(|quota| quota + 1),
            _ => {}
        }
        self.store.insert(insert).await
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let found = self.store.find(key).await?.filter(|found| self.is_there(&found.record));
        Ok(found.map(|found| Found::new(self.shown(*found.record), found.owner, found.epoch)))
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let mut query = query.clone();
        if let (Flaw::OffsetsAreOffByOne, Start::Offset(rows)) = (self.flaw, &mut query.start) {
            *rows += 1;
        }
        let page = self.store.query(&query).await?;
        let rows = page.records.into_iter().filter(|row| self.is_there(row));
        Ok(Page::new(rows.map(|row| self.shown(row)).collect(), page.next, page.total))
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let mut change = change.clone();
        match self.flaw {
            Flaw::CascadesAreIgnored => change.cascade = false,
            Flaw::ExpectationsAreIgnored => change.expects = None,
            Flaw::PresentersAreNotChecked => change.presenter = None,
            Flaw::RevocationsExpectAVersion if change.is_revocation() => {
                change.expects = change.expects.or(Some(1));
            }
            _ => {}
        }
        Ok(match self.store.apply(&change).await? {
            Applied::Done { record, epoch, cascaded } => {
                Applied::Done { record: Box::new(self.shown(*record)), epoch, cascaded }
            }
            refused => refused,
        })
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let mut revocation = revocation.clone();
        if self.flaw == Flaw::ExceptionsAreRevoked {
            revocation.except = None;
        }
        self.store.revoke_all(&revocation).await
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        self.store.mark_used(uses).await
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        self.store.spend(token, uses).await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        self.store.owner(owner).await
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        self.store.set_owner(change).await
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        let mut answer = self.store.invalidations(since).await?;
        if let (Flaw::InvalidationsMissOwners, Some(changes)) = (self.flaw, &mut answer.changes) {
            changes.retain(|(_, touched)| !matches!(touched, Touched::Owner(_)));
        }
        Ok(answer)
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        self.store.report_node(report).await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        self.store.nodes().await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.store.forget_node(node).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.events(query).await
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut pruned = self.store.prune(dead_before, limit).await?;
        if self.flaw == Flaw::PruningForgetsParents && limit > 1 {
            let mut dead = Filter::default();
            dead.expired_at = Some(dead_before - chrono::TimeDelta::seconds(1));
            let dead = self.store.query(&Query::new(dead, Query::LARGEST_PAGE)).await?.records;
            let mut forgotten = self.forgotten.lock().unwrap();
            pruned += dead.into_iter().map(|row| u64::from(forgotten.insert(row.id))).sum::<u64>();
        }
        Ok(pruned)
    }
}
