//! What happened, in the words of an audit log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{Note, OwnerId, TokenId};

/// Who did something.
///
/// Both fields empty is the host itself: its command line, its jobs, its policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actor {
    /// The account that acted.
    pub owner: Option<OwnerId>,
    /// The token it acted with.
    pub token: Option<TokenId>,
}

impl Actor {
    /// The host itself.
    #[must_use]
    pub const fn host() -> Self {
        Self { owner: None, token: None }
    }

    /// An account, without a token of this crate.
    #[must_use]
    pub const fn account(owner: OwnerId) -> Self {
        Self { owner: Some(owner), token: None }
    }

    /// An account that acted with a token.
    #[must_use]
    pub const fn with_token(owner: OwnerId, token: TokenId) -> Self {
        Self { owner: Some(owner), token: Some(token) }
    }
}

/// One entry of the audit log.
///
/// It names tokens by id and never by text. A store appends it in the same step as the change
/// that it tells of, so that neither is there without the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which token; `None` for a change of many, or of an owner.
    pub token: Option<TokenId>,
    /// To whose token, or to which owner; `None` only when many owners are concerned.
    pub owner: Option<OwnerId>,
    /// Who did it.
    pub by: Actor,
    /// Why, where a reason was given.
    pub why: Option<Note>,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

impl Event {
    /// An event without a reason.
    #[must_use]
    pub const fn new(kind: EventKind, by: Actor, at: DateTime<Utc>) -> Self {
        Self { kind, token: None, owner: None, by, why: None, at }
    }

    /// The same event, about this token of this owner.
    #[must_use]
    pub fn about(mut self, token: TokenId, owner: OwnerId) -> Self {
        self.token = Some(token);
        self.owner = Some(owner);
        self
    }

    /// The same event, about this owner.
    #[must_use]
    pub fn about_owner(mut self, owner: OwnerId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The same event, with its reason.
    #[must_use]
    pub fn because(mut self, why: Option<Note>) -> Self {
        self.why = why;
        self
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// What kind of thing happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
        }

        impl EventKind {
            /// The stable code of this kind.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The kind with this code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

event_kinds! {
    /// A token passed where a second factor was due, since it may.
    FactorBypassed = "factor.bypassed",
    /// An owner has a second factor no more.
    FactorDisabled = "factor.disabled",
    /// An owner has a second factor, or another one of its method.
    FactorEnabled = "factor.enabled",
    /// Too many answers were wrong; right ones are refused too for a while.
    FactorLocked = "factor.locked",
    /// All second factors were taken from an owner.
    FactorsReset = "factor.reset",
    /// An owner's wrong answers to second factors were forgotten.
    FactorsUnlocked = "factor.unlocked",
    /// An owner's tokens were blocked, and kept.
    OwnerDeactivated = "owner.deactivated",
    /// An owner was deleted: its tokens are revoked, and its name starts anew if it comes back.
    OwnerDeleted = "owner.deleted",
    /// An owner's tokens work again.
    OwnerReactivated = "owner.reactivated",
    /// The store has lost changes that it had acknowledged: it was restored, or another server took
    /// over that had not heard of them. Tokens that were revoked then may be alive again.
    StoreHistoryLost = "store.history_lost",
    /// A token was blocked, reversibly.
    TokenDeactivated = "token.deactivated",
    /// A token's name or note was changed.
    TokenEdited = "token.edited",
    /// A token of another product was taken over, with its secret.
    TokenImported = "token.imported",
    /// A token was made.
    TokenIssued = "token.issued",
    /// Somebody handed in the text of a token that had leaked.
    TokenLeaked = "token.leaked",
    /// A token may do less, or for less long, than before.
    TokenNarrowed = "token.narrowed",
    /// A token was used from an address that it had not been used from lately, which is the reason.
    TokenNewAddress = "token.new_address",
    /// A blocked token works again.
    TokenReactivated = "token.reactivated",
    /// A token's digest was made anew under the current key.
    TokenRehashed = "token.rehashed",
    /// A secret that rotation had replaced was presented after its overlap: it may be stolen.
    TokenReused = "token.reused",
    /// A token was ended for good.
    TokenRevoked = "token.revoked",
    /// A token has a new secret.
    TokenRotated = "token.rotated",
}
