//! One connection that many callers share, made anew when it breaks.
//!
//! Questions are sent as they come and answered in their order, so that a connection is as busy as
//! a whole pool of them would be, with one round trip of waiting and not one after the other.

use std::collections::HashMap;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::{Client, Config, Row, Statement};

use super::ask::Ask;
use super::link::Link;
use super::options::{Mode, PostgresOptions};
use super::trouble::Trouble;

/// The way to the server for one sort of question.
pub(super) struct Line {
    config: Config,
    link: Arc<dyn Link>,
    mode: Mode,
    patience: Duration,
    /// The connection, or that it is being made. Never held while anything is waited for.
    latest: Lock<Option<watch::Receiver<Attempt>>>,
    waiting: Semaphore,
    sent: Semaphore,
}

/// What came of connecting, once something has: whoever waits for it shares it.
type Attempt = Option<Result<Arc<Session>, Arc<dyn Error + Send + Sync>>>;

/// A connection, with what was prepared on it.
struct Session {
    client: Client,
    prepared: Lock<HashMap<&'static str, Statement>>,
    /// What was sent since the last answer came.
    unanswered: AtomicUsize,
    /// Changes from time to time, so that whoever waits looks at the clock.
    ticks: watch::Receiver<()>,
    /// From one to the next.
    tick: Duration,
}

impl Line {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        Self {
            config: options.connection(),
            link: Arc::clone(&options.link),
            mode: options.mode,
            patience: options.patience,
            latest: Lock::default(),
            waiting: Semaphore::new(MOST_WAITING),
            sent: Semaphore::new(MOST_SENT),
        }
    }

    /// The rows that answer a question that changes nothing.
    pub(super) async fn read(&self, ask: &Ask) -> Result<Vec<Row>, Trouble> {
        let deadline = self.deadline();
        match self.ask(ask, deadline).await {
            // The connection may have ended long ago without anybody noticing.
            Err(Trouble::Unanswered(_) | Trouble::Unasked(_)) if Instant::now() < deadline => {
                self.ask(ask, deadline).await
            }
            answer => answer,
        }
    }

    /// The rows that a change answers with.
    pub(super) async fn change(&self, ask: &Ask) -> Result<Vec<Row>, Trouble> {
        self.ask(ask, self.deadline()).await
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.patience).unwrap_or(now)
    }

    async fn ask(&self, ask: &Ask, deadline: Instant) -> Result<Vec<Row>, Trouble> {
        for pause in PAUSES {
            match self.ask_once(ask, deadline).await {
                Err(trouble) if trouble.passes() => sleep(pause).await,
                answer => return answer,
            }
        }
        self.ask_once(ask, deadline).await
    }

    async fn ask_once(&self, ask: &Ask, deadline: Instant) -> Result<Vec<Row>, Trouble> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Trouble::late())?;
        let _sent = timeout_at(deadline, self.sent.acquire()).await.map_err(|_| Trouble::late())?;
        let session = timeout_at(deadline, self.session()).await.map_err(|_| Trouble::late())??;
        // Answers come in order, so the last one is also about whatever callers gave up before it.
        if session.unanswered.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.give_up(&session);
            return Err(Trouble::late());
        }
        match session.until(deadline, session.ask(ask, self.mode)).await {
            Some(answer) => {
                session.unanswered.store(0, Ordering::Relaxed);
                match &answer {
                    Err(trouble) if trouble.outdates_statements() => session.prepared().clear(),
                    // It is ending, whether or not the driver has come to know that.
                    Err(Trouble::Unanswered(_) | Trouble::Unasked(_)) => {
                        self.let_go(&session);
                    }
                    _ => {}
                }
                answer
            }
            None => {
                self.give_up(&session);
                Err(Trouble::Unanswered("no answer in time".into()))
            }
        }
    }

    async fn session(&self) -> Result<Arc<Session>, Trouble> {
        let mut attempt = self.attempt();
        let ended = attempt.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(Ok(session))) => Ok(Arc::clone(session)),
            Ok(Some(Err(reason))) => Err(Trouble::Unasked(Box::new(Arc::clone(reason)))),
            Ok(None) | Err(_) => Err(Trouble::Unasked("connecting was broken off".into())),
        }
    }

    /// The attempt that is under way or has led to a connection, or a new one. It goes on when
    /// its callers have gone: a thousand who give up must not have knocked a thousand times.
    fn attempt(&self) -> watch::Receiver<Attempt> {
        let mut latest = self.latest();
        if let Some(attempt) = latest.as_ref().filter(|attempt| is_of_use(attempt)) {
            return attempt.clone();
        }
        let (told, attempt) = watch::channel(None);
        let (link, config, tick) =
            (Arc::clone(&self.link), self.config.clone(), self.patience.div_f32(TICKS));
        tokio::spawn(async move {
            let made = link.connect(&config, None).await.map_err(|trouble| trouble.reason().into());
            told.send_replace(Some(made.map(|client| Arc::new(Session::new(client, tick)))));
        });
        latest.insert(attempt).clone()
    }

    /// Lets go of a connection, so that nobody waits behind its questions; says whether it was
    /// not already.
    fn let_go(&self, of: &Arc<Session>) -> bool {
        let is_it = |attempt: &mut watch::Receiver<Attempt>| matches!(&*attempt.borrow(), Some(Ok(session)) if Arc::ptr_eq(session, of));
        self.latest().take_if(is_it).is_some()
    }

    fn latest(&self) -> MutexGuard<'_, Option<watch::Receiver<Attempt>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of a connection, and asks the server to stop what does not answer and all that waits
    /// behind it: each would hold the backend for as long again, and new ones would come beside it.
    fn give_up(&self, silent: &Arc<Session>) {
        // Whoever let go of it before has asked, or it has ended.
        if !self.let_go(silent) {
            return;
        }
        let (link, token) = (Arc::clone(&self.link), silent.client.cancel_token());
        let unanswered = silent.unanswered.load(Ordering::Relaxed);
        tokio::spawn(async move {
            for _ in 0..unanswered {
                // It may be as silent as the connection was.
                let Ok(Ok(())) = timeout(CANCEL, link.cancel(token.clone())).await else {
                    return;
                };
                sleep(NEXT_CANCEL).await;
            }
        });
    }
}

