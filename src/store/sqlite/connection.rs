//! Opening the file, and bringing its schema up to date.

use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::ports::store::StoreError;
use crate::store::columns::{COLUMNS, FOUND_WITH};

/// A connection that waits no longer than `patience` for another process.
///
/// # Errors
///
/// [`OpenError`], before anything is changed, for a file of another program or a newer schema.
pub(super) fn open(
    path: &Path,
    patience: Duration,
    steps: &[&Step],
) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    // Before anything is set: a file that is not ours is not touched. In one snapshot, since another
    // process may be making the schema at this moment.
    let snapshot = connection.transaction()?;
    check(&snapshot, steps)?;
    snapshot.commit()?;
    write_ahead(&connection, patience)?;
    // A revocation that was acknowledged and rolled back by a power cut is a token that is alive
    // again: each commit is on disk before it is acknowledged.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Without it SQLite plans a statement anew whenever a value is bound that the plan might depend
    // on, which takes longer than a look-up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What a sort or a savepoint sets aside stays in memory: tokens lie in no file but one.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// In KiB, as SQLite writes it: enough for the inner pages of ten million tokens. Not more: where an
/// insert moved pages of an index, SQLite looks through its whole cache when it commits, which takes
/// 0.3 ms at 64 MiB.
const CACHE: i64 = -8192;

/// Gives a connection to a file of this program's version the view that tokens are read from.
///
/// Not before its schema is up to date: SQLite renames no table while a view names it.
pub(super) fn with_found(connection: Connection) -> Result<Connection, OpenError> {
    connection.execute_batch(&FOUND)?;
    Ok(connection)
}

/// A token with its owner and epoch, under a short name: a prepared statement is looked up by its
/// text, and a kilobyte of it would be hashed and copied for each question.
///
/// It belongs to the connection and not to the schema, since it follows [`COLUMNS`].
static FOUND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "CREATE TEMP VIEW found AS
         SELECT {COLUMNS}, {FOUND_WITH}
         FROM tokens t
         LEFT JOIN owners o ON o.realm = t.realm AND o.owner = t.owner
         LEFT JOIN realms r ON r.realm = t.realm"
    )
});

/// Lets readers go on while a writer writes, and several processes share the file.
///
/// Of processes that start at once one changes the file's mode, and SQLite tells the others at once
/// that it is busy, without the patience that it has elsewhere.
fn write_ahead(connection: &Connection, patience: Duration) -> Result<(), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if waited < patience
                    && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
            {
                thread::park_timeout(PAUSE);
                waited = waited.saturating_add(PAUSE);
            }
            ended => return Ok(ended?),
        }
    }
}

/// About as long as the other process needs.
const PAUSE: Duration = Duration::from_millis(5);

/// Brings the schema to the version that this crate writes.
///
/// Each step is one transaction that begins by taking the file's write lock and looking at the
/// version: of two processes that start at once one does the work and the other finds it done,
/// and a process that is killed leaves the step before or after.
pub(super) fn migrate(connection: &mut Connection, steps: &[&Step]) -> Result<(), OpenError> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = check(&transaction, steps)?;
        let Some(step) = usize::try_from(version).ok().and_then(|version| steps.get(version))
        else {
            return Ok(());
        };
        step(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version.saturating_add(1))?;
        transaction.commit()?;
    }
}

/// The version of a file's schema, if it is a file of ours that this program knows.
fn check(connection: &Connection, steps: &[&Step]) -> Result<i64, OpenError> {
    let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (value("application_id")?, value("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || version > 0 || application != 0) {
        return Err(OpenError::Foreign);
    }
    if version > newest {
        return Err(OpenError::Newer { found: version, known: newest });
    }
    Ok(version)
}

/// What leads from one version of the schema to the next, inside the transaction that it is given.
pub(super) type Step = dyn Fn(&Connection) -> rusqlite::Result<()> + Sync;

/// The schema's versions, each as the step from the one before it.
pub(super) const STEPS: &[&Step] = &[&|file| file.execute_batch(include_str!("schema.sql"))];

/// `kfob`: a file that is not ours is not touched.
const APPLICATION_ID: i64 = 0x6B66_6F62;

/// Why a file could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("it is a database of another program")]
    Foreign,
    #[error("its schema has version {found}, this program knows {known}")]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        Self::unavailable(error)
    }
}

#[cfg(test)]
mod tests;
