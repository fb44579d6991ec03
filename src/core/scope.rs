//! What a token may do.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::ScopeName;

/// One thing that a token may be allowed to do; the host's own vocabulary.
///
/// **If you lie:** a `permits` that says yes too often lets tokens do what nobody granted. It
/// must be a preorder: each scope permits itself, and what a permitted scope permits is permitted
/// too. [`scope_is_a_preorder`] checks that for any list of scopes. `name` and `parse` must be
/// each other's inverse; a stored name that `parse` does not know grants nothing.
pub trait Scope: Clone + Ord + fmt::Debug + Send + Sync + 'static {
    /// Reads a stored name; `None` when it is not in this vocabulary.
    fn parse(name: &ScopeName) -> Option<Self>;

    /// The stable name that is stored and shown.
    fn name(&self) -> ScopeName;

    /// Whether holding this scope is enough where `needed` is asked for.
    fn permits(&self, needed: &Self) -> bool {
        self == needed
    }
}

/// All that a token may do: everything its owner may, or some scopes, never none.
///
/// The same type says what an owner may do now (the `rights` in [`Grant::permits`]). There is no
/// "empty means everything": an empty list of scopes cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[serde(bound(serialize = "S: Clone + Serialize", deserialize = "S: Deserialize<'de>"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third way to grant would have to be thought through by every host"
)]
pub enum Grant<S: Ord> {
    /// Whatever the owner may do.
    Full,
    /// These scopes, and what they permit.
    Only(Scopes<S>),
}

impl<S: Ord> Grant<S> {
    /// A grant of these scopes; `None` when there are none.
    #[must_use]
    pub fn only(scopes: impl IntoIterator<Item = S>) -> Option<Self> {
        Scopes::new(scopes).map(Self::Only)
    }
}

impl<S: Scope> Grant<S> {
    /// Whether the token may do `needed`, given what its owner may do now.
    #[must_use]
    pub fn permits(&self, needed: &S, rights: &Self) -> bool {
        self.holds(needed) && rights.holds(needed)
    }

    /// Whether this grant alone is enough for `needed`.
    #[inline(always)]
    #[must_use]
    pub fn holds(&self, needed: &S) -> bool {
        match self {
            Self::Full => true,
            Self::Only(scopes) => scopes.iter().any(|scope| scope.permits(needed)),
        }
    }

    /// Whether everything that `narrower` allows is allowed by this grant too.
    #[must_use]
    pub fn covers(&self, narrower: &Self) -> bool {
        match (self, narrower) {
            (Self::Full, _) => true,
            (Self::Only(_), Self::Full) => false,
            (Self::Only(_), Self::Only(scopes)) => scopes.iter().all(|scope| self.holds(scope)),
        }
    }

    /// What both grants allow; `None` when that is nothing. A scope of either is in it if the other
    /// grant holds it: what no scope says is left out.
    #[cfg(any(feature = "import", feature = "introspection"))]
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Full, both) | (both, Self::Full) => Some(both.clone()),
            (Self::Only(scopes), Self::Only(others)) => {
                let held = scopes.iter().filter(|scope| other.holds(scope));
                let left = held.chain(others.iter().filter(|scope| self.holds(scope)));
                Self::only(left.cloned())
            }
        }
    }

    /// The same grant by name, as records carry it.
    #[must_use]
    pub fn names(&self) -> Grant<ScopeName> {
        match self {
            Self::Full => Grant::Full,
            Self::Only(scopes) => Grant::Only(Scopes(scopes.iter().map(Scope::name).collect())),
        }
    }
}

impl Grant<ScopeName> {
    /// The grant in the host's vocabulary; `None` when none of the names is known.
    ///
    /// Unknown names are kept in the record and grant nothing.
    #[must_use]
    pub fn read<S: Scope>(&self) -> Option<Grant<S>> {
        match self {
            Self::Full => Some(Grant::Full),
            Self::Only(names) => Grant::only(names.iter().filter_map(S::parse)),
        }
    }
}

/// A set of scopes with at least one in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<S>", into = "BTreeSet<S>")]
#[serde(bound(serialize = "S: Clone + Serialize", deserialize = "S: Deserialize<'de>"))]
pub struct Scopes<S: Ord>(BTreeSet<S>);

impl<S: Ord> Scopes<S> {
    /// The scopes; `None` when there are none.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = S>) -> Option<Self> {
        let scopes: BTreeSet<S> = scopes.into_iter().collect();
        if scopes.is_empty() { None } else { Some(Self(scopes)) }
    }

    /// The scopes in their order.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.0.iter()
    }
}

impl<S: Ord> TryFrom<BTreeSet<S>> for Scopes<S> {
    type Error = NoScopes;

    fn try_from(scopes: BTreeSet<S>) -> Result<Self, NoScopes> {
        Self::new(scopes).ok_or(NoScopes)
    }
}

