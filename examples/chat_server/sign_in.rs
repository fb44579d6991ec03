//! From a password to a session.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Json, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use keyfob::http::{ClientAddress, Problem};
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::error::StepUpError;
use serde::{Deserialize, Serialize};

use crate::Host;
use crate::attempts::TooMany;
use crate::passwords::PasswordText;
use crate::people::unavailable;
use crate::session::{NotSignedIn, first_factor, second_factor, session};

/// What a person signs in with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    username: String,
    password: PasswordText,
    /// Of the second factor, for accounts that have one.
    #[serde(default)]
    code: Option<PasswordText>,
}

/// A session, told once.
#[derive(Serialize)]
struct Session<'a> {
    token: &'a str,
    expires_at: Option<DateTime<Utc>>,
}

pub(crate) async fn sign_in(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(peer)): Extension<ClientAddress>,
    credentials: Result<Json<Credentials>, JsonRejection>,
) -> Result<Response, Response> {
    // What was sent may be a password in the wrong place, so it is not quoted.
    let Json(Credentials { username, password, code }) = credentials.map_err(|rejection| {
        let detail = "this takes JSON with the texts username and password";
        Problem::new(rejection.status(), "invalid_body", detail).into_response()
    })?;
    let entry = host.accounts.named(&username);
    let password = password.sha256_hex();
    let first = first_factor(&host, entry, &username, password, peer).await;
    let (entry, attempt) = first.map_err(not_signed_in)?;
    let id = &entry.account.id;
    let code = code.as_ref().map(|code| Answer::new(code.expose_secret()));
    let proof = second_factor(&host, id, code.as_ref(), attempt).await;
    let proof = proof.map_err(|error| not_proved(&error, host.tokens.now()))?;
    let (secret, record) = session(&host, id.clone(), proof).await.map_err(not_signed_in)?;
    let token = secret.expose_secret();
    let session = Session { token, expires_at: record.validity.expires_at.at() };
    Ok(([(CACHE_CONTROL, "no-store")], Json(session)).into_response())
}

fn not_signed_in(why: NotSignedIn) -> Response {
    match why {
        NotSignedIn::TooMany(too_many) => self::too_many(&too_many),
        NotSignedIn::Unavailable => unavailable().into_response(),
        NotSignedIn::Wrong => refused(),
    }
}

fn refused() -> Response {
    let detail = "the username or the password is wrong";
    let mut response =
        Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", detail).into_response();
    // A 401 names what would be accepted instead (RFC 9110, section 15.5.2).
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    response
}

/// What to answer where a second factor is due, and was not given.
fn not_proved(error: &StepUpError, now: DateTime<Utc>) -> Response {
    let (status, detail) = match error {
        StepUpError::Required(question) => match &question.to {
            Some(to) => (StatusCode::UNAUTHORIZED, format!("enter the code sent to {to}")),
            None => (StatusCode::UNAUTHORIZED, "enter a code of your authenticator".to_owned()),
        },
        StepUpError::Wrong(_) => (StatusCode::UNAUTHORIZED, "the code is wrong".to_owned()),
        StepUpError::Locked { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "there were too many wrong codes".to_owned())
        }
        StepUpError::TooManySent(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "there were too many mails; try again later".to_owned())
        }
        StepUpError::NothingEnrolled => {
            (StatusCode::FORBIDDEN, "this takes a second factor".to_owned())
        }
        StepUpError::Presenter(_) | StepUpError::Unavailable(_) => {
            return unavailable().into_response();
        }
    };
    let mut problem = Problem::new(status, error.code(), detail).about(Some("code"));
    if let Some(question) = error.question() {
        problem = problem.with("method", question.method);
    }
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = match error {
            StepUpError::Locked { until: Some(until), .. } => {
                until.signed_duration_since(now).num_seconds().saturating_add(1)
            }
            _ => LONGEST_WAIT,
        };
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn too_many(TooMany { retry_in }: &TooMany) -> Response {
    let detail = "there were too many wrong passwords; try again later";
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = Problem::new(status, "too_many_attempts", detail).into_response();
    // A part of a second rounds up: trying again a moment early would fail.
    let seconds = retry_in.as_secs().saturating_add(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

const CHALLENGE: &str = r#"Bearer realm="chat""#;

/// For mail, and for those whom only an administrator helps: the time in which five mails are sent.
const LONGEST_WAIT: i64 = 300;
