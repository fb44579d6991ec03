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
use keyfob::ports::two_factor::Answer;
use keyfob::service::error::IssueFailure;
use keyfob::service::two_factor::Ask;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::{
    Actor, By, Grant, IssueError, IssueRequest, Kind, Operation, OwnerId, TokenName, TwoFactorProof,
};
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
    let subject = entry.map_or_else(
        || Subject::Nobody(username.chars().take(LONGEST_COUNTED_NAME).collect()),
        |entry| Subject::Account(entry.account.id.clone()),
    );
    let attempt = host.attempts.begin(subject, Some(peer)).await.map_err(too_many)?;
    let own = entry.and_then(|entry| entry.password.as_ref());
    let is_right = host
        .passwords
        .check(own, password.sha256_hex())
        .await
        .map_err(|_| unavailable().into_response())?;
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
    let code = code.as_ref().map(|code| Answer::new(code.expose_secret()));
    let mut ask = Ask::of(id, Operation::SignIn, SIGN_IN);
    if let Some(code) = &code {
        ask = ask.answered(code);
    }
    let proof = match host.factors.native.demand(&ask).await {
        Ok(proof) => proof,
        Err(error) => {
            match &error {
                StepUpError::Wrong(_) | StepUpError::Locked { .. } => {
                    attempt.failed_with_the_right_password();
                }
                _ => attempt.succeeded(),
            }
            return Err(second_factor(&error, host.tokens.now()));
        }
    };
    attempt.succeeded();
    session(&host, id.clone(), &proof).await
}

/// A session for whoever has signed in, second factor and all.
async fn session(
    host: &Host,
    owner: OwnerId,
    proof: &TwoFactorProof,
) -> Result<Response, Response> {
    if !proof.holds_for(&owner, Operation::SignIn, SIGN_IN, None, host.tokens.now()) {
        return Err(unavailable().into_response());
    }
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
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    response
}

/// What to answer where a second factor is due, and was not given.
fn second_factor(error: &StepUpError, now: DateTime<Utc>) -> Response {
    let (status, detail) = match error {
        StepUpError::Required(question) => match &question.sent {
            Some(sent) => (StatusCode::UNAUTHORIZED, format!("enter the code sent to {}", sent.to)),
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

fn too_many(TooMany { retry_in }: TooMany) -> Response {
    let detail = "there were too many wrong passwords; try again later";
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = Problem::new(status, "too_many_attempts", detail).into_response();
    // A part of a second rounds up: trying again a moment early would fail.
    let seconds = retry_in.as_secs().saturating_add(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Signing in has no parameters.
const SIGN_IN: &[u8] = b"";

const CHALLENGE: &str = r#"Bearer realm="chat""#;

/// For mail, and for those whom only an administrator helps: the time in which five mails are sent.
const LONGEST_WAIT: i64 = 300;

/// Longer names than that share a count with those that begin like them.
const LONGEST_COUNTED_NAME: usize = 64;
