//! The verification index: every live token that was used here, found without asking the store.
//!
//! It holds only tokens that may be accepted, and only ever says yes. Whatever it does not
//! accept is asked of the store, so that dropping an entry is always right, and every refusal has
//! the store's reason.

mod class;
mod intern;
mod places;
mod slot;
mod table;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::class::{Class, ClassKey};
use self::intern::Interner;
use self::places::Places;
use self::slot::{Entry, Seen, Slot};
pub(super) use self::slot::{Kept, Key};
use self::table::Table;
use crate::core::epoch::{Epoch, Invalidations, Touched};
use crate::core::freshness::{Effect, Freshness, Lease, Poll, Reading, Ticket};
use crate::core::id::{OwnerId, TokenId};
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::service::rate::Rates;

pub(super) struct Index<S: Scope> {
    table: Table,
    owners: Interner<OwnerId, OwnerId>,
    classes: Interner<ClassKey, Class<S>>,
    writer: Mutex<Writer>,
    published: Published,
}

/// An accepted secret that was found.
#[derive(Clone, Copy)]
pub(super) struct Hit<'i> {
    pub(super) kept: Kept,
    used_second: u32,
    slot: &'i Slot,
}

impl<'i> Hit<'i> {
    #[inline]
    const fn new(slot: &'i Slot, entry: &Entry) -> Self {
        Self { kept: entry.kept, used_second: entry.used_second, slot }
    }

    /// Whether no use has been recorded for a minute. Told without a division, on every hit.
    #[inline]
    pub(super) fn is_due(&self, now_micros: i64) -> bool {
        let due_second = i64::from(self.used_second).saturating_add(USE_INTERVAL_SECONDS.into());
        now_micros >= due_second.saturating_mul(1_000_000)
    }

    /// Whether this use is the one in its minute to be recorded.
    pub(super) fn claim_use(&self, now_micros: i64) -> bool {
        let now = second(now_micros);
        // After the last second that fits, none is.
        now.saturating_sub(self.used_second) >= USE_INTERVAL_SECONDS
            && self.slot.claim_use(self.kept.generation, self.used_second, now)
    }
}

/// A slot that may hold what is looked for.
#[derive(Clone, Copy)]
pub(super) struct Glimpse<'i>(&'i Slot);

impl<'i> Glimpse<'i> {
    /// What it holds by now, if that is what is looked for; that a slot was seen proves nothing. As
    /// whoever finds something, whoever calls this has read the lease before.
    #[inline(always)]
    pub(super) fn confirm(self, key: Key, words: [u64; 4]) -> Option<Hit<'i>> {
        match self.0.look(key, words) {
            Seen::This(entry) => Some(Hit::new(self.0, &entry)),
            Seen::Blank | Seen::Other => None,
        }
    }
}

struct Writer {
    /// Where each owner's slots are, by the owner's handle.
    places: Places,
    /// What was touched lately, and until when the table may be used.
    freshness: Freshness,
}

impl<S: Scope> Index<S> {
    pub(super) fn new(expected: usize, most: usize, freshness: Freshness) -> Self {
        Self {
            table: Table::new(expected, most),
            owners: Interner::new(),
            classes: Interner::new(),
            writer: Mutex::new(Writer { places: Places::default(), freshness }),
            published: Published::default(),
        }
    }

    /// Until when what is found may be used. Whoever finds something must have read this before: a
    /// lease that came later is for a table that has changed since.
    #[inline]
    pub(super) fn lease(&self) -> Lease {
        self.published.lease()
    }

    /// The latest time that the store has ever told, this one included.
    pub(super) fn hold(&self, told_micros: i64) -> i64 {
        self.published.held_micros.fetch_max(told_micros, Ordering::Relaxed).max(told_micros)
    }

