//! Tokens in a PostgreSQL database that many nodes share.
//!
//! Everything lives in the schema `keyfob` of the database that is given. A store keeps five
//! connections, four of them shared by all who ask: one for look-ups, one for lists, one for changes,
//! and one for what others changed. Over the fifth it hears that they did, and tells them.
//! Questions are sent as they come and answered in their order; changes of one realm would wait
//! for each other on the server anyway. A change is waited for by a task of its own: a caller that
//! goes away cuts nothing.

mod ask;
mod factors;
mod hints;
mod line;
mod link;
mod list;
mod migrate;
mod nodes;
mod options;
mod read;
mod rows;
mod trouble;
mod write;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use self::hints::Hints;
use self::line::Line;
pub use self::options::PostgresOptions;
use self::trouble::Trouble;
use crate::core::change::Change;
use crate::core::id::{OwnerId, RealmId, TokenId};
use crate::core::owner::OwnerState;
use crate::ports::store::{
    Applied, Epoch, EventQuery, Found, Insert, Inserted, Invalidations, Lookup, MassRevocation,
    NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, StoreError, StoredEvent,
    TokenStore, Use,
};

/// A store in a PostgreSQL database, bound to one realm. Clones are handles on the same realm.
#[derive(Clone)]
pub struct PostgresStore {
    realm: RealmId,
    shared: Arc<Shared>,
}

struct Shared {
    options: PostgresOptions,
    runtime: Handle,
    /// Point reads: what a request waits for.
    points: Line,
    /// Lists, which may take long.
    lists: Line,
    changes: Line,
    /// What changed, and who knows of it: must not wait behind a row that somebody has locked.
    news: Line,
    hints: Hints,
}

impl PostgresStore {
    /// Connects, makes the schema if it is not there, and brings it up to date.
    ///
    /// It must be called within a tokio runtime, which the store's connections then live on; its
    /// methods may be called from any executor.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when there is no runtime, when the server cannot be reached,
    /// takes no changes (a standby), or has a schema `keyfob` that is newer or another program's.
    pub async fn connect(options: PostgresOptions, realm: RealmId) -> Result<Self, StoreError> {
        Self::connect_at(options, realm, migrate::STEPS).await
    }

    /// The same with further steps of the schema, as a later version of this crate will have them.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub async fn connect_later(
        options: PostgresOptions,
        realm: RealmId,
        further: &[&str],
    ) -> Result<Self, StoreError> {
        Self::connect_at(options, realm, &[migrate::STEPS, further].concat()).await
    }

    async fn connect_at(
        options: PostgresOptions,
        realm: RealmId,
        steps: &[&str],
    ) -> Result<Self, StoreError> {
        let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
        let client = options.link.connect(&options.connection(), None).await;
        let client = client.map_err(Trouble::of_read)?;
        migrate::migrate(&client, steps).await?;
        let shared = Shared {
            hints: Hints::new(&options, runtime.clone()),
            runtime,
            points: Line::new(&options),
            lists: Line::new(&options),
            changes: Line::new(&options),
            news: Line::new(&options),
            options,
        };
        Ok(Self { realm, shared: Arc::new(shared) })
    }

    /// A handle on another realm of the same database.
    #[must_use]
    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self { realm, shared: Arc::clone(&self.shared) }
    }

    /// Asks for a row, where it is wanted: a task of its own would cost half as much as the way to
    /// the server. A caller that goes away leaves an answer behind that is thrown away.
    async fn look_up<T: Send + 'static>(
        &self,
        ask: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let here = Handle::try_current().is_ok_and(|here| here.id() == self.shared.runtime.id());
        if here { ask.await.map_err(Trouble::of_read) } else { self.read(ask).await }
    }

    /// Asks a question in a task of its own, which takes in a long answer as fast as it comes.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.shared.runtime.spawn(ask).await;
        answer.map_err(StoreError::unavailable)?.map_err(Trouble::of_read)
    }

    /// Makes a change in a task of its own, to its end.
    async fn change<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.shared.runtime.spawn(change).await;
        answer.map_err(|ended| StoreError::Indeterminate(ended.into()))?.map_err(Trouble::of_change)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("options", &self.shared.options)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    fn realm(&self) -> &RealmId {
        &self.realm
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        if insert.record.realm != self.realm {
            return Err(StoreError::Corrupt(format!("a row of realm {}", insert.record.realm)));
        }
        let to = self.clone();
        self.change(async move { write::insert(&to.shared.changes, &to.realm, insert).await }).await
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let (to, key) = (self.clone(), key.clone());
        self.look_up(async move { read::find(&to.shared.points, &to.realm, &key).await }).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let (to, query) = (self.clone(), query.clone());
        self.read(async move { list::query(&to.shared.lists, &to.realm, &query).await }).await
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let (to, change) = (self.clone(), change.clone());
        self.change(async move {
            let applied = write::apply(&to.shared.changes, &to.realm, &change).await?;
            if let Applied::Done { epoch, .. } = &applied {
                to.shared.hints.tell(&to.realm, *epoch);
            }
            Ok(applied)
        })
        .await
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let (to, all) = (self.clone(), revocation.clone());
        self.change(async move {
            let revoked = write::revoke_all(&to.shared.changes, &to.realm, &all).await?;
            to.shared.hints.tell(&to.realm, revoked.epoch);
            Ok(revoked)
        })
        .await
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        let (to, uses) = (self.clone(), uses.to_vec());
        self.change(async move { write::mark_used(&to.shared.changes, &to.realm, &uses).await })
            .await
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        let to = self.clone();
        self.change(async move { write::spend(&to.shared.changes, &to.realm, token, uses).await })
            .await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        let (to, owner) = (self.clone(), owner.clone());
        self.look_up(async move { read::owner(&to.shared.points, &to.realm, &owner).await }).await
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        let (to, change) = (self.clone(), change.clone());
        self.change(async move {
            let set = write::set_owner(&to.shared.changes, &to.realm, &change).await?;
            if let OwnerSet::Done(done) = &set {
                to.shared.hints.tell(&to.realm, done.epoch);
            }
            Ok(set)
        })
        .await
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        let to = self.clone();
        self.look_up(async move { read::invalidations(&to.shared.news, &to.realm, since).await })
            .await
    }

    async fn changed(&self, since: Epoch) {
        self.shared.hints.changed(&self.realm, since).await;
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        let (to, report) = (self.clone(), *report);
        self.change(async move { nodes::report(&to.shared.news, &to.realm, &report).await }).await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        let to = self.clone();
        self.look_up(async move { nodes::list(&to.shared.news, &to.realm).await }).await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        let to = self.clone();
        self.change(async move { nodes::forget(&to.shared.news, &to.realm, node).await }).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let (to, query) = (self.clone(), query.clone());
        self.read(async move { read::events(&to.shared.lists, &to.realm, &query).await }).await
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let to = self.clone();
        self.change(
            async move { write::prune(&to.shared.changes, &to.realm, dead_before, limit).await },
        )
        .await
    }
}
