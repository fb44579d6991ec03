//! The least that verifying a token can be: a digest, at which nobody looks.

use std::hint::black_box;
use std::task::{Context, Poll};

use http::Request;
use http::header::AUTHORIZATION;
use sha2::block_api::compress256;
use tower::Service;

#[derive(Clone)]
pub(crate) struct Digesting<V>(pub(crate) V);

impl<V: Service<Request<Q>>, Q> Service<Request<Q>> for Digesting<V> {
    type Response = V::Response;
    type Error = V::Error;
    type Future = V::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), V::Error>> {
        self.0.poll_ready(context)
    }

    /// As long as this crate's texts are, one block is digested.
    fn call(&mut self, request: Request<Q>) -> V::Future {
        let value = request.headers().get(AUTHORIZATION).unwrap();
        let mut state = black_box([0; 8]);
        compress256(&mut state, &[*value.as_bytes().last_chunk().unwrap()]);
        black_box(state);
        self.0.call(request)
    }
}
