//! Where tokens are kept.

mod change;
mod node;
mod query;

use std::fmt;
use std::num::NonZeroU32;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use self::change::{
    Applied, EventQuery, Insert, Inserted, MassRevocation, OwnerChange, OwnerChanged, OwnerSet,
    Revoked, StoredEvent, Use,
};
pub use self::node::{NodeId, NodeReport};
pub use self::query::{Cursor, Filter, Order, Page, Query, Start, StateName};
use crate::core::change::{Change, Presenter};
use crate::core::digest::{Digest, DigestScheme};
pub use crate::core::epoch::{Epoch, Invalidations, Touched};
use crate::core::id::{KeyId, OwnerId, RealmId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Expiry, State, TokenRecord};

/// Keeps tokens, owners and events of one realm.
///
/// **The dangerous lies**, worst first:
///
/// 1. *A stale row.* `find` must show every change whose call has returned. A row from a lagging
///    replica is a revoked token that works.
/// 2. *A way out of revoked.* Nothing may make a revoked row anything else, whatever the change
///    says, and a revocation must win every race: it expects no version.
/// 3. *An acknowledged change that was not durable.* What returned `Ok` must survive the loss of
///    the process and, for a durable store, of the machine.
/// 4. *Half a change.* A row, its event, its owner's sequence and the epoch change in one step
///    or not at all, even if the caller's future is dropped.
/// 5. *A count that was true a moment ago.* Quotas, unique names and the presenting token are
///    decided in the step that inserts, not before it.
/// 6. *Trouble reported as absence.* "I could not look" is [`StoreError::Unavailable`], never
///    `None` and never an empty page: clients throw away tokens that they are told are invalid.
///
/// Losing a [`mark_used`](TokenStore::mark_used) harms nobody.
///
/// There is no `save`: nothing can overwrite a row. A handle is bound to one realm; a token of
/// another one is the same as an unknown one. Each "must" here is a law of the same name in
/// `keyfob::testing`, and `keyfob::store_laws!` makes a test of each for any store.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The realm that this handle is bound to.
    fn realm(&self) -> &RealmId;

    /// Adds a token, its event and its number in one step, and advances the epoch.
    ///
    /// Must decide in that step, in this order: whether this owner's idempotency key is known;
    /// whether the presenting token is live and of the version given; whether the owner is active
    /// and of the record's generation (an owner never heard of is active, in generation 1);
    /// whether the name is free, if it is to be unique; whether the quota leaves room; whether id
    /// and digest are new. It must never replace a row, and a refusal changes nothing: the key
    /// stays unused. The store assigns `number` (growing, never given twice), `changed_sequence`
    /// (the owner's next) and `version` (1). Names are the same only if all their bytes are.
    ///
    /// A presenting token is live if it is active, valid at the record's `created_at` (at a
    /// change's `event.at`), and its owner active and of its generation. Expired tokens are told
    /// by `created_at` too.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Corrupt`] for a record of another realm; after
    /// [`StoreError::Indeterminate`] the same insert may be repeated with its idempotency key.
    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError>;

    /// The token with this id, digest or number, with its owner's state and the epoch, all from
    /// one snapshot.
    ///
    /// Revoked and expired tokens are found until they are pruned.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError>;

    /// The tokens that a filter selects, one page of them, in a stable order.
    ///
    /// A keyset cursor must neither skip nor repeat a row that was there throughout in the same
    /// place, whatever is inserted or removed meanwhile. The total, where asked for, is of the
    /// same snapshot.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::InvalidCursor`] for a cursor that this store did not make
    /// for this order and direction.
    async fn query(&self, query: &Query) -> Result<Page, StoreError>;

    /// Makes one change by compare-and-set, with its event, and advances the epoch.
    ///
    /// Must decide in that step, in this order: whether the token is there; whether it is revoked,
    /// since a revoked row is never changed; whether it has the version that the change expects;
    /// whether the presenting token is live and of its version, as for an insert. A refusal
    /// changes nothing. Advances `version` and `changed_sequence` by one, in commit order. A
    /// cascading revocation must also revoke, in the same step, every unrevoked token that was
    /// minted by the token, and by those, whoever owns it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn apply(&self, change: &Change) -> Result<Applied, StoreError>;

    /// Revokes every unrevoked token that a filter selects, in one step, with one event and one
    /// epoch (even if there was none), except the one given; returns which they were.
    ///
    /// A token that is inserted at the same time must be revoked or inserted afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError>;

    /// Writes down uses. Must only move `last_at` forward; the address goes with the latest use.
    ///
    /// A use from an address that is not among the last
    /// [`KNOWN_ADDRESSES`](Use::KNOWN_ADDRESSES) new ones of its token becomes one of them, whenever it
    /// was; if there were others already, the use's event is appended in the same step. Returns the
    /// tokens of which that was told. Which addresses are known is the store's own business, and goes
    /// with the token when it is pruned.
    ///
    /// Unknown tokens are skipped. It changes neither version nor epoch.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is lost but the record of use.
    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError>;

    /// Counts one use of a token that is good for `uses` in all; `false` when there is none left.
    ///
    /// Must decide that in the step that counts, and be durable before it returns: of those who ask
    /// for the last use at the same time one gets it. A token that is unknown or not active has none
    /// left. It changes neither version nor epoch.
    ///
    /// **If you lie:** a token that was given out for one use is used twice.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the use may be spent all the same, and nobody has had it.
    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError>;

    /// The owner's state; [`OwnerState::unheard_of`] for one the store does not know.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError>;

    /// Deactivates, reactivates or deletes an owner, with its event, and advances the epoch.
    ///
    /// A presenting token must be live and of its version, as for an insert, by the change's `at`.
    /// Deactivating must change no token. Deleting must revoke them all in the same step, ended
    /// as the event says. Leaving deletion, whether to active or to deactivated, begins the next
    /// generation. Setting what is set already changes nothing and succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError>;

    /// What changed after an epoch, and the store's time, from one snapshot.
    ///
    /// Epochs must grow in the order in which changes become visible, without gaps: who has seen
    /// epoch `n` has seen every change up to it. A store that no longer remembers as far back as
    /// `since` says so with [`Invalidations::changes`] `None`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError>;

    /// Returns when something changed after an epoch, as far as the store comes to know of it; a
    /// store that hears of nothing waits for ever, which is the default.
    ///
    /// A mere hint, so that news is asked for at once and not only every now and then. It may come
    /// for nothing; that it fails to come delays news and breaks no promise.
    async fn changed(&self, since: Epoch) {
        let _ = since;
        std::future::pending().await
    }

    /// Writes down, durably, that a node remembers what it read here, and how far it has come.
    ///
    /// It replaces what the node reported before. A node that has not reported for an hour, by the
    /// store's clock or else by the report's, may be forgotten, and nobody else.
    ///
    /// **If you lie:** a revocation that waits for all nodes returns before one of them has heard.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError>;

    /// Every node that may remember what it read here, as it last reported.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError>;

    /// Forgets a node, which remembers nothing any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError>;

    /// Events in the order of their commits, of one token or owner or of all.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError>;

    /// Forgets tokens that were revoked or had expired before an instant, whichever came first, at
    /// most `limit` of them, and returns how many. Must not forget a token whose minted tokens are
    /// still there.
    ///
    /// Nothing else ever removes a row. Events stay.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError>;
}

