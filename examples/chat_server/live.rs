//! Connections that stay open, and end with the tokens that opened them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use keyfob::http::Problem;
use keyfob::service::live::Live;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::timeout;

use crate::messages::Message;

/// How many connections stay open, and until when.
#[derive(Debug)]
pub(crate) struct Connections {
    room: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl Connections {
    /// A place for one more, which is free again when this is dropped.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let detail = "too many connections are open; try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", detail)
        })
    }

    /// Has all of them end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Returns when the server stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // Without a sender there is no server any more.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    /// Waits until all have ended, but not for long.
    pub(crate) async fn ended(&self) {
        let _ = timeout(FAREWELL, self.room.acquire_many(MOST)).await;
    }
}

impl Default for Connections {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(usize::try_from(MOST).unwrap_or(usize::MAX)));
        Self { room, stopping: watch::Sender::new(false) }
    }
}

/// What there is to tell to whoever is connected.
pub(crate) enum News {
    Posted(Message),
    /// It must end, for the reason with this code.
    End(&'static str),
}

/// The next message, as long as the connection may go on.
pub(crate) async fn next(
    live: &Live,
    news: &mut broadcast::Receiver<Message>,
    stopped: impl Future<Output = ()> + Send,
) -> News {
    tokio::select! {
        biased;
        reason = live.ended() => News::End(reason.code()),
        () = stopped => News::End(GOING_AWAY),
        message = news.recv() => match message {
            // It may have ended while the message was awaited.
            Ok(message) if live.is_live() => News::Posted(message),
            Ok(_) => News::End(live.ended().await.code()),
            Err(RecvError::Lagged(_)) => News::End(TOO_SLOW),
            Err(RecvError::Closed) => News::End(GOING_AWAY),
        },
    }
}

pub(crate) const GOING_AWAY: &str = "going_away";

/// It has missed messages, and begins anew with what it can read.
pub(crate) const TOO_SLOW: &str = "too_slow";

/// Said when the token was used as often as its rate allows.
pub(crate) const TOO_OFTEN: &str = "rate_limited";

/// A quarter of the 1024 file descriptors that a process usually has.
const MOST: u32 = 256;

/// With the time for requests and for uses, it stays below five seconds.
const FAREWELL: Duration = Duration::from_millis(500);
