//! How a law reaches the store: plain calls, which fail the law where the store gives no answer.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::thread;

use chrono::{DateTime, Utc};

use crate::core::change::{Change, Patch, Presenter};
use crate::core::digest::{DigestScheme, StoredDigest};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::id::{KeyId, OwnerId, RealmId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, Previous, State, TokenRecord};
use crate::ports::store::{
    Applied, Epoch, EventQuery, Filter, Found, Insert, Inserted, Invalidations, Lookup,
    MassRevocation, NodeId, NodeReport, OwnerChange, OwnerChanged, OwnerSet, Page, Query, Revoked,
    StoreError, StoredEvent, TokenStore, Use,
};
use crate::testing::sample;

/// A store that nobody has used yet, and a way to run its futures.
pub struct Harness<'h> {
    open: Box<Open<'h>>,
    block_on: Box<BlockOn<'h>>,
}

type Open<'h> = dyn Fn(RealmId) -> Arc<dyn TokenStore> + Send + Sync + 'h;
type BlockOn<'h> = dyn Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync + 'h;

impl<'h> Harness<'h> {
    /// A harness for the store that `open` yields handles on, one for each realm asked for.
    ///
    /// `block_on` is called from many threads at once.
    pub fn new<S: TokenStore>(
        open: impl Fn(RealmId) -> S + Send + Sync + 'h,
        block_on: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Send + Sync + 'h,
    ) -> Self {
        let open = move |realm| -> Arc<dyn TokenStore> { Arc::new(open(realm)) };
        Self { open: Box::new(open), block_on: Box::new(block_on) }
    }

    /// The store, in the realm of the samples.
    pub(super) fn store(&self) -> Subject<'_> {
        self.store_in(sample::realm())
    }

    pub(super) fn store_in(&self, realm: RealmId) -> Subject<'_> {
        Subject { store: (self.open)(realm), block_on: &self.block_on }
    }
}

impl fmt::Debug for Harness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").finish_non_exhaustive()
    }
}

/// A handle on the store, for code that does not wait.
#[derive(Clone)]
pub(super) struct Subject<'h> {
    store: Arc<dyn TokenStore>,
    block_on: &'h BlockOn<'h>,
}

macro_rules! plain_calls {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(
            #[track_caller]
            pub(super) fn $name(&self $(, $argument: $type)*) -> $answer {
                self.wait(self.store.$name($($argument),*)).expect(concat!(stringify!($name), " has an answer"))
            }
        )+
    };
}

