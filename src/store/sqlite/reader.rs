//! A few threads that answer what may take long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures_channel::oneshot;

use crate::ports::store::StoreError;

type Ask = Box<dyn FnOnce() + Send>;

/// The way to the reading threads. When the last handle is gone they finish and end.
pub(super) struct Readers {
    questions: SyncSender<Ask>,
}

impl Readers {
    pub(super) fn start() -> std::io::Result<Self> {
        let (questions, queue) = sync_channel(MOST_WAITING);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name("keyfob-sqlite-read".into())
                .spawn(move || answer(&queue))?;
        }
        Ok(Self { questions })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        // Nobody may be waiting any more.
        let ask: Ask = Box::new(move || drop(tell.send(ask())));
        self.questions.try_send(ask).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("too many questions are waiting"),
            TrySendError::Disconnected(_) => StoreError::unavailable("the readers have ended"),
        })?;
        told.await.map_err(|_| StoreError::unavailable("the reader has ended"))?
    }
}

fn answer(queue: &Mutex<Receiver<Ask>>) {
    // The lock is held while waiting and let go before answering.
    while let Ok(ask) = { queue.lock().unwrap_or_else(PoisonError::into_inner).recv() } {
        // Who asked hears that there is no answer; the thread is there for the next one.
        let _ = catch_unwind(AssertUnwindSafe(ask));
    }
}

/// Lists are for screens: two at a time are enough, and leave the processors to verification.
const THREADS: usize = 2;

/// More than this many screens at once are told to come back.
const MOST_WAITING: usize = 1024;
