//! From paths and bodies to what is asked for. Pure: no state, no clock, no waiting.
//!
//! Bodies are read as the product's serializers read them: all that is wrong is told at once, field
//! by field; unknown keys are ignored, and the last of a repeated key wins.

use serde_json::{Map, Value};

use super::failure::{Failure, FieldErrors};
use super::scopes::Asked;
use crate::ports::directory::AccountKey;

/// What a creation or a change asks for; `None` is what it does not name.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) description: Option<String>,
    pub(super) scope: Option<Asked>,
}

/// What a route takes for the application that a token is to be of. There are none here, so that
/// every other one does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Application {
    /// It is not looked at.
    Ignored,
    /// There need be none.
    Optional,
    /// There must be one.
    Required,
}

/// The object in a body. Nothing at all is an empty one, whatever type it says it is.
pub(super) fn object(
    content_type: Option<&[u8]>,
    body: &[u8],
) -> Result<Map<String, Value>, Failure> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !content_type.is_some_and(is_json) {
        return Err(Failure::MediaType);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Err(Failure::NoData),
        Ok(_) => Err(Failure::NotAnObject),
        // The place alone: the body may hold anything.
        Err(error) => Err(Failure::InvalidJson { line: error.line(), column: error.column() }),
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// What an object asks for.
pub(super) fn wanted(
    body: &Map<String, Value>,
    application: Application,
) -> Result<Wanted, Failure> {
    let mut errors = FieldErrors::default();
    let description = description(body.get("description")).unwrap_or_else(|error| {
        errors.add("description", error);
        None
    });
    if let Some(error) = application_error(body.get("application"), application) {
        errors.add("application", error);
    }
    let scope = scope(body.get("scope")).unwrap_or_else(|error| {
        errors.add("scope", error);
        None
    });
    if errors.is_empty() { Ok(Wanted { description, scope }) } else { Err(errors.into()) }
}

fn description(value: Option<&Value>) -> Result<Option<String>, String> {
    let Some(value) = value else { return Ok(None) };
    let text = text(value)?.unwrap_or_default();
    let text = text.trim();
    if text.contains('\0') {
        return Err("Null characters are not allowed.".to_owned());
    }
    Ok(Some(text.to_owned()))
}

fn scope(value: Option<&Value>) -> Result<Option<Asked>, String> {
    let Some(value) = value else { return Ok(None) };
    let asked = text(value)?.as_deref().and_then(Asked::parse);
    asked.map(Some).ok_or_else(|| INVALID_SCOPE.to_owned())
}

/// A text, as the product's text fields take one: numbers are written out, and `null` is none.
fn text(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err("Not a valid string.".to_owned()),
    }
}

fn application_error(value: Option<&Value>, taken: Application) -> Option<String> {
    let error = match (taken, value) {
        (Application::Ignored, _) | (Application::Optional, None | Some(Value::Null)) => {
            return None;
        }
        (Application::Required, None) => "This field is required.".to_owned(),
        (Application::Required, Some(Value::Null)) => "This field may not be null.".to_owned(),
        (_, Some(Value::Number(number))) if number.is_i64() || number.is_u64() => {
            no_application(&number.to_string())
        }
        (_, Some(Value::String(text))) => match text.trim().parse::<i64>() {
            Ok(_) => no_application(text.trim()),
            Err(_) => incorrect("str"),
        },
        (_, Some(Value::Bool(_))) => incorrect("bool"),
        (_, Some(Value::Number(_))) => incorrect("float"),
        (_, Some(Value::Array(_))) => incorrect("list"),
        (_, Some(Value::Object(_))) => incorrect("dict"),
    };
    Some(error)
}

fn no_application(key: &str) -> String {
    format!("Invalid pk \"{key}\" - object does not exist.")
}

fn incorrect(received: &str) -> String {
    format!("Incorrect type. Expected pk value, received {received}.")
}

/// The account in a path: by its number, or by its name where it is no number.
pub(super) fn account(segment: &str) -> Option<AccountKey> {
    if is_number(segment) {
        return segment.parse().ok().map(AccountKey::Number);
    }
    Some(AccountKey::Username(segment.to_owned()))
}

/// The token in a path.
pub(super) fn token(segment: Option<&str>) -> Result<u64, Failure> {
    let number = segment.filter(|segment| is_number(segment));
    let number = number.ok_or(Failure::UnknownRoute)?;
    // One that is larger than any is nobody's.
    number.parse().map_err(|_| Failure::Missing)
}

