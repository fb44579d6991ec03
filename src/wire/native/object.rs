//! What the answers hold: tokens, lists of them, and owners.

use std::net::IpAddr;
use std::num::NonZeroU32;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::event::Actor;
use crate::core::id::{OwnerId, ScopeName};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::scope::Grant;
use crate::core::secret::TokenSecret;
use crate::core::token::{State, TokenRecord};

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    /// The public id.
    id: String,
    /// What it is for.
    kind: String,
    /// What a person calls it.
    name: String,
    /// A longer remark.
    note: String,
    /// Whom it acts as.
    owner: String,
    scopes: Granted,
    state: StateWord,
    #[schema(format = DateTime)]
    created_at: String,
    /// Its first valid instant, if that was not at once.
    #[schema(format = DateTime)]
    not_before: Option<String>,
    /// The first instant at which it no longer works; null for never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(value_type = Option<String>)]
    last_used_from: Option<IpAddr>,
    /// In how many intervals it was used.
    use_count: u64,
    /// The last characters of its text.
    hint: String,
    /// How often it was given a secret.
    generation: u32,
    /// Until when the secret that was replaced last still works.
    #[schema(format = DateTime)]
    overlap_ends_at: Option<String>,
    /// By whom, why and when it was deactivated or revoked.
    ended: Option<Ended>,
    creator: By,
    /// Where it may be used from; null for anywhere.
    addresses: Option<Vec<String>>,
    /// How often it may be used on each server; null for as often as one likes.
    rate: Option<RateObject>,
    /// How many uses it is good for; null where they are not counted.
    uses: Option<u32>,
    /// How many of them are spent.
    spent: u32,
}

/// So many uses in so many seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rate)]
pub(super) struct RateObject {
    #[schema(minimum = 1, maximum = 1_000_000)]
    uses: u32,
    #[schema(minimum = 1, maximum = 86_400)]
    seconds: u32,
}

impl Token {
    pub(super) fn of(record: &TokenRecord, now: DateTime<Utc>) -> Self {
        let ended = match &record.state {
            State::Active => None,
            State::Deactivated(end) | State::Revoked(end) => Some(Ended {
                by: By::of(&end.by),
                why: end.why.as_ref().map(|why| why.as_str().to_owned()),
                at: written(end.at),
            }),
        };
        let previous = record.previous.as_ref().filter(|previous| previous.ends_at > now);
        let addresses = &record.constraints.addresses;
        Self {
            id: record.id.to_string(),
            kind: record.kind.as_str().to_owned(),
            name: record.name.as_str().to_owned(),
            note: record.note.as_str().to_owned(),
            owner: record.owner.as_str().to_owned(),
            scopes: Granted::of(&record.grant),
            state: StateWord::of(&record.state),
            created_at: written(record.created_at),
            not_before: record.validity.not_before.map(written),
            expires_at: record.validity.expires_at.at().map(written),
            last_used_at: record.usage.last_at.map(written),
            last_used_from: record.usage.last_from,
            use_count: record.usage.count,
            hint: record.hint.to_string(),
            generation: record.generation,
            overlap_ends_at: previous.map(|previous| written(previous.ends_at)),
            ended,
            creator: By::of(&record.creator),
            addresses: (!addresses.is_empty())
                .then(|| addresses.iter().map(ToString::to_string).collect()),
            rate: record
                .constraints
                .rate
                .map(|rate| RateObject { uses: rate.uses(), seconds: rate.seconds() }),
            uses: record.constraints.uses.map(NonZeroU32::get),
            spent: record.spent,
        }
    }
}

/// A token with its secret: the one answer that shows it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    object: Token,
    token: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn new(object: Token, secret: &'a TokenSecret) -> Self {
        Self { object, token: secret.expose_secret() }
    }
}

/// A page of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenList {
    pub(super) tokens: Vec<Token>,
    /// Where the next page begins; null when this is the last one.
    pub(super) next: Option<String>,
}

/// Whether an owner's tokens work.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Owner {
    /// The owner.
    id: String,
    state: StandingWord,
    /// When that was last changed; null for an owner that never was.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
}

impl Owner {
    pub(super) fn of(id: &OwnerId, state: &OwnerState) -> Self {
        Self {
            id: id.as_str().to_owned(),
            state: StandingWord::of(state.standing),
            changed_at: state.changed_at.map(written),
        }
    }
}

/// Whether a token is active; it may be expired all the same.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateWord {
    Active,
    Deactivated,
    Revoked,
}

impl StateWord {
    const fn of(state: &State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Deactivated(_) => Self::Deactivated,
            State::Revoked(_) => Self::Revoked,
        }
    }
}

/// Whether an owner's tokens work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StandingWord {
    Active,
    Deactivated,
    Deleted,
}

impl StandingWord {
    const fn of(standing: OwnerStanding) -> Self {
        match standing {
            OwnerStanding::Active => Self::Active,
            OwnerStanding::Deactivated => Self::Deactivated,
            OwnerStanding::Deleted => Self::Deleted,
        }
    }
}

/// All that its owner may do, or these scopes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Granted {
    Full(FullWord),
    Only(Vec<String>),
}

impl Granted {
    fn of(grant: &Grant<ScopeName>) -> Self {
        match grant {
            Grant::Full => Self::Full(FullWord::Full),
            Grant::Only(names) => {
                Self::Only(names.iter().map(|name| name.as_str().to_owned()).collect())
            }
        }
    }
}

/// All that its owner may do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FullWord {
    Full,
}

/// By whom, why and when a token stopped working.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ended {
    by: By,
    why: Option<String>,
    #[schema(format = DateTime)]
    at: String,
}

/// Who did something; both null for the host itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct By {
    /// The account that acted.
    owner: Option<String>,
    /// The id of the token that it acted with.
    token: Option<String>,
}

impl By {
    fn of(actor: &Actor) -> Self {
        Self {
            owner: actor.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            token: actor.token.map(|token| token.to_string()),
        }
    }
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
