//! A token's row as the databases keep it: which columns, and what each holds.
//!
//! Instants are microseconds since 1970; ids and digests are bytes; what has parts is JSON text.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::change::{Patch, SecretPatch};
use crate::core::digest::{Digest, DigestScheme, StoredDigest};
use crate::core::id::{KeyId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, Expiry, Previous, State, TokenRecord, Usage, Validity};
use crate::core::verify::micros;

/// The columns of a token in the order of [`token`].
pub(super) const COLUMNS: &str = "t.number, t.realm, t.id, t.owner, t.owner_generation, \
     t.creator, t.parent, t.kind, t.prefix, t.name, t.note, t.scopes, t.state, t.ended, \
     t.not_before, t.expires_at, t.created_at, t.changed_at, t.changed_sequence, t.scheme, \
     t.digest_key, t.digest, t.binding, t.generation, t.secret_issued_at, t.previous_scheme, \
     t.previous_key, t.previous_digest, t.previous_ends_at, t.bypasses_two_factor, \
     t.constraints, t.hint, t.last_used_at, t.last_used_from, t.use_count, t.version";

/// What one column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A column that holds what was never written there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damaged(pub(super) &'static str);

/// A row whose columns are read one after the other.
pub(super) trait Row {
    type Error: From<Damaged>;

    fn integer(&mut self) -> Result<Option<i64>, Self::Error>;
    fn text(&mut self) -> Result<Option<String>, Self::Error>;
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Reads the columns of [`COLUMNS`].
pub(super) fn token<R: Row>(row: &mut R) -> Result<TokenRecord, R::Error> {
    let number = given(row.integer()?, "number")?;
    let realm = word(row.text()?, "realm")?;
    let id = given_bytes(row.bytes()?, "id")?;
    let owner = word(row.text()?, "owner")?;
    let owner_generation = given(row.integer()?, "owner_generation")?;
    let creator = json(&required(row.text()?, "creator")?, "creator")?;
    let parent = row.bytes()?.map(|bytes| fixed(&bytes, "parent")).transpose()?;
    let kind = word(row.text()?, "kind")?;
    let prefix = required(row.text()?, "prefix")?.into();
    let name = word(row.text()?, "name")?;
    let note = word(row.text()?, "note")?;
    let grant = json(&required(row.text()?, "scopes")?, "scopes")?;
    let state = state(row.integer()?, row.text()?)?;
    let not_before = instant(row.integer()?)?;
    let expires_at = instant(row.integer()?)?;
    let created_at = required(instant(row.integer()?)?, "created_at")?;
    let changed_at = required(instant(row.integer()?)?, "changed_at")?;
    let changed_sequence = given(row.integer()?, "changed_sequence")?;
    let digest = stored_digest(row.text()?, row.text()?, row.bytes()?)?;
    let binding = Digest::from_bytes(given_bytes(row.bytes()?, "binding")?);
    let generation = given(row.integer()?, "generation")?;
    let secret_issued_at = required(instant(row.integer()?)?, "secret_issued_at")?;
    let previous = match (row.text()?, row.text()?, row.bytes()?, instant(row.integer()?)?) {
        (None, None, None, None) => None,
        (scheme, key, digest, ends_at) => Some(Previous::new(
            stored_digest(scheme, key, digest)?,
            required(ends_at, "previous_ends_at")?,
        )),
    };
    let bypasses_two_factor = match row.integer()? {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Damaged("bypasses_two_factor").into()),
    };
    let constraints = json(&required(row.text()?, "constraints")?, "constraints")?;
    let hint = required(row.text()?, "hint")?.into();
    let last_used_at = instant(row.integer()?)?;
    let last_used_from: Option<IpAddr> =
        row.text()?.map(|text| text.parse()).transpose().map_err(|_| Damaged("last_used_from"))?;
    let usage = Usage::new(last_used_at, last_used_from, given(row.integer()?, "use_count")?);
    Ok(TokenRecord {
        id: TokenId::from_bytes(id),
        number,
        realm,
        owner,
        owner_generation,
        creator,
        parent: parent.map(TokenId::from_bytes),
        kind,
        prefix,
        name,
        note,
        grant,
        state,
        validity: Validity::new(not_before, expires_at.map_or(Expiry::Never, Expiry::At)),
        created_at,
        changed_at,
        changed_sequence,
        digest,
        binding,
        generation,
        secret_issued_at,
        previous,
        bypasses_two_factor,
        constraints,
        hint,
        usage,
        version: given(row.integer()?, "version")?,
    })
}

