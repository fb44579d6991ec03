//! All open connections, by token and by owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::EndReason;
use crate::core::id::TokenId;
use crate::service::upkeep::Bell;
use crate::service::verified::Verified;

/// One connection. It is small, since there may be a hundred thousand.
pub(in crate::service) struct Entry {
    id: TokenId,
    number: u32,
    generation: u32,
    owner: u32,
    class: u32,
    /// When time alone ends it, in microseconds since 1970.
    deadline: AtomicI64,
    end: AtomicU8,
    waiting: Mutex<Option<Waker>>,
}

impl Entry {
    #[inline]
    pub(super) fn end(&self) -> Option<EndReason> {
        REASONS.get(usize::from(self.end.load(Ordering::Acquire))).copied()
    }

    pub(super) fn wait(&self, waker: &Waker) -> Poll<EndReason> {
        let mut waiting = self.waiting();
        // It may have ended since it was asked, and woken nobody.
        if let Some(reason) = self.end() {
            return Poll::Ready(reason);
        }
        *waiting = Some(waker.clone());
        Poll::Pending
    }

    /// Ends it; the first reason stays.
    pub(super) fn finish(&self, reason: EndReason) {
        let place = REASONS.iter().position(|known| *known == reason).unwrap_or_default();
        let place = u8::try_from(place).unwrap_or_default();
        let waiting = {
            let mut waiting = self.waiting();
            let _ = self.end.compare_exchange(GOES_ON, place, Ordering::AcqRel, Ordering::Acquire);
            waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    pub(super) fn verified(&self, mark: u64) -> Verified {
        let Self { id, generation, owner, class, .. } = *self;
        Verified { id, generation, owner, class, mark }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(in crate::service) struct Registry {
    connections: Mutex<Connections>,
    bell: Bell,
}

#[derive(Default)]
struct Connections {
    /// By number, which no other that is open has.
    open: BTreeMap<u32, Arc<Entry>>,
    by_token: BTreeSet<(TokenId, u32)>,
    by_owner: BTreeSet<(u32, u32)>,
    due: BTreeMap<u32, Due>,
    last_number: u32,
    next_expiry: i64,
}

/// A connection that must be judged anew.
#[derive(Clone, Copy)]
struct Due {
    /// The steady clock's reading until which it may go on without.
    until: u64,
    /// Grows with each touch: who began to judge before the last one has not judged that.
    touches: u32,
}

/// Connections that are being judged, each with what it was touched by so far.
pub(super) struct Docket {
    pub(super) entries: Vec<(Arc<Entry>, u32)>,
    /// Until when they must have been.
    pub(super) until: u64,
}

/// Which connections a change touches.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) enum Touch {
    All,
    Owner(u32),
    Token(TokenId),
}

impl Registry {
    pub(super) fn watch(&self, verified: &Verified) -> Arc<Entry> {
        let mut connections = self.connections();
        let number = connections.free_number();
        let entry = Arc::new(Entry {
            id: verified.id,
            number,
            generation: verified.generation,
            owner: verified.owner,
            class: verified.class,
            deadline: AtomicI64::new(i64::MAX),
            end: AtomicU8::new(GOES_ON),
            waiting: Mutex::new(None),
        });
        connections.open.insert(number, Arc::clone(&entry));
        connections.by_token.insert((entry.id, number));
        connections.by_owner.insert((entry.owner, number));
        entry
    }

    pub(super) fn forget(&self, entry: &Entry) {
        let mut connections = self.connections();
        connections.open.remove(&entry.number);
        connections.by_token.remove(&(entry.id, entry.number));
        connections.by_owner.remove(&(entry.owner, entry.number));
        connections.due.remove(&entry.number);
    }

    /// Sets when time alone ends it.
    pub(super) fn expect(&self, entry: &Entry, deadline: i64) {
        entry.deadline.store(deadline, Ordering::Relaxed);
        let mut connections = self.connections();
        connections.next_expiry = connections.next_expiry.min(deadline);
        drop(connections);
        // Whoever waits may wait for too long.
        self.bell.ring();
    }

    /// What a change touched must be judged before `until`, or end.
    pub(in crate::service) fn touch(&self, touch: Touch, until: u64) {
        let mut connections = self.connections();
        let touched: Vec<u32> = match touch {
            Touch::All => connections.open.keys().copied().collect(),
            Touch::Owner(owner) => {
                let all = connections.by_owner.range((owner, 0)..=(owner, u32::MAX));
                all.map(|(_, number)| *number).collect()
            }
            Touch::Token(id) => {
                let all = connections.by_token.range((id, 0)..=(id, u32::MAX));
                all.map(|(_, number)| *number).collect()
            }
        };
        if touched.is_empty() {
            return;
        }
        for number in touched {
            let due = connections.due.entry(number).or_insert(Due { until, touches: 0 });
            due.until = until.min(due.until);
            due.touches = due.touches.wrapping_add(1);
        }
        drop(connections);
        self.bell.ring();
    }

    pub(super) async fn rung(&self) {
        self.bell.rung().await;
    }

    pub(super) fn next_expiry(&self) -> i64 {
        let connections = self.connections();
        if connections.open.is_empty() { i64::MAX } else { connections.next_expiry }
    }

    /// Has those judged whose time is over.
    pub(super) fn expire(&self, now: i64, until: u64) {
        let mut connections = self.connections();
        if now < connections.next_expiry {
            return;
        }
        let Connections { open, due, next_expiry, .. } = &mut *connections;
        *next_expiry = i64::MAX;
        for (number, entry) in open {
            let deadline = entry.deadline.load(Ordering::Relaxed);
            if entry.end().is_some() {
                continue;
            }
            if deadline <= now {
                due.entry(*number).or_insert(Due { until, touches: 0 });
            } else {
                *next_expiry = deadline.min(*next_expiry);
            }
        }
    }

    /// Ends those that were not judged in time.
    pub(super) fn give_up(&self, steady_nanos: u64) {
        let mut connections = self.connections();
        let Connections { open, due, .. } = &mut *connections;
        due.retain(|number, due| {
            if due.until > steady_nanos {
                return true;
            }
            if let Some(entry) = open.get(number) {
                entry.finish(EndReason::Unavailable);
            }
            false
        });
    }

    /// Some of those that are to be judged.
    pub(super) fn due(&self, most: usize) -> Docket {
        let connections = self.connections();
        let mut docket = Docket { entries: Vec::new(), until: u64::MAX };
        for (number, due) in connections.due.iter().take(most) {
            if let Some(entry) = connections.open.get(number) {
                docket.entries.push((Arc::clone(entry), due.touches));
                docket.until = due.until.min(docket.until);
            }
        }
        docket
    }

    pub(super) fn is_judged(&self, entry: &Entry, touches: u32) {
        let mut connections = self.connections();
        if connections.due.get(&entry.number).is_some_and(|due| due.touches == touches) {
            connections.due.remove(&entry.number);
        }
    }

    pub(super) fn end_all(&self, reason: EndReason) {
        for entry in self.connections().open.values() {
            entry.finish(reason);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.connections().open.len()
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Four thousand million connections later a number may be that of one which is still open.
    fn free_number(&mut self) -> u32 {
        loop {
            self.last_number = self.last_number.wrapping_add(1);
            if !self.open.contains_key(&self.last_number) {
                return self.last_number;
            }
        }
    }
}

/// What an entry's `end` says by its place here.
const REASONS: [EndReason; 7] = [
    EndReason::Deactivated,
    EndReason::Expired,
    EndReason::Narrowed,
    EndReason::OwnerDeactivated,
    EndReason::Revoked,
    EndReason::Superseded,
    EndReason::Unavailable,
];

/// No place there.
const GOES_ON: u8 = u8::MAX;
