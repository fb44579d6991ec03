//! What both versions of the product's API share: accounts, tokens, and how one is made.

use axum::body::{Body, Bytes, to_bytes};
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Serialize;

use super::codec::NEVER;
use super::failure::{Dialect, Failure};
use super::message::Message;
use super::{Caller, Zitadel, roles};
use crate::core::event::Actor;
use crate::core::id::{Kind, OwnerId, TokenId};
use crate::core::issue::{IssueRequest, Lifetime};
use crate::core::scope::Scope;
use crate::core::secret::TokenSecret;
use crate::core::token::TokenRecord;
use crate::ports::directory::{Account, AccountKey};
use crate::service::By;
use crate::service::error::ChangeFailure;
use crate::wire::authority;
use crate::wire::shown::is_shown;

/// What is answered to a request that is served: JSON.
pub(super) type Handled = Result<String, Failure>;

/// A request of somebody whose token may do this.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) headers: HeaderMap,
    pub(super) dialect: Dialect,
    /// The fields that are in the path, which count more than those in the body.
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Asked {
    /// The message that it sends. Only a resource may be asked for without one.
    pub(super) fn message(&self) -> Result<Message, Failure> {
        let message = match self.dialect {
            Dialect::Rest if self.body.is_empty() => Message::default(),
            _ => Message::read(&self.body)?,
        };
        let fields = self.fields.iter();
        Ok(fields.fold(message, |message, (field, text)| message.with(field, text)))
    }
}

impl<S: Scope> Zitadel<S> {
    /// The account of this id; a text that is no id is nobody's.
    pub(super) async fn account(&self, id: &str) -> Result<Option<Account>, Failure> {
        let Ok(id) = OwnerId::new(id) else { return Ok(None) };
        Ok(self.directory.account(&AccountKey::Id(id)).await?)
    }

    /// A token that this wire shows, if it is this account's.
    pub(super) async fn find(&self, id: &str, owner: &OwnerId) -> Result<TokenRecord, Failure> {
        let record = self.find_any(TokenId::parse(id.as_bytes())).await?;
        record.filter(|record| record.owner == *owner).ok_or(Failure::MissingToken)
    }

    /// A token that this wire shows, whosever it is.
    pub(super) async fn find_any(
        &self,
        id: Option<TokenId>,
    ) -> Result<Option<TokenRecord>, Failure> {
        let Some(id) = id else { return Ok(None) };
        match self.layer.tokens().find(id, By::Host(&Actor::host())).await {
            Ok(record) => Ok(Some(record).filter(is_shown)),
            Err(ChangeFailure::Missing) => Ok(None),
            Err(_) => Err(Failure::Unavailable),
        }
    }

    /// The life of a token that is to end then, which the product judges before it looks for the
    /// account.
    pub(super) fn life(&self, expires_at: Option<DateTime<Utc>>) -> Result<Lifetime, Failure> {
        let tokens = self.layer.tokens();
        match expires_at {
            None if tokens.rules().policy.of(&Kind::personal()).never_expires => {
                Ok(Lifetime::Unlimited)
            }
            None => Ok(Lifetime::Default),
            Some(at) if at >= NEVER => Ok(Lifetime::Unlimited),
            Some(at) if at <= tokens.now() => Err(Failure::ExpiryInPast),
            Some(at) => Ok(Lifetime::Until(at)),
        }
    }

    /// Makes a token for an account within the caller's reach, of the kind that has any.
    pub(super) async fn add(
        &self,
        caller: &Caller,
        target: &Account,
        lifetime: Lifetime,
    ) -> Result<(TokenSecret, TokenRecord), Failure> {
        if !roles::may_have_tokens(target) {
            return Err(Failure::NotAMachine);
        }
        let tokens = self.layer.tokens();
        let grant = tokens.grant_of(caller.token()).cloned().ok_or(Failure::NotPermitted)?;
        let by = caller.reaching(&target.id);
        let mut request = IssueRequest::new(target.id.clone(), grant).in_shape(self.shape);
        request.lifetime = lifetime;
        tokens.issue(request, by).await.map_err(Failure::issue)
    }

    /// Whether the caller may be given a secret of an account within its reach; for the host's own
    /// routes of this product too, which can do as much to it.
    ///
    /// An account that has a role over all organizations is acted for by itself and by those who may
    /// write in all of them; an administrator by the [`Directory`](crate::ports::directory::Directory),
    /// by itself and by other administrators.
    ///
    /// # Errors
    ///
    /// What to answer: 503 when nobody can say.
    pub async fn may_act_as(&self, caller: &Caller, target: &Account) -> Result<bool, Failure> {
        let account = caller.account();
        Ok(account.id == target.id
            || roles::may_act_as(account, target)
                && authority::may_act_as(&*self.directory, account, target).await?)
    }

    pub(super) async fn remove(
        &self,
        caller: &Caller,
        record: &TokenRecord,
    ) -> Result<TokenRecord, Failure> {
        let by = caller.reaching(&record.owner);
        let removed = self.layer.tokens().revoke(record.id, by, None).await;
        removed.map_err(|failure| Failure::change(&failure))
    }
}

pub(super) fn json(value: &impl Serialize) -> Handled {
    // Texts, numbers and lists: nothing that could fail to be written.
    Ok(serde_json::to_string(value).unwrap_or_default())
}

/// A body of at most 64 KiB, of whatever type it says it is.
pub(super) async fn content(body: Body) -> Result<Bytes, Failure> {
    // The only other failure is a connection that broke, which nobody reads an answer on.
    to_bytes(body, LONGEST_BODY).await.map_err(|_| Failure::BodyTooLarge)
}

/// As many filters as there may be, with the longest ids.
const LONGEST_BODY: usize = 64 * 1024;
