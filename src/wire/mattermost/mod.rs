//! Mattermost's token routes, as its own clients call them.
//!
//! Paths, keys and their order, statuses and error ids are the product's. Where it gives away what
//! it need not, this face does better within the same wire:
//!
//! - A store that is away is 503 with `Retry-After`, not 401 or 500: clients throw away tokens that
//!   they are told are invalid.
//! - A token in the query is refused without being looked at, with the answer that the product
//!   gives to those it knows. Cookies are not read.
//! - Lists are in the order of creation; without one, pages repeat and skip.
//! - A revoked token cannot be found, as in the product, and is kept for the audit log.
//! - Whoever asks for a secret, or that a token work again, is judged anew in the step that does
//!   it, and its token gives no more than it holds.
//! - Nobody gets a token for an account that is deactivated.
//! - An expiry in the past is refused for bots too.

mod caller;
mod codec;
mod desk;
mod failure;
mod limit;
mod object;
mod openapi;
mod refuse;
mod roles;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, EXPIRES, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};

use crate::core::id::TokenId;
use crate::core::scope::Scope;
use crate::core::shape::Shape;
use crate::http::{BearerLayer, Declared, Limiter};
use crate::ports::directory::Directory;
use crate::ports::entropy::Generator;

pub use self::caller::Caller;
pub use self::failure::{Failure, Field, Step};

/// Mattermost's face of a service.
///
/// | route below `/api/v4/users` | what it does | needs |
/// |---|---|---|
/// | `POST /{user_id}/tokens` | creates one, and shows its secret | `managing` |
/// | `GET /{user_id}/tokens` | lists an account's | `reading` |
/// | `GET /tokens` | lists everybody's | `reading`, administrators |
/// | `GET /tokens/{token_id}` | shows one | `reading` |
/// | `POST /tokens/search` | finds by token id, account id or user name | `reading`, administrators |
/// | `POST /tokens/revoke`, `/disable`, `/enable` | ends one, blocks it, lets it work again | `managing` |
/// | `POST /tokens/rotate` | gives one a new secret, and shows it | `managing` |
/// | `GET /tokens/non_compliant/count` | counts those that live longer than is allowed | `reading`, administrators |
/// | `POST /tokens/non_compliant/revoke` | revokes those | `managing`, administrators |
///
/// Tokens of the kind [`personal`](crate::Kind::personal) are all that it shows; a token's name is
/// its `description`.
///
/// # Who may
///
/// The roles of an [`Account`](crate::ports::directory::Account) decide, by these names:
///
/// | role | what it is for |
/// |---|---|
/// | `system_admin` | everything |
/// | `system_user_access_token` | tokens at all, of one's own account |
/// | `system_user_manager` | with it, those of other people, but not of administrators, and no secret of somebody whom the [`Directory`] calls one |
/// | `manage_bots` | with it, those of bots that belong to the account |
/// | `manage_others_bots` | with it, those of other bots |
/// | [`REMOTE_ROLE`] | marks an account of another server, which gets no tokens here |
///
/// A token of the kind [`APP_KIND`] is an app's, which may look and change nothing. A session stands
/// for the person; any other token gives secrets of its own account only, enables only what does no
/// more than itself, and neither unless the policy of its kind lets it mint:
/// [`Minting::AsOwner`](crate::Minting::AsOwner) is how the product does it, by which its users cycle
/// their tokens.
///
/// # Lifetimes
///
/// A token without `expires_at` never expires, here and after a rotation. A service whose policy
/// forbids that, or limits lifetimes itself, refuses it in the product's words, bots' tokens
/// included; the limit of [`Settings`] exempts those. To be just like the product, let the policy of
/// personal tokens allow `never_expires` and set neither `longest_lifetime` nor `quota`.
#[derive(Clone, Debug)]
pub struct Mattermost<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    needs: Needs<S>,
    settings: Settings,
    shape: Option<Shape>,
    limiter: Option<Arc<dyn Limiter>>,
}

/// Which scopes the routes need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a call looks or it changes something")]
pub struct Needs<S> {
    /// To see tokens.
    pub reading: S,
    /// To create and change them.
    pub managing: S,
}

