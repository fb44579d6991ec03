//! Why a presented token is not accepted.

use crate::core::digest::UnknownKey;

/// Why a token was refused: for logs. Clients get its [public face](Refusal::public).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
// As wide as what stands in its place in other verdicts, which are moved about in words: a byte that was
// just written is not read back as a word before it has reached the cache.
#[repr(u64)]
pub enum Refusal {
    /// The call comes from outside the token's networks, or from nobody knows where.
    #[error("address not allowed")]
    Address,
    /// The token is deactivated.
    #[error("deactivated")]
    Deactivated,
    /// The token has expired.
    #[error("expired")]
    Expired,
    /// The token has not been used for longer than the policy allows.
    #[error("idle for too long")]
    Idle,
    /// The text begins like a token of this host and is none.
    #[error("malformed")]
    Malformed,
    /// The token's time has not begun.
    #[error("not yet valid")]
    NotYetValid,
    /// The owner is deactivated.
    #[error("owner deactivated")]
    OwnerDeactivated,
    /// The owner is deleted, or is another one by the same name.
    #[error("owner deleted")]
    OwnerDeleted,
    /// The token lives longer than the policy allows by now.
    #[error("lifetime exceeds the policy")]
    Policy,
    /// The token is revoked.
    #[error("revoked")]
    Revoked,
    /// The token is live and may not do this.
    #[error("scope missing")]
    ScopeMissing,
    /// It was good for so many uses, and they are spent.
    #[error("all uses spent")]
    Spent,
    /// The secret was replaced by rotation and its overlap is over.
    #[error("superseded secret")]
    Superseded,
    /// There is no such token.
    #[error("unknown")]
    Unknown,
    /// The id exists, the secret is another.
    #[error("wrong secret")]
    WrongSecret,
}

impl Refusal {
    /// Every one there is, in the order of their names.
    pub const ALL: [Self; 15] = [
        Self::Address,
        Self::Deactivated,
        Self::Expired,
        Self::Idle,
        Self::Malformed,
        Self::NotYetValid,
        Self::OwnerDeactivated,
        Self::OwnerDeleted,
        Self::Policy,
        Self::Revoked,
        Self::ScopeMissing,
        Self::Spent,
        Self::Superseded,
        Self::Unknown,
        Self::WrongSecret,
    ];

    /// The stable code of this refusal, for logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Address => "address_not_allowed",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Malformed => "malformed",
            Self::NotYetValid => "not_yet_valid",
            Self::OwnerDeactivated => "owner_deactivated",
            Self::OwnerDeleted => "owner_deleted",
            Self::Policy => "policy",
            Self::Revoked => "revoked",
            Self::ScopeMissing => "scope_missing",
            Self::Spent => "spent",
            Self::Superseded => "superseded",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
        }
    }

    /// All that a client may learn.
    #[must_use]
    pub const fn public(self) -> PublicRefusal {
        match self {
            Self::ScopeMissing => PublicRefusal::InsufficientScope,
            _ => PublicRefusal::InvalidToken,
        }
    }
}

/// What a client may learn of a refusal (RFC 6750, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a third answer would tell clients more")]
pub enum PublicRefusal {
    /// The token is live and may not do this.
    InsufficientScope,
    /// Everything else, without distinction.
    InvalidToken,
}

/// Why verification accepted nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "it is a verdict or it is none")]
pub enum VerifyError {
    /// The token is not accepted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operator's keyring is incomplete; this says nothing about the token.
    #[error(transparent)]
    UnknownKey(#[from] UnknownKey),
}
