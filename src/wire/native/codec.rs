//! From the bytes of a body to what is asked for. Pure: no state, no clock, no waiting.
//!
//! A body is one JSON object. What is not exactly what the `OpenAPI` document describes is refused
//! with the key's name: another type, a key that there is not, a key given twice, `null` where
//! nothing may be absent on purpose. Of a key given twice further inside only the place is told.
//! Nesting is bounded by the JSON reader, at 128.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use super::keys::{Fault, Keys};
use crate::core::constraints::Constraints;
use crate::core::id::{InvalidName, Note, ScopeName, TokenName};
use crate::core::issue::Lifetime;
use crate::core::lifecycle::Narrowing;
use crate::core::rotation::Rotation;
use crate::core::scope::{Grant, Scope};
use crate::core::time::is_in_range;
use crate::wire::once::Once;

/// What `POST /tokens` asks for.
#[derive(Debug)]
pub(super) struct Creation<S: Scope> {
    pub(super) name: TokenName,
    pub(super) note: Note,
    /// `None` is as much as the presenting token holds.
    pub(super) grant: Option<Grant<S>>,
    pub(super) lifetime: Lifetime,
    pub(super) not_before: Option<DateTime<Utc>>,
    pub(super) constraints: Constraints,
}

/// What `PATCH /tokens/{id}` asks for.
#[derive(Debug)]
pub(super) struct Edit<S: Scope> {
    pub(super) name: Option<TokenName>,
    pub(super) note: Option<Note>,
    pub(super) narrowing: Narrowing<S>,
}

pub(super) fn creation<S: Scope>(body: &[u8]) -> Result<Creation<S>, Fault> {
    let mut keys = keys(body)?;
    let creation = Creation {
        name: named(&mut keys, "name", TokenName::new)?.unwrap_or_default(),
        note: named(&mut keys, "note", Note::new)?.unwrap_or_default(),
        grant: grant(&mut keys)?,
        lifetime: lifetime(&mut keys)?.unwrap_or(Lifetime::Default),
        not_before: keys.take("not_before", INSTANT, instant)?,
        constraints: constraints(&mut keys)?.unwrap_or_default(),
    };
    keys.finish()?;
    Ok(creation)
}

pub(super) fn edit<S: Scope>(body: &[u8]) -> Result<Edit<S>, Fault> {
    let mut keys = keys(body)?;
    let narrowing = Narrowing {
        grant: grant(&mut keys)?,
        expires_at: keys.take("expires_at", INSTANT, instant)?,
        constraints: constraints(&mut keys)?,
        ..Narrowing::default()
    };
    let edit = Edit {
        name: named(&mut keys, "name", TokenName::new)?,
        note: named(&mut keys, "note", Note::new)?,
        narrowing,
    };
    keys.finish()?;
    Ok(edit)
}

/// An empty body rotates at once and keeps the expiry.
pub(super) fn rotation(body: &[u8]) -> Result<Rotation, Fault> {
    let mut keys = keys_if_any(body)?;
    let overlap = keys.take("overlap_seconds", SECONDS, |value| seconds(&value, 0))?;
    let mut rotation = Rotation::with_overlap(overlap.unwrap_or_default());
    rotation.lifetime = lifetime(&mut keys)?;
    keys.finish()?;
    Ok(rotation)
}

/// Why something is deactivated, where the body says so.
pub(super) fn reason(body: &[u8]) -> Result<Option<Note>, Fault> {
    let mut keys = keys_if_any(body)?;
    let why = named(&mut keys, "why", Note::new)?;
    keys.finish()?;
    Ok(why)
}

/// A body that says nothing.
pub(super) fn nothing(body: &[u8]) -> Result<(), Fault> {
    keys_if_any(body)?.finish()
}

fn keys_if_any(body: &[u8]) -> Result<Keys<Value>, Fault> {
    if body.is_empty() { Keys::new(Vec::new()) } else { keys(body) }
}

