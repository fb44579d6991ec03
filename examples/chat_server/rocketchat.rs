//! What this host adds to Rocket.Chat's face: signing in and out, accounts, and a message.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use keyfob::core::factor_policy::method;
use keyfob::core::owner::OwnerStanding;
use keyfob::http::{ClientAddress, Declared, Need};
use keyfob::ports::directory::{Account, AccountKind, Directory as _};
use keyfob::ports::two_factor::FactorError;
use keyfob::service::error::ChangeFailure;
use keyfob::wire::rocketchat::{Caller, Failure, success};
use keyfob::{Access, Actor, By, Note, Operation, OwnerId, ReadWrite};
use serde_json::{Map, Value, json};

use crate::Host;
use crate::accounts::Entry;
use crate::messages::TOWN_SQUARE;
use crate::passwords::PasswordText;
use crate::session::{NotSignedIn, first_factor, session};
use crate::settings::OnDeactivation;

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
        .route("/api/v1/users.2fa.sendEmailCode", post(send_email_code))
        .route("/api/v1/users.setActiveStatus", post(set_active_status))
        .route("/api/v1/users.update", post(update))
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
        (Method::POST, "/api/v1/users.setActiveStatus"),
        (Method::POST, "/api/v1/users.update"),
    ];
    let own = own.into_iter().map(|(method, path)| Declared::new(method, path, Need::Public));
    own.chain(host.rocketchat.declared()).collect()
}

async fn info() -> Response {
    success([("version", VERSION.into())])
}

