//! Events, kept for a test to look at.

use std::sync::{Arc, Mutex, PoisonError};

use crate::core::event::Event;
use crate::ports::audit::AuditSink;

/// An [`AuditSink`] that keeps what it hears. Clones keep it together.
#[derive(Clone, Debug, Default)]
pub struct RecordingSink(Arc<Mutex<Vec<Event>>>);

impl RecordingSink {
    /// A sink that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it has heard so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has heard since it was last asked so.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AuditSink for RecordingSink {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Actor, EventKind};

    #[test]
    fn what_was_heard_is_kept_in_order_until_it_is_taken() {
        let sink = RecordingSink::new();
        let heard = [EventKind::TokenIssued, EventKind::TokenRevoked]
            .map(|kind| Event::new(kind, Actor::host(), chrono::DateTime::UNIX_EPOCH));
        heard.iter().for_each(|event| sink.clone().record(event));
        assert_eq!(sink.events(), heard);
        assert_eq!(sink.take(), heard);
        assert_eq!(sink.events(), []);
    }
}
