//! Revoking many tokens at once.

use rusqlite::params_from_iter;

use super::read::where_clause;
use super::rows::{Fields, Trouble};
use super::write::Writing;
use crate::core::id::TokenId;
use crate::core::token::Ended;
use crate::core::verify::micros;
use crate::ports::store::Filter;
use crate::store::columns::{Row as _, Value, given_bytes, written};

impl Writing<'_> {
    /// Revokes what a filter selects, but for one.
    pub(super) fn revoke_selected(
        &self,
        filter: &Filter,
        except: Option<TokenId>,
        end: &Ended,
    ) -> Result<Vec<TokenId>, Trouble> {
        let (mut condition, mut values) = where_clause(self.realm, filter)?;
        if let Some(spared) = except {
            values.push(spared.as_bytes()[..].into());
            condition = format!("{condition} AND t.id <> ?{}", values.len());
        }
        self.revoke(&condition, values, end)
    }

    /// Revokes everything that was minted by a token, and by what it minted.
    pub(super) fn revoke_descendants(
        &self,
        ancestor: TokenId,
        end: &Ended,
    ) -> Result<Vec<TokenId>, Trouble> {
        // Found by number, and each from the one that minted it: SQLite would otherwise rather read
        // all tokens of the realm, and in the recursion once for each descendant.
        let condition = "t.number IN (
             WITH RECURSIVE minted (number, id) AS (
                 SELECT number, id FROM tokens WHERE realm = ?1 AND parent = ?2
                 UNION SELECT c.number, c.id
                     FROM minted m CROSS JOIN tokens c ON c.realm = ?1 AND c.parent = m.id)
             SELECT number FROM minted)";
        let values = vec![self.realm.as_str().into(), ancestor.as_bytes()[..].into()];
        self.revoke(condition, values, end)
    }

    /// Revokes all unrevoked rows `t` of this realm that a condition selects, however many, in two
    /// statements. `?1` of the condition is the realm.
    fn revoke(
        &self,
        condition: &str,
        mut values: Vec<Value>,
        end: &Ended,
    ) -> Result<Vec<TokenId>, Trouble> {
        let chosen = format!("{condition} AND t.state <> 2");
        // Each owner's sequence goes up by as many as the owner has among them. Every owner of a
        // token has a row.
        let counted = format!(
            "UPDATE owners SET sequence = sequence + counted.tokens
             FROM (SELECT t.owner, count(*) AS tokens FROM tokens t WHERE {chosen} GROUP BY t.owner) AS counted
             WHERE owners.realm = ?1 AND owners.owner = counted.owner"
        );
        self.connection.prepare_cached(&counted)?.execute(params_from_iter(&values))?;
        values.push(written(end)?.into());
        values.push(micros(end.at).into());
        let (ended, ended_at) = (values.len().saturating_sub(1), values.len());
        // The last of an owner's tokens gets the owner's sequence, the one before it one less.
        let revoked = format!(
            "UPDATE tokens SET state = 2, ended = ?{ended}, ended_at = ?{ended_at},
                 changed_at = max(changed_at, ?{ended_at}), version = version + 1,
                 changed_sequence = chosen.sequence
             FROM (SELECT t.number, o.sequence + 1
                       - row_number() OVER (PARTITION BY t.owner ORDER BY t.number DESC) AS sequence
                   FROM tokens t JOIN owners o ON o.realm = t.realm AND o.owner = t.owner
                   WHERE {chosen}) AS chosen
             WHERE tokens.number = chosen.number
             RETURNING number, id"
        );
        let mut statement = self.connection.prepare_cached(&revoked)?;
        let mut tokens = statement
            .query_and_then(params_from_iter(values), |row| {
                let mut fields = Fields::of(row);
                let number = fields.integer()?;
                Ok((number, TokenId::from_bytes(given_bytes(fields.bytes()?, "id")?)))
            })?
            .collect::<Result<Vec<_>, Trouble>>()?;
        tokens.sort_unstable_by_key(|(number, _)| *number);
        Ok(tokens.into_iter().map(|(_, id)| id).collect())
    }
}
