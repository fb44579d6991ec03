//! Taking the right to bypass the second factor from tokens that have it.

use crate::core::lifecycle::Narrowing;
use crate::core::scope::Scope;
use crate::ports::store::{Filter, Query, Start};
use crate::service::error::ChangeFailure;
use crate::service::{By, Tokens};

impl<S: Scope> Tokens<S> {
    /// Takes the right to pass where a second factor is due from every token that has it, and
    /// returns how many there were: what a host does when its policy stops to allow that. Each is
    /// narrowed like any other token, so that every node goes by it within the bound.
    ///
    /// It reads all tokens of the realm that are not revoked. One that is issued meanwhile, by a
    /// node whose policy still allows it, is found only if it comes to lie on a page that is not
    /// read yet: change the policy first.
    ///
    /// # Errors
    ///
    /// [`ChangeFailure::Missing`] for a caller that is no administrator; after trouble with the
    /// store, repeat it.
    pub async fn withdraw_bypass(&self, by: By<'_>) -> Result<u64, ChangeFailure> {
        if let By::Token { administrator: false, .. } = by {
            return Err(ChangeFailure::Missing);
        }
        let mut withdrawn = 0_u64;
        let narrowing = Narrowing::<S> { require_two_factor: true, ..Narrowing::default() };
        let mut query = Query::new(Filter::default().unrevoked(), Query::LARGEST_PAGE);
        loop {
            let page = self.query(&query).await?;
            for record in page.records.iter().filter(|record| record.bypasses_two_factor) {
                match self.narrow(record.id, &narrowing, by).await {
                    Ok(_) => withdrawn = withdrawn.saturating_add(1),
                    // It was revoked or deleted meanwhile.
                    Err(ChangeFailure::Lifecycle(_) | ChangeFailure::Missing) => {}
                    Err(error) => return Err(error),
                }
            }
            match page.next {
                Some(next) => query.start = Start::After(next),
                None => return Ok(withdrawn),
            }
        }
    }
}
