//! SQLite, beside `rusqlite`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyfob::core::change::{Change, Patch};
use keyfob::core::event::EventKind;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::sample;
use keyfob::{Access, OwnerId, ReadWrite, State, TokenRecord, TokenStore, Tokens};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params, params_from_iter};
use tokio::runtime::Runtime;

use crate::crowd::{self, CROWD, at_once};
use crate::{Scale, by, compare, realm, request, time, tokens};

pub(crate) fn run(scale: Scale) {
    println!("\nSQLite");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path, realm()).unwrap();
    let runtime = Runtime::new().unwrap();
    let tokens = tokens(store.clone());
    let raw = open(&path);
    fill(&raw, &runtime, &tokens, scale);
    strict(&raw, &runtime, &tokens, scale);
    changes(&raw, &runtime, &store, scale);
    together(&runtime, &tokens, scale);
    crowd::quota(&runtime, Arc::new(store.clone()));
    crowd::pages(&runtime, &store, scale);
    crowd::revoke_all(&runtime, &tokens, scale);
    crowd::cycles(&runtime, &tokens, scale);
}

/// A connection with the settings of the store's own.
fn open(path: &std::path::Path) -> Connection {
    let raw = Connection::open(path).unwrap();
    raw.pragma_update(None, "synchronous", "FULL").unwrap();
    raw.pragma_update(None, "cache_size", -8192).unwrap();
    raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    raw.busy_timeout(Duration::from_secs(5)).unwrap();
    raw.set_prepared_statement_cache_capacity(64);
    raw
}

/// One issued token, and a million rows like it.
fn fill(raw: &Connection, runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let (_, row) = runtime.block_on(tokens.issue(request(CROWD), by())).unwrap();
    let columns: Vec<String> = raw
        .prepare("SELECT name FROM pragma_table_info('tokens') WHERE name <> 'number'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let values = columns.iter().map(|column| match column.as_str() {
        "id" => "randomblob(16)",
        "digest" => "randomblob(32)",
        "created_at" | "changed_at" => "created_at + n.value * 1000",
        "expires_at" => "created_at + 90 * 86400000000 + (n.value * 7919 % 1000003) * 1000",
        other => other,
    });
    let sql = format!(
        "INSERT INTO tokens ({}) SELECT {} FROM tokens t,
             (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {})
              SELECT value FROM n) n
         WHERE t.number = {}",
        columns.join(", "),
        values.collect::<Vec<_>>().join(", "),
        scale.crowd,
        row.number
    );
    raw.execute(&sql, []).unwrap();
    raw.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

/// The statement that a look-up runs, with every column read and nothing made of it.
fn strict(raw: &Connection, runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let mut texts = Vec::new();
    for n in 0..scale.reads {
        let owner = format!("owner-{}", n % 1000);
        let issued = runtime.block_on(tokens.issue(request(&owner), by())).unwrap();
        texts.push((issued.0.expose_secret().to_owned(), issued.1.id));
    }
    let mut find = raw.prepare(FIND).unwrap();
    let width = find.column_count();
    compare(
        "  strict verification, 1 caller",
        scale,
        scale.reads,
        0.7,
        |calls| {
            time(|| {
                for (_, id) in &texts[..calls] {
                    let mut rows = find.query(params![realm().as_str(), id.as_bytes()]).unwrap();
                    let row = rows.next().unwrap().unwrap();
                    for column in 0..width {
                        black_box(row.get_ref(column).unwrap());
                    }
                }
            })
        },
        |calls| {
            time(|| {
                runtime.block_on(async {
                    for (text, _) in &texts[..calls] {
                        let _ = tokens.authenticate_strict(text, &Access::any()).await.unwrap();
                    }
                });
            })
        },
    );
}

const FIND: &str =
    "SELECT t.*, o.standing, o.generation, o.sequence, o.changed_at, coalesce(r.epoch, 0)
     FROM tokens t
     LEFT JOIN owners o ON o.realm = t.realm AND o.owner = t.owner
     LEFT JOIN realms r ON r.realm = t.realm
     WHERE t.realm = ?1 AND t.id = ?2";

