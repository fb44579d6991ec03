//! A vocabulary of scopes, and tokens kept in a table that was there before `keyfob`.

use chrono::{DateTime, Utc};
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::StoredDigest;
use keyfob::core::token::{Previous, Validity};
use keyfob::{Grant, Kind, OwnerId, Scope, ScopeName, State, Token, TokenId};

/// What may be done in a forum: each implies those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forum {
    Read,
    Post,
    Moderate,
}

impl Forum {
    pub const ALL: [Self; 3] = [Self::Read, Self::Post, Self::Moderate];
}

impl Scope for Forum {
    fn parse(name: &ScopeName) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == *name)
    }

    fn name(&self) -> ScopeName {
        let name = match self {
            Self::Read => "forum.read",
            Self::Post => "forum.post",
            Self::Moderate => "forum.moderate",
        };
        ScopeName::new(name).expect("these are scope names")
    }

    fn permits(&self, needed: &Self) -> bool {
        self >= needed
    }
}

/// A row of the host's own table.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: TokenId,
    pub account: OwnerId,
    pub kind: Kind,
    pub scopes: Grant<ScopeName>,
    pub state: State,
    pub validity: Validity,
    pub anywhere: Constraints,
    pub made_at: DateTime<Utc>,
    pub digest: StoredDigest,
}

impl Token for Key {
    fn id(&self) -> TokenId {
        self.id
    }
    fn owner(&self) -> &OwnerId {
        &self.account
    }
    fn owner_generation(&self) -> u32 {
        1
    }
    fn kind(&self) -> &Kind {
        &self.kind
    }
    fn grant(&self) -> &Grant<ScopeName> {
        &self.scopes
    }
    fn state(&self) -> &State {
        &self.state
    }
    fn validity(&self) -> Validity {
        self.validity
    }
    fn constraints(&self) -> &Constraints {
        &self.anywhere
    }
    fn created_at(&self) -> DateTime<Utc> {
        self.made_at
    }
    fn spent(&self) -> u32 {
        0
    }
    fn last_used_at(&self) -> Option<DateTime<Utc>> {
        None
    }
    fn digest(&self) -> &StoredDigest {
        &self.digest
    }
    fn previous(&self) -> Option<&Previous> {
        None
    }
    fn generation(&self) -> u32 {
        1
    }
}
