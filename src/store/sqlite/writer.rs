//! One thread that writes, and commits what came together in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::rows::Trouble;
use crate::ports::store::StoreError;

/// What a job does; it keeps its own result and sends it after the commit. It may be run twice.
type Run = Box<dyn FnMut(&Connection) -> Result<(), Trouble> + Send>;
/// Tells the caller how it ended: `None` means committed.
type Tell = Box<dyn FnOnce(Option<StoreError>) + Send>;

struct Job {
    run: Run,
    tell: Tell,
    /// When it is too late to begin.
    ends_at: Instant,
}

/// The way to the writing thread. When the last handle is gone the thread finishes and ends.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    patience: Duration,
}

impl Writer {
    /// `patience` is how long a change may wait before it is begun, for changes before it and for
    /// other processes together.
    pub(super) fn start(connection: Connection, patience: Duration) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(MOST_WAITING);
        thread::Builder::new()
            .name("keyfob-sqlite".into())
            .spawn(move || write(connection, &queue))?;
        Ok(Self { jobs, patience })
    }

    /// Runs a change and returns what it made of it once it is durable.
    ///
    /// The change runs to its end even if the returned future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        mut change: impl FnMut(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let result = std::sync::Arc::new(std::sync::Mutex::new(None));
        let kept = std::sync::Arc::clone(&result);
        let run: Run = Box::new(move |connection| {
            let made = change(connection)?;
            *kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(made);
            Ok(())
        });
        let tell: Tell = Box::new(move |error| {
            let made = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let outcome = match (error, made) {
                (None, Some(made)) => Ok(made),
                (None, None) => Err(StoreError::unavailable("the change was not made")),
                (Some(error), _) => Err(error),
            };
            // Nobody waits for it any more: the change stands all the same.
            let _ = answer.send(outcome);
        });
        let now = now();
        let ends_at = now.checked_add(self.patience).unwrap_or(now);
        self.jobs.try_send(Job { run, tell, ends_at }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("too many changes are waiting"),
            TrySendError::Disconnected(_) => StoreError::unavailable("the writer has ended"),
        })?;
        // It may have been committed before the writer ended.
        answered.await.map_err(|_| StoreError::Indeterminate("the writer has ended".into()))?
    }
}

fn write(mut connection: Connection, queue: &Receiver<Job>) {
    let mut batch = Vec::new();
    loop {
        if batch.is_empty() {
            match queue.recv() {
                Ok(first) => batch.push(first),
                Err(_) => return,
            }
        }
        let room = LARGEST_BATCH.saturating_sub(batch.len());
        batch.extend(queue.try_iter().take(room));
        batch = commit(&mut connection, batch);
    }
}

/// Makes all that was asked for in one transaction; if that as a whole fails, all have failed.
///
/// Returns the jobs that wait on, when another process was writing for as long as the first of
/// them could wait.
fn commit(connection: &mut Connection, batch: Vec<Job>) -> Vec<Job> {
    let now = now();
    let (mut batch, late): (Vec<Job>, Vec<Job>) =
        batch.into_iter().partition(|job| job.ends_at > now);
    for job in late {
        (job.tell)(Some(StoreError::unavailable("others were writing for too long")));
    }
    let Some(until) = batch.iter().map(|job| job.ends_at).min() else {
        return batch;
    };
    let ended = match make_all(connection, until, &mut batch) {
        Ok(ended) => ended,
        // None of it was made: whoever has time left tries again, in a while if it was told early.
        Err(error) if is_busy(&error) => {
            thread::park_timeout(PAUSE);
            return batch;
        }
        Err(error) => Err(Failure::Nothing(error)),
    };
    let ended = match ended {
        Err(Failure::Unknown(_)) if overwrite(connection).is_ok() => Err(Failure::RolledBack),
        ended => ended,
    };
    for (place, job) in batch.into_iter().enumerate() {
        (job.tell)(match &ended {
            Ok(refused) => {
                refused.get(place).and_then(|trouble| trouble.as_ref().map(Trouble::told))
            }
            Err(failure) => Some(failure.told()),
        });
    }
    Vec::new()
}

