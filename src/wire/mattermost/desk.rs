//! What the handlers share: whose tokens are meant, what may be done to them, how an answer looks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::header::CONTENT_TYPE;
use serde::Serialize;

use super::codec::Paging;
use super::failure::{Failure, Field, Step};
use super::object::{Done, TokenObject};
use super::{Caller, Mattermost, codec, roles};
use crate::core::event::Actor;
use crate::core::id::{OwnerId, TokenId};
use crate::core::issue::Lifetime;
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::ports::directory::{Account, AccountKey};
use crate::ports::store::{Filter, Query, Start, StateName};
use crate::service::By;
use crate::service::error::ChangeFailure;
use crate::wire::authority;
use crate::wire::shown::{is_shown, shown};

pub(super) type Handled = Result<Response, Failure>;

impl<S: Scope> Mattermost<S> {
    pub(super) async fn account(&self, id: &OwnerId) -> Result<Option<Account>, Failure> {
        Ok(self.directory.account(&AccountKey::Id(id.clone())).await?)
    }

    /// A token that this wire shows, whoever owns it.
    pub(super) async fn find(&self, id: Option<TokenId>) -> Result<TokenRecord, Failure> {
        let id = id.ok_or(Failure::MissingToken)?;
        match self.layer.tokens().find(id, By::Host(&Actor::host())).await {
            Ok(record) if is_shown(&record) => Ok(record),
            Ok(_) | Err(ChangeFailure::Missing) => Err(Failure::MissingToken),
            Err(_) => Err(Failure::Undone(Step::GetByUser)),
        }
    }

    /// A token within the caller's reach. Whoever may use tokens at all learns here whether there is
    /// one of this id, as in the product.
    pub(super) async fn reach(
        &self,
        caller: &Caller,
        id: Option<TokenId>,
    ) -> Result<TokenRecord, Failure> {
        permit(roles::may_use_tokens(caller.account()))?;
        let record = self.find(id).await?;
        let target = self.account(&record.owner).await?;
        permit(roles::reaches(caller.account(), &record.owner, target.as_ref()))?;
        Ok(record)
    }

    /// A token within the caller's reach that a body names, to be changed.
    pub(super) async fn named(&self, caller: &Caller, body: &[u8]) -> Result<TokenRecord, Failure> {
        permit(!caller.is_app())?;
        self.reach(caller, codec::named_token(body)).await
    }

    /// Whether the caller may be shown a secret of this account. What the directory calls an
    /// administrator need not be one by the roles of this product.
    pub(super) async fn permit_secret(
        &self,
        caller: &Caller,
        target: &Account,
    ) -> Result<(), Failure> {
        let account = caller.account();
        permit(roles::may_act_as(account, target))?;
        permit(
            roles::is_administrator(account)
                || authority::may_act_as(&*self.directory, account, target).await?,
        )
    }

    /// Whether tokens of this account may be created or rotated while the feature is on or off.
    pub(super) fn is_on_for(&self, account: &Account) -> Result<(), Failure> {
        let is_on = self.settings.enabled || roles::is_bot(account);
        is_on.then_some(()).ok_or(Failure::Disabled)
    }

    /// The life of a token of this account that is to end at this millisecond.
    pub(super) fn life(&self, expires_at: i64, account: &Account) -> Result<Lifetime, Failure> {
        let is_bot = roles::is_bot(account);
        if is_bot && expires_at < 0 {
            return Err(Failure::InvalidField(Field::ExpiresAt));
        }
        let most_days = self.most_days().filter(|_| !is_bot);
        codec::lifetime(expires_at, most_days, self.latest_now())
    }

    /// What time it may be already: what is told at no cost may lag by a tick. A client on the same
    /// machine that counts its days from now must not be told that they are too many, and what ends
    /// before this is dead at once.
    fn latest_now(&self) -> DateTime<Utc> {
        let tokens = self.layer.tokens();
        let now = tokens.now();
        now.checked_add_signed(tokens.clock().tick()).unwrap_or(now)
    }

    /// The limit on lifetimes, if there is one.
    pub(super) fn most_days(&self) -> Option<u32> {
        Some(self.settings.maximum_lifetime_days).filter(|days| *days > 0)
    }

    /// One page of the tokens that a filter selects.
    pub(super) async fn page(&self, filter: Filter, paging: Paging, step: Step) -> Handled {
        if paging.limit == 0 {
            return objects(&[]);
        }
        let mut query = Query::new(shown(filter), paging.limit);
        query.start = Start::Offset(paging.offset);
        let page = self.layer.tokens().query(&query).await;
        objects(&page.map_err(|_| Failure::Undone(step))?.records)
    }

