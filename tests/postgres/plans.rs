//! How much of the tables an answer reads, by the server's own count.

use keyfob::ports::store::{Filter, Order, Query, Start};
use keyfob::{OwnerId, TokenStore};
use libtest_mimic::Trial;

use super::cluster::ask;
use super::world::{World, count};
use super::{RUNTIME, SERVERS, facts};

pub(crate) fn trials() -> Vec<Trial> {
    facts(
        "plans",
        &[
            ("a_page_of_an_old_owner_reads_no_newer_tokens", pages),
            ("a_mass_revocation_leaves_the_indexes_of_other_columns_alone", mass_revocation),
        ],
    )
}

/// Tokens of `alice`, and then many more of `bob`.
fn crowded(url: &str, of_alice: u32, of_bob: u32) {
    let world = World::at(url, 3000);
    world.token("alice");
    world.token("bob");
    let fill = |owner: &str, many: u32| {
        // The states first: what both count from is the last of the tokens. Each takes of these
        // columns those that it has.
        for table in ["states", "tokens"] {
            let copies = format!(
                "INSERT INTO keyfob.{table} SELECT c.*
                 FROM keyfob.{table} t, (SELECT max(number) FROM keyfob.tokens) AS first (number),
                     generate_series(1, {many}) n, to_jsonb(t) AS was,
                     jsonb_populate_record(t, jsonb_build_object(
                         'number', first.number + n,
                         'id', uuid_send(gen_random_uuid()),
                         'digest', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
                         'created_at', (was->>'created_at')::bigint + n,
                         'changed_at', (was->>'changed_at')::bigint + n,
                         'expires_at', (was->>'expires_at')::bigint + n)) c
                 WHERE t.number = (SELECT min(number) FROM keyfob.tokens WHERE owner = '{owner}')"
            );
            ask(url, &copies).unwrap();
        }
    };
    fill("alice", of_alice);
    fill("bob", of_bob);
    ask(url, "VACUUM ANALYZE").unwrap();
}

/// How many entries of indexes were read so far. A connection tells what it read at the latest when
/// it ends.
fn read(database: &str, url: &str) -> i64 {
    let others = format!("SELECT FROM pg_stat_activity WHERE datname = '{database}'");
    while !SERVERS.cluster().admin(&others).is_empty() {
        std::thread::yield_now();
    }
    let sum = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'keyfob'";
    ask(url, sum).unwrap()[0][0].as_ref().unwrap().parse().unwrap()
}

fn pages() {
    let database = SERVERS.database();
    let url = SERVERS.cluster().url(&database);
    crowded(&url, 400, 20_000);
    let before = read(&database, &url);
    let world = World::at(&url, 3000);
    let mut pages = 0;
    for order in [Order::Number, Order::Created, Order::Changed, Order::Expires, Order::Owner] {
        for descending in [false, true] {
            let mut query = Query::new(Filter::of_owner(OwnerId::new("alice").unwrap()), 50);
            (query.order, query.descending) = (order, descending);
            for _ in 0..2 {
                let page = RUNTIME.block_on(world.store.query(&query)).unwrap();
                assert_eq!(page.records.len(), 50);
                query.start = Start::After(page.next.unwrap());
                pages += 1;
            }
        }
    }
    drop(world);
    let each = (read(&database, &url) - before) / pages;
    // 51 in the order's own index, and each of them by its number in one table or two.
    assert!(each < 200, "{each} entries a page");
}

fn mass_revocation() {
    let database = SERVERS.database();
    let url = SERVERS.cluster().url(&database);
    crowded(&url, 3000, 10);
    let size = "SELECT sum(pg_relation_size(indexrelid)) FROM pg_index
                WHERE indrelid = 'keyfob.tokens'::regclass";
    let before = ask(&url, size).unwrap();
    let world = World::at(&url, 3000);
    let owner = OwnerId::new("alice").unwrap();
    let host = keyfob::Actor::host();
    let revoked = world.tokens.revoke_all_of(&owner, None, keyfob::By::Host(&host), None);
    assert_eq!(RUNTIME.block_on(revoked).unwrap(), 3001);
    assert_eq!(ask(&url, size).unwrap(), before, "bytes of indexes");
    assert_eq!(count(&url, "SELECT FROM keyfob.records WHERE state = 2"), 3001);
}
