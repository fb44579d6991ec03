//! One thread that writes, and commits what came together in one transaction.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;

use futures_channel::oneshot;
use rusqlite::{Connection, TransactionBehavior};

use super::rows::Trouble;
use crate::ports::store::StoreError;

/// What a job does inside its savepoint; it keeps its own result and sends it after the commit.
type Run = Box<dyn FnMut(&Connection) -> Result<(), Trouble> + Send>;
/// Tells the caller how it ended: `None` means committed.
type Tell = Box<dyn FnOnce(Option<StoreError>) + Send>;

struct Job {
    run: Run,
    tell: Tell,
}

/// The way to the writing thread. When the last handle is gone the thread finishes and ends.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(MOST_WAITING);
        thread::Builder::new()
            .name("keyfob-sqlite".into())
            .spawn(move || write(connection, &queue))?;
        Ok(Self { jobs })
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
        self.jobs.try_send(Job { run, tell }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("too many changes are waiting"),
            TrySendError::Disconnected(_) => StoreError::unavailable("the writer has ended"),
        })?;
        // It may have been committed before the writer ended.
        answered.await.map_err(|_| StoreError::Indeterminate("the writer has ended".into()))?
    }
}

fn write(mut connection: Connection, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < LARGEST_BATCH {
            match queue.try_recv() {
                Ok(job) => batch.push(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        commit(&mut connection, batch);
    }
}

/// Runs each job in a savepoint of its own; if the transaction as a whole fails, all have failed.
fn commit(connection: &mut Connection, mut batch: Vec<Job>) {
    let ended = run(connection, &mut batch);
    for (place, job) in batch.into_iter().enumerate() {
        (job.tell)(match &ended {
            Ok(refused) => {
                refused.get(place).and_then(|trouble| trouble.as_ref().map(Trouble::told))
            }
            Err(failure) => Some(failure.told()),
        });
    }
}

/// What each job failed with, if it did, once all others are committed.
fn run(connection: &mut Connection, batch: &mut [Job]) -> Result<Vec<Option<Trouble>>, Failure> {
    let mut transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Failure::Nothing)?;
    let mut refused = Vec::with_capacity(batch.len());
    for job in batch {
        let mut savepoint = transaction.savepoint().map_err(Failure::Nothing)?;
        let made = (job.run)(&savepoint);
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

/// How a batch as a whole failed.
enum Failure {
    /// Nothing of it was made.
    Nothing(rusqlite::Error),
    /// SQLite rolled all of it back by itself.
    RolledBack,
    /// The commit itself failed: what is on disk is not known.
    Unknown(rusqlite::Error),
}

impl Failure {
    fn told(&self) -> StoreError {
        match self {
            Self::Nothing(error) => StoreError::unavailable(error.to_string()),
            Self::RolledBack => StoreError::unavailable("the transaction was rolled back"),
            Self::Unknown(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
            {
                StoreError::unavailable(error.to_string())
            }
            Self::Unknown(error) => StoreError::Indeterminate(error.to_string().into()),
        }
    }
}

/// More would make the first of them wait for the last longer than a commit takes.
const LARGEST_BATCH: usize = 128;

/// A disk that cannot keep up is told by refusals, not by memory.
const MOST_WAITING: usize = 4096;