    /// Where [`Index::find`] is likely to find something. It starts the trip to memory.
    #[inline]
    pub(super) fn glance(&self, key: Key) -> Option<Glimpse<'_>> {
        self.table.glance(key).map(Glimpse)
    }

    pub(super) fn find(&self, key: Key, words: [u64; 4]) -> Option<Hit<'_>> {
        let (slot, entry) = self.table.find(key, words)?;
        Some(Hit::new(slot, &entry))
    }

    /// The same for a text without an id, and whose it is.
    pub(super) fn find_text(&self, words: [u64; 4]) -> Option<(TokenId, Hit<'_>)> {
        let (_, alias) = self.table.find(Key::of_alias(words), words)?;
        let id = alias.aliased();
        // It may lead nowhere: an alias outlives a token that had to make room.
        self.find(Key::of(id), words).map(|hit| (id, hit))
    }

    #[inline]
    pub(super) fn class(&self, handle: u32) -> Option<&Class<S>> {
        self.classes.value(handle)
    }

    pub(super) fn owner(&self, handle: u32) -> Option<&OwnerId> {
        self.owners.value(handle)
    }

    /// An owner's handle, if any of its tokens was used here.
    pub(super) fn known_owner(&self, owner: &OwnerId) -> Option<u32> {
        self.owners.known(owner)
    }

    /// The handles of a token's owner and class, made if they are new. Those of a token that is in
    /// the table are there with it.
    pub(super) fn handles(&self, record: &TokenRecord, rates: &Rates) -> Option<(u32, u32)> {
        let known = self.table.handles_of(Key::of(record.id)).find(|(owner, class)| {
            self.owner(*owner) == Some(&record.owner)
                && self.class(*class).is_some_and(|class| class.key.is_of(record))
        });
        known.or_else(|| {
            let class = self.classes.intern(&ClassKey::of(record), |key| Class::new(key, rates))?;
            Some((self.owners.intern(&record.owner, OwnerId::clone)?, class))
        })
    }

    /// To be taken before the store is asked for what [`Index::fill`] is to hold.
    pub(super) fn ticket(&self) -> Ticket {
        self.writer().freshness.ticket()
    }

    /// Remembers a secret that was just accepted, by a row that was read with that epoch, unless
    /// something about it changed since; with an alias if its text tells no id and so has no
    /// key of its own.
    pub(super) fn fill(
        &self,
        (ticket, read): (Ticket, Epoch),
        (id, key, words): (TokenId, Option<Key>, [u64; 4]),
        kept: Kept,
        used_second: u32,
    ) {
        let Some(owner) = self.owners.value(kept.owner) else {
            return;
        };
        let mut writer = self.writer();
        if !writer.freshness.may_keep(ticket, read, id, owner) {
            return;
        }
        let entry = Entry { digest: words, kept, used_second };
        self.keep(&mut writer, key.unwrap_or_else(|| Key::of(id)), &entry);
        if key.is_none() {
            self.keep(&mut writer, Key::of_alias(words), &Entry::alias(words, id, kept.owner));
        }
    }

    fn keep(&self, writer: &mut Writer, key: Key, entry: &Entry) {
        // It may be there: filled by another reader, or past a deadline that is later now.
        if let Some((slot, _)) = self.table.find(key, entry.digest) {
            slot.write(key, entry);
        } else if let Some((place, evicted)) = self.table.put(key, entry) {
            if let Some(owner) = evicted {
                writer.places.remove(owner, place);
            }
            writer.places.add(entry.kept.owner, place);
        }
    }

    /// This service has made the change of that epoch, which touched no more than this: forgets it.
    /// To be called before its maker is told that it was made.
    pub(super) fn changed(&self, epoch: Epoch, touched: &[Touched]) {
        let mut writer = self.writer();
        writer.freshness.changed(epoch, touched.iter().cloned());
        for one in touched {
            self.forget(&mut writer, one);
        }
    }

    /// Forgets what somebody may have touched, at that epoch or before.
    pub(super) fn noticed(&self, epoch: Epoch, touched: &Touched) {
        let mut writer = self.writer();
        writer.freshness.noticed(epoch, [touched.clone()]);
        self.forget(&mut writer, touched);
    }

    /// The store has just refused a token, in a snapshot with that epoch.
    pub(super) fn refused(&self, id: TokenId, read: Epoch) {
        let mut writer = self.writer();
        writer.freshness.refused(read, id);
        self.forget(&mut writer, &Touched::Token(id));
    }

    /// The store does not know the token.
    pub(super) fn unknown(&self, id: TokenId) {
        // Whoever makes up ids must not hold up the others.
        if !self.table.places_of(Key::of(id)).is_empty() {
            self.forget(&mut self.writer(), &Touched::Token(id));
        }
    }

    pub(super) fn poll(&self, at: Reading) -> Poll {
        self.writer().freshness.poll(at)
    }

    pub(super) fn applied(&self) -> Option<Epoch> {
        self.writer().freshness.applied()
    }

    pub(super) fn registered_for(&self, at: Reading) -> Duration {
        self.writer().freshness.registered_for(at)
    }

    pub(super) fn registered(&self, begun: Reading, lasts: Duration) {
        self.writer().freshness.registered(begun, lasts);
    }

    /// Takes in what the store answered; returns what was done.
    pub(super) fn answered(&self, poll: Poll, at: Reading, answer: &Invalidations) -> Vec<Effect> {
        let mut writer = self.writer();
        let effects = writer.freshness.answered(poll, at, answer);
        for effect in &effects {
            match effect {
                Effect::Forget(touched) => self.forget(&mut writer, touched),
                Effect::Publish(lease) => self.published.publish(*lease),
                Effect::HistoryLost { .. } => {}
            }
        }
        effects
    }

    fn forget(&self, writer: &mut Writer, touched: &Touched) {
        match touched {
            Touched::Everything => {
                self.table.clear_all();
                writer.places.clear();
            }
            Touched::Owner(owner) => {
                let handle = self.owners.known(owner);
                for place in handle.map_or_else(Vec::new, |handle| writer.places.take(handle)) {
                    self.table.clear(place);
                }
            }
            Touched::Token(id) => {
                let places = self.table.places_of(Key::of(*id));
                let aliases: Vec<_> =
                    places.iter().flat_map(|place| self.table.aliases_of(*place)).collect();
                for place in places.into_iter().chain(aliases) {
                    if let Some(owner) = self.table.clear(place) {
                        writer.places.remove(owner, place);
                    }
                }
            }
        }
    }

    /// How many secrets are indexed, and how many bytes their slots take.
    pub(super) fn size(&self) -> (usize, usize) {
        let (used, slots) = self.table.load();
        (used, slots.saturating_mul(size_of::<Slot>()))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease as readers see it, without a lock.
#[derive(Default)]
struct Published {
    until_nanos: AtomicU64,
    date_ahead_micros: AtomicI64,
    time_ahead_micros: AtomicI64,
    held_micros: AtomicI64,
}

impl Published {
    /// Only under the writer lock, when the table holds nothing that the lease does not cover.
    fn publish(&self, lease: Lease) {
        let Lease { until_nanos, date_ahead_micros, time_ahead_micros, held_micros } = lease;
        self.held_micros.fetch_max(held_micros, Ordering::Relaxed);
        // Whoever reads the old end with the new clocks has a lease that ends sooner.
        self.date_ahead_micros.store(date_ahead_micros, Ordering::Relaxed);
        self.time_ahead_micros.store(time_ahead_micros, Ordering::Relaxed);
        self.until_nanos.store(until_nanos, Ordering::Release);
    }

    #[inline]
    fn lease(&self) -> Lease {
        // What is read after this is at least as new.
        let until_nanos = self.until_nanos.load(Ordering::Acquire);
        Lease::new(
            until_nanos,
            self.date_ahead_micros.load(Ordering::Relaxed),
            self.time_ahead_micros.load(Ordering::Relaxed),
            self.held_micros.load(Ordering::Relaxed),
        )
    }
}

/// A token's use is recorded once in this time.
const USE_INTERVAL_SECONDS: u32 = 60;

/// The second of an instant, as a slot has room for it: until 2106.
#[inline]
pub(super) fn second(micros: i64) -> u32 {
    u32::try_from(micros.max(0) / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_claimed_once_a_minute_and_none_after_the_last_second_that_fits() {
        let slot = Slot::default();
        let kept = Kept { deadline: i64::MAX, generation: 0, owner: 0, class: 0 };
        let hit = |used_second| Hit { kept, used_second, slot: &slot };
        let claims = |used_second, now_micros| {
            let hit = hit(used_second);
            (hit.is_due(now_micros), hit.claim_use(now_micros))
        };
        assert_eq!(claims(0, 59_999_999), (false, false));
        assert_eq!(claims(0, 60_000_000), (true, true));
        assert_eq!(claims(0, 60_000_000), (true, false), "somebody else has it");
        assert_eq!(claims(60, 119_999_999), (false, false));
        assert_eq!(claims(60, i64::MAX), (true, true));
        for _ in 0..2 {
            assert_eq!(claims(u32::MAX, i64::MAX), (true, false));
        }
    }
}
