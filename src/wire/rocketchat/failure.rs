//! What a request is answered with, in the product's envelope.

use std::fmt;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An object whose keys stay in their order, as the product's clients may be used to.
#[derive(Clone, Default, PartialEq)]
pub struct Members(Vec<(&'static str, Member)>);

#[derive(Clone, PartialEq)]
enum Member {
    List(Vec<Members>),
    Object(Members),
    Value(Value),
}

impl Members {
    /// With this one after the others.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((key, Member::Value(value.into())));
        self
    }

    /// With a list of objects.
    #[must_use]
    pub fn with_list(mut self, key: &'static str, list: impl Iterator<Item = Self>) -> Self {
        self.0.push((key, Member::List(list.collect())));
        self
    }

    /// With an object.
    #[must_use]
    pub fn with_object(mut self, key: &'static str, object: Self) -> Self {
        self.0.push((key, Member::Object(object)));
        self
    }
}

/// Its keys alone: what is shown once to whom it is for may be among the values.
impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(key, _)| key)).finish()
    }
}

/// An object on its way out, which is the only place that it is written to.
struct Written<'m>(&'m Members);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::List(list) => serializer.collect_seq(list.iter().map(Written)),
            Self::Object(members) => Written(members).serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

/// A failure in the product's envelope: `success` is false, `error` says what a person reads, with
/// the code in brackets where there is one, `errorType` is the code, `details` are for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    status: StatusCode,
    body: Box<Members>,
}

impl Failure {
    /// A failure without a code.
    #[must_use]
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body = Members::default().with("success", false).with("error", error.into());
        Self { status, body: Box::new(body) }
    }

    /// What the product's server throws: 400 with a reason and a code.
    #[must_use]
    pub fn thrown(reason: &str, code: &'static str) -> Self {
        let error = format!("{reason} [{code}]");
        Self::new(StatusCode::BAD_REQUEST, error).and("errorType", code)
    }

    /// A request whose parameters are not what they must be, in the words of the product's own
    /// validator.
    #[must_use]
    pub fn invalid_params(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what).and("errorType", "invalid-params")
    }

    /// One answer for all that keeps a request from being somebody's. It has the keys of every
    /// version of the product, since clients look for one or the other.
    #[must_use]
    pub fn unauthorized() -> Self {
        let what = "You must be logged in to do this.";
        Self::new(StatusCode::UNAUTHORIZED, what).and("status", "error").and("message", what)
    }

    /// Signing in failed: 401, with the code in `error` and no `errorType`.
    #[must_use]
    pub fn sign_in(code: &str, message: &str) -> Self {
        Self::sign_in_with(code, message, None)
    }

    pub(super) fn sign_in_with(code: &str, message: &str, details: Option<Members>) -> Self {
        let mut body =
            Members::default().with("success", false).with("status", "error").with("error", code);
        if let Some(details) = details {
            body = body.with_object("details", details);
        }
        let body = Box::new(body.with("message", message));
        Self { status: StatusCode::UNAUTHORIZED, body }
    }

    /// The token may not do this.
    #[must_use]
    pub fn forbidden() -> Self {
        let what =
            "User does not have the permissions required for this action [error-unauthorized]";
        Self::new(StatusCode::FORBIDDEN, what)
    }

    /// There were too many requests; the next one is served in so many seconds.
    #[must_use]
    pub fn too_many_requests(seconds: u64) -> Self {
        let what = format!(
            "Error, too many requests. Please slow down. You must wait {seconds} seconds before \
             trying this endpoint again. [error-too-many-requests]"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, what)
    }

    /// Nobody can say now. This is no verdict.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "This cannot be answered now; try again")
    }

    /// With details.
    pub(super) fn with_details(self, details: Members) -> Self {
        let body = Box::new(self.body.with_object("details", details));
        Self { body, ..self }
    }

    fn and(self, key: &'static str, value: impl Into<Value>) -> Self {
        let body = Box::new(self.body.with(key, value));
        Self { body, ..self }
    }

    /// The answer.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        answer(self.status, &self.body)
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        self.response()
    }
}

/// A success: the object's keys, and then `success`.
#[must_use]
pub fn success<B: From<String>>(members: Members) -> Response<B> {
    answer(StatusCode::OK, &members.with("success", true))
}

/// An answer with this object and no more, for the few that have no `success`.
///
/// The content type has no charset, which the product's own tests insist on.
#[must_use]
pub fn answer<B: From<String>>(status: StatusCode, body: &Members) -> Response<B> {
    // Texts under fixed keys: nothing that could fail to be written.
    let mut response =
        Response::new(B::from(serde_json::to_string(&Written(body)).unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
