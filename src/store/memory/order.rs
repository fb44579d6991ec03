//! Sorting rows and cutting pages out of them.

use crate::core::token::TokenRecord;
use crate::ports::store::{Page, Query, Start, StoreError};
use crate::store::cursor::Place;

pub(super) fn page(mut rows: Vec<&TokenRecord>, query: &Query) -> Result<Page, StoreError> {
    let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let limit = usize::try_from(query.limit.clamp(1, Query::LARGEST_PAGE)).unwrap_or(usize::MAX);
    rows.sort_by_cached_key(|row| Place::of(row, query.order));
    if query.descending {
        rows.reverse();
    }
    let skipped = match &query.start {
        Start::After(cursor) => {
            let after = Place::read(cursor, query)?;
            rows.partition_point(|row| {
                let here = Place::of(row, query.order);
                if query.descending { here >= after } else { here <= after }
            })
        }
        Start::Beginning => 0,
        Start::Offset(rows) => usize::try_from(*rows).unwrap_or(usize::MAX),
    };
    let mut rest = rows.into_iter().skip(skipped);
    let records: Vec<TokenRecord> = rest.by_ref().take(limit).cloned().collect();
    let last = rest.next().and_then(|_| records.last());
    let next = last.map(|last| Place::of(last, query.order).cursor(query));
    Ok(Page::new(records, next, query.with_total.then_some(total)))
}
