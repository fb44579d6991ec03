//! What this host adds to Rocket.Chat's face: signing in and out, accounts, and a message.

mod users;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use keyfob::core::factor_policy::method;
use keyfob::core::owner::OwnerStanding;
use keyfob::http::{ClientAddress, Declared, Need};
use keyfob::ports::directory::{Account, AccountKind, Directory as _};
use keyfob::service::error::ChangeFailure;
use keyfob::wire::rocketchat::{Body, Caller, Failure, Members, answer, success};
use keyfob::{Access, By, ReadWrite};
use serde_json::{Value, json};

use crate::Host;
use crate::accounts::Entry;
use crate::messages::TOWN_SQUARE;
use crate::passwords::PasswordText;
use crate::session::{NotSignedIn, first_factor, session};

type Answered = Result<Response, Failure>;
type Asked = (State<Arc<Host>>, Extension<ClientAddress>, HeaderMap, Bytes);

/// The host's routes, which read headers of their own.
pub(crate) fn router(host: &Arc<Host>) -> Router {
    Router::new()
        .route("/api/info", get(info))
        .route("/api/v1/login", post(login))
        .route("/api/v1/logout", get(logout).post(logout))
        .route("/api/v1/me", get(me))
        .route("/api/v1/chat.postMessage", post(post_message))
        .route("/api/v1/users.2fa.sendEmailCode", post(users::send_email_code))
        .route("/api/v1/users.logout", post(users::logout))
        .route("/api/v1/users.logoutOtherClients", post(users::logout_other_clients))
        .route("/api/v1/users.removeOtherTokens", post(users::remove_other_tokens))
        .route("/api/v1/users.setActiveStatus", post(users::set_active_status))
        .route("/api/v1/users.update", post(users::update))
        .with_state(Arc::clone(host))
        .merge(host.rocketchat.router())
}

pub(crate) fn declared(host: &Host) -> Vec<Declared<ReadWrite>> {
    let own = [
        (Method::GET, "/api/info"),
        (Method::POST, "/api/v1/login"),
        (Method::GET, "/api/v1/logout"),
        (Method::POST, "/api/v1/logout"),
        (Method::GET, "/api/v1/me"),
        (Method::POST, "/api/v1/chat.postMessage"),
        (Method::POST, "/api/v1/users.2fa.sendEmailCode"),
        (Method::POST, "/api/v1/users.logout"),
        (Method::POST, "/api/v1/users.logoutOtherClients"),
        (Method::POST, "/api/v1/users.removeOtherTokens"),
        (Method::POST, "/api/v1/users.setActiveStatus"),
        (Method::POST, "/api/v1/users.update"),
    ];
    let own = own.into_iter().map(|(method, path)| Declared::new(method, path, Need::Public));
    own.chain(host.rocketchat.declared()).collect()
}

/// What this host answers on every face (nothing is there, that is not what can be done there, it
/// took too long) is said in this one's envelope below its own path.
pub(crate) async fn in_envelope(request: Request, next: Next) -> Response {
    let is_here = request.uri().path().starts_with("/api/v1/");
    let mut response = next.run(request).await;
    let status = response.status();
    let is_told =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_here || status.is_success() || is_told {
        return response;
    }
    let failure = if status == StatusCode::SERVICE_UNAVAILABLE {
        Failure::unavailable()
    } else {
        Failure::new(status, status.canonical_reason().unwrap_or("unknown"))
    };
    let mut told = failure.into_response();
    if let Some(allowed) = response.headers_mut().remove(ALLOW) {
        told.headers_mut().insert(ALLOW, allowed);
    }
    told
}

async fn info() -> Response {
    success(Members::default().with("version", VERSION))
}

async fn login(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(peer)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let body = Body::read(&headers, &body);
    let field = |name: &str| body.member(name).and_then(Value::as_str);
    if let Some(text) = field("resume") {
        let access = Access::<ReadWrite>::any().from(Some(peer));
        let verified =
            host.tokens.authenticate_strict(text, &access).await.map_err(|error| match error {
                keyfob::AuthenticateError::RateLimited { seconds } => {
                    Failure::too_many_requests(seconds)
                }
                keyfob::AuthenticateError::Unavailable(_) => Failure::unavailable(),
                _ => unauthorized(),
            })?;
        let entry = host.tokens.owner_of(&verified).and_then(|owner| host.accounts.of(owner));
        return signed_in(&host, entry.ok_or_else(unauthorized)?, text).await;
    }
    let name = field("user").or_else(|| field("username")).or_else(|| field("email"));
    let name = name.ok_or_else(unauthorized)?;
    let password = password(&body).ok_or_else(unauthorized)?;
    let entry = host.accounts.called(name);
    let first = first_factor(&host, entry, name, password, peer).await;
    let (entry, attempt) = first.map_err(not_signed_in)?;
    let owner = entry.account.id.clone();
    let proof = match host.rocketchat.sign_in(&owner, field("code"), &headers).await {
        Ok(proof) => proof,
        Err((failure, has_guessed)) => {
            attempt.without_second_factor(has_guessed);
            return Err(failure);
        }
    };
    attempt.succeeded();
    let (secret, _) = session(&host, owner, proof).await.map_err(not_signed_in)?;
    signed_in(&host, entry, secret.expose_secret()).await
}

async fn signed_in(host: &Host, entry: &Entry, token: &str) -> Answered {
    let me = profile(host, entry).await?;
    let data = Members::default().with("userId", entry.account.id.as_str());
    let data = data.with("authToken", token).with_object("me", me);
    Ok(success(Members::default().with("status", "success").with_object("data", data)))
}

