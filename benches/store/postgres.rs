//! PostgreSQL, beside `tokio-postgres`, through a Unix socket.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyfob::core::change::Change;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::testing::sample;
use keyfob::{Access, OwnerId, ReadWrite, TokenRecord, TokenStore, Tokens};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

use crate::cluster::{Cluster, Programs};
use crate::crowd::{self, CROWD};
use crate::sqlite::revocation;
use crate::{Scale, by, compare, realm, request, time, tokens};

pub(crate) fn run(scale: Scale) {
    println!("\nPostgreSQL");
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(reason) => return println!("  not measured: {reason}"),
    };
    // As it comes, but for the log of what is done: every commit waits for the disk.
    let cluster = Cluster::start_in(
        std::env::temp_dir(),
        &programs,
        "shared_buffers = '1GB'\nmaintenance_work_mem = '512MB'\nmax_wal_size = '4GB'",
    );
    let url = cluster.url(&cluster.database());
    let runtime = Runtime::new().unwrap();
    let options =
        PostgresOptions::from_url(&url).unwrap().patience(std::time::Duration::from_secs(60));
    let store = runtime.block_on(PostgresStore::connect(options, realm())).unwrap();
    let tokens = tokens(store.clone());
    let raw = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Arc::new(client)
    });
    fill(&raw, &runtime, &tokens, scale);
    strict(&raw, &runtime, &tokens, scale);
    changes(&raw, &runtime, &store, scale);
    crowd::quota(&runtime, Arc::new(store.clone()));
    crowd::pages(&runtime, &store, scale);
    crowd::revoke_all(&runtime, &tokens, scale);
    crowd::cycles(&runtime, &tokens, scale);
    drop((store, tokens, raw));
    drop(runtime);
}

/// One issued token, and a million rows like it.
fn fill(raw: &Client, runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let (_, row) = runtime.block_on(tokens.issue(request(CROWD), by())).unwrap();
    runtime.block_on(async {
        // An index is made sooner than kept up to date.
        let indexes = "SELECT indexname::text, indexdef FROM pg_indexes
                       WHERE schemaname = 'keyfob' AND tablename IN ('tokens', 'states')
                           AND indexname NOT LIKE '%_pkey'";
        let indexes = raw.query(indexes, &[]).await.unwrap();
        for index in &indexes {
            let drop = format!("DROP INDEX keyfob.{}", index.get::<_, String>(0));
            raw.batch_execute(&drop).await.unwrap();
        }
        for table in ["tokens", "states"] {
            let sql = format!(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = 'keyfob.{table}'::regclass AND attnum > 0 ORDER BY attnum"
            );
            let columns: Vec<String> =
                raw.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
            let values = columns.iter().map(|column| match column.as_str() {
                "number" => "t.number + n",
                "id" => "uuid_send(gen_random_uuid())",
                "digest" => "uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())",
                "created_at" => "t.created_at + n * 1000",
                "changed_at" => "t.changed_at + n * 1000",
                "expires_at" => "t.created_at + 90 * 86400000000 + (n * 7919 % 1000003) * 1000",
                other => other,
            });
            let insert = format!(
                "INSERT INTO keyfob.{table}
                 SELECT {} FROM keyfob.{table} t, generate_series(1::bigint, {}) n
                 WHERE t.number = {}",
                values.collect::<Vec<_>>().join(", "),
                scale.crowd,
                row.number
            );
            raw.batch_execute(&insert).await.unwrap();
        }
        let numbers =
            format!("SELECT setval('keyfob.numbers', {})", row.number + u64::from(scale.crowd));
        raw.batch_execute(&numbers).await.unwrap();
        for index in &indexes {
            raw.batch_execute(index.get(1)).await.unwrap();
        }
        for settle in ["VACUUM ANALYZE", "CHECKPOINT"] {
            raw.batch_execute(settle).await.unwrap();
        }
    });
}

fn strict(raw: &Arc<Client>, runtime: &Runtime, tokens: &Tokens<ReadWrite>, scale: Scale) {
    let texts: Arc<Vec<_>> = Arc::new(
        (0..scale.reads)
            .map(|n| {
                let owner = format!("owner-{}", n % 1000);
                let issued = runtime.block_on(tokens.issue(request(&owner), by())).unwrap();
                (issued.0.expose_secret().to_owned(), issued.1.id.as_bytes().to_vec())
            })
            .collect(),
    );
    let find = runtime.block_on(raw.prepare(FIND)).unwrap();
    for callers in [1, 16] {
        compare(
            &format!("  strict verification, {callers} in flight"),
            scale,
            scale.reads,
            0.7,
            |calls| {
                let (raw, find, texts) = (Arc::clone(raw), find.clone(), Arc::clone(&texts));
                let look_up = move |n: usize| {
                    let (raw, find, texts) = (Arc::clone(&raw), find.clone(), Arc::clone(&texts));
                    async move { raw_find(&raw, &find, &texts[n].1).await }
                };
                time(|| spread(runtime, calls, callers, look_up))
            },
            |calls| {
                let (tokens, texts) = (tokens.clone(), Arc::clone(&texts));
                let verify = move |n: usize| {
                    let (tokens, texts) = (tokens.clone(), Arc::clone(&texts));
                    async move {
                        let (text, any) = (&texts[n].0, Access::any());
                        assert!(tokens.authenticate_strict(text, &any).await.is_ok());
                    }
                };
                time(|| spread(runtime, calls, callers, verify))
            },
        );
    }
}

