//! Giving a token a new secret.

use chrono::{DateTime, TimeDelta, Utc};
use rand::TryCryptoRng;

use super::change::{Change, Patch, SecretPatch};
use super::digest::{DigestScheme, Keyring, UnknownKey};
use super::error::{IssueError, RotateError};
use super::event::{Actor, Event, EventKind};
use super::factor::{Operation, TwoFactorProof};
use super::format::PresentedToken;
use super::id::TokenId;
use super::issue::{Lifetime, expiry};
use super::policy::{KindPolicy, Minting, Rules};
use super::scope::Scope;
use super::secret::TokenSecret;
use super::shape::Shape;
use super::time::rounded_down;
use super::token::{Expiry, Previous, State, TokenRecord, Validity};

/// How a token is to be rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// How long the replaced secret goes on working; zero ends it at once.
    pub overlap: TimeDelta,
    /// The new life; `None` keeps the expiry that the token has.
    pub lifetime: Option<Lifetime>,
    /// The product whose tokens the new text is to look like; `None` for a native text.
    pub shape: Option<Shape>,
}

impl Rotation {
    /// The replaced secret ends at once, the expiry stays.
    #[must_use]
    pub const fn at_once() -> Self {
        Self { overlap: TimeDelta::zero(), lifetime: None, shape: None }
    }

    /// The replaced secret works for this much longer, so that a fleet can be moved over.
    #[must_use]
    pub const fn with_overlap(overlap: TimeDelta) -> Self {
        Self { overlap, lifetime: None, shape: None }
    }

