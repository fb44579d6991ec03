//! Rocket.Chat's personal access tokens, which it keeps beside the sessions in its users.
//!
//! Only digests are there, without a key. An export is made by
//!
//! ```sh
//! mongoexport --collection users --fields _id,services.resume.loginTokens > users.json
//! ```
//!
//! and holds one user a line. Names, times of creation, last characters and `bypassTwoFactor` are
//! kept. The product gives its tokens no ids; here each has one, the same at every import. Sessions
//! are skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::export::{malformed, name, rows};
use super::{Row, Skipped};
use crate::core::digest::Digest;
use crate::core::id::OwnerId;
use crate::core::import::ForeignToken;
use crate::core::shape::Shape;

/// The tokens of an export: users one after the other, or in a list.
#[must_use]
pub fn read(export: &str) -> Vec<Row> {
    rows(export, |user: User| {
        let Ok(owner) = OwnerId::new(user.id.as_str()) else {
            return vec![malformed("a user without an id".to_owned(), "_id")];
        };
        let tokens = user.services.resume.login_tokens.into_iter();
        tokens.map(|token| token.into_row(&owner)).collect()
    })
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    services: Services,
}

#[derive(Default, Deserialize)]
struct Services {
    #[serde(default)]
    resume: Resume,
}

#[derive(Default, Deserialize)]
struct Resume {
    #[serde(default, rename = "loginTokens")]
    login_tokens: Vec<LoginToken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginToken {
    hashed_token: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    created_at: Value,
    #[serde(default)]
    last_token_part: Option<String>,
    #[serde(default)]
    bypass_two_factor: Option<bool>,
}

impl LoginToken {
    fn into_row(self, owner: &OwnerId) -> Row {
        let called = match &self.name {
            Some(name) => format!("{owner} {name}"),
            None => owner.to_string(),
        };
        Row { called, token: self.token(owner.clone()) }
    }

    fn token(self, owner: OwnerId) -> Result<ForeignToken, Skipped> {
        if self.kind.as_deref() != Some("personalAccessToken") {
            return Err(Skipped::Session);
        }
        let sha256 = STANDARD.decode(&self.hashed_token).ok().and_then(|hash| hash.try_into().ok());
        let sha256 = Digest::from_bytes(sha256.ok_or(Skipped::Malformed { field: "hashedToken" })?);
        let mut token = ForeignToken::new(owner, Shape::ROCKET_CHAT, sha256);
        token.name =
            name(&self.name.unwrap_or_default()).ok_or(Skipped::Malformed { field: "name" })?;
        token.created_at = match &self.created_at {
            Value::Null => None,
            written => Some(date(written).ok_or(Skipped::Malformed { field: "createdAt" })?),
        };
        let hint = self.last_token_part.unwrap_or_default();
        if hint.len() > Shape::ROCKET_CHAT.hint_length() {
            return Err(Skipped::Malformed { field: "lastTokenPart" });
        }
        token.hint = hint.into();
        token.bypasses_two_factor = self.bypass_two_factor.unwrap_or(false);
        Ok(token)
    }
}

/// A date as tools write it: a text, or the same or milliseconds under `$date`, which are a text
/// again in the strict form.
fn date(written: &Value) -> Option<DateTime<Utc>> {
    if let Some(inner) = written.get("$date").or_else(|| written.get("$numberLong")) {
        return date(inner);
    }
    match written {
        Value::Number(millis) => DateTime::from_timestamp_millis(millis.as_i64()?),
        Value::String(text) => match text.parse() {
            Ok(millis) => DateTime::from_timestamp_millis(millis),
            Err(_) => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
        },
        _ => None,
    }
}