const FIND: &str =
    "SELECT t.*, o.standing, o.generation, o.sequence, o.changed_at, coalesce(r.epoch, 0)
     FROM keyfob.records t
     LEFT JOIN LATERAL (
         SELECT * FROM keyfob.owners o WHERE o.realm = t.realm AND o.owner = t.owner LIMIT 1
     ) o ON true
     LEFT JOIN keyfob.realms r ON r.realm = t.realm
     WHERE t.realm = $1 AND t.id = $2";

async fn raw_find(raw: &Client, find: &Statement, id: &[u8]) {
    let rows = raw.query(find, &[&realm().as_str(), &id]).await.unwrap();
    black_box(rows[0].get::<_, i64>(0));
}

/// Does something for each number, so many at a time.
fn spread<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    times: usize,
    callers: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let work = work.clone();
            runtime.spawn(async move {
                for n in (caller..times).step_by(callers) {
                    work(n).await;
                }
            })
        })
        .collect();
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }
}

/// The same calls of the schema's functions, each its own transaction.
fn changes(raw: &Arc<Client>, runtime: &Runtime, store: &PostgresStore, scale: Scale) {
    let owner = OwnerId::new("writer").unwrap();
    let next = AtomicU64::new(0);
    let fresh = || sample::record(&owner, next.fetch_add(1, Ordering::Relaxed));
    let first = fresh();
    runtime.block_on(store.insert(sample::insert(first.clone()))).unwrap();
    let event = serde_json::to_string(&sample::insert(first.clone()).event).unwrap();
    let (insert, change, template) = runtime.block_on(async {
        let insert = "SELECT outcome, issued, number, sequence, epoch
             FROM keyfob.insert_token($1, $2, NULL, false, NULL, NULL, NULL, $3, $4, $5)";
        let change = "SELECT c.outcome, c.epoch, c.cascaded, t.*
             FROM keyfob.change_token($1, $2, NULL, $3, false, NULL, NULL, $4, $2, $5, $6) c,
                 LATERAL (SELECT (c.token).*) t";
        let row = "SELECT to_jsonb(t)::text FROM keyfob.records t WHERE t.id = $1";
        let row = raw.query(row, &[&&first.id.as_bytes()[..]]).await.unwrap();
        let (insert, change) = (raw.prepare(insert).await, raw.prepare(change).await);
        (insert.unwrap(), change.unwrap(), row[0].get::<_, String>(0))
    });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let of_row = |row: &TokenRecord| {
        template
            .replace(&hex(first.id.as_bytes()), &hex(row.id.as_bytes()))
            .replace(&hex(first.digest.digest.as_bytes()), &hex(row.digest.digest.as_bytes()))
    };
    let raw_rows = std::cell::RefCell::new(Vec::new());
    let our_rows = std::cell::RefCell::new(Vec::new());
    compare(
        "  durable issue, 1 caller",
        scale,
        scale.writes,
        0.8,
        |calls| {
            let rows: Vec<TokenRecord> = (0..calls).map(|_| fresh()).collect();
            let made: Vec<String> = rows.iter().map(of_row).collect();
            let took = time(|| {
                runtime.block_on(async {
                    for (row, made) in rows.iter().zip(&made) {
                        let (id, owner) = (&row.id.as_bytes()[..], row.owner.as_str());
                        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                            [&realm().as_str().to_owned(), made, &id, &owner, &event];
                        raw.query(&insert, &values).await.unwrap();
                    }
                });
            });
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
    let ended = sample::ended(1);
    let patch = serde_json::json!({
        "state": 2,
        "ended": serde_json::to_string(&ended).unwrap(),
        "ended_at": ended.at.timestamp_micros(),
    })
    .to_string();
    compare(
        "  durable revoke, 1 caller",
        scale,
        scale.writes / 2,
        0.8,
        |calls| {
            let rows: Vec<TokenRecord> =
                (0..calls).map(|_| raw_rows.borrow_mut().pop().unwrap()).collect();
            time(|| {
                runtime.block_on(async {
                    for row in &rows {
                        let (id, owner) = (&row.id.as_bytes()[..], row.owner.as_str());
                        let at = ended.at.timestamp_micros();
                        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                            [&realm().as_str().to_owned(), &id, &patch, &at, &owner, &event];
                        raw.query(&change, &values).await.unwrap();
                    }
                });
            })
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
