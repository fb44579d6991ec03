//! Mattermost's table of personal access tokens.
//!
//! Its texts are in the table as they are; whoever reads the table can use them all. An export is
//! made by
//!
//! ```sh
//! psql -At -c 'SELECT row_to_json(t) FROM useraccesstokens t' > tokens.json
//! ```
//!
//! and holds one object a line, with the columns `id`, `token`, `userid`, `description`, `isactive`
//! and, from 11.9 on, `expiresat`. Ids, descriptions, expiries and states are kept, so what clients
//! have noted down stays true. Expired tokens are skipped.

use chrono::DateTime;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::export::{malformed, name, rows};
use super::{Row, Skipped};
use crate::core::digest::Digest;
use crate::core::id::{OwnerId, TokenId};
use crate::core::import::ForeignToken;
use crate::core::shape::Shape;
use crate::core::token::Expiry;

/// The tokens of an export: objects one after the other, or in a list.
#[must_use]
pub fn read(export: &str) -> Vec<Row> {
    rows(export, |columns: Columns| {
        let called = columns.id.clone();
        // What stands there instead of an id may be the text: it is not repeated.
        if TokenId::parse(called.as_bytes()).is_none() {
            return vec![malformed("a row without an id".to_owned(), "id")];
        }
        vec![Row { called, token: token(&columns) }]
    })
}

/// A row as the product has it. No `Debug`: it holds a secret.
#[derive(Deserialize)]
struct Columns {
    id: String,
    token: String,
    #[serde(alias = "user_id")]
    userid: String,
    #[serde(default)]
    description: String,
    #[serde(alias = "is_active")]
    isactive: bool,
    /// Milliseconds since 1970; zero for never. Older versions have no such column.
    #[serde(default, alias = "expires_at")]
    expiresat: i64,
}

fn token(columns: &Columns) -> Result<ForeignToken, Skipped> {
    let id = TokenId::parse(columns.id.as_bytes()).ok_or(Skipped::Malformed { field: "id" })?;
    let owner = OwnerId::new(columns.userid.as_str())
        .map_err(|_| Skipped::Malformed { field: "userid" })?;
    let name = name(&columns.description).ok_or(Skipped::Malformed { field: "description" })?;
    let text = columns.token.as_bytes();
    if !Shape::MATTERMOST.fits(text) {
        return Err(Skipped::Malformed { field: "token" });
    }
    let mut token = ForeignToken::new(
        owner,
        Shape::MATTERMOST,
        Digest::from_bytes(Sha256::digest(text).into()),
    );
    token.id = Some(id);
    token.name = name;
    token.active = columns.isactive;
    token.expires_at = match columns.expiresat {
        0 => Expiry::Never,
        at => Expiry::At(
            DateTime::from_timestamp_millis(at).ok_or(Skipped::Malformed { field: "expiresat" })?,
        ),
    };
    Ok(token)
}
