//! Judging a presented token.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::constraints::Constraints;
use super::error::{Refusal, VerifyError};
use super::format::PresentedToken;
use super::owner::{OwnerStanding, OwnerState};
use super::policy::Rules;
use super::scope::{Grant, Scope};
use super::token::{Expiry, State, Token};

/// What a caller wants to do with a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Access<'a, S> {
    /// The scope that the call needs; `None` for calls that any live token may make.
    pub needed: Option<&'a S>,
    /// Where the call comes from: the peer, or what a trusted proxy says of it.
    pub address: Option<IpAddr>,
}

impl<'a, S> Access<'a, S> {
    /// A call that needs this scope.
    #[must_use]
    pub const fn needing(scope: &'a S) -> Self {
        Self { needed: Some(scope), address: None }
    }

    /// A call that any live token may make.
    #[must_use]
    pub const fn any() -> Self {
        Self { needed: None, address: None }
    }

    /// The same call from this address.
    #[must_use]
    pub const fn from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }
}

/// The evidence that a token was accepted. Only [`verify`] makes one.
#[must_use = "it says that the caller may go on, and for how long"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Which generation of the secret was presented.
    pub generation: u32,
    /// The first instant at which this would no longer be accepted if nothing else changes.
    pub deadline: Expiry,
    /// Whether the digest should be made anew under the current key.
    pub rehash: bool,
}

/// Judges a presented token against its row, in one fixed order: digest, revoked, deactivated,
/// not yet valid, expired, idle, owner, policy, address, scope, uses.
///
/// The order decides only what is logged: all refusals before the address have one public answer.
/// Uses are judged and not counted, and a [rate](crate::core::rate::Rate) is not judged: both are for
/// whoever keeps count, after this.
///
/// # Errors
///
/// [`VerifyError::Refused`] with the first reason, or [`VerifyError::UnknownKey`] when the keyring
/// lacks the key that the row was written with, which is no verdict.
pub fn verify<T: Token + ?Sized, S: Scope>(
    presented: &PresentedToken<'_>,
    token: &T,
    owner: &OwnerState,
    access: &Access<'_, S>,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Accepted, VerifyError> {
    if presented.id().is_some_and(|id| id != token.id()) {
        return Err(Refusal::Unknown.into());
    }
    let (generation, ends_at) = if rules.keyring.matches(token.digest(), presented)? {
        (token.generation(), None)
    } else {
        let previous = token.previous().ok_or(Refusal::WrongSecret)?;
        match rules.keyring.matches(&previous.digest, presented) {
            Ok(true) => {}
            Ok(false) => return Err(Refusal::WrongSecret.into()),
            // It is refused anyway, whichever it is.
            Err(_) if now >= previous.ends_at => return Err(Refusal::WrongSecret.into()),
            Err(error) => return Err(error.into()),
        }
        if now >= previous.ends_at {
            return Err(Refusal::Superseded.into());
        }
        (token.generation().saturating_sub(1), Some(previous.ends_at))
    };
    if presented.kind().is_some_and(|kind| kind != token.kind()) {
        return Err(Refusal::Unknown.into());
    }
    let facts = Facts::of(token, owner, ends_at, rules);
    decide(facts, micros(now))?;
    admit(token.grant().read().as_ref(), token.constraints(), access)?;
    if token.constraints().are_spent(token.spent()) {
        return Err(Refusal::Spent.into());
    }
    let rehash = ends_at.is_none() && !rules.keyring.is_current(token.digest());
    Ok(Accepted { generation, deadline: facts.deadline(), rehash })
}

/// Judges a token that was accepted before, when its text is no longer at hand; returns the first
/// instant at which it would not be any more if nothing else changes.
///
/// # Errors
///
/// The first reason to refuse it, in the order of [`verify`].
pub fn verify_again<T: Token + ?Sized>(
    token: &T,
    generation: u32,
    owner: &OwnerState,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Expiry, Refusal> {
    let ends_at = match token.previous() {
        _ if token.generation() == generation => None,
        Some(previous) if token.generation() == generation.saturating_add(1) => {
            Some(previous.ends_at)
        }
        _ => return Err(Refusal::Superseded),
    };
    if ends_at.is_some_and(|ends_at| now >= ends_at) {
        return Err(Refusal::Superseded);
    }
    let facts = Facts::of(token, owner, ends_at, rules);
    decide(facts, micros(now)).map(|()| facts.deadline())
}

/// A token reduced to what time and state decide, in microseconds since 1970.
///
/// The verification index packs the same facts, and both ask [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    state: Liveness,
    owner: OwnerStanding,
    not_before: i64,
    expires_at: i64,
    idle_at: i64,
    policy_ends_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    Active,
    Deactivated,
    Revoked,
}