/// What came of the jobs, or why they could not be begun.
fn make_all(
    connection: &mut Connection,
    until: Instant,
    batch: &mut [Job],
) -> rusqlite::Result<Result<Refused, Failure>> {
    let ended = together(begin(connection, until)?, batch);
    if let Some(ended) = ended {
        return Ok(ended);
    }
    Ok(apart(begin(connection, until)?, batch))
}

/// Begins to write, having waited for another process until then at the latest.
fn begin(connection: &mut Connection, until: Instant) -> rusqlite::Result<Transaction<'_>> {
    connection.busy_timeout(until.saturating_duration_since(now()))?;
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// What each job failed with, if it did, once all others are committed.
type Refused = Vec<Option<Trouble>>;

/// Makes and commits all jobs, or none if one of them fails. Nearly none ever does, and a savepoint
/// for each would keep a copy of every page that it touches.
fn together(transaction: Transaction<'_>, batch: &mut [Job]) -> Option<Result<Refused, Failure>> {
    for job in &mut *batch {
        make(job, &transaction).ok()?;
        if transaction.is_autocommit() {
            return None;
        }
    }
    let refused = batch.iter().map(|_| None).collect();
    Some(transaction.commit().map(|()| refused).map_err(Failure::Unknown))
}

/// Makes each job in a savepoint of its own, and commits those that did not fail.
fn apart(mut transaction: Transaction<'_>, batch: &mut [Job]) -> Result<Refused, Failure> {
    let mut refused = Vec::with_capacity(batch.len());
    for job in batch {
        let mut savepoint = transaction.savepoint().map_err(Failure::Nothing)?;
        let made = make(job, &savepoint);
        if made.is_err() {
            savepoint.rollback().map_err(Failure::Nothing)?;
        }
        savepoint.commit().map_err(Failure::Nothing)?;
        // A full disk may have made SQLite roll everything back by itself; whatever came next
        // would then be committed on its own, and reported as failed.
        if transaction.is_autocommit() {
            return Err(Failure::RolledBack);
        }
        refused.push(made.err());
    }
    transaction.commit().map_err(Failure::Unknown)?;
    Ok(refused)
}

/// A fault in one change must not end the thread on which all later ones depend.
fn make(job: &mut Job, connection: &Connection) -> Result<(), Trouble> {
    catch_unwind(AssertUnwindSafe(|| (job.run)(connection))).unwrap_or(Err(Trouble::Panicked))
}

/// Writes over what a failed commit left behind it in the log.
///
/// A commit whose flush failed is rolled back here, but lies whole in the log until something else
/// is written there: a process that died now would find it made when it starts again. Nothing
/// changes in the database; a number is replaced by itself.
fn overwrite(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

/// How a batch as a whole failed.
enum Failure {
    /// Nothing of it was made.
    Nothing(rusqlite::Error),
    /// All of it is rolled back.
    RolledBack,
    /// The commit itself failed: what is on disk is not known.
    Unknown(rusqlite::Error),
}

impl Failure {
    fn told(&self) -> StoreError {
        match self {
            Self::Nothing(error) => StoreError::unavailable(error.to_string()),
            Self::RolledBack => StoreError::unavailable("the transaction was rolled back"),
            Self::Unknown(error) if is_busy(error) => StoreError::unavailable(error.to_string()),
            Self::Unknown(error) => StoreError::Indeterminate(error.to_string().into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// For how long a change waits, and for nothing that is decided about a token: no test needs to
/// turn this clock.
#[expect(clippy::disallowed_methods, reason = "how long a queue waits is no argument of a change")]
fn now() -> Instant {
    Instant::now()
}

/// More would make the first of them wait for the last longer than a commit takes.
const LARGEST_BATCH: usize = 128;

/// A disk that cannot keep up is told by refusals, not by memory.
const MOST_WAITING: usize = 4096;

/// SQLite may say at once that the file is busy; asking again at once would burn a processor.
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
