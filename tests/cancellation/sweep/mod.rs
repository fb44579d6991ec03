//! Drops futures after one poll, two polls and so on, and looks what is left.
//!
//! Other tests include this file with `#[path]`: [`sweep`] is all that they need.

mod cases;
pub(crate) mod factors;
pub(crate) mod scene;

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use keyfob::ports::factors::FactorStore;
use keyfob::{RealmId, TokenStore};

pub(crate) use self::cases::{CASES, Case};
use self::scene::{Remains, Scene};

/// What became of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Swept {
    /// How often it was dropped.
    pub(crate) drops: u32,
    /// After how many of the drops the store was as before.
    pub(crate) before: u32,
    /// After how many it was as if the function had returned.
    pub(crate) after: u32,
    /// Whether it changes anything at all.
    pub(crate) changes: bool,
}

/// Drops each function of [`CASES`] wherever it waits, each time in a scene of its own.
///
/// `store_in` yields a handle on a realm that nobody has used yet; `block_on` runs a future to its
/// end; `in_order` tells what is wrong with what is behind the store, after each drop.
///
/// # Errors
///
/// What a drop did.
pub(crate) fn sweep<S: TokenStore + FactorStore + Clone>(
    store_in: impl Fn(RealmId) -> S + Sync,
    block_on: impl Fn(Pin<Box<dyn Future<Output = ()> + Send + '_>>),
    in_order: impl Fn() -> Result<(), String>,
) -> Result<Vec<(&'static str, Swept)>, String> {
    let mut all = Vec::new();
    for case in CASES {
        let mut swept = Swept::default();
        let mut whole = None;
        block_on(Box::pin(async {
            let scene = Scene::new(fresh(&store_in)).await;
            let before = scene.remains().await.unwrap();
            match stopped_after(MOST_POLLS, (case.run)(&scene)).await {
                Some(outcome) => outcome.unwrap_or_else(|error| panic!("{}: {error}", case.name)),
                // Upkeep never returns, and may not have come to the uses yet.
                None => scene.tokens.flush_usage().await.unwrap(),
            }
            whole = Some((before, scene.remains().await.unwrap()));
        }));
        let (before, after) = whole.expect("`block_on` runs a future to its end");
        swept.changes = before != after;
        for polls in 1..=MOST_POLLS {
            let mut ended = None;
            block_on(Box::pin(async {
                let scene = Scene::new(fresh(&store_in)).await;
                ended = Some(drop_in(&scene, case, polls, (&before, &after), &mut swept).await);
            }));
            let ended = ended.expect("`block_on` runs a future to its end");
            let ended = ended.and_then(|went_on| in_order().map(|()| went_on));
            let went_on = ended
                .map_err(|why| format!("{}, dropped after {polls} polls: {why}", case.name))?;
            if went_on.is_break() {
                break;
            }
        }
        all.push((case.name, swept));
    }
    Ok(all)
}

/// Breaks where the function returned before it could be dropped.
async fn drop_in(
    scene: &Scene,
    case: &Case,
    polls: u32,
    (before, after): (&Remains, &Remains),
    swept: &mut Swept,
) -> Result<ControlFlow<()>, String> {
    if let Some(outcome) = stopped_after(polls, (case.run)(scene)).await {
        return outcome.map(ControlFlow::Break);
    }
    swept.drops += 1;
    let afterwards = |error| format!("afterwards: {error}");
    let mut remains = scene.remains().await.map_err(afterwards)?;
    if remains != *before && remains != *after {
        // A change that nobody waits for may have been made while this looked at its parts.
        remains = scene.remains().await.map_err(afterwards)?;
    }
    if remains == *before {
        swept.before += 1;
    } else if remains == *after {
        swept.after += 1;
    } else {
        return Err(format!("{remains:#?} is neither {before:#?} nor {after:#?}"));
    }
    // The index is not told of what is done behind the service's back.
    if !case.name.starts_with("TokenStore::") {
        scene.index_agrees().await.map_err(afterwards)?;
    }
    scene.factors.grants_no_free_attempt().await.map_err(afterwards)?;
    scene.next_hundred().await.map_err(afterwards)?;
    Ok(ControlFlow::Continue(()))
}

/// Runs a future, and drops it if so many polls have not been enough. As with every future, it is
/// polled again only once it has been woken.
pub(crate) async fn stopped_after<T>(
    polls: u32,
    mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> Option<T> {
    let mut left = polls;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Waits once: a place at which a caller can be dropped.
pub(crate) async fn pause() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn fresh<S>(store_in: impl Fn(RealmId) -> S) -> S {
    static REALMS: AtomicU64 = AtomicU64::new(0);
    let realm = format!("swept-{}", REALMS.fetch_add(1, Ordering::Relaxed));
    store_in(RealmId::new(realm).unwrap())
}

/// More than any of them waits; upkeep would go on for ever.
const MOST_POLLS: u32 = 60;
