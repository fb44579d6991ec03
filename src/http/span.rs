//! The span in which a request is served, so that every log line of it names the token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::http::credentials::Credentials;

/// The span of a request whose token is accepted, where somebody listens.
#[cfg(feature = "tracing")]
pub(super) struct TokenSpan(tracing::Span);

/// Without the feature `tracing` there is none.
#[cfg(not(feature = "tracing"))]
pub(super) enum TokenSpan {}

impl TokenSpan {
    /// A span of its own for a request that presents a token; none for others, or where nobody listens.
    #[inline(always)]
    pub(super) fn of(credentials: &Credentials) -> Option<Self> {
        #[cfg(feature = "tracing")]
        if let Credentials::Token(verified) = credentials {
            let span = tracing::info_span!("token", id = %verified.id());
            return (!span.is_disabled()).then_some(Self(span));
        }
        #[cfg(not(feature = "tracing"))]
        let _ = credentials;
        None
    }

    /// Inside of it until what this returns is dropped.
    #[inline]
    fn enter(&self) -> impl Sized + '_ {
        #[cfg(feature = "tracing")]
        return self.0.enter();
        #[cfg(not(feature = "tracing"))]
        match *self {}
    }
}

pin_project! {
    /// A future that is inside of its span, if it has one, whenever it is polled.
    pub(super) struct Spanned<F> {
        #[pin]
        future: F,
        span: Option<TokenSpan>,
    }
}

// A request without a span goes a way of its own, by which nothing is to be left if the service panics.
// Where something is, its future and its answer are written down, and then copied to where they belong;
// and a copy waits for what was written just before it. That is a fifth of what the layer takes between
// two requests.
impl<F> Spanned<F> {
    /// The future of a request that has no span.
    #[inline(always)]
    pub(super) const fn outside(future: F) -> Self {
        Self { future, span: None }
    }

    /// Serves a request, inside of its span if it has one.
    pub(super) fn call<V, Q>(service: &mut V, request: Request<Q>, span: Option<TokenSpan>) -> Self
    where
        V: Service<Request<Q>, Future = F>,
    {
        match span {
            None => Self::outside(service.call(request)),
            Some(span) => Self::call_within(service, request, span),
        }
    }

    /// Serves a request inside of its span.
    #[cold]
    pub(super) fn call_within<V, Q>(service: &mut V, request: Request<Q>, span: TokenSpan) -> Self
    where
        V: Service<Request<Q>, Future = F>,
    {
        let future = {
            let _entered = span.enter();
            service.call(request)
        };
        Self { future, span: Some(span) }
    }
}

impl<F: Future> Future for Spanned<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.span {
            None => this.future.poll(context),
            Some(span) => poll_within(span, this.future, context),
        }
    }
}

#[cold]
fn poll_within<F: Future>(
    span: &TokenSpan,
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let _entered = span.enter();
    future.poll(context)
}
