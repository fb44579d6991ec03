//! Changing tokens: decide on the row, apply by compare-and-set, drop it from the index.

use chrono::{DateTime, Utc};

use crate::core::change::{Change, Presenter};
use crate::core::error::LifecycleError;
use crate::core::error::Refusal;
use crate::core::error::RotateError;
use crate::core::event::{Actor, Event, EventKind};
use crate::core::id::{Note, OwnerId, TokenId, TokenName};
use crate::core::lifecycle::{Narrowing, amend, deactivate, edit, narrow, reactivate, revoke};
use crate::core::rotation::may_take_over;
use crate::core::scope::Scope;
use crate::core::token::{Ended, State, TokenRecord};
use crate::ports::store::{Applied, Filter, Found, Lookup, MassRevocation, StoreError, Touched};
use crate::service::error::ChangeFailure;
use crate::service::{By, Inner, Tokens};

impl<S: Scope> Tokens<S> {
    /// Blocks a token, reversibly. When this has returned, this service refuses it.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`]. Blocking what is blocked succeeds.
    pub async fn deactivate(
        &self,
        id: TokenId,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<TokenRecord, ChangeFailure> {
        self.inner.change(id, by, |row, actor, now| deactivate(row, actor, why.clone(), now)).await
    }

    /// Lets a blocked token work again. A caller that presents a token is judged anew, reactivates
    /// nothing that grants more than it holds, and not itself.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`]. Reactivating what is active succeeds.
    pub async fn reactivate(&self, id: TokenId, by: By<'_>) -> Result<TokenRecord, ChangeFailure> {
        self.inner.reactivate(id, by).await
    }

    /// Ends a token for good, with all that it has minted. When this has returned, this service
    /// refuses them.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`]. Revoking what is revoked succeeds.
    pub async fn revoke(
        &self,
        id: TokenId,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<TokenRecord, ChangeFailure> {
        let decide = |row: &TokenRecord, actor, now| {
            Ok(revoke(row, actor, why.clone(), now).map(Change::cascading))
        };
        self.inner.change(id, by, decide).await
    }

    /// Lets a token do less, or for less long.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn narrow(
        &self,
        id: TokenId,
        narrowing: &Narrowing<S>,
        by: By<'_>,
    ) -> Result<TokenRecord, ChangeFailure> {
        self.inner.change(id, by, |row, actor, now| narrow(row, narrowing, actor, now)).await
    }

    /// Changes a token's name and note; `None` leaves one as it is.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn edit(
        &self,
        id: TokenId,
        name: Option<TokenName>,
        note: Option<Note>,
        by: By<'_>,
    ) -> Result<TokenRecord, ChangeFailure> {
        let decide =
            |row: &TokenRecord, actor, now| edit(row, name.clone(), note.clone(), actor, now);
        self.inner.change(id, by, decide).await
    }

    /// Narrows a token and changes its name and note, in one step.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure`].
    pub async fn amend(
        &self,
        id: TokenId,
        name: Option<TokenName>,
        note: Option<Note>,
        narrowing: &Narrowing<S>,
        by: By<'_>,
    ) -> Result<TokenRecord, ChangeFailure> {
        let decide = |row: &TokenRecord, actor, now| {
            amend(row, name.clone(), note.clone(), narrowing, actor, now)
        };
        self.inner.change(id, by, decide).await
    }

    /// Ends all tokens of an owner for good, except one: the one that is presented, when the
    /// owner wants to be left with that alone. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Missing`] when the caller may not touch this owner's tokens, or
    /// [`ChangeFailure::Unavailable`].
    pub async fn revoke_all_of(
        &self,
        owner: &OwnerId,
        except: Option<TokenId>,
        by: By<'_>,
        why: Option<Note>,
    ) -> Result<u64, ChangeFailure> {
        let inner = &*self.inner;
        let actor = inner.actor(by)?;
        if !inner.may_reach(by, owner) {
            return Err(ChangeFailure::Missing);
        }
        let now = inner.now().await?;
        let end = Ended::new(actor.clone(), why.clone(), now);
        let event = Event::new(EventKind::TokenRevoked, actor, now).about_owner(owner.clone());
        let filter = Filter::of_owner(owner.clone()).unrevoked();
        let mut revocation = MassRevocation::new(filter, end, event.because(why));
        revocation.except = except;
        let revoked = inner.store.revoke_all(&revocation).await?;
        inner.changed(revoked.epoch, &[Touched::Owner(owner.clone())]);
        inner.tell(&revocation.event);
        Ok(u64::try_from(revoked.tokens.len()).unwrap_or(u64::MAX))
    }

    /// Ends a token whose text somebody has found where it should not be. The text alone is
    /// enough: whoever holds it could do worse.
    ///
    /// Returns whether the text is a token's secret, which a caller must not be told. It counts
    /// as no use, and a token that is dead already stays as it is. So does one whose secret was
    /// rotated since, once their overlap is over: the text opens nothing by then, and whoever finds
    /// it could else end what took its place.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Unavailable`].
    pub async fn report_leaked(&self, text: &str) -> Result<bool, ChangeFailure> {
        let inner = &*self.inner;
        let Some((record, is_over)) = inner.find_by_text(text).await? else {
            return Ok(false);
        };
        if is_over {
            return Ok(true);
        }
        if !matches!(record.state, State::Revoked(_)) {
            let event = Event::new(EventKind::TokenLeaked, Actor::host(), inner.known_now());
            inner.tell(&event.about(record.id, record.owner.clone()));
        }
        self.revoke(record.id, By::Host(&Actor::host()), Note::new("leaked").ok()).await?;
        Ok(true)
    }
}

