//! The verification index: every live token that was used here, found without asking the store.
//!
//! It holds only tokens that may be accepted, and only ever says yes. Whatever it does not
//! accept is asked of the store, so that dropping an entry is always right, and every refusal has
//! the store's reason.

mod intern;
mod slot;
mod table;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::intern::Interner;
use self::slot::{Entry, Key};
use self::table::{Place, Table};
use crate::core::constraints::Constraints;
use crate::core::digest::Digest;
use crate::core::id::{Kind, OwnerId, ScopeName, TokenId};
use crate::core::scope::{Grant, Scope};
use crate::core::token::TokenRecord;
use crate::ports::store::{StoreError, Touched};

pub(super) struct Index<S: Scope> {
    table: Table,
    owners: Interner<OwnerId, OwnerId>,
    classes: Interner<ClassKey, Class<S>>,
    writer: Mutex<Writer>,
}

/// What many tokens have in common, kept once.
pub(super) struct Class<S: Scope> {
    pub(super) kind: Kind,
    /// `None` when the host knows none of the names: it grants nothing.
    pub(super) grant: Option<Grant<S>>,
    pub(super) constraints: Constraints,
    pub(super) bypasses_two_factor: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ClassKey {
    kind: Kind,
    names: Grant<ScopeName>,
    constraints: Constraints,
    bypasses_two_factor: bool,
}

/// An accepted secret, as the index holds it.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub(super) deadline: i64,
    pub(super) generation: u32,
    pub(super) owner: u32,
    pub(super) class: u32,
    /// Whether this use is the one in its minute to be recorded.
    pub(super) record_use: bool,
}

/// When a reader began to ask the store. What was dropped since then must not come back.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

#[derive(Default)]
struct Writer {
    /// Where each owner's slots are, by the owner's handle.
    places: HashMap<u32, Vec<Place>>,
    /// What was dropped lately, with its number.
    dropped: VecDeque<(u64, Touched)>,
    last_drop: u64,
    /// What is being changed right now, or was and nobody knows how it ended: never filled.
    barred: HashMap<Bar, u32>,
    /// So many changes have no known end that nothing can be filled.
    all_barred: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Bar {
    Everything,
    Owner(u32),
    Token(TokenId),
}

impl<S: Scope> Index<S> {
    pub(super) fn new(expected: usize, most: usize) -> Self {
        Self {
            table: Table::new(expected, most),
            owners: Interner::new(),
            classes: Interner::new(),
            writer: Mutex::default(),
        }
    }

    /// Starts the trip to memory for a token, to be finished by [`Index::find`].
    #[inline]
    pub(super) fn touch(&self, id: TokenId) -> u64 {
        self.table.touch(Key::of(id))
    }

    #[inline]
    pub(super) fn find(&self, id: TokenId, digest: Digest, now_second: u32) -> Option<Hit> {
        let (slot, entry) = self.table.find(Key::of(id), digest.to_words())?;
        let due = now_second.saturating_sub(entry.used_second) >= USE_INTERVAL_SECONDS;
        Some(Hit {
            deadline: entry.deadline,
            generation: entry.generation,
            owner: entry.owner,
            class: entry.class,
            record_use: due && slot.claim_use(&entry, now_second),
        })
    }

    #[inline]
    pub(super) fn class(&self, handle: u32) -> Option<&Class<S>> {
        self.classes.value(handle)
    }

    pub(super) fn owner(&self, handle: u32) -> Option<&OwnerId> {
        self.owners.value(handle)
    }

    /// The handles of a token's owner and class, made if they are new.
    pub(super) fn handles(&self, record: &TokenRecord) -> Option<(u32, u32)> {
        let key = ClassKey {
            kind: record.kind.clone(),
            names: record.grant.clone(),
            constraints: record.constraints.clone(),
            bypasses_two_factor: record.bypasses_two_factor,
        };
        let class = self.classes.intern(&key, |key| Class {
            kind: key.kind.clone(),
            grant: key.names.read(),
            constraints: key.constraints.clone(),
            bypasses_two_factor: key.bypasses_two_factor,
        })?;
        Some((self.owners.intern(&record.owner, OwnerId::clone)?, class))
    }

    /// To be taken before the store is asked for what [`Index::fill`] is to hold.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.writer().last_drop)
    }

    /// Remembers a secret that was just accepted, unless something about it changed since.
    pub(super) fn fill(
        &self,
        ticket: Ticket,
        id: TokenId,
        digest: Digest,
        hit: &Hit,
        used_second: u32,
    ) {
        let mut writer = self.writer();
        if writer.is_stale(ticket, id, hit.owner, &self.owners) {
            return;
        }
        let key = Key::of(id);
        let words = digest.to_words();
        let entry = Entry {
            digest: words,
            deadline: hit.deadline,
            used_second,
            generation: hit.generation,
            owner: hit.owner,
            class: hit.class,
        };
        // It may be there: filled by another reader, or past a deadline that is later now.
        if let Some((slot, _)) = self.table.find(key, words) {
            slot.write(key, &entry);
        } else if let Some((place, evicted)) = self.table.put(key, &entry) {
            if let Some(owner) = evicted {
                writer.forget_place(owner, place);
            }
            writer.places.entry(hit.owner).or_default().push(place);
        }
    }

