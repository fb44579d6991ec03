//! What this host adds to Mattermost's face: signing in and out, accounts, and the one channel.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use keyfob::core::owner::OwnerStanding;
use keyfob::http::{ClientAddress, Declared, Need, guard};
use keyfob::ports::directory::AccountKind;
use keyfob::ports::two_factor::Answer;
use keyfob::service::two_factor::error::StepUpError;
use keyfob::wire::mattermost::{Caller, Failure, Mattermost};
use keyfob::{By, Kind, OwnerId, ReadWrite};
use serde_json::{Map, Value, json};

use crate::Host;
use crate::accounts::Entry;
use crate::messages::{Message, TOWN_SQUARE};
use crate::passwords::PasswordText;
use crate::session::{NotSignedIn, first_factor, second_factor, session};
use crate::websocket;

type Handled = Result<Response, Failure>;
type OnHost = State<Arc<Host>>;

/// The host's routes beside the library's, all behind what makes answers the product's, and guarded
/// before it, so that what they do not have is answered the product's way too.
pub(crate) fn router(host: &Arc<Host>) -> Router {
    let face: &Mattermost<ReadWrite> = &host.mattermost;
    let own = Router::new()
        .route("/api/v4/users/login", post(login))
        .route("/api/v4/users/logout", post(logout))
        .route("/api/v4/users/me", get(me))
        .route("/api/v4/users/{user_id}", get(user))
        .route("/api/v4/users/username/{name}", get(user_by_name))
        .route("/api/v4/users/email/{email}", get(user_by_email))
        .route("/api/v4/users/{user_id}/active", put(set_active))
        .route("/api/v4/config/client", get(config))
        .route("/api/v4/system/ping", get(async || ok()))
        .route("/api/v4/posts", post(create_post))
        .route("/api/v4/channels/{channel_id}/posts", get(posts))
        .route("/api/v4/websocket", get(websocket::connect))
        .with_state(Arc::clone(host));
    face.answering(guard(&declared(), own)).merge(face.clone().into_router())
}

/// Each judges its caller itself.
fn declared() -> Vec<Declared<ReadWrite>> {
    let own = [
        (Method::POST, "/api/v4/users/login"),
        (Method::POST, "/api/v4/users/logout"),
        (Method::GET, "/api/v4/users/me"),
        (Method::GET, "/api/v4/users/{user_id}"),
        (Method::GET, "/api/v4/users/username/{name}"),
        (Method::GET, "/api/v4/users/email/{email}"),
        (Method::PUT, "/api/v4/users/{user_id}/active"),
        (Method::GET, "/api/v4/config/client"),
        (Method::GET, "/api/v4/system/ping"),
        (Method::POST, "/api/v4/posts"),
        (Method::GET, "/api/v4/channels/{channel_id}/posts"),
        (Method::GET, "/api/v4/websocket"),
    ];
    own.into_iter().map(|(method, path)| Declared::new(method, path, Need::Public)).collect()
}

async fn login(
    State(host): OnHost,
    Extension(ClientAddress(peer)): Extension<ClientAddress>,
    request: Request,
) -> Handled {
    let body = body(request.into_body()).await?;
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = field("login_id");
    // No guess, and so it counts as none.
    if field("password").is_empty() {
        return Err(BLANK_PASSWORD);
    }
    let password = PasswordText::from(field("password").to_owned()).sha256_hex();
    let first = first_factor(&host, host.accounts.called(name), name, password, peer).await;
    let (entry, attempt) = first.map_err(not_signed_in)?;
    let (id, code) = (&entry.account.id, field("token"));
    let answer = (!code.is_empty()).then(|| Answer::new(code));
    let proof = second_factor(&host, id, answer.as_ref(), attempt).await;
    let proof = proof.map_err(|error| match error {
        StepUpError::Unavailable(_) => Failure::Unavailable,
        _ => INVALID_MFA,
    })?;
    let (secret, _) = session(&host, id.clone(), proof).await.map_err(not_signed_in)?;
    let mut response = json(StatusCode::OK, &profile(&host, entry).await?);
    if let Ok(token) = HeaderValue::try_from(secret.expose_secret()) {
        response.headers_mut().insert(HeaderName::from_static("token"), token);
    }
    Ok(response)
}

/// A session ends. A personal token is none, and stays, as in the product.
async fn logout(State(host): OnHost, request: Request) -> Handled {
    let caller = caller(&host, request, &ReadWrite::Read).await?;
    if host.tokens.kind_of(caller.token()) == Some(&Kind::session()) {
        let by = By::token(caller.token());
        let ended = host.tokens.revoke(caller.token().id(), by, None).await;
        ended.map_err(|_| Failure::Unavailable)?;
    }
    Ok(ok())
}

