//! A token as it is kept: everything but its secret.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::constraints::Constraints;
use super::digest::{Digest, StoredDigest};
use super::event::Actor;
use super::id::{Kind, Note, OwnerId, RealmId, ScopeName, TokenId, TokenName};
use super::scope::Grant;

/// A view of a token that verification can judge.
///
/// [`TokenRecord`] is the shipped implementation; a host with a table of its own implements this
/// on its row and keeps the row.
///
/// **If you lie:** `state`, `validity` and `owner_generation` end tokens, so a stale or defaulted
/// answer is a token that outlives its revocation; so is `spent` that ends one by its uses. `digest` must be the stored one, untouched.
pub trait Token {
    /// The public id.
    fn id(&self) -> TokenId;
    /// Whom it acts as.
    fn owner(&self) -> &OwnerId;
    /// Which life of the owner id it was issued to.
    fn owner_generation(&self) -> u32;
    /// What it is for.
    fn kind(&self) -> &Kind;
    /// What it may do, by name.
    fn grant(&self) -> &Grant<ScopeName>;
    /// Whether it is active.
    fn state(&self) -> &State;
    /// When it works.
    fn validity(&self) -> Validity;
    /// What else must hold when it is used.
    fn constraints(&self) -> &Constraints;
    /// When it was issued.
    fn created_at(&self) -> DateTime<Utc>;
    /// When its present secret was drawn: at its creation, or when it was last rotated. Policies
    /// limit the life of a secret, counted from here.
    fn secret_issued_at(&self) -> DateTime<Utc> {
        self.created_at()
    }
    /// Whether it may pass where a second factor is due.
    fn bypasses_two_factor(&self) -> bool {
        false
    }
    /// How many uses are spent, of a token that is good for so many.
    fn spent(&self) -> u32;
    /// When it was last used, as far as is known.
    fn last_used_at(&self) -> Option<DateTime<Utc>>;
    /// The digest of its secret.
    fn digest(&self) -> &StoredDigest;
    /// The digest that rotation replaced last.
    fn previous(&self) -> Option<&Previous>;
    /// How often rotation gave it a new secret, counted from 1.
    fn generation(&self) -> u32;
}

/// A token's row: everything that a store keeps, and no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenRecord {
    /// The public id.
    pub id: TokenId,
    /// A number that the store assigns once, in the order of insertion.
    pub number: u64,
    /// The tenant.
    pub realm: RealmId,
    /// Whom it acts as.
    pub owner: OwnerId,
    /// Which life of the owner id it was issued to.
    pub owner_generation: u32,
    /// Who issued it.
    pub creator: Actor,
    /// The token that minted it and bounds it; revoking that one may revoke this one.
    pub parent: Option<TokenId>,
    /// What it is for.
    pub kind: Kind,
    /// What its text began with when it was issued.
    pub prefix: Box<str>,
    /// What a person calls it.
    pub name: TokenName,
    /// A longer remark.
    pub note: Note,
    /// What it may do, by name; names that the host no longer knows are kept and grant nothing.
    pub grant: Grant<ScopeName>,
    /// Whether it is active; if not, by whom, why and since when.
    pub state: State,
    /// When it works.
    pub validity: Validity,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was last changed; its use is no change.
    pub changed_at: DateTime<Utc>,
    /// Grows strictly with every change to any token of its owner, in commit order.
    pub changed_sequence: u64,
    /// The digest of its secret.
    pub digest: StoredDigest,
    /// Ties the row to its id, realm, owner, kind and digests: a row that was copied to another
    /// of them is noticed.
    pub binding: Digest,
    /// How often rotation gave it a new secret, counted from 1.
    pub generation: u32,
    /// When its present secret was drawn.
    pub secret_issued_at: DateTime<Utc>,
    /// The digest that rotation replaced last.
    pub previous: Option<Previous>,
    /// Whether it may pass where a second factor is due (Rocket.Chat's `bypassTwoFactor`).
    pub bypasses_two_factor: bool,
    /// What else must hold when it is used.
    pub constraints: Constraints,
    /// How many uses are spent, where the constraints say how many there are; counted by
    /// [`spend`](crate::ports::store::TokenStore::spend).
    pub spent: u32,
    /// The last six characters of its text, by which a person recognises it.
    pub hint: Box<str>,
    /// When and from where it was used.
    pub usage: Usage,
    /// Counts the changes: what compare-and-set compares.
    pub version: u64,
}

