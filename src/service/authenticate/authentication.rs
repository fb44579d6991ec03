//! An authentication that is awaited.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::scope::Scope;
use crate::core::verify::Access;
use crate::service::Inner;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

type Verdict = Result<Verified, AuthenticateError>;

/// An authentication under way: nothing is done before it is polled. Polled again after its verdict,
/// which nobody may do, it judges anew or panics.
///
/// Written by hand, since an `async fn` keeps a verdict in its own state before it is moved out
/// from there, which takes a fifth of a verification that hits.
pub(super) struct Authentication<'a, S: Scope> {
    inner: &'a Inner<S>,
    text: &'a str,
    access: &'a Access<'a, S>,
    /// The rest, when only the store can tell.
    waiting: Option<Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>>,
}

impl<'a, S: Scope> Authentication<'a, S> {
    pub(super) const fn new(inner: &'a Inner<S>, text: &'a str, access: &'a Access<'a, S>) -> Self {
        Self { inner, text, access, waiting: None }
    }

    /// Goes on with a text that was not recognised, and whose claim is without fault.
    #[inline(never)]
    fn settle(&mut self, is_claim: bool, cx: &mut Context<'_>) -> Poll<Verdict> {
        match self.inner.settle(self.text, is_claim, self.access) {
            Some(verdict) => Poll::Ready(verdict),
            None => self.wait(cx),
        }
    }

    /// Asks the store, or goes on asking.
    #[inline(never)]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        let (inner, text, access) = (self.inner, self.text, self.access);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(inner.conclude(text, access)));
        waiting.as_mut().poll(cx)
    }
}

impl<S: Scope> Future for Authentication<'_, S> {
    type Output = Verdict;

    // Always inline, so that a verdict stays where it is awaited.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let this = self.get_mut();
        if this.waiting.is_some() {
            return this.wait(cx);
        }
        let claim = this.inner.rules.format.claim(this.text.as_bytes());
        if let Ok(claim) = &claim
            && let Some(verified) = this.inner.recognise(claim, this.access)
        {
            return Poll::Ready(Ok(verified));
        }
        if let Some(error) = this.inner.fault(this.text, claim) {
            return Poll::Ready(Err(error));
        }
        this.settle(claim.is_ok(), cx)
    }
}