/// Columns by name.
pub(super) type Named = Vec<(&'static str, Value)>;

/// Every column of a row but its number, which the database gives.
pub(super) fn of_token(record: &TokenRecord) -> Result<Named, Damaged> {
    let secret = SecretPatch {
        digest: record.digest.clone(),
        binding: record.binding,
        generation: record.generation,
        issued_at: record.secret_issued_at,
        previous: record.previous.clone(),
        prefix: record.prefix.clone(),
        hint: record.hint.clone(),
    };
    // A patch of everything that a patch can set, and then what none can.
    let mut columns = of_patch(&Patch {
        state: Some(record.state.clone()),
        name: Some(record.name.clone()),
        note: Some(record.note.clone()),
        grant: Some(record.grant.clone()),
        validity: Some(record.validity),
        constraints: Some(record.constraints.clone()),
        bypasses_two_factor: Some(record.bypasses_two_factor),
        secret: Some(secret),
    })?;
    let from = record.usage.last_from.map(|address| address.to_string());
    columns.extend([
        ("realm", record.realm.as_str().into()),
        ("id", record.id.as_bytes()[..].into()),
        ("owner", record.owner.as_str().into()),
        ("owner_generation", i64::from(record.owner_generation).into()),
        ("creator", written(&record.creator)?.into()),
        ("parent", record.parent.as_ref().map(|id| &id.as_bytes()[..]).into()),
        ("kind", record.kind.as_str().into()),
        ("created_at", micros(record.created_at).into()),
        ("changed_at", micros(record.changed_at).into()),
        ("changed_sequence", signed(record.changed_sequence)?.into()),
        ("last_used_at", record.usage.last_at.map(micros).into()),
        ("last_used_from", from.into()),
        ("use_count", signed(record.usage.count)?.into()),
        ("version", signed(record.version)?.into()),
    ]);
    Ok(columns)
}

/// The columns that a patch sets.
pub(super) fn of_patch(patch: &Patch) -> Result<Named, Damaged> {
    let mut columns = Vec::new();
    if let Some(state) = &patch.state {
        let (state, ended) = match state {
            State::Active => (0, None),
            State::Deactivated(ended) => (1, Some(ended)),
            State::Revoked(ended) => (2, Some(ended)),
        };
        columns.extend([
            ("state", state.into()),
            ("ended", ended.map(written).transpose()?.into()),
            ("ended_at", ended.map(|ended| micros(ended.at)).into()),
        ]);
    }
    if let Some(name) = &patch.name {
        columns.push(("name", name.as_str().into()));
    }
    if let Some(note) = &patch.note {
        columns.push(("note", note.as_str().into()));
    }
    if let Some(grant) = &patch.grant {
        columns.push(("scopes", written(grant)?.into()));
    }
    if let Some(validity) = &patch.validity {
        columns.extend([
            ("not_before", validity.not_before.map(micros).into()),
            ("expires_at", validity.expires_at.at().map(micros).into()),
        ]);
    }
    if let Some(constraints) = &patch.constraints {
        columns.push(("constraints", written(constraints)?.into()));
    }
    if let Some(bypasses) = patch.bypasses_two_factor {
        columns.push(("bypasses_two_factor", i64::from(bypasses).into()));
    }
    if let Some(secret) = &patch.secret {
        let key = |digest: &StoredDigest| Value::from(digest.key.as_ref().map(KeyId::as_str));
        let previous = secret.previous.as_ref();
        columns.extend([
            ("prefix", (&*secret.prefix).into()),
            ("hint", (&*secret.hint).into()),
            ("scheme", secret.digest.scheme.code().into()),
            ("digest_key", key(&secret.digest)),
            ("digest", secret.digest.digest.as_bytes()[..].into()),
            ("binding", secret.binding.as_bytes()[..].into()),
            ("generation", i64::from(secret.generation).into()),
            ("secret_issued_at", micros(secret.issued_at).into()),
            ("previous_scheme", previous.map(|p| p.digest.scheme.code()).into()),
            ("previous_key", previous.map_or(Value::Null, |p| key(&p.digest))),
            ("previous_digest", previous.map(|p| &p.digest.digest.as_bytes()[..]).into()),
            ("previous_ends_at", previous.map(|p| micros(p.ends_at)).into()),
        ]);
    }
    Ok(columns)
}

/// Reads an owner's standing, generation, sequence and time of change: all null for an owner that
/// nobody has spoken of.
pub(super) fn owner<R: Row>(row: &mut R) -> Result<OwnerState, R::Error> {
    let (standing, generation) = (row.integer()?, row.integer()?);
    let (sequence, changed_at) = (row.integer()?, instant(row.integer()?)?);
    let standing = match standing {
        None => return Ok(OwnerState::unheard_of()),
        Some(0) => OwnerStanding::Active,
        Some(1) => OwnerStanding::Deactivated,
        Some(2) => OwnerStanding::Deleted,
        Some(_) => return Err(Damaged("standing").into()),
    };
    Ok(OwnerState::new(
        standing,
        given(generation, "generation")?,
        given(sequence, "sequence")?,
        changed_at,
    ))
}

pub(super) const fn standing_number(standing: OwnerStanding) -> i64 {
    match standing {
        OwnerStanding::Active => 0,
        OwnerStanding::Deactivated => 1,
        OwnerStanding::Deleted => 2,
    }
}

fn state(number: Option<i64>, ended: Option<String>) -> Result<State, Damaged> {
    let ended: Option<Ended> = ended.map(|text| json(&text, "ended")).transpose()?;
    match (number, ended) {
        (Some(0), None) => Ok(State::Active),
        (Some(1), Some(ended)) => Ok(State::Deactivated(ended)),
        (Some(2), Some(ended)) => Ok(State::Revoked(ended)),
        _ => Err(Damaged("state")),
    }
}

fn stored_digest(
    scheme: Option<String>,
    key: Option<String>,
    digest: Option<Vec<u8>>,
) -> Result<StoredDigest, Damaged> {
    let scheme = required(scheme, "scheme")?;
    let scheme = DigestScheme::from_code(&scheme).ok_or(Damaged("scheme"))?;
    let key = key.map(KeyId::new).transpose().map_err(|_| Damaged("digest_key"))?;
    Ok(StoredDigest::new(scheme, key, Digest::from_bytes(given_bytes(digest, "digest")?)))
}

pub(super) fn required<T>(value: Option<T>, column: &'static str) -> Result<T, Damaged> {
    value.ok_or(Damaged(column))
}

/// A number that must be there and fit.
pub(super) fn given<T: TryFrom<i64>>(
    value: Option<i64>,
    column: &'static str,
) -> Result<T, Damaged> {
    required(value, column)?.try_into().map_err(|_| Damaged(column))
}

pub(super) fn given_bytes<const N: usize>(
    value: Option<Vec<u8>>,
    column: &'static str,
) -> Result<[u8; N], Damaged> {
    fixed(&required(value, column)?, column)
}

pub(super) fn fixed<const N: usize>(
    value: &[u8],
    column: &'static str,
) -> Result<[u8; N], Damaged> {
    value.try_into().map_err(|_| Damaged(column))
}

/// A text that must be there and of its type's form.
pub(super) fn word<T: TryFrom<String>>(
    value: Option<String>,
    column: &'static str,
) -> Result<T, Damaged> {
    required(value, column)?.try_into().map_err(|_| Damaged(column))
}

fn instant(micros: Option<i64>) -> Result<Option<DateTime<Utc>>, Damaged> {
    micros
        .map(|micros| DateTime::from_timestamp_micros(micros).ok_or(Damaged("an instant")))
        .transpose()
}

/// The databases' integers are signed. Counters do not get that far in the life of a machine.
pub(super) fn signed(value: u64) -> Result<i64, Damaged> {
    value.try_into().map_err(|_| Damaged("a number"))
}

/// A version to compare with. One that does not fit was never given, and -1 neither.
pub(super) fn version(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(-1)
}

pub(super) fn json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, Damaged> {
    serde_json::from_str(text).map_err(|_| Damaged(column))
}

pub(super) fn written<T: Serialize>(value: &T) -> Result<String, Damaged> {
    serde_json::to_string(value).map_err(|_| Damaged("a value"))
}
