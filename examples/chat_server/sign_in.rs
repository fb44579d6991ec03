//! From a password to a session.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Json, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use keyfob::core::owner::OwnerStanding;
use keyfob::http::{ClientAddress, Problem};
use keyfob::service::error::IssueFailure;
use keyfob::{Actor, By, Grant, IssueError, IssueRequest, Kind, OwnerId, TokenName};
use serde::{Deserialize, Serialize};

use crate::Host;
use crate::attempts::{Subject, TooMany};
use crate::passwords::PasswordText;
use crate::people::unavailable;

/// What a person signs in with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    username: String,
    password: PasswordText,
    /// Of the second factor. Accounts that have one cannot sign in yet.
    #[serde(default, rename = "code")]
    _code: Option<PasswordText>,
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
    let Json(Credentials { username, password, .. }) = credentials.map_err(|rejection| {
        let detail = "this takes JSON with the texts username and password";
        Problem::new(rejection.status(), "invalid_body", detail).into_response()
    })?;
    let entry = host.accounts.named(&username);
    let subject = entry.map_or_else(
        || Subject::Nobody(username.chars().take(LONGEST_COUNTED_NAME).collect()),
        |entry| Subject::Account(entry.account.id.clone()),
    );
    let attempt = host.attempts.begin(subject, Some(peer)).await.map_err(too_many)?;
    let own = entry.and_then(|entry| entry.password.as_ref());
    let is_right =
        host.passwords.check(own, password).await.map_err(|_| unavailable().into_response())?;
    let Some(entry) = entry.filter(|_| is_right) else {
        return Err(refused());
    };
    let id = &entry.account.id;
    let Ok(state) = host.tokens.owner_state(id).await else {
        // While the store is away, those who know their passwords must not be locked out.
        attempt.succeeded();
        return Err(unavailable().into_response());
    };
    if state.standing != OwnerStanding::Active {
        attempt.failed_with_the_right_password();
        return Err(refused());
    }
    attempt.succeeded();
    if entry.has_two_factor {
        return Err(second_factor());
    }
    session(&host, id.clone()).await
}

async fn session(host: &Host, owner: OwnerId) -> Result<Response, Response> {
    let actor = Actor::account(owner.clone());
    let mut request = IssueRequest::new(owner, Grant::Full).of_kind(Kind::session());
    request.name = TokenName::new("signed in").unwrap_or_default();
    match host.tokens.issue(request, By::Host(&actor)).await {
        Ok((secret, record)) => {
            let token = secret.expose_secret();
            let session = Session { token, expires_at: record.validity.expires_at.at() };
            Ok(([(CACHE_CONTROL, "no-store")], Json(session)).into_response())
        }
        // It was deactivated since the password was found right.
        Err(IssueFailure::Request(IssueError::OwnerNotActive)) => Err(refused()),
        Err(error) => {
            tracing::error!(%error, "no session could be made");
            Err(unavailable().into_response())
        }
    }
}

/// One answer for names that are nobody's, wrong passwords, accounts without one and those that
/// are deactivated.
fn refused() -> Response {
    let detail = "the username or the password is wrong";
    let mut response =
        Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", detail).into_response();
    // A 401 names what would be accepted instead (RFC 9110, section 15.5.2).
    let challenge = HeaderValue::from_static(r#"Bearer realm="chat""#);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn second_factor() -> Response {
    let detail = "this account has a second factor, which this server cannot check yet";
    let code = "second_factor_unavailable";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).into_response()
}

fn too_many(TooMany { retry_in }: TooMany) -> Response {
    let detail = "there were too many wrong passwords; try again later";
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = Problem::new(status, "too_many_attempts", detail).into_response();
    // A part of a second rounds up: trying again a moment early would fail.
    let seconds = retry_in.as_secs().saturating_add(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Longer names than that share a count with those that begin like them.
const LONGEST_COUNTED_NAME: usize = 64;
