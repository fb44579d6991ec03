//! What the layer leaves in a request.

use std::fmt;
use std::sync::Arc;

use crate::core::error::Refusal;
use crate::core::scope::{Grant, Scope};
use crate::http::answer::{Answers, Denial};
use crate::http::credentials::Credentials;
use crate::http::gate::Gate;
use crate::service::Tokens;
use crate::service::verified::Verified;

/// What a request presents, and whom to ask about it: an extension of the request.
///
/// A request without it has not been through the layer, which is not the same as a request
/// without a token.
pub struct Evidence<S: Scope> {
    credentials: Credentials,
    gate: Arc<Gate<S>>,
}

impl<S: Scope> Evidence<S> {
    pub(super) const fn new(credentials: Credentials, gate: Arc<Gate<S>>) -> Self {
        Self { credentials, gate }
    }

    /// What the request presents.
    #[must_use]
    pub const fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// The service that judged it.
    #[must_use]
    pub fn tokens(&self) -> &Tokens<S> {
        &self.gate.tokens
    }

    /// The answers that go with it.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.gate.answers
    }

    /// The accepted token.
    ///
    /// # Errors
    ///
    /// [`Denial::NoCredentials`] or, for a bearer token that nobody took, [`Denial::InvalidToken`].
    pub const fn token(&self) -> Result<Verified, Denial> {
        match self.credentials {
            Credentials::Absent | Credentials::OtherScheme => Err(Denial::NoCredentials),
            Credentials::NotOurs => Err(Denial::InvalidToken),
            Credentials::Token(verified) => Ok(verified),
        }
    }

    /// Whether the accepted token may do this: whether it is granted to the token, and whether
    /// the owner may do it now, if the layer was given a directory.
    ///
    /// # Errors
    ///
    /// Those of [`token`](Evidence::token), [`Denial::InsufficientScope`] and
    /// [`Denial::Unavailable`].
    pub async fn permits(&self, needed: &S) -> Result<Verified, Denial> {
        // What the token was never granted costs the host no question.
        let verified = self.permits_within(&Grant::Full, needed)?;
        let Some(directory) = &self.gate.directory else {
            return Ok(verified);
        };
        let rights = self.gate.rights(&**directory, &verified).await;
        match rights.map_err(|_| Denial::Unavailable)? {
            Some(rights) => self.permits_within(&rights, needed),
            None => Err(Denial::of(Refusal::ScopeMissing, Some(&needed.name()))),
        }
    }

    /// The same if the host need not be asked.
    #[cfg(feature = "axum")]
    pub(super) fn permits_now(&self, needed: &S) -> Option<Result<Verified, Denial>> {
        let granted = self.permits_within(&Grant::Full, needed);
        (granted.is_err() || self.gate.directory.is_none()).then_some(granted)
    }

    fn permits_within(&self, rights: &Grant<S>, needed: &S) -> Result<Verified, Denial> {
        let verified = self.token()?;
        let permitted = self.gate.tokens.permits(&verified, needed, rights);
        let refused = |refusal| Denial::of(refusal, Some(&needed.name()));
        permitted.map(|()| verified).map_err(refused)
    }
}

impl<S: Scope> Clone for Evidence<S> {
    fn clone(&self) -> Self {
        Self { credentials: self.credentials, gate: Arc::clone(&self.gate) }
    }
}

impl<S: Scope> fmt::Debug for Evidence<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}
