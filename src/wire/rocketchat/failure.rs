//! What a request that is not served is told.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A failure in the product's envelope: `success` is false, `error` says what a person reads, with
/// the code in brackets where there is one, `errorType` is the code, `details` are for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    status: StatusCode,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Body {
    success: bool,
    error: String,
    #[serde(rename = "errorType", skip_serializing_if = "Option::is_none")]
    error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// An object whose keys stay in their order.
#[derive(Clone, Debug, PartialEq)]
struct Details(Vec<(&'static str, Value)>);

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Failure {
    /// A failure without a code.
    #[must_use]
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body = Body {
            success: false,
            error: error.into(),
            error_type: None,
            details: None,
            status: None,
            message: None,
        };
        Self { status, body }
    }

    /// What the product's server throws: 400 with a reason and a code.
    #[must_use]
    pub fn thrown(reason: &str, code: &'static str) -> Self {
        let mut failure = Self::new(StatusCode::BAD_REQUEST, format!("{reason} [{code}]"));
        failure.body.error_type = Some(code);
        failure
    }

    /// A request whose parameters are not what they must be, in the words of the product's own
    /// validator.
    #[must_use]
    pub fn invalid_params(what: impl Into<String>) -> Self {
        let mut failure = Self::new(StatusCode::BAD_REQUEST, what);
        failure.body.error_type = Some("invalid-params");
        failure
    }

    /// One answer for all that keeps a request from being somebody's. It has the keys of every
    /// version of the product, since clients look for one or the other.
    #[must_use]
    pub fn unauthorized() -> Self {
        let what = "You must be logged in to do this.";
        let mut failure = Self::new(StatusCode::UNAUTHORIZED, what);
        failure.body.status = Some("error");
        failure.body.message = Some(what.to_owned());
        failure
    }

    /// The token may not do this.
    #[must_use]
    pub fn forbidden() -> Self {
        let what =
            "User does not have the permissions required for this action [error-unauthorized]";
        Self::new(StatusCode::FORBIDDEN, what)
    }

    /// Nobody can say now. This is no verdict.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "This cannot be answered now; try again")
    }

    /// With details, their keys in this order.
    #[must_use]
    pub fn with_details(
        mut self,
        details: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        self.body.details = Some(Details(details.into_iter().collect()));
        self
    }

    /// The answer; its content type has no charset, which the product's own tests insist on.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        // Texts under fixed keys: nothing that could fail to be written.
        let body = serde_json::to_string(&self.body).unwrap_or_default();
        let mut response = Response::new(B::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        self.response()
    }
}
