//! How long what is remembered may be used, by two clocks.

/// What a node's clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "two clocks")]
pub struct Reading {
    /// Nanoseconds since some fixed instant; never goes back, but may stand still while the machine
    /// is suspended.
    pub steady_nanos: u64,
    /// Microseconds since 1970 by the node's own date, which may be set.
    pub date_micros: i64,
}

/// Until when what is remembered may be used, and what time it is meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lease {
    /// The steady clock's reading at which it is over.
    pub until_nanos: u64,
    /// How far the node's date was ahead of its steady clock.
    pub date_ahead_micros: i64,
    /// How far the store's time is ahead of the steady clock, at the most.
    pub time_ahead_micros: i64,
    /// The latest time that the store has ever told: its time stands still while its clock, set
    /// back, has not come so far again.
    pub held_micros: i64,
}

impl Lease {
    /// A lease of these parts.
    #[inline]
    #[must_use]
    pub const fn new(
        until_nanos: u64,
        date_ahead_micros: i64,
        time_ahead_micros: i64,
        held_micros: i64,
    ) -> Self {
        Self { until_nanos, date_ahead_micros, time_ahead_micros, held_micros }
    }

    /// Whether it still holds. A suspended machine's steady clock stands still, so that the two
    /// clocks must also agree on how much time has passed.
    #[inline]
    #[must_use]
    pub const fn holds(&self, at: Reading) -> bool {
        let apart = at.date_micros.saturating_sub(micros(at.steady_nanos));
        at.steady_nanos < self.until_nanos
            && apart.abs_diff(self.date_ahead_micros) <= CLOCKS_AGREE_MICROS
    }

    /// The store's time at that moment, in microseconds since 1970: never less than it is, but for what
    /// a tick of the clock that was read may lag.
    #[inline]
    #[must_use]
    pub fn time_micros(&self, at: Reading) -> i64 {
        micros(at.steady_nanos).saturating_add(self.time_ahead_micros).max(self.held_micros)
    }
}

pub(super) const fn micros(nanos: u64) -> i64 {
    // A quotient by 1000 fits.
    (nanos / 1000).cast_signed()
}

/// How far the two clocks may drift apart while a lease holds. Both are slewed together, so that
/// only a set date or a suspension takes them apart; each may lag by a tick of 10 ms, and a thread
/// may be held up between reading one and the other.
const CLOCKS_AGREE_MICROS: u64 = 50_000;
