//! The handlers: read the request, ask the service, write the answer.

use std::sync::Arc;

use axum::extract::{OriginalUri, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::desk::{Content, Desk, Handled, Id, NoQuery, OnDesk, idempotency_key, json, token_id};
use super::object::{Shown, TokenList};
use super::refuse::Refused;
use super::{Native, Needs, codec, openapi, query};
use crate::core::error::IssueError;
use crate::core::issue::IssueRequest;
use crate::core::scope::Scope;
use crate::http::{Authenticated, Need, Routes};

pub(super) fn routes<S: Scope, T: Clone + Send + Sync + 'static>(
    native: &Native<S>,
) -> Routes<S, T> {
    let Needs { reading, managing } = native.needs.clone();
    let (reading, managing) = (Need::Scope(reading), Need::Scope(managing));
    let routes = Routes::new()
        .get("/tokens", reading.clone(), list)
        .post("/tokens", managing.clone(), create)
        .get("/tokens/current", Need::Token, show_current)
        .delete("/tokens/current", Need::Token, revoke_current)
        .get("/tokens/{id}", reading, show)
        .patch("/tokens/{id}", managing.clone(), edit)
        .delete("/tokens/{id}", managing.clone(), revoke)
        .post("/tokens/{id}/deactivate", managing.clone(), deactivate)
        .post("/tokens/{id}/reactivate", managing.clone(), reactivate)
        .post("/tokens/{id}/rotate", managing.clone(), rotate)
        .post("/owners/{id}/deactivate", managing.clone(), deactivate_owner)
        .post("/owners/{id}/reactivate", managing, reactivate_owner)
        .get("/openapi.json", Need::Public, describe);
    let desk = Desk {
        tokens: native.layer.tokens().clone(),
        answers: native.layer.answers().clone(),
        directory: Arc::clone(&native.directory),
        document: openapi::document(&routes.declared()),
        issuers: native.issuers.clone(),
    };
    routes.with_state(Arc::new(desk))
}

async fn list<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    RawQuery(query): RawQuery,
) -> Handled {
    let query::List { owner, mut query } = query::list(query.as_deref())?;
    let (owner, _) = desk.whose(&caller, owner).await?;
    query.filter.owner = Some(owner);
    let page = desk.tokens.query(&query).await?;
    let tokens = page.records.iter().map(|record| desk.object(record)).collect();
    json(StatusCode::OK, &TokenList { tokens, next: page.next.map(|cursor| cursor.0) })
}

async fn create<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    RawQuery(query): RawQuery,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Content(body): Content,
) -> Handled {
    let owner = query::owner(query.as_deref())?;
    let key = idempotency_key(&headers)?;
    let creation = codec::creation::<S>(&body)?;
    let (owner, for_others) = desk.whose(&caller, owner).await?;
    desk.may_issue(&caller)?;
    let grant = creation.grant.or_else(|| caller.grant().cloned());
    let mut request = IssueRequest::new(owner, grant.ok_or(IssueError::GrantExceeded)?);
    request.name = creation.name;
    request.note = creation.note;
    request.not_before = creation.not_before;
    request.lifetime = creation.lifetime;
    request.constraints = creation.constraints;
    request.idempotency_key = key;
    let issued = desk.tokens.issue(request, caller.by(for_others)).await;
    let (secret, record) = issued.map_err(|failure| Refused::issue(&desk.answers, failure))?;
    let mut response = json(StatusCode::CREATED, &Shown::new(desk.object(&record), &secret))?;
    let path = format!("{}/{}", uri.path().trim_end_matches('/'), record.id);
    if let Ok(location) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn show_current<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    _: NoQuery,
) -> Handled {
    let found = desk.tokens.find(caller.verified().id(), caller.by(false)).await;
    desk.answer(found)
}

async fn revoke_current<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let why = codec::reason(&body)?;
    let revoked = desk.tokens.revoke(caller.verified().id(), caller.by(false), why).await;
    desk.done(revoked)
}

async fn show<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
) -> Handled {
    let by = desk.by(&caller).await?;
    desk.answer(desk.tokens.find(token_id(id)?, by).await)
}

async fn edit<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let edit = codec::edit::<S>(&body)?;
    let (id, by) = (token_id(id)?, desk.by(&caller).await?);
    let codec::Edit { name, note, narrowing } = edit;
    desk.answer(desk.tokens.amend(id, name, note, &narrowing, by).await)
}

async fn revoke<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let why = codec::reason(&body)?;
    let by = desk.by(&caller).await?;
    desk.done(desk.tokens.revoke(token_id(id)?, by, why).await)
}

async fn deactivate<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let why = codec::reason(&body)?;
    let by = desk.by(&caller).await?;
    desk.answer(desk.tokens.deactivate(token_id(id)?, by, why).await)
}

async fn reactivate<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    codec::nothing(&body)?;
    let (id, by) = (token_id(id)?, desk.by(&caller).await?);
    desk.may_renew(&caller, id)?;
    desk.answer(desk.tokens.reactivate(id, by).await)
}

async fn rotate<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let rotation = codec::rotation(&body)?;
    let (id, by) = (token_id(id)?, desk.by(&caller).await?);
    desk.may_renew(&caller, id)?;
    let rotated = desk.tokens.rotate(id, rotation, by).await;
    let (secret, record) = rotated.map_err(|failure| Refused::change(&desk.answers, failure))?;
    json(StatusCode::OK, &Shown::new(desk.object(&record), &secret))
}

async fn deactivate_owner<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    let why = codec::reason(&body)?;
    let owner = desk.owner(&caller, id).await?;
    let state = desk.tokens.deactivate_owner(&owner, caller.by(true), why).await;
    desk.owner_answer(&owner, state)
}

async fn reactivate_owner<S: Scope>(
    State(desk): OnDesk<S>,
    caller: Authenticated<S>,
    id: Id,
    _: NoQuery,
    Content(body): Content,
) -> Handled {
    codec::nothing(&body)?;
    let owner = desk.owner(&caller, id).await?;
    let state = desk.tokens.reactivate_owner(&owner, caller.by(true)).await;
    desk.owner_answer(&owner, state)
}

async fn describe<S: Scope>(State(desk): OnDesk<S>) -> Response {
    ([(CONTENT_TYPE, "application/json")], desk.document.clone()).into_response()
}
