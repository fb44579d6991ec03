//! Routes that say what they need.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use crate::core::scope::Scope;
use crate::http::enforce::enforce;
use crate::http::layer::BearerLayer;

/// What a route needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever lists routes must decide about each")]
pub enum Need<S> {
    /// Nothing. What the request presents is judged all the same.
    Public,
    /// A token with this scope, of an owner who may do this now.
    Scope(S),
    /// Any live token.
    Token,
}

/// A route, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared<S> {
    /// The method.
    pub method: Method,
    /// The path, in axum's spelling.
    pub path: String,
    /// What it needs.
    pub need: Need<S>,
}

impl<S> Declared<S> {
    /// A route that enforces its need by itself, for [`guard`](crate::http::guard) to know.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>, need: Need<S>) -> Self {
        Self { method, path: path.into(), need }
    }
}

/// Routes of which each says what it needs: there is no way to add one that does not.
///
/// The need is enforced before the handler is called. A method that a path does not have is 405
/// and an unknown path 404, whoever asks.
///
/// ```
/// use keyfob::http::{Authenticated, BearerLayer, Need, Routes};
/// use keyfob::{ReadWrite, Tokens};
///
/// async fn list(caller: Authenticated<ReadWrite>) -> String {
///     format!("messages for {}", caller.owner())
/// }
///
/// fn router(tokens: Tokens<ReadWrite>) -> axum::Router {
///     let routes: Routes<ReadWrite> = Routes::new()
///         .get("/messages", Need::Scope(ReadWrite::Read), list)
///         .get("/health", Need::Public, async || "well");
///     routes.into_router(&BearerLayer::new(tokens))
/// }
/// ```
#[derive(Debug)]
#[must_use = "routes serve nothing until they are a router"]
pub struct Routes<S: Scope, T = ()> {
    routes: Vec<(Declared<S>, MethodRouter<T>)>,
}

impl<S: Scope, T: Clone + Send + Sync + 'static> Routes<S, T> {
    /// No routes.
    pub const fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// With a route for `GET`, which also serves `HEAD`.
    pub fn get<H: Handler<X, T>, X: 'static>(self, path: &str, need: Need<S>, handler: H) -> Self {
        self.route((Method::GET, MethodFilter::GET), path, need, handler)
    }

    /// With a route for `POST`.
    pub fn post<H: Handler<X, T>, X: 'static>(self, path: &str, need: Need<S>, handler: H) -> Self {
        self.route((Method::POST, MethodFilter::POST), path, need, handler)
    }

    /// With a route for `PUT`.
    pub fn put<H: Handler<X, T>, X: 'static>(self, path: &str, need: Need<S>, handler: H) -> Self {
        self.route((Method::PUT, MethodFilter::PUT), path, need, handler)
    }

    /// With a route for `PATCH`.
    pub fn patch<H, X>(self, path: &str, need: Need<S>, handler: H) -> Self
    where
        H: Handler<X, T>,
        X: 'static,
    {
        self.route((Method::PATCH, MethodFilter::PATCH), path, need, handler)
    }

    /// With a route for `DELETE`.
    pub fn delete<H, X>(self, path: &str, need: Need<S>, handler: H) -> Self
    where
        H: Handler<X, T>,
        X: 'static,
    {
        self.route((Method::DELETE, MethodFilter::DELETE), path, need, handler)
    }

    /// With these routes too.
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self
    }

    /// The same routes below a prefix, such as `/api`; the route `/` becomes the prefix itself.
    pub fn under(mut self, prefix: &str) -> Self {
        for (declared, _) in &mut self.routes {
            let rest = if declared.path == "/" { "" } else { &declared.path };
            declared.path = format!("{prefix}{rest}");
        }
        self
    }

    /// The routes of a router that needs no further state.
    pub fn with_state<U>(self, state: T) -> Routes<S, U> {
        let routes = self.routes.into_iter();
        let routes = routes
            .map(|(declared, handler)| (declared, handler.with_state(state.clone())))
            .collect();
        Routes { routes }
    }

    /// The routes, each with what it needs.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared<S>> {
        self.routes.iter().map(|(declared, _)| declared.clone()).collect()
    }

    /// The router that serves them, each behind the layer.
    ///
    /// # Panics
    ///
    /// As [`Router::route`] does: when two routes have the same method and path, or a path is not
    /// one.
    pub fn into_router(self, layer: &BearerLayer<S>) -> Router<T> {
        let routes = self.routes.into_iter();
        routes.fold(Router::new(), |router, (declared, handler)| {
            // Both at once, since axum keeps what is behind a layer in a box.
            let both = (layer.clone(), enforce(declared.need));
            router.route(&declared.path, handler.route_layer(both))
        })
    }

    fn route<H: Handler<X, T>, X: 'static>(
        mut self,
        (method, filter): (Method, MethodFilter),
        path: &str,
        need: Need<S>,
        handler: H,
    ) -> Self {
        self.routes.push((Declared::new(method, path, need), on(filter, handler)));
        self
    }
}

impl<S: Scope, T: Clone + Send + Sync + 'static> Default for Routes<S, T> {
    fn default() -> Self {
        Self::new()
    }
}
