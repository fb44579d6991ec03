//! What a call that is not done is told.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::keys::Fault;
use crate::core::error::{IssueError, LifecycleError, RotateError};
use crate::http::{Answers, Denial, Problem};
use crate::ports::directory::DirectoryError;
use crate::ports::store::StoreError;
use crate::service::error::{ChangeFailure, IssueFailure};

/// An answer that says no.
pub(super) struct Refused(Box<Response>);

impl Refused {
    pub(super) fn denied(answers: &Answers, denial: &Denial) -> Self {
        Self(Box::new(answers.response(denial)))
    }

    /// The same for a token that there is not and for one that the caller may not know of.
    pub(super) fn no_such(what: &str) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not_found", format!("no such {what}")).into()
    }

    pub(super) fn administrators_only() -> Self {
        let detail = "this is for administrators";
        Problem::new(StatusCode::FORBIDDEN, "administrators_only", detail).into()
    }

    pub(super) fn issue(answers: &Answers, failure: IssueFailure) -> Self {
        let (code, field) = (failure.code(), failure.field());
        let detail = failure.to_string();
        let conflict = Problem::new(StatusCode::CONFLICT, code, detail).about(field);
        match failure {
            IssueFailure::AlreadyIssued(id) => conflict.naming(id).into(),
            IssueFailure::Presenter(_) => Self::denied(answers, &Denial::InvalidToken),
            IssueFailure::Request(error) => error.into(),
            IssueFailure::Unavailable(error) => error.into(),
            IssueFailure::NameTaken | IssueFailure::QuotaReached => conflict.into(),
        }
    }

    pub(super) fn change(answers: &Answers, failure: ChangeFailure) -> Self {
        let (code, detail) = (failure.code(), failure.to_string());
        match failure {
            ChangeFailure::Missing => Self::no_such("token"),
            ChangeFailure::Presenter(_) => Self::denied(answers, &Denial::InvalidToken),
            ChangeFailure::Lifecycle(LifecycleError::Wider { field }) => {
                Problem::new(StatusCode::CONFLICT, code, detail)
                    .about(Some(wire_name(field)))
                    .into()
            }
            ChangeFailure::Lifecycle(_)
            | ChangeFailure::Rotation(RotateError::Deactivated | RotateError::Revoked) => {
                Problem::new(StatusCode::CONFLICT, code, detail).into()
            }
            ChangeFailure::Rotation(RotateError::Lifetime(error)) => error.into(),
            ChangeFailure::Rotation(RotateError::UnknownKey(_)) => unavailable().into(),
            ChangeFailure::Rotation(error) => {
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
                problem.about(error.field().map(wire_name)).into()
            }
            ChangeFailure::Unavailable(error) => error.into(),
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem.response()))
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Problem::from(fault).into()
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        let status = match &error {
            // The generator may be back in a moment; no weaker one takes its place.
            IssueError::Randomness => return unavailable().into(),
            IssueError::KindWithoutPrefix { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            IssueError::OwnerNotActive => StatusCode::CONFLICT,
            IssueError::ConstraintsExceeded { .. }
            | IssueError::ForeignOwner
            | IssueError::GrantExceeded
            | IssueError::MintingForbidden
            | IssueError::OutlivesParent => StatusCode::FORBIDDEN,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Problem::new(status, error.code(), error.to_string());
        problem.about(error.field().map(wire_name)).into()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InvalidCursor => {
                let problem =
                    Problem::new(StatusCode::BAD_REQUEST, error.code(), error.to_string());
                problem.about(Some("cursor")).into()
            }
            _ => unavailable().into(),
        }
    }
}

impl From<DirectoryError> for Refused {
    fn from(_: DirectoryError) -> Self {
        unavailable().into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refused").field(&self.0.status()).finish()
    }
}

/// What is wrong with the store or the directory is for the operator to know.
fn unavailable() -> Problem {
    let detail = "this cannot be answered now; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, Denial::Unavailable.code(), detail)
}

/// The key that a field has in these bodies.
fn wire_name(field: &'static str) -> &'static str {
    match field {
        "grant" => "scopes",
        field => field,
    }
}
