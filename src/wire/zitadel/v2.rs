//! The operations of v2: on accounts of whichever organization, and by an account on itself.
//!
//! Who may is judged before anything is said of the account: the product says first whether there is
//! one, and of what kind it is.

use std::collections::{HashMap, HashSet};

use super::codec::{self, Search};
use super::desk::{Asked, Handled, json};
use super::failure::Failure;
use super::object::{Created, Deleted, Found, FoundToken, Pagination};
use super::roles::{self, Reach};
use super::search::{Column, Condition, Wanted};
use super::{Caller, Zitadel};
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::ports::directory::{Account, AccountKey};
use crate::ports::store::{Filter, Page, Query, Start};

impl<S: Scope> Zitadel<S> {
    pub(super) async fn add_v2(&self, asked: &Asked) -> Handled {
        let addition = codec::addition_v2(&asked.message()?)?;
        let target = self.target(&asked.caller, &addition.user).await?;
        if let Some(target) = &target {
            let may = self.may_act_as(&asked.caller, target).await?;
            may.then_some(()).ok_or(Failure::NotPermittedOnUser)?;
        }
        let lifetime = self.life(addition.expires_at)?;
        let target = target.ok_or(Failure::MissingUser)?;
        let (secret, record) = self.add(&asked.caller, &target, lifetime).await?;
        json(&Created::of(&record, &secret))
    }

    pub(super) async fn remove_v2(&self, asked: &Asked) -> Handled {
        let named = codec::removal(&asked.message()?)?;
        let target = self.target(&asked.caller, &named.user).await?;
        let target = target.ok_or(Failure::UnknownUser)?;
        let record = self.find(&named.token, &target.id).await?;
        json(&Deleted::of(&self.remove(&asked.caller, &record).await?))
    }

    pub(super) async fn list_v2(&self, asked: &Asked) -> Handled {
        let search = codec::search(&asked.message()?, self.settings)?;
        let wanted = self.wanted(&asked.caller, &search.conditions).await?;
        let mut organizations = Organizations::default();
        let Page { records, total, .. } = match wanted {
            Wanted { is_nothing: true, .. } => Page::new(Vec::new(), None, None),
            wanted if wanted.token.is_some() => self.one(wanted, &search).await?,
            wanted => match search.column.order() {
                Some(order) => {
                    let mut query = Query::new(wanted.filter, search.limit);
                    (query.order, query.descending) = (order, !search.ascending);
                    query.start = Start::Offset(u32::try_from(search.offset).unwrap_or(u32::MAX));
                    query.with_total = true;
                    self.layer.tokens().query(&query).await?
                }
                None => self.sorted(wanted.filter, &search, &mut organizations).await?,
            },
        };
        let mut result = Vec::with_capacity(records.len());
        for record in &records {
            let organization = organizations.of(self, &record.owner).await?;
            result.push(FoundToken::of(record, organization));
        }
        let pagination = Pagination::new(total.unwrap_or_default(), search.limit);
        json(&Found { pagination, result })
    }

    /// The account of this id, if the caller may change its tokens; `None` where there is no such
    /// account, which only those learn who reach everywhere.
    async fn target(&self, caller: &Caller, id: &str) -> Result<Option<Account>, Failure> {
        if caller.account().id.as_str() == id {
            return Ok(Some(caller.account().clone()));
        }
        let reach = roles::writing(caller.account());
        let target = match reach {
            Reach::Nowhere => None,
            Reach::Organization | Reach::Everything => self.account(id).await?,
        };
        let organization = target.as_ref().and_then(|target| target.organization.as_deref());
        let is_covered = reach.covers(caller.account(), organization);
        is_covered.then_some(target).ok_or(Failure::NotPermittedOnUser)
    }

    /// What meets all conditions and is within the caller's sight: its own tokens, and those that a
    /// role lets it see.
    async fn wanted(&self, caller: &Caller, conditions: &[Condition]) -> Result<Wanted, Failure> {
        let account = caller.account();
        let mut wanted = Wanted::shown();
        match (roles::reading(account), &account.organization) {
            (Reach::Everything, _) => {}
            (Reach::Organization, Some(organization)) => {
                let members = self.directory.members(organization).await?;
                let mut members = members.unwrap_or_default();
                if !members.contains(&account.id) {
                    members.push(account.id.clone());
                }
                wanted.of_owners(members);
            }
            _ => wanted.of_owners(vec![account.id.clone()]),
        }
        let mut organizations = HashSet::new();
        for condition in conditions {
            match condition {
                // Nothing is left for the rest to say.
                _ if wanted.is_nothing => break,
                Condition::Created(relation, at) => wanted.created(*relation, *at),
                Condition::Expires(relation, at) => wanted.expires(*relation, *at),
                Condition::Organization(id) if organizations.insert(id) => {
                    let members = self.directory.members(id).await?;
                    wanted.of_owners(members.unwrap_or_default());
                }
                Condition::Organization(_) => {}
                Condition::Token(id) => wanted.of_token(id),
                Condition::User(id) => {
                    wanted.of_owners(OwnerId::new(id.as_str()).into_iter().collect());
                }
            }
        }
        Ok(wanted)
    }

    /// The one token that is named, where it is not skipped.
    async fn one(&self, wanted: Wanted, search: &Search) -> Result<Page, Failure> {
        let found = self.find_any(wanted.token).await?;
        let found = found.filter(|record| wanted.filter.selects(record));
        let total = found.iter().len();
        let records = found.into_iter().filter(|_| search.offset == 0).collect();
        Ok(Page::new(records, None, u64::try_from(total).ok()))
    }

    /// A page in an order that no store has.
    async fn sorted(
        &self,
        filter: Filter,
        search: &Search,
        organizations: &mut Organizations,
    ) -> Result<Page, Failure> {
        let tokens = self.layer.tokens();
        if tokens.count(&filter).await? > MOST_SORTED {
            return Err(Failure::TooManyToSort);
        }
        let all = tokens.query_all(filter).await?;
        let mut keyed = Vec::with_capacity(all.len());
        for record in all {
            let organization = match search.column {
                Column::Organization => organizations.of(self, &record.owner).await?,
                _ => None,
            };
            let id = match search.column {
                Column::Id => record.id.to_string(),
                _ => String::new(),
            };
            keyed.push(((organization, id, record.number), record));
        }
        keyed.sort_by(
            |(one, _), (other, _)| {
                if search.ascending { one.cmp(other) } else { other.cmp(one) }
            },
        );
        let total = u64::try_from(keyed.len()).ok();
        let (offset, limit) = (usize::try_from(search.offset), usize::try_from(search.limit));
        let page = keyed.into_iter().skip(offset.unwrap_or(usize::MAX));
        let records = page.take(limit.unwrap_or(usize::MAX)).map(|(_, record)| record).collect();
        Ok(Page::new(records, None, total))
    }
}

/// The organizations of the accounts that were looked up for one answer.
#[derive(Default)]
struct Organizations(HashMap<OwnerId, Option<String>>);

impl Organizations {
    async fn of<S: Scope>(
        &mut self,
        face: &Zitadel<S>,
        owner: &OwnerId,
    ) -> Result<Option<String>, Failure> {
        if let Some(known) = self.0.get(owner) {
            return Ok(known.clone());
        }
        let account = face.directory.account(&AccountKey::Id(owner.clone())).await?;
        let organization = account.and_then(|account| account.organization);
        self.0.insert(owner.clone(), organization.clone());
        Ok(organization)
    }
}

/// About 10 MiB of rows.
const MOST_SORTED: u64 = 10_000;