impl Facts {
    /// The facts about a token, whose presented secret is accepted until `ends_at`.
    #[must_use]
    pub fn of<T: Token + ?Sized>(
        token: &T,
        owner: &OwnerState,
        ends_at: Option<DateTime<Utc>>,
        rules: &Rules,
    ) -> Self {
        let policy = rules.policy.of(token.kind());
        let validity = token.validity();
        let issued_at = token.secret_issued_at();
        let seen_at = token.last_used_at().map_or(issued_at, |used_at| used_at.max(issued_at));
        let idle_at = policy.idle_limit.and_then(|limit| seen_at.checked_add_signed(limit));
        let policy_ends_at = policy.ends_at(issued_at, validity.expires_at);
        let expires_at = match (validity.expires_at.at(), ends_at) {
            (Some(expires_at), Some(ends_at)) => Some(expires_at.min(ends_at)),
            (expires_at, ends_at) => expires_at.or(ends_at),
        };
        Self {
            state: match token.state() {
                State::Active => Liveness::Active,
                State::Deactivated(_) => Liveness::Deactivated,
                State::Revoked(_) => Liveness::Revoked,
            },
            // A token of an earlier life of its owner's id belongs to somebody who is gone.
            owner: if token.owner_generation() == owner.generation {
                owner.standing
            } else {
                OwnerStanding::Deleted
            },
            not_before: validity.not_before.map_or(i64::MIN, micros),
            expires_at: expires_at.map_or(i64::MAX, micros),
            idle_at: idle_at.map_or(i64::MAX, micros),
            policy_ends_at: policy_ends_at.map_or(i64::MAX, micros),
        }
    }

    /// A live token of a live owner, valid already and until `deadline`.
    #[inline(always)]
    #[must_use]
    pub const fn live_until(deadline: i64) -> Self {
        Self {
            state: Liveness::Active,
            owner: OwnerStanding::Active,
            not_before: i64::MIN,
            expires_at: deadline,
            idle_at: i64::MAX,
            policy_ends_at: i64::MAX,
        }
    }

    /// The first instant at which time alone ends the token.
    #[must_use]
    pub fn deadline(&self) -> Expiry {
        let micros = self.expires_at.min(self.idle_at).min(self.policy_ends_at);
        match DateTime::from_timestamp_micros(micros) {
            Some(at) if micros != i64::MAX => Expiry::At(at),
            _ => Expiry::Never,
        }
    }
}

/// The one decision about state and time; `now` in microseconds since 1970.
///
/// # Errors
///
/// The first [`Refusal`] in the order of [`verify`].
#[inline(always)]
pub fn decide(facts: Facts, now: i64) -> Result<(), Refusal> {
    match facts.state {
        Liveness::Revoked => Err(Refusal::Revoked),
        Liveness::Deactivated => Err(Refusal::Deactivated),
        Liveness::Active if now < facts.not_before => Err(Refusal::NotYetValid),
        Liveness::Active if now >= facts.expires_at => Err(Refusal::Expired),
        Liveness::Active if now >= facts.idle_at => Err(Refusal::Idle),
        Liveness::Active => match facts.owner {
            OwnerStanding::Deactivated => Err(Refusal::OwnerDeactivated),
            OwnerStanding::Deleted => Err(Refusal::OwnerDeleted),
            OwnerStanding::Active if now >= facts.policy_ends_at => Err(Refusal::Policy),
            OwnerStanding::Active => Ok(()),
        },
    }
}

/// The rest of the decision: where the call comes from and what it needs.
///
/// # Errors
///
/// [`Refusal::Address`] or [`Refusal::ScopeMissing`].
#[inline(always)]
pub fn admit<S: Scope>(
    grant: Option<&Grant<S>>,
    constraints: &Constraints,
    access: &Access<'_, S>,
) -> Result<(), Refusal> {
    if !constraints.admit(access.address) {
        return Err(Refusal::Address);
    }
    match access.needed {
        Some(needed) if !grant.is_some_and(|grant| grant.holds(needed)) => {
            Err(Refusal::ScopeMissing)
        }
        _ => Ok(()),
    }
}

/// Microseconds since 1970; the years 1970 to 9999 fit.
#[must_use]
pub const fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}