/// Whether a request is for an account by its name, which must not tell whether there is one.
pub(super) fn names_account(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v2/users/");
    let segment = rest.and_then(|rest| rest.split('/').next());
    segment.is_some_and(|segment| !segment.is_empty() && !is_number(segment))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

const INVALID_SCOPE: &str =
    "Must be a simple space-separated string with allowed scopes ['read', 'write'].";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const JSON: Option<&[u8]> = Some(b"application/json");

    fn read(body: &Value) -> Result<Wanted, Failure> {
        wanted(body.as_object().unwrap(), Application::Optional)
    }

    fn errors(body: &Value) -> Value {
        read(body).unwrap_err().body()
    }

    #[test]
    fn a_body_is_json_and_an_object_or_nothing() {
        assert_eq!(object(None, b""), Ok(Map::new()));
        assert_eq!(object(Some(b"text/plain"), b""), Ok(Map::new()));
        assert_eq!(object(JSON, b"{}"), Ok(Map::new()));
        assert_eq!(object(Some(b"Application/JSON ; charset=utf-8"), b"{}"), Ok(Map::new()));
        for other in [None, Some(&b"text/plain"[..]), Some(b"application/jsonl"), Some(b"")] {
            assert_eq!(object(other, b"{}"), Err(Failure::MediaType), "{other:?}");
        }
        assert_eq!(object(JSON, b"null"), Err(Failure::NoData));
        for body in ["[]", "\"a\"", "7", "true"] {
            assert_eq!(object(JSON, body.as_bytes()), Err(Failure::NotAnObject), "{body}");
        }
        let failure = object(JSON, b"{\n \"a\": 1,}").unwrap_err();
        assert_eq!(failure, Failure::InvalidJson { line: 2, column: 9 });
    }

    #[test]
    fn a_scope_is_one_of_two_words_or_both() {
        for text in ["read", "write", "read write", "write read", " read  write "] {
            assert!(read(&json!({"scope": text})).unwrap().scope.is_some(), "{text:?}");
        }
        let invalid = json!({"scope": [INVALID_SCOPE]});
        for value in [json!(""), json!(null), json!("  "), json!("read read"), json!("Write")] {
            assert_eq!(errors(&json!({"scope": value})), invalid, "{value}");
        }
        for value in [json!("foo"), json!(5), json!("read rainbow")] {
            assert_eq!(errors(&json!({"scope": value})), invalid, "{value}");
        }
        for value in [json!(true), json!(["read"]), json!({"read": 1})] {
            let told = errors(&json!({"scope": value}));
            assert_eq!(told, json!({"scope": ["Not a valid string."]}), "{value}");
        }
    }

    #[test]
    fn a_description_is_any_text_without_what_is_around_it() {
        let told = |value: Value| read(&json!({"description": value})).unwrap().description;
        assert_eq!(read(&json!({})).unwrap().description, None);
        assert_eq!(told(json!("  AWX CLI\n")).as_deref(), Some("AWX CLI"));
        assert_eq!(told(json!("two\nlines")).as_deref(), Some("two\nlines"));
        assert_eq!(told(json!(null)).as_deref(), Some(""));
        assert_eq!(told(json!(5)).as_deref(), Some("5"));
        for value in [json!(true), json!([]), json!({})] {
            let errors = errors(&json!({"description": value}));
            assert_eq!(errors, json!({"description": ["Not a valid string."]}));
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let told = errors(&json!({"description": [], "scope": "foo", "application": 5}));
        let expected = json!({
            "description": ["Not a valid string."],
            "application": ["Invalid pk \"5\" - object does not exist."],
            "scope": [INVALID_SCOPE],
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn there_is_no_application_and_a_route_may_insist_on_one() {
        let told = |value: Option<Value>, taken| {
            application_error(value.as_ref(), taken).unwrap_or_default()
        };
        assert_eq!(told(Some(json!(5)), Application::Ignored), "");
        assert_eq!(told(None, Application::Optional), "");
        assert_eq!(told(Some(json!(null)), Application::Optional), "");
        assert_eq!(told(None, Application::Required), "This field is required.");
        assert_eq!(told(Some(json!(null)), Application::Required), "This field may not be null.");
        for taken in [Application::Optional, Application::Required] {
            let missing = "Invalid pk \"5\" - object does not exist.";
            assert_eq!(told(Some(json!(5)), taken), missing);
            assert_eq!(told(Some(json!("5")), taken), missing);
            for (value, received) in [
                (json!("a"), "str"),
                (json!([]), "list"),
                (json!({}), "dict"),
                (json!(true), "bool"),
            ] {
                let text = format!("Incorrect type. Expected pk value, received {received}.");
                assert_eq!(told(Some(value), taken), text);
            }
        }
    }

    #[test]
    fn a_path_names_a_token_by_number_and_an_account_by_number_or_name() {
        assert_eq!(token(Some("7")), Ok(7));
        assert_eq!(token(Some("99999999999999999999")), Err(Failure::Missing));
        assert_eq!(token(Some("18446744073709551616")), Err(Failure::Missing));
        for other in [None, Some(""), Some("seven"), Some("-1"), Some("+7")] {
            assert_eq!(token(other), Err(Failure::UnknownRoute), "{other:?}");
        }
        assert_eq!(account("5"), Some(AccountKey::Number(5)));
        assert_eq!(account("alice"), Some(AccountKey::Username("alice".to_owned())));
        assert_eq!(account("99999999999999999999"), None);
        assert!(names_account("/api/v2/users/alice/personal_tokens/"));
        assert!(names_account("/api/v2/users/alice"));
        for path in ["/api/v2/users/5/tokens/", "/api/v2/users/", "/api/v2/tokens/7/"] {
            assert!(!names_account(path), "{path}");
        }
    }
}
