//! Why the service did not do what it was asked.

use crate::core::error::ImportError;
use crate::core::error::IssueError;
use crate::core::error::LifecycleError;
use crate::core::error::Refusal;
use crate::core::error::RotateError;
use crate::core::id::TokenId;
use crate::ports::store::StoreError;

/// Why a presented text was not accepted.
#[derive(Debug, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a caller must decide about each: pass on, refuse, or ask for patience"
)]
pub enum AuthenticateError {
    /// The text begins with no prefix of this host: another scheme may look at it.
    #[error("not a token of this host")]
    NotOurs,
    /// It is live, and was used as often as its rate allows.
    #[error("used too often")]
    RateLimited {
        /// After how many seconds it may be used again; a part of one rounds up, since a moment early
        /// would be too early.
        seconds: u64,
    },
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can say now. This is no verdict: it must never be answered as an invalid token.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl AuthenticateError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::RateLimited { .. } => "rate_limited",
            Self::Refused(refusal) => refusal.code(),
            Self::Unavailable(error) => error.code(),
        }
    }
}

/// Why a token of another product was not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFailure {
    /// It would be of no use here.
    #[error(transparent)]
    Refused(#[from] ImportError),
    /// Another token has its id or its text.
    #[error("id: another token has its id or its text")]
    Taken,
    /// The store could not be asked, or not in time.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl ImportFailure {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Taken => "taken",
            Self::Unavailable(error) => error.code(),
        }
    }
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueFailure {
    /// This idempotency key has issued that token already. Its secret was shown then.
    #[error("already issued: {0}")]
    AlreadyIssued(TokenId),
    /// The owner has a live token of this name.
    #[error("name: the owner has a token of this name")]
    NameTaken,
    /// The presenting token is no longer accepted.
    #[error("the presenting token: {0}")]
    Presenter(Refusal),
    /// The owner has as many tokens as it may have.
    #[error("the owner has as many tokens as it may have")]
    QuotaReached,
    /// The request breaks a rule.
    #[error(transparent)]
    Request(#[from] IssueError),
    /// The store could not be asked, or not in time.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl IssueFailure {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyIssued(_) => "already_issued",
            Self::NameTaken => "name_taken",
            Self::Presenter(refusal) => refusal.code(),
            Self::QuotaReached => "quota_reached",
            Self::Request(error) => error.code(),
            Self::Unavailable(error) => error.code(),
        }
    }

    /// The field of the request that is at fault, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::NameTaken => Some("name"),
            Self::Request(error) => error.field(),
            _ => None,
        }
    }
}

/// Why a token was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeFailure {
    /// There is no such token, or the caller may not know of it.
    #[error("no such token")]
    Missing,
    /// The presenting token is no longer accepted.
    #[error("the presenting token: {0}")]
    Presenter(Refusal),
    /// The change breaks a rule.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// The token cannot be rotated like this.
    #[error(transparent)]
    Rotation(#[from] RotateError),
    /// The store could not be asked, or not in time.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl ChangeFailure {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "not_found",
            Self::Presenter(refusal) => refusal.code(),
            Self::Lifecycle(error) => error.code(),
            Self::Rotation(error) => error.code(),
            Self::Unavailable(error) => error.code(),
        }
    }

    /// The field of the request that is at fault, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Lifecycle(LifecycleError::Wider { field }) => Some(field),
            Self::Rotation(error) => error.field(),
            _ => None,
        }
    }
}
