//! From a URI's query to what is asked for. Pure.

use super::keys::{Fault, Keys};
use crate::core::id::{Kind, TokenName};
use crate::ports::store::{Cursor, Filter, Order, Query, Start, StateName};

/// What `GET /tokens` asks for.
#[derive(Debug)]
pub(super) struct List {
    pub(super) owner: Option<String>,
    /// Without an owner yet: whose tokens may be listed is for the caller to decide.
    pub(super) query: Query,
}

pub(super) fn list(query: Option<&str>) -> Result<List, Fault> {
    let mut keys = keys(query)?;
    let owner = keys.take("owner", "an id", Some)?;
    let filter = Filter {
        kind: keys.take("kind", "a kind of token", |text| Kind::new(text).ok())?,
        name: keys.take("name", "a token's name", |text| TokenName::new(text).ok())?,
        states: keys.take("state", STATES, |text| state(&text))?.map(|state| vec![state]),
        ..Filter::default()
    };
    let limit = keys.take("limit", "1 to 200", |text| limit(&text))?.unwrap_or(DEFAULT_LIMIT);
    let mut list = Query::new(filter, limit);
    let order = keys.take("order", ORDERS, |text| order(&text))?;
    (list.order, list.descending) = order.unwrap_or((Order::Created, true));
    if let Some(cursor) = keys.take("cursor", "a cursor", Some)? {
        list.start = Start::After(Cursor(cursor));
    }
    keys.finish()?;
    Ok(List { owner, query: list })
}

/// Whose account a new token is for, where the query says so.
pub(super) fn owner(query: Option<&str>) -> Result<Option<String>, Fault> {
    let mut keys = keys(query)?;
    let owner = keys.take("owner", "an id", Some)?;
    keys.finish()?;
    Ok(owner)
}

/// A query that says nothing.
pub(super) fn nothing(query: Option<&str>) -> Result<(), Fault> {
    keys(query)?.finish()
}

fn keys(query: Option<&str>) -> Result<Keys<String>, Fault> {
    let parameters = query.unwrap_or_default().split('&').filter(|text| !text.is_empty());
    let pairs = parameters.map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((decoded(key)?, decoded(value)?))
    });
    let pairs: Option<Vec<_>> = pairs.collect();
    let malformed = || Fault::new("malformed_query", "the query is not percent-encoded");
    Keys::new(pairs.ok_or_else(malformed)?)
}

/// The text behind `application/x-www-form-urlencoded`, if it is UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        let (byte, next) = match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'+', next @ ..] => (b' ', next),
            [b'%', high, low, next @ ..] => {
                let high = char::from(*high).to_digit(16)?;
                let low = char::from(*low).to_digit(16)?;
                (u8::try_from((high << 4) | low).ok()?, next)
            }
            [b'%', ..] => return None,
            [byte, next @ ..] => (*byte, next),
        };
        bytes.push(byte);
        rest = next;
    }
}

fn limit(text: &str) -> Option<u32> {
    // Digits only: `parse` also takes a plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=LARGEST_LIMIT).contains(limit))
}

fn order(text: &str) -> Option<(Order, bool)> {
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let order = match name {
        "changed" => Order::Changed,
        "created" => Order::Created,
        "expires" => Order::Expires,
        _ => return None,
    };
    Some((order, descending))
}

fn state(text: &str) -> Option<StateName> {
    match text {
        "active" => Some(StateName::Active),
        "deactivated" => Some(StateName::Deactivated),
        "revoked" => Some(StateName::Revoked),
        _ => None,
    }
}

/// What a screen shows.
pub(super) const DEFAULT_LIMIT: u32 = 50;

/// The largest page of the products whose clients this crate knows.
pub(super) const LARGEST_LIMIT: u32 = 200;

const ORDERS: &str = "changed, created or expires, with a - in front for the greatest first";
const STATES: &str = "active, deactivated or revoked";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_described_is_refused_by_its_name() {
        let table = [
            ("limit=0", "wrong_type"),
            ("limit=201", "wrong_type"),
            ("limit=%2B5", "wrong_type"),
            ("limit=4294967297", "wrong_type"),
            ("limit=", "wrong_type"),
            ("order=--created", "wrong_type"),
            ("order=owner", "wrong_type"),
            ("state=gone", "wrong_type"),
            ("kind=Personal", "wrong_type"),
            ("limit=1&limit=1", "duplicate_key"),
            ("limit=1&%6cimit=1", "duplicate_key"),
            ("page=1", "unknown_key"),
            ("limit", "wrong_type"),
            ("name=%", "malformed_query"),
            ("name=%ff", "malformed_query"),
            ("name=%zz", "malformed_query"),
        ];
        for (query, code) in table {
            assert_eq!(list(Some(query)).unwrap_err().code, code, "{query}");
        }
    }

    #[test]
    fn a_query_is_read() {
        let list =
            list(Some("&name=a+b%2Bc&order=-expires&limit=7&cursor=x&state=revoked&")).unwrap();
        assert_eq!(list.query.filter.name.unwrap().as_str(), "a b+c");
        assert_eq!((list.query.order, list.query.descending), (Order::Expires, true));
        assert_eq!(list.query.limit, 7);
        assert_eq!(list.query.start, Start::After(Cursor("x".into())));
    }
}
