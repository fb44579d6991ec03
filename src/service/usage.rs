//! Recording uses, off the path of verification.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use crossbeam_queue::ArrayQueue;

use crate::core::event::{Actor, Event, EventKind};
use crate::core::id::{Note, OwnerId, TokenId};
use crate::core::scope::Scope;
use crate::core::token::Usage;
use crate::ports::store::{StoreError, Use};
use crate::service::{Inner, Tokens};

/// Gathers uses until they are written down. It never fails, never waits, and never grows beyond
/// its bounds.
pub(super) struct Recorder {
    /// What verification noticed: a queue without locks, allocated once.
    noticed: ArrayQueue<Noticed>,
    /// What the store did not take the last time.
    unsaved: Mutex<HashMap<TokenId, Use>>,
    dropped: AtomicU64,
}

/// One use.
#[derive(Clone, Copy)]
pub(super) struct Noticed {
    pub(super) token: TokenId,
    /// The owner's handle.
    pub(super) owner: u32,
    pub(super) at_micros: i64,
    pub(super) from: Option<IpAddr>,
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
    pub(super) fn record(&self, noticed: Noticed) {
        if self.noticed.push(noticed).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything to be written down, one use a token.
    fn take<'a>(&self, owner: impl Fn(u32) -> Option<&'a OwnerId>) -> Vec<Use> {
        let mut pending = std::mem::take(&mut *self.unsaved());
        while let Some(noticed) = self.noticed.pop() {
            merge(&mut pending, noticed.told(owner(noticed.owner)));
        }
        pending.into_values().collect()
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
                merge(&mut unsaved, one.clone());
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, HashMap<TokenId, Use>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noticed {
    /// With what there is to tell if the address is a new one.
    fn told(self, owner: Option<&OwnerId>) -> Use {
        let at = DateTime::from_timestamp_micros(self.at_micros);
        let new = Use::new(self.token, Usage::new(at, self.from, 1));
        let address = self.from.and_then(|from| Note::new(from.to_string()).ok());
        let Some(((owner, address), at)) = owner.zip(address).zip(at) else {
            return new;
        };
        let by = Actor::with_token(owner.clone(), self.token);
        let event = Event::new(EventKind::TokenNewAddress, by, at);
        new.telling(event.about(self.token, owner.clone()).because(Some(address)))
    }
}

/// The latest use's time and address, and the sum of the counts.
fn merge(pending: &mut HashMap<TokenId, Use>, new: Use) {
    let known = pending.entry(new.token).or_insert_with(|| Use::new(new.token, Usage::default()));
    let count = known.usage.count.saturating_add(new.usage.count);
    if new.usage.last_at >= known.usage.last_at {
        *known = new;
    }
    known.usage.count = count;
}

impl<S: Scope> Inner<S> {
    pub(super) async fn flush_usage(&self) -> Result<(), StoreError> {
        let uses = self.recorder.take(|owner| self.index.owner(owner));
        let mut taken = Taken { recorder: &self.recorder, uses };
        while !taken.uses.is_empty() {
            let batch = taken.uses.len().min(BATCH);
            // Marking again what was marked already adds to a count and moves no time.
            let told = self.store.mark_used(taken.uses.get(..batch).unwrap_or_default()).await?;
            for marked in taken.uses.drain(..batch).filter(|marked| told.contains(&marked.token)) {
                if let Some(event) = &marked.if_new {
                    self.tell(event);
                }
            }
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

/// About 32 MiB with what there is to tell of them, when the store is away for long.
const MOST_UNSAVED: usize = 65_536;

/// What a store may be asked to do at once without holding up its writers.
const BATCH: usize = 1000;
