//! Bodies, read as the product's servers read them.

use std::fmt;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Number, Value};

use super::Profile;
use super::failure::Failure;

/// What a request sends: JSON, or a form as some clients send it, whose fields are all texts.
///
/// What is neither, several parts among it, and what cannot be read is an object without members,
/// as there.
#[derive(Clone)]
pub struct Body(Value);

impl Body {
    /// Reads a body.
    #[must_use]
    pub fn read(headers: &HeaderMap, bytes: &[u8]) -> Self {
        let kind = headers.get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        let is = |wanted: &str| {
            let kind = kind.get(..wanted.len()).unwrap_or_default();
            kind.eq_ignore_ascii_case(wanted.as_bytes())
        };
        let read = if is("application/x-www-form-urlencoded") {
            let fields = form_urlencoded::parse(bytes);
            Some(fields.map(|(name, value)| (name, Value::from(value))).collect())
        } else if is("multipart/") {
            None
        } else {
            serde_json::from_slice(bytes).ok()
        };
        Self(read.unwrap_or_else(|| Value::Object(Map::new())))
    }

    /// All of it.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// The member of this name, if there is one.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The member of this name, which must be there.
    ///
    /// # Errors
    ///
    /// What the validator of 8.x says then.
    pub fn required(&self, name: &str) -> Result<&Value, Failure> {
        if !self.0.is_object() {
            return Err(Failure::invalid_params("must be object"));
        }
        let what = || Failure::invalid_params(format!("must have required property '{name}'"));
        self.member(name).ok_or_else(what)
    }

    /// The member of this name, which must be there and a text. The validator takes a number or
    /// a truth value for one, and `null` for the empty one.
    ///
    /// # Errors
    ///
    /// What the validator of 8.x says of anything else.
    pub fn text(&self, name: &str) -> Result<String, Failure> {
        Ok(match self.required(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => written(number),
            Value::Bool(value) => value.to_string(),
            Value::Null => String::new(),
            Value::Array(_) | Value::Object(_) => {
                return Err(Failure::invalid_params("must be string"));
            }
        })
    }

    /// The member of this name, which must be there and a truth value. The validator takes the texts
    /// `true` and `false` for one, as forms have them, 1 and 0, and `null` for false.
    ///
    /// # Errors
    ///
    /// What the validator of 8.x says of anything else.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.required(name)? {
            Value::Bool(value) => Ok(*value),
            Value::Null => Ok(false),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
            _ => Err(Failure::invalid_params("must be boolean")),
        }
    }

    fn has_only(&self, names: &[&str]) -> bool {
        let members = self.0.as_object();
        members.is_none_or(|members| members.keys().all(|name| names.contains(&name.as_str())))
    }
}

/// It may hold a password.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(hidden)")
    }
}

/// What a token route is given.
#[derive(Debug)]
pub(super) struct Params {
    /// `None` when a server of the older line finds none, which it says only later.
    pub(super) name: Option<String>,
    pub(super) bypass: bool,
}

impl Params {
    /// # Errors
    ///
    /// What the current line's validator says of it; the older line has none.
    pub(super) fn read(body: &Body, profile: Profile, takes_bypass: bool) -> Result<Self, Failure> {
        match profile {
            Profile::Eight => Self::current(body, takes_bypass),
            Profile::Legacy => Ok(Self::legacy(body, takes_bypass)),
        }
    }

    fn current(body: &Body, takes_bypass: bool) -> Result<Self, Failure> {
        body.required(NAME)?;
        let known = if takes_bypass { &[NAME, BYPASS][..] } else { &[NAME] };
        if !body.has_only(known) {
            return Err(Failure::invalid_params("must NOT have additional properties"));
        }
        let name = Some(body.text(NAME)?);
        let bypass = body.member(BYPASS).is_some() && body.flag(BYPASS)?;
        Ok(Self { name, bypass })
    }

    /// A falsy name is none. What is no text is none either: there an object reached the database.
    fn legacy(body: &Body, takes_bypass: bool) -> Self {
        let name = match body.member(NAME) {
            Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
            Some(Value::Number(number)) if number.as_f64() != Some(0.0) => Some(written(number)),
            _ => None,
        };
        let bypass = takes_bypass && body.member(BYPASS) == Some(&Value::Bool(true));
        Self { name, bypass }
    }
}

/// A number as JavaScript writes it, which knows no whole numbers apart from others. Beyond those
/// that it writes in full its own form of an exponent is not ours.
fn written(number: &Number) -> String {
    match number.as_f64() {
        Some(whole) if whole.fract() == 0.0 && whole.abs() < LARGEST_IN_FULL => {
            // Adding zero takes the sign from a negative one.
            format!("{:.0}", whole + 0.0)
        }
        _ => number.to_string(),
    }
}

