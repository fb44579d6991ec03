//! The one unit of time: microseconds since 1970, in the years that every wire can write.

use chrono::{DateTime, TimeDelta, Utc};

/// The last instant that a token may name: 9999-12-31T23:59:59.999999Z. RFC 3339 has no year
/// 10000, so a later one could not be written on any of the wires.
pub const LATEST: DateTime<Utc> = match DateTime::from_timestamp_micros(253_402_300_799_999_999) {
    Some(latest) => latest,
    None => DateTime::<Utc>::MAX_UTC,
};

/// `at`, rounded down to the microsecond: rounding never makes a token live longer.
#[must_use]
pub fn rounded_down(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// `at`, rounded up to the microsecond, for the beginning of a validity.
#[must_use]
pub fn rounded_up(at: DateTime<Utc>) -> DateTime<Utc> {
    let down = rounded_down(at);
    if down == at { at } else { down.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(at) }
}

/// Whether `at` lies in the years 1970 to 9999, which every store and every wire can hold.
#[must_use]
pub fn is_in_range(at: DateTime<Utc>) -> bool {
    (DateTime::UNIX_EPOCH..=LATEST).contains(&at)
}