fn keys(body: &[u8]) -> Result<Keys<Value>, Fault> {
    let pairs: Pairs = serde_json::from_slice(body).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        match error.classify() {
            // Nothing else can be wrong with an object of whatever values.
            Category::Data if body.trim_ascii_start().starts_with(b"{") => {
                Fault::new("duplicate_key", format!("a key is given twice before {at}"))
            }
            Category::Data => Fault::new("wrong_type", "the body is not an object"),
            Category::Eof | Category::Io | Category::Syntax => {
                Fault::new("malformed_json", format!("no JSON from {at}"))
            }
        }
    })?;
    Keys::new(pairs.0)
}

/// An object's keys and values in their order, repeated ones included: a map would let the last
/// of two win.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, Once(value))) = map.next_entry()? {
            pairs.push((key, value));
        }
        Ok(Pairs(pairs))
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn named<T>(
    keys: &mut Keys<Value>,
    key: &str,
    read: fn(String) -> Result<T, InvalidName>,
) -> Result<Option<T>, Fault> {
    let text = keys.take(key, "a string", text)?;
    text.map(read).transpose().map_err(|error| Fault::name(key, &error))
}

fn grant<S: Scope>(keys: &mut Keys<Value>) -> Result<Option<Grant<S>>, Fault> {
    let Some(names) = keys.take("scopes", SCOPES, scope_names)? else {
        return Ok(None);
    };
    let Some(names) = names else {
        return Ok(Some(Grant::Full));
    };
    // A name that means nothing here would be stored and grant nothing: a token that its owner
    // takes for more than it is.
    let scopes: Option<Vec<S>> =
        names.into_iter().map(|name| S::parse(&ScopeName::new(name).ok()?)).collect();
    scopes.and_then(Grant::only).map(Some).ok_or_else(Fault::unknown_scope)
}

/// `None` is the word for everything.
fn scope_names(value: Value) -> Option<Option<Vec<String>>> {
    match value {
        Value::String(word) if word == "full" => Some(None),
        Value::Array(_) => texts(value).map(Some),
        _ => None,
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) if (1..=MOST_ITEMS).contains(&items.len()) => {
            items.into_iter().map(text).collect()
        }
        _ => None,
    }
}

fn lifetime(keys: &mut Keys<Value>) -> Result<Option<Lifetime>, Fault> {
    let at = keys.take("expires_at", INSTANT_OR_NULL, |value| match value {
        Value::Null => Some(Lifetime::Unlimited),
        value => instant(value).map(Lifetime::Until),
    })?;
    let length = keys.take("expires_in", SECONDS, |value| seconds(&value, 1))?;
    match (at, length) {
        (Some(_), Some(_)) => Err(Fault::both("expires_in", "expires_at")),
        (at, length) => Ok(at.or_else(|| length.map(Lifetime::For))),
    }
}

fn seconds(value: &Value, least: i64) -> Option<TimeDelta> {
    let seconds = value.as_i64().filter(|seconds| (least..=MOST_SECONDS).contains(seconds))?;
    TimeDelta::try_seconds(seconds)
}

fn instant(value: Value) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(&text(value)?).ok()?.to_utc();
    is_in_range(at).then_some(at)
}

fn constraints(keys: &mut Keys<Value>) -> Result<Option<Constraints>, Fault> {
    let addresses = keys.take("addresses", NETWORKS, |value| {
        texts(value)?.iter().map(|text| network(text)).collect::<Option<Vec<IpNet>>>()
    })?;
    let rate = keys.take("rate", RATE, |value| {
        // A list would be read as well.
        value.is_object().then(|| serde_json::from_value(value).ok()).flatten()
    })?;
    let uses = keys.take("uses", USES, |value| serde_json::from_value(value).ok())?;
    let mut constraints = Constraints::from_addresses(addresses.unwrap_or_default());
    (constraints.rate, constraints.uses) = (rate, uses);
    Ok(Some(constraints).filter(|constraints| *constraints != Constraints::default()))
}

/// A network, or one address, which is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    Some(network.trunc())
}

/// Of scopes or networks in one request: more than a person writes, few enough to judge on every
/// use.
pub(super) const MOST_ITEMS: usize = 100;

/// The years up to 9999, in seconds: whatever is longer is no length of time.
const MOST_SECONDS: i64 = 253_402_300_799;

