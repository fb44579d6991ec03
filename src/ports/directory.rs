//! The host's accounts, as far as token routes must know them.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::BoxError;
use crate::core::id::{OwnerId, ScopeName};
use crate::core::scope::Grant;

/// Knows accounts, their roles and what they may do now.
///
/// **If you lie:** an account that is not there may issue tokens; a role that is not held shows
/// everybody's. Trouble must be an error, which the routes answer with 503: an account that
/// cannot be looked up is neither allowed nor unknown.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// The account that a key names.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when it could not be looked up.
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError>;

    /// What the account may do now, whatever its tokens say.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when it could not be looked up.
    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError>;

    /// Whether the account may see and end the tokens of others.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when it could not be looked up.
    async fn is_administrator(&self, account: &Account) -> Result<bool, DirectoryError>;

    /// The accounts of an organization; `None` where there is no such organization, as for a host
    /// that knows none at all.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when it could not be looked up.
    async fn members(&self, _organization: &str) -> Result<Option<Vec<OwnerId>>, DirectoryError> {
        Ok(None)
    }
}

/// What names an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountKey {
    /// Its e-mail address.
    Email(String),
    /// Its id.
    Id(OwnerId),
    /// Its number, on wires that count accounts.
    Number(u64),
    /// Its user name.
    Username(String),
}

/// An account of the host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Account {
    /// The id that its tokens carry as their owner.
    pub id: OwnerId,
    /// Its number.
    pub number: u64,
    /// Its user name.
    pub username: String,
    /// Its display name.
    pub name: String,
    /// Its e-mail address, and whether it was verified.
    pub email: Option<(String, bool)>,
    /// What it is.
    pub kind: AccountKind,
    /// The account that a bot belongs to.
    pub bot_owner: Option<OwnerId>,
    /// The organization it belongs to.
    pub organization: Option<String>,
    /// Its roles, by the products' own names.
    pub roles: Vec<String>,
    /// The external identity provider that it comes from.
    pub external: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Account {
    /// A person's account without roles.
    #[must_use]
    pub fn new(
        id: OwnerId,
        number: u64,
        username: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            number,
            username: username.into(),
            name: String::new(),
            email: None,
            kind: AccountKind::Human,
            bot_owner: None,
            organization: None,
            roles: Vec::new(),
            external: None,
            created_at,
        }
    }

    /// Whether it has the role of this name.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountKind {
    /// A bot, which belongs to an account.
    Bot,
    /// A person.
    Human,
    /// A service account.
    Machine,
}

/// The directory could not be asked, or not in time.
#[derive(Debug, thiserror::Error)]
#[error("the directory is unavailable")]
#[expect(clippy::exhaustive_structs, reason = "there is one way to have no answer")]
pub struct DirectoryError(#[source] pub BoxError);
