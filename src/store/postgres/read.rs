//! Questions, each one statement and so one snapshot.

use std::sync::LazyLock;

use chrono::DateTime;
use tokio_postgres::Row;

use super::ask::Ask;
use super::line::Line;
use super::rows::Fields;
use super::trouble::Trouble;
use crate::core::id::{KeyId, OwnerId, RealmId, TokenId};
use crate::core::owner::OwnerState;
use crate::core::token::TokenRecord;
use crate::core::verify::micros;
use crate::ports::store::{
    Epoch, EventQuery, Filter, Found, Invalidations, Lookup, Order, Page, Query, Start,
    StoredEvent, Touched,
};
use crate::store::columns::{
    self, COLUMNS, Damaged, FOUND_WITH, Row as _, fixed, given, json, signed, state_number, word,
};
use crate::store::cursor::{Field, Place};

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
    columns::found(&mut Fields::of(row)).map(Some)
}

static FIND_BY_DIGEST: LazyLock<String> = LazyLock::new(|| {
    finding("t.digest = $2 AND t.scheme = $3 AND coalesce(t.digest_key, '') = $4")
});
static FIND_BY_ID: LazyLock<String> = LazyLock::new(|| finding("t.id = $2"));
static FIND_BY_NUMBER: LazyLock<String> = LazyLock::new(|| finding("t.number = $2"));

fn finding(condition: &str) -> String {
    format!(
        "SELECT {COLUMNS}, {FOUND_WITH}
         FROM keyfob.tokens t
         LEFT JOIN keyfob.owners o ON o.realm = t.realm AND o.owner = t.owner
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

pub(super) async fn query(line: &Line, realm: &RealmId, query: &Query) -> Result<Page, Trouble> {
    let after = match &query.start {
        Start::After(cursor) => {
            Some(Place::read(cursor, query).map_err(|_| Trouble::InvalidCursor)?)
        }
        Start::Beginning | Start::Offset(_) => None,
    };
    let field = match query.order {
        Order::Changed => "t.changed_at",
        Order::Created => "t.created_at",
        // "Never" comes after every instant.
        Order::Expires => "coalesce(t.expires_at, 9223372036854775807)",
        Order::Number => "0::bigint",
        Order::Owner => "t.owner",
    };
    let (direction, past) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
    let order = match query.order {
        Order::Number => format!("t.number {direction}"),
        _ => format!("{field} {direction}, t.number {direction}"),
    };
    let place = match &after {
        None => String::new(),
        Some(after) if is_by_number(query, after) => format!("AND t.number {past} $14"),
        Some(_) => format!("AND ({field}, t.number) {past} ($13, $14)"),
    };
    let total = if query.with_total {
        format!("SELECT count(*) FROM keyfob.tokens t WHERE {SELECTED}")
    } else {
        "SELECT NULL::bigint".into()
    };
    let offset = if let Start::Offset(rows) = query.start { rows } else { 0 };
    let limit = query.limit.clamp(1, Query::LARGEST_PAGE);
    // One more than asked for tells whether there is a next page. The total is joined, and not
    // another question, so that both are of one snapshot.
    let sql = format!(
        "SELECT n.total, {COLUMNS} FROM ({total}) AS n (total) LEFT JOIN (
             SELECT t.* FROM keyfob.tokens t WHERE {SELECTED} {place}
             ORDER BY {order} LIMIT {} OFFSET {offset}) t ON true
         ORDER BY {order}",
        limit.saturating_add(1)
    );
    let mut ask = selecting(Ask::once(sql).with(String::from(realm.as_str())), &query.filter);
    if let Some(after) = after {
        ask = match after.field {
            Field::Number(value) => ask.with(value),
            Field::Text(value) => ask.with(value),
        };
        ask = ask.with(signed(after.number)?);
    }
    page(&line.read(&ask).await?, query, limit)
}

/// Whether a place is one in the order of numbers alone. Of one owner's tokens every order by owner
/// is; compared with the owner besides, the index is read from the owner's first token on.
fn is_by_number(query: &Query, after: &Place) -> bool {
    match (query.order, &after.field, &query.filter.owner) {
        (Order::Number, ..) => true,
        (Order::Owner, Field::Text(place), Some(owner)) => place == owner.as_str(),
        _ => false,
    }
}

fn page(rows: &[Row], query: &Query, limit: u32) -> Result<Page, Trouble> {
    let mut total = None;
    let mut records: Vec<TokenRecord> = Vec::with_capacity(rows.len());
    for row in rows {
        let mut fields = Fields::of(row);
        total = fields.integer()?;
        // A list without rows still has its total.
        if !fields.next_is_null()? {
            records.push(columns::token(&mut fields)?);
        }
    }
    let more = records.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        records.pop();
    }
    let last = records.last().filter(|_| more);
    let next = last.map(|last| Place::of(last, query.order).cursor(query));
    let total = total.map(|total| given(Some(total), "total")).transpose()?;
    Ok(Page::new(records, next, total))
}

/// The condition for what a filter selects, with its values from `$1`, the realm, to `$12`.
pub(super) const SELECTED: &str = "t.realm = $1 \
     AND keyfob.selects(t, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Adds the values of [`SELECTED`] from `$2` on.
pub(super) fn selecting(ask: Ask, filter: &Filter) -> Ask {
    let texts = |owners: &[OwnerId]| -> Vec<String> {
        owners.iter().map(|owner| owner.as_str().into()).collect()
    };
    let except = Some(&filter.except_owners[..]).filter(|owners| !owners.is_empty());
    let states = filter.states.as_ref();
    let states = states.map(|states| states.iter().map(|&s| state_number(s)).collect::<Vec<_>>());
    ask.with(filter.owner.as_ref().map(|owner| String::from(owner.as_str())))
        .with(filter.owners.as_deref().map(texts))
        .with(except.map(texts))
        .with(filter.kind.as_ref().map(|kind| String::from(kind.as_str())))
        .with(filter.name.as_ref().map(|name| String::from(name.as_str())))
        .with(filter.parent.as_ref().map(|parent| parent.as_bytes().to_vec()))
        .with(states)
        .with(filter.outlives.map(micros))
        .with(filter.expired_at.map(micros))
        .with(filter.created_from.map(micros))
        .with(filter.created_before.map(micros))
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
        "SELECT n.epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                (SELECT min(o.epoch) FROM keyfob.changes o WHERE o.realm = $1), c.epoch, c.token, c.owner
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
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut fields = Fields::after(row, 3);
        let Some(epoch) = fields.integer()? else {
            continue;
        };
        let touched = match (fields.bytes()?, fields.text()?) {
            (Some(token), _) => Touched::Token(TokenId::from_bytes(fixed(token, "token")?)),
            (None, Some(owner)) => Touched::Owner(word(Some(owner), "owner")?),
            (None, None) => Touched::Everything,
        };
        changes.push((Epoch(given(Some(epoch), "epoch")?), touched));
    }
    Ok(Invalidations::new(now, Some(changes), clock))
}
