//! Sorting rows and cutting pages out of them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::core::token::{Expiry, TokenRecord};
use crate::core::verify::micros;
use crate::ports::store::{Cursor, Order, Page, Query, Start, StoreError};

/// Where a row stands: by the order's field, then by number.
type Place = (Field, u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Number(i64),
    Text(String),
}

pub(super) fn page(mut rows: Vec<&TokenRecord>, query: &Query) -> Result<Page, StoreError> {
    let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let limit = usize::try_from(query.limit.clamp(1, Query::LARGEST_PAGE)).unwrap_or(usize::MAX);
    rows.sort_by_cached_key(|row| place(row, query.order));
    if query.descending {
        rows.reverse();
    }
    let skipped = match &query.start {
        Start::After(cursor) => {
            let after = read(cursor, query)?;
            rows.partition_point(|row| {
                let here = place(row, query.order);
                if query.descending { here >= after } else { here <= after }
            })
        }
        Start::Beginning => 0,
        Start::Offset(rows) => usize::try_from(*rows).unwrap_or(usize::MAX),
    };
    let mut rest = rows.into_iter().skip(skipped);
    let records: Vec<TokenRecord> = rest.by_ref().take(limit).cloned().collect();
    let next = rest
        .next()
        .and_then(|_| records.last())
        .map(|last| write(&place(last, query.order), query));
    Ok(Page::new(records, next, query.with_total.then_some(total)))
}

fn place(row: &TokenRecord, order: Order) -> Place {
    let field = match order {
        Order::Changed => Field::Number(micros(row.changed_at)),
        Order::Created => Field::Number(micros(row.created_at)),
        Order::Expires => Field::Number(match row.validity.expires_at {
            Expiry::At(at) => micros(at),
            Expiry::Never => i64::MAX,
        }),
        Order::Number => Field::Number(0),
        Order::Owner => Field::Text(row.owner.as_str().into()),
    };
    (field, row.number)
}

fn write((field, number): &Place, query: &Query) -> Cursor {
    let field = match field {
        Field::Number(value) => format!("n{value}"),
        Field::Text(text) => format!("t{text}"),
    };
    let text = format!("{:?}:{}:{number}:{field}", query.order, query.descending);
    Cursor(BASE64_URL_SAFE_NO_PAD.encode(text))
}

fn read(cursor: &Cursor, query: &Query) -> Result<Place, StoreError> {
    parse(cursor, query).ok_or(StoreError::InvalidCursor)
}

fn parse(cursor: &Cursor, query: &Query) -> Option<Place> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(&cursor.0).ok()?).ok()?;
    let rest = text.strip_prefix(&format!("{:?}:{}:", query.order, query.descending))?;
    let (number, field) = rest.split_once(':')?;
    let field = match (field.strip_prefix('n'), field.strip_prefix('t')) {
        (Some(value), _) => Field::Number(value.parse().ok()?),
        (_, Some(text)) => Field::Text(text.into()),
        _ => return None,
    };
    let same_form = matches!(field, Field::Text(_)) == (query.order == Order::Owner);
    Some((field, number.parse().ok()?)).filter(|_| same_form)
}
