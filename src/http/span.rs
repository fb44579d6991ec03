//! The span in which a request is served, so that every log line of it names the token.

use crate::http::credentials::Credentials;

/// Entered whenever the request's future is polled. Without the feature `tracing`, or where nobody
/// listens, it is nothing.
pub(super) struct TokenSpan {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl TokenSpan {
    /// A span of its own for a request that presents a token; none for others.
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

    /// Does this inside of it.
    pub(super) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        act()
    }
}
