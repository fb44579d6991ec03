//! What the service and the directory say no to, in the product's words.

use super::failure::Failure;
use crate::core::error::{IssueError, LifecycleError};
use crate::ports::directory::DirectoryError;
use crate::ports::store::StoreError;
use crate::service::error::{ChangeFailure, IssueFailure};

impl Failure {
    pub(super) fn issue(failure: IssueFailure) -> Self {
        match failure {
            IssueFailure::Presenter(_) => Self::InvalidToken,
            IssueFailure::QuotaReached => Self::QuotaReached,
            IssueFailure::Request(error) => Self::refused(&error),
            _ => Self::Unavailable,
        }
    }

    pub(super) fn change(failure: &ChangeFailure) -> Self {
        match failure {
            ChangeFailure::Missing | ChangeFailure::Lifecycle(LifecycleError::Revoked) => {
                Self::MissingToken
            }
            ChangeFailure::Presenter(_) => Self::InvalidToken,
            _ => Self::Unavailable,
        }
    }

    fn refused(error: &IssueError) -> Self {
        match error {
            IssueError::ExpiryNotInFuture => Self::ExpiryInPast,
            IssueError::LifetimeTooLong { longest } => {
                Self::ExpiryTooFar { days: longest.num_days() }
            }
            IssueError::NeverForbidden => Self::ExpiryRequired,
            IssueError::OwnerNotActive => Self::OwnerNotActive,
            IssueError::ExpiryOutOfRange
            | IssueError::KindWithoutPrefix { .. }
            | IssueError::Randomness
            | IssueError::ShapeNotRead { .. } => Self::Unavailable,
            // What is left is about what the presented token may hand on.
            _ => Self::NotPermitted,
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(_: DirectoryError) -> Self {
        Self::Unavailable
    }
}

impl From<StoreError> for Failure {
    fn from(_: StoreError) -> Self {
        Self::Unavailable
    }
}
