//! Zitadel's routes of personal access tokens, as its own clients call them.
//!
//! Both versions of its API, each as REST and as calls with JSON. Paths, keys and their order,
//! statuses and error ids are the product's. Where it gives away what it need not, this face does
//! better within the same wire:
//!
//! - A token is random, and stored as a digest; the product's is two ids under a cipher that anybody
//!   can change, and nothing of it is stored.
//! - Who may is judged before anything is said of an account; the product's v2 tells everybody
//!   whether there is one, and of what kind it is.
//! - Nobody gets a token for an account that is deactivated.
//! - Nobody gets a token for an account with a role over all organizations unless he may write in all
//!   of them, or for an administrator of the host's unless he is one.
//! - A deactivated account's tokens are refused at once, and work again when it is reactivated; the
//!   product shows them and refuses them for ever.
//! - A total counts what the caller may see, and nothing else.
//! - A list knows every token that was made before it was asked for.

mod caller;
mod code;
mod codec;
mod desk;
mod failure;
mod message;
mod object;
mod openapi;
mod refuse;
mod roles;
mod routes;
mod search;
mod v1;
mod v2;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderValue, Uri};

use crate::core::scope::Scope;
use crate::core::shape::Shape;
use crate::http::{BearerLayer, Declared};
use crate::ports::directory::Directory;
use crate::ports::store::Query;
use crate::service::Tokens;

use self::failure::Dialect;

pub use self::caller::Caller;
pub use self::code::Code;
pub use self::failure::Failure;
pub use self::object::SCOPES;

/// Zitadel's face of a service.
///
/// | route | as a call | what it does | needs |
/// |---|---|---|---|
/// | `POST /management/v1/users/{user_id}/pats` | `AddPersonalAccessToken` | makes one, and shows its secret | `managing` |
/// | `POST /management/v1/users/{user_id}/pats/_search` | `ListPersonalAccessTokens` | lists an account's | `reading` |
/// | `GET /management/v1/users/{user_id}/pats/{token_id}` | `GetPersonalAccessTokenByIDs` | shows one | `reading` |
/// | `DELETE /management/v1/users/{user_id}/pats/{token_id}` | `RemovePersonalAccessToken` | ends one | `managing` |
/// | `POST /v2/users/{user_id}/pats` | `AddPersonalAccessToken` | makes one, and shows its secret | `managing` |
/// | `DELETE /v2/users/{user_id}/pats/{token_id}` | `RemovePersonalAccessToken` | ends one | `managing` |
/// | `POST /v2/users/pats/search` | `ListPersonalAccessTokens` | finds those within sight | `reading` |
///
/// The calls are below `/zitadel.management.v1.ManagementService/` and
/// `/zitadel.user.v2.UserService/`. Tokens of the kind [`personal`](crate::Kind::personal) are all
/// that it shows; they have no name here, and their id is their own.
///
/// # Who may
///
/// The roles of an [`Account`](crate::ports::directory::Account) decide, by the product's names.
/// `IAM_OWNER`, `IAM_ORG_MANAGER` and `IAM_USER_MANAGER` manage the tokens of all accounts,
/// `ORG_OWNER` and `ORG_USER_MANAGER` those of their own organization's. The product's other roles
/// that may see accounts see tokens, `IAM_OWNER_VIEWER` everybody's. By v2 an account may also see,
/// make and end its own. Only accounts of the kind
/// [`Machine`](crate::ports::directory::AccountKind::Machine) are given tokens. A token hands on no
/// more than it holds, and nothing unless the policy of its kind lets it mint:
/// [`Minting::AsOwner`](crate::Minting::AsOwner) is how the product does it.
///
/// # Organizations
///
/// An account's organization is its tokens' resource owner. v1 is about one organization at a time:
/// that of the caller, or the one that the header `x-zitadel-orgid` names, which the
/// [`Directory`] must know [by its members](Directory::members). A search of v2 by somebody with a role
/// in one organization is over its members too: a host that leaves `members` out shows an `ORG_OWNER`
/// his own tokens only, and finds nothing by an organization.
///
/// # Lifetimes
///
/// v2 asks for an expiry. By v1 a token without one never expires, and is shown with the last second
/// of the year 9999, which means the same where a client sends it. Where the policy of personal
/// tokens forbids that, such a token lives as long as the policy says by default.
#[derive(Clone, Debug)]
pub struct Zitadel<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    needs: Needs<S>,
    settings: Settings,
    shape: Option<Shape>,
}

/// Which scopes the routes need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a call looks or it changes something")]
pub struct Needs<S> {
    /// To see tokens.
    pub reading: S,
    /// To create and remove them.
    pub managing: S,
}

/// What the product's administrator sets about lists of v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the product has these two")]
pub struct Settings {
    /// How many rows a page has that asks for no number; the product's own is 100.
    pub default_limit: u32,
    /// How many may be asked for; the product's own is 1000, and no store gives more.
    pub max_limit: u32,
}

impl<S: Scope> Zitadel<S> {
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
        let max_limit = settings.max_limit.clamp(1, Query::LARGEST_PAGE);
        let default_limit = settings.default_limit.clamp(1, max_limit);
        let settings = Settings { default_limit, max_limit };
        Self { layer, directory, needs, settings, shape: None }
    }

    /// Giving new secrets this shape, usually [`Shape::ZITADEL`]; native ones unless set.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// The routes, each with what it needs, for [`guard`](crate::http::guard) to know. They read
    /// and judge the header themselves, since the layer answers otherwise.
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
    /// layer. Whatever is below `/management/v1/`, `/v2/users/` and the two services and no route of
    /// the host's is [`UnknownRoute`](Failure::UnknownRoute).
    pub fn into_router<T: Clone + Send + Sync + 'static>(self) -> Router<T> {
        let routes = routes::routes(&self).into_iter();
        let router = routes.fold(Router::new(), |router, (declared, handler)| {
            router.route(&declared.path, handler)
        });
        let beyond = self.answering(Router::new().fallback(unknown));
        BELOW.iter().fold(self.answering(router), |router, path| router.nest(path, beyond.clone()))
    }

    /// Makes a router answer as the product does: with its headers, and its word for a method that a
    /// path does not have. For the host's own routes of this product; those of
    /// [`into_router`](Zitadel::into_router) do it already.
    ///
    /// [`guard`](crate::http::guard) has its own word for such methods. To have the product's, merge
    /// the host's own routes beside those that it guards.
    pub fn answering<T: Clone + Send + Sync + 'static>(&self, router: Router<T>) -> Router<T> {
        let tokens = self.layer.tokens().clone();
        let answer = from_fn_with_state(tokens, answer::<S>);
        router.method_not_allowed_fallback(other_method).layer(answer)
    }
}

const BELOW: [&str; 4] = [
    "/management/v1/",
    "/v2/users/",
    "/zitadel.management.v1.ManagementService/",
    "/zitadel.user.v2.UserService/",
];

async fn unknown() -> Failure {
    Failure::UnknownRoute
}

async fn other_method(uri: Uri) -> Response {
    Failure::OtherMethod.response(Dialect::of(uri.path()))
}

/// Nothing here is to be kept by anybody on the way.
async fn answer<S: Scope>(
    State(tokens): State<Tokens<S>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    let now = tokens.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = HeaderValue::try_from(now) {
        headers.insert(EXPIRES, now);
    }
    response
}
