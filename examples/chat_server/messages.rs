//! The one channel, and what is said in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::broadcast;

/// The channel's id: the same on every node and after every start.
pub(crate) const TOWN_SQUARE: &str = "townsquaretownsquaretownsq";

/// The last messages of the channel, and those to come.
#[derive(Debug)]
pub(crate) struct Messages {
    kept: Mutex<VecDeque<Message>>,
    news: broadcast::Sender<Message>,
}

/// One message.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) author: String,
    pub(crate) text: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// A text that is no message.
#[derive(Debug, thiserror::Error)]
#[error("text: a message has 1 to {LONGEST_TEXT} bytes")]
pub(crate) struct NoMessage;

impl Messages {
    pub(crate) fn post(
        &self,
        author: String,
        text: String,
        now: DateTime<Utc>,
    ) -> Result<Message, NoMessage> {
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return Err(NoMessage);
        }
        let mut kept = self.kept();
        let number = kept.back().map_or(1, |last| last.number.saturating_add(1));
        let message = Message { number, author, text, created_at: now };
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(message.clone());
        // While the others wait, so that all hear of them in the order of their numbers. That nobody
        // listens is no failure.
        let _ = self.news.send(message.clone());
        Ok(message)
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<Message> {
        self.kept().iter().cloned().collect()
    }

    /// Those that are posted from here on. Who is too slow is told how many were missed.
    pub(crate) fn news(&self) -> broadcast::Receiver<Message> {
        self.news.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self { kept: Mutex::default(), news: broadcast::Sender::new(MOST_BEHIND) }
    }
}

const LONGEST_TEXT: usize = 4000;

/// Less than a megabyte.
const MOST_KEPT: usize = 200;

/// How many messages a listener may be behind before it has to begin anew.
const MOST_BEHIND: usize = 64;
