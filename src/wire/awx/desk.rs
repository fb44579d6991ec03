//! What the handlers share: which tokens are meant, what may be done to them, how an answer looks.

use std::collections::HashMap;
use std::fmt;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Query as UriQuery, Request};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::codec::{self, Wanted};
use super::failure::Failure;
use super::lookup::{Lookup, Table};
use super::metadata::{ACTIVITY, TOKENS};
use super::object::{Entry, TokenObject, url};
use super::page::Paging;
use super::scopes::Asked;
use super::{Awx, Caller, description};
use crate::core::event::Actor;
use crate::core::id::{Kind, Note, OwnerId, TokenName};
use crate::core::issue::{IssueRequest, Lifetime};
use crate::core::lifecycle::Narrowing;
use crate::core::policy::Minting;
use crate::core::scope::Scope;
use crate::core::time::LATEST;
use crate::core::token::TokenRecord;
use crate::ports::directory::{Account, AccountKey};
use crate::ports::store::{EventQuery, Filter, Query, Start, StoredEvent};
use crate::service::By;
use crate::service::error::ChangeFailure;
use crate::wire::shown::{is_shown, shown};

pub(super) type Handled = Result<Response, Failure>;

impl<S: Scope> Awx<S> {
    /// A token that the caller may see. There being one of a number is no secret, as in the product.
    pub(super) async fn find(&self, caller: &Caller, number: u64) -> Result<TokenRecord, Failure> {
        let record = self.known(number).await?.ok_or(Failure::Missing)?;
        if caller.sees(&record.owner) { Ok(record) } else { Err(Failure::Permissions) }
    }

    /// A token that the caller may change.
    pub(super) async fn reach(&self, caller: &Caller, number: u64) -> Result<TokenRecord, Failure> {
        let record = self.find(caller, number).await?;
        if caller.reaches(&record.owner) { Ok(record) } else { Err(Failure::Permissions) }
    }

    /// A token that this wire shows, whoever owns it.
    async fn known(&self, number: u64) -> Result<Option<TokenRecord>, Failure> {
        match self.layer.tokens().find_by_number(number, By::Host(&Actor::host())).await {
            Ok(record) => Ok(Some(record).filter(is_shown)),
            Err(ChangeFailure::Missing) => Ok(None),
            Err(_) => Err(Failure::Unavailable),
        }
    }

    pub(super) async fn answer(&self, record: &TokenRecord) -> Handled {
        let owner = self.account(&record.owner).await?;
        json(StatusCode::OK, &TokenObject::of(record, owner.as_ref(), &self.needs))
    }

    async fn account(&self, id: &OwnerId) -> Result<Option<Account>, Failure> {
        Ok(self.directory.account(&AccountKey::Id(id.clone())).await?)
    }

    /// A page of an account's tokens, or of all that the caller sees.
    pub(super) async fn list(&self, caller: &Caller, whose: Option<OwnerId>, uri: &Uri) -> Handled {
        let query = pairs(uri);
        let (lookup, paging) = (Lookup::read(&query, &TOKENS)?, Paging::of(&query)?);
        let own = || Some(caller.account().id.clone()).filter(|_| !caller.sees_everything());
        let filter = shown(Filter { owner: whose.or_else(own), ..Filter::default() });
        if lookup.is_plain() {
            // Which page is the last one is known when they are counted.
            let total = self.layer.tokens().count(&filter).await?;
            let place = paging.place(total)?;
            let mut ask = Query::new(filter, u32::try_from(place.limit).unwrap_or(u32::MAX));
            ask.start = Start::Offset(u32::try_from(place.offset).unwrap_or(u32::MAX));
            let page = self.layer.tokens().query(&ask).await?;
            let owners = self.owners(page.records.iter().map(|record| &record.owner)).await?;
            let rows = self.objects(&page.records, &owners);
            return json(StatusCode::OK, &paging.envelope((uri, &query), place, (total, rows)));
        }
        let records = self.candidates(filter, &lookup).await?;
        let owners = self.owners(records.iter().map(|record| &record.owner)).await?;
        selected((uri, &query), &TOKENS, (&lookup, paging), self.objects(&records, &owners))
    }

