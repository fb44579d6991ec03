//! Attempts are counted before they are compared, and a limit is a limit.

use chrono::{DateTime, TimeDelta, Utc};

use super::harness::{FOR_GOOD, FactorHarness, in_all, until, within};
use crate::core::id::OwnerId;
use crate::ports::factors::{AttemptLimit, Reservation};
use crate::testing::laws::harness::{RACERS, race};
use crate::testing::sample::{self, after, start};

const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

pub(super) fn a_limit_grants_that_many_attempts(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    for attempts in [1, 3, 10] {
        let counter = format!("{attempts} in all");
        assert_eq!(
            store.granted(&owner, &counter, &[in_all(attempts)], start()),
            attempts as usize
        );
        for now in [start(), after(1), DateTime::<Utc>::MAX_UTC] {
            assert_eq!(store.reserve(&owner, &counter, &[in_all(attempts)], now), FOR_GOOD);
        }
    }
}

pub(super) fn a_limit_of_zero_grants_nothing(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    for limit in [in_all(0), within(0, 0), within(0, 60)] {
        assert_eq!(store.reserve(&owner, "c", &[limit], start()), FOR_GOOD, "{limit:?}");
    }
    assert_eq!(store.reserve(&owner, "c", &[in_all(9), within(0, 60)], start()), FOR_GOOD);
    assert_eq!(store.granted(&owner, "c", &[in_all(1)], start()), 1);
}

pub(super) fn attempts_without_a_limit_count_too(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    for _ in 0..4 {
        assert_eq!(store.reserve(&owner, "c", &[], start()), Reservation::Granted);
    }
    assert_eq!(store.reserve(&owner, "c", &[in_all(4)], start()), FOR_GOOD);
    assert_eq!(store.reserve(&owner, "c", &[within(4, 60)], start()), until(after(60)));
    assert_eq!(store.granted(&owner, "c", &[in_all(6)], start()), 2);
}

pub(super) fn a_limit_holds_under_contention(harness: &FactorHarness<'_>) {
    let store = harness.store();
    for (n, limit) in [in_all(10), within(10, 60), in_all(1), within(31, 60)].iter().enumerate() {
        let owner = sample::owner(n as u32);
        let answers = race(|_| store.reserve(&owner, "c", &[*limit], start()));
        let granted = answers.iter().filter(|answer| **answer == Reservation::Granted).count();
        assert_eq!(granted, limit.attempts as usize, "{limit:?}");
    }
}

pub(super) fn several_limits_hold_together(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let limits = [within(4, 100), in_all(5), within(2, 10)];
    let at = |seconds| store.reserve(&owner, "c", &limits, after(seconds));
    assert_eq!((at(0), at(1)), (Reservation::Granted, Reservation::Granted));
    assert_eq!(at(2), until(after(10)));
    assert_eq!((at(10), at(11)), (Reservation::Granted, Reservation::Granted));
    // Two of them are reached: the later end counts.
    assert_eq!(at(12), until(after(100)));
    assert_eq!(at(99), until(after(100)));
    assert_eq!(at(100), Reservation::Granted);
    assert_eq!(at(101), FOR_GOOD);
    assert_eq!(at(999), FOR_GOOD);
}

pub(super) fn a_window_slides(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let at = |seconds| store.reserve(&owner, "c", &[within(3, 10)], after(seconds));
    for seconds in [0, 4, 8] {
        assert_eq!(at(seconds), Reservation::Granted);
    }
    // Each of them makes room for one, in its turn.
    for (full, ends) in [(9, 10), (13, 14), (17, 18), (19, 20)] {
        assert_eq!(at(full), until(after(ends)));
        assert_eq!(at(ends), Reservation::Granted);
    }
    assert_eq!(store.granted(&owner, "c", &[within(3, 10)], after(99)), 3);
}

pub(super) fn a_locked_attempt_is_told_until_when(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let odd = start() + TimeDelta::microseconds(123_457);
    let limit = AttemptLimit { attempts: 2, within: Some(TimeDelta::microseconds(7_654_321)) };
    let at = |instant| store.reserve(&owner, "c", &[limit], instant);
    assert_eq!((at(odd), at(odd + MICROSECOND)), (Reservation::Granted, Reservation::Granted));
    let ends = odd + TimeDelta::microseconds(7_654_321);
    assert_eq!(at(odd + MICROSECOND), until(ends));
    assert_eq!(at(ends - MICROSECOND), until(ends));
    assert_eq!(at(ends), Reservation::Granted);
    assert_eq!(at(ends), until(ends + MICROSECOND));
}

pub(super) fn a_locked_attempt_counts_for_nothing(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let limits = [within(2, 10), in_all(4)];
    assert_eq!(store.granted(&owner, "c", &limits, start()), 2);
    for seconds in 1..10 {
        assert_eq!(store.reserve(&owner, "c", &limits, after(seconds)), until(after(10)));
    }
    assert_eq!(store.granted(&owner, "c", &limits, after(10)), 2);
    assert_eq!(store.reserve(&owner, "c", &limits, after(20)), FOR_GOOD);
}

pub(super) fn peeking_tells_what_reserving_would_and_counts_nothing(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let limits = [within(2, 10), in_all(5)];
    for seconds in [0, 1, 2, 9, 10, 11, 12, 20, 21, 99] {
        let at = after(seconds);
        let told = [(); 4].map(|()| store.peek(&owner, "c", &limits, at));
        let answer = store.reserve(&owner, "c", &limits, at);
        assert_eq!(told, [answer; 4], "after {seconds} seconds");
        assert_eq!(store.peek(&owner, "another", &limits, at), Reservation::Granted);
    }
}

