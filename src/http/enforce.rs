//! Serving a request only if what it presents is what its route needs.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use tower_layer::Layer;
use tower_service::Service;

use crate::core::scope::Scope;
use crate::http::answer::{Answers, Denial};
use crate::http::evidence::Evidence;
use crate::http::routes::Need;
use crate::http::stage::{Stage, found_ready};

/// Stands between the [layer](crate::http::BearerLayer) and a handler.
pub(super) struct Enforce<S> {
    need: Arc<Need<S>>,
}

impl<S> Enforce<S> {
    pub(super) fn new(need: Need<S>) -> Self {
        Self { need: Arc::new(need) }
    }
}

impl<S> Clone for Enforce<S> {
    fn clone(&self) -> Self {
        Self { need: Arc::clone(&self.need) }
    }
}

impl<S, V> Layer<V> for Enforce<S> {
    type Service = Enforced<S, V>;

    fn layer(&self, inner: V) -> Enforced<S, V> {
        Enforced { need: Arc::clone(&self.need), inner }
    }
}

/// What [`Enforce`] makes of a handler.
pub(super) struct Enforced<S, V> {
    need: Arc<Need<S>>,
    inner: V,
}

impl<S, V: Clone> Clone for Enforced<S, V> {
    fn clone(&self) -> Self {
        Self { need: Arc::clone(&self.need), inner: self.inner.clone() }
    }
}

impl<S, V> Service<Request> for Enforced<S, V>
where
    S: Scope,
    V: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    V::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Stage<V::Future, Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(evidence) = request.extensions().get::<Evidence<S>>() else {
            let response = Some(Answers::default().response(&Denial::NoEvidence));
            return Stage::Answered { response };
        };
        let permitted = match &*self.need {
            Need::Public => Ok(()),
            Need::Token => evidence.token().map(drop),
            Need::Scope(needed) => match evidence.permits_now(needed) {
                Some(permitted) => permitted.map(drop),
                None => {
                    let (evidence, needed) = (evidence.clone(), needed.clone());
                    let asking = ask(evidence, needed, found_ready(&mut self.inner), request);
                    return Stage::Asking { asking: Box::pin(asking) };
                }
            },
        };
        match permitted {
            Ok(()) => Stage::Serving { served: self.inner.call(request) },
            Err(denial) => Stage::Answered { response: Some(evidence.answers().response(&denial)) },
        }
    }
}

/// The path that must ask the host.
async fn ask<S, V>(
    evidence: Evidence<S>,
    needed: S,
    mut inner: V,
    request: Request,
) -> Result<Response, Infallible>
where
    S: Scope,
    V: Service<Request, Response = Response, Error = Infallible>,
{
    match evidence.permits(&needed).await {
        Ok(_) => inner.call(request).await,
        Err(denial) => Ok(evidence.answers().response(&denial)),
    }
}