async fn me(State(host): OnHost, request: Request) -> Handled {
    let caller = caller(&host, request, &ReadWrite::Read).await?;
    shown(&host, host.accounts.of(&caller.account().id)).await
}

async fn user(State(host): OnHost, id: Segment, request: Request) -> Handled {
    let caller = caller(&host, request, &ReadWrite::Read).await?;
    let id = account_in(&id, &caller)?;
    shown(&host, host.accounts.of(&id)).await
}

async fn user_by_name(State(host): OnHost, name: Segment, request: Request) -> Handled {
    caller(&host, request, &ReadWrite::Read).await?;
    shown(&host, host.accounts.named(&word(name)?)).await
}

async fn user_by_email(State(host): OnHost, email: Segment, request: Request) -> Handled {
    caller(&host, request, &ReadWrite::Read).await?;
    let email = word(email)?;
    let called = host.accounts.called(&email);
    shown(&host, called.filter(|entry| entry.account.username != email)).await
}

async fn set_active(State(host): OnHost, id: Segment, request: Request) -> Handled {
    let (caller, body) = caller_and_body(&host, request).await?;
    let active = body.get("active").and_then(Value::as_bool);
    let active = active.ok_or(Failure::InvalidBody("active"))?;
    let id = account_in(&id, &caller)?;
    // People may deactivate themselves; coming back takes somebody else.
    if !caller.account().has_role("system_admin") && (active || id != caller.account().id) {
        return Err(Failure::Permissions);
    }
    let entry = host.accounts.of(&id).ok_or(Failure::MissingAccount)?;
    let (owner, by) = (&entry.account.id, By::administrator(caller.token()));
    if active {
        host.tokens.reactivate_owner(owner, by).await.map_err(|_| Failure::Unavailable)?;
        return Ok(ok());
    }
    // Its bots go with it and do not come back with it, as there: somebody looks at each first.
    let bots = host.accounts.all().filter(|bot| bot.account.bot_owner.as_ref() == Some(owner));
    for gone in std::iter::once(owner).chain(bots.map(|bot| &bot.account.id)) {
        let changed = host.tokens.deactivate_owner(gone, by, None).await;
        changed.map_err(|_| Failure::Unavailable)?;
    }
    Ok(ok())
}

/// What clients may know of the server; of tokens, only those that are signed in.
async fn config(State(host): OnHost, request: Request) -> Handled {
    let is_signed_in = match caller(&host, request, &ReadWrite::Read).await {
        Ok(_) => true,
        Err(failure @ Failure::Unavailable) => return Err(failure),
        Err(_) => false,
    };
    let mut config = json!({"Version": VERSION, "BuildNumber": VERSION, "SiteName": "chat"});
    if is_signed_in {
        let settings = host.accounts.settings().mattermost();
        let days = settings.maximum_lifetime_days.to_string();
        if let Value::Object(config) = &mut config {
            let enabled = settings.enabled.to_string();
            config.insert("EnableUserAccessTokens".to_owned(), enabled.into());
            config.insert("MaximumPersonalAccessTokenLifetimeDays".to_owned(), days.into());
        }
    }
    Ok(json(StatusCode::OK, &config))
}

async fn create_post(State(host): OnHost, request: Request) -> Handled {
    let (caller, body) = caller_and_body(&host, request).await?;
    if body.get("channel_id").and_then(Value::as_str) != Some(TOWN_SQUARE) {
        return Err(Failure::Permissions);
    }
    let text = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    let author = caller.account().username.clone();
    let posted = host.messages.post(author, text, host.tokens.now());
    let message = posted.map_err(|_| Failure::InvalidBody("post"))?;
    Ok(json(StatusCode::CREATED, &shown_post(&host, &message)))
}

async fn posts(State(host): OnHost, channel: Segment, request: Request) -> Handled {
    caller(&host, request, &ReadWrite::Read).await?;
    if word(channel)? != TOWN_SQUARE {
        return Err(Failure::Permissions);
    }
    let (mut order, mut posts) = (Vec::new(), Map::new());
    for message in host.messages.all().iter().rev() {
        let post = shown_post(&host, message);
        order.push(post_id(message));
        posts.insert(post_id(message), post);
    }
    let list = json!({"order": order, "posts": posts, "next_post_id": "", "prev_post_id": ""});
    Ok(json(StatusCode::OK, &list))
}

async fn caller(host: &Host, request: Request, needed: &ReadWrite) -> Result<Caller, Failure> {
    let (mut parts, _) = request.into_parts();
    host.mattermost.caller(&mut parts, needed).await
}