pub(super) fn a_clock_that_goes_back_grants_nothing_more(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let at = |seconds| store.reserve(&owner, "c", &[within(3, 10)], after(seconds));
    assert_eq!((at(100), at(101)), (Reservation::Granted, Reservation::Granted));
    assert_eq!(at(50), Reservation::Granted);
    for seconds in [49, 50, 55, 59] {
        assert_eq!(at(seconds), until(after(60)));
    }
    assert_eq!(at(60), Reservation::Granted);
    assert_eq!(at(-1_000_000), until(after(70)));
    // What was made while the clock was back has ended, and what was made before has not.
    assert_eq!((at(105), at(106)), (Reservation::Granted, until(after(110))));
}

pub(super) fn a_window_may_have_no_end(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let forever = AttemptLimit { attempts: 2, within: Some(TimeDelta::MAX) };
    assert_eq!(store.granted(&owner, "c", &[forever], start()), 2);
    for now in [start(), after(999_999_999), DateTime::<Utc>::MAX_UTC] {
        assert_eq!(store.reserve(&owner, "c", &[forever], now), FOR_GOOD);
    }
}

pub(super) fn a_window_holds_two_hundred(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let most = within(AttemptLimit::MOST_WITHIN, 60);
    let more = within(u32::MAX, 60);
    for n in 0..AttemptLimit::MOST_WITHIN {
        let now = start() + MICROSECOND * i32::try_from(n).expect("a small number");
        assert_eq!(store.reserve(&owner, "c", &[more], now), Reservation::Granted, "number {n}");
    }
    for limit in [most, more] {
        assert_eq!(store.reserve(&owner, "c", &[limit], after(1)), until(after(60)));
    }
    assert_eq!(store.granted(&owner, "c", &[most], after(60)), 1);
    // The total is counted as far as numbers go.
    let total = AttemptLimit::MOST_WITHIN + 1;
    assert_eq!(store.reserve(&owner, "c", &[in_all(total)], after(60)), FOR_GOOD);
    assert_eq!(store.granted(&owner, "c", &[in_all(total + 2)], after(60)), 2);
}

pub(super) fn attempts_are_counted_by_owner_and_counter(harness: &FactorHarness<'_>) {
    let store = harness.store();
    let ascii = OwnerId::new("OWNER-1").expect("an owner id");
    for owner in [sample::owner(1), sample::owner(11), ascii] {
        for counter in ["totp", "TOTP", "totp ", "tötp", "totp:1", ""] {
            assert_eq!(store.granted(&owner, counter, &[in_all(2)], start()), 2, "{counter:?}");
        }
    }
    assert_eq!(store.reserve(&sample::owner(1), "totp", &[in_all(2)], start()), FOR_GOOD);
}

pub(super) fn cleared_attempts_are_forgotten(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    store.clear(&owner, "c");
    let limits = [in_all(5), within(3, 60)];
    for _ in 0..3 {
        assert_eq!(store.granted(&owner, "c", &limits, start()), 3);
        store.clear(&owner, "c");
    }
    assert_eq!(store.granted(&owner, "c", &[in_all(5)], start()), 5);
}

pub(super) fn clearing_reaches_one_counter_only(harness: &FactorHarness<'_>) {
    let store = harness.store();
    let (one, other) = (sample::owner(1), sample::owner(2));
    let counters = [(&one, "totp"), (&one, "email"), (&other, "totp")];
    for (owner, counter) in counters {
        assert_eq!(store.granted(owner, counter, &[in_all(2)], start()), 2);
    }
    store.clear(&one, "totp");
    let left = counters.map(|(owner, name)| store.granted(owner, name, &[in_all(2)], start()));
    assert_eq!(left, [2, 0, 0]);
}

pub(super) fn nobody_forgets_because_others_fail(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(0));
    assert_eq!(store.granted(&owner, "c", &[in_all(3)], start()), 3);
    race(|n| {
        for other in 0..OTHERS / RACERS as u64 {
            let owner = OwnerId::new(format!("other {n} {other}")).expect("an owner id");
            assert_eq!(store.reserve(&owner, "c", &[in_all(3)], start()), Reservation::Granted);
        }
    });
    assert_eq!(store.reserve(&owner, "c", &[in_all(3)], start()), FOR_GOOD);
}

/// As many as a store answers for in a test. What holds a bounded number of owners holds fewer, or
/// says how many.
const OTHERS: u64 = 4096;

pub(super) fn a_dropped_reservation_gives_no_free_attempt(harness: &FactorHarness<'_>) {
    let (store, owner) = (harness.store(), sample::owner(1));
    let limits = [in_all(10)];
    let begun = (0..6).map(|_| store.begin_to_reserve(&owner, "c", &limits, start()));
    let granted = begun.filter(|answer| *answer == Some(Reservation::Granted)).count();
    // One that had no answer was counted or was not; one that was granted was counted.
    let left = store.granted(&owner, "c", &limits, start());
    assert!((4..=10 - granted).contains(&left), "{granted} and {left} of ten were granted");
    assert_eq!(store.reserve(&owner, "c", &limits, after(1)), FOR_GOOD);
}
