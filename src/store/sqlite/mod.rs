//! Tokens in a SQLite file.
//!
//! Changes go through one thread that commits those that come together in one transaction; one that
//! fails undoes none of the others. Point reads run where they are asked, since a row that is in the
//! page cache is read in less time than it takes to ask another thread; lists run on threads of
//! their own. Several processes may use one file. A connection caches up to 8 MiB; there are as many
//! as ever read at once, up to sixteen, and one that writes.
//!
//! The file is written ahead of, in a log: who reads sees the last commit and waits for nobody who
//! writes, however long that takes. Who writes waits for others who do, for a few seconds; then the
//! change is *unavailable*, and is not made afterwards either.

mod connection;
mod factors;
mod hints;
mod nodes;
mod read;
mod reader;
mod revoke;
mod rows;
mod write;
mod writer;

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::Connection;

use self::connection::STEPS;
use self::hints::Hints;
use self::reader::Readers;
use self::rows::Trouble;
use self::write::Writing;
use self::writer::Writer;
use crate::core::change::Change;
use crate::core::id::{OwnerId, RealmId, TokenId};
use crate::core::owner::OwnerState;
use crate::ports::store::{
    Applied, Epoch, EventQuery, Found, Insert, Inserted, Invalidations, Lookup, MassRevocation,
    NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, StoreError, StoredEvent,
    TokenStore, Use,
};

/// A store in a SQLite file, bound to one realm. Clones are handles on the same realm.
#[derive(Clone)]
pub struct SqliteStore {
    realm: RealmId,
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Connections that nobody reads with at this moment.
    idle: Mutex<Vec<Connection>>,
    questions: Readers,
    writer: Writer,
    hints: Hints,
}

impl SqliteStore {
    /// Opens a file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the file cannot be opened or written, is another
    /// program's, or has a newer schema.
    pub fn open(path: impl AsRef<Path>, realm: RealmId) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let mut connection = connection::open(&path, PATIENCE, STEPS)?;
        connection::migrate(&mut connection, STEPS)?;
        let connection = connection::with_found(connection)?;
        connection
            .pragma_update(None, "cache_spill", UNWRITTEN_PAGES)
            .map_err(StoreError::unavailable)?;
        let writer = Writer::start(connection, PATIENCE).map_err(StoreError::unavailable)?;
        let questions = Readers::start().map_err(StoreError::unavailable)?;
        let shared =
            Shared { path, idle: Mutex::default(), questions, writer, hints: Hints::default() };
        Ok(Self { realm, shared: Arc::new(shared) })
    }

    /// A handle on another realm of the same file.
    #[must_use]
    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self { realm, shared: Arc::clone(&self.shared) }
    }

    /// Runs a question of one statement, which is one snapshot by itself.
    fn read<T>(
        &self,
        ask: impl FnOnce(&mut Connection, &RealmId) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let pooled = self.idle().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => connection::open(&self.shared.path, READ_PATIENCE, STEPS)
                .and_then(connection::with_found)?,
        };
        let answer = ask(&mut connection, &self.realm);
        // A connection that failed may be in any state; the next reader gets a new one.
        if answer.is_ok() {
            let mut idle = self.idle();
            if idle.len() < MOST_IDLE {
                idle.push(connection);
            }
        }
        Ok(answer?)
    }

    /// Runs questions of several statements in one snapshot.
    fn read_together<T>(
        &self,
        ask: impl FnOnce(&Connection, &RealmId) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.read(|connection, realm| {
            let snapshot = connection.transaction()?;
            let answer = ask(&snapshot, realm)?;
            snapshot.commit()?;
            Ok(answer)
        })
    }

    /// Runs questions that may take long, in one snapshot and away from the runtime's threads.
    async fn read_elsewhere<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection, &RealmId) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        self.shared.questions.run(move || store.read_together(ask)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&Writing<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let realm = self.realm.clone();
        let run = move |connection: &Connection| change(&Writing { connection, realm: &realm });
        self.shared.writer.run(run).await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.shared.path)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    fn realm(&self) -> &RealmId {
        &self.realm
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        if insert.record.realm != self.realm {
            return Err(StoreError::Corrupt(format!("a row of realm {}", insert.record.realm)));
        }
        self.write(move |writing| writing.insert(&insert)).await
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        self.read(|connection, realm| read::find(connection, realm, key))
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.read_elsewhere(move |connection, realm| read::query(connection, realm, &query)).await
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let change = change.clone();
        self.write(move |writing| writing.apply(&change)).await
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let revocation = revocation.clone();
        self.write(move |writing| writing.revoke_all(&revocation)).await
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        let uses = uses.to_vec();
        self.write(move |writing| writing.mark_used(&uses)).await
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        self.write(move |writing| writing.spend(token, uses)).await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        self.read(|connection, realm| read::owner(connection, realm, owner))
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        let change = change.clone();
        self.write(move |writing| writing.set_owner(&change)).await
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        self.read_together(|connection, realm| read::invalidations(connection, realm, since))
    }

    async fn changed(&self, since: Epoch) {
        self.shared.hints.changed(&self.shared.path, &self.realm, since).await;
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        let report = *report;
        self.write(move |writing| writing.report_node(&report)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        self.read(|connection, realm| nodes::nodes(connection, realm))
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.write(move |writing| writing.forget_node(node)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let query = query.clone();
        self.read_elsewhere(move |connection, realm| read::events(connection, realm, &query)).await
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.write(move |writing| writing.prune(dead_before, limit)).await
    }
}

/// How long a change waits, in the queue and for another process's change together. What was not
/// begun by then is never made.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many pages that a change has written, 64 MiB, wait for its commit in memory, whatever the
/// cache: when a hundred thousand tokens are revoked, many are written again and again.
const UNWRITTEN_PAGES: i64 = 16_384;

/// How long a question waits. Another process's change stops no reader: only its closing or mending
/// the file does, and then the thread that asks, which may be one of a runtime's, is not held up.
const READ_PATIENCE: Duration = Duration::from_millis(250);

/// Idle connections that are kept; each holds a cache of prepared statements.
const MOST_IDLE: usize = 16;
