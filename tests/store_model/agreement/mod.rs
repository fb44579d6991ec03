//! Random sequences of operations on a store and on a model of it, compared answer by answer.
//!
//! Other tests include this file with `#[path]`: [`agrees`] is all that they need.

mod model;
mod place;
mod play;
mod step;
mod tally;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use keyfob::{RealmId, TokenStore};

use self::play::{Difference, play};
use self::step::{Dice, Step};
use self::tally::Tally;

/// Fails at the first sequence that the store answers other than the model.
///
/// `store_in` yields a handle on a realm that nobody has used yet, one for each sequence;
/// `block_on` runs a future to its end. Both are called from several threads. Every outcome must
/// have occurred in one sequence of fifty.
pub(crate) fn agrees<S: TokenStore>(
    store_in: impl Fn(RealmId) -> S + Sync,
    block_on: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Sync,
    sequences: u32,
    seed: u64,
) {
    match compare(store_in, block_on, sequences, seed) {
        Ok(tally) => tally.assert_each(sequences / 50),
        Err(disagreement) => panic!("{disagreement}"),
    }
}

/// Plays sequences until one differs.
pub(crate) fn compare<S: TokenStore>(
    store_in: impl Fn(RealmId) -> S + Sync,
    block_on: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>) + Sync,
    sequences: u32,
    seed: u64,
) -> Result<Tally, Disagreement> {
    let realms = AtomicU64::new(0);
    let run = |steps: &[Step], tally: &mut Tally| {
        let realm = format!("realm-{}", realms.fetch_add(1, Ordering::Relaxed));
        let store = store_in(RealmId::new(realm).unwrap());
        let mut ended = None;
        block_on(Box::pin(async { ended = Some(play(&store, steps, tally).await) }));
        ended.expect("`block_on` runs a future to its end")
    };
    let (next, found) = (AtomicU32::new(0), Mutex::new(None));
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= sequences {
                        return total.lock().unwrap().add(tally);
                    }
                    let seed = seed.wrapping_add(place.into());
                    let steps = Dice::new(seed).sequence();
                    if let Err(difference) = run(&steps, &mut tally) {
                        // The other threads stop at their next sequence.
                        next.store(sequences, Ordering::Relaxed);
                        *found.lock().unwrap() = Some((seed, steps, difference));
                        return;
                    }
                }
            });
        }
    });
    match found.into_inner().unwrap() {
        None => Ok(total.into_inner().unwrap()),
        Some((seed, steps, difference)) => {
            Err(shrunk(seed, steps, difference, |steps| run(steps, &mut Tally::default())))
        }
    }
}

/// Leaves out steps for as long as the rest still differs.
fn shrunk(
    seed: u64,
    mut steps: Vec<Step>,
    mut difference: Difference,
    run: impl Fn(&[Step]) -> Result<(), Difference>,
) -> Disagreement {
    let mut place = steps.len();
    while place > 0 {
        place -= 1;
        let mut fewer = steps.clone();
        fewer.remove(place);
        if let Err(smaller) = run(&fewer) {
            (steps, difference) = (fewer, smaller);
            place = steps.len();
        }
    }
    Disagreement { seed, steps, difference }
}

/// A sequence of which no step can be left out, and what differs at its end.
#[derive(Debug)]
pub(crate) struct Disagreement {
    seed: u64,
    steps: Vec<Step>,
    difference: Difference,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference(difference) = &self.difference;
        write!(f, "{difference}\nseed {}, shrunk to:", self.seed)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n{step:?}"))
    }
}

/// More than processors, since a store on disk lets its callers wait.
const THREADS: usize = 8;

/// Less than a minute for each store; ten times as many where `KEYFOB_LONG` is set.
pub(crate) const SEQUENCES: u32 =
    if option_env!("KEYFOB_LONG").is_some() { 100_000 } else { 10_000 };
