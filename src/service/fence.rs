//! Waiting until no node goes by what was.

use std::time::Duration;

use crate::core::id::{Note, TokenId};
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::ports::store::{Epoch, NodeReport, StoreError};
use crate::ports::timer::Timer;
use crate::service::error::ChangeFailure;
use crate::service::{By, Inner, LONGEST_BOUND, Tokens};

impl<S: Scope> Tokens<S> {
    /// Ends a token for good, as [`revoke`](Tokens::revoke) does. When this has returned, every
    /// service on the store refuses it.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`]. Where the revocation was made and the store then fails, that is waited out:
    /// no error means that it was not made.
    pub async fn revoke_fenced(
        &self,
        id: TokenId,
        by: By<'_>,
        why: Option<Note>,
        timer: &dyn Timer,
    ) -> Result<TokenRecord, ChangeFailure> {
        let row = self.revoke(id, by, why).await?;
        self.fence(timer).await;
        Ok(row)
    }

    /// Waits until every service on the store goes by the changes that had returned before this
    /// was called: until each has said so, or must have noticed by itself.
    ///
    /// That takes milliseconds where all of them run [`upkeep`](Tokens::upkeep), and never longer
    /// than the longest [bound](crate::Builder::bound) of one that does not answer.
    pub async fn fence(&self, timer: &dyn Timer) {
        let inner = &*self.inner;
        let begun = inner.clock.steady_nanos();
        let mut epoch = None;
        loop {
            let waiting = inner.waiting_for(&mut epoch).await;
            // As far as the store can be asked; else each node has the longest bound there is.
            let bound = waiting.unwrap_or(Some(LONGEST_BOUND));
            let passed = inner.clock.steady_nanos().saturating_sub(begun);
            let passed = Duration::from_nanos(passed).saturating_sub(inner.clock_error(bound));
            let Some(left) = bound.map(|bound| bound.saturating_sub(passed)) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            timer.wait(left.min(LOOK_EVERY)).await;
        }
    }
}

impl<S: Scope> Inner<S> {
    /// The longest bound of the nodes that have not come as far as the changes that had returned
    /// when this was first asked; `None` when all have.
    async fn waiting_for(&self, epoch: &mut Option<Epoch>) -> Result<Option<Duration>, StoreError> {
        let epoch = match *epoch {
            Some(epoch) => epoch,
            // Asked of an epoch to come, the store tells of the last one and lists nothing.
            None => *epoch.insert(self.store.invalidations(Epoch(u64::MAX)).await?.epoch),
        };
        let nodes = self.store.nodes().await?;
        // This one went by its own changes before they returned.
        let is_behind =
            |report: &&NodeReport| report.applied < epoch && Some(report.node) != self.node();
        Ok(nodes.iter().filter(is_behind).map(|report| report.bound).max())
    }

    /// What this service's clock may be wrong by in that time.
    fn clock_error(&self, bound: Option<Duration>) -> Duration {
        let tick = self.clock.tick().to_std().unwrap_or_default();
        let drift = bound.unwrap_or_default().checked_div(1000).unwrap_or_default();
        tick.saturating_add(drift)
    }
}

/// A node that has heard has said so a few milliseconds later.
const LOOK_EVERY: Duration = Duration::from_millis(10);
