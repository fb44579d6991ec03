//! What a client is told that is not answered (RFC 6749, section 5.2).

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::answer;
use crate::ports::directory::DirectoryError;

/// Why there is no answer about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No client, or none that may ask.
    InvalidClient,
    /// No form with one token.
    InvalidRequest,
    /// The token was used as often as its rate allows.
    RateLimited {
        /// After how many seconds it may be used again.
        seconds: u64,
    },
    /// Nobody can say now.
    Unavailable,
}

impl From<DirectoryError> for Failure {
    fn from(_: DirectoryError) -> Self {
        Self::Unavailable
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        };
        let mut response = answer(status, json!({"error": error}).to_string());
        let headers = response.headers_mut();
        match self {
            Self::InvalidClient => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            Self::InvalidRequest => {}
            Self::RateLimited { seconds } => {
                headers.insert(RETRY_AFTER, seconds.into());
            }
            Self::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
        }
        response
    }
}

const CHALLENGE: &str = "Basic realm=\"tokens\", charset=\"UTF-8\"";
