//! What clients do to accounts, and to all tokens of one at once.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use chrono::SecondsFormat;
use keyfob::http::ClientAddress;
use keyfob::ports::store::{Filter, Query, Start};
use keyfob::ports::two_factor::FactorError;
use keyfob::wire::rocketchat::{Body, Failure, Members, Profile, success};
use keyfob::{Actor, By, Kind, Note, Operation, OwnerId, ReadWrite};
use serde_json::Value;

use super::{Answered, Asked, caller, is_administrator, not_changed, profile};
use crate::Host;
use crate::accounts::Entry;
use crate::settings::OnDeactivation;

/// Sends a code to whoever is called so, and tells nobody whether there is such an account.
pub(super) async fn send_email_code((State(host), _, headers, body): Asked) -> Answered {
    let body = Body::read(&headers, &body);
    let name = match host.accounts.settings().rocketchat_profile() {
        Profile::Eight => body.text("emailOrUsername")?,
        Profile::Legacy => {
            let name = body.member("emailOrUsername").and_then(Value::as_str);
            let missing =
                || Failure::thrown("emailOrUsername is required", "error-parameter-required");
            name.filter(|name| !name.is_empty()).ok_or_else(missing)?.to_owned()
        }
    };
    if let Some(entry) = host.accounts.called(&name) {
        match host.factors.send_again(&entry.account.id).await {
            Ok(_)
            | Err(
                FactorError::NotEnrolled | FactorError::TooManyAttempts | FactorError::TooManySent,
            ) => {}
            Err(_) => return Err(Failure::unavailable()),
        }
    }
    Ok(success(Members::default()))
}

pub(super) async fn set_active_status(
    (State(host), Extension(address), headers, body): Asked,
) -> Answered {
    let caller = caller(&host, &headers, address.0, &ReadWrite::Write).await?;
    let body = Body::read(&headers, &body);
    let (active, id) = (body.flag("activeStatus")?, body.text("userId")?);
    if !is_administrator(&host, caller.account()).await? {
        return Err(Failure::forbidden());
    }
    let entry = entry(&host, &id).ok_or_else(invalid_user)?;
    let (owner, by) = (&entry.account.id, By::administrator(caller.token()));
    let changed = if active {
        host.tokens.reactivate_owner(owner, by).await
    } else {
        host.tokens.deactivate_owner(owner, by, None).await
    };
    changed.map_err(|error| not_changed(&error))?;
    if !active && host.accounts.settings().on_deactivation() == OnDeactivation::Wipe {
        let actor = Actor::with_token(caller.account().id.clone(), caller.token().id());
        let wiped = host
            .tokens
            .revoke_all_of(owner, None, By::Host(&actor), why("the account was deactivated"))
            .await;
        wiped.map_err(|error| not_changed(&error))?;
    }
    let user = Members::default().with("_id", id).with("active", active);
    Ok(success(Members::default().with_object("user", user)))
}

/// Ends the caller's other sessions, and no personal token.
pub(super) async fn logout_other_clients(
    (State(host), Extension(address), headers, _): Asked,
) -> Answered {
    let caller = caller(&host, &headers, address.0, &ReadWrite::Write).await?;
    let (own, by) = (caller.token().id(), By::token(caller.token()));
    let sessions = Filter::of_owner(caller.account().id.clone()).of_kind(Kind::session());
    let mut query = Query::new(sessions.unrevoked(), Query::LARGEST_PAGE);
    loop {
        let page = host.tokens.query(&query).await.map_err(|_| Failure::unavailable())?;
        for session in page.records.iter().filter(|session| session.id != own) {
            let ended = host.tokens.revoke(session.id, by, why("logged out elsewhere")).await;
            ended.map_err(|error| not_changed(&error))?;
        }
        let Some(next) = page.next else { break };
        query.start = Start::After(next);
    }
    let presented = host.tokens.find(own, by).await.map_err(|error| not_changed(&error))?;
    let expires = match presented.validity.expires_at.at() {
        Some(at) if presented.kind == Kind::session() => {
            at.to_rfc3339_opts(SecondsFormat::Millis, true)
        }
        // What is no session has no end there.
        _ => String::new(),
    };
    let token = headers.get("x-auth-token").and_then(|token| token.to_str().ok());
    Ok(success(Members::default().with("token", token).with("tokenExpires", expires)))
}

