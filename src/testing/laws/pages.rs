//! Orders and pages.

use super::harness::{Harness, Subject, race, to_name};
use crate::core::id::TokenId;
use crate::core::token::{Expiry, TokenRecord};
use crate::ports::store::{Cursor, Filter, Order, Page, Query, Start, StoreError};
use crate::testing::sample;

const ORDERS: [Order; 5] =
    [Order::Changed, Order::Created, Order::Expires, Order::Number, Order::Owner];

/// Rows whose order by each field differs from that of insertion, with ties.
fn shuffled(store: &Subject<'_>) -> Vec<TokenRecord> {
    let owners = ["b", "B", "a", "ä", "b", "aa", "ab", "a", "z", "Z", "a b"];
    let insert = |(n, owner): (usize, &&str)| {
        let mut record = sample::record(&sample::owner(1), n as u64);
        record.owner = owner.parse().expect("an owner id");
        record.created_at = sample::after([5, 3, 5, 1, 9, 3, 3, 7, 1, 2, 5][n]);
        record.changed_at = sample::after([4, 9, 6, 9, 9, 4, 7, 8, 2, 2, 6][n] * 10);
        let ends = [9, 0, 3, 3, 0, 8, 9, 7, 3, 5, 0][n] * 100;
        record.validity.expires_at =
            if ends == 0 { Expiry::Never } else { Expiry::At(sample::after(ends)) };
        store.add(record)
    };
    owners.iter().enumerate().map(insert).collect()
}

fn query(order: Order, descending: bool, limit: u32) -> Query {
    Query { order, descending, ..Query::new(Filter::default(), limit) }
}

fn ids<'r>(rows: impl IntoIterator<Item = &'r TokenRecord>) -> Vec<TokenId> {
    rows.into_iter().map(|row| row.id).collect()
}

/// Ascending and descending, by this key and then by number.
fn is_ordered<K: Ord>(harness: &Harness<'_>, order: Order, key: impl Fn(&TokenRecord) -> K) {
    let store = harness.store();
    let mut rows = shuffled(&store);
    rows.sort_by_key(|row| (key(row), row.number));
    assert_eq!(ids(&store.query(&query(order, false, 100)).records), ids(&rows));
    rows.reverse();
    assert_eq!(ids(&store.query(&query(order, true, 100)).records), ids(&rows));
}

pub(super) fn tokens_are_ordered_by_their_last_change(harness: &Harness<'_>) {
    is_ordered(harness, Order::Changed, |row| row.changed_at);
}

pub(super) fn tokens_are_ordered_by_creation(harness: &Harness<'_>) {
    is_ordered(harness, Order::Created, |row| row.created_at);
}

pub(super) fn tokens_are_ordered_by_expiry_with_endless_ones_last(harness: &Harness<'_>) {
    is_ordered(harness, Order::Expires, |row| {
        let at = row.validity.expires_at.at();
        (at.is_none(), at)
    });
}

pub(super) fn tokens_are_ordered_by_number(harness: &Harness<'_>) {
    is_ordered(harness, Order::Number, |_| ());
}

pub(super) fn tokens_are_ordered_by_the_bytes_of_their_owners(harness: &Harness<'_>) {
    is_ordered(harness, Order::Owner, |row| row.owner.as_str().as_bytes().to_vec());
}

/// Reads page after page; `between` happens after each.
fn read(store: &Subject<'_>, query: &Query, mut between: impl FnMut()) -> Vec<TokenId> {
    let (mut query, mut read) = (query.clone(), Vec::new());
    loop {
        let Page { records, next, .. } = store.query(&query);
        assert!(records.len() <= query.limit as usize);
        assert!(
            next.is_none() || records.len() == query.limit as usize,
            "a short page is the last"
        );
        read.extend(ids(&records));
        assert!(read.len() < 1000, "the pages have no end");
        let Some(next) = next else {
            return read;
        };
        query.start = Start::After(next);
        between();
    }
}

pub(super) fn pages_have_neither_gaps_nor_repeats(harness: &Harness<'_>) {
    let store = harness.store();
    let count = shuffled(&store).len();
    for order in ORDERS {
        for descending in [false, true] {
            let whole = ids(&store.query(&query(order, descending, 100)).records);
            assert_eq!(whole.len(), count);
            for limit in [1, 2, 3, 5, 11] {
                let pages = read(&store, &query(order, descending, limit), || {});
                assert_eq!(pages, whole, "{order:?}, descending: {descending}, by {limit}");
            }
        }
    }
}

pub(super) fn only_the_last_page_has_no_next_one(harness: &Harness<'_>) {
    let store = harness.store();
    assert_eq!(store.query(&Query::new(Filter::default(), 3)).next, None);
    store.add_many(&sample::owner(1), 0..6);
    let mut query = Query::new(Filter::default(), 3);
    query.start = Start::After(store.query(&query).next.expect("three more"));
    assert_eq!(store.query(&query).next, None, "the rows end with this page");
    assert_eq!(store.query(&Query::new(Filter::default(), 6)).next, None);
}

pub(super) fn pages_keep_their_place_while_tokens_come_and_go(harness: &Harness<'_>) {
    let store = harness.store();
    let mut n = 100;
    for order in ORDERS {
        for descending in [false, true] {
            let owners = Filter::default().unrevoked();
            let stay = store.add_many(&sample::owner(1), n..n + 5);
            let mut go = store.add_many(&sample::owner(2), n..n + 5);
            n += 10;
            let query = Query { filter: owners, ..query(order, descending, 2) };
            let seen = read(&store, &query, || {
                // One of those that were read or are to come, and one before and one after it.
                if let Some(row) = go.pop() {
                    store.revoke(&row);
                    store.add(sample::record(&sample::owner(0), n));
                    store.add(sample::record(&sample::owner(3), n));
                    n += 1;
                }
            });
            for row in &stay {
                let times = seen.iter().filter(|id| **id == row.id).count();
                assert_eq!(times, 1, "{order:?}, descending: {descending}");
            }
            store.revoke_all(&super::harness::to_none(Filter::default()));
        }
    }
}

