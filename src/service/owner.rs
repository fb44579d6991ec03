//! Changing owners.

use std::collections::HashSet;

use crate::core::event::{Event, EventKind};
use crate::core::id::{Note, OwnerId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::scope::Scope;
use crate::ports::store::{OwnerChange, Touched};
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
        if standing == OwnerStanding::Active {
            // Gives something back: whoever asks must still be somebody.
            inner.presenter(by).await?;
        }
        let now = inner.clock.now();
        let event = Event::new(kind, actor, now).about_owner(owner.clone()).because(why);
        let change = OwnerChange::new(owner.clone(), standing, now, event);
        let guard = inner.index.begin_change(&Touched::Owner(owner.clone()));
        let changed = inner.store.set_owner(&change).await?;
        guard.ended(&HashSet::new());
        if changed.changed {
            inner.tell(&change.event);
        }
        Ok(changed.state)
    }
}
