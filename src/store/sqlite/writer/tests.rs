use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::connection::{STEPS, migrate, open};
use super::*;
use crate::testing::block_on;

/// A file, and a writer with this patience.
fn writer(patience: Duration) -> (tempfile::TempDir, std::path::PathBuf, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let mut connection = open(&path, patience, STEPS).unwrap();
    migrate(&mut connection, STEPS).unwrap();
    connection.execute_batch("CREATE TABLE made (n)").unwrap();
    (folder, path, Writer::start(connection, patience).unwrap())
}

/// Another program that is writing, until it is dropped.
fn holding(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

fn add(connection: &Connection) -> Result<(), Trouble> {
    connection.execute("INSERT INTO made VALUES (1)", [])?;
    Ok(())
}

fn count(path: &Path) -> i64 {
    let file = Connection::open(path).unwrap();
    file.query_row("SELECT count(*) FROM made", [], |row| row.get(0)).unwrap()
}

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn what_was_not_begun_in_time_is_never_made() {
    let (_folder, path, writer) = writer(SHORT);
    let other = holding(&path);
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let late = block_on(writer.run(move |connection| {
        counted.fetch_add(1, Ordering::Relaxed);
        add(connection)
    }));
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    drop(other);
    block_on(writer.run(add)).unwrap();
    assert_eq!((runs.load(Ordering::Relaxed), count(&path)), (0, 1));
}

#[test]
fn those_who_wait_in_line_wait_together() {
    let (_folder, path, writer) = writer(SHORT);
    let other = holding(&path);
    let begun = now();
    let lines = 20;
    let mut asked = Vec::new();
    for _ in 0..lines * LARGEST_BATCH {
        let mut job = Box::pin(writer.run(add));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(job.as_mut().poll(&mut context).is_pending());
        asked.push(job);
    }
    for job in asked {
        assert!(matches!(block_on(job), Err(StoreError::Unavailable(_))));
    }
    let one_after_the_other = SHORT * u32::try_from(lines).unwrap();
    assert!(begun.elapsed() < one_after_the_other / 2, "{:?}", begun.elapsed());
    drop(other);
    block_on(writer.run(add)).unwrap();
    assert_eq!(count(&path), 1);
}

#[test]
fn what_waits_for_another_process_is_made_when_that_ends() {
    let (_folder, path, writer) = writer(Duration::from_secs(60));
    let other = holding(&path);
    let mut first = Box::pin(writer.run(add));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    other.execute_batch("INSERT INTO made VALUES (2); COMMIT").unwrap();
    block_on(first).unwrap();
    assert_eq!(count(&path), 2);
}

#[test]
fn a_panic_undoes_its_own_change_and_no_other() {
    let (_folder, path, writer) = writer(SHORT);
    for _ in 0..3 {
        let fault = block_on(writer.run(|connection| -> Result<(), Trouble> {
            add(connection)?;
            std::panic::panic_any("a fault");
        }));
        assert!(matches!(fault, Err(StoreError::Unavailable(_))), "{fault:?}");
        block_on(writer.run(add)).unwrap();
    }
    assert_eq!(count(&path), 3);
}

#[test]
fn a_change_that_fails_undoes_none_of_those_it_waited_with() {
    let (_folder, path, writer) = writer(Duration::from_secs(60));
    let other = holding(&path);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut asked: Vec<_> = (0..9)
        .map(|n| {
            Box::pin(writer.run(move |connection| {
                add(connection)?;
                if n % 3 == 1 { Err(Trouble::Corrupt("made by the test")) } else { Ok(()) }
            }))
        })
        .collect();
    for job in &mut asked {
        assert!(job.as_mut().poll(&mut context).is_pending());
    }
    other.execute_batch("COMMIT").unwrap();
    for (n, job) in asked.into_iter().enumerate() {
        let ended = block_on(job);
        assert_eq!(matches!(ended, Err(StoreError::Corrupt(_))), n % 3 == 1, "{ended:?}");
        assert!(ended.is_ok() || n % 3 == 1, "{ended:?}");
    }
    assert_eq!(count(&path), 6);
}
