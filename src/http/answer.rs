//! What a request that is not served is told: RFC 6750 in the header, RFC 9457 in the body.
//!
//! Every answer here carries `Cache-Control: no-store`. None of their statuses is cached without
//! being told to, but a cache that was told to (by a host's blanket rule) would go on refusing
//! after the client has found its token, or after the store is back.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::core::error::{PublicRefusal, Refusal};
use crate::core::id::{InvalidName, ScopeName, TokenId};
use crate::http::bearer::BearerError;

/// Why a request is not served, as far as its client may know.
///
/// A token's state is not among the reasons: unknown, wrong, revoked, deactivated, expired and spent
/// tokens, and those of a deactivated owner, are all [`InvalidToken`](Denial::InvalidToken), and
/// their answers are the same to the byte. That one is [used too often](Denial::RateLimited) is told
/// to whoever could use it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// The token is live and may not do this; it would take this scope. What the token holds is
    /// not said.
    InsufficientScope(ScopeName),
    /// The credentials cannot be read one way.
    InvalidRequest(BearerError),
    /// The token is not accepted. Also the answer to a bearer token that is not ours and that
    /// nobody else took, so that no answer tells what this host's tokens look like.
    InvalidToken,
    /// The request presents no bearer token.
    NoCredentials,
    /// Nobody judged what the request presents: the host forgot the layer.
    NoEvidence,
    /// The token is live, and was used as often as its rate allows.
    RateLimited {
        /// After how many seconds it may be used again.
        seconds: u64,
    },
    /// Nobody can say now. This is no verdict.
    Unavailable,
    /// The route is served by a router that does not declare it.
    Undeclared,
}

impl Denial {
    /// The public face of a refusal; `needed` is the scope that was asked for.
    #[must_use]
    pub fn of(refusal: Refusal, needed: Option<&ScopeName>) -> Self {
        match (refusal.public(), needed) {
            (PublicRefusal::InsufficientScope, Some(needed)) => {
                Self::InsufficientScope(needed.clone())
            }
            _ => Self::InvalidToken,
        }
    }

    /// The stable code of this answer.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::NoCredentials => "no_credentials",
            Self::NoEvidence => "no_evidence",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Undeclared => "undeclared_route",
        }
    }

    /// The status of this answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::InvalidToken | Self::NoCredentials => StatusCode::UNAUTHORIZED,
            Self::NoEvidence | Self::Undeclared => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::InsufficientScope(needed) => format!("this takes the scope {needed}").into(),
            Self::InvalidRequest(error) => error.to_string().into(),
            Self::InvalidToken => "the token is not accepted".into(),
            Self::NoCredentials => "this takes a bearer token".into(),
            Self::NoEvidence => "the server does not authenticate this route".into(),
            Self::RateLimited { seconds } => {
                format!("the token may be used again in {seconds} s").into()
            }
            Self::Unavailable => "this cannot be answered now; try again".into(),
            Self::Undeclared => "the server does not declare this route".into(),
        }
    }
}

/// Makes the answers of one protection space. Clones share what was prepared.
///
/// ```
/// use keyfob::http::{Answers, Denial};
///
/// let answers = Answers::new("chat")?;
/// let answer = answers.response::<String>(&Denial::NoCredentials);
/// assert_eq!(answer.status(), 401);
/// assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="chat""#);
///
/// let answer = answers.response::<String>(&Denial::InvalidToken);
/// let challenge = r#"Bearer realm="chat", error="invalid_token""#;
/// assert_eq!(answer.headers()["www-authenticate"], challenge);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Answers {
    realm: Arc<str>,
}

impl Answers {
    /// Answers that name this realm.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] for a realm that cannot be quoted.
    pub fn new(realm: &str) -> Result<Self, InvalidName> {
        let quotable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if realm.len() <= 128 && realm.bytes().all(quotable) {
            Ok(Self { realm: realm.into() })
        } else {
            Err(InvalidName { what: "protection space", rule: REALM_RULE })
        }
    }

    /// The answer to a request that is denied.
    #[must_use]
    pub fn response<B: From<String>>(&self, denial: &Denial) -> Response<B> {
        let problem = Problem::new(denial.status(), denial.code(), denial.detail());
        let mut response = problem.response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge(denial) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Denial::RateLimited { seconds } = denial {
            headers.insert(RETRY_AFTER, (*seconds).into());
        }
        response
    }

    /// RFC 6750, section 3: without credentials there is no error to speak of.
    fn challenge(&self, denial: &Denial) -> Option<HeaderValue> {
        let realm = &self.realm;
        let text = match denial {
            Denial::NoCredentials => format!(r#"Bearer realm="{realm}""#),
            Denial::InvalidRequest(_) | Denial::InvalidToken => {
                format!(r#"Bearer realm="{realm}", error="{}""#, denial.code())
            }
            Denial::InsufficientScope(needed) => {
                format!(r#"Bearer realm="{realm}", error="{}", scope="{needed}""#, denial.code())
            }
            Denial::NoEvidence
            | Denial::RateLimited { .. }
            | Denial::Unavailable
            | Denial::Undeclared => return None,
        };
        // Realm and scope are quotable by their own rules.
        HeaderValue::try_from(text).ok()
    }
}

impl Default for Answers {
    /// Answers for hosts that have one protection space: `tokens`.
    fn default() -> Self {
        Self { realm: "tokens".into() }
    }
}

/// A problem, as RFC 9457 writes it: `type`, `title`, `status`, `detail`, `code` and, where there
/// is one, the `field` of the request that is at fault.
///
/// It never holds a token's text. `type` is `about:blank`, so that `title` is the status's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    r#type: AboutBlank,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<TokenId>,
    // In a box, since a problem is an error that is handed up, and most have none.
    #[serde(flatten)]
    members: Option<Box<Members>>,
}

/// The one type that problems have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AboutBlank;

impl Serialize for AboutBlank {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("about:blank")
    }
}

/// Members of the host's own, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members(Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Problem {
    /// A problem with a stable code, and what a person reads of it.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            r#type: AboutBlank,
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
            id: None,
            members: None,
        }
    }

    /// The same problem, with the field of the request that is at fault.
    #[must_use]
    pub fn about(mut self, field: Option<impl Into<Cow<'static, str>>>) -> Self {
        self.field = field.map(Into::into);
        self
    }

    /// The same problem, with the token that there is instead.
    #[must_use]
    pub const fn naming(mut self, id: TokenId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same problem, with an extension member (RFC 9457, section 3.2) that no other one has.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.get_or_insert_default().0.push((name, value.into()));
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The answer that says so; 503 asks to try again in a second.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        // Texts and numbers under fixed keys: nothing that could fail to be written.
        let mut response = Response::new(B::from(serde_json::to_string(self).unwrap_or_default()));
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        self.response()
    }
}

const REALM_RULE: &str = "at most 128 printable ASCII characters without quote and backslash";
