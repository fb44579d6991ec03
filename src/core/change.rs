//! A change to a token, decided but not yet made.

use chrono::{DateTime, Utc};

use super::constraints::Constraints;
use super::digest::{Digest, StoredDigest};
use super::event::Event;
use super::id::{Note, ScopeName, TokenId, TokenName};
use super::scope::Grant;
use super::token::{Previous, State, TokenRecord, Validity};

/// What a store is to do to one token, by compare-and-set, in one step with its event.
#[must_use = "a change does nothing until a store applies it"]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The token.
    pub token: TokenId,
    /// The version that the decision was made on; `None` for a revocation, which wins over
    /// whatever else happens.
    pub expects: Option<u64>,
    /// The fields to set.
    pub patch: Patch,
    /// Whether tokens minted by this one, and by those, are to be revoked with it.
    pub cascade: bool,
    /// The token that asks for a widening, to be found live again in the same step.
    pub presenter: Option<Presenter>,
    /// What to write into the audit log with it.
    pub event: Event,
}

impl Change {
    /// A change of these fields.
    pub const fn new(token: TokenId, patch: Patch, event: Event) -> Self {
        Self { token, expects: None, patch, cascade: false, presenter: None, event }
    }

    /// The same change, to be made only while the row has this version.
    pub const fn expecting(mut self, version: u64) -> Self {
        self.expects = Some(version);
        self
    }

    /// The same change, to be made only while the presenting token is live and unchanged.
    pub const fn presented_by(mut self, presenter: Option<Presenter>) -> Self {
        self.presenter = presenter;
        self
    }

    /// The same revocation, together with everything that was minted by the token.
    pub const fn cascading(mut self) -> Self {
        self.cascade = true;
        self
    }

    /// Whether it ends the token for good.
    #[must_use]
    pub const fn is_revocation(&self) -> bool {
        matches!(self.patch.state, Some(State::Revoked(_)))
    }
}

/// The token that a caller presents, as the decision saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an id and a version are all that a store compares")]
pub struct Presenter {
    /// Which token.
    pub token: TokenId,
    /// The version it had. A deactivation, revocation or narrowing since then has another one.
    pub version: u64,
}

impl Presenter {
    /// The token that this row is of, as the row is now.
    #[must_use]
    pub const fn of(record: &TokenRecord) -> Self {
        Self { token: record.id, version: record.version }
    }
}

/// The fields that a [`Change`] sets; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Patch {
    /// Whether it is active.
    pub state: Option<State>,
    /// What a person calls it.
    pub name: Option<TokenName>,
    /// A longer remark.
    pub note: Option<Note>,
    /// What it may do.
    pub grant: Option<Grant<ScopeName>>,
    /// When it works.
    pub validity: Option<Validity>,
    /// What else must hold.
    pub constraints: Option<Constraints>,
    /// Whether it passes where a second factor is due.
    pub bypasses_two_factor: Option<bool>,
    /// A new secret, or the same one under another key.
    pub secret: Option<SecretPatch>,
}

/// A new secret of a token, or a new digest of the old one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecretPatch {
    /// The digest.
    pub digest: StoredDigest,
    /// What ties the row to it.
    pub binding: Digest,
    /// Which generation it is of.
    pub generation: u32,
    /// When it was drawn.
    pub issued_at: DateTime<Utc>,
    /// The digest it replaces, where that is still to be known.
    pub previous: Option<Previous>,
    /// What the text begins with.
    pub prefix: Box<str>,
    /// What the text ends with.
    pub hint: Box<str>,
}

impl Patch {
    /// Sets the fields of a row. `changed_sequence` and `version` are for the store to advance.
    pub fn apply(&self, record: &mut TokenRecord, at: DateTime<Utc>) {
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut record.state, self.state.as_ref());
        set(&mut record.name, self.name.as_ref());
        set(&mut record.note, self.note.as_ref());
        set(&mut record.grant, self.grant.as_ref());
        set(&mut record.validity, self.validity.as_ref());
        set(&mut record.constraints, self.constraints.as_ref());
        set(&mut record.bypasses_two_factor, self.bypasses_two_factor.as_ref());
        if let Some(secret) = &self.secret {
            record.digest = secret.digest.clone();
            record.binding = secret.binding;
            record.generation = secret.generation;
            record.secret_issued_at = secret.issued_at;
            record.previous.clone_from(&secret.previous);
            record.prefix.clone_from(&secret.prefix);
            record.hint.clone_from(&secret.hint);
        }
        record.changed_at = record.changed_at.max(at);
    }
}
