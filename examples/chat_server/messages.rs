//! The one channel, and what is said in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// The channel's id: the same on every node and after every start.
pub(crate) const TOWN_SQUARE: &str = "townsquaretownsquaretownsq";

/// The last messages of the channel.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    kept: Mutex<VecDeque<Message>>,
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
        Ok(message)
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<Message> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LONGEST_TEXT: usize = 4000;

/// Less than a megabyte.
const MOST_KEPT: usize = 200;