/// The presented token is ended, whatever its kind.
async fn logout(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Answered {
    let caller = caller(&host, &headers, address, &ReadWrite::Read).await?;
    let revoked = host.tokens.revoke(caller.token().id(), By::token(caller.token()), None).await;
    revoked.map_err(|_| Failure::unavailable())?;
    let data = Members::default().with("message", "You've been logged out!");
    let answered = Members::default().with("status", "success").with_object("data", data);
    // The one answer without `success`.
    Ok(answer(StatusCode::OK, &answered))
}

async fn me(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Answered {
    let caller = caller(&host, &headers, address, &ReadWrite::Read).await?;
    let entry = host.accounts.of(&caller.account().id).ok_or_else(Failure::unauthorized)?;
    Ok(success(profile(&host, entry).await?))
}

async fn post_message(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let caller = caller(&host, &headers, address, &ReadWrite::Write).await?;
    let body = Body::read(&headers, &body);
    let field = |name: &str| body.member(name).and_then(Value::as_str);
    let is_here = match (field("roomId"), field("channel")) {
        (Some(room), _) => room == TOWN_SQUARE,
        (None, Some(channel)) => channel.trim_start_matches('#') == "town-square",
        (None, None) => false,
    };
    if !is_here {
        let reason =
            "The required \"roomId\" or \"channel\" param provided does not match any channel";
        return Err(Failure::thrown(reason, "error-invalid-channel"));
    }
    let text = field("text").or_else(|| field("msg")).unwrap_or_default().to_owned();
    let account = caller.account();
    let author = account.username.clone();
    let posted = host.messages.post(author, text, host.tokens.now());
    let message = posted.map_err(|error| Failure::thrown(&error.to_string(), "error-message"))?;
    let at = message.created_at;
    let shown = json!({
        "_id": format!("{:0>17}", message.number),
        "rid": TOWN_SQUARE,
        "msg": message.text,
        "ts": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "u": {"_id": account.id, "username": account.username, "name": account.name},
    });
    let answered = Members::default().with("ts", at.timestamp_millis());
    Ok(success(answered.with("channel", "town-square").with("message", shown)))
}

async fn caller(
    host: &Host,
    headers: &HeaderMap,
    address: IpAddr,
    needed: &ReadWrite,
) -> Result<Caller, Failure> {
    host.rocketchat.caller(headers, Some(address), needed).await
}

async fn is_administrator(host: &Host, account: &Account) -> Result<bool, Failure> {
    host.accounts.is_administrator(account).await.map_err(|_| Failure::unavailable())
}

/// An account as its owner sees it.
async fn profile(host: &Host, entry: &Entry) -> Result<Members, Failure> {
    let account = host.accounts.present(entry);
    let state = host.tokens.owner_state(&account.id).await;
    let state = state.map_err(|_| Failure::unavailable())?;
    let emails = account.email.iter();
    let emails = emails.map(|(address, verified)| {
        Members::default().with("address", address.as_str()).with("verified", *verified)
    });
    let enrolled = host.factors.rocketchat.enrolled(&account.id).await;
    let enrolled = enrolled.map_err(|_| Failure::unavailable())?;
    let mut services =
        Members::default().with("password", json!({"exists": entry.password.is_some()}));
    for (method, name) in [(method::TOTP, "totp"), (method::EMAIL, "email2fa")] {
        if enrolled.contains(&method) {
            services = services.with(name, json!({"enabled": true}));
        }
    }
    let created_at = account.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let kind = if account.kind == AccountKind::Human { "user" } else { "bot" };
    Ok(Members::default()
        .with("_id", account.id.as_str())
        .with("username", account.username.as_str())
        .with("name", account.name.as_str())
        .with_list("emails", emails)
        .with("status", "online")
        .with("roles", account.roles.clone())
        .with("active", state.standing == OwnerStanding::Active)
        .with("createdAt", created_at)
        .with("type", kind)
        .with("email", account.email.as_ref().map(|(address, _)| address.as_str()))
        .with("avatarUrl", format!("/avatar/{}", account.username))
        .with("settings", json!({"preferences": {}}))
        .with("isOAuthUser", account.external.is_some())
        .with_object("services", services))
}

/// The password's SHA-256, which clients may send instead of it.
fn password(body: &Body) -> Option<PasswordText> {
    match body.member("password").or_else(|| body.member("pass"))? {
        Value::String(text) => Some(PasswordText::from(text.clone()).sha256_hex()),
        Value::Object(digest) if digest.get("algorithm")? == "sha-256" => {
            Some(digest.get("digest")?.as_str()?.to_ascii_lowercase().into())
        }
        _ => None,
    }
}

fn not_signed_in(why: NotSignedIn) -> Failure {
    match why {
        NotSignedIn::TooMany(_) => {
            let reason = "Login has been temporarily blocked For User.";
            Failure::sign_in("error-login-blocked-for-user", reason)
        }
        NotSignedIn::Unavailable => Failure::unavailable(),
        NotSignedIn::Wrong => unauthorized(),
    }
}

fn unauthorized() -> Failure {
    Failure::sign_in("Unauthorized", "Unauthorized")
}

fn not_changed(failure: &ChangeFailure) -> Failure {
    match failure {
        ChangeFailure::Presenter(_) => Failure::unauthorized(),
        ChangeFailure::Unavailable(_) => Failure::unavailable(),
        failure => Failure::new(StatusCode::BAD_REQUEST, failure.to_string()),
    }
}

/// A server's version in which all of this is so.
const VERSION: &str = "8.5.0";
