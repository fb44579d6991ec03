//! The one store of all nodes, and a node's way to it: what is asked travels there and is done whether
//! or not anybody still waits for the answer.

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use keyfob::core::change::Change;
use keyfob::core::owner::OwnerState;
use keyfob::ports::store::{
    Applied, Epoch, EventQuery, Found, Insert, Inserted, Invalidations, Lookup, MassRevocation,
    NodeId, NodeReport, OwnerChange, OwnerSet, Page, Query, Revoked, StoreError, StoredEvent,
    TokenStore, Touched, Use,
};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::sample;
use keyfob::{OwnerId, RealmId, TokenId};

use crate::book;
use crate::history::Nanos;
use crate::machine::{Machine, date};
use crate::world::{MILLI, World};
use crate::wrong::Wrong;

/// The store, in the middle of the world. It tells the right time.
#[derive(Clone, Debug)]
pub(crate) struct Centre {
    world: World,
    store: MemoryStore,
    machines: Vec<Machine>,
    wrong: Option<Wrong>,
    copies: Arc<Mutex<Copies>>,
}

/// What a wrong store answers from.
#[derive(Debug, Default)]
struct Copies {
    rows: HashMap<TokenId, (Nanos, Found)>,
    changes: HashMap<Epoch, (Nanos, Invalidations)>,
}

impl Centre {
    pub(crate) fn new(world: &World, machines: Vec<Machine>, wrong: Option<Wrong>) -> Self {
        let store = MemoryStore::new(sample::realm());
        Self { world: world.clone(), store, machines, wrong, copies: Arc::default() }
    }

    fn now(&self) -> DateTime<Utc> {
        date(if self.wrong == Some(Wrong::StoppedTime) { 0 } else { self.world.now() })
    }

    fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let found = at_once(self.store.find(key))?;
        let Some(mut found) = found else { return Ok(None) };
        if self.wrong == Some(Wrong::StaleRows) {
            let now = self.world.now();
            let mut copies = self.copies.lock().unwrap();
            let copy = copies.rows.entry(found.record.id).or_insert_with(|| (now, found.clone()));
            if copy.0 + LAG < now {
                *copy = (now, found);
            }
            found = copy.1.clone();
        }
        Ok(Some(found.at(Some(self.now()))))
    }

    fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        let mut news = at_once(self.store.invalidations(since))?;
        news.now = Some(self.now());
        match self.wrong {
            Some(Wrong::StaleChanges) => {
                let now = self.world.now();
                let mut copies = self.copies.lock().unwrap();
                let copy = copies.changes.entry(since).or_insert_with(|| (now, news.clone()));
                if copy.0 + LAG < now {
                    *copy = (now, news);
                }
                return Ok(copy.1.clone());
            }
            Some(Wrong::ChangesMisnamed) if self.world.percent(20) => {
                if let Some((_, touched)) = news.changes.as_mut().and_then(|all| all.last_mut()) {
                    *touched = Touched::Owner(book::owner(99));
                }
            }
            // A store may have forgotten what changed when, at any time.
            _ if self.world.percent(2) => news.changes = None,
            _ => {}
        }
        Ok(news)
    }

    fn report(&self, report: &NodeReport) -> Result<(), StoreError> {
        if self.wrong == Some(Wrong::NodesForgotten) {
            return Ok(());
        }
        let NodeReport { node, applied, bound, .. } = *report;
        at_once(self.store.report_node(&NodeReport::new(node, applied, bound, self.now())))
    }

    /// Most hints come once, in their time.
    fn hint(&self) {
        for machine in &self.machines {
            let times = match self.world.between(0..10) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..times {
                let machine = machine.clone();
                self.world.after(self.world.between(0..20 * MILLI), move || {
                    if !machine.wire().hints_are_cut {
                        machine.hint();
                    }
                });
            }
        }
    }
}

/// A node's way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    machine: Machine,
    centre: Centre,
}

impl Way {
    pub(crate) fn new(centre: &Centre, number: usize) -> Self {
        Self { machine: centre.machines[number].clone(), centre: centre.clone() }
    }