    /// With a new life.
    #[must_use]
    pub const fn living(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// With a text of this shape, or a native one.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// All that is asked for of this token, for the [`Challenge`](super::factor::Challenge) whose
    /// proof [`Operation::RotateToken`] takes.
    #[must_use]
    pub fn parameters(&self, token: TokenId) -> Vec<u8> {
        let (overlap, lifetime) =
            (self.overlap.num_microseconds(), self.lifetime.map(Lifetime::parameter));
        format!("{token} {overlap:?} {lifetime:?} {:?}", self.shape).into_bytes()
    }

    /// Whether whoever acts has proved a second factor for this rotation of this token.
    #[must_use]
    pub fn is_proved(
        &self,
        record: &TokenRecord,
        proof: Option<&TwoFactorProof>,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> bool {
        // Whoever asks has answered, for whomever the token is.
        let asker = by.owner.as_ref().unwrap_or(&record.owner);
        let (operation, parameters) = (Operation::RotateToken, self.parameters(record.id));
        proof.is_some_and(|proof| proof.holds_for(asker, operation, &parameters, by.token, now))
    }
}

/// A new secret of an old token: what to show once, and the change to store.
#[must_use = "the secret works only once the change is stored, and is shown only once"]
#[derive(Debug)]
#[non_exhaustive]
pub struct Rotated {
    /// The text to show once.
    pub secret: TokenSecret,
    /// The change to make.
    pub change: Change,
}

/// Draws a new secret for a token that keeps its id, name, owner and grant.
///
/// The secret before the last one ends at once, whatever its overlap was: two secrets work at the
/// most. The overlap never outlasts the expiry that the replaced secret had, and a token that was
/// minted by another one gets no longer life than it was minted with.
///
/// # Errors
///
/// [`RotateError`].
pub fn rotate<R: TryCryptoRng + ?Sized>(
    record: &TokenRecord,
    rotation: Rotation,
    by: Actor,
    rules: &Rules,
    now: DateTime<Utc>,
    rng: &mut R,
) -> Result<Rotated, RotateError> {
    let now = rounded_down(now);
    let policy = rules.policy.of(&record.kind);
    match record.state {
        State::Revoked(_) => return Err(RotateError::Revoked),
        State::Deactivated(_) => return Err(RotateError::Deactivated),
        State::Active => {}
    }
    // What carries no id is found by the token's own digest, and by no other.
    let longest = match record.digest.scheme {
        DigestScheme::Native => policy.longest_overlap,
        DigestScheme::Text => TimeDelta::zero(),
    };
    if rotation.overlap < TimeDelta::zero() || rotation.overlap > longest {
        return Err(RotateError::OverlapTooLong { longest });
    }
    let old_end = record.validity.expires_at;
    let expires_at = match rotation.lifetime {
        None => old_end,
        Some(lifetime) => renewed(record, lifetime, policy, now)?,
    };
    if expires_at <= Expiry::At(now) {
        return Err(RotateError::Lifetime(IssueError::ExpiryNotInFuture));
    }
    let text = (record.id, &record.kind, rotation.shape);
    let drawn = rules.format.draw(text, &rules.keyring, rng)?;
    let overlap_end = now.checked_add_signed(rotation.overlap).unwrap_or(now);
    let ends_at = old_end.at().map_or(overlap_end, |end| end.min(overlap_end));
    let generation = record.generation.checked_add(1).ok_or(RotateError::Revoked)?;
    let mut next = record.clone();
    next.digest = drawn.digest;
    next.previous = Some(Previous::new(record.digest.clone(), rounded_down(ends_at)));
    next.bind(&rules.keyring)?;
    let validity = Validity::new(record.validity.not_before, expires_at);
    let patch = Patch {
        validity: Some(validity).filter(|validity| *validity != record.validity),
        secret: Some(SecretPatch {
            digest: next.digest,
            binding: next.binding,
            generation,
            issued_at: now,
            previous: next.previous,
            prefix: drawn.prefix,
            hint: drawn.hint,
        }),
        ..Patch::default()
    };
    let event = Event::new(EventKind::TokenRotated, by, now).about(record.id, record.owner.clone());
    let change = Change::new(record.id, patch, event).expecting(record.version);
    Ok(Rotated { secret: drawn.text, change })
}

/// Whether the holder of one token may be shown a new secret of another, or of the same one.
///
/// That is no less than issuing it: a token whose kind issues nothing renews itself at the most,
/// one that issues within its own bounds also what it minted, and neither gives a longer life; one
/// that issues as its owner reaches as far as its own grant does. A token that passes where a
/// second factor is due is renewed by the host, by itself, or by whoever has answered one for that.
///
/// # Errors
///
/// [`IssueError`]: what the presenting token lacks.
pub fn may_rotate<S: Scope>(
    presented: &TokenRecord,
    record: &TokenRecord,
    rotation: Rotation,
    is_proved: bool,
    rules: &Rules,
) -> Result<(), IssueError> {
    let minting = rules.policy.of(&presented.kind).minting;
    if rotation.lifetime.is_some() && minting != Minting::AsOwner {
        return Err(IssueError::MintingForbidden);
    }
    match may_take_over::<S>(presented, record, rules) {
        Err(IssueError::BypassNotProved) if is_proved => covers::<S>(presented, record),
        verdict => verdict,
    }
}

/// Whether the holder of one token may be given what another one may do.
///
/// # Errors
///
/// [`IssueError`]: what the presenting token lacks.
pub fn may_take_over<S: Scope>(
    presented: &TokenRecord,
    record: &TokenRecord,
    rules: &Rules,
) -> Result<(), IssueError> {
    if record.id == presented.id {
        return Ok(());
    }
    let minting = rules.policy.of(&presented.kind).minting;
    match minting {
        Minting::AsOwner => {}
        Minting::Forbidden => return Err(IssueError::MintingForbidden),
        Minting::Within if record.parent != Some(presented.id) => {
            return Err(IssueError::MintingForbidden);
        }
        Minting::Within if record.validity.expires_at > presented.validity.expires_at => {
            return Err(IssueError::OutlivesParent);
        }
        Minting::Within => {
            if let Some(field) = presented.constraints.exceeded_by(&record.constraints) {
                return Err(IssueError::ConstraintsExceeded { field });
            }
        }
    }
    if record.bypasses_two_factor && !presented.bypasses_two_factor {
        return Err(IssueError::BypassNotProved);
    }
    covers::<S>(presented, record)
}

/// Whether one token may do all that the other one may. A row whose scopes are all unknown grants
/// nothing.
fn covers<S: Scope>(presented: &TokenRecord, record: &TokenRecord) -> Result<(), IssueError> {
    let (own, target) = (presented.grant.read::<S>(), record.grant.read::<S>());
    let covered = target.is_none_or(|target| own.is_some_and(|own| own.covers(&target)));
    covered.then_some(()).ok_or(IssueError::GrantExceeded)
}

/// The end of the new life, if the policy and the token that minted this one allow it.
fn renewed(
    record: &TokenRecord,
    lifetime: Lifetime,
    policy: &KindPolicy,
    now: DateTime<Utc>,
) -> Result<Expiry, IssueError> {
    let asked = expiry(lifetime, policy, now)?;
    // It was bounded by its parent's life when it was made.
    let latest = record.parent.map_or(Expiry::Never, |_| record.validity.expires_at);
    match lifetime {
        _ if asked <= latest => Ok(asked),
        // A default is shortened; what was asked for by name is refused.
        Lifetime::Default => Ok(latest),
        _ => Err(IssueError::OutlivesParent),
    }
}

/// Makes the digest of a token anew under the keyring's current key, when its secret is at hand.
///
/// `presented` must be the current secret; the caller has just verified it.
///
/// # Errors
///
/// [`UnknownKey`], which cannot happen while the keyring has a current key.
pub fn rehash(
    record: &TokenRecord,
    presented: &PresentedToken<'_>,
    keyring: &Keyring,
    now: DateTime<Utc>,
) -> Result<Change, UnknownKey> {
    let mut next = record.clone();
    next.digest = keyring.digest(presented);
    next.bind(keyring)?;
    let patch = Patch {
        secret: Some(SecretPatch {
            digest: next.digest,
            binding: next.binding,
            generation: next.generation,
            issued_at: next.secret_issued_at,
            previous: next.previous,
            prefix: next.prefix,
            hint: next.hint,
        }),
        ..Patch::default()
    };
    let event = Event::new(EventKind::TokenRehashed, Actor::host(), rounded_down(now))
        .about(record.id, record.owner.clone());
    Ok(Change::new(record.id, patch, event).expecting(record.version))
}
