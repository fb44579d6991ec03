//! The proof that no route was forgotten, for a host's own tests.

use std::fmt;
use std::future::poll_fn;

use axum::body::Body;
use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::http::routes::{Declared, Need};

/// A route that served somebody whom it should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unguarded {
    /// The method.
    pub method: Method,
    /// The path, in axum's spelling.
    pub path: String,
    /// Whether the powerless token was presented, or nothing.
    pub with_token: bool,
    /// What it answered; `None` when the service failed.
    pub status: Option<StatusCode>,
}

impl fmt::Display for Unguarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = (&self.method, &self.path);
        let presenting = if self.with_token { "a token without the scope" } else { "nothing" };
        write!(f, "{method} {path} served a request that presents {presenting}")
    }
}

/// Calls every declared route that is not public, without credentials and, where it needs a
/// scope, with a token that has none; returns those that answered other than 401 and 403.
///
/// `powerless` is the text of a live token that was granted a name outside of the vocabulary. A
/// parameter in a path becomes `0`, and bodies are empty: a need is judged before either is read.
///
/// # Errors
///
/// When `powerless` cannot stand in a header.
pub async fn unguarded_routes<S, V, B>(
    declared: &[Declared<S>],
    service: &V,
    powerless: &str,
) -> Result<Vec<Unguarded>, InvalidHeaderValue>
where
    S: Sync,
    V: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync,
    V::Future: Send,
    V::Error: Send,
    B: Send,
{
    let bearer = HeaderValue::try_from(format!("Bearer {powerless}"))?;
    let mut found = Vec::new();
    for route in declared {
        let tries: &[bool] = match route.need {
            Need::Public => &[],
            Need::Scope(_) => &[false, true],
            Need::Token => &[false],
        };
        for with_token in tries.iter().copied() {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = route.method.clone();
            if let Ok(uri) = filled(&route.path).parse() {
                *request.uri_mut() = uri;
            }
            if with_token {
                request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            }
            let status = status(service.clone(), request).await;
            let expected =
                if with_token { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            if status != Some(expected) {
                let (method, path) = (route.method.clone(), route.path.clone());
                found.push(Unguarded { method, path, with_token, status });
            }
        }
    }
    Ok(found)
}

async fn status<V, B>(mut service: V, request: Request<Body>) -> Option<StatusCode>
where
    V: Service<Request<Body>, Response = Response<B>> + Send,
    V::Future: Send,
    V::Error: Send,
    B: Send,
{
    poll_fn(|context| service.poll_ready(context)).await.ok()?;
    service.call(request).await.ok().map(|response| response.status())
}

/// The path with `0` for each parameter.
fn filled(path: &str) -> String {
    let segments = path.split('/');
    let segments: Vec<&str> =
        segments.map(|segment| if segment.contains('{') { "0" } else { segment }).collect();
    segments.join("/")
}
