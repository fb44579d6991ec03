//! What a row's columns are read as.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::Damaged;
use crate::core::constraints::Constraints;
use crate::core::digest::{Digest, DigestScheme, StoredDigest};
use crate::core::event::Actor;
use crate::core::id::{KeyId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::scope::Grant;
use crate::core::token::{Ended, Expiry, Previous, State, TokenRecord, Usage, Validity};
use crate::ports::store::{Epoch, Found, NodeId, NodeReport, Touched};

/// A row whose columns are read one after the other, without copying what they hold.
pub(in crate::store) trait Row<'r> {
    type Error: From<Damaged>;

    fn integer(&mut self) -> Result<Option<i64>, Self::Error>;
    fn text(&mut self) -> Result<Option<&'r str>, Self::Error>;
    fn bytes(&mut self) -> Result<Option<&'r [u8]>, Self::Error>;
}

/// Reads the columns of [`COLUMNS`](super::COLUMNS).
pub(in crate::store) fn token<'r, R: Row<'r>>(row: &mut R) -> Result<TokenRecord, R::Error> {
    let number = given(row.integer()?, "number")?;
    let realm = word(row.text()?, "realm")?;
    let id = given_bytes(row.bytes()?, "id")?;
    let owner = word(row.text()?, "owner")?;
    let owner_generation = given(row.integer()?, "owner_generation")?;
    let creator = match row.text()? {
        Some(BY_HOST) => Actor::host(),
        other => json(other, "creator")?,
    };
    let parent = row.bytes()?.map(|bytes| fixed(bytes, "parent")).transpose()?;
    let kind = word(row.text()?, "kind")?;
    let prefix = required(row.text()?, "prefix")?.into();
    let name = word(row.text()?, "name")?;
    let note = word(row.text()?, "note")?;
    let grant = match row.text()? {
        Some(FULL) => Grant::Full,
        other => json(other, "scopes")?,
    };
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
    let constraints = match row.text()? {
        Some(UNCONSTRAINED) => Constraints::default(),
        other => json(other, "constraints")?,
    };
    let spent = given(row.integer()?, "spent")?;
    let hint = required(row.text()?, "hint")?.into();
    let last_used_at = instant(row.integer()?)?;
    let last_used_from: Option<IpAddr> =
        row.text()?.map(str::parse).transpose().map_err(|_| Damaged("last_used_from"))?;
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
        spent,
        hint,
        usage,
        version: given(row.integer()?, "version")?,
    })
}

/// What most rows hold, which is known without being parsed.
const FULL: &str = r#""full""#;
const UNCONSTRAINED: &str = r#"{"addresses":[]}"#;
const BY_HOST: &str = r#"{"owner":null,"token":null}"#;

/// Reads the columns of [`COLUMNS`](super::COLUMNS) and then of
/// [`FOUND_WITH`](super::FOUND_WITH).
pub(in crate::store) fn found<'r, R: Row<'r>>(row: &mut R) -> Result<Found, R::Error> {
    let record = Box::new(token(row)?);
    let owner = owner(row)?;
    Ok(Found::new(record, owner, Epoch(given(row.integer()?, "epoch")?)))
}

/// Reads a change's epoch, token and owner: one of the latter two, or neither, which is everything.
pub(in crate::store) fn change<'r, R: Row<'r>>(row: &mut R) -> Result<(Epoch, Touched), R::Error> {
    let epoch = Epoch(given(row.integer()?, "epoch")?);
    let touched = match (row.bytes()?, row.text()?) {
        (Some(token), _) => Touched::Token(TokenId::from_bytes(fixed(token, "token")?)),
        (None, Some(owner)) => Touched::Owner(word(Some(owner), "owner")?),
        (None, None) => Touched::Everything,
    };
    Ok((epoch, touched))
}

/// Reads a node, how far it has come, its bound in microseconds and when it reported.
pub(in crate::store) fn node<'r, R: Row<'r>>(row: &mut R) -> Result<NodeReport, R::Error> {
    Ok(NodeReport::new(
        NodeId(given_bytes(row.bytes()?, "node")?),
        Epoch(given(row.integer()?, "applied")?),
        Duration::from_micros(given(row.integer()?, "bound")?),
        required(instant(row.integer()?)?, "at")?,
    ))
}

/// Reads an owner's standing, generation, sequence and time of change: all null for an owner that
/// nobody has spoken of.
pub(in crate::store) fn owner<'r, R: Row<'r>>(row: &mut R) -> Result<OwnerState, R::Error> {
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

fn state(number: Option<i64>, ended: Option<&str>) -> Result<State, Damaged> {
    let ended: Option<Ended> = ended.map(|text| json(Some(text), "ended")).transpose()?;
    match (number, ended) {
        (Some(0), None) => Ok(State::Active),
        (Some(1), Some(ended)) => Ok(State::Deactivated(ended)),
        (Some(2), Some(ended)) => Ok(State::Revoked(ended)),
        _ => Err(Damaged("state")),
    }
}

fn stored_digest(
    scheme: Option<&str>,
    key: Option<&str>,
    digest: Option<&[u8]>,
) -> Result<StoredDigest, Damaged> {
    let scheme = required(scheme, "scheme")?;
    let scheme = DigestScheme::from_code(scheme).ok_or(Damaged("scheme"))?;
    let key = key.map(KeyId::new).transpose().map_err(|_| Damaged("digest_key"))?;
    Ok(StoredDigest::new(scheme, key, Digest::from_bytes(given_bytes(digest, "digest")?)))
}

fn required<T>(value: Option<T>, column: &'static str) -> Result<T, Damaged> {
    value.ok_or(Damaged(column))
}

/// A number that must be there and fit.
pub(in crate::store) fn given<T: TryFrom<i64>>(
    value: Option<i64>,
    column: &'static str,
) -> Result<T, Damaged> {
    required(value, column)?.try_into().map_err(|_| Damaged(column))
}

pub(in crate::store) fn given_bytes<const N: usize>(
    value: Option<&[u8]>,
    column: &'static str,
) -> Result<[u8; N], Damaged> {
    fixed(required(value, column)?, column)
}

pub(in crate::store) fn fixed<const N: usize>(
    value: &[u8],
    column: &'static str,
) -> Result<[u8; N], Damaged> {
    value.try_into().map_err(|_| Damaged(column))
}

/// A text that must be there and of its type's form.
pub(in crate::store) fn word<T: FromStr>(
    value: Option<&str>,
    column: &'static str,
) -> Result<T, Damaged> {
    required(value, column)?.parse().map_err(|_| Damaged(column))
}

fn instant(micros: Option<i64>) -> Result<Option<DateTime<Utc>>, Damaged> {
    micros
        .map(|micros| DateTime::from_timestamp_micros(micros).ok_or(Damaged("an instant")))
        .transpose()
}

/// What was written as JSON.
pub(in crate::store) fn json<T: DeserializeOwned>(
    value: Option<&str>,
    column: &'static str,
) -> Result<T, Damaged> {
    serde_json::from_str(required(value, column)?).map_err(|_| Damaged(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::ScopeName;
    use crate::store::columns::written;

    #[test]
    fn the_usual_texts_are_those_that_are_written() {
        assert_eq!(written(&Grant::<ScopeName>::Full).unwrap(), FULL);
        assert_eq!(written(&Constraints::default()).unwrap(), UNCONSTRAINED);
        assert_eq!(written(&Actor::host()).unwrap(), BY_HOST);
    }
}
