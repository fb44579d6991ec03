//! What the handlers share: whose tokens are meant, what a body may be, how an answer looks.

use std::fmt;
use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::keys::Fault;
use super::object::{Owner, Token};
use super::query;
use super::refuse::Refused;
use crate::core::error::IssueError;
use crate::core::id::{IdempotencyKey, Kind, OwnerId, TokenId};
use crate::core::owner::OwnerState;
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::http::{Answers, Authenticated, Problem};
use crate::ports::directory::{Account, AccountKey, Directory};
use crate::service::error::ChangeFailure;
use crate::service::{By, Tokens};

/// What the handlers work with.
#[derive(Debug)]
pub(super) struct Desk<S: Scope> {
    pub(super) tokens: Tokens<S>,
    pub(super) answers: Answers,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) document: String,
    pub(super) issuers: Option<Vec<Kind>>,
}

pub(super) type Handled = Result<Response, Refused>;
pub(super) type Id = Result<Path<String>, PathRejection>;
pub(super) type OnDesk<S> = State<Arc<Desk<S>>>;

impl<S: Scope> Desk<S> {
    pub(super) fn object(&self, record: &TokenRecord) -> Token {
        Token::of(record, self.tokens.now())
    }

    pub(super) fn answer(&self, changed: Result<TokenRecord, ChangeFailure>) -> Handled {
        let record = changed.map_err(|failure| Refused::change(&self.answers, failure))?;
        json(StatusCode::OK, &self.object(&record))
    }

    pub(super) fn done(&self, changed: Result<TokenRecord, ChangeFailure>) -> Handled {
        changed.map_err(|failure| Refused::change(&self.answers, failure))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    pub(super) fn owner_answer(
        &self,
        owner: &OwnerId,
        changed: Result<OwnerState, ChangeFailure>,
    ) -> Handled {
        let state = changed.map_err(|failure| Refused::change(&self.answers, failure))?;
        json(StatusCode::OK, &Owner::of(owner, &state))
    }

    /// Whether the caller's token may give rise to others, or to new secrets of others.
    pub(super) fn may_issue(&self, caller: &Authenticated<S>) -> Result<(), Refused> {
        let is_among = |kinds: &Vec<Kind>| caller.kind().is_some_and(|kind| kinds.contains(kind));
        match &self.issuers {
            Some(kinds) if !is_among(kinds) => Err(IssueError::MintingForbidden.into()),
            _ => Ok(()),
        }
    }

    /// Whether the caller's token may give another one, or itself, a new secret or life.
    pub(super) fn may_renew(&self, caller: &Authenticated<S>, id: TokenId) -> Result<(), Refused> {
        if id == caller.verified().id() { Ok(()) } else { self.may_issue(caller) }
    }

    /// The caller, who reaches everybody's tokens if it is an administrator.
    ///
    /// It is asked on every call and not only where a token turns out to be somebody else's, so
    /// that one that there is not costs the same questions.
    pub(super) async fn by<'c>(&self, caller: &'c Authenticated<S>) -> Result<By<'c>, Refused> {
        Ok(caller.by(self.is_administrator(caller).await?))
    }

    pub(super) async fn is_administrator(
        &self,
        caller: &Authenticated<S>,
    ) -> Result<bool, Refused> {
        match self.account(caller.owner()).await? {
            Some(account) => Ok(self.directory.is_administrator(&account).await?),
            None => Ok(false),
        }
    }

    pub(super) async fn account(&self, id: &OwnerId) -> Result<Option<Account>, Refused> {
        Ok(self.directory.account(&AccountKey::Id(id.clone())).await?)
    }

    /// Whose tokens are meant, and whether those are somebody else's.
    pub(super) async fn whose(
        &self,
        caller: &Authenticated<S>,
        owner: Option<String>,
    ) -> Result<(OwnerId, bool), Refused> {
        match owner {
            None => Ok((caller.owner().clone(), false)),
            Some(id) if id == caller.owner().as_str() => Ok((caller.owner().clone(), false)),
            Some(id) => Ok((self.known_owner(caller, id).await?, true)),
        }
    }

    pub(super) async fn owner(
        &self,
        caller: &Authenticated<S>,
        id: Id,
    ) -> Result<OwnerId, Refused> {
        let Path(id) = id.map_err(|_| Refused::no_such("owner"))?;
        self.known_owner(caller, id).await
    }

    /// An account of the host; only administrators may ask which ones there are.
    pub(super) async fn known_owner(
        &self,
        caller: &Authenticated<S>,
        id: String,
    ) -> Result<OwnerId, Refused> {
        if !self.is_administrator(caller).await? {
            return Err(Refused::administrators_only());
        }
        let id = OwnerId::new(id).map_err(|_| Refused::no_such("owner"))?;
        let account = self.account(&id).await?;
        account.map(|account| account.id).ok_or_else(|| Refused::no_such("owner"))
    }
}

pub(super) fn token_id(id: Id) -> Result<TokenId, Refused> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    id.ok_or_else(|| Refused::no_such("token"))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Fault> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let key = value.to_str().ok().and_then(|text| IdempotencyKey::new(text).ok());
            key.map(Some).ok_or_else(|| Fault::wrong("Idempotency-Key", "1 to 128 characters"))
        }
        (Some(_), Some(_)) => Err(Fault::wrong("Idempotency-Key", "one header")),
    }
}

pub(super) fn json(status: StatusCode, object: &impl Serialize) -> Handled {
    // Texts, numbers and lists: nothing that could fail to be written.
    let body = serde_json::to_string(object).unwrap_or_default();
    let headers = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")];
    Ok((status, headers, body).into_response())
}

/// A query that says nothing.
#[derive(Debug)]
pub(super) struct NoQuery;

impl<T: Sync> FromRequestParts<T> for NoQuery {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _state: &T) -> Result<Self, Refused> {
        query::nothing(parts.uri.query())?;
        Ok(Self)
    }
}

/// A body of at most 64 KiB that says it is JSON, or none.
pub(super) struct Content(pub(super) Bytes);

impl<T: Sync> FromRequest<T> for Content {
    type Rejection = Refused;

    async fn from_request(request: Request, _state: &T) -> Result<Self, Refused> {
        let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|value| {
            let media_type = value.as_bytes().split(|byte| *byte == b';').next();
            media_type
                .is_some_and(|text| text.trim_ascii().eq_ignore_ascii_case(b"application/json"))
        });
        // The only other failure is a connection that broke, which nobody reads an answer on.
        let body = to_bytes(request.into_body(), LONGEST_BODY).await.map_err(|_| {
            let detail = "a body has at most 65536 bytes";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        })?;
        if !is_json && !body.is_empty() {
            let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
            return Err(Problem::new(status, code, "a body is application/json").into());
        }
        Ok(Self(body))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sixteen times the longest note.
const LONGEST_BODY: usize = 64 * 1024;
