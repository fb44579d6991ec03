//! Deactivating, reactivating, revoking, narrowing and editing a token.
//!
//! Each is a function of the token and the time, and returns the [`Change`] to make: `None` where
//! the token is so already, so that repeating a call is harmless.

use chrono::{DateTime, Utc};

use super::change::{Change, Patch};
use super::constraints::Constraints;
use super::error::LifecycleError;
use super::event::{Actor, Event, EventKind};
use super::id::{Note, TokenName};
use super::scope::{Grant, Scope};
use super::time::rounded_down;
use super::token::{Ended, Expiry, State, Token, TokenRecord, Validity};

/// Blocks a token, reversibly.
///
/// # Errors
///
/// [`LifecycleError::Revoked`], since nothing leads out of revoked.
pub fn deactivate<T: Token + ?Sized>(
    token: &T,
    by: Actor,
    why: Option<Note>,
    now: DateTime<Utc>,
) -> Result<Option<Change>, LifecycleError> {
    match token.state() {
        State::Revoked(_) => Err(LifecycleError::Revoked),
        State::Deactivated(_) => Ok(None),
        State::Active => {
            let now = rounded_down(now);
            let state = State::Deactivated(Ended::new(by.clone(), why.clone(), now));
            let event = about(token, EventKind::TokenDeactivated, by, now).because(why);
            let patch = Patch { state: Some(state), ..Patch::default() };
            Ok(Some(Change::new(token.id(), patch, event)))
        }
    }
}

/// Lets a blocked token work again, as far as its validity goes.
///
/// # Errors
///
/// [`LifecycleError::Revoked`].
pub fn reactivate<T: Token + ?Sized>(
    token: &T,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<Option<Change>, LifecycleError> {
    match token.state() {
        State::Revoked(_) => Err(LifecycleError::Revoked),
        State::Active => Ok(None),
        State::Deactivated(_) => {
            let event = about(token, EventKind::TokenReactivated, by, rounded_down(now));
            let patch = Patch { state: Some(State::Active), ..Patch::default() };
            Ok(Some(Change::new(token.id(), patch, event)))
        }
    }
}

/// Ends a token for good.
///
/// The change expects no version: whatever else is changing the token, the revocation wins.
#[must_use]
pub fn revoke<T: Token + ?Sized>(
    token: &T,
    by: Actor,
    why: Option<Note>,
    now: DateTime<Utc>,
) -> Option<Change> {
    if let State::Revoked(_) = token.state() {
        return None;
    }
    let now = rounded_down(now);
    let state = State::Revoked(Ended::new(by.clone(), why.clone(), now));
    let event = about(token, EventKind::TokenRevoked, by, now).because(why);
    Some(Change::new(token.id(), Patch { state: Some(state), ..Patch::default() }, event))
}

/// What is to be taken from a token; what is `None` stays.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Narrowing<S: Scope> {
    /// A grant that the present one covers.
    pub grant: Option<Grant<S>>,
    /// An earlier end.
    pub expires_at: Option<DateTime<Utc>>,
    /// Constraints that the present ones cover; those that say nothing stay.
    pub constraints: Option<Constraints>,
    /// Whether to take the right to pass where a second factor is due.
    pub require_two_factor: bool,
}

impl<S: Scope> Default for Narrowing<S> {
    /// Takes nothing.
    fn default() -> Self {
        Self { grant: None, expires_at: None, constraints: None, require_two_factor: false }
    }
}

impl<S: Scope> Narrowing<S> {
    /// Down to this grant.
    #[must_use]
    pub fn to_grant(grant: Grant<S>) -> Self {
        Self { grant: Some(grant), ..Self::default() }
    }
}

/// Lets a token do less, or for less long. What would widen it is refused: that takes a new token.
///
/// # Errors
///
/// [`LifecycleError::Revoked`], or [`LifecycleError::Wider`] with the field that would grow.
pub fn narrow<T: Token + ?Sized, S: Scope>(
    token: &T,
    narrowing: &Narrowing<S>,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<Option<Change>, LifecycleError> {
    if let State::Revoked(_) = token.state() {
        return Err(LifecycleError::Revoked);
    }
    let mut patch = Patch::default();
    if let Some(grant) = &narrowing.grant {
        if !token.grant().read::<S>().is_some_and(|own| own.covers(grant)) {
            return Err(LifecycleError::Wider { field: "scopes" });
        }
        patch.grant = Some(grant.names()).filter(|names| names != token.grant());
    }
    if let Some(at) = narrowing.expires_at {
        let validity = token.validity();
        if Expiry::At(rounded_down(at)) > validity.expires_at {
            return Err(LifecycleError::Wider { field: "expires_at" });
        }
        // An end in the past is an end now.
        let expires_at = Expiry::At(rounded_down(at.max(now))).min(validity.expires_at);
        patch.validity =
            Some(Validity::new(validity.not_before, expires_at)).filter(|v| *v != validity);
    }
    if let Some(constraints) = &narrowing.constraints {
        let constraints = constraints.clone().or(token.constraints());
        if let Some(field) = token.constraints().exceeded_by(&constraints) {
            return Err(LifecycleError::Wider { field });
        }
        patch.constraints = Some(constraints).filter(|c| c != token.constraints());
    }
    patch.bypasses_two_factor =
        (narrowing.require_two_factor && token.bypasses_two_factor()).then_some(false);
    let nothing = patch.grant.is_none()
        && patch.validity.is_none()
        && patch.constraints.is_none()
        && patch.bypasses_two_factor.is_none();
    let event = about(token, EventKind::TokenNarrowed, by, rounded_down(now));
    Ok((!nothing).then(|| Change::new(token.id(), patch, event)))
}

/// Changes what people read: name and note. What is `None` stays.
///
/// # Errors
///
/// [`LifecycleError::Revoked`].
pub fn edit(
    token: &TokenRecord,
    name: Option<TokenName>,
    note: Option<Note>,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<Option<Change>, LifecycleError> {
    if let State::Revoked(_) = token.state() {
        return Err(LifecycleError::Revoked);
    }
    let name = name.filter(|name| *name != token.name);
    let note = note.filter(|note| *note != token.note);
    let nothing = name.is_none() && note.is_none();
    let event = about(token, EventKind::TokenEdited, by, rounded_down(now));
    let patch = Patch { name, note, ..Patch::default() };
    Ok((!nothing).then(|| Change::new(token.id(), patch, event)))
}

/// [`narrow`] and [`edit`] as one change, for a request that asks for both: neither is made
/// without the other.
///
/// # Errors
///
/// Those of [`narrow`].
pub fn amend<S: Scope>(
    token: &TokenRecord,
    name: Option<TokenName>,
    note: Option<Note>,
    narrowing: &Narrowing<S>,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<Option<Change>, LifecycleError> {
    let narrowed = narrow(token, narrowing, by.clone(), now)?;
    let edited = edit(token, name, note, by, now)?;
    Ok(match (narrowed, edited) {
        (Some(mut both), Some(edited)) => {
            (both.patch.name, both.patch.note) = (edited.patch.name, edited.patch.note);
            Some(both)
        }
        (one, other) => one.or(other),
    })
}

fn about<T: Token + ?Sized>(token: &T, kind: EventKind, by: Actor, now: DateTime<Utc>) -> Event {
    Event::new(kind, by, now).about(token.id(), token.owner().clone())
}
