//! A token as columns: what a database could hold, and back.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::{Digest, DigestScheme, StoredDigest};
use keyfob::core::rate::Rate;
use keyfob::core::token::{Ended, Previous, Usage, Validity};
use keyfob::{
    Actor, Expiry, Grant, KeyId, OwnerId, RealmId, ScopeName, State, StoreError, TokenId,
    TokenRecord,
};

type Id = [u8; 16];
type Micros = i64;
type DigestColumns = (DigestScheme, Option<String>, [u8; 32]);
type ActorColumns = (Option<String>, Option<Id>);

#[derive(Clone, Debug)]
pub struct Row {
    pub number: u64,
    pub realm: String,
    pub id: Id,
    pub owner: String,
    pub kind: String,
    pub name: String,
    pub state: &'static str,
    pub expires_at: Option<Micros>,
    pub parent: Option<Id>,
    pub digest: DigestColumns,
    ended: Option<(ActorColumns, Option<String>, Micros)>,
    owner_generation: u32,
    creator: ActorColumns,
    prefix: String,
    note: String,
    scopes: Option<Vec<String>>,
    not_before: Option<Micros>,
    created_at: Micros,
    changed_at: Micros,
    changed_sequence: u64,
    binding: [u8; 32],
    generation: u32,
    secret_issued_at: Micros,
    previous: Option<(DigestColumns, Micros)>,
    bypasses_two_factor: bool,
    addresses: Vec<String>,
    rate: Option<(u32, u32)>,
    good_for: Option<u32>,
    pub spent: u32,
    hint: String,
    last_at: Option<Micros>,
    last_from: Option<String>,
    uses: u64,
    version: u64,
}

impl Row {
    pub fn of(record: &TokenRecord) -> Self {
        let ended = match &record.state {
            State::Active => None,
            State::Deactivated(end) | State::Revoked(end) => {
                Some((actor(&end.by), end.why.clone().map(String::from), end.at.timestamp_micros()))
            }
        };
        let scopes = match &record.grant {
            Grant::Full => None,
            Grant::Only(scopes) => Some(scopes.iter().map(ToString::to_string).collect()),
        };
        let previous = record.previous.as_ref();
        Self {
            number: record.number,
            realm: record.realm.to_string(),
            id: *record.id.as_bytes(),
            owner: record.owner.to_string(),
            kind: record.kind.to_string(),
            name: record.name.to_string(),
            state: record.state.name(),
            expires_at: record.validity.expires_at.at().map(|at| at.timestamp_micros()),
            parent: record.parent.map(|id| *id.as_bytes()),
            digest: digest(&record.digest),
            ended,
            owner_generation: record.owner_generation,
            creator: actor(&record.creator),
            prefix: record.prefix.to_string(),
            note: record.note.to_string(),
            scopes,
            not_before: record.validity.not_before.map(|at| at.timestamp_micros()),
            created_at: record.created_at.timestamp_micros(),
            changed_at: record.changed_at.timestamp_micros(),
            changed_sequence: record.changed_sequence,
            binding: *record.binding.as_bytes(),
            generation: record.generation,
            secret_issued_at: record.secret_issued_at.timestamp_micros(),
            previous: previous.map(|p| (digest(&p.digest), p.ends_at.timestamp_micros())),
            bypasses_two_factor: record.bypasses_two_factor,
            addresses: record.constraints.addresses.iter().map(ToString::to_string).collect(),
            rate: record.constraints.rate.map(|rate| (rate.uses(), rate.seconds())),
            good_for: record.constraints.uses.map(NonZeroU32::get),
            spent: record.spent,
            hint: record.hint.to_string(),
            last_at: record.usage.last_at.map(|at| at.timestamp_micros()),
            last_from: record.usage.last_from.map(|from| from.to_string()),
            uses: record.usage.count,
            version: record.version,
        }
    }

