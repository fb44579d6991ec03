//! Recording uses, off the path of verification.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use crossbeam_queue::ArrayQueue;

use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::token::Usage;
use crate::ports::store::{StoreError, Use};
use crate::service::{Inner, Tokens};

/// Gathers uses until they are written down. It never fails, never waits, and never grows beyond
/// its bounds.
pub(super) struct Recorder {
    /// What verification noticed: a queue without locks, allocated once.
    noticed: ArrayQueue<(TokenId, i64, Option<IpAddr>)>,
    /// What the store did not take the last time.
    unsaved: Mutex<HashMap<TokenId, Usage>>,
    dropped: AtomicU64,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            noticed: ArrayQueue::new(MOST_NOTICED),
            unsaved: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn record(&self, token: TokenId, now_micros: i64, address: Option<IpAddr>) {
        if self.noticed.push((token, now_micros, address)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything to be written down, one use a token.
    fn take(&self) -> Vec<Use> {
        let mut pending = std::mem::take(&mut *self.unsaved());
        while let Some((token, micros, address)) = self.noticed.pop() {
            let usage = Usage::new(DateTime::from_timestamp_micros(micros), address, 1);
            merge(pending.entry(token).or_default(), usage);
        }
        pending.into_iter().map(|(token, usage)| Use { token, usage }).collect()
    }

    /// How many uses wait to be written down.
    #[cfg(feature = "metrics")]
    pub(super) fn pending(&self) -> usize {
        self.noticed.len().saturating_add(self.unsaved().len())
    }

    /// Keeps what was not written for the next time, as far as there is room.
    fn keep(&self, uses: &[Use]) {
        let mut unsaved = self.unsaved();
        for one in uses {
            if unsaved.len() < MOST_UNSAVED || unsaved.contains_key(&one.token) {
                merge(unsaved.entry(one.token).or_default(), one.usage);
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, HashMap<TokenId, Usage>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest use's time and address, and the sum of the counts.
fn merge(known: &mut Usage, new: Usage) {
    let count = known.count.saturating_add(new.count);
    if new.last_at >= known.last_at {
        *known = new;
    }
    known.count = count;
}

impl<S: Scope> Inner<S> {
    pub(super) async fn flush_usage(&self) -> Result<(), StoreError> {
        let mut taken = Taken { recorder: &self.recorder, uses: self.recorder.take() };
        while !taken.uses.is_empty() {
            let batch = taken.uses.len().min(BATCH);
            // Marking again what was marked already adds to a count and moves no time.
            self.store.mark_used(taken.uses.get(..batch).unwrap_or_default()).await?;
            taken.uses.drain(..batch);
        }
        Ok(())
    }
}

/// Uses that are being written down. Those that are not, because the store failed or the future
/// was dropped, are kept for the next time.
struct Taken<'a> {
    recorder: &'a Recorder,
    uses: Vec<Use>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.recorder.keep(&self.uses);
    }
}

impl<S: Scope> Tokens<S> {
    /// Writes the uses that were noticed since the last time into the store: when the host shuts
    /// down, or in a test.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; what was not written is kept for the next time.
    pub async fn flush_usage(&self) -> Result<(), StoreError> {
        self.inner.flush_usage().await
    }

    /// How many uses were not recorded because too many were waiting already.
    #[must_use]
    pub fn dropped_uses(&self) -> u64 {
        self.inner.recorder.dropped.load(Ordering::Relaxed)
    }
}

/// Less than 1 MiB. A host that uses more tokens than this in five seconds loses the time of last
/// use of some of them, until their next use.
const MOST_NOTICED: usize = 16_384;

/// About 8 MiB, when the store is away for long.
const MOST_UNSAVED: usize = 65_536;

/// What a store may be asked to do at once without holding up its writers.
const BATCH: usize = 1000;
