//! Several services on one store: how long each goes by what was, and which connections end.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test fails where it panics"
)]

#[path = "../common/mod.rs"]
mod common;
mod leases;
mod live;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::TimeDelta;
use common::{Detour, Way};
use keyfob::service::freshness::FreshnessReport;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, ManualTimer, SeededRandomness, block_on, sample};
use keyfob::{
    Access, Actor, Builder, By, Grant, IssueRequest, OwnerId, ReadWrite, Rules, StoreError,
    TokenId, Tokens, Verified,
};

static HOST: Actor = Actor::host();
const BY: By<'static> = By::Host(&HOST);
const BOUND: TimeDelta = TimeDelta::seconds(2);
const TICK: TimeDelta = TimeDelta::milliseconds(1);

/// A process with a clock of its own.
struct Node {
    tokens: Tokens<ReadWrite>,
    clock: ManualClock,
    reach: Reach,
}

/// Whether the store can be reached, and what is held up on the way back.
#[derive(Clone, Debug, Default)]
struct Reach {
    is_cut: Arc<AtomicBool>,
    held: Arc<Mutex<Option<&'static str>>>,
}

impl Reach {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    fn hold(&self, method: &'static str) {
        *self.held.lock().unwrap() = Some(method);
    }

    fn release(&self) {
        *self.held.lock().unwrap() = None;
    }
}

#[async_trait]
impl Way for Reach {
    async fn there(&self, _: &'static str) -> Result<(), StoreError> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("cut"));
        }
        Ok(())
    }

    async fn back(&self, method: &'static str) -> Result<(), StoreError> {
        poll_fn(|_| match *self.held.lock().unwrap() {
            Some(held) if held == method => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        })
        .await
    }
}

impl Node {
    fn on(store: &MemoryStore, seed: u64) -> Self {
        Self::by(&sample::rules(), store, seed)
    }

    fn by(rules: &Rules, store: &MemoryStore, seed: u64) -> Self {
        let (clock, reach) = (ManualClock::new(sample::start()), Reach::default());
        let way = Detour { store: store.clone(), ..Detour::new(reach.clone()) };
        let randomness = SeededRandomness::new(seed);
        let builder = Builder::new(way, rules.clone(), clock.clone(), randomness);
        Self { tokens: builder.build(), clock, reach }
    }

    fn issue(&self) -> (String, TokenId) {
        let request = IssueRequest::new(alice(), Grant::Full);
        let (secret, row) = block_on(self.tokens.issue(request, BY)).unwrap();
        (secret.expose_secret().to_owned(), row.id)
    }

    fn revoke(&self, id: TokenId) {
        block_on(self.tokens.revoke(id, BY, None)).unwrap();
    }

    fn verdict(&self, text: &str) -> Result<(), &'static str> {
        let verdict = block_on(self.tokens.authenticate(text, &Access::any()));
        verdict.map(drop).map_err(|error| error.code())
    }

    /// The verdict of the index alone, if it has one.
    fn remembers(&self, text: &str) -> bool {
        self.tokens.authenticate_now(text, &Access::any()).is_some_and(|verdict| verdict.is_ok())
    }

    fn accepted(&self, text: &str) -> Verified {
        block_on(self.tokens.authenticate(text, &Access::any())).unwrap()
    }

    fn upkeep(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let timer = Arc::new(ManualTimer::new(&self.clock));
        Box::pin(self.tokens.clone().upkeep(timer))
    }

    fn report(&self) -> FreshnessReport {
        self.tokens.freshness()
    }
}

fn alice() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

fn two_nodes() -> (MemoryStore, Node, Node) {
    two_nodes_by(&sample::rules())
}

fn two_nodes_by(rules: &Rules) -> (MemoryStore, Node, Node) {
    let store = MemoryStore::new(sample::realm());
    let nodes = (Node::by(rules, &store, 1), Node::by(rules, &store, 2));
    (store, nodes.0, nodes.1)
}

/// Lets futures run as far as they come.
fn run(upkeep: &mut Pin<Box<dyn Future<Output = ()> + Send>>) {
    for _ in 0..8 {
        assert!(upkeep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
