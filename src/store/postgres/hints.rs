//! Telling other nodes of changes, and hearing of theirs: `LISTEN` and `NOTIFY`.
//!
//! Both go over one connection beside the others, after the change has been made. Nothing depends on
//! it: a server that has neither, a full queue or a connection that breaks delay news and stop no
//! change. A notification inside of a change would take a lock of the whole server as it commits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config};

use super::link::{Heard, Link};
use super::options::{Mode, PostgresOptions};
use crate::core::id::RealmId;
use crate::ports::store::Epoch;

/// The way for hints. It is made when it is first needed, and ends with the store.
pub(super) struct Hints {
    runtime: Handle,
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    link: Arc<dyn Link>,
    mode: Mode,
    is_started: AtomicBool,
    is_over: AtomicBool,
    /// There is something to tell, or to find out.
    stir: Notify,
    untold: Mutex<HashMap<RealmId, u64>>,
    heard: Mutex<HashMap<RealmId, watch::Sender<u64>>>,
}

impl Hints {
    pub(super) fn new(options: &PostgresOptions, runtime: Handle) -> Self {
        let shared = Shared {
            config: options.connection(),
            link: Arc::clone(&options.link),
            mode: options.mode,
            is_started: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            stir: Notify::new(),
            untold: Mutex::default(),
            heard: Mutex::default(),
        };
        Self { runtime, shared: Arc::new(shared) }
    }

    /// Tells of a change, some time soon; of several that come together, of the last.
    pub(super) fn tell(&self, realm: &RealmId, Epoch(epoch): Epoch) {
        if self.start() {
            let mut untold = locked(&self.shared.untold);
            let last = untold.entry(realm.clone()).or_default();
            *last = epoch.max(*last);
            self.shared.stir.notify_one();
        }
    }

    /// Returns when a change after that epoch was told of.
    pub(super) async fn changed(&self, realm: &RealmId, Epoch(since): Epoch) {
        if self.start() {
            let mut heard = {
                let mut all = locked(&self.shared.heard);
                all.entry(realm.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
            };
            if heard.wait_for(|epoch| *epoch > since).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }

    /// Whether there is a way, behind a pooler there is none: it gives the next statement to another
    /// connection.
    fn start(&self) -> bool {
        if self.shared.mode == Mode::Pooled {
            return false;
        }
        if !self.shared.is_started.swap(true, Ordering::Relaxed) {
            self.runtime.spawn(Arc::clone(&self.shared).run());
        }
        true
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.stir.notify_one();
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let of = Arc::clone(&self);
            let heard: Heard = Arc::new(move |payload| of.hear(payload));
            if let Ok(client) = self.link.connect(&self.config, Some(heard)).await {
                // It says nothing that the next connection would not say.
                let _ = self.serve(&client).await;
            }
            // A server that has no `LISTEN` is not asked for it all the time.
            if begun.elapsed() < RECONNECT {
                sleep(RECONNECT).await;
            }
        }
    }

    /// Listens and tells for as long as the connection answers.
    async fn serve(&self, client: &Client) -> Option<()> {
        answered(client.batch_execute("LISTEN keyfob")).await?;
        while !self.is_over.load(Ordering::Relaxed) && !client.is_closed() {
            let untold = std::mem::take(&mut *locked(&self.untold));
            for (realm, epoch) in untold {
                let payload = format!("{epoch} {realm}");
                let values: [(&(dyn ToSql + Sync), Type); 1] = [(&payload, Type::TEXT)];
                answered(client.query_typed("SELECT pg_notify('keyfob', $1)", &values)).await?;
            }
            if timeout(LOOK_AFTER, self.stir.notified()).await.is_err() {
                // A way that has gone silent looks like one on which nothing is said.
                answered(client.batch_execute("")).await?;
            }
        }
        Some(())
    }

    fn hear(&self, payload: Option<&str>) {
        let Some(payload) = payload else {
            self.stir.notify_one();
            return;
        };
        // Anybody may notify on this channel; who says something else is not listened to.
        let Some((epoch, realm)) = payload.split_once(' ') else {
            return;
        };
        if let (Ok(epoch), Ok(realm)) = (epoch.parse::<u64>(), RealmId::new(realm))
            && let Some(heard) = locked(&self.heard).get(&realm)
        {
            heard.send_if_modified(|last| std::mem::replace(last, epoch) != epoch);
        }
    }
}

async fn answered<T>(asking: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Option<T> {
    timeout(ANSWER, asking).await.ok()?.ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hint that takes longer is of no more use than the next poll.
const ANSWER: Duration = Duration::from_millis(500);

/// How long a silent connection is believed to be open.
const LOOK_AFTER: Duration = Duration::from_secs(10);

/// From one attempt to connect to the next.
const RECONNECT: Duration = Duration::from_secs(1);
