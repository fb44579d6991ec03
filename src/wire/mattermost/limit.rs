//! The limit of requests, where the host has one.

use axum::extract::{MatchedPath, Request};
use chrono::{DateTime, Utc};
use http::HeaderMap;

use crate::http::{Allowance, Limiter, client_address};

/// What the limiter says of a request: by route and address, before anybody knows whose it is, as
/// the product does it.
pub(super) fn take(limiter: &dyn Limiter, request: &Request) -> Allowance {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = path.unwrap_or_else(|| request.uri().path());
    let address = client_address(request.extensions());
    limiter.take(&format!("{} {path}", request.method()), address, None)
}

/// In the product's headers, which count seconds from now.
pub(super) fn tell(allowance: &Allowance, now: DateTime<Utc>, headers: &mut HeaderMap) {
    allowance.tell(allowance.seconds_left(now), headers);
}
