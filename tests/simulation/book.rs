//! What all nodes did, and which tokens there are.

use std::sync::{Arc, Mutex, MutexGuard};

use keyfob::{OwnerId, TokenId};

use crate::history::{Act, NEVER, Nanos, Operation, Outcome};
use crate::world::World;

#[derive(Clone, Debug)]
pub(crate) struct Book {
    world: World,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    operations: Vec<Operation>,
    known: Vec<Known>,
    issues: u32,
    /// Places of the connections that are open.
    open: Vec<usize>,
    /// Which nodes stood still, each time.
    standstills: Vec<u16>,
}

/// A token that somebody has got.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) number: u32,
    pub(crate) owner: u32,
    pub(crate) id: TokenId,
    pub(crate) text: String,
}

impl Book {
    pub(crate) fn new(world: &World) -> Self {
        Self { world: world.clone(), pages: Arc::default() }
    }

    /// What is asked now. If its process dies, nobody knows what came of it.
    pub(crate) fn begin(&self, node: u16, act: Act) -> usize {
        let invoked_at = self.world.tick();
        let mut pages = self.pages();
        let outcome = Outcome::Indeterminate;
        pages.operations.push(Operation { invoked_at, returned_at: NEVER, act, node, outcome });
        let place = pages.operations.len() - 1;
        if matches!(act, Act::Connect { .. }) {
            pages.open.push(place);
        }
        place
    }

    pub(crate) fn end(&self, place: usize, outcome: Outcome) {
        let returned_at = self.world.tick();
        let mut pages = self.pages();
        let operation = &mut pages.operations[place];
        operation.outcome = outcome;
        // It is the store's business whether and when a change is made of which nobody knows.
        operation.returned_at = if outcome == Outcome::Indeterminate { NEVER } else { returned_at };
    }

    /// Says when a token that was issued expires.
    pub(crate) fn set_expiry(&self, place: usize, at: Nanos) {
        if let Act::Issue { expires_at, .. } = &mut self.pages().operations[place].act {
            *expires_at = at;
        }
    }

    /// Ends a connection, unless its machine stood still meanwhile: then it was judged until that.
    pub(crate) fn close(&self, place: usize, outcome: Outcome) {
        let was_open = {
            let mut pages = self.pages();
            let before = pages.open.len();
            pages.open.retain(|open| *open != place);
            pages.open.len() < before
        };
        if was_open {
            self.end(place, outcome);
        }
    }

    /// How often the node has stood still.
    pub(crate) fn standstills(&self, node: u16) -> usize {
        self.pages().standstills.iter().filter(|one| **one == node).count()
    }

    /// The node stands still, and nothing is sent over its connections.
    pub(crate) fn stand_still(&self, node: u16) {
        self.pages().standstills.push(node);
        let open = self.pages().open.clone();
        for place in open {
            if self.pages().operations[place].node == node {
                self.close(place, Outcome::Accepted);
            }
        }
    }

    /// The node's process is dead, and its connections with it.
    pub(crate) fn lose_connections(&self, node: u16) {
        let mut pages = self.pages();
        let Pages { open, operations, .. } = &mut *pages;
        open.retain(|place| operations[*place].node != node);
    }

    /// The number of a token to be.
    pub(crate) fn number(&self) -> u32 {
        let mut pages = self.pages();
        pages.issues += 1;
        pages.issues - 1
    }

    pub(crate) fn know(&self, known: Known) {
        self.pages().known.push(known);
    }

    /// One of the last: most of those before are dead.
    pub(crate) fn any(&self) -> Option<Known> {
        let back = usize::try_from(self.world.between(1..LAST)).unwrap();
        let pages = self.pages();
        pages.known.get(pages.known.len().checked_sub(back)?).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Known> {
        self.pages().known.clone()
    }

    pub(crate) fn history(&self) -> Vec<Operation> {
        self.pages().operations.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }
}

pub(crate) fn owner(number: u32) -> OwnerId {
    OwnerId::new(format!("owner-{number}")).unwrap()
}

/// How many tokens are in use.
const LAST: u64 = 10;
