//! From paths, queries and bodies to what is asked for. Pure: no state, no clock, no waiting.
//!
//! Bodies are read as the product's own language reads them, since its clients were tested against
//! that: the first JSON value counts and what follows is ignored, keys are found in any case,
//! unknown ones are ignored, `null` is as good as absent, and the last of a repeated key wins.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize as _;
use serde_json::{Deserializer, Map, Value};

use super::failure::{Failure, Field};
use crate::core::id::{OwnerId, TokenId, TokenName};
use crate::core::issue::Lifetime;
use crate::core::time::is_in_range;

/// What `POST /users/{user_id}/tokens` asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Creation {
    /// Not empty; judged by [`name`] after all that is about who may.
    pub(super) description: String,
    pub(super) expires_at: i64,
}

/// What `POST /users/tokens/rotate` asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Rotate {
    /// `None` for an id that no token has.
    pub(super) token: Option<TokenId>,
    /// Absent is zero, which is never: the product's rotation keeps no expiry.
    pub(super) expires_at: i64,
}

pub(super) fn creation(body: &[u8]) -> Result<Creation, Failure> {
    let body = Typed::read(body);
    let read = || {
        let body = body.as_ref()?;
        // Ignored, and their types are not.
        for key in ["id", "token", "user_id"] {
            body.text(key)?;
        }
        body.boolean("is_active")?;
        Some((body.text("description")?, body.integer("expires_at")?))
    };
    let (description, expires_at) = read().ok_or(Failure::InvalidBody("user_access_token"))?;
    if description.is_empty() {
        return Err(Failure::InvalidBody("description"));
    }
    Ok(Creation { description: description.to_owned(), expires_at })
}

pub(super) fn rotation(body: &[u8]) -> Result<Rotate, Failure> {
    let body = Typed::read(body);
    let read = || {
        let body = body.as_ref()?;
        Some((body.text("token_id")?, body.integer("expires_at")?))
    };
    let (id, expires_at) = read().ok_or(Failure::InvalidBody("rotate_user_access_token"))?;
    if id.is_empty() {
        return Err(Failure::InvalidBody("token_id"));
    }
    Ok(Rotate { token: TokenId::parse(id.as_bytes()), expires_at })
}

/// What is searched for. The product takes backslashes out and means the rest to the letter.
pub(super) fn term(body: &[u8]) -> Result<String, Failure> {
    let body = Typed::read(body);
    let term = body.as_ref().and_then(|body| body.text("term"));
    match term.ok_or(Failure::InvalidBody("user_access_token_search"))? {
        "" => Err(Failure::InvalidBody("term")),
        term => Ok(term.replace('\\', "")),
    }
}

/// The token that a body names by a text under `token_id`, whatever else it is. What cannot be
/// read names no token, which is not found; it is no error of its own.
pub(super) fn named_token(body: &[u8]) -> Option<TokenId> {
    let body = Map::deserialize(&mut Deserializer::from_slice(body)).ok()?;
    TokenId::parse(body.get("token_id")?.as_str()?.as_bytes())
}

/// The account in a path, where `me` is the caller.
pub(super) fn user(segment: Option<&str>, me: &OwnerId) -> Result<OwnerId, Failure> {
    let segment = word(segment)?;
    if segment == "me" {
        return Ok(me.clone());
    }
    let id = OwnerId::new(segment).ok().filter(|id| id.as_str().len() == TokenId::TEXT_LENGTH);
    id.ok_or(Failure::InvalidParameter("user_id"))
}

/// The token in a path; `None` for an id that no token has.
pub(super) fn token(segment: Option<&str>) -> Result<Option<TokenId>, Failure> {
    let segment = word(segment)?;
    if segment.len() != TokenId::TEXT_LENGTH {
        return Err(Failure::InvalidParameter("token_id"));
    }
    Ok(TokenId::parse(segment.as_bytes()))
}

/// The product's router knows no paths with anything else in place of an id.
fn word(segment: Option<&str>) -> Result<&str, Failure> {
    let is_word = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    segment.filter(|text| !text.is_empty()).filter(is_word).ok_or(Failure::UnknownRoute)
}

/// Which rows of a list: how many to skip, and how many to show, which may be none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) offset: u32,
    pub(super) limit: u32,
}

