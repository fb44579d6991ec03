//! Recording uses, off the path of verification.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::DateTime;

use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::token::Usage;
use crate::ports::store::{StoreError, Use};
use crate::ports::timer::Timer;
use crate::service::{Inner, Tokens};

/// Gathers uses until they are written down. It never fails and never grows beyond its bound.
#[derive(Default)]
pub(super) struct Recorder {
    pending: Mutex<HashMap<TokenId, Usage>>,
    dropped: AtomicU64,
}

impl Recorder {
    pub(super) fn record(&self, token: TokenId, now_micros: i64, address: Option<IpAddr>) {
        let usage = Usage::new(DateTime::from_timestamp_micros(now_micros), address, 1);
        self.merge(&mut self.pending(), token, usage);
    }

    fn merge(&self, pending: &mut HashMap<TokenId, Usage>, token: TokenId, usage: Usage) {
        if pending.len() >= MOST_PENDING && !pending.contains_key(&token) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let known = pending.entry(token).or_default();
        let count = known.count.saturating_add(usage.count);
        if usage.last_at >= known.last_at {
            *known = usage;
        }
        known.count = count;
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<TokenId, Usage>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Scope> Inner<S> {
    pub(super) async fn flush_usage(&self) -> Result<(), StoreError> {
        let uses: Vec<Use> =
            self.recorder.pending().drain().map(|(token, usage)| Use { token, usage }).collect();
        let mut rest = uses.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(BATCH));
            if let Err(error) = self.store.mark_used(batch).await {
                // Kept for the next time, as far as there is room. Marking again what was marked
                // already adds to a count and moves no time.
                let mut pending = self.recorder.pending();
                for unsaved in rest {
                    self.recorder.merge(&mut pending, unsaved.token, unsaved.usage);
                }
                return Err(error);
            }
            rest = later;
        }
        Ok(())
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

    /// How many uses were not recorded because more than 65 536 tokens were waiting.
    #[must_use]
    pub fn dropped_uses(&self) -> u64 {
        self.inner.recorder.dropped.load(Ordering::Relaxed)
    }

    /// Keeps recorded uses flowing into the store. The host spawns this future and drops it to
    /// end it; it never returns by itself.
    ///
    /// A token's use is recorded once a minute and written within five seconds of that.
    pub async fn upkeep(self, timer: Arc<dyn Timer>) {
        loop {
            timer.wait(FLUSH_EVERY).await;
            // The store is in trouble: the uses are kept, and there is nobody to tell.
            let _ = self.flush_usage().await;
        }
    }
}

/// About 8 MiB at the most. A host with more tokens in use between two flushes loses the time of
/// last use of some of them until their next use.
const MOST_PENDING: usize = 65_536;

/// What a store may be asked to do at once without holding up its writers.
const BATCH: usize = 1000;

/// Short enough that a person sees the use that they just made.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
