//! What time it is.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::core::freshness::Reading;

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
    /// is suspended.
    fn boot_nanos(&self) -> u64;

    /// Nanoseconds since some fixed instant, as cheap as the clock can: asked on every verification,
    /// to see whether a lease still holds. It never runs backwards and may lag by one
    /// [`tick`](Clock::tick). It may stand still while the machine is suspended, since a lease is
    /// over as well when the coarse time says that more has passed.
    fn steady_nanos(&self) -> u64 {
        self.boot_nanos()
    }

    /// What both coarse clocks show.
    fn reading(&self) -> Reading {
        Reading { steady_nanos: self.steady_nanos(), date_micros: self.coarse_micros() }
    }

    /// The time as a date.
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.now_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}
