//! Why a text is no token, or a prefix none.

use crate::core::id::{InvalidName, Kind};

/// A text that is not a token of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a text is ours, broken, or somebody else's")]
pub enum ParseError {
    /// It begins with a registered prefix and is no token: truncated, mistyped or made up.
    #[error("malformed token")]
    Malformed,
    /// It begins with no registered prefix.
    #[error("not a token of this host")]
    NotOurs,
}

impl ParseError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotOurs => "not_ours",
        }
    }
}

/// A prefix that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// One of the two begins with the other, so that texts would have two readings.
    #[error("prefix {prefix:?} and prefix {other:?}: one begins with the other")]
    Ambiguous {
        /// The prefix to be added.
        prefix: Box<str>,
        /// The prefix it collides with.
        other: Box<str>,
    },
    /// It is not a prefix at all.
    #[error(transparent)]
    InvalidPrefix(InvalidName),
    /// New tokens of this kind have a prefix already; retire the old one first.
    #[error("kind {kind} has a prefix already")]
    KindTaken {
        /// The kind in question.
        kind: Kind,
    },
}

impl FormatError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ambiguous { .. } => "ambiguous_prefix",
            Self::InvalidPrefix(_) => "invalid_prefix",
            Self::KindTaken { .. } => "kind_taken",
        }
    }
}
