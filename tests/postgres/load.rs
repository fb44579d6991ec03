//! Callers that issue, verify, revoke and count attempts without pause, and remember what they
//! were told; afterwards all of it must be true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyfob::ports::factors::{AttemptLimit, FactorStore as _, Reservation};
use keyfob::testing::sample;
use keyfob::{OwnerId, TokenId};
use tokio::task::JoinHandle;

use super::RUNTIME;
use super::cluster::ask;
use super::world::{Heard, Issued, RETURN, World, count, heard_of_store};

pub(crate) struct Load {
    world: Arc<World>,
    stopping: Arc<AtomicBool>,
    callers: Vec<(Arc<AtomicU64>, JoinHandle<Diary>)>,
}

/// What one caller was told.
#[derive(Default)]
struct Diary {
    owner: String,
    live: Vec<(String, TokenId)>,
    dead: Vec<String>,
    /// Keys whose token was made; the text is lost of those that were asked for again.
    made: Vec<String>,
    unmade: Vec<String>,
    /// Requests that had to be repeated to find out.
    repeated: u64,
    counted: u32,
    perhaps_counted: u32,
}

/// What all callers were told together.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) made: usize,
    pub(crate) revoked: usize,
    pub(crate) unavailable: usize,
    pub(crate) indeterminate: u64,
}

