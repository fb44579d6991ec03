//! Reading tokens and events.

#[cfg(feature = "introspection")]
use crate::core::error::Refusal;
use crate::core::id::TokenId;
use crate::core::scope::Scope;
#[cfg(feature = "introspection")]
use crate::core::token::Expiry;
use crate::core::token::TokenRecord;
use crate::ports::store::{EventQuery, Lookup, Page, Query, StoreError, StoredEvent};
#[cfg(any(
    feature = "awx",
    feature = "mattermost",
    feature = "rocketchat",
    feature = "zitadel"
))]
use crate::ports::store::{Filter, Start};
use crate::service::error::ChangeFailure;
#[cfg(feature = "introspection")]
use crate::service::verified::Verified;
use crate::service::{By, Tokens};

impl<S: Scope> Tokens<S> {
    /// One token, if the caller may know of it.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Missing`] or [`ChangeFailure::Unavailable`].
    pub async fn find(&self, id: TokenId, by: By<'_>) -> Result<TokenRecord, ChangeFailure> {
        Ok(*self.inner.reach(id, by).await?.record)
    }

    /// One token by the number that the store gave it, if the caller may know of it.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Missing`] or [`ChangeFailure::Unavailable`].
    pub async fn find_by_number(
        &self,
        number: u64,
        by: By<'_>,
    ) -> Result<TokenRecord, ChangeFailure> {
        let found = self.inner.find_intact(&Lookup::Number(number)).await?;
        let record = found.map(|found| *found.record);
        record
            .filter(|record| self.inner.may_reach(by, &record.owner))
            .ok_or(ChangeFailure::Missing)
    }

    /// A page of tokens: a list where the filter names an owner, a search where it does not.
    ///
    /// It is the host's to decide who may ask for what.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.store.query(query).await
    }

    /// The token that a text is the secret of, alive or dead. A text that was replaced counts as
    /// long as its overlap lasts.
    #[cfg(feature = "introspection")]
    pub(crate) async fn find_by_text(&self, text: &str) -> Result<Option<TokenRecord>, StoreError> {
        let found = self.inner.find_by_text(text).await?;
        Ok(found.filter(|(_, is_over)| !is_over).map(|(record, _)| record))
    }

    /// The row behind evidence, if the store would still have it accepted, and until when.
    #[cfg(feature = "introspection")]
    pub(crate) async fn find_again(
        &self,
        verified: &Verified,
    ) -> Result<Result<(TokenRecord, Expiry), Refusal>, StoreError> {
        self.inner.find_again(verified).await
    }

    /// How many tokens a filter selects.
    #[cfg(any(feature = "awx", feature = "zitadel"))]
    pub(crate) async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        let mut query = Query::new(filter.clone(), 1);
        query.with_total = true;
        Ok(self.query(&query).await?.total.unwrap_or_default())
    }

    /// All tokens that a filter selects, page by page.
    #[cfg(any(
        feature = "awx",
        feature = "mattermost",
        feature = "rocketchat",
        feature = "zitadel"
    ))]
    pub(crate) async fn query_all(&self, filter: Filter) -> Result<Vec<TokenRecord>, StoreError> {
        let (mut query, mut records) = (Query::new(filter, Query::LARGEST_PAGE), Vec::new());
        loop {
            let page = self.query(&query).await?;
            records.extend(page.records);
            match page.next {
                Some(next) => query.start = Start::After(next),
                None => return Ok(records),
            }
        }
    }

    /// Events in the order in which they happened.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.store.events(query).await
    }
}
