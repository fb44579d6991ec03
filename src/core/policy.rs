//! What the host allows: lifetimes, quotas, minting and rotation, for each kind of token.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::digest::Keyring;
use super::format::Format;
use super::id::{Kind, RealmId};
use super::token::Expiry;

/// All that decisions about tokens depend on, besides the token, the time and the randomness.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// What token texts look like.
    pub format: Format,
    /// The keys of digests.
    pub keyring: Keyring,
    /// What is allowed.
    pub policy: Policy,
    /// The tenant.
    pub realm: RealmId,
}

impl Rules {
    /// Rules with the default policy, in the default realm.
    #[must_use]
    pub fn new(format: Format, keyring: Keyring) -> Self {
        Self { format, keyring, policy: Policy::default(), realm: RealmId::default() }
    }

    /// The same rules for another tenant. The service sets it from its store.
    #[must_use]
    pub fn in_realm(mut self, realm: RealmId) -> Self {
        self.realm = realm;
        self
    }

    /// The same rules with another policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

/// A [`KindPolicy`] for each kind of token.
///
/// The default: personal tokens live 90 days, at most 366, and are 50 an owner; sessions live 12
/// hours, at most 30 days, and may issue; other kinds are as personal ones.
#[derive(Clone, Debug)]
pub struct Policy {
    kinds: BTreeMap<Kind, KindPolicy>,
    otherwise: KindPolicy,
}

impl Policy {
    /// The same policy, with this one for tokens of this kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind, policy: KindPolicy) -> Self {
        self.kinds.insert(kind, policy);
        self
    }

    /// What holds for tokens of this kind.
    #[must_use]
    pub fn of(&self, kind: &Kind) -> &KindPolicy {
        self.kinds.get(kind).unwrap_or(&self.otherwise)
    }
}

impl Default for Policy {
    fn default() -> Self {
        let otherwise = KindPolicy::personal();
        Self { kinds: BTreeMap::new(), otherwise }.with_kind(Kind::session(), KindPolicy::session())
    }
}

/// What holds for tokens of one kind.
///
/// ```
/// use keyfob::{Kind, KindPolicy, Minting, Policy};
///
/// let mut bots = KindPolicy::personal();
/// bots.never_expires = true;
/// bots.minting = Minting::Within;
/// let policy = Policy::default().with_kind(Kind::new("bot")?, bots);
/// assert!(policy.of(&Kind::new("bot")?).never_expires);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindPolicy {
    /// The lifetime of a token that asks for none.
    pub default_lifetime: TimeDelta,
    /// The longest lifetime of a secret; `None` for no limit. Rotation begins a new one.
    pub longest_lifetime: Option<TimeDelta>,
    /// Whether a token may have no expiry at all.
    pub never_expires: bool,
    /// Whether `longest_lifetime` and `never_expires` also end tokens that were issued under a
    /// laxer policy, or only bind new ones.
    pub enforced_at_use: bool,
    /// After how long without use a token is refused; `None` for never. Uses are recorded once a
    /// minute, so it is met to the minute, and less than that makes no sense.
    pub idle_limit: Option<TimeDelta>,
    /// How many tokens of this kind, neither revoked nor expired, an owner may have.
    pub quota: Option<u32>,
    /// What tokens a caller that presents a token of this kind may issue.
    pub minting: Minting,
    /// The longest time for which rotation may leave the replaced secret working.
    pub longest_overlap: TimeDelta,
    /// Whether a token of this kind may be issued so that it passes where a second factor is due,
    /// and whether one that was does.
    pub may_bypass_two_factor: bool,
    /// Whether issuing a token of this kind, or giving one a new secret, takes a
    /// [`TwoFactorProof`](super::factor::TwoFactorProof), from the host too.
    pub second_factor: bool,
}

impl KindPolicy {
    /// The default for personal tokens: 90 days (crates.io's choice), at most 366 (GitHub's), 50
    /// an owner, no issuing with a token, an overlap of at most 7 days.
    #[must_use]
    pub const fn personal() -> Self {
        Self {
            default_lifetime: TimeDelta::days(90),
            longest_lifetime: Some(TimeDelta::days(366)),
            never_expires: false,
            enforced_at_use: true,
            idle_limit: None,
            quota: Some(50),
            minting: Minting::Forbidden,
            longest_overlap: TimeDelta::days(7),
            may_bypass_two_factor: false,
            second_factor: false,
        }
    }

    /// The default for sessions: 12 hours, at most 30 days, as many as there are, issuing as the
    /// owner does.
    #[must_use]
    pub const fn session() -> Self {
        Self {
            default_lifetime: TimeDelta::hours(12),
            longest_lifetime: Some(TimeDelta::days(30)),
            quota: None,
            minting: Minting::AsOwner,
            longest_overlap: TimeDelta::zero(),
            ..Self::personal()
        }
    }

    /// The instant from which a token whose secret was drawn at `issued_at` is refused by policy.
    #[must_use]
    pub fn ends_at(&self, issued_at: DateTime<Utc>, expires_at: Expiry) -> Option<DateTime<Utc>> {
        if !self.enforced_at_use || (expires_at == Expiry::Never && self.never_expires) {
            return None;
        }
        // Where nothing limits a life but that it must end, it ends when a new one would.
        let must_end = (expires_at == Expiry::Never).then_some(self.default_lifetime);
        let longest = self.longest_lifetime.or(must_end)?;
        // An end past the calendar is no end that anybody reaches.
        issued_at.checked_add_signed(longest)
    }
}

/// What tokens a caller that presents a token may issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a fourth way to mint would have to be thought through by every host"
)]
pub enum Minting {
    /// Whatever its owner may: for sessions, which stand for the person.
    AsOwner,
    /// None. A stolen token then cannot make itself a successor.
    Forbidden,
    /// For the same owner, with no more than its own grant, networks and life as they are then,
    /// and revoked with it.
    Within,
}
