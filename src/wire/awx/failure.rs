//! What a request that is not served is told.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// A failure, in the product's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody asks, or nobody who is known: one answer for every token that is not accepted.
    Anonymous,
    /// The header of HTTP Basic cannot be read.
    BasicHeader(BasicFault),
    /// The body is longer than is read here.
    BodyTooLarge,
    /// Accounts of this provider get no tokens.
    ExternalAccount(String),
    /// What is wrong with the fields of a body.
    Fields(FieldErrors),
    /// Nobody may ask for rows by this field.
    ForbiddenFilter(&'static str),
    /// What a route of the host's own says, or its way of signing in.
    Host {
        /// The status.
        status: StatusCode,
        /// What a person reads.
        detail: String,
    },
    /// The body is no JSON.
    InvalidJson {
        /// In which line, counted from one.
        line: usize,
        /// In which column.
        column: usize,
    },
    /// There is no such page.
    InvalidPage,
    /// A filter or an order that there is not, in words.
    InvalidQuery(String),
    /// The body is of another type than JSON.
    MediaType,
    /// The path has no such method.
    MethodNotAllowed(Method),
    /// There is no such thing, or the caller may not know of it.
    Missing,
    /// The body is `null`.
    NoData,
    /// The body is JSON, and no object.
    NotAnObject,
    /// The caller may not do this.
    Permissions,
    /// There were too many wrong passwords, or the token was used as often as its rate allows.
    Throttled {
        /// How long nothing is looked at.
        seconds: u64,
    },
    /// Nobody can say now.
    Unavailable,
    /// There is no such route.
    UnknownRoute,
    /// The user name or the password is wrong.
    WrongPassword,
}

/// Why a header of HTTP Basic cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the product tells these three apart")]
pub enum BasicFault {
    /// There are no credentials behind the scheme.
    Absent,
    /// They are not in base 64.
    Base64,
    /// There is a space in them.
    Spaces,
}

/// What is wrong with the fields of a body, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    pub(super) fn add(&mut self, field: &'static str, error: String) {
        self.0.push((field, error));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a body that has nothing wrong with any one field.
    pub(super) fn all(error: impl Into<String>) -> Self {
        Self(vec![("__all__", error.into())])
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, error) in &self.0 {
            map.serialize_entry(field, &[error])?;
        }
        map.end()
    }
}

impl From<FieldErrors> for Failure {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

impl Failure {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Anonymous | Self::BasicHeader(_) | Self::WrongPassword => {
                StatusCode::UNAUTHORIZED
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ExternalAccount(_) | Self::ForbiddenFilter(_) | Self::Permissions => {
                StatusCode::FORBIDDEN
            }
            Self::Fields(_)
            | Self::InvalidJson { .. }
            | Self::InvalidQuery(_)
            | Self::NoData
            | Self::NotAnObject => StatusCode::BAD_REQUEST,
            Self::Host { status, .. } => *status,
            Self::InvalidPage | Self::Missing | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> String {
        let text = match self {
            Self::Anonymous => "Authentication credentials were not provided.",
            Self::BasicHeader(BasicFault::Absent) => {
                "Invalid basic header. No credentials provided."
            }
            Self::BasicHeader(BasicFault::Base64) => {
                "Invalid basic header. Credentials not correctly base64 encoded."
            }
            Self::BasicHeader(BasicFault::Spaces) => {
                "Invalid basic header. Credentials string should not contain spaces."
            }
            Self::BodyTooLarge => "The request is too large.",
            Self::ExternalAccount(provider) => {
                return format!(
                    "(access_denied) OAuth2 Tokens cannot be created by users associated with an \
                     external authentication provider ({provider})"
                );
            }
            Self::ForbiddenFilter("password") => "Filtering on password fields is not allowed.",
            Self::ForbiddenFilter(field) => {
                return format!("Filtering on {field} is not allowed.");
            }
            Self::Host { detail, .. } | Self::InvalidQuery(detail) => detail,
            Self::InvalidJson { line, column } => {
                return format!(
                    "JSON parse error - not JSON: line {line} column {column}\nPossible cause: \
                     trailing comma."
                );
            }
            Self::InvalidPage => "Invalid page.",
            Self::MediaType => {
                "You did not use correct Content-Type in your HTTP request. If you are using our \
                 REST API, the Content-Type must be application/json"
            }
            Self::MethodNotAllowed(method) => return format!("Method \"{method}\" not allowed."),
            Self::Missing => "Not found.",
            Self::NotAnObject => "JSON parse error - not a JSON object",
            Self::Permissions => "You do not have permission to perform this action.",
            Self::Throttled { seconds } => {
                return format!("Request was throttled. Expected available in {seconds} seconds.");
            }
            Self::Unavailable => "The server cannot answer now; try again.",
            Self::UnknownRoute => "The requested resource could not be found.",
            Self::WrongPassword => "Invalid username/password.",
            // These are told by field.
            Self::Fields(_) | Self::NoData => "",
        };
        text.to_owned()
    }

