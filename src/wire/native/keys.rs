//! Keys with values, each of which is asked for by name once: an object's, or a query's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;

use crate::core::id::InvalidName;
use crate::http::Problem;

/// Why a body or a query cannot be read: a fault of the request, before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) detail: Cow<'static, str>,
    pub(super) field: Option<String>,
}

impl Fault {
    pub(super) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None }
    }

    fn about(code: &'static str, key: &str, says: &str) -> Self {
        let key = shortened(key);
        Self { code, detail: format!("{key}: {says}").into(), field: Some(key) }
    }

    pub(super) fn wrong(key: &str, expected: &str) -> Self {
        Self::about("wrong_type", key, &format!("expected {expected}"))
    }

    pub(super) fn name(key: &str, error: &InvalidName) -> Self {
        Self::about(error.code(), key, &error.to_string())
    }

    pub(super) fn unknown_scope() -> Self {
        Self::about("unknown_scope", "scopes", "there is no such scope")
    }

    pub(super) fn both(key: &str, other: &str) -> Self {
        Self::about("conflicting_keys", key, &format!("not together with {other}"))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::new(StatusCode::BAD_REQUEST, fault.code, fault.detail).about(fault.field)
    }
}

/// The keys of one request that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Keys<V>(BTreeMap<String, V>);

impl<V> Keys<V> {
    pub(super) fn new(pairs: Vec<(String, V)>) -> Result<Self, Fault> {
        let mut keys = BTreeMap::new();
        for (key, value) in pairs {
            if keys.contains_key(&key) {
                return Err(Fault::about("duplicate_key", &key, "given twice"));
            }
            keys.insert(key, value);
        }
        Ok(Self(keys))
    }

    /// The value of a key, if it is there; `expected` says what it should have been.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(V) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.0.remove(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| Fault::wrong(key, expected))
    }

    /// Refuses what nobody has asked for.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.0.first_key_value() {
            None => Ok(()),
            Some((key, _)) => Err(Fault::about("unknown_key", key, "there is no such key")),
        }
    }
}

/// Enough of a key to be recognised. A longer one is not one of ours, and may be anything.
fn shortened(key: &str) -> String {
    key.chars().take(LONGEST_KEY).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Twice the longest key that there is, and shorter than any token.
const LONGEST_KEY: usize = 32;