    /// Every token that a term names: by its id, its account's, or its account's user name.
    pub(super) async fn search(&self, term: &str) -> Result<Vec<TokenRecord>, Failure> {
        let mut found = BTreeMap::new();
        if let Some(id) = TokenId::parse(term.as_bytes()) {
            match self.find(Some(id)).await {
                // The product finds no tokens of accounts that are gone.
                Ok(record) if self.account(&record.owner).await?.is_some() => {
                    found.insert(record.number, record);
                }
                Ok(_) | Err(Failure::MissingToken) => {}
                Err(_) => return Err(Failure::Undone(Step::Search)),
            }
        }
        let by_id = OwnerId::new(term).ok().map(AccountKey::Id);
        let keys = by_id.into_iter().chain([AccountKey::Username(term.to_owned())]);
        for key in keys {
            let Some(account) = self.directory.account(&key).await? else {
                continue;
            };
            // A directory may find more than the same text, which is all that counts here.
            if account.id.as_str() == term || account.username == term {
                let records = self.all(shown(Filter::of_owner(account.id)), Step::Search).await?;
                found.extend(records.into_iter().map(|record| (record.number, record)));
            }
        }
        Ok(found.into_values().collect())
    }

    /// The active tokens of people that live longer from now on than is allowed.
    pub(super) async fn non_compliant(
        &self,
        days: u32,
        step: Step,
    ) -> Result<Vec<TokenId>, Failure> {
        // The last instant that is allowed is none that is outlived.
        let longest = TimeDelta::days(days.into());
        let end = longest.checked_add(&TimeDelta::microseconds(1)).unwrap_or(TimeDelta::MAX);
        let Some(end) = self.latest_now().checked_add_signed(end) else {
            return Ok(Vec::new());
        };
        let states = Some(vec![StateName::Active]);
        let filter = Filter { outlives: Some(end), states, ..shown(Filter::default()) };
        let (mut bots, mut found) = (HashMap::new(), Vec::new());
        for record in self.all(filter, step).await? {
            let is_bot = match bots.get(&record.owner) {
                Some(known) => *known,
                None => {
                    let account = self.account(&record.owner).await?;
                    let is_bot = account.as_ref().is_some_and(roles::is_bot);
                    bots.insert(record.owner.clone(), is_bot);
                    is_bot
                }
            };
            if !is_bot {
                found.push(record.id);
            }
        }
        Ok(found)
    }

    async fn all(&self, filter: Filter, step: Step) -> Result<Vec<TokenRecord>, Failure> {
        self.layer.tokens().query_all(filter).await.map_err(|_| Failure::Undone(step))
    }
}

pub(super) fn permit(is_permitted: bool) -> Result<(), Failure> {
    is_permitted.then_some(()).ok_or(Failure::Permissions)
}

pub(super) fn permit_administrator(caller: &Caller) -> Result<(), Failure> {
    permit(roles::is_administrator(caller.account()))
}

pub(super) fn objects(records: &[TokenRecord]) -> Handled {
    json(&records.iter().map(TokenObject::of).collect::<Vec<_>>())
}

/// The answer to a change that tells nothing but that it was made.
pub(super) fn done<T>(changed: Result<T, ChangeFailure>, step: Step) -> Handled {
    changed.map_err(|failure| Failure::change(failure, step))?;
    json(&Done::OK)
}

pub(super) fn json(value: &impl Serialize) -> Handled {
    Ok(([(CONTENT_TYPE, "application/json")], written(value)).into_response())
}

/// Answers that hold one token end with a line break, and no others.
pub(super) fn json_line(value: &impl Serialize) -> Handled {
    let line = format!("{}\n", written(value));
    Ok(([(CONTENT_TYPE, "application/json")], line).into_response())
}

fn written(value: &impl Serialize) -> String {
    // Texts, numbers and lists: nothing that could fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A body of at most 300,000 bytes, whatever type it says it is.
pub(super) struct Content(pub(super) Bytes);

impl<T: Sync> FromRequest<T> for Content {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &T) -> Result<Self, Failure> {
        // The only other failure is a connection that broke, which nobody reads an answer on.
        let body = to_bytes(request.into_body(), LONGEST_BODY).await;
        body.map(Self).map_err(|_| Failure::BodyTooLarge)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// The product's own default.
const LONGEST_BODY: usize = 300_000;