/// From here on JavaScript writes an exponent.
const LARGEST_IN_FULL: f64 = 1e21;

const NAME: &str = "tokenName";

const BYPASS: &str = "bypassTwoFactor";

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(profile: Profile, body: &str) -> Result<(Option<String>, bool), String> {
        let body = Body::read(&HeaderMap::new(), body.as_bytes());
        Params::read(&body, profile, true).map(|params| (params.name, params.bypass)).map_err(
            |failure| {
                let response: http::Response<String> = failure.response();
                response.into_body()
            },
        )
    }

    #[test]
    fn the_current_line_coerces_as_its_validator_does() {
        let named = |name: &str, bypass| Ok((Some(name.to_owned()), bypass));
        for (body, expected) in [
            (r#"{"tokenName":"x"}"#, named("x", false)),
            (r#"{"tokenName":""}"#, named("", false)),
            (r#"{"tokenName":5}"#, named("5", false)),
            (r#"{"tokenName":5.0}"#, named("5", false)),
            (r#"{"tokenName":-0.0}"#, named("0", false)),
            (r#"{"tokenName":0.5}"#, named("0.5", false)),
            (r#"{"tokenName":null}"#, named("", false)),
            (r#"{"tokenName":"x","bypassTwoFactor":true}"#, named("x", true)),
            (r#"{"tokenName":"x","bypassTwoFactor":"true"}"#, named("x", true)),
            (r#"{"tokenName":"x","bypassTwoFactor":1}"#, named("x", true)),
            (r#"{"tokenName":"x","bypassTwoFactor":"false"}"#, named("x", false)),
            (r#"{"tokenName":"x","bypassTwoFactor":0}"#, named("x", false)),
            (r#"{"tokenName":"x","bypassTwoFactor":null}"#, named("x", false)),
        ] {
            assert_eq!(read_as(Profile::Eight, body), expected, "{body}");
        }
        for (body, error) in [
            ("", "must have required property 'tokenName'"),
            ("no json", "must have required property 'tokenName'"),
            ("[]", "must be object"),
            (r#"{"tokenName":["a"]}"#, "must be string"),
            (r#"{"tokenName":{"$ne":null}}"#, "must be string"),
            (r#"{"tokenName":"x","bypassTwoFactor":"yes"}"#, "must be boolean"),
            (r#"{"tokenName":"x","bypassTwoFactor":2}"#, "must be boolean"),
            (r#"{"tokenName":"x","loginToken":"y"}"#, "must NOT have additional properties"),
        ] {
            let expected =
                format!(r#"{{"success":false,"error":"{error}","errorType":"invalid-params"}}"#);
            assert_eq!(read_as(Profile::Eight, body), Err(expected), "{body}");
        }
        let body = Body::read(&HeaderMap::new(), br#"{"tokenName":"x","bypassTwoFactor":true}"#);
        assert!(Params::read(&body, Profile::Eight, false).is_err());
    }

    #[test]
    fn forms_are_fields_and_several_parts_are_none() {
        let read = |kind: &str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            Body::read(&headers, body.as_bytes())
        };
        let form = "tokenName=two+words%21&bypassTwoFactor=true";
        for kind in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
        ] {
            let params = Params::read(&read(kind, form), Profile::Eight, true).unwrap();
            assert_eq!((params.name.as_deref(), params.bypass), (Some("two words!"), true));
            for (flag, value) in [("true", Some(true)), ("false", Some(false)), ("1", None)] {
                let told = read(kind, &format!("activeStatus={flag}")).flag("activeStatus");
                assert_eq!(told.ok(), value, "{flag}");
            }
        }
        let parts = r#"{"tokenName":"x"}"#;
        assert_eq!(
            *read("multipart/form-data; boundary=x", parts).value(),
            Value::Object(Map::new())
        );
        assert_eq!(read("application/json", parts).text("tokenName"), Ok("x".to_owned()));
    }

    #[test]
    fn the_older_line_takes_what_it_knows_and_no_objects() {
        for (body, name) in [
            (r#"{"tokenName":"x","loginToken":"y"}"#, Some("x")),
            (r#"{"tokenName":""}"#, None),
            (r#"{"tokenName":{"$ne":null}}"#, None),
            ("[]", None),
            ("", None),
        ] {
            let read = read_as(Profile::Legacy, body).unwrap();
            assert_eq!(read.0.as_deref(), name, "{body}");
        }
    }
}
