//! Rows as SQLite keeps them.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rusqlite::{Row, ToSql, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::digest::{Digest, DigestScheme, StoredDigest};
use crate::core::id::{KeyId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, Expiry, Previous, State, TokenRecord, Usage, Validity};
use crate::core::verify::micros;
use crate::ports::store::StoreError;

/// What a statement of this store can fail with, inside the store.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    /// A column holds what was never written there.
    Corrupt(&'static str),
    InvalidCursor,
    /// A fault in this crate: nothing of the change was kept.
    Panicked,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Trouble {
    /// The same, as the caller hears it.
    pub(super) fn told(&self) -> StoreError {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    StoreError::Corrupt(error.to_string())
                }
                _ => StoreError::unavailable(error.to_string()),
            },
            Self::Corrupt(column) => StoreError::Corrupt(format!("column {column}")),
            Self::InvalidCursor => StoreError::InvalidCursor,
            Self::Panicked => StoreError::unavailable("the change panicked"),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        trouble.told()
    }
}

/// The columns of a token in the order of [`token`].
pub(super) const COLUMNS: &str = "t.number, t.realm, t.id, t.owner, t.owner_generation, t.creator, \
     t.parent, t.kind, t.prefix, t.name, t.note, t.scopes, t.state, t.ended, t.not_before, \
     t.expires_at, t.created_at, t.changed_at, t.changed_sequence, t.scheme, t.digest_key, \
     t.digest, t.binding, t.generation, t.secret_issued_at, t.previous_scheme, t.previous_key, t.previous_digest, \
     t.previous_ends_at, t.bypasses_two_factor, t.constraints, t.hint, t.last_used_at, \
     t.last_used_from, t.use_count, t.version";

/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 36;

pub(super) fn token(row: &Row<'_>) -> Result<TokenRecord, Trouble> {
    let ended: Option<Ended> =
        row.get::<_, Option<String>>("ended")?.map(|t| json(&t, "ended")).transpose()?;
    let state = match (row.get::<_, i64>("state")?, ended) {
        (0, None) => State::Active,
        (1, Some(ended)) => State::Deactivated(ended),
        (2, Some(ended)) => State::Revoked(ended),
        _ => return Err(Trouble::Corrupt("state")),
    };
    let previous = match row.get::<_, Option<String>>("previous_scheme")? {
        None => None,
        Some(scheme) => Some(Previous::new(
            digest(&scheme, row.get("previous_key")?, &row.get::<_, Vec<u8>>("previous_digest")?)?,
            instant(row.get("previous_ends_at")?)?,
        )),
    };
    let expires_at: Option<i64> = row.get("expires_at")?;
    let not_before: Option<i64> = row.get("not_before")?;
    let last_used_from: Option<String> = row.get("last_used_from")?;
    let last_used_from: Option<IpAddr> = last_used_from
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| Trouble::Corrupt("last_used_from"))?;
    Ok(TokenRecord {
        id: id(&row.get::<_, Vec<u8>>("id")?)?,
        number: number(row.get("number")?)?,
        realm: text(row, "realm")?,
        owner: text(row, "owner")?,
        owner_generation: number(row.get("owner_generation")?)?,
        creator: json(&row.get::<_, String>("creator")?, "creator")?,
        parent: row.get::<_, Option<Vec<u8>>>("parent")?.map(|bytes| id(&bytes)).transpose()?,
        kind: text(row, "kind")?,
        prefix: row.get::<_, String>("prefix")?.into(),
        name: text(row, "name")?,
        note: text(row, "note")?,
        grant: json(&row.get::<_, String>("scopes")?, "scopes")?,
        state,
        validity: Validity::new(
            not_before.map(instant).transpose()?,
            expires_at.map(instant).transpose()?.map_or(Expiry::Never, Expiry::At),
        ),
        created_at: instant(row.get("created_at")?)?,
        changed_at: instant(row.get("changed_at")?)?,
        changed_sequence: number(row.get("changed_sequence")?)?,
        digest: digest(
            &row.get::<_, String>("scheme")?,
            row.get("digest_key")?,
            &row.get::<_, Vec<u8>>("digest")?,
        )?,
        binding: Digest::from_bytes(bytes(&row.get::<_, Vec<u8>>("binding")?, "binding")?),
        generation: number(row.get("generation")?)?,
        secret_issued_at: instant(row.get("secret_issued_at")?)?,
        previous,
        bypasses_two_factor: row.get("bypasses_two_factor")?,
        constraints: json(&row.get::<_, String>("constraints")?, "constraints")?,
        hint: row.get::<_, String>("hint")?.into(),
        usage: Usage::new(
            row.get::<_, Option<i64>>("last_used_at")?.map(instant).transpose()?,
            last_used_from,
            number(row.get("use_count")?)?,
        ),
        version: number(row.get("version")?)?,
    })
}