    /// The answer's object.
    fn text(&self) -> String {
        // Texts under known keys: nothing that could fail to be written.
        let written = match self {
            Self::Fields(errors) => serde_json::to_string(errors),
            Self::NoData => serde_json::to_string(&FieldErrors::all("No data provided")),
            _ => {
                let mut detail = self.detail();
                if self.status() == StatusCode::UNAUTHORIZED {
                    detail.push_str(LOGIN_HINT);
                }
                serde_json::to_string(&Detail { detail })
            }
        };
        written.unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status();
        let content_type = [(CONTENT_TYPE, "application/json")];
        let mut response = (status, content_type, self.text()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        match self {
            Self::Throttled { seconds } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

#[derive(Serialize)]
struct Detail {
    detail: String,
}

const LOGIN_HINT: &str = " To establish a login session, visit /api/login/.";

/// Never Basic, so that no browser asks for a password and keeps it.
const CHALLENGE: &str = "Bearer realm=api authorization_url=/api/o/authorize/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_told_in_the_products_words() {
        let login = "To establish a login session, visit /api/login/.";
        for (failure, status, body) in [
            (
                Failure::Anonymous,
                401,
                format!(r#"{{"detail":"Authentication credentials were not provided. {login}"}}"#),
            ),
            (
                Failure::WrongPassword,
                401,
                format!(r#"{{"detail":"Invalid username/password. {login}"}}"#),
            ),
            (
                Failure::BasicHeader(BasicFault::Base64),
                401,
                format!(
                    r#"{{"detail":"Invalid basic header. Credentials not correctly base64 encoded. {login}"}}"#
                ),
            ),
            (
                Failure::Permissions,
                403,
                r#"{"detail":"You do not have permission to perform this action."}"#.to_owned(),
            ),
            (
                Failure::ExternalAccount("ldap".to_owned()),
                403,
                r#"{"detail":"(access_denied) OAuth2 Tokens cannot be created by users associated with an external authentication provider (ldap)"}"#.to_owned(),
            ),
            (
                Failure::ForbiddenFilter("token"),
                403,
                r#"{"detail":"Filtering on token is not allowed."}"#.to_owned(),
            ),
            (Failure::Missing, 404, r#"{"detail":"Not found."}"#.to_owned()),
            (Failure::InvalidPage, 404, r#"{"detail":"Invalid page."}"#.to_owned()),
            (
                Failure::UnknownRoute,
                404,
                r#"{"detail":"The requested resource could not be found."}"#.to_owned(),
            ),
            (
                Failure::NotAnObject,
                400,
                r#"{"detail":"JSON parse error - not a JSON object"}"#.to_owned(),
            ),
            (
                Failure::InvalidJson { line: 1, column: 2 },
                400,
                r#"{"detail":"JSON parse error - not JSON: line 1 column 2\nPossible cause: trailing comma."}"#.to_owned(),
            ),
            (Failure::NoData, 400, r#"{"__all__":["No data provided"]}"#.to_owned()),
            (
                Failure::MediaType,
                415,
                r#"{"detail":"You did not use correct Content-Type in your HTTP request. If you are using our REST API, the Content-Type must be application/json"}"#.to_owned(),
            ),
            (
                Failure::MethodNotAllowed(Method::PUT),
                405,
                r#"{"detail":"Method \"PUT\" not allowed."}"#.to_owned(),
            ),
        ] {
            assert_eq!((failure.status().as_u16(), failure.text()), (status, body));
        }
    }

    #[test]
    fn whoever_is_not_known_is_challenged_and_never_for_a_password() {
        for failure in [Failure::Anonymous, Failure::WrongPassword] {
            let response = failure.into_response();
            let challenge = "Bearer realm=api authorization_url=/api/o/authorize/";
            assert_eq!(response.headers().get("www-authenticate").unwrap(), challenge);
        }
        let response = Failure::Permissions.into_response();
        assert_eq!(response.headers().get("www-authenticate"), None);
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let of = |failure: Failure| failure.into_response().headers().get("retry-after").cloned();
        assert_eq!(of(Failure::Unavailable).unwrap(), "1");
        assert_eq!(of(Failure::Throttled { seconds: 7 }).unwrap(), "7");
        assert_eq!(of(Failure::Missing), None);
    }
}
