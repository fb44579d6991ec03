//! Changing an owner's factors.

use chrono::{DateTime, Utc};

use super::error::FactorChangeError;
use super::{ATTEMPTS, TwoFactor, challenges, devices};
use crate::core::event::{Actor, Event, EventKind};
use crate::core::factor::{Operation, TwoFactorProof};
use crate::core::id::{Note, OwnerId, TokenId};
use crate::core::scope::Scope;
use crate::service::error::ChangeFailure;
use crate::service::{By, Tokens};

/// A change of factors that was made, and the question whether the owner's other tokens go on.
///
/// Whoever changes a factor because the former one was stolen wants them ended; whoever enrols the
/// first one may not.
#[must_use = "say whether the owner's other tokens go on"]
#[derive(Debug)]
pub struct FactorsChanged<T> {
    owner: OwnerId,
    value: T,
}

impl<T> FactorsChanged<T> {
    /// They go on.
    pub fn keep_tokens(self) -> T {
        self.value
    }

    /// They are revoked, except one: the one with which this was asked. Returns how many there
    /// were beside what the change made, which is not lost if this fails.
    pub async fn end_tokens<S: Scope>(
        self,
        tokens: &Tokens<S>,
        except: Option<TokenId>,
        by: By<'_>,
    ) -> (T, Result<u64, ChangeFailure>) {
        let why = Note::new("the second factor was changed").ok();
        let ended = tokens.revoke_all_of(&self.owner, except, by, why).await;
        (self.value, ended)
    }
}

/// Who changes factors, found entitled.
#[derive(Debug)]
pub(crate) struct Entitled {
    pub(crate) now: DateTime<Utc>,
    actor: Actor,
    owner: OwnerId,
}

impl Entitled {
    /// The event of a change to this method, or to all.
    pub(crate) fn event(&self, kind: EventKind, method: &str) -> Event {
        let why = Note::new(method).ok().filter(|why| !why.as_str().is_empty());
        let event = Event::new(kind, self.actor.clone(), self.now);
        event.about_owner(self.owner.clone()).because(why)
    }
}

impl<S: Scope> TwoFactor<S> {
    /// Takes all factors from an owner, with what is remembered and counted: for those who have
    /// lost them, or are deleted. What the owner enrolled is gone for good.
    ///
    /// A caller that presents a token must be an administrator and give a proof for
    /// [`Operation::ChangeFactors`] with the parameters `reset` and the owner's id, one space
    /// between them.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`]; after trouble with the store, repeat it.
    pub async fn reset(
        &self,
        owner: &OwnerId,
        proof: Option<TwoFactorProof>,
        by: By<'_>,
    ) -> Result<FactorsChanged<()>, FactorChangeError> {
        let entitled = self.administrator(owner, proof, "reset", by).await?;
        // Told before anything is taken, so that nothing is gone that nobody hears of.
        let event = entitled.event(EventKind::FactorsReset, "");
        self.vault.store().change_factor(owner, NOTHING, 0, None, &event).await?;
        for method in &self.methods {
            method.forget(owner).await?;
        }
        self.vault.clear(owner, devices::RECORD).await?;
        self.vault.clear(owner, challenges::RECORD).await?;
        self.vault.store().clear_attempts(owner, ATTEMPTS).await?;
        Ok(self.changed(entitled, &event, ()))
    }

    /// Forgets how often an owner has answered wrongly, and leaves its factors alone: for those whom
    /// somebody else has locked out.
    ///
    /// A caller that presents a token must be an administrator and give a proof for
    /// [`Operation::ChangeFactors`] with the parameters `unlock` and the owner's id.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`]; after trouble with the store, repeat it.
    pub async fn unlock(
        &self,
        owner: &OwnerId,
        proof: Option<TwoFactorProof>,
        by: By<'_>,
    ) -> Result<(), FactorChangeError> {
        let entitled = self.administrator(owner, proof, "unlock", by).await?;
        let event = entitled.event(EventKind::FactorsUnlocked, "");
        self.vault.store().change_factor(owner, NOTHING, 0, None, &event).await?;
        self.vault.store().clear_attempts(owner, ATTEMPTS).await?;
        self.changed(entitled, &event, ()).keep_tokens();
        Ok(())
    }

    /// The host itself, or an administrator with a proof.
    async fn administrator(
        &self,
        owner: &OwnerId,
        proof: Option<TwoFactorProof>,
        what: &str,
        by: By<'_>,
    ) -> Result<Entitled, FactorChangeError> {
        match (proof, by) {
            (_, By::Token { administrator: false, .. }) => Err(ChangeFailure::Missing.into()),
            (Some(proof), by) => self.entitle(owner, proof, what, by).await,
            (None, By::Host(_)) => self.entitled_caller(owner, by).await,
            (None, By::Token { .. }) => Err(FactorChangeError::NotProved),
        }
    }

    /// Takes the proof for a change of this owner's factors; its parameters are what is to be done
    /// and to whom, so that it is good for nobody else's.
    pub(crate) async fn entitle(
        &self,
        owner: &OwnerId,
        proof: TwoFactorProof,
        what: &str,
        by: By<'_>,
    ) -> Result<Entitled, FactorChangeError> {
        let entitled = self.entitled_caller(owner, by).await?;
        let Entitled { actor, now, .. } = &entitled;
        let asker = actor.owner.as_ref().unwrap_or(owner);
        let operation = Operation::ChangeFactors;
        let parameters = format!("{what} {owner}");
        if proof.holds_for(asker, operation, parameters.as_bytes(), actor.token, *now) {
            Ok(entitled)
        } else {
            Err(FactorChangeError::NotProved)
        }
    }

    /// Takes one factor from an owner, with the event that tells of it. The proof is for `disable`,
    /// the method and the owner's id.
    pub(crate) async fn disable(
        &self,
        owner: &OwnerId,
        method: &str,
        proof: TwoFactorProof,
        by: By<'_>,
    ) -> Result<FactorsChanged<()>, FactorChangeError> {
        let entitled = self.entitle(owner, proof, &format!("disable {method}"), by).await?;
        let event = entitled.event(EventKind::FactorDisabled, method);
        if !self.vault.take_away(owner, method, &event).await? {
            return Err(FactorChangeError::NotEnabled);
        }
        Ok(self.changed(entitled, &event, ()))
    }

    /// Whoever acts may reach this owner; the presenting token is judged anew.
    pub(crate) async fn entitled_caller(
        &self,
        owner: &OwnerId,
        by: By<'_>,
    ) -> Result<Entitled, FactorChangeError> {
        let inner = &*self.tokens.inner;
        let actor = inner.actor(by)?;
        inner.presented(by).await?;
        if !inner.may_reach(by, owner) {
            return Err(ChangeFailure::Missing.into());
        }
        self.entitled(owner, actor).await
    }

    async fn entitled(&self, owner: &OwnerId, actor: Actor) -> Result<Entitled, FactorChangeError> {
        let now = self.tokens.inner.now().await?;
        Ok(Entitled { now, actor, owner: owner.clone() })
    }

    /// A change that the store has made, with its event.
    pub(crate) fn changed<T>(
        &self,
        entitled: Entitled,
        event: &Event,
        value: T,
    ) -> FactorsChanged<T> {
        self.tokens.inner.tell(event);
        FactorsChanged { owner: entitled.owner, value }
    }
}

/// No factor is called so: what is told under this name is of all of them.
const NOTHING: &str = "all";