/// The place of the owner's sequence among the columns of [`FIND`].
const SEQUENCE: usize = 39;

/// The statements of an insert and of a revocation, each kind in one transaction.
fn changes(raw: &Connection, runtime: &Runtime, store: &SqliteStore, scale: Scale) {
    let owner = OwnerId::new("writer").unwrap();
    let next = AtomicU64::new(0);
    let fresh = || sample::record(&owner, next.fetch_add(1, Ordering::Relaxed));
    let first = fresh();
    runtime.block_on(store.insert(sample::insert(first.clone()))).unwrap();
    let template: Vec<Value> = raw
        .query_row("SELECT * FROM tokens WHERE id = ?1", [first.id.as_bytes()], |row| {
            let width = row.as_ref().column_count();
            (0..width).map(|column| row.get(column)).collect()
        })
        .unwrap();
    let event = serde_json::to_string(&sample::insert(first).event).unwrap();
    let raw_rows = std::cell::RefCell::new(Vec::new());
    let our_rows = std::cell::RefCell::new(Vec::new());
    compare(
        "  durable issue, 1 caller",
        scale,
        scale.writes,
        0.8,
        |calls| {
            let rows: Vec<TokenRecord> = (0..calls).map(|_| fresh()).collect();
            let took = time(|| rows.iter().for_each(|row| raw_insert(raw, row, &template, &event)));
            raw_rows.borrow_mut().extend(rows);
            took
        },
        |calls| {
            let rows: Vec<TokenRecord> = (0..calls).map(|_| fresh()).collect();
            let inserts: Vec<_> = rows.iter().cloned().map(sample::insert).collect();
            let took = time(|| {
                runtime.block_on(async {
                    for insert in inserts {
                        store.insert(insert).await.unwrap();
                    }
                });
            });
            our_rows.borrow_mut().extend(rows);
            took
        },
    );
    compare(
        "  durable revoke, 1 caller",
        scale,
        scale.writes / 2,
        0.8,
        |calls| {
            let rows: Vec<TokenRecord> =
                (0..calls).map(|_| raw_rows.borrow_mut().pop().unwrap()).collect();
            time(|| rows.iter().for_each(|row| raw_revoke(raw, row, &event)))
        },
        |calls| {
            let changes: Vec<Change> =
                (0..calls).map(|_| revocation(&our_rows.borrow_mut().pop().unwrap())).collect();
            time(|| {
                runtime.block_on(async {
                    for change in &changes {
                        store.apply(change).await.unwrap();
                    }
                });
            })
        },
    );
}

pub(crate) fn revocation(row: &TokenRecord) -> Change {
    let mut patch = Patch::default();
    patch.state = Some(State::Revoked(sample::ended(1)));
    Change::new(row.id, patch, sample::event(EventKind::TokenRevoked, row, sample::after(1)))
}