impl<S: Scope> Inner<S> {
    /// Who acts, in the words of the audit log.
    pub(super) fn actor(&self, by: By<'_>) -> Result<Actor, ChangeFailure> {
        match by {
            By::Host(actor) => Ok(actor.clone()),
            By::Token { verified, .. } => {
                let owner = (verified.mark == self.mark)
                    .then(|| self.index.owner(verified.owner))
                    .flatten();
                let owner = owner.ok_or(ChangeFailure::Presenter(Refusal::Unknown))?;
                Ok(Actor::with_token(owner.clone(), verified.id))
            }
        }
    }

    /// Whether the caller may know of this owner's tokens.
    pub(super) fn may_reach(&self, by: By<'_>, owner: &OwnerId) -> bool {
        match by {
            By::Host(_) | By::Token { administrator: true, .. } => true,
            By::Token { verified, .. } => {
                verified.mark == self.mark && self.index.owner(verified.owner) == Some(owner)
            }
        }
    }

    /// A change that takes something away, or nothing.
    async fn change<D>(
        &self,
        id: TokenId,
        by: By<'_>,
        decide: D,
    ) -> Result<TokenRecord, ChangeFailure>
    where
        D: Fn(&TokenRecord, Actor, DateTime<Utc>) -> Result<Option<Change>, LifecycleError> + Send,
    {
        let actor = self.actor(by)?;
        for _ in 0..TRIES {
            let Found { record: row, epoch, .. } = self.reach(id, by).await?;
            let now = self.now().await?;
            let Some(change) = decide(&row, actor.clone(), now)? else {
                // It is so already, by somebody whom this index has not heard of.
                self.index.refused(id, epoch);
                if matches!(row.state, State::Revoked(_)) {
                    self.catch_up(epoch).await;
                }
                return Ok(*row);
            };
            // A revocation expects no version: it wins over whatever else happens.
            let change =
                if change.is_revocation() { change } else { change.expecting(row.version) };
            if let Some(row) = self.apply(&change).await? {
                return Ok(row);
            }
        }
        Err(contended())
    }

    /// A change that gives something back: the presenting token must be live in that same step.
    async fn reactivate(&self, id: TokenId, by: By<'_>) -> Result<TokenRecord, ChangeFailure> {
        let actor = self.actor(by)?;
        for _ in 0..TRIES {
            let presented = self.presented(by).await?;
            let row = self.reach(id, by).await?.record;
            if let Some(presented) = &presented {
                may_take_over::<S>(presented, &row, &self.rules).map_err(RotateError::from)?;
            }
            let Some(change) = reactivate(&*row, actor.clone(), self.now().await?)? else {
                return Ok(*row);
            };
            let presenter = presented.as_ref().map(Presenter::of);
            let change = change.expecting(row.version).presented_by(presenter);
            if let Some(row) = self.apply(&change).await? {
                return Ok(row);
            }
        }
        Err(contended())
    }

    /// The presenting token, if there is one, as the store holds it now.
    pub(super) async fn presented(&self, by: By<'_>) -> Result<Option<TokenRecord>, ChangeFailure> {
        match by {
            By::Host(_) => Ok(None),
            By::Token { verified, .. } => {
                let found = self.find_again(verified).await?;
                found.map(|(row, _)| Some(row)).map_err(ChangeFailure::Presenter)
            }
        }
    }

    /// The token, if the caller may know of it.
    pub(super) async fn reach(&self, id: TokenId, by: By<'_>) -> Result<Found, ChangeFailure> {
        let found = self.find_intact(&Lookup::Id(id)).await?;
        found.filter(|found| self.may_reach(by, &found.record.owner)).ok_or(ChangeFailure::Missing)
    }

    /// Makes a change; `None` means that the row or the presenting token changed meanwhile, so
    /// that it must be decided anew.
    pub(super) async fn apply(
        &self,
        change: &Change,
    ) -> Result<Option<TokenRecord>, ChangeFailure> {
        match self.store.apply(change).await? {
            Applied::Done { record, epoch, cascaded } => {
                let touched = std::iter::once(change.token).chain(cascaded).map(Touched::Token);
                self.changed(epoch, &touched.collect::<Vec<_>>());
                self.tell(&change.event);
                if change.is_revocation() {
                    // What the token had minted may have been revoked by others before.
                    self.catch_up(epoch).await;
                }
                Ok(Some(*record))
            }
            // Somebody else has revoked it, which is what was asked for; the row tells since when.
            Applied::Revoked(_) if change.is_revocation() => Ok(None),
            Applied::Revoked(_) => Err(LifecycleError::Revoked.into()),
            Applied::Missing => Err(ChangeFailure::Missing),
            Applied::Conflict(_) | Applied::PresenterChanged => Ok(None),
        }
    }
}

pub(super) fn contended() -> ChangeFailure {
    StoreError::unavailable("the token is being changed all the time").into()
}

/// Each try loses only to a change that was made; sixteen in a row is a fight, not a race.
pub(super) const TRIES: usize = 16;
