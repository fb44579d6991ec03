//! The routes of AWX's personal tokens, as its own clients call them.
//!
//! AWX is the open edition of Ansible Tower, whose release 24.6.1 is the last that has tokens. Paths,
//! keys and their order, statuses and texts are the product's. Where it gives away what it need not,
//! this face does better within the same wire:
//!
//! - A store that is away is 503 with `Retry-After`, not 401 or 500.
//! - Tokens of accounts that are deactivated are refused.
//! - `PUT` without a scope leaves the scope as it is. A change that would give a token more than it
//!   has is refused: that takes a new token.
//! - A list below an account's address is of that account's tokens.
//! - A query filters neither by secrets nor by regular expressions, which can take for ever, nor
//!   across relations, but for the user of a token; and it asks for so much and no more.
//! - A deleted token cannot be found, as in the product, and is kept for the audit log.
//! - Whoever makes a token by another one is judged anew in the step that does it, and gives no more
//!   than that one holds.
//! - Cookies and tokens in the query are not read.

mod caller;
mod cell;
mod codec;
mod description;
mod desk;
mod failure;
mod lookup;
mod metadata;
mod object;
mod openapi;
mod page;
mod refuse;
mod routes;
mod scopes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, HeaderName, VARY};
use http::{HeaderValue, StatusCode};

use self::caller::Known;
use crate::core::scope::Scope;
use crate::core::shape::Shape;
use crate::http::{BearerLayer, Declared};
use crate::ports::clock::Clock;
use crate::ports::directory::Directory;

pub use self::caller::{BasicCredentials, Caller, SignIn};
pub use self::cell::{Column, Holds};
pub use self::desk::page;
pub use self::failure::{BasicFault, Failure, FieldErrors};
pub use self::lookup::Table;

/// AWX's face of a service.
///
/// | route below `/api/v2`, each with its last slash | what it does | needs |
/// |---|---|---|
/// | `GET /tokens/` | lists all that the caller sees | `reading` |
/// | `POST /tokens/` | creates one, and shows its secret | `managing` |
/// | `GET /tokens/{token_id}/` | shows one | `reading` |
/// | `PATCH`, `PUT /tokens/{token_id}/` | changes its description, or narrows its scope | `managing` |
/// | `DELETE /tokens/{token_id}/` | revokes one | `managing` |
/// | `GET /tokens/{token_id}/activity_stream/` | tells what has become of one | `reading` |
/// | `GET`, `POST /users/{user_id}/personal_tokens/`, `/tokens/` | lists an account's; creates one | as above |
/// | `GET`, `POST /users/{user_id}/authorized_tokens/` | the same for applications, of which there are none | as above |
/// | `OPTIONS` of each | tells what the caller may do, for the product's command line | `reading` |
///
/// Tokens of the kind [`personal`](crate::Kind::personal) are all that it shows. A token's `id` is its
/// [`number`](crate::TokenRecord::number), an account's the number that the [`Directory`] knows; a path
/// may have a user name instead, and whoever may not see that account is told that there is none. A
/// token's `description` is its name, so that all faces show it; what is too long for a name, or has
/// line breaks, is its note, and the name begins like it.
///
/// # Who may
///
/// Everybody has tokens, and reaches their own. Accounts with the role `superuser` reach, and with
/// `system_auditor` see, everybody's. Whatever a path says, a new token is the caller's. It may be
/// asked for by a token, unless the policy of its kind lets it mint nothing
/// ([`Minting::AsOwner`](crate::Minting::AsOwner) is how the product does it), and by a password, if
/// the host has [given](Awx::signing_in) a way to check those.
///
/// # Scopes and lifetimes
///
/// A scope is `read`, `write`, or both; to write is to read too. [`Needs`] says what the two words are
/// in the host's vocabulary: what the routes need and what new tokens are granted. A token with a full
/// grant is shown as one that may `write`.
///
/// A new token lives as long as [`Settings`] say, or as the longest lifetime of the policy if that is
/// shorter. To be just like the product, let the policy of personal tokens set neither
/// `longest_lifetime` nor `quota`.
#[derive(Clone, Debug)]
pub struct Awx<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    needs: Needs<S>,
    settings: Settings,
    shape: Option<Shape>,
    sign_in: Option<Arc<dyn SignIn>>,
}