fn raw_insert(raw: &Connection, row: &TokenRecord, template: &[Value], event: &str) {
    let transaction =
        rusqlite::Transaction::new_unchecked(raw, TransactionBehavior::Immediate).unwrap();
    let (realm, owner) = (row.realm.as_str(), row.owner.as_str());
    let prepared = |sql| raw.prepare_cached(sql).unwrap();
    let mut known = prepared(
        "SELECT standing, generation, sequence, changed_at FROM owners WHERE realm = ?1 AND owner = ?2",
    );
    let sequence = 1 + known.query_row([realm, owner], |row| row.get::<_, i64>(2)).unwrap();
    let mut duplicate = prepared(
        "SELECT EXISTS (SELECT 1 FROM tokens WHERE realm = ?1 AND id = ?2)
             OR EXISTS (SELECT 1 FROM tokens WHERE realm = ?1 AND digest = ?3 AND scheme = ?4
                            AND coalesce(digest_key, '') = coalesce(?5, ''))",
    );
    let digest = row.digest.digest.as_bytes();
    let key = params![realm, row.id.as_bytes(), digest, "native", None::<&str>];
    black_box(duplicate.query_row(key, |row| row.get::<_, bool>(0)).unwrap());
    next_sequence(raw, row, sequence);
    let mut values = template.to_vec();
    values[0] = Value::Null;
    values[2] = Value::Blob(row.id.as_bytes().to_vec());
    values[19] = Value::Integer(sequence);
    values[22] = Value::Blob(digest.to_vec());
    let all = (1..=values.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO tokens VALUES ({all})");
    raw.prepare_cached(&insert).unwrap().execute(params_from_iter(values)).unwrap();
    advance(raw, row, event);
    transaction.commit().unwrap();
}

fn raw_revoke(raw: &Connection, row: &TokenRecord, event: &str) {
    let transaction =
        rusqlite::Transaction::new_unchecked(raw, TransactionBehavior::Immediate).unwrap();
    let mut find = raw.prepare_cached(FIND).unwrap();
    let key = params![row.realm.as_str(), row.id.as_bytes()];
    let sequence = 1 + find.query_row(key, |row| row.get::<_, i64>(SEQUENCE)).unwrap();
    next_sequence(raw, row, sequence);
    raw.prepare_cached(
        "UPDATE tokens SET state = 2, ended = ?3, ended_at = ?4, changed_at = ?4,
             changed_sequence = ?5, version = version + 1
         WHERE realm = ?1 AND id = ?2 AND version = 1 AND state <> 2",
    )
    .unwrap()
    .execute(params![
        row.realm.as_str(),
        row.id.as_bytes(),
        serde_json::to_string(&sample::ended(1)).unwrap(),
        row.created_at.timestamp_micros() + 1_000_000,
        sequence
    ])
    .unwrap();
    advance(raw, row, event);
    transaction.commit().unwrap();
}

fn next_sequence(raw: &Connection, row: &TokenRecord, sequence: i64) {
    raw.prepare_cached(
        "INSERT INTO owners VALUES (?1, ?2, 0, 1, ?3, NULL)
         ON CONFLICT DO UPDATE SET sequence = ?3",
    )
    .unwrap()
    .execute(params![row.realm.as_str(), row.owner.as_str(), sequence])
    .unwrap();
}

fn advance(raw: &Connection, row: &TokenRecord, event: &str) {
    let (realm, owner, id) = (row.realm.as_str(), row.owner.as_str(), row.id.as_bytes());
    let (epoch, sequence): (i64, i64) = raw
        .prepare_cached("SELECT epoch + 1, last_event + 1 FROM realms WHERE realm = ?1")
        .unwrap()
        .query_row([realm], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    raw.prepare_cached(
        "INSERT INTO realms VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET epoch = ?2, last_event = ?3",
    )
    .unwrap()
    .execute(params![realm, epoch, sequence])
    .unwrap();
    raw.prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3, ?4, ?5)")
        .unwrap()
        .execute(params![realm, epoch, id, None::<&str>, row.created_at.timestamp_micros()])
        .unwrap();
    if epoch % 100 == 0 {
        raw.prepare_cached("DELETE FROM changes WHERE realm = ?1 AND epoch <= ?2")
            .unwrap()
            .execute(params![realm, epoch - 10_000])
            .unwrap();
    }
    raw.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5)")
        .unwrap()
        .execute(params![realm, sequence, id, owner, event])
        .unwrap();
}

/// 64 callers at once, whose changes share commits, beside one who waits for each.
fn together(runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let rate = |callers, times| {
        let took = time(|| at_once(runtime, tokens, times, callers, issue));
        times as f64 / took.as_secs_f64()
    };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        alone.push(rate(1, scale.writes));
        together.push(rate(64, scale.writes * 16));
    }
    let (alone, together) = (crate::median(alone), crate::median(together));
    println!(
        "  issues a second: {alone:.0} one by one, {together:.0} with 64 callers, {:.1} x (asked: 4 x)",
        together / alone
    );
}

async fn issue(tokens: Tokens<ReadWrite>) {
    let issued = tokens.issue(request("writer"), by()).await;
    assert!(issued.is_ok());
}
