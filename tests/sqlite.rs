//! What the SQLite store promises besides the laws: restarts, several handles, foreign files.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::path::PathBuf;

use chrono::TimeDelta;
use keyfob::ports::factors::{AttemptLimit, FactorStore as _, Reservation};
use keyfob::ports::store::{Cursor, Filter, Lookup, Query, Start};
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{block_on, sample};
use keyfob::{
    Access, Actor, AuthenticateError, By, Format, Grant, IssueRequest, Key, KeyId, Keyring,
    OwnerId, ReadWrite, RealmId, Rotation, Rules, StoreError, TokenStore, Tokens,
};

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    (folder, path)
}

fn store(path: &PathBuf) -> SqliteStore {
    SqliteStore::open(path, RealmId::default()).unwrap()
}

fn tokens(path: &PathBuf) -> Tokens<ReadWrite> {
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    Tokens::new(store(path), Rules::new(Format::new("acme").unwrap(), Keyring::new(key)))
}

fn request(owner: &str) -> IssueRequest<ReadWrite> {
    IssueRequest::new(OwnerId::new(owner).unwrap(), Grant::Full)
}

#[test]
fn a_restart_loses_nothing() {
    let (_folder, path) = file();
    let host = Actor::host();
    block_on(async {
        let first = tokens(&path);
        let (live, _) = first.issue(request("alice"), By::Host(&host)).await.unwrap();
        let (dead, row) = first.issue(request("alice"), By::Host(&host)).await.unwrap();
        let (old, turned) = first.issue(request("alice"), By::Host(&host)).await.unwrap();
        let (blocked, _) = first.issue(request("bob"), By::Host(&host)).await.unwrap();
        first.revoke(row.id, By::Host(&host), None).await.unwrap();
        let (new, _) = first.rotate(turned.id, Rotation::at_once(), By::Host(&host)).await.unwrap();
        let bob = OwnerId::new("bob").unwrap();
        first.deactivate_owner(&bob, By::Host(&host), None).await.unwrap();
        let _ = first.authenticate(live.expose_secret(), &Access::any()).await.unwrap();
        first.flush_usage().await.unwrap();
        drop(first);

        let second = tokens(&path);
        for (text, works) in
            [(&live, true), (&dead, false), (&old, false), (&new, true), (&blocked, false)]
        {
            let judged = second.authenticate(text.expose_secret(), &Access::any()).await;
            assert_eq!(judged.is_ok(), works);
        }
        let page = second.query(&Query::new(Filter::default(), 10)).await.unwrap();
        assert_eq!(page.records.len(), 4);
        assert!(page.records[0].usage.last_at.is_some(), "the time of last use was forgotten");
        second.reactivate_owner(&bob, By::Host(&host)).await.unwrap();
        assert!(second.authenticate(blocked.expose_secret(), &Access::any()).await.is_ok());
    });
}

#[test]
fn a_restart_grants_no_attempt_and_accepts_no_code_again() {
    let (_folder, path) = file();
    let alice = OwnerId::new("alice").unwrap();
    let limits = [AttemptLimit { attempts: 2, within: Some(TimeDelta::minutes(15)) }];
    let now = sample::start();
    block_on(async {
        for granted in [true, true, false] {
            let store = store(&path);
            let answer = store.reserve_attempt(&alice, "totp", &limits, now).await.unwrap();
            assert_eq!(answer == Reservation::Granted, granted);
        }
        assert!(store(&path).raise_mark(&alice, "totp", 7).await.unwrap());
        assert!(!store(&path).raise_mark(&alice, "totp", 7).await.unwrap());
        assert!(store(&path).set_factor(&alice, "totp", 0, Some(b"sealed")).await.unwrap());
        assert!(store(&path).set_factor(&alice, "totp", 1, None).await.unwrap());
        assert!(store(&path).set_factor(&alice, "totp", 0, Some(b"sealed")).await.unwrap());
        let found = store(&path).factor(&alice, "totp").await.unwrap().unwrap();
        assert_eq!((found.version, &found.sealed[..]), (3, &b"sealed"[..]));
    });
}

