//! The accounts file as it is written.

use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use keyfob::ports::directory::AccountKind;
use keyfob::two_factor::TotpSeed;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::passwords::PasswordText;
use crate::settings::Settings;

/// Accounts, what they belong to, and settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsFile {
    #[serde(default, deserialize_with = "objects")]
    pub(crate) organizations: Vec<OrganizationEntry>,
    #[serde(default, deserialize_with = "objects")]
    pub(crate) accounts: Vec<AccountEntry>,
    #[serde(default, deserialize_with = "object")]
    pub(crate) settings: Settings,
}

/// One organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationEntry {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) domain: String,
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
    #[serde(default, deserialize_with = "optional_object")]
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
        let file = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            // The reason quotes what stands there.
            if path == "." {
                error.inner().to_string()
            } else if path.ends_with(".password") || path.ends_with(".totp") {
                format!("{path}: it is no text")
            } else {
                format!("{path}: {}", error.inner())
            }
        })?;
        json.end().map_err(|error| error.to_string())?;
        let Object(file) = file;
        Ok(file)
    }
}

/// What is written as an object. Without this, a list would do for each of these types: its values
/// would be taken for the fields in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with named fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| value)
}

fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.map(|Object(value)| value))
}

fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let values = Vec::deserialize(deserializer)?;
    Ok(values.into_iter().map(|Object(value)| value).collect())
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
