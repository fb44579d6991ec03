//! Checking a second factor.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::store::BoxError;
use crate::core::factor::Challenge;
use crate::core::id::OwnerId;

/// One method of answering a [`Challenge`].
///
/// The façade counts each attempt durably *before* it calls [`check`](TwoFactorVerifier::check), for
/// all methods of an owner together; what is right, and that it is right once, is the method's.
///
/// **If you lie:** a yes for a wrong answer is the end of the second factor; one for an answer that
/// was used before is replay; an enrolment that stays the same when the factor is replaced keeps
/// remembered devices and open challenges alive. Trouble must be an error:
/// [`FactorError::Unavailable`] is never "not required".
#[async_trait]
pub trait TwoFactorVerifier: fmt::Debug + Send + Sync + 'static {
    /// The method's name in policies and on the wires, such as
    /// [`TOTP`](crate::core::factor_policy::method::TOTP).
    fn method(&self) -> &'static str;

    /// Whether an answer looks like one of this method's, for clients that do not say which they
    /// answer with. Nothing is compared.
    fn resembles(&self, answer: &Answer) -> bool;

    /// Where codes are sent to, as this owner knows it; `None` for a method that sends none, or
    /// has nowhere to.
    ///
    /// Nothing is [prepared](TwoFactorVerifier::prepare) for an owner who may not answer now, where
    /// that would send something.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`] when that could not be looked up.
    async fn destination(&self, _owner: &OwnerId) -> Result<Option<String>, FactorError> {
        Ok(None)
    }

    /// Which factor this owner has enrolled; `None` for none.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`] when that could not be looked up.
    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError>;

    /// Gets ready for an answer, and says what was sent for it if anything is; where nothing has to
    /// be, there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`FactorError`].
    async fn prepare(
        &self,
        _challenge: &Challenge,
        _now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        Ok(None)
    }

    /// Returns `Ok` if the answer is right, and was never used before.
    ///
    /// Called only when the attempt is counted. Of many calls with one answer, on any number of
    /// nodes, one may return `Ok`.
    ///
    /// # Errors
    ///
    /// [`FactorError`].
    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError>;

    /// What was sent for this challenge and can still be answered, if anything is.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`] when that could not be looked up.
    async fn outstanding(
        &self,
        _challenge: &Challenge,
        _now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        Ok(None)
    }

    /// Takes the factor from an owner, for good; it is no error if there is none.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`]; it may be there still.
    async fn forget(&self, owner: &OwnerId) -> Result<(), FactorError>;
}

/// One enrolment of one factor: another one once the factor was replaced, also by one like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is a name")]
pub struct Enrolment(pub [u8; 16]);

/// What was sent so that a challenge can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Whether it was sent just now, and not before.
    pub is_new: bool,
    /// The first instant at which an answer comes too late.
    pub expires_at: DateTime<Utc>,
}

impl Sent {
    /// Something that was sent.
    #[must_use]
    pub const fn new(is_new: bool, expires_at: DateTime<Utc>) -> Self {
        Self { is_new, expires_at }
    }
}

/// What somebody gave as the answer to a challenge. It can be looked at, and not shown.
pub struct Answer(Zeroizing<String>);

impl Answer {
    /// An answer.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Its text, for the comparison.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(hidden)")
    }
}

/// Why a factor does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactorError {
    /// The owner has no such factor.
    #[error("not enrolled")]
    NotEnrolled,
    /// This answer was tried too often; another one must be asked for.
    #[error("too many attempts")]
    TooManyAttempts,
    /// Too much was sent to this owner or this address; nothing was sent now.
    #[error("too much was sent")]
    TooManySent,
    /// The factor could not be checked. Nothing follows from that.
    #[error("the second factor is unavailable")]
    Unavailable(#[source] BoxError),
    /// The answer is wrong, late, or was used before.
    #[error("wrong answer")]
    Wrong,
}

impl FactorError {
    /// A factor in trouble, for this reason.
    pub fn unavailable(reason: impl Into<BoxError>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotEnrolled => "factor_not_enrolled",
            Self::TooManyAttempts => "factor_too_many_attempts",
            Self::TooManySent => "factor_too_many_sent",
            Self::Unavailable(_) => "factor_unavailable",
            Self::Wrong => "factor_wrong",
        }
    }
}

impl From<super::store::StoreError> for FactorError {
    fn from(error: super::store::StoreError) -> Self {
        Self::unavailable(error)
    }
}