    /// All tokens that a query may mean.
    async fn candidates(
        &self,
        mut filter: Filter,
        lookup: &Lookup,
    ) -> Result<Vec<TokenRecord>, Failure> {
        if let Some(number) = lookup.only("id") {
            let record = self.known(number).await?;
            return Ok(record.filter(|record| filter.selects(record)).into_iter().collect());
        }
        if let Some(number) = lookup.only("user") {
            let account = self.directory.account(&AccountKey::Number(number)).await?;
            let Some(account) = account else { return Ok(Vec::new()) };
            if filter.owner.as_ref().is_some_and(|owner| *owner != account.id) {
                return Ok(Vec::new());
            }
            filter.owner = Some(account.id);
        }
        if self.layer.tokens().count(&filter).await? > MOST_FILTERED {
            let told = if filter.owner.is_some() { TOO_MANY } else { TOO_MANY_OF_ALL };
            return Err(Failure::InvalidQuery(told.to_owned()));
        }
        Ok(self.layer.tokens().query_all(filter).await?)
    }

    fn objects<'r>(
        &self,
        records: &'r [TokenRecord],
        owners: &HashMap<OwnerId, Account>,
    ) -> Vec<TokenObject<'r>> {
        let object = |record: &'r TokenRecord| {
            TokenObject::of(record, owners.get(&record.owner), &self.needs)
        };
        records.iter().map(object).collect()
    }

    /// The accounts of these ids that there are.
    async fn owners(
        &self,
        ids: impl Iterator<Item = &OwnerId> + Send,
    ) -> Result<HashMap<OwnerId, Account>, Failure> {
        let mut asked: Vec<OwnerId> = ids.cloned().collect();
        asked.sort_unstable();
        asked.dedup();
        let mut owners = HashMap::new();
        for id in asked {
            if let Some(account) = self.account(&id).await? {
                owners.insert(id, account);
            }
        }
        Ok(owners)
    }

    /// Makes a token of the caller's own, and shows it.
    pub(super) async fn create(&self, caller: &Caller, wanted: Wanted) -> Handled {
        let account = caller.account();
        if let Some(provider) = account.external.as_ref().filter(|_| !self.settings.external_users)
        {
            return Err(Failure::ExternalAccount(provider.clone()));
        }
        let described = wanted.description.unwrap_or_default();
        let (name, note) = description::kept(&described, &TokenName::default(), &Note::default())?;
        let grant = wanted.scope.unwrap_or(Asked::Write).grant(&self.needs);
        let mut request = IssueRequest::new(account.id.clone(), grant).named(name);
        (request.note, request.shape) = (note, self.shape);
        request.lifetime = self.lifetime(caller).await?;
        let issued = self.layer.tokens().issue(request, caller.by()).await;
        let (secret, record) = issued.map_err(Failure::issue)?;
        let object = TokenObject::of(&record, Some(account), &self.needs);
        let body = written(&object.with_secret(secret.expose_secret()));
        let headers =
            [(CONTENT_TYPE, "application/json".to_owned()), (LOCATION, url(record.number))];
        Ok((StatusCode::CREATED, headers, body).into_response())
    }

    /// As long as the product's setting says, which nobody can choose; a host whose policy is
    /// stricter has its way, no token outlives the calendar, and none the one that bounds it.
    async fn lifetime(&self, caller: &Caller) -> Result<Lifetime, Failure> {
        let tokens = self.layer.tokens();
        let seconds = i64::try_from(self.settings.expire_seconds).unwrap_or(i64::MAX);
        let set = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
        let longest = tokens.rules().policy.of(&Kind::personal()).longest_lifetime;
        let length = longest.map_or(set, |longest| longest.min(set));
        let bound = self.bound(caller).await?.unwrap_or(LATEST).min(LATEST);
        let ends_in_time = tokens.now().checked_add_signed(length).is_some_and(|at| at < bound);
        Ok(if ends_in_time { Lifetime::For(length) } else { Lifetime::Until(bound) })
    }

    /// When the token ends that the caller presents, if what it makes may not outlive it.
    async fn bound(&self, caller: &Caller) -> Result<Option<DateTime<Utc>>, Failure> {
        let tokens = self.layer.tokens();
        let Some(presented) = caller.token() else { return Ok(None) };
        let kind = tokens.kind_of(presented);
        if kind.is_none_or(|kind| tokens.rules().policy.of(kind).minting != Minting::Within) {
            return Ok(None);
        }
        match tokens.find(presented.id(), By::Host(&Actor::host())).await {
            Ok(record) => Ok(record.validity.expires_at.at()),
            Err(ChangeFailure::Missing) => Err(Failure::Anonymous),
            Err(_) => Err(Failure::Unavailable),
        }
    }

    /// Changes what a body names of a token: its description, and what it may do if that is less.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        record: TokenRecord,
        wanted: Wanted,
    ) -> Handled {
        let described = match wanted.description {
            Some(text) => Some(description::kept(&text, &record.name, &record.note)?),
            None => None,
        };
        // What is as it was read may be otherwise by now, and is left alone.
        let (name, note) = described.unzip();
        let name = name.filter(|name| *name != record.name);
        let note = note.filter(|note| *note != record.note);
        let is_as_asked = wanted.scope == Asked::of(&record.grant, &self.needs);
        let narrowing = match wanted.scope {
            Some(asked) if !is_as_asked => Narrowing::to_grant(asked.grant(&self.needs)),
            _ => Narrowing::default(),
        };
        let changed =
            self.layer.tokens().amend(record.id, name, note, &narrowing, caller.by()).await;
        self.answer(&changed.map_err(Failure::change)?).await
    }

    /// What has become of a token, from its creation on.
    pub(super) async fn activity(&self, record: &TokenRecord, uri: &Uri) -> Handled {
        let mut events: Vec<StoredEvent> = Vec::new();
        loop {
            let after = events.last().map_or(0, |last| last.sequence);
            let mut ask = EventQuery::after(after, Query::LARGEST_PAGE);
            ask.token = Some(record.id);
            let page = self.layer.tokens().events(&ask).await?;
            let is_last = u32::try_from(page.len()).is_ok_and(|read| read < Query::LARGEST_PAGE);
            events.extend(page);
            if is_last || events.len() > MOST_EVENTS {
                break;
            }
        }
        let actors = events.iter().filter_map(|stored| stored.event.by.owner.as_ref());
        let accounts = self.owners(actors.chain([&record.owner])).await?;
        let owner = accounts.get(&record.owner);
        let entry = |stored: &StoredEvent| {
            let actor = stored.event.by.owner.as_ref().and_then(|id| accounts.get(id));
            Entry::of(stored, record, (owner, actor), &self.needs)
        };
        page(uri, &ACTIVITY, events.iter().filter_map(entry).collect())
    }
}

