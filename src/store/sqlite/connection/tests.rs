#![expect(clippy::disallowed_methods, reason = "a test tells its other processes what to do")]

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, abort};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::ports::store::TokenStore as _;
use crate::store::sqlite::SqliteStore;
use crate::testing::{block_on, sample};

const PATIENCE: Duration = Duration::from_secs(60);

/// A next version that nobody will release: it adds to a table, moves what one holds into another,
/// and would count every time that it is taken.
const NEXT: &[&str] = &[
    "CREATE TABLE taken (times INTEGER NOT NULL)",
    "INSERT INTO taken SELECT count(*) FROM taken",
    "ALTER TABLE tokens ADD COLUMN colour TEXT NOT NULL DEFAULT 'none'",
    "UPDATE tokens SET colour = 'of ' || name",
    "CREATE TABLE moved (owner TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT",
    "INSERT INTO moved SELECT owner, sequence FROM owners",
    "DROP TABLE owners",
    "ALTER TABLE moved RENAME TO owners",
    "UPDATE taken SET times = times + 1",
];

/// After how many statements of the next version this process ends itself.
static LAST: AtomicUsize = AtomicUsize::new(usize::MAX);

const WITH_NEXT: &[&Step] = &[STEPS[0], &|file| {
    for (done, statement) in NEXT.iter().enumerate() {
        if done == LAST.load(Ordering::Relaxed) {
            abort();
        }
        file.execute_batch(statement)?;
    }
    if LAST.load(Ordering::Relaxed) == NEXT.len() {
        abort();
    }
    Ok(())
}];

fn start(path: &Path) -> Result<(), OpenError> {
    let mut connection = open(path, PATIENCE, WITH_NEXT)?;
    migrate(&mut connection, WITH_NEXT)
}

/// What a process does that this test has started; the test itself goes on.
fn be_a_child() {
    let Some(path) = env::var_os("KEYFOB_FILE") else {
        return;
    };
    if let Some(last) = env::var("KEYFOB_LAST").ok().and_then(|last| last.parse().ok()) {
        LAST.store(last, Ordering::Relaxed);
    }
    let ended = start(Path::new(&path));
    std::process::exit(i32::from(ended.is_err()));
}

/// The same test, in a process of its own.
fn child(test: &str, path: &Path, last: Option<usize>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("store::sqlite::connection::tests::{test}"), "--exact"]);
    command.env("KEYFOB_FILE", path).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(last) = last {
        command.env("KEYFOB_LAST", last.to_string());
    }
    command.spawn().unwrap()
}

/// A file of the version that there is, with tokens in it.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let store = SqliteStore::open(&path, sample::realm()).unwrap();
    for n in 0..3 {
        block_on(store.insert(sample::insert(sample::record(&sample::owner(1), n)))).unwrap();
    }
    (folder, path)
}

fn version(path: &Path) -> i64 {
    let file = Connection::open(path).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The schema, and what its tables hold: all that a step changes.
fn contents(path: &Path) -> Vec<String> {
    let file = Connection::open(path).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = file.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(|row: rusqlite::Result<String>| row.unwrap()).collect()
    };
    let schema = "SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let owners = "SELECT owner || ' ' || sequence FROM owners ORDER BY owner";
    let tokens = "SELECT number || hex(id) || name || version FROM tokens ORDER BY number";
    [schema, owners, tokens].iter().flat_map(|sql| list(sql)).collect()
}

fn assert_next(path: &Path) {
    assert_eq!(version(path), 2);
    let file = Connection::open(path).unwrap();
    let found: (i64, i64, String, i64) = file
        .query_row(
            "SELECT (SELECT times FROM taken), (SELECT count(*) FROM tokens WHERE colour = 'of ' || name),
                    (SELECT owner FROM owners), (SELECT sequence FROM owners)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(found, (1, 3, "owner-1".into(), 3));
}

#[test]
fn a_start_that_is_killed_leaves_the_version_before_or_after() {
    be_a_child();
    let test = "a_start_that_is_killed_leaves_the_version_before_or_after";
    for last in 0..=NEXT.len() {
        let (_folder, path) = file();
        let before = contents(&path);
        let ended = child(test, &path, Some(last)).wait().unwrap();
        assert!(ended.code().is_none(), "it was not killed after {last} statements: {ended}");
        assert_eq!(version(&path), 1);
        assert_eq!(contents(&path), before, "something was left of {last} statements");
        start(&path).unwrap();
        assert_next(&path);
    }
    // Once it is through, a start finds nothing to do.
    let (_folder, path) = file();
    for _ in 0..2 {
        assert!(child(test, &path, None).wait().unwrap().success());
        assert_next(&path);
    }
}

#[test]
fn of_many_processes_that_start_at_once_one_takes_each_step() {
    be_a_child();
    let test = "of_many_processes_that_start_at_once_one_takes_each_step";
    for starters in [2, 8] {
        let (_folder, path) = file();
        let children: Vec<_> = (0..starters).map(|_| child(test, &path, None)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_next(&path);
    }
}

#[test]
fn processes_that_start_while_another_is_killed_take_the_step() {
    be_a_child();
    let test = "processes_that_start_while_another_is_killed_take_the_step";
    let (_folder, path) = file();
    let killed: Vec<_> = [3, 7].map(|last| child(test, &path, Some(last))).into();
    let whole: Vec<_> = (0..4).map(|_| child(test, &path, None)).collect();
    for mut child in killed {
        child.wait().unwrap();
    }
    for mut child in whole {
        assert!(child.wait().unwrap().success());
    }
    assert_next(&path);
}

#[test]
fn a_step_that_fails_is_not_taken_in_part() {
    let (_folder, path) = file();
    let before = contents(&path);
    let fails: &Step = &|file| file.execute_batch("DROP TABLE owners; DROP TABLE nothing");
    let mut connection = open(&path, PATIENCE, STEPS).unwrap();
    assert!(matches!(migrate(&mut connection, &[STEPS[0], fails]), Err(OpenError::Sqlite(_))));
    assert_eq!((version(&path), contents(&path)), (1, before));
}

#[test]
fn an_older_program_leaves_a_newer_file_alone() {
    let (_folder, path) = file();
    start(&path).unwrap();
    let before = contents(&path);
    let refused = SqliteStore::open(&path, sample::realm());
    assert!(refused.is_err());
    assert_eq!(contents(&path), before);
    assert_next(&path);
}
