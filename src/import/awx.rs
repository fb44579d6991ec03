//! The tokens of AWX, of Ansible Tower before it and of the gateway that came after it.
//!
//! AWX and Tower keep their texts as they are; whoever reads the table can use them all. The gateway
//! keeps the SHA-256 of each, without a key. An export is made by
//!
//! ```sh
//! psql -At -c 'SELECT row_to_json(t) FROM main_oauth2accesstoken t' > tokens.json
//! ```
//!
//! or, from the gateway's database, by
//!
//! ```sh
//! psql -At -c 'SELECT row_to_json(t) FROM dab_oauth2_provider_oauth2accesstoken t' > tokens.json
//! ```
//!
//! and holds one object a line, with the columns `id`, `token`, `user_id`, `application_id`,
//! `description`, `scope`, `created` and `expires`. Descriptions, scopes and times are kept. Numbers are
//! not, since the store here gives its own. Tokens of applications are skipped, and so are expired
//! ones.
//!
//! The owner of a row is the number of a user, written out: `account` of [`import`](super::import) says
//! which account here has it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::export::{malformed, rows};
use super::{Row, Skipped};
use crate::core::digest::Digest;
use crate::core::id::{Note, OwnerId, ScopeName, TokenName};
use crate::core::import::ForeignToken;
use crate::core::scope::{Grant, ReadWrite, Scope};
use crate::core::shape::Shape;
use crate::core::token::Expiry;

/// The tokens of an export: objects one after the other, or in a list.
///
/// `grant` says what the product's two scopes are in the host's vocabulary, to write being to read
/// too; `None` is nothing, and such tokens are skipped.
#[must_use]
pub fn read<S: Scope>(export: &str, grant: impl Fn(ReadWrite) -> Option<Grant<S>>) -> Vec<Row> {
    rows(export, |columns: Columns| {
        let Some(id) = columns.id else {
            return vec![malformed("a row without an id".to_owned(), "id")];
        };
        vec![Row { called: format!("token {id}"), token: token(&columns, &grant) }]
    })
}

/// A row as the product has it. No `Debug`: it holds a secret.
#[derive(Deserialize)]
struct Columns {
    #[serde(default)]
    id: Option<u64>,
    token: String,
    #[serde(default)]
    user_id: Option<u64>,
    #[serde(default)]
    application_id: Option<u64>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    created: Option<DateTime<Utc>>,
    expires: DateTime<Utc>,
}

fn token<S: Scope>(
    columns: &Columns,
    grant: impl Fn(ReadWrite) -> Option<Grant<S>>,
) -> Result<ForeignToken, Skipped> {
    if columns.application_id.is_some() {
        return Err(Skipped::Application);
    }
    let malformed = |field| Skipped::Malformed { field };
    let owner = columns.user_id.and_then(|number| OwnerId::new(number.to_string()).ok());
    let owner = owner.ok_or_else(|| malformed("user_id"))?;
    let sha256 = digest(&columns.token).ok_or_else(|| malformed("token"))?;
    let scope = scope(&columns.scope).ok_or_else(|| malformed("scope"))?;
    let mut token = ForeignToken::new(owner, Shape::AWX, sha256);
    token.grant = grant(scope).ok_or(Skipped::NoGrant)?.names();
    let description = columns.description.as_deref().unwrap_or_default().trim();
    // As on this product's own wire: what is no name is the note, and the name is its beginning.
    token.name = match TokenName::new(description) {
        Ok(name) => name,
        Err(_) => {
            token.note = Note::new(description).map_err(|_| malformed("description"))?;
            TokenName::beginning(description)
        }
    };
    token.created_at = columns.created;
    token.expires_at = Expiry::At(columns.expires);
    Ok(token)
}

/// The SHA-256 of a text, which is here itself or is told by its digits.
fn digest(text: &str) -> Option<Digest> {
    if Shape::AWX.fits(text.as_bytes()) {
        return Some(Digest::from_bytes(Sha256::digest(text).into()));
    }
    // An early migration of the gateway wrote no sign before them.
    let digits = text.strip_prefix("$sha256$").unwrap_or(text);
    let mut bytes = [0; 32];
    if digits.len() != bytes.len().saturating_mul(2) || !digits.bytes().all(is_digit) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let from = index.saturating_mul(2);
        *byte = u8::from_str_radix(digits.get(from..from.saturating_add(2))?, 16).ok()?;
    }
    Some(Digest::from_bytes(bytes))
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The strongest of the words.
fn scope(text: &str) -> Option<ReadWrite> {
    let word = |word| ScopeName::new(word).ok().as_ref().and_then(ReadWrite::parse);
    text.split_whitespace().map(word).collect::<Option<Vec<_>>>()?.into_iter().max()
}
