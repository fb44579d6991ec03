//! What a service does beside answering: asking what changed, and writing down uses.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::core::scope::Scope;
use crate::ports::timer::Timer;
use crate::service::{Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Keeps the index fresh, ends connections and writes recorded uses into the store. The host spawns this future
    /// and drops it to end it; it never returns by itself.
    ///
    /// What another process changes is then known here in milliseconds where the store tells of
    /// changes, and within an eighth of the bound where it does not. Without upkeep a verification
    /// asks for it when the bound is over: nothing is accepted for longer, but somebody waits.
    ///
    /// Connections that [`live`](Tokens::live) watches over are ended from here.
    ///
    /// A token's use is recorded once a minute and written within five seconds of that. If it came
    /// from an address that the token had not been used from lately, an
    /// [event](crate::EventKind::TokenNewAddress) tells of it: a thief who uses a token for long is seen
    /// by it, one who uses it in the same minutes as its bearer may not be. With the
    /// feature `metrics`, the recorder is told as often what was counted.
    pub async fn upkeep(self, timer: Arc<dyn Timer>) {
        let fresh = self.inner.keep_fresh(&*timer);
        let reported = self.inner.keep_reported(&*timer);
        let flushed = self.keep_flushed(&*timer);
        let live = self.inner.keep_live(&*timer);
        let beside = async {
            either(reported, flushed).await;
        };
        let most = async {
            either(live, beside).await;
        };
        either(fresh, most).await;
    }

    async fn keep_flushed(&self, timer: &dyn Timer) {
        loop {
            timer.wait(FLUSH_EVERY).await;
            // The store is in trouble: the uses are kept, and there is nobody to tell.
            let _ = self.inner.flush_usage().await;
            self.inner.rates.forget_rested();
            #[cfg(feature = "metrics")]
            self.publish_metrics();
        }
    }
}

impl<S: Scope> Inner<S> {
    async fn keep_fresh(&self, timer: &dyn Timer) {
        let rest = self.keeping.interval().saturating_sub(BETWEEN_POLLS);
        let (mut hinted, mut known) = (First::Other, None);
        loop {
            // Trouble is counted, and told by whatever asks the store for its own sake.
            let polled = self.poll().await;
            let after = self.index.applied();
            timer.wait(BETWEEN_POLLS).await;
            // A hint that comes for nothing, or from a store in trouble, would come again at once.
            if polled.is_ok() && (hinted == First::Other || after != known) {
                known = after;
                let changed = self.store.changed(after.unwrap_or_default());
                hinted = either(changed, timer.wait(rest)).await;
            } else {
                timer.wait(rest).await;
                hinted = First::Other;
            }
        }
    }

    async fn keep_reported(&self, timer: &dyn Timer) {
        loop {
            either(self.keeping.reports.rung(), timer.wait(REPORT_EVERY)).await;
            // Whoever waits for this node waits for the whole bound.
            let _ = self.report().await;
            timer.wait(self.keeping.interval()).await;
        }
    }
}

/// Which of two was the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    One,
    Other,
}

/// Waits for the first of two; the other is dropped.
pub(super) async fn either(
    one: impl Future<Output = ()>,
    other: impl Future<Output = ()>,
) -> First {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(First::One),
        Poll::Pending => other.as_mut().poll(context).map(|()| First::Other),
    })
    .await
}

/// Waits for all of them, in the order in which they come.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|one| Some(Box::pin(one))).collect();
    let mut done = Vec::with_capacity(waiting.len());
    poll_fn(|context| {
        for place in &mut waiting {
            if let Some(Poll::Ready(value)) = place.as_mut().map(|one| one.as_mut().poll(context)) {
                done.push(value);
                *place = None;
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done
}

/// Wakes the one who waits for it, or who will.
#[derive(Default)]
pub(super) struct Bell(Mutex<(bool, Option<Waker>)>);

impl Bell {
    pub(super) fn ring(&self) {
        let mut state = self.state();
        state.0 = true;
        let waiting = state.1.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    pub(super) async fn rung(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, (bool, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Short enough that a person sees the use that they just made.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// A store that changes all the time is asked at most so often.
const BETWEEN_POLLS: Duration = Duration::from_millis(2);

/// A node that changes nothing and hears of nothing must still be known.
const REPORT_EVERY: Duration = Duration::from_secs(60);
