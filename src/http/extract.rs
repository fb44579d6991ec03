//! Evidence in an axum handler's arguments.

use std::fmt;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::core::id::{Kind, OwnerId};
use crate::core::scope::{Grant, Scope};
use crate::http::answer::{Answers, Denial};
use crate::http::credentials::Credentials;
use crate::http::evidence::Evidence;
use crate::service::verified::Verified;
use crate::service::{By, Tokens};

/// The token that a request presents, accepted: a handler that takes it cannot be reached
/// without one.
///
/// It needs [`BearerLayer`](crate::http::BearerLayer) before the handler, and nothing of the
/// router's state. `Option<Authenticated<S>>` is for handlers that also serve others: it is `None`
/// where no token of this host was presented.
///
/// ```
/// use axum::{Router, routing::get};
/// use keyfob::http::{Authenticated, BearerLayer};
/// use keyfob::{ReadWrite, Tokens};
///
/// async fn me(caller: Authenticated<ReadWrite>) -> String {
///     caller.owner().to_string()
/// }
///
/// fn router(tokens: Tokens<ReadWrite>) -> Router {
///     Router::new().route("/me", get(me)).layer(BearerLayer::new(tokens))
/// }
/// ```
pub struct Authenticated<S: Scope> {
    evidence: Evidence<S>,
    verified: Verified,
    owner: OwnerId,
}

impl<S: Scope> Authenticated<S> {
    /// The evidence.
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whom the token acts as.
    #[must_use]
    pub const fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// What the token is for.
    #[must_use]
    pub fn kind(&self) -> Option<&Kind> {
        self.tokens().kind_of(&self.verified)
    }

    /// What the token may do; `None` when it was granted no scope that is still known.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant<S>> {
        self.tokens().grant_of(&self.verified)
    }

    /// The service that accepted it.
    #[must_use]
    pub fn tokens(&self) -> &Tokens<S> {
        self.evidence.tokens()
    }

    /// The token, as somebody who asks for a change.
    #[must_use]
    pub const fn by(&self, administrator: bool) -> By<'_> {
        By::Token { verified: &self.verified, administrator }
    }

    /// Whether the token may do this, given what its owner may do now.
    ///
    /// # Errors
    ///
    /// [`Denied`], for the handler to return: 403, naming the scope that is needed.
    pub fn permits(&self, needed: &S, rights: &Grant<S>) -> Result<(), Denied> {
        let permitted = self.tokens().permits(&self.verified, needed, rights);
        permitted.map_err(|refusal| self.deny(Denial::of(refusal, Some(&needed.name()))))
    }

    /// Whether the token may do this, and its owner too as far as the layer's directory says.
    ///
    /// # Errors
    ///
    /// [`Denied`], for the handler to return: 403 or 503.
    pub async fn requires(&self, needed: &S) -> Result<(), Denied> {
        let permitted = self.evidence.permits(needed).await;
        permitted.map(|_| ()).map_err(|denial| self.deny(denial))
    }

    /// An answer to this request.
    #[must_use]
    pub fn deny(&self, denial: Denial) -> Denied {
        Denied { denial, answers: self.evidence.answers().clone() }
    }
}

impl<S: Scope> fmt::Debug for Authenticated<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("verified", &self.verified)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<S: Scope, T: Sync> FromRequestParts<T> for Authenticated<S> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _state: &T) -> Result<Self, Denied> {
        let evidence = evidence::<S>(parts)?;
        let denied = |denial| Denied { denial, answers: evidence.answers().clone() };
        let verified = evidence.token().map_err(denied)?;
        // Evidence of another service is somebody's mistake, and nobody's.
        let owner = evidence.tokens().owner_of(&verified).cloned();
        let owner = owner.ok_or_else(|| denied(Denial::NoEvidence))?;
        Ok(Self { evidence, verified, owner })
    }
}

impl<S: Scope, T: Sync> OptionalFromRequestParts<T> for Authenticated<S> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Option<Self>, Denied> {
        match evidence::<S>(parts)?.credentials() {
            Credentials::Absent | Credentials::NotOurs | Credentials::OtherScheme => Ok(None),
            Credentials::Token(_) => {
                <Self as FromRequestParts<T>>::from_request_parts(parts, state).await.map(Some)
            }
        }
    }
}

fn evidence<S: Scope>(parts: &Parts) -> Result<Evidence<S>, Denied> {
    let missing = || Denied { denial: Denial::NoEvidence, answers: Answers::default() };
    parts.extensions.get().cloned().ok_or_else(missing)
}

/// A [`Denial`] with the answers of the layer that it comes from.
#[derive(Clone, Debug)]
pub struct Denied {
    denial: Denial,
    answers: Answers,
}

impl Denied {
    /// Why.
    #[must_use]
    pub const fn denial(&self) -> &Denial {
        &self.denial
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        self.answers.response(&self.denial)
    }
}
