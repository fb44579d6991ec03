//! How many requests somebody may make, where the host counts them.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
#[cfg(any(feature = "mattermost", feature = "rocketchat"))]
use http::{HeaderMap, HeaderValue};

use crate::core::id::OwnerId;

/// Counts requests, and says who has made too many: by route, address or account, as the host
/// wants it.
///
/// A face that has one asks it once for each request that is somebody's, and tells each of those
/// callers what is left, in the words of its product. It must answer at once; a count that several
/// nodes share is for the host to keep near at hand.
pub trait Limiter: fmt::Debug + Send + Sync + 'static {
    /// Counts one request to a route, such as `POST /api/v1/users.generatePersonalAccessToken`,
    /// unless there were too many already.
    fn take(&self, route: &str, address: Option<IpAddr>, account: Option<&OwnerId>) -> Allowance;
}

/// What a [`Limiter`] says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a limiter must say all of it")]
pub struct Allowance {
    /// Whether this one may go on.
    pub is_admitted: bool,
    /// How many there may be until `resets_at`, and this one among them.
    pub limit: u32,
    /// How many there may still be.
    pub remaining: u32,
    /// When counting begins anew.
    pub resets_at: DateTime<Utc>,
}

#[cfg(any(feature = "mattermost", feature = "rocketchat"))]
impl Allowance {
    /// How many seconds are left until then. A part of one rounds up: trying again a moment early
    /// would fail.
    pub(crate) fn seconds_left(&self, now: DateTime<Utc>) -> u64 {
        let wait = self.resets_at.signed_duration_since(now);
        let part = i64::from(wait.subsec_nanos() > 0);
        wait.num_seconds().saturating_add(part).try_into().unwrap_or_default()
    }

    /// Tells what is left, in the headers that both products have. What the last one counts differs.
    pub(crate) fn tell(&self, reset: impl Into<HeaderValue>, headers: &mut HeaderMap) {
        headers.insert("x-ratelimit-limit", self.limit.into());
        headers.insert("x-ratelimit-remaining", self.remaining.into());
        headers.insert("x-ratelimit-reset", reset.into());
    }
}
