//! Bringing the schema up to date.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::ports::store::StoreError;

/// Brings the schema to the version that this crate writes.
///
/// Each step is one transaction that begins by waiting for anybody else who does the same: of two
/// processes that start at once one does the work and the other finds it done, and a process that
/// is killed leaves the step before or after.
///
/// # Errors
///
/// [`MigrationError`], before anything is changed, for a schema that is newer or not ours.
pub(super) async fn migrate(client: &Client, steps: &[&str]) -> Result<(), MigrationError> {
    // A role that may use the schema and not change it must be able to start.
    if is_up_to_date(client, steps).await? {
        return Ok(());
    }
    loop {
        // A step takes as long as there are rows, and whoever waits for it as long as that.
        let begin =
            format!("BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})");
        client.batch_execute(&begin).await?;
        let stepped = step(client, steps).await;
        let end = if stepped.is_ok() { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await?;
        if !stepped? {
            return Ok(());
        }
    }
}

async fn is_up_to_date(client: &Client, steps: &[&str]) -> Result<bool, MigrationError> {
    match client.query_typed("SELECT version FROM keyfob.schema_version", &[]).await {
        Ok(rows) => {
            let version = rows.first().map(|row| row.try_get(0)).transpose()?;
            Ok(next(version, steps)?.is_none())
        }
        Err(error) => match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

/// Takes the next step, if there is one, inside the caller's transaction.
async fn step(client: &Client, steps: &[&str]) -> Result<bool, MigrationError> {
    let known = client
        .query_typed(
            "SELECT to_regnamespace('keyfob') IS NOT NULL, to_regclass('keyfob.schema_version') IS NOT NULL",
            &[],
        )
        .await?;
    let exists = |column| known.first().map_or(Ok(false), |row| row.try_get::<_, bool>(column));
    match (exists(0)?, exists(1)?) {
        (true, false) => return Err(MigrationError::Foreign),
        (false, _) => {
            client
                .batch_execute(
                    "CREATE SCHEMA keyfob;
                     CREATE TABLE keyfob.schema_version (version bigint NOT NULL);
                     INSERT INTO keyfob.schema_version VALUES (0)",
                )
                .await?;
        }
        (true, true) => {}
    }
    let rows = client.query_typed("SELECT version FROM keyfob.schema_version", &[]).await?;
    let version = rows.first().map(|row| row.try_get(0)).transpose()?;
    let Some((step, after)) = next(version, steps)? else {
        return Ok(false);
    };
    client.batch_execute(step).await?;
    client.batch_execute(&format!("UPDATE keyfob.schema_version SET version = {after}")).await?;
    Ok(true)
}

/// The step from a version, and the version after it.
fn next<'s>(
    version: Option<i64>,
    steps: &[&'s str],
) -> Result<Option<(&'s str, i64)>, MigrationError> {
    let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let version = version.ok_or(MigrationError::Foreign)?;
    if version > newest {
        return Err(MigrationError::Newer { found: version, known: newest });
    }
    let step = usize::try_from(version).ok().and_then(|version| steps.get(version));
    Ok(step.map(|step| (*step, version.saturating_add(1))))
}

/// The schema's versions, each as the step from the one before it.
pub(super) const STEPS: &[&str] = &[include_str!("schema.sql")];

/// `keyfob` in ASCII: a lock of this number is nobody else's by accident.
const LOCK: i64 = 0x6B65_7966_6F62;

/// Why a schema could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error("the schema `keyfob` is another program's")]
    Foreign,
    #[error("its schema has version {found}, this program knows {known}")]
    Newer { found: i64, known: i64 },
    #[error("{0}")]
    Server(String),
}

impl From<tokio_postgres::Error> for MigrationError {
    /// What the server said, without its details, which may hold a row.
    fn from(error: tokio_postgres::Error) -> Self {
        let refusal = error.as_db_error().map(|refusal| refusal.message().into());
        Self::Server(refusal.unwrap_or_else(|| error.to_string()))
    }
}

impl From<MigrationError> for StoreError {
    fn from(error: MigrationError) -> Self {
        Self::unavailable(error)
    }
}