/// Calls `run` with every column of a row but its number and its usage, by name.
pub(super) fn with_columns<T>(
    record: &TokenRecord,
    run: impl FnOnce(&[(&str, &dyn ToSql)]) -> rusqlite::Result<T>,
) -> Result<T, Trouble> {
    let (state, ended) = match &record.state {
        State::Active => (0, None),
        State::Deactivated(ended) => (1, Some(ended)),
        State::Revoked(ended) => (2, Some(ended)),
    };
    let previous = record.previous.as_ref();
    let constraints = written(&record.constraints)?;
    run(named_params! {
        ":realm": record.realm.as_str(),
        ":id": record.id.as_bytes(),
        ":owner": record.owner.as_str(),
        ":owner_generation": record.owner_generation,
        ":creator": written(&record.creator)?,
        ":parent": record.parent.as_ref().map(|id| *id.as_bytes()),
        ":kind": record.kind.as_str(),
        ":prefix": &*record.prefix,
        ":name": record.name.as_str(),
        ":note": record.note.as_str(),
        ":scopes": written(&record.grant)?,
        ":state": state,
        ":ended": ended.map(written).transpose()?,
        ":ended_at": ended.map(|ended| micros(ended.at)),
        ":not_before": record.validity.not_before.map(micros),
        ":expires_at": record.validity.expires_at.at().map(micros),
        ":created_at": micros(record.created_at),
        ":changed_at": micros(record.changed_at),
        ":changed_sequence": signed(record.changed_sequence)?,
        ":scheme": record.digest.scheme.code(),
        ":digest_key": record.digest.key.as_ref().map(KeyId::as_str),
        ":digest": record.digest.digest.as_bytes(),
        ":binding": record.binding.as_bytes(),
        ":generation": record.generation,
        ":secret_issued_at": micros(record.secret_issued_at),
        ":previous_scheme": previous.map(|p| p.digest.scheme.code()),
        ":previous_key": previous.and_then(|p| p.digest.key.as_ref()).map(KeyId::as_str),
        ":previous_digest": previous.map(|p| *p.digest.digest.as_bytes()),
        ":previous_ends_at": previous.map(|p| micros(p.ends_at)),
        ":bypasses_two_factor": record.bypasses_two_factor,
        ":constraints": constraints,
        ":hint": &*record.hint,
        ":version": signed(record.version)?,
    })
    .map_err(Trouble::Sqlite)
}

/// An owner's columns, all `NULL` for one that nobody has spoken of.
pub(super) fn owner(row: &Row<'_>, first: usize) -> Result<OwnerState, Trouble> {
    let column = |offset: usize| first.saturating_add(offset);
    let Some(standing) = row.get::<_, Option<i64>>(column(0))? else {
        return Ok(OwnerState::unheard_of());
    };
    let standing = match standing {
        0 => OwnerStanding::Active,
        1 => OwnerStanding::Deactivated,
        2 => OwnerStanding::Deleted,
        _ => return Err(Trouble::Corrupt("standing")),
    };
    let changed_at: Option<i64> = row.get(column(3))?;
    Ok(OwnerState::new(
        standing,
        number(row.get(column(1))?)?,
        number(row.get(column(2))?)?,
        changed_at.map(instant).transpose()?,
    ))
}

pub(super) const fn standing_number(standing: OwnerStanding) -> i64 {
    match standing {
        OwnerStanding::Active => 0,
        OwnerStanding::Deactivated => 1,
        OwnerStanding::Deleted => 2,
    }
}

fn digest(scheme: &str, key: Option<String>, digest: &[u8]) -> Result<StoredDigest, Trouble> {
    let scheme = DigestScheme::from_code(scheme).ok_or(Trouble::Corrupt("scheme"))?;
    let key = key.map(KeyId::new).transpose().map_err(|_| Trouble::Corrupt("digest_key"))?;
    Ok(StoredDigest::new(scheme, key, Digest::from_bytes(bytes(digest, "digest")?)))
}

pub(super) fn id(value: &[u8]) -> Result<TokenId, Trouble> {
    bytes(value, "id").map(TokenId::from_bytes)
}

fn bytes<const N: usize>(value: &[u8], column: &'static str) -> Result<[u8; N], Trouble> {
    value.try_into().map_err(|_| Trouble::Corrupt(column))
}

pub(super) fn instant(micros: i64) -> Result<DateTime<Utc>, Trouble> {
    DateTime::from_timestamp_micros(micros).ok_or(Trouble::Corrupt("an instant"))
}

pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, Trouble> {
    value.try_into().map_err(|_| Trouble::Corrupt("a number"))
}

/// SQLite's integers are signed. Counters do not get that far in the life of a machine.
pub(super) fn signed(value: u64) -> Result<i64, Trouble> {
    value.try_into().map_err(|_| Trouble::Corrupt("a number"))
}

fn text<T: TryFrom<String>>(row: &Row<'_>, column: &'static str) -> Result<T, Trouble> {
    row.get::<_, String>(column)?.try_into().map_err(|_| Trouble::Corrupt(column))
}

pub(super) fn json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|_| Trouble::Corrupt(column))
}

pub(super) fn written<T: Serialize>(value: &T) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|_| Trouble::Corrupt("a value"))
}
