//! The place after a row, as a text that only this crate's stores read.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::core::token::{Expiry, TokenRecord};
use crate::core::verify::micros;
use crate::ports::store::{Cursor, Order, Query, StoreError};

/// Where a row stands: by the order's field, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) field: Field,
    pub(super) number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Number(i64),
    Text(String),
}

impl Place {
    pub(super) fn of(row: &TokenRecord, order: Order) -> Self {
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
        Self { field, number: row.number }
    }

    pub(super) fn cursor(&self, query: &Query) -> Cursor {
        let field = match &self.field {
            Field::Number(value) => format!("n{value}"),
            Field::Text(text) => format!("t{text}"),
        };
        let text = format!("{:?}:{}:{}:{field}", query.order, query.descending, self.number);
        Cursor(BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads a cursor that was made for this order and direction.
    pub(super) fn read(cursor: &Cursor, query: &Query) -> Result<Self, StoreError> {
        parse(cursor, query).ok_or(StoreError::InvalidCursor)
    }
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
    let same_form = match query.order {
        Order::Owner => matches!(field, Field::Text(_)),
        Order::Number => field == Field::Number(0),
        _ => matches!(field, Field::Number(_)),
    };
    // Numbers that no store gives would be trouble in one and an empty page in another.
    let number = number.parse().ok().filter(|number| i64::try_from(*number).is_ok())?;
    Some(Place { field, number }).filter(|_| same_form)
}
