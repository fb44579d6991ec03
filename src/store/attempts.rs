//! What a counter of attempts remembers, and whether one more may be made.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::core::verify::micros;
use crate::ports::factors::{AttemptLimit, Reservation};

/// One owner's attempts under one counter, since they were cleared.
///
/// What is remembered does not depend on the limits, so that other limits find it tomorrow. A store
/// keeps it as JSON in one row, and reads, decides and writes in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// How many there were in all.
    total: u64,
    /// The instants of the latest of them, in microseconds, in order: enough for any limit in a time.
    latest: Vec<i64>,
}

impl Attempts {
    /// Counts an attempt, unless a limit is reached already: what every store must answer.
    ///
    /// A refusal changes nothing.
    pub(super) fn reserve(&mut self, limits: &[AttemptLimit], now: DateTime<Utc>) -> Reservation {
        let now = micros(now);
        let ends = limits.iter().map(|limit| self.end_of(limit));
        // All limits that are reached must have ended before there is another attempt.
        let end = ends.max().unwrap_or(End::At(i64::MIN));
        if end > End::At(now) {
            return Reservation::Locked { until: end.instant() };
        }
        self.total = self.total.saturating_add(1);
        let place = self.latest.partition_point(|earlier| *earlier <= now);
        self.latest.insert(place, now);
        if self.latest.len() > most_within() {
            self.latest.remove(0);
        }
        Reservation::Granted
    }

    /// When this limit lets the next attempt pass.
    fn end_of(&self, limit: &AttemptLimit) -> End {
        let Some(within) = limit.within else {
            let reached = self.total >= u64::from(limit.attempts);
            return if reached { End::Never } else { End::At(i64::MIN) };
        };
        if limit.attempts == 0 {
            return End::Never;
        }
        // The limit is reached while as many attempts count: until the first of the last so many
        // no longer does.
        let attempts = usize::try_from(limit.attempts).unwrap_or(usize::MAX).min(most_within());
        let first = self.latest.len().checked_sub(attempts).and_then(|at| self.latest.get(at));
        first.map_or(End::At(i64::MIN), |first| End::after(*first, within))
    }
}

/// When a limit ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// At this microsecond.
    At(i64),
    /// When the attempts are cleared, or later than time can be written.
    Never,
}

impl End {
    fn after(instant: i64, within: TimeDelta) -> Self {
        let within = within.max(TimeDelta::zero()).num_microseconds();
        let end = within.and_then(|within| instant.checked_add(within));
        end.map_or(Self::Never, Self::At)
    }

    fn instant(self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(micros) => DateTime::from_timestamp_micros(micros),
            Self::Never => None,
        }
    }
}

fn most_within() -> usize {
    usize::try_from(AttemptLimit::MOST_WITHIN).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails where it should")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All attempts for ever, each limit counted anew.
    #[derive(Default)]
    struct Naive(Vec<i128>);

    impl Naive {
        fn count(&self, limit: &AttemptLimit, now: i128) -> usize {
            let Some(within) = limit.within else {
                return self.0.len();
            };
            let within = i128::from(within.num_microseconds().unwrap().max(0));
            self.0.iter().filter(|at| **at + within > now).count()
        }

        fn is_locked(&self, limits: &[AttemptLimit], now: i128) -> bool {
            limits.iter().any(|limit| {
                let most = limit.within.map_or(u32::MAX, |_| AttemptLimit::MOST_WITHIN);
                self.count(limit, now) >= limit.attempts.min(most) as usize
            })
        }
    }

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn limits() -> impl Strategy<Value = Vec<AttemptLimit>> {
        let within = prop::option::weighted(0.8, (-2_i64..40).prop_map(TimeDelta::microseconds));
        let attempts = prop_oneof![9 => 0_u32..8, 1 => 195_u32..210];
        let limit =
            (attempts, within).prop_map(|(attempts, within)| AttemptLimit { attempts, within });
        prop::collection::vec(limit, 0..4)
    }

    proptest! {
        /// Limits change, and the clock jumps either way; what is kept goes through its text.
        #[test]
        fn what_is_remembered_decides_like_all_attempts_that_ever_were(
            steps in prop::collection::vec((limits(), -8_i64..12), 1..400),
        ) {
            let (mut attempts, mut naive, mut now) = (Attempts::default(), Naive::default(), 0);
            for (limits, step) in steps {
                now += step;
                let before = attempts.clone();
                let answer = attempts.reserve(&limits, at(now));
                let locked = naive.is_locked(&limits, i128::from(now));
                prop_assert_eq!(answer != Reservation::Granted, locked);
                match answer {
                    Reservation::Granted => naive.0.push(i128::from(now)),
                    Reservation::Locked { until } => {
                        prop_assert_eq!(&attempts, &before);
                        match until.map(micros) {
                            Some(until) => {
                                prop_assert!(naive.is_locked(&limits, i128::from(until) - 1));
                                prop_assert!(!naive.is_locked(&limits, i128::from(until)));
                            }
                            None => prop_assert!(naive.is_locked(&limits, i128::MAX >> 1)),
                        }
                    }
                }
                let text = serde_json::to_string(&attempts).unwrap();
                prop_assert!(text.len() < 4096, "{} bytes", text.len());
                attempts = serde_json::from_str(&text).unwrap();
            }
        }
    }

    #[test]
    fn no_window_is_too_long_and_no_instant_too_far() {
        for now in [DateTime::<Utc>::MIN_UTC, at(0), DateTime::<Utc>::MAX_UTC] {
            for within in [TimeDelta::MIN, TimeDelta::zero(), TimeDelta::MAX] {
                let limits = [AttemptLimit { attempts: 1, within: Some(within) }];
                let mut attempts = Attempts::default();
                assert_eq!(attempts.reserve(&limits, now), Reservation::Granted);
                let second = attempts.reserve(&limits, now);
                let locked = within > TimeDelta::zero();
                assert_eq!(second == Reservation::Locked { until: None }, locked, "{within} {now}");
            }
        }
    }
}
