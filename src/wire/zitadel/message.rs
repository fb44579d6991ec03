//! Messages as JSON, read as the product's own library reads them. Pure.
//!
//! A field may be written as `tokenId` or as `token_id`, and once; `null` is as good as absent, and
//! fields that nobody knows are ignored. Numbers of 64 bits may be texts, and choices are names or
//! numbers.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::wire::once::Once;

/// The fields of a message.
#[derive(Debug, Default)]
pub(super) struct Message(Map<String, Value>);

impl Message {
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        match serde_json::from_slice(body) {
            Ok(Once(Value::Object(fields))) => Self::of(fields),
            Ok(_) => Err(Failure::Malformed("unexpected token".to_owned())),
            // What stands there is not repeated, only where it stands.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(Failure::Malformed(format!("syntax error (line {line}:{column})")))
            }
        }
    }

    /// The same, with a field from somewhere else, which counts more than the body's own.
    pub(super) fn with(mut self, field: &str, text: &str) -> Self {
        self.0.remove(&snake_case(field));
        self.0.insert(field.to_owned(), text.into());
        self
    }

    pub(super) fn text(&self, field: &str) -> Result<&str, Failure> {
        match self.value(field) {
            None => Ok(""),
            Some(value) => value.as_str().ok_or_else(|| invalid("string", field)),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, Failure> {
        let Some(value) = self.value(field) else { return Ok(false) };
        value.as_bool().ok_or_else(|| invalid("bool", field))
    }

    pub(super) fn count(&self, field: &str) -> Result<u64, Failure> {
        let Some(value) = self.value(field) else { return Ok(0) };
        whole(value).ok_or_else(|| invalid("uint64", field))
    }

    pub(super) fn instant(&self, field: &str) -> Result<Option<DateTime<Utc>>, Failure> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let at = value.as_str().and_then(instant).ok_or_else(|| invalid("timestamp", field))?;
        Ok(Some(at))
    }

    /// The place of a choice among its names: the first one unless another is named. A number that
    /// stands for nothing is the first one too.
    pub(super) fn choice<T: Copy>(
        &self,
        field: &str,
        prefix: &str,
        choices: &[(&str, T)],
        first: T,
    ) -> Result<T, Failure> {
        let found = match self.value(field) {
            None => return Ok(first),
            Some(Value::String(name)) => {
                let name = name.strip_prefix(prefix);
                choices.iter().find(|(known, _)| name == Some(*known))
            }
            Some(value) => {
                let number = value.as_i64().filter(|number| i32::try_from(*number).is_ok());
                let number = number.ok_or_else(|| invalid("enum", field))?;
                let place = usize::try_from(number).ok();
                return Ok(place.and_then(|at| choices.get(at)).map_or(first, |(_, of)| *of));
            }
        };
        found.map(|(_, choice)| *choice).ok_or_else(|| invalid("enum", field))
    }

    pub(super) fn message(&self, field: &str) -> Result<Option<Self>, Failure> {
        self.value(field).map(|value| Self::within(value, field)).transpose()
    }

    pub(super) fn messages(&self, field: &str) -> Result<Vec<Self>, Failure> {
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => all.iter().map(|one| Self::within(one, field)).collect(),
            Some(_) => Err(invalid("repeated", field)),
        }
    }

    fn within(value: &Value, field: &str) -> Result<Self, Failure> {
        let fields = value.as_object().ok_or_else(|| invalid("message", field))?;
        Self::of(fields.clone())
    }

    /// One field under both of its names is there twice.
    fn of(fields: Map<String, Value>) -> Result<Self, Failure> {
        let is_twice = |name: &String| {
            let snake = snake_case(name);
            snake != *name && fields.contains_key(&snake)
        };
        match fields.keys().any(is_twice) {
            true => Err(Failure::Malformed("duplicate field".to_owned())),
            false => Ok(Self(fields)),
        }
    }

    fn value(&self, field: &str) -> Option<&Value> {
        let found = self.0.get(field).or_else(|| self.0.get(&snake_case(field)));
        found.filter(|value| !value.is_null())
    }
}

fn invalid(kind: &str, field: &str) -> Failure {
    Failure::Malformed(format!("invalid value for {kind} field {field}"))
}

