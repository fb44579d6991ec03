//! What time it is.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time.
///
/// **If you lie:** a clock that stands still or runs backwards keeps expired tokens alive.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Microseconds since 1970, as exact as the clock can: for instants that are written down.
    fn now_micros(&self) -> i64;

    /// Microseconds since 1970, as cheap as the clock can: asked on every verification. It may
    /// lag behind [`now_micros`](Clock::now_micros) by no more than one [`tick`](Clock::tick).
    fn coarse_micros(&self) -> i64 {
        self.now_micros()
    }

    /// How far the coarse time may lag. It is added before an expiry is judged, so that
    /// coarseness never makes a token live longer. The default fits the default coarse time.
    fn tick(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// Nanoseconds since some fixed instant; never runs backwards, and goes on while the machine
    /// is suspended. Leases are measured with it.
    fn boot_nanos(&self) -> u64;

    /// The time as a date.
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}
