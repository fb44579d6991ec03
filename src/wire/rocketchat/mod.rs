//! Rocket.Chat's REST API, as its own clients speak it.
//!
//! The four routes of personal access tokens, and for a host's own routes what all of them share:
//! whom a request comes from, what it sends, the second factor that some demand, and the envelope of
//! answers.

mod body;
mod caller;
mod failure;
mod limit;
mod names;
mod openapi;
mod step_up;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use http::HeaderMap;

use crate::core::factor::{Operation, TwoFactorProof};
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::core::shape::Shape;
use crate::http::{BearerLayer, Declared, Limiter, Need};
use crate::ports::directory::Directory;
use crate::ports::two_factor::Answer;
use crate::service::two_factor::{Ask, TwoFactor};

pub use self::body::Body;
pub use self::caller::Caller;
pub use self::failure::{Failure, Members, answer, success};

/// Rocket.Chat's face of a service: requests that present `X-Auth-Token` with `X-User-Id`, and
/// `x-2fa-code` with `x-2fa-method` where a second factor is due.
///
/// | route | what it does | needs |
/// |---|---|---|
/// | `POST /api/v1/users.generatePersonalAccessToken` | issues one, and shows its secret | `managing`, a second factor |
/// | `POST /api/v1/users.regeneratePersonalAccessToken` | gives one a new secret, and shows it | `managing`, a second factor |
/// | `GET /api/v1/users.getPersonalAccessTokens` | lists the caller's | `reading` |
/// | `POST /api/v1/users.removePersonalAccessToken` | revokes one | `managing`, a second factor |
///
/// Each is for accounts with the role `admin` or `user`, and for their own tokens. Tokens are
/// known by their names; where a name is missing, is there twice or is what another token is called,
/// by the name, a number sign and the first eight characters of the id.
///
/// A request is asked for its second factor after it was found to be well-formed and before anything
/// is said of names and permissions, as the product does: whoever has no factor learns nothing else.
/// A limit of requests, where the host has one, comes right before that.
///
/// The routes read headers of their own and stand behind no layer. A host declares them by
/// [`declared`](RocketChat::declared).
#[derive(Debug)]
pub struct RocketChat<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    two_factor: TwoFactor<S>,
    reading: S,
    managing: S,
    profile: Profile,
    shape: Option<Shape>,
    limiter: Option<Arc<dyn Limiter>>,
}

/// Which line of the product's servers is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the product has these two")]
pub enum Profile {
    /// 8.x, which checks parameters before anything else.
    #[default]
    Eight,
    /// The servers before that, which check a few of them at the end.
    Legacy,
}

impl<S: Scope> RocketChat<S> {
    /// The face of the service behind this layer, whose policy of second factors is
    /// [`FactorPolicy::rocketchat`](crate::core::factor_policy::FactorPolicy::rocketchat) or one
    /// made of it. Listing tokens takes the scope `reading`, changing them `managing`. A strict layer
    /// asks the store about each token here too.
    #[must_use]
    pub fn new(
        layer: BearerLayer<S>,
        directory: Arc<dyn Directory>,
        two_factor: TwoFactor<S>,
        reading: S,
        managing: S,
    ) -> Self {
        let (profile, shape, limiter) = (Profile::default(), None, None);
        Self { layer, directory, two_factor, reading, managing, profile, shape, limiter }
    }

    /// Giving new secrets this shape, usually [`Shape::ROCKET_CHAT`]; native ones unless set.
    #[must_use]
    pub const fn in_shape(mut self, shape: Option<Shape>) -> Self {
        self.shape = shape;
        self
    }

    /// Speaking this line's dialect.
    #[must_use]
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// With this limit of requests to the token routes. Without, there is none.
    ///
    /// The limiter is asked about each request that is somebody's and well-formed, before its second
    /// factor; in the product it is ten a minute for one route and address. From then on every
    /// answer tells what is left, in `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    #[must_use]
    pub fn limited_by(mut self, limiter: Arc<dyn Limiter>) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// The routes of personal access tokens, as [`guard`](crate::http::guard) must know them.
    #[must_use]
    pub fn declared(&self) -> Vec<Declared<S>> {
        let routes = [tokens::GENERATE, tokens::REGENERATE, tokens::LIST, tokens::REMOVE];
        routes.into_iter().map(|(method, path)| Declared::new(method, path, Need::Public)).collect()
    }

    /// The `OpenAPI` 3.1 document of these routes, as JSON.
    #[must_use]
    pub fn openapi(&self) -> String {
        openapi::document(self)
    }

    /// The router that serves them.
    pub fn router<T: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> Router<T> {
        tokens::router(self)
    }

    /// The proof that what the policy asks for this operation was done, with these parameters in a
    /// canonical form. An answer is remembered of the token and the address that gave it, if the
    /// policy says so.
    ///
    /// # Errors
    ///
    /// What to answer: `totp-required`, `totp-invalid` or `totp-max-attempts`, or 503.
    pub async fn step_up(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        operation: Operation,
        parameters: &[u8],
    ) -> Result<TwoFactorProof, Failure> {
        let device = address.map(|address| address.to_canonical().to_string());
        let given = step_up::Given::read(headers);
        let mut ask = Ask::by(caller.token(), operation, parameters);
        if let Some(device) = &device {
            ask = ask.from_device(device.as_bytes());
        }
        ask = given.as_ref().map_or(ask, |given| given.added_to(ask));
        self.two_factor.demand(&ask).await.map_err(|error| step_up::failure(&error))
    }

    /// The proof that an owner whose password was right may sign in: with a code of the body, or with
    /// what the headers say.
    ///
    /// # Errors
    ///
    /// What to answer: 401 with `totp-required`, `totp-invalid` or `totp-max-attempts`, or 503; and
    /// whether an answer was given and wrong, which counts against the account.
    pub async fn sign_in(
        &self,
        owner: &OwnerId,
        code: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<TwoFactorProof, (Failure, bool)> {
        let in_body = code.map(|code| step_up::Given::of(Answer::new(code), None));
        let given = in_body.or_else(|| step_up::Given::read(headers));
        let ask = Ask::of(owner, Operation::SignIn, b"");
        let ask = given.as_ref().map_or(ask, |given| given.added_to(ask));
        self.two_factor.demand(&ask).await.map_err(|error| {
            let has_guessed = given.is_some() && step_up::is_wrong(&error);
            (step_up::sign_in_failure(&error), has_guessed)
        })
    }
}
