//! The account that a token belongs to, as far as tokens are concerned.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether an owner's tokens work, and which life of that owner id this is.
///
/// It lives in the store beside the tokens and is read with them in one snapshot. An owner that
/// the store has never heard of is active, in generation 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnerState {
    /// Whether its tokens work.
    pub standing: OwnerStanding,
    /// Counts the lives of this owner id: a deleted account whose id is used again gets the
    /// next one, and the tokens of the former never work for the latter.
    pub generation: u32,
    /// Counts the changes of the owner and of its tokens, which take it as their
    /// `changed_sequence`.
    pub sequence: u64,
    /// When this was last changed; `None` for an owner that never was.
    pub changed_at: Option<DateTime<Utc>>,
}

/// Whether an owner's tokens work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "every reader of a standing must decide about each")]
pub enum OwnerStanding {
    /// They work.
    Active,
    /// They are blocked, and kept.
    Deactivated,
    /// The account is gone; this is its tombstone.
    Deleted,
}

impl OwnerState {
    /// A state as a store read it.
    #[must_use]
    pub const fn new(
        standing: OwnerStanding,
        generation: u32,
        sequence: u64,
        changed_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self { standing, generation, sequence, changed_at }
    }

    /// The state after a change of standing: what every store must make of it.
    ///
    /// Leaving deletion begins the next generation.
    #[must_use]
    pub fn becoming(mut self, standing: OwnerStanding, at: DateTime<Utc>) -> Self {
        if self.standing == OwnerStanding::Deleted && standing != OwnerStanding::Deleted {
            self.generation = self.generation.saturating_add(1);
        }
        self.standing = standing;
        self.sequence = self.sequence.saturating_add(1);
        self.changed_at = Some(at);
        self
    }

    /// The state of an owner that nobody has spoken of yet.
    #[must_use]
    pub const fn unheard_of() -> Self {
        Self::new(OwnerStanding::Active, 1, 0, None)
    }
}