    /// Drops what a change is about to touch, and lets nothing of it come back until the guard
    /// says that the change has ended. A guard that is dropped unsaid leaves the bar: a change
    /// whose end nobody knows is asked of the store for ever after.
    pub(super) fn begin_change(&self, touched: &Touched) -> ChangeGuard<'_, S> {
        let mut writer = self.writer();
        let bar = match touched {
            Touched::Everything => Some(Bar::Everything),
            Touched::Owner(owner) => self.owners.intern(owner, OwnerId::clone).map(Bar::Owner),
            Touched::Token(id) => Some(Bar::Token(*id)),
        };
        match &bar {
            Some(bar) if writer.barred.len() < MOST_BARS || writer.barred.contains_key(bar) => {
                let count = writer.barred.entry(bar.clone()).or_default();
                *count = count.saturating_add(1);
            }
            _ => {
                #[cfg(feature = "tracing")]
                if !writer.all_barred {
                    tracing::error!(
                        "too many changes have no known end: every token is asked of the store"
                    );
                }
                writer.all_barred = true;
            }
        }
        self.drop_touched(&mut writer, touched);
        ChangeGuard { index: self, bar, touched: touched.clone() }
    }

    /// Drops a token that the store has just refused.
    pub(super) fn forget(&self, id: TokenId) {
        // Most refused tokens were never here, and refusals must not fill the list of drops.
        if !self.table.places_of(Key::of(id)).is_empty() {
            self.drop_touched(&mut self.writer(), &Touched::Token(id));
        }
    }

    fn drop_touched(&self, writer: &mut Writer, touched: &Touched) {
        match touched {
            Touched::Everything => {
                self.table.clear_all();
                writer.places.clear();
            }
            Touched::Owner(owner) => {
                let handle = self.owners.known(owner);
                for place in
                    handle.and_then(|handle| writer.places.remove(&handle)).unwrap_or_default()
                {
                    self.table.clear(place);
                }
            }
            Touched::Token(id) => {
                for place in self.table.places_of(Key::of(*id)) {
                    if let Some(owner) = self.table.clear(place) {
                        writer.forget_place(owner, place);
                    }
                }
            }
        }
        writer.last_drop = writer.last_drop.saturating_add(1);
        if writer.dropped.len() == REMEMBERED_DROPS {
            writer.dropped.pop_front();
        }
        let number = writer.last_drop;
        writer.dropped.push_back((number, touched.clone()));
    }

    /// How many secrets are indexed, and how many bytes their slots take.
    pub(super) fn size(&self) -> (usize, usize) {
        let (used, slots) = self.table.load();
        (used, slots.saturating_mul(size_of::<slot::Slot>()))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn is_stale(
        &self,
        ticket: Ticket,
        id: TokenId,
        owner: u32,
        owners: &Interner<OwnerId, OwnerId>,
    ) -> bool {
        let barred = self.all_barred
            || [Bar::Everything, Bar::Owner(owner), Bar::Token(id)]
                .iter()
                .any(|b| self.barred.contains_key(b));
        // What is no longer remembered may have been about this token.
        let forgotten =
            self.dropped.front().is_some_and(|(first, _)| *first > ticket.0.saturating_add(1));
        let mut since = self.dropped.iter().rev().take_while(|(number, _)| *number > ticket.0);
        barred
            || forgotten
            || since.any(|(_, touched)| match touched {
                Touched::Everything => true,
                Touched::Owner(name) => owners.value(owner) == Some(name),
                Touched::Token(token) => *token == id,
            })
    }

    fn forget_place(&mut self, owner: u32, place: Place) {
        if let Some(places) = self.places.get_mut(&owner) {
            if let Some(position) = places.iter().position(|known| *known == place) {
                places.swap_remove(position);
            }
            if places.is_empty() {
                self.places.remove(&owner);
            }
        }
    }
}

/// Keeps what a change touches out of the index until its end is known.
#[must_use = "dropped unsaid, it bars what the change touches for good"]
pub(super) struct ChangeGuard<'a, S: Scope> {
    index: &'a Index<S>,
    bar: Option<Bar>,
    touched: Touched,
}

impl<S: Scope> ChangeGuard<'_, S> {
    /// What the store made of the change. Where it says that it made nothing, the change has
    /// ended; where it does not know, the bar stays.
    pub(super) fn settle<T>(self, outcome: Result<T, StoreError>) -> Result<(Self, T), StoreError> {
        match outcome {
            Ok(made) => Ok((self, made)),
            Err(error @ StoreError::Indeterminate(_)) => Err(error),
            Err(error) => {
                self.ended(&HashSet::new());
                Err(error)
            }
        }
    }

    /// The change has ended, one way or the other, and others of its kind are over too.
    pub(super) fn ended(self, also: &HashSet<TokenId>) {
        let mut writer = self.index.writer();
        // Reads that began while the store was changing may have seen either side.
        self.index.drop_touched(&mut writer, &self.touched);
        for id in also {
            self.index.drop_touched(&mut writer, &Touched::Token(*id));
        }
        let Some(bar) = &self.bar else {
            return;
        };
        if let Some(count) = writer.barred.get_mut(bar) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                writer.barred.remove(bar);
            }
        }
    }
}

/// A token's use is recorded once in this time.
pub(super) const USE_INTERVAL_SECONDS: u32 = 60;

/// A reader that was out for longer than it takes to drop so many asks again.
const REMEMBERED_DROPS: usize = 4096;

/// More changes than this without a known end mean that the store has been in trouble for long.
const MOST_BARS: usize = 65_536;