impl Token for TokenRecord {
    fn id(&self) -> TokenId {
        self.id
    }
    fn owner(&self) -> &OwnerId {
        &self.owner
    }
    fn owner_generation(&self) -> u32 {
        self.owner_generation
    }
    fn kind(&self) -> &Kind {
        &self.kind
    }
    fn grant(&self) -> &Grant<ScopeName> {
        &self.grant
    }
    fn state(&self) -> &State {
        &self.state
    }
    fn validity(&self) -> Validity {
        self.validity
    }
    fn constraints(&self) -> &Constraints {
        &self.constraints
    }
    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }
    fn secret_issued_at(&self) -> DateTime<Utc> {
        self.secret_issued_at
    }
    fn bypasses_two_factor(&self) -> bool {
        self.bypasses_two_factor
    }
    fn spent(&self) -> u32 {
        self.spent
    }
    fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.usage.last_at
    }
    fn digest(&self) -> &StoredDigest {
        &self.digest
    }
    fn previous(&self) -> Option<&Previous> {
        self.previous.as_ref()
    }
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// Whether a token is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "every reader of a state must decide about each")]
pub enum State {
    /// It works, as far as its state goes.
    Active,
    /// It is blocked and can be reactivated.
    Deactivated(Ended),
    /// It is ended for good. Nothing leads out of here.
    Revoked(Ended),
}

impl State {
    /// The state's stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated(_) => "deactivated",
            Self::Revoked(_) => "revoked",
        }
    }
}

/// By whom, why and when a token stopped working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ended {
    /// Who did it.
    pub by: Actor,
    /// Why, where a reason was given.
    pub why: Option<Note>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Ended {
    /// An end without a reason.
    #[must_use]
    pub const fn new(by: Actor, why: Option<Note>, at: DateTime<Utc>) -> Self {
        Self { by, why, at }
    }
}

/// When a token works: `not_before <= now < expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validity {
    /// The first instant at which it works.
    pub not_before: Option<DateTime<Utc>>,
    /// The first instant at which it no longer does.
    pub expires_at: Expiry,
}

impl Validity {
    /// Works from `not_before` (or at once) until `expires_at`.
    #[must_use]
    pub const fn new(not_before: Option<DateTime<Utc>>, expires_at: Expiry) -> Self {
        Self { not_before, expires_at }
    }
}

/// The end of a token's validity. There is no number that means "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a token has an end or it has none")]
pub enum Expiry {
    /// At this instant it is expired already.
    At(DateTime<Utc>),
    /// It has no end of its own. Greater than every instant.
    Never,
}

impl Expiry {
    /// The instant, if there is one.
    #[must_use]
    pub const fn at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}

/// The secret that rotation replaced last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Previous {
    /// Its digest; kept after the overlap, so that its use can be told from a wrong guess.
    pub digest: StoredDigest,
    /// The first instant at which it is no longer accepted.
    pub ends_at: DateTime<Utc>,
}

impl Previous {
    /// A replaced digest, accepted until `ends_at`.
    #[must_use]
    pub const fn new(digest: StoredDigest, ends_at: DateTime<Utc>) -> Self {
        Self { digest, ends_at }
    }
}

/// When and from where a token was used, as far as it has been written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The last recorded use.
    pub last_at: Option<DateTime<Utc>>,
    /// Where that one came from.
    pub last_from: Option<IpAddr>,
    /// How many recordings there were: one for each interval in which it was used.
    pub count: u64,
}

impl Usage {
    /// Usage as a store read it.
    #[must_use]
    pub const fn new(
        last_at: Option<DateTime<Utc>>,
        last_from: Option<IpAddr>,
        count: u64,
    ) -> Self {
        Self { last_at, last_from, count }
    }
}
