//! Why something was not done: one small error for each operation.
//!
//! Each has a stable code, and one that is about a request names its field.

mod refusal;

use chrono::TimeDelta;

use super::digest::UnknownKey;
use super::id::Kind;
use super::shape::Shape;

pub use self::refusal::{PublicRefusal, Refusal, VerifyError};

/// Why a token was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The kind of token may not pass where a second factor is due.
    #[error("bypass_two_factor: tokens of this kind may not bypass the second factor")]
    BypassForbidden,
    /// The proof is not for this owner, name and presenting token, or it is too old.
    #[error("bypass_two_factor: the proof does not fit this request")]
    BypassNotProved,
    /// The token would be usable where, or as often as, its parent is not.
    #[error("{field}: wider than that of the presenting token")]
    ConstraintsExceeded {
        /// Which constraint.
        field: &'static str,
    },
    /// The expiry is now, past, or less than a microsecond away.
    #[error("expires_at: not in the future")]
    ExpiryNotInFuture,
    /// The expiry is after the year 9999.
    #[error("expires_at: after the year 9999")]
    ExpiryOutOfRange,
    /// The presenting token issues for its own owner only.
    #[error("owner: not the owner of the presenting token")]
    ForeignOwner,
    /// The token would be allowed more than the presenting one.
    #[error("grant: more than the presenting token holds")]
    GrantExceeded,
    /// The format has no prefix for new tokens of this kind.
    #[error("kind: {kind} tokens have no prefix")]
    KindWithoutPrefix {
        /// The kind that was asked for.
        kind: Kind,
    },
    /// The policy sets a shorter limit.
    #[error("expires_at: the longest lifetime is {} s", longest.num_seconds())]
    LifetimeTooLong {
        /// The longest lifetime.
        longest: TimeDelta,
    },
    /// A token of the presenting token's kind issues nothing.
    #[error("the presenting token may not issue tokens")]
    MintingForbidden,
    /// The policy asks for an expiry.
    #[error("expires_at: tokens of this kind must expire")]
    NeverForbidden,
    /// The token would expire before it begins.
    #[error("not_before: not before expires_at")]
    NeverValid,
    /// The beginning is outside the years 1970 to 9999.
    #[error("not_before: outside the years 1970 to 9999")]
    NotBeforeOutOfRange,
    /// Tokens of this kind take a proof that a second factor was answered, and there is none, or
    /// it is for something else, or too old.
    #[error("the second factor was not proved for this request")]
    NotProved,
    /// The token would live longer than the one that mints it.
    #[error("expires_at: later than that of the presenting token")]
    OutlivesParent,
    /// The owner is deactivated or deleted.
    #[error("owner: not active")]
    OwnerNotActive,
    /// The random generator failed; no weaker one takes its place.
    #[error("no randomness")]
    Randomness,
    /// The host does not read texts of this shape, so the token could not be used.
    #[error("shape: texts like {}'s are not read here", shape.name())]
    ShapeNotRead {
        /// The shape that was asked for.
        shape: Shape,
    },
}

impl IssueError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BypassForbidden => "bypass_forbidden",
            Self::BypassNotProved => "bypass_not_proved",
            Self::ConstraintsExceeded { .. } => "constraints_exceeded",
            Self::ExpiryNotInFuture => "expiry_not_in_future",
            Self::ExpiryOutOfRange => "expiry_out_of_range",
            Self::ForeignOwner => "foreign_owner",
            Self::GrantExceeded => "grant_exceeded",
            Self::KindWithoutPrefix { .. } => "kind_without_prefix",
            Self::LifetimeTooLong { .. } => "lifetime_too_long",
            Self::MintingForbidden => "minting_forbidden",
            Self::NeverForbidden => "never_forbidden",
            Self::NeverValid => "never_valid",
            Self::NotBeforeOutOfRange => "not_before_out_of_range",
            Self::NotProved => "second_factor_not_proved",
            Self::OutlivesParent => "outlives_parent",
            Self::OwnerNotActive => "owner_not_active",
            Self::Randomness => "no_randomness",
            Self::ShapeNotRead { .. } => "shape_not_read",
        }
    }

    /// The field of the request that is at fault, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::BypassForbidden | Self::BypassNotProved => "bypass_two_factor",
            Self::ConstraintsExceeded { field } => field,
            Self::ExpiryNotInFuture
            | Self::ExpiryOutOfRange
            | Self::LifetimeTooLong { .. }
            | Self::NeverForbidden
            | Self::OutlivesParent => "expires_at",
            Self::ForeignOwner | Self::OwnerNotActive => "owner",
            Self::GrantExceeded => "scopes",
            Self::KindWithoutPrefix { .. } => "kind",
            Self::NeverValid | Self::NotBeforeOutOfRange => "not_before",
            Self::ShapeNotRead { .. } => "shape",
            Self::MintingForbidden | Self::NotProved | Self::Randomness => return None,
        })
    }
}

/// Why a token of another product was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It has expired.
    #[error("expires_at: past")]
    Expired,
    /// An instant is outside the years 1970 to 9999.
    #[error("created_at or expires_at: outside the years 1970 to 9999")]
    OutOfRange,
    /// The owner is deactivated or deleted here. Whoever takes over tokens of such people does it
    /// before they are deactivated.
    #[error("owner: not active")]
    OwnerNotActive,
    /// By the host's policy its life is over.
    #[error("created_at: too long ago for the policy")]
    Policy,
    /// The host does not read texts of this shape, so the token could not be used.
    #[error("shape: texts like {}'s are not read here", shape.name())]
    ShapeNotRead {
        /// The shape of the token's text.
        shape: Shape,
    },
}

impl ImportError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::OutOfRange => "out_of_range",
            Self::OwnerNotActive => "owner_not_active",
            Self::Policy => "policy",
            Self::ShapeNotRead { .. } => "shape_not_read",
        }
    }
}

/// Why a token was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// It is revoked, and nothing leads out of there.
    #[error("the token is revoked")]
    Revoked,
    /// The field would allow more than it does now.
    #[error("{field}: wider than it is")]
    Wider {
        /// Which field.
        field: &'static str,
    },
}

impl LifecycleError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Wider { .. } => "wider",
        }
    }
}

/// Why a token was not rotated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// It is deactivated; reactivate it first.
    #[error("the token is deactivated")]
    Deactivated,
    /// The lifetime is not allowed, nothing could be drawn, or the second factor was not proved.
    #[error(transparent)]
    Lifetime(#[from] IssueError),
    /// The policy sets a shorter limit, the overlap is negative, or the replaced text carries no
    /// id, so that it cannot be found when it is no longer the token's own.
    #[error("overlap: 0 to {} s", longest.num_seconds())]
    OverlapTooLong {
        /// The longest overlap.
        longest: TimeDelta,
    },
    /// It is revoked.
    #[error("the token is revoked")]
    Revoked,
    /// The keyring lacks the key that the row must be tied with.
    #[error(transparent)]
    UnknownKey(#[from] UnknownKey),
}

impl RotateError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Lifetime(error) => error.code(),
            Self::OverlapTooLong { .. } => "overlap_too_long",
            Self::Revoked => "revoked",
            Self::UnknownKey(error) => error.code(),
        }
    }

    /// The field of the request that is at fault, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Lifetime(error) => error.field(),
            Self::OverlapTooLong { .. } => Some("overlap_seconds"),
            _ => None,
        }
    }
}