/// How to find one token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lookup {
    /// By the digest of an id-less text.
    Digest {
        /// What the digest was made from.
        scheme: DigestScheme,
        /// The key it was made with.
        key: Option<KeyId>,
        /// The digest.
        digest: Digest,
    },
    /// By id.
    Id(TokenId),
    /// By the number that the store assigned.
    Number(u64),
}

/// A token as one snapshot shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The row. Boxed: it is large, and handed on many times on the way to a verdict.
    pub record: Box<TokenRecord>,
    /// Its owner's state.
    pub owner: OwnerState,
    /// The last epoch that the snapshot includes.
    pub epoch: Epoch,
    /// The store's own time, if it has a clock of its own.
    pub now: Option<DateTime<Utc>>,
}

impl Found {
    /// A row with its owner's state, both as of `epoch`.
    #[must_use]
    pub fn new(record: impl Into<Box<TokenRecord>>, owner: OwnerState, epoch: Epoch) -> Self {
        Self { record: record.into(), owner, epoch, now: None }
    }

    /// The same, at that time by the store's own clock.
    #[must_use]
    pub const fn at(mut self, now: Option<DateTime<Utc>>) -> Self {
        self.now = now;
        self
    }

    /// Whether this is the presenting token as the decision saw it, and live at that time: what
    /// every store must ask in the step that inserts or widens.
    #[must_use]
    pub fn presents(&self, presenter: Presenter, at: DateTime<Utc>) -> bool {
        let validity = self.record.validity;
        self.record.id == presenter.token
            && self.record.version == presenter.version
            && self.record.state == State::Active
            && validity.not_before.is_none_or(|not_before| not_before <= at)
            && validity.expires_at > Expiry::At(at)
            && self.owner.standing == OwnerStanding::Active
            && self.owner.generation == self.record.owner_generation
    }
}

/// Why a store gave no answer. None of these says anything about a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A row is not what was once written: damaged or tampered with.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    /// The change may or may not have been made; repeat it with the same idempotency key.
    #[error("the outcome is unknown")]
    Indeterminate(#[source] BoxError),
    /// The cursor was not made by this store for this order.
    #[error("cursor: not one of this list")]
    InvalidCursor,
    /// The store could not be asked, or not in time.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
}

impl StoreError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "store_corrupt",
            Self::Indeterminate(_) => "store_indeterminate",
            Self::InvalidCursor => "invalid_cursor",
            Self::Unavailable(_) => "store_unavailable",
        }
    }

    /// A store that could not be asked, for this reason.
    #[must_use]
    pub fn unavailable(reason: impl Into<BoxError>) -> Self {
        Self::Unavailable(reason.into())
    }
}

/// The reason behind an error, for the operator.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