/// Whether it is under way, or its connection is open.
fn is_of_use(attempt: &watch::Receiver<Attempt>) -> bool {
    match &*attempt.borrow() {
        None => attempt.has_changed().is_ok(),
        Some(Ok(session)) => !session.client.is_closed(),
        Some(Err(_)) => false,
    }
}

impl Session {
    fn new(client: Client, tick: Duration) -> Self {
        let (told, ticks) = watch::channel(());
        // It ends with the session, which holds a receiver.
        tokio::spawn(async move {
            while told.send(()).is_ok() {
                sleep(tick).await;
            }
        });
        Self { client, prepared: Lock::default(), unanswered: AtomicUsize::new(0), ticks, tick }
    }

    /// What a question comes to, or `None` when no answer would come by the deadline any more.
    ///
    /// A timer for each question would wake the runtime's driver each time, which takes as long as
    /// the question.
    async fn until<T>(&self, deadline: Instant, asking: impl Future<Output = T>) -> Option<T> {
        let mut ticks = self.ticks.clone();
        ticks.mark_unchanged();
        let mut asking = pin!(asking);
        loop {
            let mut ticked = pin!(ticks.changed());
            let answer = poll_fn(|context| match asking.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Ok(answer)),
                Poll::Pending => ticked.as_mut().poll(context).map(Err),
            });
            match answer.await {
                Ok(answer) => return Some(answer),
                Err(Ok(())) if deadline.saturating_duration_since(Instant::now()) > self.tick => {}
                Err(_) => return None,
            }
        }
    }

    async fn ask(&self, ask: &Ask, mode: Mode) -> Result<Vec<Row>, Trouble> {
        let answer = match (mode, ask.to_prepare()) {
            (Mode::Direct, Some(sql)) => {
                let statement = self.prepare(sql, ask).await?;
                self.client.query(&statement, &ask.values()).await
            }
            _ => self.client.query_typed(ask.sql(), &ask.typed()).await,
        };
        answer.map_err(Trouble::asked)
    }

    async fn prepare(&self, sql: &'static str, ask: &Ask) -> Result<Statement, Trouble> {
        if let Some(statement) = self.prepared().get(sql) {
            return Ok(statement.clone());
        }
        let made = self.client.prepare_typed(sql, &ask.types()).await.map_err(Trouble::unasked)?;
        self.prepared().insert(sql, made.clone());
        Ok(made)
    }

    fn prepared(&self) -> MutexGuard<'_, HashMap<&'static str, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A deadlock or an outdated plan passes at once; whoever is in the way three times stays there.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(1), Duration::from_millis(8), Duration::from_millis(64)];

/// The statement has ended by itself if even this takes longer.
const CANCEL: Duration = Duration::from_secs(1);

/// The server needs less to come to the next statement.
const NEXT_CANCEL: Duration = Duration::from_millis(10);

/// Of the time that a question may take: often enough not to give up much too early.
const TICKS: f32 = 8.0;

/// More in flight on one connection than the server answers in a few milliseconds gain nothing.
const MOST_SENT: usize = 64;

/// A server that cannot keep up is told by refusals, not by memory.
const MOST_WAITING: usize = 4096;
