//! Questions, each one statement and so one snapshot.

use std::sync::LazyLock;

use chrono::DateTime;

use super::ask::Ask;
use super::line::Line;
use super::rows::Fields;
use super::trouble::Trouble;
use crate::core::id::{KeyId, OwnerId, RealmId};
use crate::core::owner::OwnerState;
use crate::ports::store::{Epoch, EventQuery, Found, Invalidations, Lookup, Query, StoredEvent};
use crate::store::columns::{self, COLUMNS, Damaged, FOUND_WITH, Row as _, given, json, signed};

pub(super) async fn find(
    line: &Line,
    realm: &RealmId,
    key: &Lookup,
) -> Result<Option<Found>, Trouble> {
    let realm = String::from(realm.as_str());
    let ask = match key {
        Lookup::Digest { scheme, key, digest } => Ask::often(&FIND_BY_DIGEST)
            .with(realm)
            .with(digest.as_bytes().to_vec())
            .with(String::from(scheme.code()))
            .with(key.as_ref().map_or("", KeyId::as_str).to_owned()),
        Lookup::Id(id) => Ask::often(&FIND_BY_ID).with(realm).with(id.as_bytes().to_vec()),
        // A number that does not fit was never given.
        Lookup::Number(number) => {
            Ask::often(&FIND_BY_NUMBER).with(realm).with(i64::try_from(*number).unwrap_or(i64::MIN))
        }
    };
    let rows = line.read(&ask).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut fields = Fields::of(row);
    let found = columns::found(&mut fields)?;
    Ok(Some(found.at(fields.integer()?.and_then(DateTime::from_timestamp_micros))))
}

static FIND_BY_DIGEST: LazyLock<String> = LazyLock::new(|| {
    finding("t.digest = $2 AND t.scheme = $3 AND coalesce(t.digest_key, '') = $4")
});
static FIND_BY_ID: LazyLock<String> = LazyLock::new(|| finding("t.id = $2"));
static FIND_BY_NUMBER: LazyLock<String> = LazyLock::new(|| finding("t.number = $2"));

/// The owner is looked up on the side: a plan that is made while there are few of them, and kept,
/// would otherwise read all owners of the realm each time.
fn finding(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS}, {FOUND_WITH}, keyfob.now_micros()
         FROM keyfob.records t
         LEFT JOIN LATERAL (
             SELECT * FROM keyfob.owners o WHERE o.realm = t.realm AND o.owner = t.owner LIMIT 1
         ) o ON true
         LEFT JOIN keyfob.realms r ON r.realm = t.realm
         WHERE t.realm = $1 AND {condition}"
    )
}

pub(super) async fn owner(
    line: &Line,
    realm: &RealmId,
    owner: &OwnerId,
) -> Result<OwnerState, Trouble> {
    let ask = Ask::often(
        "SELECT standing, generation, sequence, changed_at FROM keyfob.owners
         WHERE realm = $1 AND owner = $2",
    );
    let ask = ask.with(String::from(realm.as_str())).with(String::from(owner.as_str()));
    let rows = line.read(&ask).await?;
    rows.first().map_or(Ok(OwnerState::unheard_of()), |row| columns::owner(&mut Fields::of(row)))
}

pub(super) async fn events(
    line: &Line,
    realm: &RealmId,
    query: &EventQuery,
) -> Result<Vec<StoredEvent>, Trouble> {
    let mut conditions = String::from("realm = $1 AND sequence > $2");
    let limit = i64::from(query.limit.clamp(1, Query::LARGEST_PAGE));
    if query.token.is_some() {
        conditions.push_str(" AND token = $4");
    }
    match (&query.owner, &query.token) {
        (Some(_), Some(_)) => conditions.push_str(" AND owner = $5"),
        (Some(_), None) => conditions.push_str(" AND owner = $4"),
        (None, _) => {}
    }
    let mut ask = Ask::once(format!(
        "SELECT sequence, event FROM keyfob.events WHERE {conditions} ORDER BY sequence LIMIT $3"
    ))
    .with(String::from(realm.as_str()))
    .with(signed(query.after)?)
    .with(limit);
    if let Some(token) = &query.token {
        ask = ask.with(token.as_bytes().to_vec());
    }
    if let Some(owner) = &query.owner {
        ask = ask.with(String::from(owner.as_str()));
    }
    let rows = line.read(&ask).await?;
    rows.iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let sequence = given(fields.integer()?, "sequence")?;
            let event = json(fields.text()?, "event")?;
            Ok(StoredEvent { sequence, event })
        })
        .collect()
}

pub(super) async fn invalidations(
    line: &Line,
    realm: &RealmId,
    since: Epoch,
) -> Result<Invalidations, Trouble> {
    let ask = Ask::often(
        "SELECT n.epoch, keyfob.now_micros(),
                (SELECT min(o.epoch) FROM keyfob.changes o WHERE o.realm = $1),
                c.epoch, c.token, c.owner, c.at
         FROM (SELECT coalesce(max(r.epoch), 0) FROM keyfob.realms r WHERE r.realm = $1) AS n (epoch)
         LEFT JOIN keyfob.changes c ON c.realm = $1 AND c.epoch > $2
         ORDER BY c.epoch",
    );
    // An epoch that does not fit is one to come.
    let ask =
        ask.with(String::from(realm.as_str())).with(i64::try_from(since.0).unwrap_or(i64::MAX));
    let rows = line.read(&ask).await?;
    let mut fields = Fields::of(rows.first().ok_or(Damaged("epoch"))?);
    let now = Epoch(given(fields.integer()?, "epoch")?);
    let clock = fields.integer()?.and_then(DateTime::from_timestamp_micros);
    let oldest = match fields.integer()? {
        Some(first) => given::<u64>(Some(first), "epoch")?.saturating_sub(1),
        None => now.0,
    };
    if since.0 < oldest || since > now {
        return Ok(Invalidations::new(now, None, clock));
    }
    let (mut changes, mut first_at) = (Vec::with_capacity(rows.len()), None);
    for row in &rows {
        // Where there is none the join leaves one row, without a change.
        if Fields::after(row, 3).integer()?.is_some() {
            let mut fields = Fields::after(row, 3);
            changes.push(columns::change(&mut fields)?);
            first_at = first_at.or(fields.integer()?.and_then(DateTime::from_timestamp_micros));
        }
    }
    Ok(Invalidations::new(now, Some(changes), clock).first_at(first_at))
}
