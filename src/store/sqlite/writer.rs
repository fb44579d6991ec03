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
        answered.await.map_err(|_| StoreError::unavailable("the writer has ended"))?
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
    let mut refused = Vec::with_capacity(batch.len());
    let outcome = (|| {
        let mut transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in &mut batch {
            let savepoint = transaction.savepoint()?;
            match (job.run)(&savepoint) {
                Ok(()) => {
                    savepoint.commit()?;
                    refused.push(None);
                }
                // Dropped, the savepoint rolls its own job back and no other.
                Err(trouble) => refused.push(Some(trouble)),
            }
        }
        transaction.commit()
    })();
    match outcome {
        Ok(()) => {
            for (job, trouble) in batch.into_iter().zip(refused) {
                (job.tell)(trouble.map(StoreError::from));
            }
        }
        Err(error) => {
            let reason = error.to_string();
            for job in batch {
                (job.tell)(Some(
                    Trouble::Sqlite(rusqlite::Error::ToSqlConversionFailure(reason.clone().into()))
                        .into(),
                ));
            }
        }
    }
}

/// More would make the first of them wait for the last longer than a commit takes.
const LARGEST_BATCH: usize = 128;

/// A disk that cannot keep up is told by refusals, not by memory.
const MOST_WAITING: usize = 4096;