#[test]
fn what_one_handle_writes_the_other_reads_at_once() {
    let (_folder, path) = file();
    let host = Actor::host();
    block_on(async {
        let (one, other) = (tokens(&path), tokens(&path));
        let (secret, row) = one.issue(request("alice"), By::Host(&host)).await.unwrap();
        let text = secret.expose_secret();
        assert!(other.authenticate(text, &Access::any()).await.is_ok());
        one.revoke(row.id, By::Host(&host), None).await.unwrap();
        assert!(other.authenticate_strict(text, &Access::any()).await.is_err());
    });
}

#[test]
fn the_file_holds_no_secret_and_no_digest_that_could_be_tested() {
    let (_folder, path) = file();
    let secret = block_on(async {
        let tokens = tokens(&path);
        tokens.issue(request("alice"), By::Host(&Actor::host())).await.unwrap().0
    });
    let text = secret.expose_secret();
    let tail = &text[text.len() - 38..text.len() - 6];
    let mut bytes = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let part = std::fs::read(format!("{}{suffix}", path.display()));
        bytes.extend(part.unwrap_or_default());
    }
    assert!(bytes.len() > 4096);
    for slice in tail.as_bytes().windows(8) {
        assert!(
            !bytes.windows(8).any(|window| window == slice),
            "a part of the secret is in the file"
        );
    }
    let format = Format::new("acme").unwrap();
    let presented = format.parse(text.as_bytes()).unwrap();
    let plain = Keyring::unkeyed().current_digest(&presented);
    assert!(
        !bytes.windows(32).any(|window| window == plain.as_bytes()),
        "an unkeyed digest is in the file"
    );
}

#[test]
fn a_row_that_was_moved_is_corrupt() {
    let (_folder, path) = file();
    let host = Actor::host();
    let issued = |tokens: &Tokens<ReadWrite>, owner| {
        let (secret, row) = block_on(tokens.issue(request(owner), By::Host(&host))).unwrap();
        (secret.expose_secret().to_owned(), row)
    };
    let is_corrupt = |tokens: &Tokens<ReadWrite>, text: &str, moved: &str| {
        let judged = block_on(tokens.authenticate(text, &Access::any()));
        let corrupt = matches!(judged, Err(AuthenticateError::Unavailable(StoreError::Corrupt(_))));
        assert!(corrupt, "{moved}: {judged:?}");
    };
    let tokens = tokens(&path);
    let other = rusqlite::Connection::open(&path).unwrap();
    for change in ["owner = 'bob'", "owner_generation = 2", "kind = 'session'"] {
        let (text, row) = issued(&tokens, "alice");
        let sql = format!("UPDATE tokens SET {change} WHERE id = ?1");
        assert_eq!(other.execute(&sql, [row.id.as_bytes()]).unwrap(), 1);
        is_corrupt(&tokens, &text, change);
    }

    let (text, row) = issued(&tokens, "alice");
    let sql = "UPDATE tokens SET realm = 'elsewhere' WHERE id = ?1";
    assert_eq!(other.execute(sql, [row.id.as_bytes()]).unwrap(), 1);
    let realm = RealmId::new("elsewhere").unwrap();
    let elsewhere = Tokens::new(SqliteStore::open(&path, realm).unwrap(), tokens.rules().clone());
    is_corrupt(&elsewhere, &text, "realm");

    let (text, replaced) = issued(&tokens, "alice");
    let (_, row) = issued(&tokens, "bob");
    let sql = "UPDATE tokens SET id = ?2 WHERE id = ?1";
    other.execute(sql, [replaced.id.as_bytes(), &[0; 16]]).unwrap();
    assert_eq!(other.execute(sql, [row.id.as_bytes(), replaced.id.as_bytes()]).unwrap(), 1);
    is_corrupt(&tokens, &text, "id");

    let (text, row) = issued(&tokens, "alice");
    let (_, robbed) = issued(&tokens, "bob");
    let sql = "UPDATE tokens SET digest = ?2 WHERE id = ?1";
    other.execute(sql, (robbed.id.as_bytes(), [0; 32])).unwrap();
    let theirs = robbed.digest.digest.as_bytes();
    assert_eq!(other.execute(sql, (row.id.as_bytes(), theirs)).unwrap(), 1);
    is_corrupt(&tokens, &text, "digest");
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let (_folder, path) = file();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(other);
    let opened = SqliteStore::open(&path, RealmId::default());
    assert!(matches!(opened, Err(StoreError::Unavailable(_))));
    let other = rusqlite::Connection::open(&path).unwrap();
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
    let journal: String = other.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(journal, "delete", "the file's journal was changed before it was refused");
}

