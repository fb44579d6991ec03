//! What the service and the directory say no to, in the product's words.

use super::failure::{Failure, Field, Step};
use crate::core::error::{IssueError, LifecycleError, RotateError};
use crate::ports::directory::DirectoryError;
use crate::service::error::{ChangeFailure, IssueFailure};

impl Failure {
    pub(super) fn issue(failure: IssueFailure) -> Self {
        match failure {
            IssueFailure::Presenter(_) => Self::SessionExpired,
            IssueFailure::QuotaReached => Self::QuotaReached,
            IssueFailure::Request(error) => Self::refused(&error, Step::Save),
            _ => Self::Undone(Step::Save),
        }
    }

    pub(super) fn change(failure: ChangeFailure, step: Step) -> Self {
        match failure {
            ChangeFailure::Missing
            | ChangeFailure::Lifecycle(LifecycleError::Revoked)
            | ChangeFailure::Rotation(RotateError::Revoked) => Self::MissingToken,
            ChangeFailure::Presenter(_) => Self::SessionExpired,
            ChangeFailure::Rotation(RotateError::Deactivated) => Self::DisabledToken,
            ChangeFailure::Rotation(RotateError::Lifetime(error)) => Self::refused(&error, step),
            _ => Self::Undone(step),
        }
    }

    /// What the host's own policy refuses, in the product's nearest words.
    fn refused(error: &IssueError, step: Step) -> Self {
        match error {
            IssueError::ExpiryNotInFuture => Self::ExpiryInPast,
            IssueError::ExpiryOutOfRange => Self::InvalidField(Field::ExpiresAt),
            IssueError::LifetimeTooLong { longest } => {
                Self::ExpiryTooFar { days: u32::try_from(longest.num_days()).unwrap_or(u32::MAX) }
            }
            IssueError::NeverForbidden => Self::ExpiryRequired,
            IssueError::NotProved => Self::MfaRequired,
            IssueError::KindWithoutPrefix { .. }
            | IssueError::Randomness
            | IssueError::ShapeNotRead { .. } => Self::Undone(step),
            // What is left is about who asks for whom, and about accounts that are deactivated.
            _ => Self::Permissions,
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(_: DirectoryError) -> Self {
        Self::Unavailable
    }
}
