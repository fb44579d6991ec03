//! Where events are told as they happen.

use std::fmt;

use crate::core::event::Event;

/// Hears of every event once the store has it, and of refusals that are worth an alarm.
///
/// Of changes, the store's own list is the complete one; this is for log lines, mail and metrics.
/// Refusals that are worth an alarm (a replaced secret, a leaked text) change nothing, and are told
/// here only.
/// It must return at once: it is called on the path of the operation. A sink that panics takes
/// the caller with it.
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Takes note of an event.
    fn record(&self, event: &Event);
}

/// Takes note of nothing.
impl AuditSink for () {
    fn record(&self, _: &Event) {}
}