fn snake_case(field: &str) -> String {
    let mut snake = String::with_capacity(field.len());
    for letter in field.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            // Written as `1e2` or `7.0`, as long as nothing is lost by it.
            let number = number.as_f64().filter(|number| (0.0..=9e15).contains(number))?;
            (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok()).flatten()
        }),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// RFC 3339 with `T`, and `Z` or an offset, and years of four digits.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'T' | b'Z' | b'+' | b'-' | b':' | b'.'));
    // There are no leap seconds where the product is from.
    let is_known = is_plain && text.get(17..19) != Some("60");
    let at = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_known)?;
    Some(at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn read(body: &str) -> Message {
        Message::read(body.as_bytes()).unwrap()
    }

    #[track_caller]
    fn malformed<T: fmt::Debug>(read: Result<T, Failure>, what: &str) {
        assert!(matches!(read, Err(Failure::Malformed(_))), "{what}: {read:?}");
    }

    #[test]
    fn a_field_has_two_names_and_is_there_once() {
        for body in [r#"{"tokenId":"a"}"#, r#"{"token_id":"a"}"#] {
            assert_eq!(read(body).text("tokenId").unwrap(), "a", "{body}");
            assert_eq!(read(body).with("tokenId", "b").text("tokenId").unwrap(), "b", "{body}");
        }
        for body in [
            r#"{"tokenId":"a","tokenId":"b"}"#,
            r#"{"tokenId":"a","token_id":"b"}"#,
            r#"{"other":{"a":1,"a":1}}"#,
        ] {
            malformed(Message::read(body.as_bytes()), body);
        }
        malformed(read(r#"{"query":{"theLimit":1,"the_limit":2}}"#).message("query"), "within");
    }

    #[test]
    fn what_nobody_knows_is_ignored_and_null_is_as_good_as_absent() {
        let message = read(r#"{"what":[{}],"userId":null,"query":null,"filters":null}"#);
        assert_eq!(message.text("userId").unwrap(), "");
        assert!(message.message("query").unwrap().is_none());
        assert!(message.messages("filters").unwrap().is_empty());
        assert!(!message.flag("asc").unwrap());
        assert_eq!(message.instant("expirationDate").unwrap(), None);
    }

    #[test]
    fn a_body_is_one_object_and_nothing_else() {
        for body in ["", "null", "[]", "1", "{", "{} {}", "{}x", "\u{feff}{}", "{'a':1}"] {
            malformed(Message::read(body.as_bytes()), body);
        }
        malformed(Message::read(b"{\"a\":\"\xff\"}"), "no UTF-8");
        malformed(Message::read("[".repeat(100_000).as_bytes()), "deep");
    }

    #[test]
    fn whole_numbers_may_be_texts() {
        for (value, count) in [
            ("0", 0),
            ("7", 7),
            ("\"7\"", 7),
            ("7.0", 7),
            ("1e2", 100),
            ("18446744073709551615", u64::MAX),
            ("\"18446744073709551615\"", u64::MAX),
        ] {
            let message = read(&format!("{{\"offset\":{value}}}"));
            assert_eq!(message.count("offset").unwrap(), count, "{value}");
        }
        for value in [
            "-1",
            "1.5",
            "\"\"",
            "\" 7\"",
            "\"+7\"",
            "\"-1\"",
            "true",
            "{}",
            "1e300",
            "18446744073709551616",
        ] {
            malformed(read(&format!("{{\"offset\":{value}}}")).count("offset"), value);
        }
    }

    #[test]
    fn an_instant_is_rfc_3339_in_capital_letters() {
        let at = |text: &str| read(&format!("{{\"at\":\"{text}\"}}")).instant("at");
        let noon = DateTime::from_timestamp(1_893_499_200, 0);
        for text in [
            "2030-01-01T12:00:00Z",
            "2030-01-01T12:00:00+00:00",
            "2030-01-01T13:00:00.000000000+01:00",
            "2030-01-01T12:00:00.000Z",
        ] {
            assert_eq!(at(text).unwrap(), noon, "{text}");
        }
        for text in [
            "",
            "2030-01-01",
            "2030-01-01 12:00:00Z",
            "2030-01-01t12:00:00z",
            "2030-01-01T12:00:00",
            "2030-01-01T12:00:60Z",
            "2030-02-30T12:00:00Z",
            "10000-01-01T00:00:00Z",
            "+2030-01-01T12:00:00Z",
        ] {
            malformed(at(text), text);
        }
        malformed(read(r#"{"at":1893499200}"#).instant("at"), "a number");
    }

    #[test]
    fn a_choice_is_a_name_or_a_number() {
        let choices = [("EQUALS", 'e'), ("AFTER", 'a')];
        let chosen = |value: &str| {
            read(&format!("{{\"method\":{value}}}")).choice("method", "M_", &choices, 'e')
        };
        for (value, choice) in [
            ("null", 'e'),
            ("0", 'e'),
            ("1", 'a'),
            ("2", 'e'),
            ("-1", 'e'),
            ("\"M_EQUALS\"", 'e'),
            ("\"M_AFTER\"", 'a'),
        ] {
            assert_eq!(chosen(value).unwrap(), choice, "{value}");
        }
        for value in ["\"AFTER\"", "\"M_after\"", "\"1\"", "1.5", "99999999999", "{}", "true"] {
            malformed(chosen(value), value);
        }
    }
}
