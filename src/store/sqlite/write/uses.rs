//! What is written down of uses, inside the writer's transaction.

use std::num::NonZeroU32;

use rusqlite::{OptionalExtension as _, params};

use super::Writing;
use crate::core::id::TokenId;
use crate::core::verify::micros;
use crate::ports::store::Use;
use crate::store::columns::signed;
use crate::store::sqlite::rows::Trouble;

impl Writing<'_> {
    pub(in crate::store::sqlite) fn mark_used(
        &self,
        uses: &[Use],
    ) -> Result<Vec<TokenId>, Trouble> {
        // The address goes with the latest use, so both move together or not at all.
        let mut statement = self.connection.prepare_cached(
            "UPDATE tokens SET
                 last_used_from = CASE WHEN last_used_at IS NULL OR ?3 > last_used_at THEN ?4 ELSE last_used_from END,
                 last_used_at = CASE WHEN last_used_at IS NULL OR ?3 > last_used_at THEN ?3 ELSE last_used_at END,
                 use_count = use_count + ?5
             WHERE realm = ?1 AND id = ?2 RETURNING known_addresses",
        )?;
        let mut told = Vec::new();
        for new in uses {
            let from = new.usage.last_from.map(|address| address.to_string());
            let row = params![
                self.realm.as_str(),
                new.token.as_bytes(),
                new.usage.last_at.map(micros),
                from,
                signed(new.usage.count)?,
            ];
            let known = statement.query_row(row, |row| row.get::<_, String>(0)).optional()?;
            if let Some((known, from)) = known.zip(from)
                && self.meet(new.token, &known, &from)?
                && let Some(event) = &new.if_new
            {
                self.append(event)?;
                told.push(new.token);
            }
        }
        Ok(told)
    }

    /// Whether an address is new among those that a token was used from; it is known from then on.
    fn meet(&self, token: TokenId, known: &str, from: &str) -> Result<bool, Trouble> {
        let mut addresses: Vec<_> = known.split_whitespace().collect();
        if addresses.contains(&from) {
            return Ok(false);
        }
        let is_first = addresses.is_empty();
        addresses.push(from);
        let forgotten = addresses.len().saturating_sub(Use::KNOWN_ADDRESSES);
        let kept = addresses.get(forgotten..).unwrap_or_default().join(" ");
        self.connection
            .prepare_cached("UPDATE tokens SET known_addresses = ?3 WHERE realm = ?1 AND id = ?2")?
            .execute(params![self.realm.as_str(), token.as_bytes(), kept])?;
        Ok(!is_first)
    }

    pub(in crate::store::sqlite) fn spend(
        &self,
        token: TokenId,
        uses: NonZeroU32,
    ) -> Result<bool, Trouble> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE tokens SET spent = spent + 1
             WHERE realm = ?1 AND id = ?2 AND state = 0 AND spent < ?3",
        )?;
        let key = params![self.realm.as_str(), token.as_bytes(), uses.get()];
        Ok(statement.execute(key)? == 1)
    }
}
