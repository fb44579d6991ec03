//! What both stores are asked in the same words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfob::ports::store::{Filter, Inserted, Order, Query, Start};
use keyfob::testing::sample;
use keyfob::{OwnerId, ReadWrite, TokenStore, Tokens};
use tokio::runtime::Runtime;

use crate::{Scale, by, median, report, request, time};

/// The owner of a million tokens.
pub(crate) const CROWD: &str = "crowd";

/// A page of 200 of a million tokens of one owner, first and middle, in every order.
pub(crate) fn pages(runtime: &Runtime, store: &dyn TokenStore, scale: Scale) {
    let orders = [Order::Number, Order::Created, Order::Changed, Order::Expires, Order::Owner];
    let mut slowest = (Duration::ZERO, String::new());
    for order in orders {
        for descending in [false, true] {
            let mut query = Query::new(Filter::of_owner(OwnerId::new(CROWD).unwrap()), 200);
            (query.order, query.descending) = (order, descending);
            let mut middle = query.clone();
            middle.start = Start::Offset(scale.crowd / 2);
            let there = runtime.block_on(store.query(&middle)).unwrap();
            middle.start = Start::After(there.next.unwrap());
            for (place, query) in [("first", &query), ("middle", &middle)] {
                let took = (0..11).map(|_| {
                    time(|| {
                        let page = runtime.block_on(store.query(query)).unwrap();
                        assert_eq!(page.records.len(), 200);
                    })
                });
                let which = format!("{order:?}, descending: {descending}, {place}");
                slowest = slowest.max((median(took.collect()), which));
            }
        }
    }
    let (took, which) = slowest;
    report("  page of 200, the slowest order and place", took, &format!("under 5 ms; {which}"));
}

/// Issues many tokens of one owner, and revokes them in one call.
pub(crate) fn revoke_all(runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let owner = OwnerId::new("doomed").unwrap();
    at_once(runtime, tokens, scale.doomed as usize, 64, async |tokens| {
        let issued = tokens.issue(request("doomed"), by()).await;
        assert!(issued.is_ok());
    });
    let mut revoked = 0;
    let took = time(|| {
        let revoking = tokens.revoke_all_of(&owner, None, by(), None);
        revoked = runtime.block_on(revoking).unwrap();
    });
    assert_eq!(revoked, u64::from(scale.doomed));
    report(&format!("  revoking an owner's {} tokens", scale.doomed), took, "under 2 s");
}

/// 32 issue at once where 10 may.
pub(crate) fn quota(runtime: &Runtime, store: Arc<dyn TokenStore>) {
    let owner = OwnerId::new("thrifty").unwrap();
    let inserts: Vec<_> = (0..32)
        .map(|n| {
            let mut insert = sample::insert(sample::record(&owner, 900_000_000 + n));
            insert.quota = Some(10);
            let store = Arc::clone(&store);
            runtime.spawn(async move { store.insert(insert).await.unwrap() })
        })
        .collect();
    let stored = inserts
        .into_iter()
        .map(|insert| runtime.block_on(insert).unwrap())
        .filter(|inserted| matches!(inserted, Inserted::Stored(..)))
        .count();
    println!("  32 concurrent issues against a quota of 10 left {stored}");
    assert_eq!(stored, 10);
}

/// Issues and revokes, again and again, and compares the last times with the first.
pub(crate) fn cycles(runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let sample = (scale.cycles / 10).clamp(100, 10_000);
    let measure = || {
        let mut took: Vec<Duration> = Vec::with_capacity(sample);
        runtime.block_on(async {
            for _ in 0..sample {
                let begun = Instant::now();
                cycle(tokens.clone()).await;
                took.push(begun.elapsed());
            }
        });
        took.sort();
        took[sample * 99 / 100]
    };
    let fresh = measure();
    let between = scale.cycles.saturating_sub(2 * sample);
    let all = time(|| at_once(runtime, tokens, between, 64, cycle));
    let worn = measure();
    println!(
        "  {} issue/revoke cycles ({:.0} a second, 64 at once): p99 {:.2} ms fresh, {:.2} ms after, {:.2} x (asked: 2 x)",
        scale.cycles,
        between as f64 / all.as_secs_f64(),
        fresh.as_secs_f64() * 1e3,
        worn.as_secs_f64() * 1e3,
        worn.as_secs_f64() / fresh.as_secs_f64(),
    );
}

async fn cycle(tokens: Tokens<ReadWrite>) {
    let (_secret, row) = tokens.issue(request("cyclist"), by()).await.unwrap();
    tokens.revoke(row.id, by(), None).await.unwrap();
}

/// Does something so many times, so many of them at once.
pub(crate) fn at_once<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    tokens: &Tokens<ReadWrite>,
    times: usize,
    callers: usize,
    work: impl Fn(Tokens<ReadWrite>) -> F + Clone + Send + 'static,
) {
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (tokens, work) = (tokens.clone(), work.clone());
            let times = times / callers + usize::from(caller < times % callers);
            runtime.spawn(async move {
                for _ in 0..times {
                    work(tokens.clone()).await;
                }
            })
        })
        .collect();
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }
}
