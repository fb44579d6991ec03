//! Serving a request only if what it presents is what its route needs.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::core::scope::Scope;
use crate::http::answer::{Answers, Denial};
use crate::http::evidence::Evidence;
use crate::http::routes::Need;
use crate::http::stage::{Stage, found_ready};

/// A layer to stand between the [bearer layer](crate::http::BearerLayer) and a handler.
pub(super) fn enforce<S: Scope, V>(
    need: Need<S>,
) -> impl Layer<V, Service = Enforced<S, V>> + Clone + Send + Sync + 'static {
    let need = Arc::new(need);
    layer_fn(move |inner| Enforced { need: Arc::clone(&need), inner })
}

/// A handler that is reached only by those who may.
#[derive(Clone)]
pub(super) struct Enforced<S, V> {
    need: Arc<Need<S>>,
    inner: V,
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
