//! What has become of an export.

use std::fmt;

use crate::core::error::ImportError;
use crate::core::id::TokenId;
use crate::ports::store::StoreError;

/// What has become of each token of an export. Its [`Display`](fmt::Display) has a line for each
/// that was not taken over, and the sums.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What has become of each, in the export's order.
    pub rows: Vec<Reported>,
    /// What ended the import early, if anything did; later tokens were not tried.
    pub interrupted: Option<StoreError>,
}

/// What has become of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name and an outcome")]
pub struct Reported {
    /// What the export calls it. Never a secret.
    pub called: String,
    /// What has become of it.
    pub outcome: Outcome,
}

/// What has become of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it works here, or it does not")]
pub enum Outcome {
    /// It was not taken over.
    Skipped(Skipped),
    /// It was taken over: its id here.
    Taken(TokenId),
    /// It was taken over by an earlier import, and was left as it is.
    TakenBefore(TokenId),
}

/// Why a token was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skipped {
    /// It is an application's, which this crate has none of.
    #[error("it is an application's")]
    Application,
    /// The export is broken from here on, or what stands here is no token of the product.
    #[error("{field}: missing, or not what the product writes")]
    Malformed {
        /// The field at fault.
        field: &'static str,
    },
    /// Nothing of what it may do there can be granted here.
    #[error("scope: nothing of it is granted here")]
    NoGrant,
    /// The host knows no account for its owner.
    #[error("owner: no such account")]
    NoAccount,
    /// It would be of no use here.
    #[error(transparent)]
    Refused(#[from] ImportError),
    /// It is a session: whoever has one signs in again.
    #[error("it is a session")]
    Session,
    /// Another token has its id or its text.
    #[error("id: another token has its id or its text")]
    Taken,
}

impl Skipped {
    /// The stable code of this reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Malformed { .. } => "malformed",
            Self::NoAccount => "no_account",
            Self::NoGrant => "no_grant",
            Self::Refused(error) => error.code(),
            Self::Session => "session",
            Self::Taken => "taken",
        }
    }
}

impl Report {
    /// How many were taken over now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Taken(_)))
    }

    /// How many had been taken over before.
    #[must_use]
    pub fn taken_before(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::TakenBefore(_)))
    }

    /// How many were not taken over.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    fn count(&self, which: impl Fn(Outcome) -> bool) -> usize {
        self.rows.iter().filter(|row| which(row.outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            if let Outcome::Skipped(why) = row.outcome {
                // A name may hold anything, line breaks included.
                writeln!(f, "skipped {:?}: {why}", row.called)?;
            }
        }
        let (taken, before, skipped) = (self.taken(), self.taken_before(), self.skipped());
        write!(f, "{taken} taken over, {before} taken over before, {skipped} skipped")?;
        match &self.interrupted {
            Some(error) => write!(f, ", then interrupted: {error}"),
            None => Ok(()),
        }
    }
}