    /// What a change came to. If there is no answer, nobody knows.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Centre) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changing = move |centre: &Centre| {
            let done = work(centre);
            centre.hint();
            done
        };
        self.ask(changing, |reason| StoreError::Indeterminate(reason.into())).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Centre) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(work, StoreError::unavailable).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Centre) -> Result<T, StoreError> + Send + 'static,
        unanswered: impl FnOnce(&'static str) -> StoreError,
    ) -> Result<T, StoreError> {
        let world = &self.centre.world;
        if self.machine.wire().is_refused {
            world.sleep(MILLI).await;
            return Err(StoreError::unavailable("refused"));
        }
        let answer = Arc::new(Answer::default());
        let (way, slot) = (self.clone(), Arc::clone(&answer));
        world.after(self.delay(), move || way.arrive(work, slot));
        let answered = poll_fn(|context| {
            let mut slot = answer.lock().unwrap();
            slot.1 = Some(context.waker().clone());
            slot.0.take().map_or(Poll::Pending, Poll::Ready)
        });
        world.within(PATIENCE, answered).await.unwrap_or_else(|| Err(unanswered("no answer")))
    }

    /// The question has come to the store, if it comes at all.
    fn arrive<T: Send + 'static>(
        self,
        work: impl FnOnce(&Centre) -> Result<T, StoreError> + Send + 'static,
        slot: Arc<Answer<T>>,
    ) {
        let world = self.centre.world.clone();
        if !self.machine.wire().there_is_cut {
            self.deliver(work, slot);
        } else if world.percent(50) {
            let delay = world.between(0..3 * PATIENCE);
            world.after(delay, move || self.deliver(work, slot));
        }
    }

    fn deliver<T: Send + 'static>(
        self,
        work: impl FnOnce(&Centre) -> Result<T, StoreError>,
        slot: Arc<Answer<T>>,
    ) {
        let answer = work(&self.centre);
        let world = &self.centre.world;
        if self.machine.wire().back_is_cut && world.percent(50) {
            return;
        }
        world.after(self.delay(), move || {
            let waker = {
                let mut slot = slot.lock().unwrap();
                slot.0 = Some(answer);
                slot.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
    }

    fn delay(&self) -> Nanos {
        let slowness = self.machine.wire().slowness;
        self.centre.world.between(MILLI / 10..2 * MILLI + slowness)
    }
}

/// What was answered, and who waits for it.
type Answer<T> = Mutex<(Option<Result<T, StoreError>>, Option<Waker>)>;

#[async_trait]
impl TokenStore for Way {
    fn realm(&self) -> &RealmId {
        self.centre.store.realm()
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        self.change(|centre| at_once(centre.store.insert(insert))).await
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let key = key.clone();
        let found = self.read(move |centre| centre.find(&key)).await;
        if self.centre.wrong == Some(Wrong::AbsentForTrouble) { found.or(Ok(None)) } else { found }
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.read(move |centre| at_once(centre.store.query(&query))).await
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let change = change.clone();
        self.change(move |centre| at_once(centre.store.apply(&change))).await
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let revocation = revocation.clone();
        self.change(move |centre| at_once(centre.store.revoke_all(&revocation))).await
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        let uses = uses.to_vec();
        self.read(move |centre| at_once(centre.store.mark_used(&uses))).await
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        self.change(move |centre| at_once(centre.store.spend(token, uses))).await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        let owner = owner.clone();
        self.read(move |centre| at_once(centre.store.owner(&owner))).await
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        let change = change.clone();
        self.change(move |centre| at_once(centre.store.set_owner(&change))).await
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        self.read(move |centre| centre.invalidations(since)).await
    }

    async fn changed(&self, _: Epoch) {
        self.machine.hinted().await;
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        let report = *report;
        self.read(move |centre| centre.report(&report)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        self.read(|centre| at_once(centre.store.nodes())).await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.read(move |centre| at_once(centre.store.forget_node(node))).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let query = query.clone();
        self.read(move |centre| at_once(centre.store.events(&query))).await
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.change(move |centre| at_once(centre.store.prune(dead_before, limit))).await
    }
}

/// Memory never waits.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the store in memory waits"),
    }
}

/// How long anybody waits for an answer.
const PATIENCE: Nanos = 300 * MILLI;

/// How old a copy is at the most: longer than the longest bound of a world.
const LAG: Nanos = 2_000 * MILLI;
