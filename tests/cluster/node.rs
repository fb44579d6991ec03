//! A node: verifies as fast as it can, revokes at its pace, and writes down what came of it.

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyfob::os::TokioTimer;
use keyfob::service::error::ChangeFailure;
use keyfob::{Access, AuthenticateError, ReadWrite, Refusal, StoreError, Tokens};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{Outcome, Reason};
use crate::record::{Book, Deed, now};
use crate::tokens::{self, BY, Known, OWNED, REVOKED, SWITCHED, is_in, owner};

pub(crate) const ARGUMENT: &str = "--node";

struct Node {
    tokens: Tokens<ReadWrite>,
    known: Vec<Known>,
    /// What is revoked one after the other, by all nodes together.
    order: Vec<u32>,
    number: u32,
    of: u32,
    front: AtomicU32,
    is_over: AtomicBool,
    book: Mutex<Book>,
}

/// `url`, the folder, this node's number, of how many, revocations in a second, and which life of
/// the node it is.
pub(crate) fn run(arguments: &[String]) {
    let [url, folder, number, of, pace, life] = arguments else { panic!("{arguments:?}") };
    let folder = Path::new(folder);
    let (number, of): (u32, u32) = (number.parse().unwrap(), of.parse().unwrap());
    let (pace, life): (f64, u64) = (pace.parse().unwrap(), life.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tokens = tokens::service(url).await;
        let known = tokens::read(&folder.join("tokens"), &tokens);
        let order = (0..u32::try_from(known.len()).unwrap()).filter(|n| is_in(*n, &REVOKED));
        let front = std::fs::read_to_string(folder.join(format!("front-{number}")));
        let node = Arc::new(Node {
            order: order.collect(),
            known,
            number,
            of,
            front: AtomicU32::new(front.ok().and_then(|front| front.parse().ok()).unwrap_or(0)),
            is_over: AtomicBool::new(false),
            book: Mutex::new(Book::open(&folder.join(format!("book-{number}")))),
            tokens,
        });
        tokio::spawn(node.tokens.clone().upkeep(Arc::new(TokioTimer::new())));
        let seed = |n: u64| StdRng::seed_from_u64((life << 16) | (u64::from(number) << 8) | n);
        let mut work = Vec::new();
        for n in 0..3 {
            work.push(tokio::spawn(Arc::clone(&node).verify(seed(n))));
        }
        work.push(tokio::spawn(Arc::clone(&node).switch(seed(9))));
        let path = folder.join(format!("front-{number}"));
        work.push(tokio::spawn(Arc::clone(&node).revoke(pace, path)));
        // It is told to stop by the end of what it reads.
        let told = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        told.await.unwrap().unwrap();
        node.is_over.store(true, Ordering::Relaxed);
        for one in work {
            one.await.unwrap();
        }
        node.verify_all().await;
    });
}

