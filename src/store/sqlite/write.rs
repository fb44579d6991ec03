//! Changes, each inside the writer's transaction.

mod uses;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, named_params, params, params_from_iter};

use super::read;
use super::rows::Trouble;
use crate::core::change::{Change, Presenter};
use crate::core::event::Event;
use crate::core::id::{KeyId, OwnerId, RealmId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, State, TokenRecord};
use crate::core::verify::micros;
use crate::ports::store::{
    Applied, Epoch, Filter, Insert, Inserted, Lookup, MassRevocation, OwnerChange, OwnerChanged,
    OwnerSet, Revoked, Touched,
};
use crate::store::columns::{self, Named, fixed, given, signed, standing_number, written};

/// A change of one realm.
pub(super) struct Writing<'c> {
    pub(super) connection: &'c Connection,
    pub(super) realm: &'c RealmId,
}

impl Writing<'_> {
    pub(super) fn insert(&self, insert: &Insert) -> Result<Inserted, Trouble> {
        let mut record = insert.record.clone();
        let (now, owner) = (record.created_at, record.owner.as_str());
        if let Some(key) = &insert.idempotency_key {
            let sql =
                "SELECT id FROM issued WHERE realm = ?1 AND owner = ?2 AND idempotency_key = ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let known = statement
                .query_row(params![self.realm.as_str(), owner, key.as_str()], |row| {
                    row.get::<_, Vec<u8>>(0)
                })
                .optional()?;
            if let Some(id) = known {
                return Ok(Inserted::AlreadyIssued(TokenId::from_bytes(fixed(&id, "id")?)));
            }
        }
        if !self.is_presented(insert.presenter, now)? {
            return Ok(Inserted::PresenterChanged);
        }
        let state = read::owner(self.connection, self.realm, &record.owner)?;
        if state.standing != OwnerStanding::Active || state.generation != record.owner_generation {
            return Ok(Inserted::OwnerNotActive);
        }
        let same_kind = "realm = ?1 AND owner = ?2 AND kind = ?3 AND state <> 2";
        if insert.unique_name {
            let sql =
                format!("SELECT EXISTS (SELECT 1 FROM tokens WHERE {same_kind} AND name = ?4)");
            let mut statement = self.connection.prepare_cached(&sql)?;
            let key =
                params![self.realm.as_str(), owner, record.kind.as_str(), record.name.as_str()];
            if statement.query_row(key, |row| row.get(0))? {
                return Ok(Inserted::NameTaken);
            }
        }
        if let Some(quota) = insert.quota {
            let sql = format!(
                "SELECT count(*) FROM tokens WHERE {same_kind} AND (expires_at IS NULL OR expires_at > ?4)"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let key = params![self.realm.as_str(), owner, record.kind.as_str(), micros(now)];
            let live: i64 = statement.query_row(key, |row| row.get(0))?;
            if live >= i64::from(quota) {
                return Ok(Inserted::QuotaReached);
            }
        }
        if self.is_duplicate(&record)? {
            return Ok(Inserted::Duplicate);
        }
        record.changed_sequence = self.next_sequence(&record.owner, &state)?;
        record.version = 1;
        self.put(columns::of_token(&record)?)?;
        record.number = given(Some(self.connection.last_insert_rowid()), "number")?;
        if let Some(key) = &insert.idempotency_key {
            self.connection
                .prepare_cached("INSERT INTO issued VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![self.realm.as_str(), owner, key.as_str(), record.id.as_bytes()])?;
        }
        let epoch = self.advance(&Touched::Token(record.id), &insert.event)?;
        Ok(Inserted::Stored(Box::new(record), epoch))
    }

    pub(super) fn apply(&self, change: &Change) -> Result<Applied, Trouble> {
        let Some(found) = read::find(self.connection, self.realm, &Lookup::Id(change.token))?
        else {
            return Ok(Applied::Missing);
        };
        let mut record = found.record;
        if let State::Revoked(_) = record.state {
            return Ok(Applied::Revoked(record));
        }
        if change.expects.is_some_and(|version| version != record.version) {
            return Ok(Applied::Conflict(record));
        }
        if !self.is_presented(change.presenter, change.event.at)? {
            return Ok(Applied::PresenterChanged);
        }
        self.replace(&mut record, &found.owner, change)?;
        let mut cascaded = Vec::new();
        if let (true, Some(State::Revoked(end))) = (change.cascade, &change.patch.state) {
            cascaded = self.revoke_descendants(change.token, end)?;
        }
        let touched =
            if cascaded.is_empty() { Touched::Token(change.token) } else { Touched::Everything };
        let epoch = self.advance(&touched, &change.event)?;
        Ok(Applied::Done { record, epoch, cascaded })
    }

    pub(super) fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, Trouble> {
        let tokens =
            self.revoke_selected(&revocation.filter, revocation.except, &revocation.end)?;
        let touched = match &revocation.filter.owner {
            Some(owner) => Touched::Owner(owner.clone()),
            None => Touched::Everything,
        };
        Ok(Revoked::new(tokens, self.advance(&touched, &revocation.event)?))
    }

    pub(super) fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, Trouble> {
        if !self.is_presented(change.presenter, change.at)? {
            return Ok(OwnerSet::PresenterChanged);
        }
        let before = read::owner(self.connection, self.realm, &change.owner)?;
        if before.standing == change.standing {
            let epoch = read::epoch(self.connection, self.realm)?;
            return Ok(OwnerSet::Done(OwnerChanged::new(before, epoch, false)));
        }
        let mut state = before.becoming(change.standing, change.at);
        self.put_owner(&change.owner, &state)?;
        if change.standing == OwnerStanding::Deleted {
            let end = Ended::new(change.event.by.clone(), change.event.why.clone(), change.at);
            let of_owner = Filter::of_owner(change.owner.clone());
            self.revoke_selected(&of_owner, None, &end)?;
            state = read::owner(self.connection, self.realm, &change.owner)?;
        }
        let epoch = self.advance(&Touched::Owner(change.owner.clone()), &change.event)?;
        Ok(OwnerSet::Done(OwnerChanged::new(state, epoch, true)))
    }

    pub(super) fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, Trouble> {
        let pruned = self
            .connection
            .prepare_cached(
                "DELETE FROM tokens WHERE number IN (
                     SELECT t.number FROM tokens t
                     WHERE t.realm = ?1 AND (t.expires_at < ?2 OR (t.state = 2 AND t.ended_at < ?2))
                       AND NOT EXISTS (SELECT 1 FROM tokens c WHERE c.realm = ?1 AND c.parent = t.id)
                     ORDER BY t.number LIMIT ?3)",
            )?
            .execute(params![self.realm.as_str(), micros(dead_before), limit])?;
        Ok(u64::try_from(pruned).unwrap_or(u64::MAX))
    }

    /// Whether the presenting token, if there is one, is what the decision took it for.
    fn is_presented(
        &self,
        presenter: Option<Presenter>,
        now: DateTime<Utc>,
    ) -> Result<bool, Trouble> {
        let Some(presenter) = presenter else {
            return Ok(true);
        };
        let found = read::find(self.connection, self.realm, &Lookup::Id(presenter.token))?;
        Ok(found.is_some_and(|found| found.presents(presenter, now)))
    }

    fn is_duplicate(&self, record: &TokenRecord) -> Result<bool, Trouble> {
        let mut statement = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tokens WHERE realm = ?1 AND id = ?2)
                 OR EXISTS (SELECT 1 FROM tokens WHERE realm = ?1 AND digest = ?3 AND scheme = ?4
                                AND coalesce(digest_key, '') = coalesce(?5, ''))",
        )?;
        let key = params![
            self.realm.as_str(),
            record.id.as_bytes(),
            record.digest.digest.as_bytes(),
            record.digest.scheme.code(),
            record.digest.key.as_ref().map(KeyId::as_str),
        ];
        Ok(statement.query_row(key, |row| row.get(0))?)
    }

    /// Writes a new row.
    fn put(&self, columns: Named) -> Result<(), Trouble> {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO tokens ({}) VALUES ({places})", names.join(", "));
        let values = columns.into_iter().map(|(_, value)| value);
        self.connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
        Ok(())
    }

    /// Makes a row its next version, and writes what the change sets: indexes of other columns stay
    /// as they are.
    fn replace(
        &self,
        record: &mut TokenRecord,
        owner: &OwnerState,
        change: &Change,
    ) -> Result<(), Trouble> {
        let before = signed(record.version)?;
        change.patch.apply(record, change.event.at);
        record.version = record.version.saturating_add(1);
        record.changed_sequence = self.next_sequence(&record.owner, owner)?;
        let mut columns = columns::of_patch(&change.patch)?;
        columns.extend([
            ("changed_at", micros(record.changed_at).into()),
            ("changed_sequence", signed(record.changed_sequence)?.into()),
            ("version", signed(record.version)?.into()),
        ]);
        let set: Vec<_> = columns.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let sql = format!(
            "UPDATE tokens SET {} WHERE realm = ? AND id = ? AND version = ? AND state <> 2",
            set.join(", ")
        );
        let key = [self.realm.as_str().into(), record.id.as_bytes()[..].into(), before.into()];
        let values = columns.into_iter().map(|(_, value)| value).chain(key);
        let written = self.connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
        // Inside the writer's transaction nobody else can have written it.
        if written == 1 { Ok(()) } else { Err(Trouble::Corrupt("version")) }
    }

    /// Counts one more change of the owner, whose state was read in this transaction.
    ///
    /// Here and below a number is read and then written, and nobody else can write between: with
    /// `RETURNING` SQLite would make a table of its own for the one row that comes back.
    fn next_sequence(&self, owner: &OwnerId, state: &OwnerState) -> Result<u64, Trouble> {
        let sequence = state.sequence.saturating_add(1);
        self.connection
            .prepare_cached(
                "INSERT INTO owners VALUES (?1, ?2, 0, 1, ?3, NULL)
                 ON CONFLICT DO UPDATE SET sequence = ?3",
            )?
            .execute(params![self.realm.as_str(), owner.as_str(), signed(sequence)?])?;
        Ok(sequence)
    }

    fn put_owner(&self, owner: &OwnerId, state: &OwnerState) -> Result<(), Trouble> {
        self.connection
            .prepare_cached(
                "INSERT INTO owners VALUES (:realm, :owner, :standing, :generation, :sequence, :changed_at)
                 ON CONFLICT DO UPDATE SET standing = :standing, generation = :generation,
                     sequence = :sequence, changed_at = :changed_at",
            )?
            .execute(named_params! {
                ":realm": self.realm.as_str(),
                ":owner": owner.as_str(),
                ":standing": standing_number(state.standing),
                ":generation": state.generation,
                ":sequence": signed(state.sequence)?,
                ":changed_at": state.changed_at.map(micros),
            })?;
        Ok(())
    }

    fn advance(&self, touched: &Touched, event: &Event) -> Result<Epoch, Trouble> {
        let realm = self.realm.as_str();
        let before = self
            .connection
            .prepare_cached("SELECT epoch, last_event FROM realms WHERE realm = ?1")?
            .query_row([realm], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let (epoch, sequence) = before.unwrap_or_default();
        let (epoch, sequence) = (epoch.saturating_add(1), sequence.saturating_add(1));
        self.connection
            .prepare_cached(
                "INSERT INTO realms VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET epoch = ?2, last_event = ?3",
            )?
            .execute(params![realm, epoch, sequence])?;
        let (token, owner) = match touched {
            Touched::Everything => (None, None),
            Touched::Owner(owner) => (None, Some(owner.as_str())),
            Touched::Token(token) => (Some(*token.as_bytes()), None),
        };
        self.connection
            .prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![realm, epoch, token, owner, micros(event.at)])?;
        // By the hundred, since looking costs as much as one more row.
        if epoch.wrapping_rem(100) == 0 {
            self.connection
                .prepare_cached("DELETE FROM changes WHERE realm = ?1 AND epoch <= ?2")?
                .execute(params![realm, epoch.saturating_sub(REMEMBERED_CHANGES)])?;
        }
        self.append_as(sequence, event)?;
        Ok(Epoch(given(Some(epoch), "epoch")?))
    }

    /// An event of something that changed no token, and so begins no epoch.
    pub(super) fn append(&self, event: &Event) -> Result<(), Trouble> {
        let sequence = self
            .connection
            .prepare_cached(
                "INSERT INTO realms VALUES (?1, 0, 1)
                 ON CONFLICT DO UPDATE SET last_event = last_event + 1 RETURNING last_event",
            )?
            .query_row([self.realm.as_str()], |row| row.get(0))?;
        self.append_as(sequence, event)
    }

    fn append_as(&self, sequence: i64, event: &Event) -> Result<(), Trouble> {
        let token = event.token.as_ref().map(|token| *token.as_bytes());
        let owner = event.owner.as_ref().map(OwnerId::as_str);
        self.connection
            .prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![self.realm.as_str(), sequence, token, owner, written(event)?])?;
        Ok(())
    }
}

/// A reader that is further behind has missed seconds of the fastest writer; it starts anew.
const REMEMBERED_CHANGES: i64 = 10_000;
