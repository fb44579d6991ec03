//! Issuing tokens.

use crate::core::change::Presenter;
use crate::core::error::IssueError;
use crate::core::issue::{Caller, IssueRequest, issue};
use crate::core::scope::Scope;
use crate::core::secret::TokenSecret;
use crate::core::token::TokenRecord;
use crate::ports::entropy::Generator;
use crate::ports::store::{Insert, Inserted, StoreError};
use crate::service::error::IssueFailure;
use crate::service::{By, Tokens};

impl<S: Scope> Tokens<S> {
    /// Makes a token and stores it; returns the secret, to be shown once, and the row.
    ///
    /// A caller that presents a token is judged anew by the store, in the step that inserts: a
    /// token whose revocation has returned mints nothing. Nothing is shown before it is stored.
    ///
    /// # Errors
    ///
    /// [`IssueFailure`]. After [`StoreError::Indeterminate`] the same request with its
    /// idempotency key finds out whether the token was made; its secret is lost all the same.
    pub async fn issue(
        &self,
        mut request: IssueRequest<S>,
        by: By<'_>,
    ) -> Result<(TokenSecret, TokenRecord), IssueFailure> {
        let inner = &*self.inner;
        let quota = inner.rules.policy.of(&request.kind).quota;
        let (unique_name, idempotency_key) = (request.unique_name, request.idempotency_key.take());
        let token;
        let (caller, presenter) = match by {
            By::Host(actor) => (Caller::Host(actor), None),
            By::Token { verified, administrator } => {
                let found = inner.find_again(verified).await?;
                (token, _) = found.map_err(IssueFailure::Presenter)?;
                let caller = Caller::Token { token: &token, for_others: administrator };
                (caller, Some(Presenter::of(&token)))
            }
        };
        let owner = inner.store.owner(&request.owner).await?;
        let now = inner.now().await?;
        let mut generator = Generator(&*inner.entropy);
        let issued = issue(request, caller, &owner, &inner.rules, now, &mut generator)?;
        let mut insert = Insert::new(issued.record, issued.event.clone());
        insert.quota = quota;
        insert.unique_name = unique_name;
        insert.idempotency_key = idempotency_key;
        insert.presenter = presenter;
        match inner.store.insert(insert).await? {
            Inserted::Stored(record, epoch) => {
                inner.changed(epoch, &[]);
                inner.tell(&issued.event);
                Ok((issued.secret, *record))
            }
            Inserted::AlreadyIssued(id) => Err(IssueFailure::AlreadyIssued(id)),
            Inserted::NameTaken => Err(IssueFailure::NameTaken),
            Inserted::OwnerNotActive => Err(IssueError::OwnerNotActive.into()),
            Inserted::QuotaReached => Err(IssueFailure::QuotaReached),
            Inserted::PresenterChanged => {
                // It changed between the check and the insert; the next try sees what it is now.
                Err(StoreError::unavailable("the presenting token is being changed").into())
            }
            // 128 random bits do not meet; something is very wrong with the randomness.
            Inserted::Duplicate => Err(IssueError::Randomness.into()),
        }
    }
}
