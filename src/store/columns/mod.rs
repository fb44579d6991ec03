//! A token's row as the databases keep it: which columns, and what each holds.
//!
//! Instants are microseconds since 1970; ids and digests are bytes; what has parts is JSON text.

mod read;
mod write;

pub(super) use self::read::{
    Row, change, fixed, found, given, given_bytes, json, node, owner, token,
};
pub(super) use self::write::{
    Named, of_patch, of_token, signed, standing_number, state_number, written,
};

/// The columns of a token in the order of [`token`].
pub(super) const COLUMNS: &str = "t.number, t.realm, t.id, t.owner, t.owner_generation, \
     t.creator, t.parent, t.kind, t.prefix, t.name, t.note, t.scopes, t.state, t.ended, \
     t.not_before, t.expires_at, t.created_at, t.changed_at, t.changed_sequence, t.scheme, \
     t.digest_key, t.digest, t.binding, t.generation, t.secret_issued_at, t.previous_scheme, \
     t.previous_key, t.previous_digest, t.previous_ends_at, t.bypasses_two_factor, \
     t.constraints, t.spent, t.hint, t.last_used_at, t.last_used_from, t.use_count, t.version";

/// What [`found`] reads after them, of the token's owner `o` and realm `r`.
pub(super) const FOUND_WITH: &str =
    "o.standing, o.generation, o.sequence, o.changed_at, coalesce(r.epoch, 0)";

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

/// A column that holds another type than the schema gives it.
pub(super) const OF_ANOTHER_TYPE: Damaged = Damaged("of another type than was written");
