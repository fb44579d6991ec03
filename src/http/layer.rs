//! Judging what a request presents, before anybody serves it.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::core::scope::Scope;
use crate::http::answer::Answers;
use crate::http::credentials::Credentials;
use crate::http::evidence::Evidence;
use crate::http::gate::{Gate, client_address, conceal};
use crate::http::query::has_access_token;
use crate::http::span::{Spanned, TokenSpan};
use crate::http::stage::{Stage, found_ready};
use crate::ports::directory::Directory;
use crate::service::Tokens;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

/// Judges the bearer token of each request, and leaves [`Evidence`] in its extensions.
///
/// | what the request presents | what happens |
/// |---|---|
/// | no `Authorization` header | passed on, [`Credentials::Absent`] |
/// | another scheme's credentials | passed on, [`Credentials::OtherScheme`] |
/// | a bearer token without a prefix of this host | passed on, [`Credentials::NotOurs`] |
/// | a token of this host that is accepted | passed on, [`Credentials::Token`] |
/// | a token of this host that is refused, for whatever reason | 401, the same bytes each time |
/// | a token of this host that was used as often as its rate allows | 429 with `Retry-After` |
/// | what cannot be read one way | 400 |
/// | a token of this host, while the store cannot be asked | 503 with `Retry-After` |
///
/// It does so on every route that it stands before, public ones included: a request that meant to
/// authenticate is not served as somebody else's, or as nobody's. A route that must work whatever
/// the header says, such as a login, stands outside of the layer.
///
/// Where every route is behind it, `layer.layer(router.with_state(()))` spares each request the box in
/// which `router.layer(layer)` keeps what is behind a layer. A router that is not handed to
/// `axum::serve` itself is to be given its state, which may be none: else it makes its routes anew for
/// each request.
///
/// A token in use costs no allocation but the box that `http`'s extensions keep the evidence in.
/// The header is marked sensitive, so that `Debug` of it hides the token from then on. With the
/// feature `tracing`, a request with a token is served in a span of that name, whose `id` is the
/// token's: whatever is logged meanwhile says which token it was.
pub struct BearerLayer<S: Scope> {
    gate: Arc<Gate<S>>,
}

impl<S: Scope> BearerLayer<S> {
    /// A layer that asks this service, and answers in the default realm.
    #[must_use]
    pub fn new(tokens: Tokens<S>) -> Self {
        Self { gate: Arc::new(Gate::new(tokens)) }
    }

    /// With these answers.
    #[must_use]
    pub fn with_answers(self, answers: Answers) -> Self {
        let gate = Gate { answers, ..Arc::unwrap_or_clone(self.gate) };
        Self { gate: Arc::new(gate) }
    }

    /// With the host's accounts: what a route needs must then be granted to the token *and* be
    /// something that its owner may do now.
    #[must_use]
    pub fn with_directory(self, directory: Arc<dyn Directory>) -> Self {
        let gate = Gate { directory: Some(directory), ..Arc::unwrap_or_clone(self.gate) };
        Self { gate: Arc::new(gate) }
    }

    /// Asking the store about every token, whatever this process knows of it.
    #[must_use]
    pub fn strict(self) -> Self {
        let gate = Gate { strict: true, ..Arc::unwrap_or_clone(self.gate) };
        Self { gate: Arc::new(gate) }
    }

    /// The service that it asks.
    #[must_use]
    pub fn tokens(&self) -> &Tokens<S> {
        &self.gate.tokens
    }

    /// The answers that it gives.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.gate.answers
    }

    /// Judges a token that a wire carries in a way of its own, as strictly as those that this layer
    /// reads itself, coming from this address.
    ///
    /// # Errors
    ///
    /// [`AuthenticateError`].
    pub async fn authenticate(
        &self,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Verified, AuthenticateError> {
        self.gate.authenticate(text, address).await
    }

    /// Evidence for a token that the host found elsewhere and has authenticated itself, to be put
    /// into the extensions of the request.
    #[must_use]
    pub fn evidence(&self, verified: Verified) -> Evidence<S> {
        Evidence::new(Credentials::Token(verified), Arc::clone(&self.gate))
    }
}

impl<S: Scope> Clone for BearerLayer<S> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate) }
    }
}

impl<S: Scope> fmt::Debug for BearerLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerLayer").field("gate", &self.gate).finish()
    }
}

impl<S: Scope, V> Layer<V> for BearerLayer<S> {
    type Service = BearerService<S, V>;

    fn layer(&self, inner: V) -> BearerService<S, V> {
        BearerService { gate: Arc::clone(&self.gate), inner }
    }
}

