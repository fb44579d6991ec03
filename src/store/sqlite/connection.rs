//! Opening the file, and bringing its schema up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::rows::Trouble;

/// A connection that waits no longer than `patience` for another process.
pub(super) fn open(path: &Path, patience: Duration) -> Result<Connection, Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    // Readers go on while a writer writes, and several processes may share the file.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A revocation that was acknowledged and rolled back by a power cut is a token that is alive
    // again: each commit is on disk before it is acknowledged.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Brings the schema to the version that this crate writes.
///
/// Each step is one transaction that begins by taking the file's write lock and looking at the
/// version: of two processes that start at once one does the work and the other finds it done,
/// and a process that is killed leaves the step before or after.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), MigrationError> {
    let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let application: i64 =
            transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application != APPLICATION_ID && (tables > 0 || version > 0) {
            return Err(MigrationError::Foreign);
        }
        if version > newest {
            return Err(MigrationError::Newer { found: version, known: newest });
        }
        let Some(step) = usize::try_from(version).ok().and_then(|version| steps.get(version))
        else {
            return Ok(());
        };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version.saturating_add(1))?;
        transaction.commit()?;
    }
}

/// The schema's versions, each as the step from the one before it.
pub(super) const STEPS: &[&str] = &[include_str!("schema.sql")];

/// `kfob`: a file that is not ours is not touched.
const APPLICATION_ID: i64 = 0x6B66_6F62;

/// Why a file could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error("it is a database of another program")]
    Foreign,
    #[error("its schema has version {found}, this program knows {known}")]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}
