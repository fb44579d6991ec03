//! What the service and the directory say no to, in the product's words.

use super::failure::{Failure, FieldErrors};
use crate::core::error::{IssueError, LifecycleError};
use crate::ports::directory::DirectoryError;
use crate::ports::store::StoreError;
use crate::service::error::{ChangeFailure, IssueFailure};

impl Failure {
    pub(super) fn issue(failure: IssueFailure) -> Self {
        match failure {
            IssueFailure::Presenter(_) | IssueFailure::Request(IssueError::OwnerNotActive) => {
                Self::Anonymous
            }
            IssueFailure::QuotaReached => {
                FieldErrors::all("The user has as many tokens as it may have.").into()
            }
            IssueFailure::Request(error) => Self::refused(&error),
            _ => Self::Unavailable,
        }
    }

    pub(super) fn change(failure: ChangeFailure) -> Self {
        match failure {
            // It is gone, by whoever was faster.
            ChangeFailure::Missing | ChangeFailure::Lifecycle(LifecycleError::Revoked) => {
                Self::Missing
            }
            ChangeFailure::Presenter(_) => Self::Anonymous,
            ChangeFailure::Lifecycle(LifecycleError::Wider { .. }) => {
                let mut errors = FieldErrors::default();
                errors.add("scope", WIDER.to_owned());
                errors.into()
            }
            _ => Self::Unavailable,
        }
    }

    /// What the host's own policy refuses, in the product's nearest words.
    fn refused(error: &IssueError) -> Self {
        match error {
            IssueError::ExpiryNotInFuture
            | IssueError::ExpiryOutOfRange
            | IssueError::LifetimeTooLong { .. } => FieldErrors::all(error.to_string()).into(),
            IssueError::KindWithoutPrefix { .. }
            | IssueError::Randomness
            | IssueError::ShapeNotRead { .. } => Self::Unavailable,
            // What is left is about who asks.
            _ => Self::Permissions,
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

const WIDER: &str = "A token cannot be given more than it has; make a new one.";