/// What [`BearerLayer`] makes of a service.
pub struct BearerService<S: Scope, V> {
    gate: Arc<Gate<S>>,
    inner: V,
}

impl<S: Scope, V: Clone> Clone for BearerService<S, V> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate), inner: self.inner.clone() }
    }
}

impl<S: Scope, V> fmt::Debug for BearerService<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerService").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl<S, V, Q, P> Service<Request<Q>> for BearerService<S, V>
where
    S: Scope,
    V: Service<Request<Q>, Response = Response<P>> + Clone + Send + 'static,
    V::Future: Send,
    Q: Send + 'static,
    P: From<String> + 'static,
{
    type Response = Response<P>;
    type Error = V::Error;
    type Future = BearerFuture<V::Future, Response<P>, V::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), V::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let address = client_address(request.extensions());
        let is_exposed = request.uri().query().is_some_and(has_access_token);
        let sole = conceal(request.headers_mut()).filter(|_| !is_exposed);
        let Some(credentials) = sole.and_then(|value| self.gate.recognise(value, address)) else {
            return self.judge(request, address);
        };
        // Not by [`Spanned::call`]: whoever is handed a request to hand it on gets a copy of it.
        match admit(&self.gate, &mut request, credentials) {
            None => serving(Spanned::outside(self.inner.call(request))),
            Some(span) => serving(Spanned::call_within(&mut self.inner, request, span)),
        }
    }
}

impl<S: Scope, V> BearerService<S, V> {
    /// Judges what a request presents that the index does not recognise.
    // Never inline, so that what is recognised lies close together: between two requests the kernel
    // leaves little of it in the caches.
    #[inline(never)]
    fn judge<Q, P>(
        &mut self,
        mut request: Request<Q>,
        address: Option<IpAddr>,
    ) -> BearerFuture<V::Future, Response<P>, V::Error>
    where
        V: Service<Request<Q>, Response = Response<P>> + Clone + Send + 'static,
        V::Future: Send,
        Q: Send + 'static,
        P: From<String> + 'static,
    {
        let stage = match self.gate.judge_now(request.headers(), request.uri(), address) {
            Some(Ok(credentials)) => {
                let span = admit(&self.gate, &mut request, credentials);
                Stage::Serving { served: Spanned::call(&mut self.inner, request, span) }
            }
            Some(Err(denial)) => {
                Stage::Answered { response: Some(self.gate.answers.response(&denial)) }
            }
            None => {
                let (gate, inner) = (Arc::clone(&self.gate), found_ready(&mut self.inner));
                Stage::Asking { asking: Box::pin(ask(gate, inner, request, address)) }
            }
        };
        BearerFuture { stage }
    }
}

/// Leaves evidence of what a request presents in it, and opens the span to serve it in, if there is one.
#[inline(always)]
fn admit<S: Scope, Q>(
    gate: &Arc<Gate<S>>,
    request: &mut Request<Q>,
    credentials: Credentials,
) -> Option<TokenSpan> {
    let span = TokenSpan::of(&credentials);
    gate.attach(credentials, request.extensions_mut());
    span
}

/// The future of a request that is being served.
#[inline(always)]
fn serving<F, R, E>(served: Spanned<F>) -> BearerFuture<F, R, E> {
    BearerFuture { stage: Stage::Serving { served } }
}

/// The path that must ask the store.
async fn ask<S, V, Q, P>(
    gate: Arc<Gate<S>>,
    mut inner: V,
    request: Request<Q>,
    address: Option<IpAddr>,
) -> Result<Response<P>, V::Error>
where
    S: Scope,
    V: Service<Request<Q>, Response = Response<P>> + Send,
    V::Future: Send,
    Q: Send,
    P: From<String>,
{
    // Taken apart, since a request's body need not be shareable between threads.
    let (parts, body) = request.into_parts();
    match gate.judge(&parts.headers, &parts.uri, address).await {
        Ok(credentials) => {
            let mut request = Request::from_parts(parts, body);
            let span = admit(&gate, &mut request, credentials);
            Spanned::call(&mut inner, request, span).await
        }
        Err(denial) => Ok(gate.answers.response(&denial)),
    }
}

pin_project! {
    /// The future of a [`BearerService`].
    pub struct BearerFuture<F, R, E> {
        #[pin]
        stage: Stage<Spanned<F>, R, E>,
    }
}

impl<F: Future<Output = Result<R, E>>, R, E> Future for BearerFuture<F, R, E> {
    type Output = Result<R, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().stage.poll(context)
    }
}

impl<F, R, E> fmt::Debug for BearerFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerFuture").finish_non_exhaustive()
    }
}