    /// The row as the contract has it; a row that cannot be read is corrupt, never absent.
    pub fn record(&self) -> Result<TokenRecord, StoreError> {
        let grant = match &self.scopes {
            None => Grant::Full,
            Some(names) => {
                let names = names.iter().map(|name| read::<ScopeName>(name));
                Grant::only(names.collect::<Result<Vec<_>, _>>()?)
                    .ok_or_else(|| corrupt("no scope"))?
            }
        };
        let mut record = TokenRecord::new(
            TokenId::from_bytes(self.id),
            read::<RealmId>(&self.realm)?,
            read::<OwnerId>(&self.owner)?,
            grant,
            stored_digest(&self.digest)?,
            instant(self.created_at)?,
        );
        record.number = self.number;
        record.owner_generation = self.owner_generation;
        record.creator = stored_actor(&self.creator)?;
        record.parent = self.parent.map(TokenId::from_bytes);
        record.kind = read(&self.kind)?;
        record.prefix = self.prefix.as_str().into();
        record.name = read(&self.name)?;
        record.note = read(&self.note)?;
        record.state = self.state()?;
        let expires_at =
            self.expires_at.map(instant).transpose()?.map_or(Expiry::Never, Expiry::At);
        record.validity = Validity::new(self.not_before.map(instant).transpose()?, expires_at);
        record.changed_at = instant(self.changed_at)?;
        record.changed_sequence = self.changed_sequence;
        record.binding = Digest::from_bytes(self.binding);
        record.generation = self.generation;
        record.secret_issued_at = instant(self.secret_issued_at)?;
        record.previous = match &self.previous {
            Some((digest, ends_at)) => {
                Some(Previous::new(stored_digest(digest)?, instant(*ends_at)?))
            }
            None => None,
        };
        record.bypasses_two_factor = self.bypasses_two_factor;
        let networks = self.addresses.iter().map(|text| text.parse());
        let networks: Result<_, _> = networks.collect();
        record.constraints = Constraints::from_addresses(networks.map_err(corrupt)?);
        record.constraints.rate = match self.rate {
            Some((uses, seconds)) => Some(Rate::new(uses, seconds).map_err(corrupt)?),
            None => None,
        };
        record.constraints.uses = self.good_for.and_then(NonZeroU32::new);
        record.spent = self.spent;
        record.hint = self.hint.as_str().into();
        let last_from = self.last_from.as_ref().map(|text| text.parse()).transpose();
        let last_at = self.last_at.map(instant).transpose()?;
        record.usage = Usage::new(last_at, last_from.map_err(corrupt)?, self.uses);
        record.version = self.version;
        Ok(record)
    }

    fn state(&self) -> Result<State, StoreError> {
        let ended = || {
            let (by, why, at) = self.ended.as_ref().ok_or_else(|| corrupt("no end"))?;
            let why = why.as_deref().map(read).transpose()?;
            Ok::<_, StoreError>(Ended::new(stored_actor(by)?, why, instant(*at)?))
        };
        match self.state {
            "active" => Ok(State::Active),
            "deactivated" => Ok(State::Deactivated(ended()?)),
            "revoked" => Ok(State::Revoked(ended()?)),
            other => Err(corrupt(other)),
        }
    }
}

pub fn digest(stored: &StoredDigest) -> DigestColumns {
    (stored.scheme, stored.key.as_ref().map(ToString::to_string), *stored.digest.as_bytes())
}

fn stored_digest((scheme, key, bits): &DigestColumns) -> Result<StoredDigest, StoreError> {
    let key = key.as_deref().map(read::<KeyId>).transpose()?;
    Ok(StoredDigest::new(*scheme, key, Digest::from_bytes(*bits)))
}

fn actor(actor: &Actor) -> ActorColumns {
    (actor.owner.as_ref().map(ToString::to_string), actor.token.map(|id| *id.as_bytes()))
}

fn stored_actor((owner, token): &ActorColumns) -> Result<Actor, StoreError> {
    let mut actor = Actor::host();
    actor.owner = owner.as_deref().map(read).transpose()?;
    actor.token = token.map(TokenId::from_bytes);
    Ok(actor)
}

fn instant(micros: Micros) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt("an instant"))
}

fn read<T: std::str::FromStr<Err = keyfob::InvalidName>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(corrupt)
}

fn corrupt(what: impl ToString) -> StoreError {
    StoreError::Corrupt(what.to_string())
}