impl Subject<'_> {
    plain_calls! {
        insert(insert: Insert) -> Inserted;
        find(key: &Lookup) -> Option<Found>;
        query(query: &Query) -> Page;
        apply(change: &Change) -> Applied;
        revoke_all(revocation: &MassRevocation) -> Revoked;
        mark_used(uses: &[Use]) -> Vec<TokenId>;
        spend(token: TokenId, uses: NonZeroU32) -> bool;
        owner(owner: &OwnerId) -> OwnerState;
        set_owner(change: &OwnerChange) -> OwnerSet;
        invalidations(since: Epoch) -> Invalidations;
        report_node(report: &NodeReport) -> ();
        nodes() -> Vec<NodeReport>;
        forget_node(node: NodeId) -> ();
        prune(dead_before: DateTime<Utc>, limit: u32) -> u64;
        events(query: &EventQuery) -> Vec<StoredEvent>;
    }

    pub(super) fn realm(&self) -> &RealmId {
        self.store.realm()
    }

    pub(super) fn try_insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        self.wait(self.store.insert(insert))
    }

    pub(super) fn try_query(&self, query: &Query) -> Result<Page, StoreError> {
        self.wait(self.store.query(query))
    }

    /// Inserts a row that nothing speaks against.
    #[track_caller]
    pub(super) fn add(&self, record: TokenRecord) -> TokenRecord {
        stored(self.insert(sample::insert(record))).0
    }

    /// Inserts the samples of this owner with these numbers.
    #[track_caller]
    pub(super) fn add_many(
        &self,
        owner: &OwnerId,
        numbers: std::ops::Range<u64>,
    ) -> Vec<TokenRecord> {
        numbers.map(|n| self.add(sample::record(owner, n))).collect()
    }

    /// Inserts a sample that another token has minted.
    #[track_caller]
    pub(super) fn add_child(&self, parent: &TokenRecord, n: u64) -> TokenRecord {
        let mut record = sample::record(&parent.owner, n);
        record.parent = Some(parent.id);
        self.add(record)
    }

    pub(super) fn try_found(&self, id: TokenId) -> Option<Found> {
        self.find(&Lookup::Id(id))
    }

    #[track_caller]
    pub(super) fn found(&self, id: TokenId) -> Found {
        self.try_found(id).expect("the token is found")
    }

    #[track_caller]
    pub(super) fn row(&self, id: TokenId) -> TokenRecord {
        *self.found(id).record
    }

    #[track_caller]
    pub(super) fn is_live(&self, id: TokenId) -> bool {
        self.row(id).state == State::Active
    }

    /// Makes a change that nothing speaks against.
    #[track_caller]
    pub(super) fn change(&self, change: &Change) -> TokenRecord {
        done(self.apply(change)).0
    }

    #[track_caller]
    pub(super) fn set_state(&self, record: &TokenRecord, state: State) -> TokenRecord {
        self.change(&to_state(record, state))
    }

    #[track_caller]
    pub(super) fn revoke(&self, record: &TokenRecord) -> TokenRecord {
        self.set_state(record, State::Revoked(sample::ended(1)))
    }

    #[track_caller]
    pub(super) fn deactivate(&self, record: &TokenRecord) -> TokenRecord {
        self.set_state(record, State::Deactivated(sample::ended(1)))
    }

    #[track_caller]
    pub(super) fn set_standing(&self, owner: &OwnerId, standing: OwnerStanding) -> OwnerChanged {
        set(self.set_owner(&to_standing(owner, standing)))
    }

    #[track_caller]
    pub(super) fn epoch(&self) -> Epoch {
        self.invalidations(Epoch(0)).epoch
    }

    #[track_caller]
    pub(super) fn all_events(&self) -> Vec<Event> {
        let stored = self.events(&EventQuery::after(0, Query::LARGEST_PAGE));
        stored.into_iter().map(|stored| stored.event).collect()
    }

    /// The ids of what a filter selects, in the order of insertion.
    #[track_caller]
    pub(super) fn ids(&self, filter: &Filter) -> Vec<TokenId> {
        let page = self.query(&Query::new(filter.clone(), Query::LARGEST_PAGE));
        page.records.iter().map(|record| record.id).collect()
    }

    /// All that a refused call must leave alone.
    #[track_caller]
    pub(super) fn state(&self, owner: &OwnerId) -> (Epoch, Vec<Event>, OwnerState, Vec<String>) {
        let rows = self.query(&Query::new(Filter::default(), Query::LARGEST_PAGE)).records;
        let rows: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
        (self.epoch(), self.all_events(), self.owner(owner), rows)
    }

    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let mut answer = None;
        (self.block_on)(Box::pin(async { answer = Some(future.await) }));
        answer.expect("`block_on` runs a future to its end")
    }
}

#[track_caller]
pub(super) fn stored(inserted: Inserted) -> (TokenRecord, Epoch) {
    match inserted {
        Inserted::Stored(record, epoch) => (*record, epoch),
        refused => panic!("not stored: {refused:?}"),
    }
}

#[track_caller]
pub(super) fn done(applied: Applied) -> (TokenRecord, Epoch, Vec<TokenId>) {
    match applied {
        Applied::Done { record, epoch, cascaded } => (*record, epoch, cascaded),
        refused => panic!("not done: {refused:?}"),
    }
}

pub(super) fn to_state(record: &TokenRecord, state: State) -> Change {
    let (kind, at) = match &state {
        State::Active => (EventKind::TokenReactivated, sample::after(2)),
        State::Deactivated(end) => (EventKind::TokenDeactivated, end.at),
        State::Revoked(end) => (EventKind::TokenRevoked, end.at),
    };
    let patch = Patch { state: Some(state), ..Patch::default() };
    Change::new(record.id, patch, sample::event(kind, record, at))
}