impl<S: Ord> From<Scopes<S>> for BTreeSet<S> {
    fn from(scopes: Scopes<S>) -> Self {
        scopes.0
    }
}

/// A list of scopes without a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grant names at least one scope")]
#[expect(clippy::exhaustive_structs, reason = "it says one thing")]
pub struct NoScopes;

/// Whether `permits` is reflexive and transitive over these scopes, and `parse` undoes `name`.
///
/// For a host's own test of its own vocabulary.
///
/// # Errors
///
/// The scopes that break it, in words.
pub fn scope_is_a_preorder<S: Scope>(scopes: &[S]) -> Result<(), String> {
    for a in scopes {
        if !a.permits(a) {
            return Err(format!("{a:?} does not permit itself"));
        }
        if S::parse(&a.name()).as_ref() != Some(a) {
            return Err(format!("{a:?} is not what its name {} reads as", a.name()));
        }
        for b in scopes.iter().filter(|b| a.permits(b)) {
            if let Some(c) = scopes.iter().find(|c| b.permits(c) && !a.permits(c)) {
                return Err(format!(
                    "{a:?} permits {b:?} and that permits {c:?}, but {a:?} does not"
                ));
            }
        }
    }
    Ok(())
}

/// AWX's vocabulary: `read`, and `write`, which implies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWX's vocabulary has two words")]
pub enum ReadWrite {
    /// Look, and change nothing.
    Read,
    /// Look and change.
    Write,
}

impl Scope for ReadWrite {
    fn parse(name: &ScopeName) -> Option<Self> {
        match name.as_str() {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            _ => None,
        }
    }

    fn name(&self) -> ScopeName {
        known_name(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }

    fn permits(&self, needed: &Self) -> bool {
        self == needed || *self == Self::Write
    }
}

/// A chat server's vocabulary: an action, and where it may be done.
///
/// Names look like `messages:read`, `messages:post@public` and `messages:post@channel:town`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "an action and a place are all there is")]
pub struct ChatScope {
    /// What may be done.
    pub action: ChatAction,
    /// Where it may be done.
    pub place: ChatPlace,
}

/// What a [`ChatScope`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChatAction {
    /// Everything below, and changing channels and members.
    Manage,
    /// Writing messages. It does not imply reading them: an incoming webhook needs no more.
    Post,
    /// Reading messages.
    Read,
}

/// Where a [`ChatScope`] holds.
///
/// `Channel` and `PublicChannel` say of one channel whether it is known to be public: a route
/// asks for the one that the channel is, a token is granted `Channel`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChatPlace {
    /// In every channel, direct messages included.
    Everywhere,
    /// In this channel, whether or not it is public.
    Channel(Box<str>),
    /// In every public channel.
    Public,
    /// In this channel as long as it is public.
    PublicChannel(Box<str>),
}

impl ChatPlace {
    fn contains(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Everywhere, _) | (Self::Public, Self::Public | Self::PublicChannel(_)) => true,
            (Self::Channel(own), Self::Channel(other) | Self::PublicChannel(other))
            | (Self::PublicChannel(own), Self::PublicChannel(other)) => own == other,
            _ => false,
        }
    }
}

impl Scope for ChatScope {
    fn parse(name: &ScopeName) -> Option<Self> {
        let rest = name.as_str().strip_prefix("messages:")?;
        let (action, place) = rest.split_once('@').map_or((rest, None), |(a, p)| (a, Some(p)));
        let action = match action {
            "manage" => ChatAction::Manage,
            "post" => ChatAction::Post,
            "read" => ChatAction::Read,
            _ => return None,
        };
        let place = match place {
            None => ChatPlace::Everywhere,
            Some("public") => ChatPlace::Public,
            Some(place) => match place.split_once(':')? {
                ("channel", id) if !id.is_empty() => ChatPlace::Channel(id.into()),
                ("public", id) if !id.is_empty() => ChatPlace::PublicChannel(id.into()),
                _ => return None,
            },
        };
        Some(Self { action, place })
    }

    fn name(&self) -> ScopeName {
        let action = match self.action {
            ChatAction::Manage => "manage",
            ChatAction::Post => "post",
            ChatAction::Read => "read",
        };
        known_name(match &self.place {
            ChatPlace::Everywhere => format!("messages:{action}"),
            ChatPlace::Channel(id) => format!("messages:{action}@channel:{id}"),
            ChatPlace::Public => format!("messages:{action}@public"),
            ChatPlace::PublicChannel(id) => format!("messages:{action}@public:{id}"),
        })
    }

    fn permits(&self, needed: &Self) -> bool {
        (self.action == needed.action || self.action == ChatAction::Manage)
            && self.place.contains(&needed.place)
    }
}

/// A name that is known to be well-formed. A channel id that is not becomes a name that no
/// vocabulary knows, and so grants nothing.
fn known_name(name: impl Into<String>) -> ScopeName {
    ScopeName::new(name).unwrap_or_else(|_| ScopeName::unknown())
}
