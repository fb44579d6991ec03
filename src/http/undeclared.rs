//! Refusing what nobody has declared.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use tower_layer::layer_fn;
use tower_service::Service;

use crate::http::answer::{Answers, Denial};
use crate::http::routes::Declared;
use crate::http::stage::Stage;

/// Refuses, on the host's whole router, every route that is not among these.
///
/// axum cannot list the routes of a router, so this is found out when one is asked for: a path
/// that is not declared is 500 and its handler is never called, a method that a declared path
/// does not declare is 405. Unknown paths are left to the router, and so is its fallback, which
/// has no path to declare.
///
/// Which paths are declared is all that it looks at: [`Routes`](crate::http::Routes) enforce their needs
/// themselves, and what else is declared with [`Declared::new`] answers for itself.
pub fn guard<S, T>(declared: &[Declared<S>], router: Router<T>) -> Router<T>
where
    T: Clone + Send + Sync + 'static,
{
    let mut methods: Methods = HashMap::new();
    for route in declared {
        let known = methods.entry(route.path.clone()).or_default();
        known.push(route.method.clone());
        if route.method == Method::GET {
            known.push(Method::HEAD);
        }
    }
    let methods = Arc::new(methods);
    router.layer(layer_fn(move |inner| Guarded { methods: Arc::clone(&methods), inner }))
}

/// Those of each declared path.
type Methods = HashMap<String, Vec<Method>>;

/// A route that is reached only if it is declared.
#[derive(Clone)]
struct Guarded<V> {
    methods: Arc<Methods>,
    inner: V,
}

impl<V> Service<Request> for Guarded<V>
where
    V: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Stage<V::Future, Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match refusal(&self.methods, &request) {
            None => Stage::Serving { served: self.inner.call(request) },
            response => Stage::Answered { response },
        }
    }
}

fn refusal(methods: &Methods, request: &Request) -> Option<Response> {
    let path = request.extensions().get::<MatchedPath>()?;
    let Some(known) = methods.get(path.as_str()) else {
        return Some(Answers::default().response(&Denial::Undeclared));
    };
    if known.contains(request.method()) {
        return None;
    }
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    let allowed: Vec<&str> = known.iter().map(Method::as_str).collect();
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(",")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    Some(response)
}
