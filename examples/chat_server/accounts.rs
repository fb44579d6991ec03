//! The accounts of this host: what its file says, checked, and looked up.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::DateTime;
use keyfob::core::owner::OwnerStanding;
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::{Actor, By, Grant, OwnerId, Scope, ScopeName, Tokens};

use crate::accounts_file::{AccountEntry, AccountsFile, OrganizationEntry, TwoFactorEntry};
use crate::passwords::Password;
use crate::settings::Settings;

/// All accounts. While the server runs only their names change, on this node.
#[derive(Debug)]
pub(crate) struct Accounts {
    entries: Vec<Entry>,
    by_id: HashMap<OwnerId, usize>,
    by_username: HashMap<String, usize>,
    /// Names that were changed since the start.
    renamed: RwLock<HashMap<OwnerId, String>>,
    organizations: HashMap<String, Organization>,
    settings: Settings,
}

/// What accounts belong to.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) name: String,
    pub(crate) domain: String,
}

/// An account with what only the host knows of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) account: Account,
    /// Without one, nobody signs in as this account.
    pub(crate) password: Option<Arc<Password>>,
    /// The factors that it begins with.
    pub(crate) two_factor: TwoFactorEntry,
    is_active_at_first: bool,
}

impl Accounts {
    /// # Errors
    ///
    /// A sentence that names the field.
    pub(crate) fn new(file: AccountsFile) -> Result<Self, String> {
        file.settings.check()?;
        let mut organizations = HashMap::new();
        for (index, OrganizationEntry { id, name, domain }) in
            file.organizations.into_iter().enumerate()
        {
            if organizations.insert(id, Organization { name, domain }).is_some() {
                return Err(format!("organizations[{index}].id: another one has it already"));
            }
        }
        let mut seen = Seen::default();
        let mut entries = Vec::new();
        for (index, entry) in file.accounts.into_iter().enumerate() {
            let entry = checked(entry, &organizations, &mut seen)
                .map_err(|what| format!("accounts[{index}].{what}"))?;
            entries.push(entry);
        }
        for (index, entry) in entries.iter().enumerate() {
            if entry.account.bot_owner.as_ref().is_some_and(|owner| !seen.ids.contains(owner)) {
                return Err(format!("accounts[{index}].owner: there is no account of this id"));
            }
        }
        let by = |key: fn(&Entry) -> _| (0..).zip(&entries).map(|(at, e)| (key(e), at)).collect();
        let by_username = (0..).zip(&entries).map(|(at, e)| (e.account.username.clone(), at));
        Ok(Self {
            by_id: by(|entry| entry.account.id.clone()),
            by_username: by_username.collect(),
            renamed: RwLock::default(),
            organizations,
            settings: file.settings,
            entries,
        })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Gives an account another name, until the server stops.
    pub(crate) fn rename(&self, id: &OwnerId, name: String) {
        self.renamed.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), name);
    }

    /// An account as it is now.
    pub(crate) fn present(&self, entry: &Entry) -> Account {
        let mut account = entry.account.clone();
        let renamed = self.renamed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = renamed.get(&account.id) {
            account.name.clone_from(name);
        }
        account
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn named(&self, username: &str) -> Option<&Entry> {
        self.by_username.get(username).and_then(|at| self.entries.get(*at))
    }

    /// The account of this user name, or of this address.
    pub(crate) fn called(&self, name: &str) -> Option<&Entry> {
        self.named(name).or_else(|| {
            self.entries.iter().find(|entry| {
                let email = entry.account.email.as_ref();
                email.is_some_and(|(address, _)| address.eq_ignore_ascii_case(name))
            })
        })
    }

    /// The organization of an account, with its id.
    pub(crate) fn organization_of<'o>(
        &'o self,
        account: &'o Account,
    ) -> Option<(&'o str, &'o Organization)> {
        let id = account.organization.as_deref()?;
        self.organizations.get(id).map(|organization| (id, organization))
    }

    pub(crate) fn of(&self, id: &OwnerId) -> Option<&Entry> {
        self.by_id.get(id).and_then(|at| self.entries.get(*at))
    }

    /// Tells the store which accounts begin deactivated. What the store knows already, it knows
    /// better.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(crate) async fn seed<S: Scope>(&self, tokens: &Tokens<S>) -> Result<(), String> {
        let host = Actor::host();
        for Entry { account, is_active_at_first, .. } in &self.entries {
            let state = tokens.owner_state(&account.id).await.map_err(|error| error.to_string())?;
            let is_active = state.standing == OwnerStanding::Active;
            if is_active == *is_active_at_first {
                continue;
            }
            if state.changed_at.is_some() {
                tracing::warn!(
                    owner = %account.id,
                    file = is_active_at_first,
                    store = is_active,
                    "the store knows whether an account is active, and the file says otherwise",
                );
                continue;
            }
            tokens
                .deactivate_owner(&account.id, By::Host(&host), None)
                .await
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// An account that is not there is no trouble, and everything else is in memory.
#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let matching =
            |is: &dyn Fn(&Account) -> bool| self.entries.iter().find(|entry| is(&entry.account));
        let entry = match key {
            AccountKey::Id(id) => self.of(id),
            AccountKey::Username(name) => self.named(name),
            AccountKey::Number(number) => matching(&|account| account.number == *number),
            AccountKey::Email(email) => matching(&|account| {
                account.email.as_ref().is_some_and(|(own, _)| own.eq_ignore_ascii_case(email))
            }),
            _ => None,
        };
        Ok(entry.map(|entry| self.present(entry)))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        // There is one channel, and everybody is in it.
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, account: &Account) -> Result<bool, DirectoryError> {
        Ok(account.roles.iter().any(|role| ADMINISTRATORS.contains(&role.as_str())))
    }

    async fn members(&self, id: &str) -> Result<Option<Vec<OwnerId>>, DirectoryError> {
        let accounts = self.entries.iter().map(|entry| &entry.account);
        let members = accounts.filter(|account| account.organization.as_deref() == Some(id));
        let is_known = self.organizations.contains_key(id);
        Ok(is_known.then(|| members.map(|account| account.id.clone()).collect()))
    }
}

