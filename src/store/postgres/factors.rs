//! Second factors, counters of attempts and marks.
//!
//! They lie beside the tokens and take no part in their epochs, so none of this waits for a realm.
//! Each is decided by comparing what was read with what is there when it is written.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::PostgresStore;
use super::ask::Ask;
use super::line::Line;
use super::rows::Fields;
use super::trouble::Trouble;
use super::write::{only, version, with_event};
use crate::core::event::Event;
use crate::core::id::{OwnerId, RealmId};
use crate::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use crate::ports::store::StoreError;
use crate::store::attempts::Attempts;
use crate::store::columns::{Row as _, given, json, written};

#[async_trait]
impl FactorStore for PostgresStore {
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, method));
        self.look_up(async move { factor(&to.shared.points, key).await }).await
    }

    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, method));
        let sealed = sealed.map(<[u8]>::to_vec);
        self.change(async move { set_factor(&to.shared.changes, key, expects, sealed).await }).await
    }

    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, method));
        let (sealed, event) = (sealed.map(<[u8]>::to_vec), event.clone());
        self.change(async move {
            let ask = key
                .of(Ask::often("SELECT keyfob.change_factor($1, $2, $3, $4, $5, $6, $7, $8)"))
                .with(version(expects))
                .with(sealed);
            let rows = to.shared.changes.change(&with_event(ask, &event)?).await?;
            Ok(Fields::of(only(&rows)?).integer()? == Some(1))
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
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, counter));
        let limits = limits.to_vec();
        self.change(async move { reserve(&to.shared.changes, &key, &limits, now).await }).await
    }

    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, counter));
        let limits = limits.to_vec();
        self.look_up(async move {
            let (mut attempts, _) = made(&to.shared.points, &key).await?;
            Ok(attempts.reserve(&limits, now))
        })
        .await
    }

    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, counter));
        self.change(async move {
            let ask = Ask::often(
                "DELETE FROM keyfob.attempts USING keyfob.durably()
                 WHERE realm = $1 AND owner = $2 AND counter = $3",
            );
            to.shared.changes.change(&key.of(ask)).await.map(drop)
        })
        .await
    }

    async fn raise_mark(
        &self,
        owner: &OwnerId,
        mark: &str,
        value: u64,
    ) -> Result<bool, StoreError> {
        let (to, key) = (self.clone(), Key::new(&self.realm, owner, mark));
        self.change(async move {
            let ask = Ask::often(
                "INSERT INTO keyfob.marks AS m SELECT $1, $2, $3, $4 FROM keyfob.durably()
                 ON CONFLICT (realm, owner, mark) DO UPDATE SET value = excluded.value
                     WHERE m.value < excluded.value
                 RETURNING 1::bigint",
            );
            let ask = key.of(ask).with(value.to_be_bytes().to_vec());
            is_made(&to.shared.changes, &ask).await
        })
        .await
    }
}

/// Which row of a table of factors, counters or marks.
#[derive(Clone)]
struct Key {
    realm: String,
    owner: String,
    name: String,
}

impl Key {
    fn new(realm: &RealmId, owner: &OwnerId, name: &str) -> Self {
        Self { realm: realm.as_str().into(), owner: owner.as_str().into(), name: name.into() }
    }

    /// The same question with this key as its first three values.
    fn of(&self, ask: Ask) -> Ask {
        ask.with(self.realm.clone()).with(self.owner.clone()).with(self.name.clone())
    }
}

async fn factor(line: &Line, key: Key) -> Result<Option<FactorRecord>, Trouble> {
    let ask = Ask::often(
        "SELECT version, sealed FROM keyfob.factors
         WHERE realm = $1 AND owner = $2 AND method = $3 AND sealed IS NOT NULL",
    );
    let rows = line.read(&key.of(ask)).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut fields = Fields::of(row);
    let version = given(fields.integer()?, "version")?;
    Ok(fields.bytes()?.map(|sealed| FactorRecord::new(sealed.to_vec(), version)))
}

async fn set_factor(
    line: &Line,
    key: Key,
    expects: u64,
    sealed: Option<Vec<u8>>,
) -> Result<bool, Trouble> {
    let ask = match (expects, sealed) {
        // Nothing is to be removed where nothing is.
        (0, None) => key.of(Ask::often(
            "SELECT 1::bigint WHERE NOT EXISTS (SELECT FROM keyfob.factors
             WHERE realm = $1 AND owner = $2 AND method = $3 AND sealed IS NOT NULL)",
        )),
        (0, sealed) => key
            .of(Ask::often(
                "INSERT INTO keyfob.factors AS f SELECT $1, $2, $3, 1, $4 FROM keyfob.durably()
                 ON CONFLICT (realm, owner, method)
                     DO UPDATE SET sealed = excluded.sealed, version = f.version + 1
                     WHERE f.sealed IS NULL
                 RETURNING 1::bigint",
            ))
            .with(sealed),
        (expects, sealed) => key
            .of(Ask::often(
                "UPDATE keyfob.factors SET sealed = $4, version = version + 1 FROM keyfob.durably()
                 WHERE realm = $1 AND owner = $2 AND method = $3
                   AND version = $5 AND sealed IS NOT NULL
                 RETURNING 1::bigint",
            ))
            .with(sealed)
            .with(version(expects)),
    };
    is_made(line, &ask).await
}

/// What was counted so far, and how it is written there; `None` where nothing is.
async fn made(line: &Line, key: &Key) -> Result<(Attempts, Option<String>), Trouble> {
    let ask = Ask::often(
        "SELECT made FROM keyfob.attempts WHERE realm = $1 AND owner = $2 AND counter = $3",
    );
    let rows = line.read(&key.of(ask)).await?;
    let made = rows.first().map(|row| Fields::of(row).text()).transpose()?.flatten();
    let attempts = match made {
        Some(made) => json::<Attempts>(Some(made), "made")?,
        None => Attempts::default(),
    };
    Ok((attempts, made.map(String::from)))
}

/// Reads what was counted, decides, and writes it back if nobody else has: whoever fails to has
/// seen another one's attempt counted, so the limit is nearer each time.
async fn reserve(
    line: &Line,
    key: &Key,
    limits: &[AttemptLimit],
    now: DateTime<Utc>,
) -> Result<Reservation, Trouble> {
    for _ in 0..TRIES {
        let (mut attempts, made) = made(line, key).await?;
        let reservation = attempts.reserve(limits, now);
        if reservation != Reservation::Granted {
            return Ok(reservation);
        }
        let attempts = written(&attempts)?;
        let ask = match made {
            None => key
                .of(Ask::often(
                    "INSERT INTO keyfob.attempts SELECT $1, $2, $3, $4 FROM keyfob.durably()
                     ON CONFLICT DO NOTHING RETURNING 1::bigint",
                ))
                .with(attempts),
            // What was cleared since must not come back with the attempt that is counted now.
            Some(made) => key
                .of(Ask::often(
                    "UPDATE keyfob.attempts SET made = $4 FROM keyfob.durably()
                     WHERE realm = $1 AND owner = $2 AND counter = $3 AND made = $5
                     RETURNING 1::bigint",
                ))
                .with(attempts)
                .with(made),
        };
        if is_made(line, &ask).await? {
            return Ok(Reservation::Granted);
        }
    }
    Err(Trouble::late())
}

/// More than ever count at once for one owner; whoever comes that late is told to come back.
const TRIES: u32 = 64;

async fn is_made(line: &Line, ask: &Ask) -> Result<bool, Trouble> {
    Ok(!line.change(ask).await?.is_empty())
}
