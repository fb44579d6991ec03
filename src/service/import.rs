//! Taking over tokens of other products.

use crate::core::import::{ForeignToken, import};
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::ports::store::{Insert, Inserted, Lookup, StoreError};
use crate::service::Tokens;
use crate::service::error::ImportFailure;

/// What became of a foreign token.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "it is new here, or it is not")]
pub enum Import {
    /// It was taken over: the row.
    Done(Box<TokenRecord>),
    /// It was taken over before. Whatever has become of it since stays: a token that was revoked
    /// here is not brought back.
    DoneBefore(Box<TokenRecord>),
}

impl<S: Scope> Tokens<S> {
    /// Takes over a token that another product has issued: its text goes on working, here.
    ///
    /// This is for the host itself, which has read the product's table. It is neither held to quotas
    /// nor to unique names. Rows that were [pruned](crate::TokenStore::prune) are forgotten: whoever
    /// imports again after that brings back what was revoked.
    ///
    /// # Errors
    ///
    /// [`ImportFailure`].
    pub async fn import(&self, foreign: ForeignToken) -> Result<Import, ImportFailure> {
        let inner = &*self.inner;
        let id = foreign.id();
        let owner_id = foreign.owner.clone();
        if let Some(found) = inner.find_intact(&Lookup::Id(id)).await? {
            let same = found.record.owner == owner_id;
            return if same {
                Ok(Import::DoneBefore(found.record))
            } else {
                Err(ImportFailure::Taken)
            };
        }
        let owner = inner.store.owner(&owner_id).await?;
        let imported = import(foreign, &owner, &inner.rules, inner.now().await?)?;
        let insert = Insert::new(imported.record, imported.event.clone());
        match inner.store.insert(insert).await? {
            Inserted::Stored(record, epoch) => {
                inner.changed(epoch, &[]);
                inner.tell(&imported.event);
                Ok(Import::Done(record))
            }
            Inserted::Duplicate => Err(ImportFailure::Taken),
            // Its owner was deactivated just now; the next try says so.
            _ => Err(StoreError::unavailable("the owner is being changed").into()),
        }
    }
}