async fn login(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(peer)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let body = fields(&headers, &body);
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    if let Some(text) = field("resume") {
        let access = Access::<ReadWrite>::any().from(Some(peer));
        let verified =
            host.tokens.authenticate_strict(text, &access).await.map_err(|error| match error {
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
    let data = json!({"userId": entry.account.id, "authToken": token, "me": me});
    Ok(success([("status", "success".into()), ("data", data)]))
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
    let data = json!({"message": "You've been logged out!"});
    // The one answer without `success`.
    let body = json!({"status": "success", "data": data}).to_string();
    let mut response = success([]);
    *response.body_mut() = body.into();
    Ok(response)
}

async fn me(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Answered {
    let caller = caller(&host, &headers, address, &ReadWrite::Read).await?;
    let entry = host.accounts.of(&caller.account().id).ok_or_else(Failure::unauthorized)?;
    Ok(success(ordered(profile(&host, entry).await?)))
}

async fn post_message(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let caller = caller(&host, &headers, address, &ReadWrite::Write).await?;
    let body = fields(&headers, &body);
    let field = |name: &str| body.get(name).and_then(Value::as_str);
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
    let channel = ("channel", "town-square".into());
    Ok(success([("ts", at.timestamp_millis().into()), channel, ("message", shown)]))
}

/// Sends a code to whoever is called so, and tells nobody whether there is such an account.
async fn send_email_code((State(host), _, headers, body): Asked) -> Answered {
    let body = fields(&headers, &body);
    let Some(name) = body.get("emailOrUsername").and_then(Value::as_str) else {
        return Err(Failure::invalid_params("must have required property 'emailOrUsername'"));
    };
    if let Some(entry) = host.accounts.called(name) {
        match host.factors.send_again(&entry.account.id).await {
            Ok(_) | Err(FactorError::NotEnrolled | FactorError::TooManySent) => {}
            Err(_) => return Err(Failure::unavailable()),
        }
    }
    Ok(success([]))
}

async fn set_active_status((State(host), Extension(address), headers, body): Asked) -> Answered {
    let caller = caller(&host, &headers, address.0, &ReadWrite::Write).await?;
    let body = fields(&headers, &body);
    let missing =
        |key: &str| Failure::invalid_params(format!("must have required property '{key}'"));
    let active = body.get("activeStatus").ok_or_else(|| missing("activeStatus"))?;
    let active = active.as_bool().ok_or_else(|| Failure::invalid_params("must be boolean"))?;
    let id = body.get("userId").ok_or_else(|| missing("userId"))?;
    let id = id.as_str().ok_or_else(|| Failure::invalid_params("must be string"))?;
    if !is_administrator(&host, caller.account()).await? {
        return Err(Failure::forbidden());
    }
    let entry = OwnerId::new(id).ok().and_then(|id| host.accounts.of(&id));
    let entry = entry.ok_or_else(|| Failure::thrown("Invalid user", "error-invalid-user"))?;
    let (owner, by) = (&entry.account.id, By::administrator(caller.token()));
    let changed = if active {
        host.tokens.reactivate_owner(owner, by).await
    } else {
        host.tokens.deactivate_owner(owner, by, None).await
    };
    changed.map_err(|error| not_changed(&error))?;
    if !active && host.accounts.settings().on_deactivation() == OnDeactivation::Wipe {
        let why = Note::new("the account was deactivated").ok();
        let actor = Actor::with_token(caller.account().id.clone(), caller.token().id());
        let wiped = host.tokens.revoke_all_of(owner, None, By::Host(&actor), why).await;
        wiped.map_err(|error| not_changed(&error))?;
    }
    Ok(success([("user", json!({"_id": id, "active": active}))]))
}

/// Gives an account another display name. Found well-formed, it is asked for a second factor before
/// anything else is said of it.
async fn update((State(host), Extension(address), headers, body): Asked) -> Answered {
    let ClientAddress(address) = address;
    let caller = caller(&host, &headers, address, &ReadWrite::Write).await?;
    let body = Value::Object(fields(&headers, &body));
    let (id, name) = renaming(&body)?;
    let parameters = format!("users.update {body}");
    let proof = host
        .rocketchat
        .step_up(&caller, &headers, Some(address), Operation::Host, parameters.as_bytes())
        .await?;
    tracing::info!(token = %caller.token().id(), grounds = ?proof.grounds(), "users.update");
    if !is_administrator(&host, caller.account()).await? && caller.account().id.as_str() != id {
        let reason = "Editing user is not allowed";
        return Err(Failure::thrown(reason, "error-action-not-allowed"));
    }
    let entry = OwnerId::new(id).ok().and_then(|id| host.accounts.of(&id));
    let entry = entry.ok_or_else(|| Failure::thrown("Invalid user", "error-invalid-user"))?;
    host.accounts.rename(&entry.account.id, name.to_owned());
    Ok(success([("user", profile(&host, entry).await?)]))
}

/// The account and its new name.
fn renaming(body: &Value) -> Result<(&str, &str), Failure> {
    let missing =
        |key: &str| Failure::invalid_params(format!("must have required property '{key}'"));
    let id = body.get("userId").ok_or_else(|| missing("userId"))?;
    let id = id.as_str().ok_or_else(|| Failure::invalid_params("must be string"))?;
    let data = body.get("data").ok_or_else(|| missing("data"))?;
    let data = data.as_object().ok_or_else(|| Failure::invalid_params("must be object"))?;
    if let Some(other) = data.keys().find(|key| *key != "name") {
        let what = format!("data.{other} cannot be changed on this server");
        return Err(Failure::invalid_params(what));
    }
    let name = data.get("name").ok_or_else(|| missing("name"))?;
    let name = name.as_str().ok_or_else(|| Failure::invalid_params("must be string"))?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        let what = "data.name: 1 to 255 bytes without control characters";
        return Err(Failure::invalid_params(what));
    }
    Ok((id, name))
}

async fn caller(
    host: &Host,
    headers: &HeaderMap,
    address: std::net::IpAddr,
    needed: &ReadWrite,
) -> Result<Caller, Failure> {
    host.rocketchat.caller(headers, Some(address), needed).await
}

async fn is_administrator(host: &Host, account: &Account) -> Result<bool, Failure> {
    host.accounts.is_administrator(account).await.map_err(|_| Failure::unavailable())
}

/// An account as its owner sees it.
async fn profile(host: &Host, entry: &Entry) -> Result<Value, Failure> {
    let account = host.accounts.present(entry);
    let state = host.tokens.owner_state(&account.id).await;
    let state = state.map_err(|_| Failure::unavailable())?;
    let emails = account.email.iter();
    let emails =
        emails.map(|(address, verified)| json!({"address": address, "verified": verified}));
    let enrolled = host.factors.rocketchat.enrolled(&account.id).await;
    let mut services = Map::new();
    services.insert("password".to_owned(), json!({"exists": entry.password.is_some()}));
    for method in enrolled.map_err(|_| Failure::unavailable())? {
        let key = match method {
            method::TOTP => "totp",
            method::EMAIL => "email2fa",
            _ => continue,
        };
        services.insert(key.to_owned(), json!({"enabled": true}));
    }
    Ok(json!({
        "_id": account.id,
        "createdAt": account.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "username": account.username,
        "name": account.name,
        "emails": emails.collect::<Vec<_>>(),
        "email": account.email.as_ref().map(|(address, _)| address),
        "status": "online",
        "type": if account.kind == AccountKind::Human { "user" } else { "bot" },
        "roles": account.roles,
        "active": state.standing == OwnerStanding::Active,
        "avatarUrl": format!("/avatar/{}", account.username),
        "settings": {"preferences": {}},
        "isOAuthUser": account.external.is_some(),
        "services": services,
    }))
}

/// The members of an object, for an answer that has them beside its own.
fn ordered(object: Value) -> Vec<(&'static str, Value)> {
    let Value::Object(mut object) = object else { return Vec::new() };
    PROFILE.into_iter().filter_map(|key| Some((key, object.remove(key)?))).collect()
}

/// A body as fields: JSON, or a form as older clients send it. What is neither has none.
fn fields(headers: &HeaderMap, body: &[u8]) -> Map<String, Value> {
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if is_form {
        let pairs = form_urlencoded::parse(body);
        return pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The password's SHA-256, which clients may send instead of it.
fn password(body: &Map<String, Value>) -> Option<PasswordText> {
    match body.get("password").or_else(|| body.get("pass"))? {
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

const LONGEST_NAME: usize = 255;

/// A server's version in which all of this is so.
const VERSION: &str = "8.5.0";

/// What is said of an account, in the order in which it is said.
const PROFILE: [&str; 14] = [
    "_id",
    "createdAt",
    "username",
    "name",
    "emails",
    "email",
    "status",
    "type",
    "roles",
    "active",
    "avatarUrl",
    "settings",
    "isOAuthUser",
    "services",
];