pub(super) fn an_offset_skips_rows(harness: &Harness<'_>) {
    let store = harness.store();
    shuffled(&store);
    for descending in [false, true] {
        let whole = ids(&store.query(&query(Order::Expires, descending, 100)).records);
        for (offset, limit) in [(0, 3), (2, 3), (9, 3), (11, 3), (10_000, 3)] {
            let start = Start::Offset(offset);
            let page = store.query(&Query { start, ..query(Order::Expires, descending, limit) });
            let expected: Vec<_> = whole.iter().skip(offset as usize).take(3).copied().collect();
            assert_eq!(ids(&page.records), expected);
            assert_eq!(page.next.is_some(), offset + limit < 11);
        }
    }
    let page = store.query(&Query { start: Start::Offset(3), ..query(Order::Owner, false, 3) });
    let rest = Start::After(page.next.expect("more rows"));
    let rest = store.query(&Query { start: rest, ..query(Order::Owner, false, 100) });
    let whole = ids(&store.query(&query(Order::Owner, false, 100)).records);
    assert_eq!(ids(&rest.records), whole[6..], "one may go on from an offset by cursor");
}

pub(super) fn a_total_counts_all_that_is_selected(harness: &Harness<'_>) {
    let store = harness.store();
    let rows = shuffled(&store);
    let of_one = Filter::of_owner(rows[0].owner.clone());
    for (filter, total) in [(Filter::default(), 11), (of_one, 2)] {
        let mut query = Query { with_total: true, ..Query::new(filter, 1) };
        let page = store.query(&query);
        assert_eq!(page.total, Some(total));
        for start in
            [Start::Offset(1), Start::Offset(99), Start::After(page.next.expect("more rows"))]
        {
            query.start = start;
            assert_eq!(store.query(&query).total, Some(total), "{:?}", query.start);
        }
        query.with_total = false;
        assert_eq!(store.query(&query).total, None);
    }
}

pub(super) fn a_total_and_its_page_are_of_one_snapshot(harness: &Harness<'_>) {
    let store = harness.store();
    let unrevoked = Filter::default().unrevoked();
    let pages = race(|n| {
        if n % 2 == 0 {
            let row = store.add(sample::record(&sample::owner(1), n));
            if n % 8 == 0 {
                store.revoke(&row);
            }
            return Vec::new();
        }
        let query = Query { with_total: true, ..Query::new(unrevoked.clone(), 1000) };
        (0..4).map(|_| store.query(&query)).collect()
    });
    for page in pages.into_iter().flatten() {
        assert_eq!(page.total, Some(page.records.len() as u64));
    }
}

pub(super) fn a_page_has_one_to_a_thousand_rows(harness: &Harness<'_>) {
    let store = harness.store();
    let template = sample::record(&sample::owner(1), 0);
    for n in 0..=Query::LARGEST_PAGE {
        let mut record = template.clone();
        let mut bytes = [1; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        record.owner = sample::owner(n % 50);
        record.name = format!("token {n}").parse().expect("a name");
        record.id = TokenId::from_bytes(bytes[..16].try_into().expect("16 bytes"));
        record.digest.digest = crate::core::digest::Digest::from_bytes(bytes);
        store.add(record);
    }
    let smallest = store.query(&Query::new(Filter::default(), 0));
    assert_eq!(smallest.records.len(), 1);
    assert!(smallest.next.is_some());
    let largest = store.query(&Query::new(Filter::default(), u32::MAX));
    assert_eq!(largest.records.len(), Query::LARGEST_PAGE as usize);
    assert!(largest.next.is_some());
}

pub(super) fn a_cursor_of_another_list_is_refused(harness: &Harness<'_>) {
    let store = harness.store();
    shuffled(&store);
    let refused = |cursor: Cursor, order, descending| {
        let start = Start::After(cursor.clone());
        let answer = store.try_query(&Query { start, ..query(order, descending, 3) });
        assert!(matches!(answer, Err(StoreError::InvalidCursor)), "{cursor:?}: {answer:?}");
    };
    let forged =
        ["", "0", "1", "é", "AAAA", "bm8gY3Vyc29y", "' OR 1=1 --", "\0", &"A".repeat(100_000)];
    for order in ORDERS {
        for forged in forged {
            refused(Cursor(forged.into()), order, false);
        }
        for descending in [false, true] {
            let cursor = || store.query(&query(order, descending, 3)).next.expect("more rows");
            refused(cursor(), order, !descending);
            for other in ORDERS.into_iter().filter(|other| *other != order) {
                refused(cursor(), other, descending);
            }
        }
    }
}

pub(super) fn a_row_that_changes_keeps_its_place_in_other_orders(harness: &Harness<'_>) {
    let store = harness.store();
    shuffled(&store);
    let mut now = 10_000;
    for order in ORDERS.into_iter().filter(|order| *order != Order::Changed) {
        let before = ids(&store.query(&query(order, false, 100)).records);
        for id in before.iter().rev() {
            now += 1;
            let mut change = to_name(&store.row(*id), "renamed");
            change.event.at = sample::after(now);
            store.change(&change);
        }
        assert_eq!(ids(&store.query(&query(order, false, 100)).records), before, "{order:?}");
    }
}
