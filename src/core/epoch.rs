//! What a store says of its changes: how many there were, and what they touched.

use chrono::{DateTime, Utc};

use super::id::{OwnerId, TokenId};

/// Counts the changes of a store. A greater one is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is a number")]
pub struct Epoch(pub u64);

/// What a change touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every index must know what each invalidates")]
pub enum Touched {
    /// So many that a list of them would be no help.
    Everything,
    /// All tokens of this owner.
    Owner(OwnerId),
    /// This token.
    Token(TokenId),
}

impl Touched {
    /// Whether this token of this owner is among it.
    #[must_use]
    pub fn covers(&self, token: TokenId, owner: &OwnerId) -> bool {
        match self {
            Self::Everything => true,
            Self::Owner(touched) => touched == owner,
            Self::Token(touched) => *touched == token,
        }
    }
}

/// What changed after an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Invalidations {
    /// The last epoch that the snapshot includes.
    pub epoch: Epoch,
    /// What changed, in order; `None` when the store no longer remembers all of it, so that
    /// everything must be taken as changed.
    pub changes: Option<Vec<(Epoch, Touched)>>,
    /// The store's own time, if it has a clock of its own.
    pub now: Option<DateTime<Utc>>,
    /// When the first of the changes was made, by the clock that tells `now`. Only measured with.
    pub first_at: Option<DateTime<Utc>>,
}

impl Invalidations {
    /// The changes up to `epoch`.
    #[must_use]
    pub const fn new(
        epoch: Epoch,
        changes: Option<Vec<(Epoch, Touched)>>,
        now: Option<DateTime<Utc>>,
    ) -> Self {
        Self { epoch, changes, now, first_at: None }
    }

    /// The same, the first of them made at that time.
    #[must_use]
    pub const fn first_at(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.first_at = at;
        self
    }
}
