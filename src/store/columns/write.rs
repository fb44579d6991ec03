//! What a row's columns are written as.

use serde::Serialize;

use super::{Damaged, Value};
use crate::core::change::{Patch, SecretPatch};
use crate::core::digest::StoredDigest;
use crate::core::id::KeyId;
use crate::core::owner::OwnerStanding;
use crate::core::token::{State, TokenRecord};
use crate::core::verify::micros;
use crate::ports::store::StateName;

/// Columns by name.
pub(in crate::store) type Named = Vec<(&'static str, Value)>;

/// Every column of a row but its number, which the database gives.
pub(in crate::store) fn of_token(record: &TokenRecord) -> Result<Named, Damaged> {
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
        ("spent", i64::from(record.spent).into()),
        ("last_used_at", record.usage.last_at.map(micros).into()),
        ("last_used_from", from.into()),
        ("use_count", signed(record.usage.count)?.into()),
        ("version", signed(record.version)?.into()),
    ]);
    Ok(columns)
}

/// The columns that a patch sets.
pub(in crate::store) fn of_patch(patch: &Patch) -> Result<Named, Damaged> {
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

pub(in crate::store) const fn standing_number(standing: OwnerStanding) -> i64 {
    match standing {
        OwnerStanding::Active => 0,
        OwnerStanding::Deactivated => 1,
        OwnerStanding::Deleted => 2,
    }
}

pub(in crate::store) const fn state_number(state: StateName) -> i64 {
    match state {
        StateName::Active => 0,
        StateName::Deactivated => 1,
        StateName::Revoked => 2,
    }
}

/// The databases' integers are signed. Counters do not get that far in the life of a machine.
pub(in crate::store) fn signed(value: u64) -> Result<i64, Damaged> {
    value.try_into().map_err(|_| Damaged("a number"))
}

pub(in crate::store) fn written<T: Serialize>(value: &T) -> Result<String, Damaged> {
    serde_json::to_string(value).map_err(|_| Damaged("a value"))
}