#[test]
fn a_forged_cursor_is_the_callers_fault() {
    let (_folder, path) = file();
    let store = store(&path);
    for forged in ["Q3JlYXRlZDpmYWxzZToxODQ0Njc0NDA3MzcwOTU1MTYxNTpuMA", "x", ""] {
        let mut query = Query::new(Filter::default(), 1);
        query.order = keyfob::ports::store::Order::Created;
        query.start = Start::After(Cursor(forged.into()));
        let answer = block_on(store.query(&query));
        assert!(matches!(answer, Err(StoreError::InvalidCursor)), "{answer:?}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let (_folder, path) = file();
    drop(store(&path));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    let refused = SqliteStore::open(&path, RealmId::default()).unwrap_err();
    let reason = std::error::Error::source(&refused).map(ToString::to_string);
    assert_eq!(reason.as_deref(), Some("its schema has version 99, this program knows 1"));
}

#[test]
fn many_that_start_at_once_make_one_schema() {
    let (_folder, path) = file();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = store(&path);
                block_on(store.owner(&OwnerId::new("alice").unwrap())).unwrap();
            });
        }
    });
}

#[test]
fn a_change_that_nobody_waits_for_is_made_all_the_same() {
    let (_folder, path) = file();
    let host = Actor::host();
    block_on(async {
        let tokens = tokens(&path);
        let (secret, row) = tokens.issue(request("alice"), By::Host(&host)).await.unwrap();
        let text = secret.expose_secret();
        let _ = tokens.authenticate(text, &Access::any()).await.unwrap();
        // Polled once, so that the change is under way, and dropped.
        let mut revoking = Box::pin(tokens.revoke(row.id, By::Host(&host), None));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = revoking.as_mut().poll(&mut context);
        drop(revoking);
        // Whatever comes after it in the writer's queue sees it.
        let _ = tokens.issue(request("bob"), By::Host(&host)).await.unwrap();
        assert!(tokens.authenticate_strict(text, &Access::any()).await.is_err());
    });
}

#[test]
fn while_another_program_writes_questions_are_answered_and_changes_are_refused_in_the_end() {
    let (_folder, path) = file();
    let store = store(&path);
    let alice = OwnerId::new("alice").unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let row = sample::record(&alice, 1);
    let store = store.in_realm(sample::realm());
    block_on(async {
        let first = sample::record(&alice, 0);
        store.insert(sample::insert(first.clone())).await.unwrap();
        other.execute_batch("BEGIN IMMEDIATE; DELETE FROM tokens").unwrap();
        // The other program ends only after all of these.
        let found = store.find(&Lookup::Id(first.id)).await.unwrap();
        assert!(found.is_some(), "what is not committed is not there");
        store.owner(&alice).await.unwrap();
        let page = store.query(&Query::new(Filter::default(), 10)).await.unwrap();
        assert_eq!(page.records.len(), 1);
        let refused = store.insert(sample::insert(row.clone())).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        other.execute_batch("ROLLBACK").unwrap();
        // Whatever comes after it in the queue would see it.
        store.insert(sample::insert(sample::record(&alice, 2))).await.unwrap();
        assert!(store.find(&Lookup::Id(row.id)).await.unwrap().is_none());
    });
}
