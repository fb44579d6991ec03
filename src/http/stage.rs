//! How far a request has come that is judged before it is served.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    #[project = StageProjection]
    pub(super) enum Stage<F, R, E> {
        /// It is not served, and this is the answer.
        Answered { response: Option<R> },
        /// Somebody is asked about it, and it is served after that.
        Asking { asking: Pin<Box<dyn Future<Output = Result<R, E>> + Send>> },
        Serving { #[pin] served: F },
    }
}

impl<F: Future<Output = Result<R, E>>, R, E> Future for Stage<F, R, E> {
    type Output = Result<R, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            // Polled again after it was done, it never wakes; nobody may do that.
            StageProjection::Answered { response } => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            StageProjection::Asking { asking } => {
                Poll::Ready(ready!(asking.as_mut().poll(context)))
            }
            StageProjection::Serving { served } => served.poll(context),
        }
    }
}

/// The service that was found ready, to go with a request; a clone of it may not be ready.
pub(super) fn found_ready<V: Clone>(service: &mut V) -> V {
    let next = service.clone();
    std::mem::replace(service, next)
}
