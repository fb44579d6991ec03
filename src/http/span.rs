//! The span in which a request is served, so that every log line of it names the token.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::http::credentials::Credentials;

/// Entered whenever the request's future is polled. Without the feature `tracing`, or where nobody
/// listens, it is nothing.
pub(super) struct TokenSpan {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl TokenSpan {
    /// A span of its own for a request that presents a token; none for others.
    #[inline]
    pub(super) fn of(credentials: &Credentials) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = credentials;
        Self {
            #[cfg(feature = "tracing")]
            span: match credentials {
                Credentials::Token(verified) => tracing::info_span!("token", id = %verified.id()),
                _ => tracing::Span::none(),
            },
        }
    }

    /// Inside of it until what this returns is dropped.
    #[inline]
    pub(super) fn enter(&self) -> impl Sized + '_ {
        #[cfg(feature = "tracing")]
        return self.span.enter();
        #[cfg(not(feature = "tracing"))]
        ()
    }
}

pin_project! {
    /// A future that is inside of a span whenever it is polled.
    pub(super) struct Spanned<F> {
        #[pin]
        pub(super) future: F,
        pub(super) span: TokenSpan,
    }
}

impl<F: Future> Future for Spanned<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        this.future.poll(context)
    }
}
