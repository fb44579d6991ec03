//! Who remembers what it read of a store.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Epoch;

/// A process that remembers what it read, told from others by chance. Every start makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "128 random bits")]
pub struct NodeId(pub [u8; 16]);

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeReport {
    /// Which node.
    pub node: NodeId,
    /// Everything that changed up to this epoch is forgotten there.
    pub applied: Epoch,
    /// For how long it uses what it remembers without asking; to the microsecond.
    pub bound: Duration,
    /// When it reported.
    pub at: DateTime<Utc>,
}

impl NodeReport {
    /// For how long after its last report a node must be kept.
    pub const KEPT_FOR: TimeDelta = TimeDelta::hours(1);

    /// A node that has applied everything up to that epoch.
    #[must_use]
    pub const fn new(node: NodeId, applied: Epoch, bound: Duration, at: DateTime<Utc>) -> Self {
        Self { node, applied, bound, at }
    }
}