/// A page of rows that are all at hand, as the query of a request filters, orders and pages them: for
/// the host's own lists of this product.
///
/// # Errors
///
/// What to answer: 400, 403, or 404 for a page that there is not.
pub fn page<T: Serialize>(uri: &Uri, table: &Table, rows: Vec<T>) -> Result<Response, Failure> {
    let query = pairs(uri);
    let (lookup, paging) = (Lookup::read(&query, table)?, Paging::of(&query)?);
    selected((uri, &query), table, (&lookup, paging), rows)
}

fn selected<T: Serialize>(
    (uri, query): (&Uri, &[(String, String)]),
    table: &Table,
    (lookup, paging): (&Lookup, Paging),
    rows: Vec<T>,
) -> Handled {
    let rows = lookup.apply(table, rows, |row| serde_json::to_value(row).unwrap_or_default());
    let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let place = paging.place(total)?;
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(whole(place.offset)).take(whole(place.limit)).collect();
    json(StatusCode::OK, &paging.envelope((uri, query), place, (total, rows)))
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let query = UriQuery::<Vec<(String, String)>>::try_from_uri(uri);
    query.map(|UriQuery(query)| query).unwrap_or_default()
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Handled {
    Ok((status, [(CONTENT_TYPE, "application/json")], written(value)).into_response())
}

fn written(value: &impl Serialize) -> String {
    // Texts, numbers and lists: nothing that could fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A body of at most 64 KiB, and what type it says it is.
pub(super) struct Content {
    content_type: Option<Vec<u8>>,
    body: Bytes,
}

impl Content {
    pub(super) fn object(&self) -> Result<Map<String, Value>, Failure> {
        codec::object(self.content_type.as_deref(), &self.body)
    }
}

impl<T: Sync> FromRequest<T> for Content {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &T) -> Result<Self, Failure> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| value.as_bytes().to_vec());
        // The only other failure is a connection that broke, which nobody reads an answer on.
        let body = to_bytes(request.into_body(), LONGEST_BODY).await;
        Ok(Self { content_type, body: body.map_err(|_| Failure::BodyTooLarge)? })
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// As large as a request's body may be on the other faces.
const LONGEST_BODY: usize = 64 * 1024;

/// What is filtered here must be read first, all of it.
const MOST_FILTERED: u64 = 10_000;

const MOST_EVENTS: usize = 10_000;

const TOO_MANY: &str = "There are too many tokens to filter or order them all.";

const TOO_MANY_OF_ALL: &str = "There are too many tokens to filter or order them all; name a user.";