impl Node {
    async fn verify(self: Arc<Self>, mut random: StdRng) {
        while !self.is_over() {
            for _ in 0..200 {
                let near = self.front.load(Ordering::Relaxed) * self.of;
                let at = (near + random.random_range(0..600)).saturating_sub(250);
                let number = match random.random_range(0..100) {
                    0..4 => {
                        let number = random.random_range(0..self.known.len() / 100) * 100;
                        u32::try_from(number).unwrap()
                            + random.random_range(SWITCHED.start..OWNED.end)
                    }
                    _ => self.order[at as usize % self.order.len()],
                };
                if random.random_range(0..100) == 0 {
                    self.verify_strictly(number).await;
                } else {
                    self.verify_once(number).await;
                }
            }
            // What is verified here all the time must not starve what the others do.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.book.lock().unwrap().write();
    }

    async fn verify_once(&self, number: u32) {
        let (text, access) = (&self.known[number as usize].text, Access::any());
        let invoked_at = now();
        let verdict = match self.tokens.authenticate_now(text, &access) {
            Some(verdict) => verdict,
            None => self.tokens.authenticate(text, &access).await,
        };
        self.book.lock().unwrap().end(Deed::Verify, number, invoked_at, told(verdict.map(drop)));
    }

    async fn verify_strictly(&self, number: u32) {
        let text = &self.known[number as usize].text;
        let invoked_at = now();
        let verdict = self.tokens.authenticate_strict(text, &Access::any()).await;
        let outcome = told(verdict.map(drop));
        self.book.lock().unwrap().end(Deed::VerifyStrictly, number, invoked_at, outcome);
    }

    /// When all is well again.
    async fn verify_all(&self) {
        for number in 0..u32::try_from(self.known.len()).unwrap().min(5_000) {
            self.verify_once(number).await;
        }
        self.book.lock().unwrap().write();
    }

    /// Revokes its part of the tokens, several at a time.
    async fn revoke(self: Arc<Self>, pace: f64, path: std::path::PathBuf) {
        let pause = Duration::from_secs_f64(f64::from(AT_ONCE) / pace);
        let mut beat = tokio::time::interval(pause);
        while !self.is_over() {
            beat.tick().await;
            let front = self.front.load(Ordering::Relaxed);
            let mine = (front..front + AT_ONCE).filter_map(|turn| {
                self.order.get((turn * self.of + self.number) as usize).copied()
            });
            let revoking: Vec<_> =
                mine.map(|number| tokio::spawn(Arc::clone(&self).revoke_once(number))).collect();
            if revoking.is_empty() {
                return;
            }
            for one in revoking {
                one.await.unwrap();
            }
            self.front.store(front + AT_ONCE, Ordering::Relaxed);
            std::fs::write(&path, (front + AT_ONCE).to_string()).unwrap();
        }
    }

    async fn revoke_once(self: Arc<Self>, number: u32) {
        let id = self.known[number as usize].id;
        let deed = if number.is_multiple_of(97) { Deed::RevokeFenced } else { Deed::Revoke };
        while !self.is_over() {
            let invoked_at = self.begin(deed, number);
            let revoked = match deed {
                Deed::RevokeFenced => {
                    self.tokens.revoke_fenced(id, BY, None, &TokioTimer::new()).await
                }
                _ => self.tokens.revoke(id, BY, None).await,
            };
            if self.end(deed, number, invoked_at, revoked.map(drop)) == Outcome::Done {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Switches tokens and owners off and on, each by one node.
    async fn switch(self: Arc<Self>, mut random: StdRng) {
        let mine: Vec<u32> = (0..u32::try_from(self.known.len()).unwrap())
            .filter(|number| number / 100 % self.of == self.number)
            .filter(|number| is_in(*number, &SWITCHED) || is_in(*number, &OWNED))
            .collect();
        while !self.is_over() {
            let number = mine[random.random_range(0..mine.len())];
            let (id, owner) = (self.known[number as usize].id, owner(number));
            let is_owned = is_in(number, &OWNED);
            let off = if is_owned { Deed::DeactivateOwner } else { Deed::Deactivate };
            let invoked_at = self.begin(off, number);
            let done = if is_owned {
                self.tokens.deactivate_owner(&owner, BY, None).await.map(drop)
            } else {
                self.tokens.deactivate(id, BY, None).await.map(drop)
            };
            self.end(off, number, invoked_at, done);
            tokio::time::sleep(Duration::from_millis(random.random_range(0..2500))).await;
            // Whatever came of that, and until it is on again.
            let on = if is_owned { Deed::ReactivateOwner } else { Deed::Reactivate };
            loop {
                let invoked_at = self.begin(on, number);
                let done = if is_owned {
                    self.tokens.reactivate_owner(&owner, BY).await.map(drop)
                } else {
                    self.tokens.reactivate(id, BY).await.map(drop)
                };
                if self.end(on, number, invoked_at, done) == Outcome::Done || self.is_over() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn begin(&self, deed: Deed, number: u32) -> u64 {
        let invoked_at = now();
        self.book.lock().unwrap().begin(deed, number, invoked_at);
        invoked_at
    }

    fn end(
        &self,
        deed: Deed,
        number: u32,
        invoked_at: u64,
        done: Result<(), ChangeFailure>,
    ) -> Outcome {
        let outcome = match done {
            Ok(()) => Outcome::Done,
            Err(ChangeFailure::Unavailable(StoreError::Indeterminate(_))) => Outcome::Indeterminate,
            Err(ChangeFailure::Unavailable(_)) => Outcome::Unavailable,
            Err(other) => panic!("{deed:?} of {number}: {other}"),
        };
        self.book.lock().unwrap().end(deed, number, invoked_at, outcome);
        outcome
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn told(verdict: Result<(), AuthenticateError>) -> Outcome {
    match verdict {
        Ok(()) => Outcome::Accepted,
        Err(AuthenticateError::Refused(Refusal::Revoked)) => Outcome::Refused(Reason::Revoked),
        Err(AuthenticateError::Unavailable(_)) => Outcome::Unavailable,
        Err(_) => Outcome::Refused(Reason::Unsaid),
    }
}

/// A batch takes as long as the slowest of it: a way that is cut in the middle, or a fence.
const AT_ONCE: u32 = 32;
