//! The parameters of the token routes, read as the product's servers read them.

use serde_json::{Map, Value};

use super::Profile;
use super::failure::Failure;

/// What a token route is given.
#[derive(Debug)]
pub(super) struct Params {
    /// `None` when a server of the older line finds none, which it says only later.
    pub(super) name: Option<String>,
    pub(super) bypass: bool,
}

/// Reads a body. What is no JSON is an empty object, as there.
///
/// # Errors
///
/// What the current line's validator says of it; the older line has none.
pub(super) fn read(body: &[u8], profile: Profile, takes_bypass: bool) -> Result<Params, Failure> {
    let body = serde_json::from_slice(body).unwrap_or_else(|_| Value::Object(Map::new()));
    match profile {
        Profile::Eight => current(&body, takes_bypass),
        Profile::Legacy => Ok(legacy(&body, takes_bypass)),
    }
}

/// The validator takes a text for a number and a number for a text, and `null` for the empty one.
fn current(body: &Value, takes_bypass: bool) -> Result<Params, Failure> {
    let invalid = |what: &str| Err(Failure::invalid_params(what));
    let Value::Object(body) = body else { return invalid("must be object") };
    let Some(name) = body.get("tokenName") else {
        return invalid("must have required property 'tokenName'");
    };
    let is_known = |key: &String| key == "tokenName" || (takes_bypass && key == "bypassTwoFactor");
    if !body.keys().all(is_known) {
        return invalid("must NOT have additional properties");
    }
    let name = match name {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => String::new(),
        Value::Array(_) | Value::Object(_) => return invalid("must be string"),
    };
    let bypass = match body.get("bypassTwoFactor") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) if text == "true" => true,
        Some(Value::String(text)) if text == "false" => false,
        Some(Value::Number(number)) if number.as_u64() == Some(1) => true,
        Some(Value::Number(number)) if number.as_u64() == Some(0) => false,
        Some(_) => return invalid("must be boolean"),
    };
    Ok(Params { name: Some(name), bypass })
}

/// A falsy name is none. What is no text is none either: there an object reached the database.
fn legacy(body: &Value, takes_bypass: bool) -> Params {
    let name = match body.get("tokenName") {
        Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
        Some(Value::Number(number)) if number.as_f64() != Some(0.0) => Some(number.to_string()),
        _ => None,
    };
    let bypass = takes_bypass && body.get("bypassTwoFactor") == Some(&Value::Bool(true));
    Params { name, bypass }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(profile: Profile, body: &str) -> Result<(Option<String>, bool), String> {
        let read = read(body.as_bytes(), profile, true);
        read.map(|params| (params.name, params.bypass)).map_err(|failure| {
            let response: http::Response<String> = failure.response();
            response.into_body()
        })
    }

    #[test]
    fn the_current_line_coerces_as_its_validator_does() {
        let named = |name: &str, bypass| Ok((Some(name.to_owned()), bypass));
        for (body, expected) in [
            (r#"{"tokenName":"x"}"#, named("x", false)),
            (r#"{"tokenName":""}"#, named("", false)),
            (r#"{"tokenName":5}"#, named("5", false)),
            (r#"{"tokenName":null}"#, named("", false)),
            (r#"{"tokenName":"x","bypassTwoFactor":true}"#, named("x", true)),
            (r#"{"tokenName":"x","bypassTwoFactor":"true"}"#, named("x", true)),
            (r#"{"tokenName":"x","bypassTwoFactor":1}"#, named("x", true)),
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
        let other = read(br#"{"tokenName":"x","bypassTwoFactor":true}"#, Profile::Eight, false);
        assert!(other.is_err());
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
