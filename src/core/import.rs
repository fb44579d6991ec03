//! Taking over a token that another product has issued.

use chrono::{DateTime, Utc};

use super::digest::Digest;
use super::error::ImportError;
use super::event::{Actor, Event, EventKind};
use super::id::{Kind, Note, OwnerId, ScopeName, TokenId, TokenName};
use super::owner::{OwnerStanding, OwnerState};
use super::policy::Rules;
use super::scope::Grant;
use super::shape::Shape;
use super::time::{is_in_range, rounded_down};
use super::token::{Ended, Expiry, State, TokenRecord, Usage, Validity};

/// A token of another product, as far as its table tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForeignToken {
    /// Its id, where the product gives it one that can be kept.
    pub id: Option<TokenId>,
    /// Whom it acts as.
    pub owner: OwnerId,
    /// What it is for.
    pub kind: Kind,
    /// What a person calls it.
    pub name: TokenName,
    /// A longer remark.
    pub note: Note,
    /// What it may do here; for products without scopes it is all that its owner may.
    pub grant: Grant<ScopeName>,
    /// How its text looks.
    pub shape: Shape,
    /// The SHA-256 of its text.
    pub sha256: Digest,
    /// The last characters of its text, where the product shows them.
    pub hint: Box<str>,
    /// When its secret was made; `None` where nobody has written that down.
    pub created_at: Option<DateTime<Utc>>,
    /// Its end.
    pub expires_at: Expiry,
    /// Whether it works; one that does not can be reactivated.
    pub active: bool,
    /// Whether it passes where a second factor is due.
    pub bypasses_two_factor: bool,
}

impl ForeignToken {
    /// A live personal token that never expires and may do all that its owner may.
    #[must_use]
    pub fn new(owner: OwnerId, shape: Shape, sha256: Digest) -> Self {
        Self {
            id: None,
            owner,
            kind: Kind::personal(),
            name: TokenName::default(),
            note: Note::default(),
            grant: Grant::Full,
            shape,
            sha256,
            hint: "".into(),
            created_at: None,
            expires_at: Expiry::Never,
            active: true,
            bypasses_two_factor: false,
        }
    }

    /// The id that it has, or is given: always the same one, so that whoever imports twice finds
    /// what the first time made.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id.unwrap_or_else(|| self.sha256.derived_id())
    }
}

/// A token that was taken over: the row to store.
#[derive(Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The row; `number`, `changed_sequence` and `version` are for the store to assign.
    pub record: TokenRecord,
    /// What to write into the audit log with it.
    pub event: Event,
}

/// Makes the row of a foreign token, under the keyring's current key.
///
/// The host's policy limits the life of this token like any other's. Idleness counts from now, since
/// nobody knows when it was used last.
///
/// # Errors
///
/// [`ImportError`]: why it would be of no use here.
pub fn import(
    foreign: ForeignToken,
    owner: &OwnerState,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Imported, ImportError> {
    let now = rounded_down(now);
    let id = foreign.id();
    if owner.standing != OwnerStanding::Active {
        return Err(ImportError::OwnerNotActive);
    }
    if !rules.format.reads(foreign.shape) {
        return Err(ImportError::ShapeNotRead { shape: foreign.shape });
    }
    if foreign.expires_at <= Expiry::At(now) {
        return Err(ImportError::Expired);
    }
    let created_at = foreign.created_at.map_or(now, rounded_down);
    let expires_at = match foreign.expires_at {
        Expiry::At(at) => Expiry::At(rounded_down(at)),
        Expiry::Never => Expiry::Never,
    };
    if !is_in_range(created_at) || expires_at.at().is_some_and(|at| !is_in_range(at)) {
        return Err(ImportError::OutOfRange);
    }
    let policy = rules.policy.of(&foreign.kind);
    if policy.ends_at(created_at, expires_at).is_some_and(|at| at <= now) {
        return Err(ImportError::Policy);
    }
    let idles = policy.idle_limit.is_some();
    let digest = rules.keyring.digest_hashed(foreign.sha256);
    let event = Event::new(EventKind::TokenImported, Actor::host(), now);
    let event = event.about(id, foreign.owner.clone());
    let mut record = TokenRecord::new(
        id,
        rules.realm.clone(),
        foreign.owner,
        foreign.grant,
        digest,
        created_at.min(now),
    );
    record.owner_generation = owner.generation;
    record.kind = foreign.kind;
    record.name = foreign.name;
    record.note = foreign.note;
    record.hint = foreign.hint;
    record.validity = Validity::new(None, expires_at);
    record.changed_at = now;
    record.bypasses_two_factor = foreign.bypasses_two_factor;
    record.usage = Usage::new(idles.then_some(now), None, 0);
    if !foreign.active {
        let why = Note::new("imported as inactive").ok();
        record.state = State::Deactivated(Ended::new(Actor::host(), why, now));
    }
    // The digest was made with the keyring's current key, which it therefore holds.
    record.bind(&rules.keyring).map_err(|_| ImportError::OutOfRange)?;
    Ok(Imported { record, event })
}
