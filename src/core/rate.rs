//! How often something may be done.

use serde::{Deserialize, Serialize};

/// So many uses in so many seconds, each of which is given back after its share of them.
///
/// All of them may be used at once. From then on one comes back every `seconds / uses` (the generic
/// cell rate algorithm), so that no time of any length `t` holds more than
/// `uses + uses * t / seconds`.
///
/// ```
/// use keyfob::core::rate::{InvalidRate, Rate};
///
/// let hourly = Rate::new(3_600, 3_600)?;
/// assert!(Rate::new(10, 10)?.is_within(hourly), "no burst is longer, and no hour holds more");
/// assert!(!hourly.is_within(Rate::new(10, 10)?));
/// assert!(Rate::new(0, 60).is_err());
/// # Ok::<(), InvalidRate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rate {
    uses: u32,
    seconds: u32,
}

impl Rate {
    /// As many as any token needs in a day, and few enough to be told apart by a clock.
    pub const MOST_USES: u32 = 1_000_000;

    /// A day. What has been used is known to a process alone: a longer time would outlast it.
    pub const MOST_SECONDS: u32 = 86_400;

    /// So many uses in so many seconds.
    ///
    /// # Errors
    ///
    /// [`InvalidRate`] unless there are 1 to [`MOST_USES`](Self::MOST_USES) in 1 to
    /// [`MOST_SECONDS`](Self::MOST_SECONDS).
    pub const fn new(uses: u32, seconds: u32) -> Result<Self, InvalidRate> {
        if uses >= 1 && uses <= Self::MOST_USES && seconds >= 1 && seconds <= Self::MOST_SECONDS {
            Ok(Self { uses, seconds })
        } else {
            Err(InvalidRate)
        }
    }

    /// How many.
    #[must_use]
    pub const fn uses(self) -> u32 {
        self.uses
    }

    /// In how many seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.seconds
    }

    /// Whether whatever this admits, the other one does too.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        let share = |uses: u32, seconds: u32| u64::from(uses).saturating_mul(u64::from(seconds));
        self.uses <= other.uses
            && share(self.uses, other.seconds) <= share(other.uses, self.seconds)
    }
}

/// No rate: there are 1 to 1,000,000 uses in 1 to 86,400 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate: 1 to 1000000 uses in 1 to 86400 seconds")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct InvalidRate;

impl InvalidRate {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_rate"
    }
}

/// As it is stored, and not yet looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    uses: u32,
    seconds: u32,
}

impl TryFrom<Written> for Rate {
    type Error = InvalidRate;

    fn try_from(written: Written) -> Result<Self, InvalidRate> {
        Self::new(written.uses, written.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_uses_and_seconds_within_bounds() {
        for (uses, seconds) in [(1, 1), (Rate::MOST_USES, Rate::MOST_SECONDS)] {
            let rate = Rate::new(uses, seconds).unwrap();
            assert_eq!((rate.uses(), rate.seconds()), (uses, seconds));
        }
        for (uses, seconds) in
            [(0, 1), (1, 0), (Rate::MOST_USES + 1, 1), (1, Rate::MOST_SECONDS + 1)]
        {
            assert_eq!(Rate::new(uses, seconds), Err(InvalidRate));
        }
    }

    #[test]
    fn a_rate_is_within_another_by_its_burst_and_by_its_pace() {
        let rate = |uses, seconds| Rate::new(uses, seconds).unwrap();
        assert!(rate(60, 60).is_within(rate(60, 60)));
        assert!(rate(60, 61).is_within(rate(60, 60)));
        assert!(rate(10, 10).is_within(rate(60, 60)));
        assert!(!rate(60, 59).is_within(rate(60, 60)), "the pace is faster");
        assert!(!rate(61, 120).is_within(rate(60, 60)), "the burst is longer");
    }
}
