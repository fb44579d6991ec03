//! Second factors, counters of attempts and marks.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::rows::{Fields, Trouble};
use super::write::Writing;
use crate::core::event::Event;
use crate::core::id::{OwnerId, RealmId};
use crate::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use crate::ports::store::StoreError;
use crate::store::attempts::Attempts;
use crate::store::columns::{Row as _, given, json, signed, written};

#[async_trait]
impl FactorStore for SqliteStore {
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError> {
        self.read(|connection, realm| {
            let (version, sealed) = kept(connection, realm, owner, method)?;
            Ok(sealed.map(|sealed| FactorRecord::new(sealed, version)))
        })
    }

    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        let (owner, method) = (owner.clone(), method.to_owned());
        let sealed = sealed.map(<[u8]>::to_vec);
        self.write(move |writing| writing.set_factor(&owner, &method, expects, sealed.as_deref()))
            .await
    }

    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let (owner, method, event) = (owner.clone(), method.to_owned(), event.clone());
        let sealed = sealed.map(<[u8]>::to_vec);
        self.write(move |writing| {
            let is_set = writing.set_factor(&owner, &method, expects, sealed.as_deref())?;
            if is_set {
                writing.append(&event)?;
            }
            Ok(is_set)
        })
        .await
    }

    async fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let (owner, counter, limits) = (owner.clone(), counter.to_owned(), limits.to_vec());
        self.write(move |writing| writing.reserve_attempt(&owner, &counter, &limits, now)).await
    }

    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        self.read(|connection, realm| {
            Ok(attempts(connection, realm, owner, counter)?.reserve(limits, now))
        })
    }

    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError> {
        let (owner, counter) = (owner.clone(), counter.to_owned());
        self.write(move |writing| writing.clear_attempts(&owner, &counter)).await
    }

    async fn raise_mark(
        &self,
        owner: &OwnerId,
        mark: &str,
        value: u64,
    ) -> Result<bool, StoreError> {
        let (owner, mark) = (owner.clone(), mark.to_owned());
        self.write(move |writing| writing.raise_mark(&owner, &mark, value)).await
    }
}

/// The last version that this owner and method had, zero for none, and the factor if it is there.
fn kept(
    connection: &Connection,
    realm: &RealmId,
    owner: &OwnerId,
    method: &str,
) -> Result<(u64, Option<Vec<u8>>), Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT version, sealed FROM factors WHERE realm = ?1 AND owner = ?2 AND method = ?3",
    )?;
    let mut kept = statement.query(params![realm.as_str(), owner.as_str(), method])?;
    let Some(row) = kept.next()? else {
        return Ok((0, None));
    };
    let mut fields = Fields::of(row);
    let version = given(fields.integer()?, "version")?;
    Ok((version, fields.bytes()?.map(<[u8]>::to_vec)))
}

/// What was counted so far.
fn attempts(
    connection: &Connection,
    realm: &RealmId,
    owner: &OwnerId,
    counter: &str,
) -> Result<Attempts, Trouble> {
    let made: Option<String> = connection
        .prepare_cached(
            "SELECT made FROM attempts WHERE realm = ?1 AND owner = ?2 AND counter = ?3",
        )?
        .query_row(params![realm.as_str(), owner.as_str(), counter], |row| row.get(0))
        .optional()?;
    match made {
        Some(made) => Ok(json::<Attempts>(Some(&made), "made")?),
        None => Ok(Attempts::default()),
    }
}

impl Writing<'_> {
    fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, Trouble> {
        let (last, before) = kept(self.connection, self.realm, owner, method)?;
        let version = if before.is_some() { last } else { 0 };
        if version != expects {
            return Ok(false);
        }
        if version > 0 || sealed.is_some() {
            let (realm, owner) = (self.realm.as_str(), owner.as_str());
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO factors VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![realm, owner, method, signed(last.saturating_add(1))?, sealed])?;
        }
        Ok(true)
    }

    fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, Trouble> {
        let mut attempts = attempts(self.connection, self.realm, owner, counter)?;
        let reservation = attempts.reserve(limits, now);
        if reservation == Reservation::Granted {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    self.realm.as_str(),
                    owner.as_str(),
                    counter,
                    written(&attempts)?
                ])?;
        }
        Ok(reservation)
    }

    fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), Trouble> {
        self.connection
            .prepare_cached(
                "DELETE FROM attempts WHERE realm = ?1 AND owner = ?2 AND counter = ?3",
            )?
            .execute(params![self.realm.as_str(), owner.as_str(), counter])?;
        Ok(())
    }

    fn raise_mark(&self, owner: &OwnerId, mark: &str, value: u64) -> Result<bool, Trouble> {
        let raised = self
            .connection
            .prepare_cached(
                "INSERT INTO marks VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET value = excluded.value WHERE value < excluded.value",
            )?
            .execute(params![
                self.realm.as_str(),
                owner.as_str(),
                mark,
                value.to_be_bytes().as_slice()
            ])?;
        Ok(raised > 0)
    }
}
