//! Hearing of what other processes change in the file.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_channel::oneshot;
use rusqlite::Connection;

use super::connection::{self, STEPS};
use super::read;
use crate::core::id::RealmId;
use crate::ports::store::Epoch;

/// A thread looks, while somebody waits, whether the file has changed. SQLite tells nobody.
#[derive(Default)]
pub(super) struct Hints(Arc<Mutex<Watch>>);

#[derive(Default)]
struct Watch {
    waiting: Vec<Waiting>,
    is_running: bool,
}

struct Waiting {
    realm: RealmId,
    since: Epoch,
    is_looked_at: bool,
    tell: oneshot::Sender<()>,
}

impl Hints {
    /// Returns when an epoch after `since` is there. Where that cannot be seen it waits for ever.
    pub(super) async fn changed(&self, path: &Path, realm: &RealmId, since: Epoch) {
        let (tell, told) = oneshot::channel();
        let started = {
            let mut watch = locked(&self.0);
            watch.waiting.push(Waiting { realm: realm.clone(), since, is_looked_at: false, tell });
            if watch.is_running {
                Ok(())
            } else {
                let (shared, path) = (Arc::clone(&self.0), path.to_owned());
                let thread = thread::Builder::new().name("keyfob-hints".into());
                let started = thread.spawn(move || run(&shared, &path)).map(drop);
                watch.is_running = started.is_ok();
                started
            }
        };
        if started.is_err() || told.await.is_err() {
            std::future::pending().await
        }
    }
}

fn run(watch: &Mutex<Watch>, path: &Path) {
    let mut looking = connection::open(path, LOOK_PATIENCE, STEPS).ok();
    let (mut seen, mut idle) = (None, 0_u32);
    loop {
        let mut watch = locked(watch);
        watch.waiting.retain(|waiting| !waiting.tell.is_canceled());
        idle = if watch.waiting.is_empty() { idle.saturating_add(1) } else { 0 };
        if looking.is_none() || idle > IDLE_LOOKS {
            // Whoever waits next starts another thread.
            watch.waiting.clear();
            watch.is_running = false;
            return;
        }
        if let Some(file) = looking.as_ref().filter(|_| idle == 0) {
            match look(file, &mut seen, &mut watch.waiting) {
                Ok(()) => {}
                // It may be the file that is being closed or mended; all that is lost is time.
                Err(()) => looking = None,
            }
        }
        drop(watch);
        thread::park_timeout(LOOK_EVERY);
    }
}

/// Tells whoever waits for what is there now. Whether anybody has written is asked first, which
/// costs no more than a look at the file's index in memory.
fn look(file: &Connection, seen: &mut Option<i64>, waiting: &mut Vec<Waiting>) -> Result<(), ()> {
    let version = file.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(drop)?;
    let is_new = *seen != Some(version);
    *seen = Some(version);
    for at in (0..waiting.len()).rev() {
        let Some(one) = waiting.get_mut(at).filter(|one| is_new || !one.is_looked_at) else {
            continue;
        };
        one.is_looked_at = true;
        if read::epoch(file, &one.realm).map_err(drop)? > one.since {
            // Nobody need be there any more.
            let _ = waiting.swap_remove(at).tell.send(());
        }
    }
    Ok(())
}

fn locked(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another process's change is then known after half of this, and its look costs 10 us: a fifth of
/// a percent of one core, while somebody waits.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whoever looks for news waits again at once; a second later nobody does any more.
const IDLE_LOOKS: u32 = 200;

/// Only closing or mending the file stops a reader.
const LOOK_PATIENCE: Duration = Duration::from_millis(250);