/// What no two accounts may share.
#[derive(Default)]
struct Seen {
    ids: HashSet<OwnerId>,
    numbers: HashSet<u64>,
    usernames: HashSet<String>,
    emails: HashSet<String>,
}

fn checked(
    entry: AccountEntry,
    organizations: &HashMap<String, Organization>,
    seen: &mut Seen,
) -> Result<Entry, String> {
    let id = OwnerId::new(entry.id).map_err(|error| format!("id: {error}"))?;
    unique(&mut seen.ids, id.clone(), "id")?;
    unique(&mut seen.numbers, entry.number, "number")?;
    if entry.username.is_empty() || entry.username.contains(char::is_control) {
        return Err("username: it is empty, or has control characters".to_owned());
    }
    unique(&mut seen.usernames, entry.username.to_lowercase(), "username")?;
    if let Some(email) = &entry.email {
        unique(&mut seen.emails, email.to_lowercase(), "email")?;
    }
    if entry.organization.as_ref().is_some_and(|id| !organizations.contains_key(id)) {
        return Err("organization: there is no organization of this id".to_owned());
    }
    let bot_owner = match (entry.kind, entry.owner) {
        (AccountKind::Bot, Some(owner)) => {
            Some(OwnerId::new(owner).map_err(|error| format!("owner: {error}"))?)
        }
        (_, None) => None,
        (_, Some(_)) => return Err("owner: only a bot has one".to_owned()),
    };
    let two_factor = entry.two_factor.unwrap_or_default();
    if two_factor.email && entry.email.is_none() {
        return Err("two_factor.email: the account has no email".to_owned());
    }
    if two_factor.totp.as_ref().is_some_and(|_| two_factor.seed().is_none()) {
        return Err("two_factor.totp: it is not base32 of at least 80 bits".to_owned());
    }
    let password = entry.password.map(|text| Arc::new(Password::new(id.as_str(), &text)));
    let created_at = entry.created_at.unwrap_or(DateTime::UNIX_EPOCH);
    let mut account = Account::new(id, entry.number, entry.username, created_at);
    account.name = entry.name;
    account.email = entry.email.map(|email| (email, entry.email_verified));
    account.kind = entry.kind;
    account.bot_owner = bot_owner;
    account.organization = entry.organization;
    account.roles = entry.roles;
    account.external = entry.external;
    Ok(Entry { account, password, two_factor, is_active_at_first: entry.active })
}

fn unique<T: Eq + Hash>(seen: &mut HashSet<T>, value: T, field: &str) -> Result<(), String> {
    if seen.insert(value) { Ok(()) } else { Err(format!("{field}: another one has it already")) }
}

/// The roles of all four products that reach every account's tokens.
const ADMINISTRATORS: [&str; 4] = ["IAM_OWNER", "admin", "superuser", "system_admin"];