/// What the product's administrator sets about tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the product has these two")]
pub struct Settings {
    /// Whether people may create tokens and use them; bots may all the same.
    pub enabled: bool,
    /// How many days a person's token may live when it is created or rotated; zero for no limit.
    /// Older ones work until somebody revokes those that do not comply.
    pub maximum_lifetime_days: u32,
}

/// The role of accounts that belong to another server and are only mirrored here.
pub const REMOTE_ROLE: &str = "remote_user";

/// The kind of tokens that apps are given to act for an account.
pub const APP_KIND: &str = "oauth";

impl<S: Scope> Mattermost<S> {
    /// The face of the service behind this layer. A strict layer asks the store about each token
    /// here too.
    #[must_use]
    pub fn new(
        layer: BearerLayer<S>,
        directory: Arc<dyn Directory>,
        needs: Needs<S>,
        settings: Settings,
    ) -> Self {
        let layer = layer.with_directory(Arc::clone(&directory));
        Self { layer, directory, needs, settings, shape: None, limiter: None }
    }

    /// Giving new secrets this shape, usually [`Shape::MATTERMOST`]; native ones unless set.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// Counting requests, the host's own among them, as this limiter does. Each answer then tells
    /// what is left, and a request too many is [`LimitExceeded`](Failure::LimitExceeded), as if the
    /// product's own limit were on. There is none unless set.
    #[must_use]
    pub fn limited_by(mut self, limiter: Arc<dyn Limiter>) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// The routes, each with what it needs, for [`guard`](crate::http::guard) to know. They read
    /// and judge the header themselves, since the layer takes one scheme and answers otherwise.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared<S>> {
        routes::routes::<S, ()>(self).into_iter().map(|(declared, _)| declared).collect()
    }

    /// The `OpenAPI` 3.1 document of these routes, as JSON.
    #[must_use]
    pub fn openapi(&self) -> String {
        openapi::document(self)
    }

    /// The router that serves them, to be merged with the host's own; it does not stand behind the
    /// layer. Whatever is below `/api/v4/` and no route of the host's is
    /// [`UnknownRoute`](Failure::UnknownRoute).
    pub fn into_router<T: Clone + Send + Sync + 'static>(self) -> Router<T> {
        let routes = routes::routes(&self).into_iter();
        let router = routes.fold(Router::new(), |router, (declared, handler)| {
            router.route(&declared.path, handler)
        });
        let beyond = self.answering(Router::new().fallback(unknown));
        self.answering(router).nest("/api/v4/", beyond)
    }

    /// Makes a router answer as the product does: with its headers, each [`Failure`] with the id of
    /// the request that failed, and a method that a path does not have as a route that there is not.
    /// For the host's own routes of this product; those of
    /// [`into_router`](Mattermost::into_router) do it already.
    ///
    /// [`guard`](crate::http::guard) has its own word for such methods. To have the product's,
    /// guard the host's own routes before they are given to this.
    pub fn answering<T: Clone + Send + Sync + 'static>(&self, router: Router<T>) -> Router<T> {
        let answer = from_fn_with_state(self.clone(), answer::<S>);
        router.method_not_allowed_fallback(unknown).layer(answer)
    }
}

async fn unknown() -> Failure {
    Failure::UnknownRoute
}

async fn answer<S: Scope>(
    State(face): State<Mattermost<S>>,
    request: Request,
    next: Next,
) -> Response {
    let tokens = face.layer.tokens();
    let is_get = *request.method() == Method::GET;
    // Without randomness nothing is issued either, and requests go without a name.
    let id = TokenId::random(&mut Generator(&**tokens.entropy()));
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let allowance = face.limiter.as_ref().map(|limiter| limit::take(&**limiter, &request));
    let mut response = match &allowance {
        Some(allowance) if !allowance.is_admitted => {
            let seconds = allowance.seconds_left(tokens.now());
            Failure::LimitExceeded { seconds }.into_response()
        }
        _ => next.run(request).await,
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = failure.response(&id);
    }
    let headers = response.headers_mut();
    if let Some(allowance) = &allowance {
        limit::tell(allowance, tokens.now(), headers);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(""));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_get {
        headers.insert(EXPIRES, HeaderValue::from_static("0"));
    }
    response
}