/// The page that a query asks for. Nothing in it is an error: what cannot be read is the default.
pub(super) fn paging(query: &[(String, String)]) -> Paging {
    let number = |key: &str| {
        let (_, value) = query.iter().find(|(name, _)| name == key)?;
        value.parse::<i64>().ok().filter(|number| *number >= 0)
    };
    let limit = number("per_page").unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT);
    let offset = number("page").unwrap_or(0).saturating_mul(limit);
    Paging {
        offset: u32::try_from(offset).unwrap_or(u32::MAX),
        limit: u32::try_from(limit).unwrap_or_default(),
    }
}

/// The name of a token that is described like this.
pub(super) fn name(description: String) -> Result<TokenName, Failure> {
    TokenName::new(description).map_err(|_| Failure::InvalidField(Field::Description))
}

/// The life of a token that is to end at this millisecond, zero being never, where none may live
/// for more than these days; `None` is no limit.
pub(super) fn lifetime(
    expires_at: i64,
    most_days: Option<u32>,
    now: DateTime<Utc>,
) -> Result<Lifetime, Failure> {
    if expires_at == 0 {
        return most_days.map_or(Ok(Lifetime::Unlimited), |_| Err(Failure::ExpiryRequired));
    }
    let now = now.timestamp_millis();
    if expires_at <= now {
        return Err(Failure::ExpiryInPast);
    }
    if let Some(days) = most_days {
        let longest = TimeDelta::days(days.into()).num_milliseconds();
        if expires_at > now.saturating_add(longest) {
            return Err(Failure::ExpiryTooFar { days });
        }
    }
    let at = DateTime::from_timestamp_millis(expires_at).filter(|at| is_in_range(*at));
    at.map(Lifetime::Until).ok_or(Failure::InvalidField(Field::ExpiresAt))
}

/// An object whose values are of the types that the product's own has; `None` is what it is not.
struct Typed(Map<String, Value>);

impl Typed {
    fn read(body: &[u8]) -> Option<Self> {
        let value = Option::<Map<String, Value>>::deserialize(&mut Deserializer::from_slice(body));
        value.ok().map(|object| Self(object.unwrap_or_default()))
    }

    fn value(&self, key: &str) -> &Value {
        let same = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case(key);
        let found = self.0.get(key).or_else(|| self.0.iter().find(same).map(|(_, value)| value));
        found.unwrap_or(&Value::Null)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Value::Null => Some(""),
            value => value.as_str(),
        }
    }

    fn integer(&self, key: &str) -> Option<i64> {
        match self.value(key) {
            Value::Null => Some(0),
            value => value.as_i64(),
        }
    }

    fn boolean(&self, key: &str) -> Option<bool> {
        match self.value(key) {
            Value::Null => Some(false),
            value => value.as_bool(),
        }
    }
}

/// What the product shows to clients that do not say.
pub(super) const DEFAULT_LIMIT: i64 = 60;

