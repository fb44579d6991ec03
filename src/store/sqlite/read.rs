//! Questions. The caller asks each that is of several statements in one snapshot.

use chrono::DateTime;
use rusqlite::{Connection, params, params_from_iter};

use super::rows::{Fields, Trouble};
use crate::core::id::{KeyId, OwnerId, RealmId};
use crate::core::owner::OwnerState;
use crate::core::token::TokenRecord;
use crate::core::verify::micros;
use crate::ports::store::{
    Epoch, EventQuery, Filter, Found, Invalidations, Lookup, Order, Page, Query, Start, StoredEvent,
};
use crate::store::columns::{
    self, COLUMNS, Damaged, Row as _, Value, given, json, signed, state_number, written,
};
use crate::store::cursor::{Field, Place};

pub(super) fn find(
    connection: &Connection,
    realm: &RealmId,
    key: &Lookup,
) -> Result<Option<Found>, Trouble> {
    let mut statement = connection.prepare_cached(match key {
        Lookup::Digest { .. } => {
            "SELECT * FROM found WHERE realm = ?1 AND digest = ?2 AND scheme = ?3
                 AND coalesce(digest_key, '') = ?4"
        }
        Lookup::Id(_) => "SELECT * FROM found WHERE realm = ?1 AND id = ?2",
        Lookup::Number(_) => "SELECT * FROM found WHERE realm = ?1 AND number = ?2",
    })?;
    let realm = realm.as_str();
    let mut found = match key {
        Lookup::Digest { scheme, key, digest } => {
            let key = key.as_ref().map_or("", KeyId::as_str);
            statement.query(params![realm, digest.as_bytes(), scheme.code(), key])?
        }
        Lookup::Id(id) => statement.query(params![realm, id.as_bytes()])?,
        // A number that does not fit was never given.
        Lookup::Number(number) => {
            statement.query(params![realm, i64::try_from(*number).unwrap_or(i64::MIN)])?
        }
    };
    let Some(row) = found.next()? else {
        return Ok(None);
    };
    columns::found(&mut Fields::of(row)).map(Some)
}

pub(super) fn owner(
    connection: &Connection,
    realm: &RealmId,
    owner: &OwnerId,
) -> Result<OwnerState, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT standing, generation, sequence, changed_at FROM owners WHERE realm = ?1 AND owner = ?2",
    )?;
    let mut found = statement.query(params![realm.as_str(), owner.as_str()])?;
    match found.next()? {
        Some(row) => columns::owner(&mut Fields::of(row)),
        None => Ok(OwnerState::unheard_of()),
    }
}

pub(super) fn epoch(connection: &Connection, realm: &RealmId) -> Result<Epoch, Trouble> {
    let mut statement =
        connection.prepare_cached("SELECT coalesce(max(epoch), 0) FROM realms WHERE realm = ?1")?;
    let epoch: i64 = statement.query_row([realm.as_str()], |row| row.get(0))?;
    Ok(Epoch(given(Some(epoch), "epoch")?))
}

pub(super) fn query(
    connection: &Connection,
    realm: &RealmId,
    query: &Query,
) -> Result<Page, Trouble> {
    let (condition, values) = where_clause(realm, &query.filter)?;
    let total = if query.with_total {
        let sql = format!("SELECT count(*) FROM tokens t WHERE {condition}");
        let mut statement = connection.prepare_cached(&sql)?;
        let total = statement.query_row(params_from_iter(&values), |row| row.get(0))?;
        Some(given(total, "total")?)
    } else {
        None
    };
    // One more than asked for tells whether there is a next page.
    let limit = usize::try_from(query.limit.clamp(1, Query::LARGEST_PAGE)).unwrap_or(usize::MAX);
    let wanted = limit.saturating_add(1);
    let mut records: Vec<TokenRecord> = Vec::new();
    for part in parts(query)? {
        let rest = wanted.saturating_sub(records.len());
        if rest == 0 {
            break;
        }
        let mut values = values.clone();
        let mut condition = condition.clone();
        for (sql, value) in part.behind {
            values.push(value);
            condition = format!("{condition} AND {sql} ?{}", values.len());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens t WHERE {condition} ORDER BY {} LIMIT {rest} OFFSET {}",
            part.order, part.offset
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            records.push(columns::token(&mut Fields::of(row))?);
        }
    }
    let more = records.len() > limit;
    if more {
        records.pop();
    }
    let last = records.last().filter(|_| more);
    let next = last.map(|last| Place::of(last, query.order).cursor(query));
    Ok(Page::new(records, next, total))
}

/// Some rows of a list, which SQLite finds in one stretch of one index.
struct Part {
    /// What they are behind.
    behind: Vec<(String, Value)>,
    order: String,
    offset: u32,
}

/// The list from where the page begins: behind a place, first the rows that tie with it. SQLite
/// would read a condition on both at once from the beginning of the ties, and there may be a
/// million tokens of one owner, or that never expire.
fn parts(query: &Query) -> Result<Vec<Part>, Trouble> {
    let (direction, past) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
    let field = field(query.order);
    let by_number = format!("t.number {direction}");
    let by_field = field.map(|field| format!("{field} {direction}, {by_number}"));
    let all = |offset| Part {
        behind: Vec::new(),
        order: by_field.clone().unwrap_or_else(|| by_number.clone()),
        offset,
    };
    let cursor = match &query.start {
        Start::Beginning => return Ok(vec![all(0)]),
        Start::Offset(rows) => return Ok(vec![all(*rows)]),
        Start::After(cursor) => cursor,
    };
    let after = Place::read(cursor, query).map_err(|_| Trouble::InvalidCursor)?;
    let number = (format!("t.number {past}"), signed(after.number)?.into());
    let Some(field) = field else {
        return Ok(vec![Part { behind: vec![number], ..all(0) }]);
    };
    let value = match after.field {
        Field::Number(value) => Value::from(value),
        Field::Text(value) => Value::from(value),
    };
    let ties = vec![(format!("{field} ="), value.clone()), number];
    Ok(vec![
        Part { behind: ties, order: by_number.clone(), offset: 0 },
        Part { behind: vec![(format!("{field} {past}"), value)], ..all(0) },
    ])
}

