//! Lists of tokens, each a stretch of one index.

use tokio_postgres::Row;

use super::ask::Ask;
use super::line::Line;
use super::rows::Fields;
use super::trouble::Trouble;
use crate::core::id::{OwnerId, RealmId};
use crate::core::token::TokenRecord;
use crate::core::verify::micros;
use crate::ports::store::{Filter, Order, Page, Query, Start};
use crate::store::columns::{self, COLUMNS, Row as _, given, signed, state_number};
use crate::store::cursor::{Field, Place};

pub(super) async fn query(line: &Line, realm: &RealmId, query: &Query) -> Result<Page, Trouble> {
    let after = match &query.start {
        Start::After(cursor) => {
            Some(Place::read(cursor, query).map_err(|_| Trouble::InvalidCursor)?)
        }
        Start::Beginning | Start::Offset(_) => None,
    };
    let stretch = stretch(query, after.as_ref());
    let total = if query.with_total {
        let of_owner = query.filter.owner.as_ref().map_or("", |_| "AND t.owner = $2");
        format!("SELECT count(*) FROM keyfob.records t WHERE {SELECTED} {of_owner}")
    } else {
        "SELECT NULL::bigint".into()
    };
    let offset = if let Start::Offset(rows) = query.start { rows } else { 0 };
    let limit = query.limit.clamp(1, Query::LARGEST_PAGE);
    // One more than asked for tells whether there is a next page. The total is joined, and not
    // another question, so that both are of one snapshot.
    let sql = format!(
        "SELECT n.total, {COLUMNS} FROM ({total}) AS n (total) LEFT JOIN (
             SELECT t.* FROM {from} WHERE {SELECTED} {within}
             ORDER BY {order} LIMIT {rows} OFFSET {offset}
         ) t ON true
         ORDER BY {order_of_rows}",
        from = stretch.from,
        within = stretch.within,
        order = stretch.order,
        order_of_rows = stretch.order.replace("s.", "t."),
        rows = limit.saturating_add(1),
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

/// What a filter selects but for its owner `$2`: see [`stretch`].
const SELECTED: &str = "t.realm = $1 \
     AND keyfob.selects(t, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// A stretch of an index, and what is read along it.
struct Stretch {
    from: &'static str,
    within: String,
    order: String,
}

/// Where a list lies, behind a place whose field is `$13` and number `$14`.
///
/// An owner's list is ordered by owner first, and the owner is between two bounds instead of equal
/// to one: the planner would see that every order is then one of the whole realm as well, and read
/// an index of the realm in the hope of meeting the owner soon.
fn stretch(query: &Query, after: Option<&Place>) -> Stretch {
    let owner = query.filter.owner.as_ref();
    let (from, row) = match (query.order, owner) {
        // `+ 0` is as in the view.
        (Order::Changed, Some(_)) => (
            "keyfob.states s JOIN keyfob.records t ON t.number = s.number + 0 AND s.realm = $1",
            "s",
        ),
        _ => ("keyfob.records t", "t"),
    };
    let field = match query.order {
        Order::Changed => Some(format!("{row}.changed_at")),
        Order::Created => Some("t.created_at".into()),
        // "Never" comes after every instant.
        Order::Expires => Some("coalesce(t.expires_at, 9223372036854775807)".into()),
        Order::Number => None,
        Order::Owner => Some("t.owner".into()).filter(|_| !is_of(owner, after)),
    };
    let keys: Vec<(String, &str)> = [
        owner.map(|_| (format!("{row}.owner"), "$2")),
        field.map(|field| (field, "$13")),
        Some((format!("{row}.number"), "$14")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (direction, past, bound) =
        if query.descending { ("DESC", "<", ">=") } else { ("ASC", ">", "<=") };
    let order: Vec<_> = keys.iter().map(|(column, _)| format!("{column} {direction}")).collect();
    let mut within = Vec::new();
    if owner.is_some() {
        within.push(format!("{row}.owner {bound} $2"));
    }
    if after.is_some() {
        let (columns, values): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        within.push(format!("({}) {past} ({})", columns.join(", "), values.join(", ")));
    } else if owner.is_some() {
        within.push(format!("{row}.owner {past}= $2"));
    }
    let within = within.into_iter().map(|condition| format!(" AND {condition}")).collect();
    Stretch { from, within, order: order.join(", ") }
}

/// Whether a place in the order of owners is among the tokens of this one, which are in the order
/// of their numbers.
fn is_of(owner: Option<&OwnerId>, after: Option<&Place>) -> bool {
    let place = after.map(|after| &after.field);
    owner.is_some_and(|owner| match place {
        Some(Field::Text(place)) => place == owner.as_str(),
        Some(Field::Number(_)) => false,
        None => true,
    })
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

/// Adds the values of a filter, in the order of the arguments of `keyfob.selects`.
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