/// The product's largest page.
pub(super) const LARGEST_LIMIT: i64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "yyyyyyyyyyyyyyyyyyyyyyyyyy";

    #[test]
    fn a_creation_is_read_as_the_product_reads_it() {
        let wrong = Err(Failure::InvalidBody("user_access_token"));
        for body in [
            "",
            "[]",
            "\"\"",
            "1",
            "{",
            "{\"description\":1}",
            "{\"description\":\"a\",\"id\":1}",
            "{\"description\":\"a\",\"is_active\":0}",
            "{\"description\":\"a\",\"expires_at\":1.0}",
            "{\"description\":\"a\",\"expires_at\":\"1\"}",
            "{\"description\":\"a\",\"expires_at\":9223372036854775808}",
        ] {
            assert_eq!(creation(body.as_bytes()), wrong, "{body}");
        }
        for body in ["null", "{}", "{\"description\":null}", "{\"description\":\"\"} x"] {
            assert_eq!(creation(body.as_bytes()), Err(Failure::InvalidBody("description")));
        }
        for (body, description, expires_at) in [
            ("{\"description\":\" \"}", " ", 0),
            ("{\"Description\":\"a\",\"EXPIRES_AT\":5,\"other\":[{}]} {", "a", 5),
            ("{\"description\":\"a\",\"description\":\"b\",\"expires_at\":null}", "b", 0),
            (
                "{\"description\":\"a\",\"token\":\"t\",\"is_active\":false,\"expires_at\":-1}",
                "a",
                -1,
            ),
        ] {
            let read = creation(body.as_bytes()).unwrap();
            assert_eq!((read.description.as_str(), read.expires_at), (description, expires_at));
        }
    }

    #[test]
    fn a_rotation_and_a_search_name_what_is_missing() {
        for body in ["", "[]", "{\"token_id\":1}", "{\"token_id\":\"a\",\"expires_at\":0.5}"] {
            let wrong = Failure::InvalidBody("rotate_user_access_token");
            assert_eq!(rotation(body.as_bytes()), Err(wrong), "{body}");
        }
        assert_eq!(rotation(b"null"), Err(Failure::InvalidBody("token_id")));
        let read = rotation(format!("{{\"token_id\":\"{ID}\"}}").as_bytes()).unwrap();
        assert_eq!(read, Rotate { token: Some(TokenId::from_bytes([0; 16])), expires_at: 0 });
        assert_eq!(rotation(b"{\"token_id\":\"x\"}").unwrap().token, None);
        for body in ["", "7", "{\"term\":false}"] {
            let wrong = Failure::InvalidBody("user_access_token_search");
            assert_eq!(term(body.as_bytes()), Err(wrong), "{body}");
        }
        assert_eq!(term(b"null"), Err(Failure::InvalidBody("term")));
        assert_eq!(term(b"{\"term\":\"a\\\\%\"}").unwrap(), "a%");
    }

    #[test]
    fn a_token_is_named_by_a_text_whatever_else_the_body_is() {
        let id = Some(TokenId::from_bytes([0; 16]));
        assert_eq!(named_token(format!("{{\"a\":1,\"token_id\":\"{ID}\"}}").as_bytes()), id);
        for body in ["", "[]", "null", "{}", "{\"token_id\":null}", "{\"token_id\":7}"] {
            assert_eq!(named_token(body.as_bytes()), None, "{body}");
        }
        let other_case = format!("{{\"Token_id\":\"{ID}\"}}");
        assert_eq!(named_token(other_case.as_bytes()), None);
        assert_eq!(named_token(format!("{{\"token_id\":\"{ID}\"").as_bytes()), None);
    }

    #[test]
    fn a_path_names_ids_of_26_characters() {
        let me = OwnerId::new("alice").unwrap();
        assert_eq!(user(Some("me"), &me), Ok(me.clone()));
        assert_eq!(user(Some(ID), &me), Ok(OwnerId::new(ID).unwrap()));
        assert_eq!(user(Some("alice"), &me), Err(Failure::InvalidParameter("user_id")));
        assert_eq!(token(Some("123")), Err(Failure::InvalidParameter("token_id")));
        assert_eq!(token(Some(&"Z".repeat(26))), Ok(None));
        for segment in [None, Some(""), Some("a-b"), Some("ä")] {
            assert_eq!(token(segment), Err(Failure::UnknownRoute));
        }
    }

    #[test]
    fn a_page_that_cannot_be_read_is_the_default() {
        let read = |query: &[(&str, &str)]| {
            let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let Paging { offset, limit } = paging(&query.collect::<Vec<_>>());
            (offset, limit)
        };
        assert_eq!(read(&[]), (0, 60));
        assert_eq!(read(&[("page", "2"), ("per_page", "7")]), (14, 7));
        assert_eq!(read(&[("page", "-1"), ("per_page", "-1")]), (0, 60));
        assert_eq!(read(&[("page", "x"), ("per_page", "x")]), (0, 60));
        assert_eq!(read(&[("per_page", "9999")]), (0, 200));
        assert_eq!(read(&[("page", "3"), ("per_page", "0")]), (0, 0));
        assert_eq!(read(&[("page", "9223372036854775807")]), (u32::MAX, 60));
    }

    #[test]
    fn a_life_ends_within_the_limit_its_last_millisecond_included() {
        let now = DateTime::from_timestamp_millis(1_000_000).unwrap();
        let until = |at| Ok(Lifetime::Until(DateTime::from_timestamp_millis(at).unwrap()));
        assert_eq!(lifetime(0, None, now), Ok(Lifetime::Unlimited));
        assert_eq!(lifetime(0, Some(7), now), Err(Failure::ExpiryRequired));
        assert_eq!(lifetime(1_000_000, None, now), Err(Failure::ExpiryInPast));
        assert_eq!(lifetime(-1, Some(7), now), Err(Failure::ExpiryInPast));
        assert_eq!(lifetime(1_000_001, None, now), until(1_000_001));
        // Seven days are 604,800,000 ms.
        assert_eq!(lifetime(605_800_000, Some(7), now), until(605_800_000));
        let too_far = Failure::ExpiryTooFar { days: 7 };
        assert_eq!(lifetime(605_800_001, Some(7), now), Err(too_far));
        let no_date = Err(Failure::InvalidField(Field::ExpiresAt));
        assert_eq!(lifetime(i64::MAX, None, now), no_date);
    }
}