pub(super) fn events(
    connection: &Connection,
    realm: &RealmId,
    query: &EventQuery,
) -> Result<Vec<StoredEvent>, Trouble> {
    let mut values: Vec<Value> = vec![realm.as_str().into(), signed(query.after)?.into()];
    let mut condition = String::from("realm = ?1 AND sequence > ?2");
    if let Some(token) = &query.token {
        values.push(token.as_bytes()[..].into());
        condition = format!("{condition} AND token = ?{}", values.len());
    }
    if let Some(owner) = &query.owner {
        values.push(owner.as_str().into());
        condition = format!("{condition} AND owner = ?{}", values.len());
    }
    let limit = query.limit.clamp(1, Query::LARGEST_PAGE);
    let sql = format!(
        "SELECT sequence, event FROM events WHERE {condition} ORDER BY sequence LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement
        .query_and_then(params_from_iter(values), |row| {
            let mut fields = Fields::of(row);
            let sequence = given(fields.integer()?, "sequence")?;
            Ok(StoredEvent { sequence, event: json(fields.text()?, "event")? })
        })?
        .collect()
}

pub(super) fn invalidations(
    connection: &Connection,
    realm: &RealmId,
    since: Epoch,
) -> Result<Invalidations, Trouble> {
    // Both statements see one snapshot: the caller's transaction begins it.
    let now = epoch(connection, realm)?;
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(epoch) FROM changes WHERE realm = ?1")?
        .query_row([realm.as_str()], |row| row.get(0))?;
    let oldest = match oldest {
        Some(first) => given::<u64>(Some(first), "epoch")?.saturating_sub(1),
        None => now.0,
    };
    if since.0 < oldest || since > now {
        return Ok(Invalidations::new(now, None, None));
    }
    let mut statement = connection.prepare_cached(
        "SELECT epoch, token, owner, at FROM changes WHERE realm = ?1 AND epoch > ?2 ORDER BY epoch",
    )?;
    let mut rows = statement.query(params![realm.as_str(), signed(since.0)?])?;
    let (mut changes, mut first_at) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let mut fields = Fields::of(row);
        changes.push(columns::change(&mut fields)?);
        first_at = first_at.or(fields.integer()?.and_then(DateTime::from_timestamp_micros));
    }
    Ok(Invalidations::new(now, Some(changes), None).first_at(first_at))
}

/// A filter as a condition on `t`, with its values from `?1` on.
pub(super) fn where_clause(
    realm: &RealmId,
    filter: &Filter,
) -> Result<(String, Vec<Value>), Damaged> {
    let mut values = vec![Value::from(realm.as_str())];
    let mut condition = String::from("t.realm = ?1");
    let mut add = |sql: &str, value: Value| {
        values.push(value);
        condition = format!("{condition} AND {}", sql.replace('?', &format!("?{}", values.len())));
    };
    let list = |owners: &[OwnerId]| written(&owners).map(Value::from);
    if let Some(owner) = &filter.owner {
        add("t.owner = ?", owner.as_str().into());
    }
    if let Some(owners) = &filter.owners {
        add("t.owner IN (SELECT value FROM json_each(?))", list(owners)?);
    }
    if !filter.except_owners.is_empty() {
        add("t.owner NOT IN (SELECT value FROM json_each(?))", list(&filter.except_owners)?);
    }
    if let Some(kind) = &filter.kind {
        add("t.kind = ?", kind.as_str().into());
    }
    if let Some(name) = &filter.name {
        add("t.name = ?", name.as_str().into());
    }
    if let Some(parent) = &filter.parent {
        add("t.parent = ?", parent.as_bytes()[..].into());
    }
    if let Some(states) = &filter.states {
        let numbers: Vec<i64> = states.iter().map(|&state| state_number(state)).collect();
        add("t.state IN (SELECT value FROM json_each(?))", written(&numbers)?.into());
    }
    if let Some(at) = filter.outlives {
        add("(t.expires_at IS NULL OR t.expires_at >= ?)", micros(at).into());
    }
    if let Some(at) = filter.expired_at {
        add("t.expires_at <= ?", micros(at).into());
    }
    if let Some(at) = filter.created_from {
        add("t.created_at >= ?", micros(at).into());
    }
    if let Some(at) = filter.created_before {
        add("t.created_at < ?", micros(at).into());
    }
    Ok((condition, values))
}

/// What comes before the number in an order.
const fn field(order: Order) -> Option<&'static str> {
    match order {
        Order::Changed => Some("t.changed_at"),
        Order::Created => Some("t.created_at"),
        // "Never" comes after every instant.
        Order::Expires => Some("coalesce(t.expires_at, 9223372036854775807)"),
        Order::Number => None,
        Order::Owner => Some("t.owner"),
    }
}
