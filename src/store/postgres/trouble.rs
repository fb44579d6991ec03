//! What can go wrong with a question to the server, and what that says about its effect.

use tokio_postgres::error::{DbError, SqlState};

use crate::ports::store::{BoxError, StoreError};
use crate::store::columns::Damaged;

/// What a statement of this store can fail with, inside the store.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It never reached the server.
    Unasked(BoxError),
    /// The server refused it, and nothing of it was made.
    Refused(Box<Refused>),
    /// It was sent, and no answer came.
    Unanswered(BoxError),
    /// A column holds what was never written there.
    Corrupt(&'static str),
    InvalidCursor,
}

/// A server's refusal without its details, which may hold a row.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({})", code.code())]
pub(super) struct Refused {
    code: SqlState,
    message: String,
}

impl Trouble {
    /// It waited for its turn until it was too late, or far too many do.
    pub(super) fn late() -> Self {
        Self::Unasked("too many questions are waiting".into())
    }

    /// What an error says that came before the question was sent.
    pub(super) fn unasked(error: tokio_postgres::Error) -> Self {
        match Self::asked(error) {
            Self::Unanswered(reason) => Self::Unasked(reason),
            other => other,
        }
    }

    /// What an error says that came after the question was sent.
    pub(super) fn asked(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) if !is_end_of_connection(refusal) => Self::Refused(Box::new(Refused {
                code: refusal.code().clone(),
                message: refusal.message().into(),
            })),
            Some(end) => Self::Unanswered(end.message().into()),
            None => Self::Unanswered(error.into()),
        }
    }

    /// What is behind it.
    pub(super) fn reason(self) -> BoxError {
        match self {
            Self::Unasked(reason) | Self::Unanswered(reason) => reason,
            Self::Refused(refused) => refused,
            Self::Corrupt(_) | Self::InvalidCursor => self.of_read().into(),
        }
    }

    /// Whether the same question may be asked again at once: the server undid it because of
    /// somebody else, or no longer has what was prepared.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Refused(refused) if PASSING.contains(&refused.code))
    }

    /// Whether what was prepared on the connection is of no use any more.
    pub(super) fn outdates_statements(&self) -> bool {
        matches!(self, Self::Refused(refused) if OUTDATED.contains(&refused.code))
    }

    /// What the caller of a question hears.
    pub(super) fn of_read(self) -> StoreError {
        match self {
            Self::Unasked(reason) | Self::Unanswered(reason) => StoreError::Unavailable(reason),
            Self::Refused(refused) if CORRUPT.contains(&refused.code) => {
                StoreError::Corrupt(refused.to_string())
            }
            Self::Refused(refused) => StoreError::Unavailable(refused),
            Self::Corrupt(column) => StoreError::Corrupt(format!("column {column}")),
            Self::InvalidCursor => StoreError::InvalidCursor,
        }
    }

    /// What the caller of a change hears: one that was sent may have been made.
    pub(super) fn of_change(self) -> StoreError {
        match self {
            Self::Unanswered(reason) => StoreError::Indeterminate(reason),
            other => other.of_read(),
        }
    }
}

impl From<Damaged> for Trouble {
    fn from(damaged: Damaged) -> Self {
        Self::Corrupt(damaged.0)
    }
}

/// Whether the connection ended with this error, so that a statement may have been committed.
fn is_end_of_connection(error: &DbError) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::CONNECTION_EXCEPTION,
        SqlState::CONNECTION_FAILURE,
        SqlState::PROTOCOL_VIOLATION,
    ]
    .contains(error.code())
}

/// Somebody else's lock or transaction was in the way.
const PASSING: &[SqlState] = &[
    SqlState::T_R_DEADLOCK_DETECTED,
    SqlState::T_R_SERIALIZATION_FAILURE,
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::FEATURE_NOT_SUPPORTED,
];

/// "Cached plan must not change result type" comes as a feature that is not supported.
const OUTDATED: &[SqlState] =
    &[SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED];

const CORRUPT: &[SqlState] = &[SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