const INSTANT: &str = "an instant of RFC 3339 in the years 1970 to 9999";
const INSTANT_OR_NULL: &str = "null, or an instant of RFC 3339 in the years 1970 to 9999";
const NETWORKS: &str = "1 to 100 networks such as 192.0.2.0/24";
const RATE: &str = "1 to 1000000 uses in 1 to 86400 seconds";
const SCOPES: &str = "\"full\", or 1 to 100 names of scopes";
const SECONDS: &str = "a whole number of seconds";
const USES: &str = "a whole number from 1 to 4294967295";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::scope::ReadWrite;

    fn refused(body: &str) -> (&'static str, Option<String>) {
        let fault = creation::<ReadWrite>(body.as_bytes()).unwrap_err();
        (fault.code, fault.field)
    }

    #[test]
    fn what_is_not_described_is_refused_by_its_name() {
        let table = [
            ("", "malformed_json", None),
            ("{", "malformed_json", None),
            ("{} {}", "malformed_json", None),
            ("{\"name\":1e999}", "malformed_json", None),
            ("{\"name\":\"\\ud800\"}", "malformed_json", None),
            ("[]", "wrong_type", None),
            ("null", "wrong_type", None),
            ("{\"name\":null}", "wrong_type", Some("name")),
            ("{\"name\":{\"a\":1}}", "wrong_type", Some("name")),
            ("{\"name\":\"a\",\"name\":\"a\"}", "duplicate_key", Some("name")),
            ("{\"rate\":{\"uses\":1,\"uses\":9,\"seconds\":1}}", "duplicate_key", None),
            (" {\"name\":[{\"a\":1,\"\\u0061\":1}]}", "duplicate_key", None),
            ("[{\"a\":1,\"a\":1}]", "wrong_type", None),
            ("{\"Name\":\"a\"}", "unknown_key", Some("Name")),
            ("{\"name\":\"a\\u0000b\"}", "invalid_name", Some("name")),
            ("{\"scopes\":[]}", "wrong_type", Some("scopes")),
            ("{\"scopes\":\"read\"}", "wrong_type", Some("scopes")),
            ("{\"scopes\":[\"full\"]}", "unknown_scope", Some("scopes")),
            ("{\"scopes\":[\"Read\"]}", "unknown_scope", Some("scopes")),
            ("{\"expires_in\":1.0}", "wrong_type", Some("expires_in")),
            ("{\"expires_in\":0}", "wrong_type", Some("expires_in")),
            ("{\"expires_in\":-1}", "wrong_type", Some("expires_in")),
            ("{\"expires_in\":9223372036854775808}", "wrong_type", Some("expires_in")),
            ("{\"expires_in\":1,\"expires_at\":null}", "conflicting_keys", Some("expires_in")),
            ("{\"expires_at\":\"tomorrow\"}", "wrong_type", Some("expires_at")),
            ("{\"expires_at\":\"1969-12-31T23:59:59Z\"}", "wrong_type", Some("expires_at")),
            ("{\"not_before\":null}", "wrong_type", Some("not_before")),
            ("{\"addresses\":[]}", "wrong_type", Some("addresses")),
            ("{\"addresses\":[\"192.0.2.0/33\"]}", "wrong_type", Some("addresses")),
        ];
        for (body, code, field) in table {
            assert_eq!(refused(body), (code, field.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(refused(&deep), ("malformed_json", None));
    }

    #[test]
    fn a_long_key_is_not_repeated_at_length() {
        let (code, field) = refused(&format!("{{\"{}\":1}}", "k".repeat(1000)));
        assert_eq!((code, field.unwrap().len()), ("unknown_key", 32));
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        let body = br#"{"addresses":["192.0.2.7","198.51.100.9/24","2001:db8::/32"]}"#;
        let read = creation::<ReadWrite>(body).unwrap().constraints;
        let texts: Vec<String> = read.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.7/32", "198.51.100.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn null_is_the_expiry_that_never_comes() {
        let read = creation::<ReadWrite>(br#"{"expires_at":null}"#).unwrap();
        assert_eq!(read.lifetime, Lifetime::Unlimited);
        let read = rotation(br#"{"expires_in":60,"overlap_seconds":0}"#).unwrap();
        assert_eq!(read.lifetime, Some(Lifetime::For(TimeDelta::seconds(60))));
        assert!(edit::<ReadWrite>(br#"{"expires_at":null}"#).is_err());
    }
}
