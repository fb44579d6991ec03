//! The accounts file as it is written.

use chrono::{DateTime, Utc};
use keyfob::ports::directory::AccountKind;
use keyfob::two_factor::TotpSeed;
use serde::{Deserialize, Deserializer};

use crate::passwords::PasswordText;
use crate::settings::Settings;

/// Accounts, what they belong to, and settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsFile {
    #[serde(default)]
    pub(crate) organizations: Vec<OrganizationEntry>,
    #[serde(default)]
    pub(crate) accounts: Vec<AccountEntry>,
    #[serde(default)]
    pub(crate) settings: Settings,
}

/// One organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationEntry {
    pub(crate) id: String,
    #[serde(default)]
    #[expect(dead_code, reason = "no face shows it yet")]
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "no face shows it yet")]
    domain: String,
}

/// One account. Only the first three fields must be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountEntry {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) email_verified: bool,
    pub(crate) password: Option<PasswordText>,
    #[serde(default = "human", deserialize_with = "kind")]
    pub(crate) kind: AccountKind,
    pub(crate) owner: Option<String>,
    pub(crate) organization: Option<String>,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default = "active")]
    pub(crate) active: bool,
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) external: Option<String>,
    pub(crate) two_factor: Option<TwoFactorEntry>,
}

/// The second factors that an account has enrolled.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TwoFactorEntry {
    pub(crate) totp: Option<PasswordText>,
    #[serde(default)]
    pub(crate) email: bool,
}

impl TwoFactorEntry {
    /// The seed of the authenticator, if there is one.
    pub(crate) fn seed(&self) -> Option<TotpSeed> {
        self.totp.as_ref().and_then(|seed| TotpSeed::from_base32(seed.expose_secret()))
    }
}

impl AccountsFile {
    /// # Errors
    ///
    /// A sentence that names the field.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let file: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            // The reason quotes what stands there.
            if path.ends_with(".password") || path.ends_with(".totp") {
                format!("{path}: it is no text")
            } else {
                format!("{path}: {}", error.inner())
            }
        })?;
        json.end().map_err(|error| error.to_string())?;
        Ok(file)
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountKind, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "bot" => Ok(AccountKind::Bot),
        "human" => Ok(AccountKind::Human),
        "machine" => Ok(AccountKind::Machine),
        _ => Err(serde::de::Error::custom("it is none of human, bot and machine")),
    }
}

const fn human() -> AccountKind {
    AccountKind::Human
}

const fn active() -> bool {
    true
}
