//! Where a row stands in an order.

use keyfob::core::token::{Expiry, TokenRecord};
use keyfob::ports::store::Order;

/// By the order's field, and by number among equals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(Field, u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Instant(Expiry),
    Bytes(Vec<u8>),
    None,
}

impl Place {
    pub(crate) fn of(row: &TokenRecord, order: Order) -> Self {
        let field = match order {
            Order::Changed => Field::Instant(Expiry::At(row.changed_at)),
            Order::Created => Field::Instant(Expiry::At(row.created_at)),
            Order::Expires => Field::Instant(row.validity.expires_at),
            Order::Number => Field::None,
            Order::Owner => Field::Bytes(row.owner.as_str().as_bytes().to_vec()),
            _ => unreachable!("no other order is drawn"),
        };
        Self(field, row.number)
    }
}