/// The revocation of this token by the host, without expecting a version.
pub(super) fn to_revoked(record: &TokenRecord) -> Change {
    to_state(record, State::Revoked(sample::ended(1)))
}

/// A new name for this token, whatever its version.
pub(super) fn to_name(record: &TokenRecord, name: &str) -> Change {
    let name = name.parse().expect("a name");
    let patch = Patch { name: Some(name), ..Patch::default() };
    Change::new(record.id, patch, sample::event(EventKind::TokenEdited, record, sample::after(1)))
}

pub(super) fn to_standing(owner: &OwnerId, standing: OwnerStanding) -> OwnerChange {
    let kind = match standing {
        OwnerStanding::Active => EventKind::OwnerReactivated,
        OwnerStanding::Deactivated => EventKind::OwnerDeactivated,
        OwnerStanding::Deleted => EventKind::OwnerDeleted,
    };
    let at = sample::after(3);
    let event = Event::new(kind, Actor::host(), at).about_owner(owner.clone());
    OwnerChange::new(owner.clone(), standing, at, event)
}

/// The revocation by the host of all that a filter selects.
pub(super) fn to_none(filter: Filter) -> MassRevocation {
    let end: Ended = sample::ended(1);
    let event = Event::new(EventKind::TokenRevoked, end.by.clone(), end.at);
    MassRevocation::new(filter, end, event)
}

pub(super) const fn presenting(record: &TokenRecord) -> Option<Presenter> {
    Some(Presenter { token: record.id, version: record.version })
}

/// Calls `each` from [`RACERS`] threads that set out together, with 0, 1, 2 and so on.
pub(super) fn race<T: Send>(each: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let line = Barrier::new(RACERS);
    thread::scope(|scope| {
        let (line, each) = (&line, &each);
        let run = move |n| {
            line.wait();
            each(n)
        };
        let racers: Vec<_> = (0..RACERS as u64).map(|n| scope.spawn(move || run(n))).collect();
        let outcome = |racer: thread::ScopedJoinHandle<'_, T>| match racer.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        racers.into_iter().map(outcome).collect()
    })
}

/// Enough that some of them meet in a store that decides in one step and acts in another.
pub(super) const RACERS: usize = 32;

/// Compares every field.
#[track_caller]
pub(super) fn assert_same(left: &TokenRecord, right: &TokenRecord) {
    assert_same_but_usage(left, right);
    assert_eq!(left.usage, right.usage, "usage");
}

#[track_caller]
pub(super) fn assert_same_but_usage(left: &TokenRecord, right: &TokenRecord) {
    macro_rules! same {
        ($($field:ident)+) => {
            // A field that the record gains must be named here, or this no longer compiles.
            let TokenRecord { $($field,)+ digest: _, binding: _, previous: _, usage: _ } = left;
            $(assert_eq!($field, &right.$field, stringify!($field));)+
        };
    }
    same! {
        id number realm owner owner_generation creator parent kind prefix name note grant state
        validity created_at changed_at changed_sequence generation secret_issued_at bypasses_two_factor constraints
        spent hint version
    }
    assert_eq!(bits(&left.digest), bits(&right.digest), "digest");
    assert_eq!(left.binding.as_bytes(), right.binding.as_bytes(), "binding");
    let replaced = |previous: &Previous| (bits(&previous.digest), previous.ends_at);
    let previous = |record: &TokenRecord| record.previous.as_ref().map(replaced);
    assert_eq!(previous(left), previous(right), "previous");
}

fn bits(stored: &StoredDigest) -> (DigestScheme, Option<KeyId>, [u8; 32]) {
    (stored.scheme, stored.key.clone(), *stored.digest.as_bytes())
}

/// The look-up of the digest that this row holds.
pub(super) fn by_digest(record: &TokenRecord) -> Lookup {
    let StoredDigest { scheme, key, digest } = record.digest.clone();
    Lookup::Digest { scheme, key, digest }
}

/// What was done to an owner.
#[track_caller]
pub(super) fn set(answer: OwnerSet) -> OwnerChanged {
    match answer {
        OwnerSet::Done(changed) => changed,
        OwnerSet::PresenterChanged => panic!("a change of an owner was refused"),
    }
}
