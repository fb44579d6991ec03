//! Changing owners.

use crate::core::change::Presenter;
use crate::core::event::{Event, EventKind};
use crate::core::id::{Note, OwnerId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::scope::Scope;
use crate::ports::store::{OwnerChange, OwnerSet, Touched};
use crate::service::change::{TRIES, contended};
use crate::service::error::ChangeFailure;
use crate::service::{By, Tokens};

impl<S: Scope> Tokens<S> {
    /// Blocks all tokens of an owner and keeps them. When this has returned, this service
    /// refuses them, those included that are being issued at this moment.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn deactivate_owner(
        &self,
        owner: &OwnerId,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<OwnerState, ChangeFailure> {
        self.set_owner(owner, OwnerStanding::Deactivated, EventKind::OwnerDeactivated, by, why)
            .await
    }

    /// Lets the tokens of an owner work again, except those that were revoked.
    ///
    /// An owner that was deleted begins a new life: the tokens of the former one stay dead.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn reactivate_owner(
        &self,
        owner: &OwnerId,
        by: By<'_>,
    ) -> Result<OwnerState, ChangeFailure> {
        self.set_owner(owner, OwnerStanding::Active, EventKind::OwnerReactivated, by, None).await
    }

    /// Revokes all tokens of an owner and leaves a tombstone, so that a new account of the same
    /// id inherits nothing.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn delete_owner(
        &self,
        owner: &OwnerId,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<OwnerState, ChangeFailure> {
        self.set_owner(owner, OwnerStanding::Deleted, EventKind::OwnerDeleted, by, why).await
    }

    /// What the store says of an owner.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Unavailable`].
    pub async fn owner_state(&self, owner: &OwnerId) -> Result<OwnerState, ChangeFailure> {
        Ok(self.inner.store.owner(owner).await?)
    }

    async fn set_owner(
        &self,
        owner: &OwnerId,
        standing: OwnerStanding,
        kind: EventKind,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<OwnerState, ChangeFailure> {
        let inner = &*self.inner;
        let actor = inner.actor(by)?;
        if !inner.may_reach(by, owner) {
            return Err(ChangeFailure::Missing);
        }
        for _ in 0..TRIES {
            let now = inner.now().await?;
            let event = Event::new(kind, actor.clone(), now).about_owner(owner.clone());
            let event = event.because(why.clone());
            let mut change = OwnerChange::new(owner.clone(), standing, now, event);
            if standing == OwnerStanding::Active {
                // Gives something back: whoever asks must still be somebody in that same step.
                change.presenter = inner.presented(by).await?.as_ref().map(Presenter::of);
            }
            if let OwnerSet::Done(done) = inner.store.set_owner(&change).await? {
                let touched = Touched::Owner(owner.clone());
                if done.changed {
                    inner.changed(done.epoch, &[touched]);
                    inner.tell(&change.event);
                } else {
                    // Somebody else has set it, and the last epoch is somebody's change.
                    inner.index.noticed(done.epoch, &touched);
                }
                return Ok(done.state);
            }
        }
        Err(contended())
    }
}
