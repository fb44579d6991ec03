//! The limit of requests, where the host has one.

use std::net::IpAddr;

use axum::response::{IntoResponse as _, Response};
use http::Method;

use super::{Caller, Failure, RocketChat};
use crate::core::scope::Scope;
use crate::http::Allowance;

impl<S: Scope> RocketChat<S> {
    /// Does the work if the limiter admits it. Whatever comes of that, the answer tells what is left.
    pub(super) async fn limited(
        &self,
        (method, path): (Method, &str),
        address: Option<IpAddr>,
        caller: &Caller,
        work: impl Future<Output = Result<Response, Failure>> + Send,
    ) -> Result<Response, Failure> {
        let Some(limiter) = &self.limiter else { return work.await };
        let account = &caller.account().id;
        let allowance = limiter.take(&format!("{method} {path}"), address, Some(account));
        let answered = if allowance.is_admitted { work.await } else { Err(self.wait(&allowance)) };
        let mut response = answered.unwrap_or_else(Failure::into_response);
        // An instant, in milliseconds since 1970.
        allowance.tell(allowance.resets_at.timestamp_millis(), response.headers_mut());
        Ok(response)
    }

    fn wait(&self, allowance: &Allowance) -> Failure {
        Failure::too_many_requests(allowance.seconds_left(self.two_factor.tokens().now()))
    }
}
