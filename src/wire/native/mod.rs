//! A JSON token API for hosts without a legacy.

mod codec;
mod desk;
mod keys;
mod object;
mod openapi;
mod query;
mod refuse;
mod routes;
mod schema;

use std::sync::Arc;

use axum::Router;

use crate::core::id::Kind;
use crate::core::scope::Scope;
use crate::http::{Answers, BearerLayer, Routes};
use crate::ports::directory::Directory;
use crate::service::Tokens;

/// The token routes, over a service and the host's accounts.
///
/// | route | what it does | who may |
/// |---|---|---|
/// | `GET /tokens` | lists the caller's tokens | `reading` |
/// | `POST /tokens` | issues one, and shows its secret | `managing` |
/// | `GET /tokens/current` | shows the presented token | any token |
/// | `DELETE /tokens/current` | revokes the presented token | any token |
/// | `GET /tokens/{id}` | shows one | `reading` |
/// | `PATCH /tokens/{id}` | renames or narrows one | `managing` |
/// | `DELETE /tokens/{id}` | revokes one | `managing` |
/// | `POST /tokens/{id}/deactivate`, `/reactivate` | blocks one, lets it work again | `managing` |
/// | `POST /tokens/{id}/rotate` | gives one a new secret, and shows it | `managing` |
/// | `POST /owners/{id}/deactivate`, `/reactivate` | blocks all of an owner's | `managing`, administrators |
/// | `GET /openapi.json` | describes all this | everybody |
///
/// Whoever may do something is asked twice: the token must be granted the scope, and its owner
/// must have the right now, as the [`Directory`] says. A token reaches the tokens of its own owner
/// only; those of others are as if they did not exist, unless its owner is an administrator.
///
/// Rotating shows a secret, so it is judged as issuing is: a token gives no other token a new
/// secret unless its kind may issue tokens and its own grant covers that token's, and it gives
/// itself no longer life unless it may issue as its owner does.
///
/// Errors are `application/problem+json` with a `code`, and a `field` where one is at fault.
/// Instants are RFC 3339 in UTC with microseconds.
#[derive(Debug)]
pub struct Native<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    needs: Needs<S>,
    issuers: Option<Vec<Kind>>,
}

/// Which scopes the routes need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a call looks or it changes something")]
pub struct Needs<S> {
    /// To see tokens.
    pub reading: S,
    /// To issue and change them.
    pub managing: S,
}

impl<S: Scope> Native<S> {
    /// The routes over this service and these accounts.
    #[must_use]
    pub fn new(tokens: Tokens<S>, directory: Arc<dyn Directory>, needs: Needs<S>) -> Self {
        let layer = BearerLayer::new(tokens).with_directory(Arc::clone(&directory));
        Self { layer, directory, needs, issuers: None }
    }

    /// With these answers to requests that are not let in.
    #[must_use]
    pub fn with_answers(mut self, answers: Answers) -> Self {
        self.layer = self.layer.with_answers(answers);
        self
    }

    /// With tokens of these kinds alone to issue others, and to give them new secrets or life: for
    /// hosts whose policy lets more of them, for the sake of another face.
    #[must_use]
    pub fn issued_by(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.issuers = Some(kinds.into_iter().collect());
        self
    }

    /// Asking the store about every token, whatever this process knows of it.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.layer = self.layer.strict();
        self
    }

    /// The layer that the routes stand behind.
    #[must_use]
    pub const fn layer(&self) -> &BearerLayer<S> {
        &self.layer
    }

    /// The routes, to be merged with the host's own or put under a prefix; they are served behind
    /// [`layer`](Native::layer).
    pub fn routes<T: Clone + Send + Sync + 'static>(&self) -> Routes<S, T> {
        routes::routes(self)
    }

    /// The router that serves them.
    pub fn into_router<T: Clone + Send + Sync + 'static>(self) -> Router<T> {
        self.routes().into_router(&self.layer)
    }

    /// The `OpenAPI` 3.1 document, as JSON.
    #[must_use]
    pub fn openapi(&self) -> String {
        openapi::document(&self.routes::<()>().declared())
    }
}
