//! Why somebody may not go on without a second factor, or not change one.

use chrono::{DateTime, Utc};

use crate::core::error::Refusal;
use crate::ports::store::{BoxError, StoreError};
use crate::ports::two_factor::{FactorError, Sent};
use crate::service::error::ChangeFailure;

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The method to answer with, unless another one of `methods` is chosen.
    pub method: &'static str,
    /// All that are taken: the strongest of those that the owner has enrolled.
    pub methods: Vec<&'static str>,
    /// Where codes of this method are sent to, whether one was or not.
    pub to: Option<String>,
    /// What was sent for it.
    pub sent: Option<Sent>,
    /// What the answer must name, where the policy says so. It is public, and of no use but with
    /// the answer, from the same owner, for the same request.
    pub challenge: Option<String>,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a host must decide what to answer to each")]
pub enum StepUpError {
    /// There were too many attempts, of this owner or at this code. This one was not compared,
    /// right or wrong.
    #[error("too many attempts")]
    Locked {
        /// What was to be answered.
        question: Question,
        /// When the next one can be compared; `None` is not before an administrator says so.
        until: Option<DateTime<Utc>>,
    },
    /// The owner has no factor, and the policy wants one.
    #[error("a second factor is required, and none is enrolled")]
    NothingEnrolled,
    /// The presenting token is no longer accepted, or is no token of this service.
    #[error("the presenting token: {0}")]
    Presenter(Refusal),
    /// A second factor is due: repeat the request with an answer.
    #[error("a second factor is required")]
    Required(Question),
    /// Too much was sent to this owner or this address, so that nothing was sent now.
    #[error("too much was sent")]
    TooManySent(Question),
    /// It could not be found out. This is no verdict, and nobody may go on.
    #[error("the second factor is unavailable")]
    Unavailable(#[source] BoxError),
    /// The answer is wrong, late or was used before, or answers something else.
    #[error("wrong answer")]
    Wrong(Question),
}

impl StepUpError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "second_factor_locked",
            Self::NothingEnrolled => "second_factor_not_enrolled",
            Self::Presenter(refusal) => refusal.code(),
            Self::Required(_) => "second_factor_required",
            Self::TooManySent(_) => "second_factor_too_many_sent",
            Self::Unavailable(_) => "second_factor_unavailable",
            Self::Wrong(_) => "second_factor_wrong",
        }
    }

    /// What is to be answered, where anything is.
    #[must_use]
    pub const fn question(&self) -> Option<&Question> {
        match self {
            Self::Locked { question, .. }
            | Self::Required(question)
            | Self::TooManySent(question)
            | Self::Wrong(question) => Some(question),
            Self::NothingEnrolled | Self::Presenter(_) | Self::Unavailable(_) => None,
        }
    }
}

impl From<FactorError> for StepUpError {
    /// What a method answers where it is asked for no verdict: whatever it is, nobody can say.
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Unavailable(reason) => Self::Unavailable(reason),
            error => Self::Unavailable(error.into()),
        }
    }
}

impl From<StoreError> for StepUpError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Why an owner's factors were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactorChangeError {
    /// The owner has this factor already.
    #[error("the factor is enabled already")]
    AlreadyEnabled,
    /// The owner has no verified address that a code could be sent to.
    #[error("there is no verified address")]
    NoAddress,
    /// The owner has no such factor.
    #[error("the factor is not enabled")]
    NotEnabled,
    /// Nothing is waiting to be confirmed, or it has waited too long.
    #[error("nothing is waiting to be confirmed")]
    NotPending,
    /// The proof is not for this change, or it is too old.
    #[error("the second factor was not proved for this change")]
    NotProved,
    /// The caller may not change this owner's factors, or its token is no longer accepted.
    #[error(transparent)]
    Caller(#[from] ChangeFailure),
    /// Somebody else was changing it, or the store could not be asked. Nothing was changed, unless
    /// the store says that it cannot know.
    #[error("the second factor is unavailable")]
    Unavailable(#[source] BoxError),
    /// The code that was to confirm it is wrong.
    #[error("code: it is wrong")]
    WrongCode,
}

impl FactorChangeError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyEnabled => "factor_already_enabled",
            Self::NoAddress => "factor_no_address",
            Self::NotEnabled => "factor_not_enabled",
            Self::NotPending => "factor_not_pending",
            Self::NotProved => "second_factor_not_proved",
            Self::Caller(error) => error.code(),
            Self::Unavailable(_) => "second_factor_unavailable",
            Self::WrongCode => "factor_wrong_code",
        }
    }
}

impl From<FactorError> for FactorChangeError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Wrong => Self::WrongCode,
            FactorError::NotEnrolled => Self::NotEnabled,
            FactorError::Unavailable(reason) => Self::Unavailable(reason),
            error => Self::Unavailable(error.into()),
        }
    }
}

impl From<StoreError> for FactorChangeError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}