/// Which scopes the routes need, and new tokens are granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the product has two scopes")]
pub struct Needs<S> {
    /// The product's `read`.
    pub reading: S,
    /// The product's `write`.
    pub managing: S,
}

/// What the product's administrator sets about tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the product has these two")]
pub struct Settings {
    /// How many seconds a new token lives (`ACCESS_TOKEN_EXPIRE_SECONDS`).
    pub expire_seconds: u64,
    /// Whether accounts of an external provider may create tokens
    /// (`ALLOW_OAUTH2_FOR_EXTERNAL_USERS`); those that they have work all the same.
    pub external_users: bool,
}

impl Default for Settings {
    /// The product's own: a thousand years, and nothing for external accounts.
    fn default() -> Self {
        Self { expire_seconds: 31_536_000_000, external_users: false }
    }
}

/// The release of the product that is spoken.
pub const VERSION: &str = "24.6.1";

/// What the product calls the machine that answers.
pub const NODE: &str = "keyfob";

impl<S: Scope> Awx<S> {
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
        Self { layer, directory, needs, settings, shape: None, sign_in: None }
    }

    /// Giving new secrets this shape, usually [`Shape::AWX`]; native ones unless set.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// Taking passwords by HTTP Basic, as the product's clients present them to get a token. Without
    /// this every password is wrong.
    #[must_use]
    pub fn signing_in(mut self, sign_in: Arc<dyn SignIn>) -> Self {
        self.sign_in = Some(sign_in);
        self
    }

    /// The routes, each with what it needs, for [`guard`](crate::http::guard) to know. They read
    /// and judge the header themselves, since the layer takes one scheme and answers otherwise.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared<S>> {
        routes::routes::<S, ()>(self).into_iter().flat_map(|route| route.declared).collect()
    }

    /// The `OpenAPI` 3.1 document of these routes, as JSON.
    #[must_use]
    pub fn openapi(&self) -> String {
        openapi::document(self)
    }

    /// The router that serves them, to be merged with the host's own; it does not stand behind the
    /// layer. Whatever is below `/api/v2/` and no route of the host's is
    /// [`UnknownRoute`](Failure::UnknownRoute).
    pub fn into_router<T: Clone + Send + Sync + 'static>(self) -> Router<T> {
        let routes = routes::routes(&self).into_iter();
        let router =
            routes.fold(Router::new(), |router, route| router.route(route.path, route.handlers));
        let beyond = self.answering(Router::new().fallback(unknown));
        self.answering(router).nest("/api/v2/", beyond)
    }

    /// Makes a router answer as the product does: with its headers, with 404 instead of 403 where a
    /// path has a user name, and in its words where a path has no such method. For the host's own
    /// routes of this product; those of [`into_router`](Awx::into_router) do it already.
    ///
    /// [`guard`](crate::http::guard) has its own word for such methods. To have the product's,
    /// guard the host's own routes before they are given to this. On the host's own routes it is
    /// said to whoever asks, known or not.
    pub fn answering<T: Clone + Send + Sync + 'static>(&self, router: Router<T>) -> Router<T> {
        let clock = Arc::clone(self.layer.tokens().clock());
        router
            .method_not_allowed_fallback(routes::other_method)
            .layer(from_fn_with_state(clock, answer))
    }
}

async fn unknown() -> Failure {
    Failure::UnknownRoute
}

async fn answer(State(clock): State<Arc<dyn Clock>>, mut request: Request, next: Next) -> Response {
    let (begun, known) = (clock.boot_nanos(), Known::default());
    let is_by_name = codec::names_account(request.uri().path());
    request.extensions_mut().insert(known.clone());
    let mut response = next.run(request).await;
    if is_by_name && response.status() == StatusCode::FORBIDDEN {
        // Else names that are somebody's could be told from those that are nobody's.
        response = Failure::Missing.into_response();
    }
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set("x-api-product-name", HeaderValue::from_static("AWX"));
    set("x-api-node", HeaderValue::from_static(NODE));
    if known.is_known() {
        set("x-api-product-version", HeaderValue::from_static(VERSION));
    }
    let millis = clock.boot_nanos().saturating_sub(begun) / 1_000_000;
    let took = format!("{}.{:03}s", millis / 1000, millis % 1000);
    if let Ok(took) = HeaderValue::try_from(took) {
        set("x-api-time", took);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Authorization"));
    response
}
