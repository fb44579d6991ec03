//! The operations of v1: on accounts of one organization, which a header or the caller names.
//! What is wrong is said in the product's order: who may, then the fields, then the rest.

use super::{Caller, Zitadel};
use http::HeaderMap;

use super::codec::{self, Listing, Named};
use super::desk::{Asked, Handled, json};
use super::failure::Failure;
use super::object::{Added, Details, ListDetails, Listed, Removed, Shown, TokenObject};
use super::roles::{self, Reach};
use super::search::Wanted;
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::ports::directory::Account;
use crate::ports::store::{Filter, Page, Query, Start, StoreError};

impl<S: Scope> Zitadel<S> {
    pub(super) async fn add_v1(&self, asked: &Asked) -> Handled {
        let organization = self.managed_organization(&asked.caller, &asked.headers).await?;
        let addition = codec::addition_v1(&asked.message()?)?;
        let organization = organization.ok_or(Failure::MissingOrganization)?;
        let lifetime = self.life(addition.expires_at)?;
        let target = self.member(&addition.user, &organization).await?;
        let target = target.ok_or(Failure::MissingUser)?;
        let may = self.may_act_as(&asked.caller, &target).await?;
        may.then_some(()).ok_or(Failure::NotPermitted)?;
        let (secret, record) = self.add(&asked.caller, &target, lifetime).await?;
        json(&Added {
            token_id: record.id.to_string(),
            token: secret.expose_secret(),
            details: Details::of(&record, &organization).created(&record),
        })
    }

    pub(super) async fn remove_v1(&self, asked: &Asked) -> Handled {
        let organization = self.managed_organization(&asked.caller, &asked.headers).await?;
        let named = codec::removal(&asked.message()?)?;
        let (record, organization) = self.named(named, organization).await?;
        let removed = self.remove(&asked.caller, &record).await?;
        json(&Removed { details: Details::of(&removed, &organization).changed(&removed) })
    }

    pub(super) async fn show_v1(&self, asked: &Asked) -> Handled {
        let organization = self.organization(&asked.caller, &asked.headers, roles::reading).await?;
        let named = codec::look_up(&asked.message()?)?;
        let found = self.named(named, organization).await;
        let (record, organization) = found.map_err(|failure| match failure {
            Failure::MissingToken => Failure::UnknownToken,
            failure => failure,
        })?;
        json(&Shown { token: TokenObject::of(&record, &organization) })
    }

    /// In the order of creation: the product's has none.
    pub(super) async fn list_v1(&self, asked: &Asked) -> Handled {
        let organization = self
            .organization(&asked.caller, &asked.headers, roles::reading)
            .await?
            .unwrap_or_default();
        let listing = codec::listing(&asked.message()?)?;
        let tokens = self.layer.tokens();
        let (mut page, mut sequence) = (Page::new(Vec::new(), None, None), 0);
        if let Some(owner) = self.member(&listing.user, &organization).await? {
            // Before the rows, which are then as new as this says.
            let state = tokens.owner_state(&owner.id).await.map_err(|_| Failure::Unavailable)?;
            sequence = state.sequence;
            let mut filter = Wanted::shown().filter;
            filter.owner = Some(owner.id);
            page = self.page_v1(filter, &listing).await?;
        }
        let total = page.total.unwrap_or_default();
        let details = ListDetails::new(total, sequence, tokens.now());
        let records = page.records.iter();
        let result = records.map(|record| TokenObject::of(record, &organization)).collect();
        json(&Listed { details, result })
    }

    /// So many rows as one answer of a store holds are asked of it; more, or all, are read.
    async fn page_v1(&self, filter: Filter, listing: &Listing) -> Result<Page, StoreError> {
        let tokens = self.layer.tokens();
        if (1..=Query::LARGEST_PAGE).contains(&listing.limit) {
            let mut query = Query::new(filter, listing.limit);
            query.start = Start::Offset(u32::try_from(listing.offset).unwrap_or(u32::MAX));
            query.with_total = true;
            return tokens.query(&query).await;
        }
        let all = tokens.query_all(filter).await?;
        let total = u64::try_from(all.len()).ok();
        let rows = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let most = if listing.limit == 0 { usize::MAX } else { rows(listing.limit.into()) };
        let records = all.into_iter().skip(rows(listing.offset)).take(most).collect();
        Ok(Page::new(records, None, total))
    }

    /// The organization that a request of v1 is about, if the caller may change its accounts; for the
    /// host's own routes of this product too.
    ///
    /// # Errors
    ///
    /// What to answer: 403, or 503 when nobody can say.
    pub async fn managed_organization(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Option<String>, Failure> {
        self.organization(caller, headers, roles::writing).await
    }

    /// The organization that is meant, if the caller's permission reaches there.
    ///
    /// Only those who reach everywhere learn whether there is one of a name.
    async fn organization(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        permission: fn(&Account) -> Reach,
    ) -> Result<Option<String>, Failure> {
        let own = caller.account().organization.as_deref();
        let named = headers.get("x-zitadel-orgid").filter(|name| !name.is_empty());
        // What is no text is the name of no organization.
        let named = named.map(|name| name.to_str().unwrap_or_default());
        let organization = named.or(own);
        if !permission(caller.account()).covers(caller.account(), organization) {
            return Err(Failure::NotPermitted);
        }
        if let Some(name) = named.filter(|name| own != Some(*name)) {
            self.directory.members(name).await?.ok_or(Failure::UnknownOrganization)?;
        }
        Ok(organization.map(str::to_owned))
    }

    /// The account of this id, if it is there and of this organization.
    async fn member(&self, id: &str, organization: &str) -> Result<Option<Account>, Failure> {
        let account = self.account(id).await?;
        Ok(account.filter(|account| account.organization.as_deref() == Some(organization)))
    }

    /// A token that is named with its account, and the organization of both.
    async fn named(
        &self,
        named: Named,
        organization: Option<String>,
    ) -> Result<(TokenRecord, String), Failure> {
        let organization = organization.ok_or(Failure::MissingToken)?;
        let owner = self.member(&named.user, &organization).await?;
        let owner = owner.ok_or(Failure::MissingToken)?;
        Ok((self.find(&named.token, &owner.id).await?, organization))
    }
}