/// Ends all of the caller's tokens but the one that is presented.
pub(super) async fn remove_other_tokens(
    (State(host), Extension(address), headers, _): Asked,
) -> Answered {
    let caller = caller(&host, &headers, address.0, &ReadWrite::Write).await?;
    let (owner, token) = (&caller.account().id, caller.token());
    let why = why("all other tokens were removed");
    let ended = host.tokens.revoke_all_of(owner, Some(token.id()), By::token(token), why).await;
    ended.map_err(|error| not_changed(&error))?;
    Ok(success(Members::default()))
}

/// Ends all tokens of the caller, or for an administrator of somebody else.
pub(super) async fn logout((State(host), Extension(address), headers, body): Asked) -> Answered {
    let caller = caller(&host, &headers, address.0, &ReadWrite::Write).await?;
    let body = Body::read(&headers, &body);
    let own = &caller.account().id;
    let id = match body.member("userId") {
        Some(_) => body.text("userId")?,
        None => own.to_string(),
    };
    let by = if id == own.as_str() {
        By::token(caller.token())
    } else if is_administrator(&host, caller.account()).await? {
        By::administrator(caller.token())
    } else {
        return Err(Failure::new(StatusCode::FORBIDDEN, "unauthorized"));
    };
    let unknown = || Failure::thrown("Invalid user id", "error-invalid-user-id");
    let owner = &entry(&host, &id).ok_or_else(unknown)?.account.id;
    let ended = host.tokens.revoke_all_of(owner, None, by, why("logged out")).await;
    ended.map_err(|error| not_changed(&error))?;
    Ok(success(Members::default().with("message", format!("User {id} has been logged out!"))))
}

/// Gives an account another display name. Found well-formed, it is asked for a second factor before
/// anything else is said of it.
pub(super) async fn update((State(host), Extension(address), headers, body): Asked) -> Answered {
    let ClientAddress(address) = address;
    let caller = caller(&host, &headers, address, &ReadWrite::Write).await?;
    let body = Body::read(&headers, &body);
    let (id, name) = renaming(&body)?;
    let parameters = format!("users.update {}", body.value());
    let proof = host
        .rocketchat
        .step_up(&caller, &headers, Some(address), Operation::Host, parameters.as_bytes())
        .await?;
    tracing::info!(token = %caller.token().id(), grounds = ?proof.grounds(), "users.update");
    if !is_administrator(&host, caller.account()).await? && caller.account().id.as_str() != id {
        let reason = "Editing user is not allowed";
        return Err(Failure::thrown(reason, "error-action-not-allowed"));
    }
    let entry = entry(&host, id).ok_or_else(invalid_user)?;
    host.accounts.rename(&entry.account.id, name.to_owned());
    Ok(success(Members::default().with_object("user", profile(&host, entry).await?)))
}

/// The account and its new name.
fn renaming(body: &Body) -> Result<(&str, &str), Failure> {
    let id = text(body.required("userId")?)?;
    let data = body.required("data")?;
    let data = data.as_object().ok_or_else(|| Failure::invalid_params("must be object"))?;
    if let Some(other) = data.keys().find(|key| *key != "name") {
        let what = format!("data.{other} cannot be changed on this server");
        return Err(Failure::invalid_params(what));
    }
    let missing = || Failure::invalid_params("must have required property 'name'");
    let name = text(data.get("name").ok_or_else(missing)?)?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        let what = "data.name: 1 to 255 bytes without control characters";
        return Err(Failure::invalid_params(what));
    }
    Ok((id, name))
}

fn text(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| Failure::invalid_params("must be string"))
}

fn entry<'h>(host: &'h Host, id: &str) -> Option<&'h Entry> {
    OwnerId::new(id).ok().and_then(|id| host.accounts.of(&id))
}

fn invalid_user() -> Failure {
    Failure::thrown("Invalid user", "error-invalid-user")
}

fn why(text: &str) -> Option<Note> {
    Note::new(text).ok()
}

const LONGEST_NAME: usize = 255;
