//! The floor of verification around a service: what `verify` and `scale` measure beside this crate.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http::header::AUTHORIZATION;
use tower::Service;

use crate::rounds::floor::Floor;

/// Verifies the token of a request, and looks at nothing else.
#[derive(Clone)]
pub(crate) struct OnFloor<V>(pub(crate) Arc<Floor>, pub(crate) V);

impl<V: Service<Request<Q>>, Q> Service<Request<Q>> for OnFloor<V> {
    type Response = V::Response;
    type Error = V::Error;
    type Future = V::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), V::Error>> {
        self.1.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> V::Future {
        let value = request.headers().get(AUTHORIZATION).unwrap().to_str().unwrap();
        black_box(self.0.verify(value.strip_prefix("Bearer ").unwrap()));
        self.1.call(request)
    }
}
