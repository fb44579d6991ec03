//! What this host adds to Rocket.Chat's face: a route that demands a second factor.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use keyfob::http::ClientAddress;
use keyfob::ports::directory::{Account, AccountKind, Directory as _};
use keyfob::wire::rocketchat::Failure;
use keyfob::{Operation, OwnerId, ReadWrite};
use serde_json::{Value, json};

use crate::Host;

/// `POST /api/v1/users.update`: gives an account another display name.
///
/// Found well-formed, it is asked for a second factor before anything else is said of it.
pub(crate) async fn update(
    State(host): State<Arc<Host>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let face = &host.rocketchat;
    let caller = face.caller(&headers, Some(address), &ReadWrite::Write).await?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
    let (id, name) = read(&body)?;
    let parameters = format!("users.update {body}");
    let proof = face
        .step_up(&caller, &headers, Some(address), Operation::Host, parameters.as_bytes())
        .await?;
    tracing::info!(token = %caller.token().id(), grounds = ?proof.grounds(), "users.update");
    let is_administrator = host.accounts.is_administrator(caller.account()).await;
    let is_administrator = is_administrator.map_err(|_| Failure::unavailable())?;
    if !is_administrator && caller.account().id.as_str() != id {
        let reason = "Editing user is not allowed";
        return Err(Failure::thrown(reason, "error-action-not-allowed"));
    }
    let entry = OwnerId::new(id).ok().and_then(|id| host.accounts.of(&id));
    let entry = entry.ok_or_else(|| Failure::thrown("Invalid user", "error-invalid-user"))?;
    host.accounts.rename(&entry.account.id, name.to_owned());
    let user = user(&host.accounts.present(entry));
    Ok(success(&json!({"user": user, "success": true})))
}

/// The account and its new name.
fn read(body: &Value) -> Result<(&str, &str), Failure> {
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

fn user(account: &Account) -> Value {
    let emails = account.email.iter();
    let emails =
        emails.map(|(address, verified)| json!({"address": address, "verified": verified}));
    json!({
        "_id": account.id,
        "createdAt": account.created_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "username": account.username,
        "name": account.name,
        "emails": emails.collect::<Vec<_>>(),
        "type": if account.kind == AccountKind::Human { "user" } else { "bot" },
        "roles": account.roles,
    })
}

fn success(body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, body.to_string()).into_response()
}

const LONGEST_NAME: usize = 255;
