//! Checking a second factor.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::store::BoxError;
use crate::core::factor::Challenge;
use crate::core::id::OwnerId;

/// Checks an owner's answer to a [`Challenge`].
///
/// **If you lie:** a yes for a wrong answer is the end of the second factor. An implementation
/// must count the attempt durably *before* it compares, must accept each code once, and must
/// answer trouble with an error: [`FactorError::Unavailable`] is never "not required".
#[async_trait]
pub trait TwoFactorVerifier: fmt::Debug + Send + Sync + 'static {
    /// The method's name on the wires: `totp`, `email`, `password`.
    fn method(&self) -> &str;

    /// Whether this owner has this factor.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`] when that could not be looked up.
    async fn is_enrolled(&self, owner: &OwnerId) -> Result<bool, FactorError>;

    /// Gets ready for an answer: sends a mail, for methods that do.
    ///
    /// # Errors
    ///
    /// [`FactorError`].
    async fn prepare(&self, challenge: &Challenge) -> Result<(), FactorError>;

    /// Returns `Ok` if the answer is right, and was never used before.
    ///
    /// # Errors
    ///
    /// [`FactorError`]; while locked, right and wrong answers get the same one.
    async fn check(&self, challenge: &Challenge, answer: &Answer) -> Result<(), FactorError>;
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

/// Why an answer was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactorError {
    /// There were too many attempts; this one was not compared.
    #[error("too many attempts")]
    Locked,
    /// The owner has no such factor.
    #[error("not enrolled")]
    NotEnrolled,
    /// The factor could not be checked. Nothing follows from that.
    #[error("the second factor is unavailable")]
    Unavailable(#[source] BoxError),
    /// The answer is wrong, late, or was used before.
    #[error("wrong answer")]
    Wrong,
}

impl FactorError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked => "factor_locked",
            Self::NotEnrolled => "factor_not_enrolled",
            Self::Unavailable(_) => "factor_unavailable",
            Self::Wrong => "factor_wrong",
        }
    }
}