/// Somebody who changes something, and what is sent for that.
async fn caller_and_body(
    host: &Host,
    request: Request,
) -> Result<(Caller, Map<String, Value>), Failure> {
    let (mut parts, content) = request.into_parts();
    let caller = host.mattermost.caller(&mut parts, &ReadWrite::Write).await?;
    Ok((caller, body(content).await?))
}

async fn shown(host: &Host, entry: Option<&Entry>) -> Handled {
    let entry = entry.ok_or(Failure::MissingAccount)?;
    Ok(json(StatusCode::OK, &profile(host, entry).await?))
}

async fn profile(host: &Host, entry: &Entry) -> Result<Value, Failure> {
    let account = host.accounts.present(entry);
    let state = host.tokens.owner_state(&account.id).await.map_err(|_| Failure::Unavailable)?;
    let created_at = account.created_at.timestamp_millis();
    let ended_at = state.changed_at.filter(|_| state.standing != OwnerStanding::Active);
    let (first_name, last_name) = account.name.split_once(' ').unwrap_or((&account.name, ""));
    Ok(json!({
        "id": account.id,
        "create_at": created_at,
        "update_at": created_at,
        "delete_at": ended_at.map_or(0, |at| at.timestamp_millis()),
        "username": account.username,
        "auth_service": account.external.as_deref().unwrap_or_default(),
        "email": account.email.as_ref().map_or("", |(address, _)| address),
        "email_verified": account.email.as_ref().is_some_and(|(_, verified)| *verified),
        "nickname": "",
        "first_name": first_name,
        "last_name": last_name,
        "position": "",
        "roles": account.roles.join(" "),
        "locale": "en",
        "timezone": {},
        "disable_welcome_email": false,
        "is_bot": account.kind == AccountKind::Bot,
        "bot_owner": account.bot_owner,
    }))
}

/// A message as the product shows one.
pub(crate) fn shown_post(host: &Host, message: &Message) -> Value {
    let author = host.accounts.named(&message.author).map(|entry| entry.account.id.to_string());
    let at = message.created_at.timestamp_millis();
    json!({
        "id": post_id(message),
        "create_at": at,
        "update_at": at,
        "edit_at": 0,
        "delete_at": 0,
        "is_pinned": false,
        "user_id": author.unwrap_or_default(),
        "channel_id": TOWN_SQUARE,
        "root_id": "",
        "original_id": "",
        "message": message.text,
        "type": "",
        "props": {},
        "hashtags": "",
        "pending_post_id": "",
        "metadata": {},
    })
}

fn post_id(message: &Message) -> String {
    format!("{:0>26}", message.number)
}

/// A body as fields; what is no object has none, as the product's login reads it.
async fn body(body: Body) -> Result<Map<String, Value>, Failure> {
    let body = to_bytes(body, LONGEST_BODY).await.map_err(|_| Failure::BodyTooLarge)?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// A part of a path; what is no text is in no path that there is.
type Segment = Result<Path<String>, PathRejection>;

fn account_in(path: &Segment, caller: &Caller) -> Result<OwnerId, Failure> {
    caller.account_in(path.as_ref().ok().map(|Path(segment)| segment.as_str()))
}

fn word(path: Segment) -> Result<String, Failure> {
    path.map(|Path(segment)| segment).map_err(|_| Failure::UnknownRoute)
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn ok() -> Response {
    json(StatusCode::OK, &json!({"status": "OK"}))
}

fn not_signed_in(why: NotSignedIn) -> Failure {
    match why {
        NotSignedIn::TooMany(_) => TOO_MANY_ATTEMPTS,
        NotSignedIn::Unavailable => Failure::Unavailable,
        NotSignedIn::Wrong => WRONG_CREDENTIALS,
    }
}

const BLANK_PASSWORD: Failure = Failure::Host {
    status: StatusCode::BAD_REQUEST,
    id: "api.user.login.blank_pwd.app_error",
    message: "Password field must not be blank",
};

const INVALID_MFA: Failure = Failure::Host {
    status: StatusCode::UNAUTHORIZED,
    id: "mfa.validate_token.authenticate.app_error",
    message: "Invalid MFA token.",
};

const TOO_MANY_ATTEMPTS: Failure = Failure::Host {
    status: StatusCode::UNAUTHORIZED,
    id: "api.user.check_user_login_attempts.too_many.app_error",
    message: "Your account is locked because of too many failed password attempts. Please reset your password.",
};

const WRONG_CREDENTIALS: Failure = Failure::Host {
    status: StatusCode::UNAUTHORIZED,
    id: "api.user.login.invalid_credentials_email_username",
    message: "Enter a valid email or username and/or password.",
};

/// A server's version in which all of this is so.
pub(crate) const VERSION: &str = "11.0.0";

const LONGEST_BODY: usize = 64 * 1024;