impl Load {
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let callers = Vec::from_iter((0..CALLERS).map(|n| {
            let rounds = Arc::new(AtomicU64::new(0));
            let caller = Caller {
                world: Arc::clone(world),
                stopping: Arc::clone(&stopping),
                rounds: Arc::clone(&rounds),
                diary: Diary { owner: format!("owner-{n}"), ..Diary::default() },
            };
            (rounds, RUNTIME.spawn(caller.run()))
        }));
        Self { world: Arc::clone(world), stopping, callers }
    }

    /// How long it takes until every caller has done all that it does once more, and nothing of
    /// it was unavailable.
    #[track_caller]
    pub(crate) fn is_well_again(&self) -> Duration {
        let since = Instant::now();
        let rounds = |caller: &(Arc<AtomicU64>, _)| caller.0.load(Ordering::SeqCst);
        let before: Vec<u64> = self.callers.iter().map(rounds).collect();
        while self.callers.iter().zip(&before).any(|(caller, before)| rounds(caller) == *before) {
            assert!(!self.callers.iter().any(|caller| caller.1.is_finished()), "a caller failed");
            assert!(since.elapsed() < RETURN, "not back after {:?}", since.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        since.elapsed()
    }

    /// Lets all come to an end, and compares what they were told with what is there.
    #[track_caller]
    pub(crate) fn end(self, url: &str) -> Told {
        self.stopping.store(true, Ordering::SeqCst);
        let mut told = Told::default();
        for (_, caller) in self.callers {
            let diary = RUNTIME.block_on(caller).unwrap();
            RUNTIME.block_on(diary.is_true(&self.world, url));
            told.made += diary.made.len();
            told.revoked += diary.dead.len();
            told.unavailable += diary.unmade.len();
            told.indeterminate += diary.repeated;
        }
        told
    }
}

struct Caller {
    world: Arc<World>,
    stopping: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    diary: Diary,
}

impl Caller {
    async fn run(mut self) -> Diary {
        for round in 0.. {
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            let all = self.issue(round).await
                & self.verify().await
                & self.revoke().await
                & self.reserve().await;
            if all {
                self.rounds.fetch_add(1, Ordering::SeqCst);
            } else {
                // A server that is gone answers at once, and the machine has others to serve.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        self.diary
    }

    async fn issue(&mut self, round: u64) -> bool {
        let key = format!("{}-{round}", self.diary.owner);
        match self.world.issue(&self.diary.owner, &key).await {
            Heard::Done(Issued::Now(text, id)) => {
                self.diary.live.push((text, id));
                self.diary.made.push(key);
                true
            }
            Heard::Done(Issued::Before(id)) => panic!("{key} was never asked for: {id}"),
            Heard::Unavailable(_) => {
                self.diary.unmade.push(key);
                false
            }
            Heard::Indeterminate => {
                self.diary.repeated += 1;
                let issued = loop {
                    if let Heard::Done(issued) = self.world.issue(&self.diary.owner, &key).await {
                        break issued;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                };
                match issued {
                    Issued::Now(text, id) => self.diary.live.push((text, id)),
                    // Nobody has its text; it would only fill the owner's quota.
                    Issued::Before(id) => while self.world.revoke(id).await != Heard::Done(()) {},
                }
                self.diary.made.push(key);
                false
            }
        }
    }

    /// A live token is accepted and a dead one refused, or nobody can tell.
    async fn verify(&self) -> bool {
        let mut all = true;
        if let Some((text, _)) = self.diary.live.last() {
            let strictly = self.world.strictly(text).await;
            assert_ne!(strictly, Ok(false), "a live token was refused");
            assert_ne!(self.world.verdict(text).await, Ok(false), "a live token was refused");
            all &= strictly.is_ok();
        }
        if let Some(text) = self.diary.dead.last() {
            let strictly = self.world.strictly(text).await;
            assert_ne!(strictly, Ok(true), "a revoked token was accepted");
            assert_ne!(self.world.verdict(text).await, Ok(true), "a revoked token was accepted");
            all &= strictly.is_ok();
        }
        all
    }

    /// Revokes the oldest token, and keeps a few alive.
    async fn revoke(&mut self) -> bool {
        if self.diary.live.len() <= KEPT {
            return true;
        }
        let (text, id) = self.diary.live.remove(0);
        let mut heard = self.world.revoke(id).await;
        let at_once = heard == Heard::Done(());
        while heard == Heard::Indeterminate {
            tokio::time::sleep(Duration::from_millis(2)).await;
            heard = match self.world.revoke(id).await {
                // It says nothing about the first one.
                Heard::Unavailable(_) => Heard::Indeterminate,
                heard => heard,
            };
        }
        if heard == Heard::Done(()) {
            assert_ne!(self.world.verdict(&text).await, Ok(true), "a revoked token was accepted");
            self.diary.dead.push(text);
        } else {
            self.diary.live.insert(0, (text, id));
        }
        at_once
    }

    async fn reserve(&mut self) -> bool {
        let reserved = self.diary.reserve(&self.world, u32::MAX).await;
        match reserved {
            Heard::Done(Reservation::Granted) => self.diary.counted += 1,
            Heard::Done(locked) => panic!("{locked:?}"),
            Heard::Unavailable(_) => return false,
            Heard::Indeterminate => {
                self.diary.perhaps_counted += 1;
                return false;
            }
        }
        true
    }
}

impl Diary {
    async fn reserve(&self, world: &World, attempts: u32) -> Heard<Reservation> {
        let owner = OwnerId::new(self.owner.clone()).unwrap();
        let limits = [AttemptLimit { attempts, within: None }];
        let reserved = world.store.reserve_attempt(&owner, "load", &limits, sample::start()).await;
        heard_of_store(reserved)
    }

    async fn is_true(&self, world: &World, url: &str) {
        for (text, _) in &self.live {
            assert_eq!(world.strictly(text).await, Ok(true), "an acknowledged token is gone");
        }
        for text in &self.dead {
            assert_eq!(world.strictly(text).await, Ok(false), "a revoked token is back");
        }
        let keys = ask(
            url,
            &format!(
                "SELECT idempotency_key FROM keyfob.issued JOIN keyfob.tokens USING (realm, id, owner)
                 WHERE owner = '{}'",
                self.owner
            ),
        );
        let mut keys: Vec<String> =
            keys.unwrap().into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        let mut made = self.made.clone();
        keys.sort();
        made.sort();
        assert_eq!(keys, made, "what was acknowledged is not what is there");
        assert!(!self.unmade.iter().any(|key| keys.contains(key)), "made, and said not to be");
        let tokens = format!("SELECT FROM keyfob.tokens WHERE owner = '{}'", self.owner);
        assert_eq!(count(url, &tokens), made.len());
        let issued = "event::json->>'kind' = 'token.issued'";
        let events =
            format!("SELECT FROM keyfob.events WHERE owner = '{}' AND {issued}", self.owner);
        assert_eq!(count(url, &events), made.len(), "events of issue");
        // No fewer attempts are counted than were granted, and no more than were tried.
        let locked = self.reserve(world, self.counted).await;
        assert!(matches!(locked, Heard::Done(Reservation::Locked { .. })), "{locked:?}");
        let most = self.counted + self.perhaps_counted + 1;
        assert_eq!(self.reserve(world, most).await, Heard::Done(Reservation::Granted));
    }
}

/// As many as have something in flight at each place where a server can be stopped.
const CALLERS: u32 = 6;

/// Well below the policy's quota of live tokens.
const KEPT: usize = 8;
