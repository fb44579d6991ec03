//! What a token's text is worth to those who are shown it (RFC 7662), and ending a token by its text
//! (RFC 7009): for hosts whose other servers take tokens, and speak no product's dialect.
//!
//! Neither makes the host an authorization server. Clients are accounts of the host's, which says
//! itself how it knows them.

mod basic;
mod failure;
mod scope;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::core::event::Actor;
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::core::verify::Access;
use crate::http::{BearerLayer, client_address, conceal};
use crate::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use crate::service::By;
use crate::service::error::AuthenticateError;

use self::failure::Failure;

pub use self::basic::ClientCredentials;

/// Knows the clients that may ask.
///
/// **If you lie:** whoever is let in learns of every text whether it is a live token, and whose.
#[async_trait]
pub trait Clients: fmt::Debug + Send + Sync + 'static {
    /// The account of a client that may ask, by what it presents and from where; `None` for one that
    /// may not, whatever the reason.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`] when nobody can say.
    async fn client(
        &self,
        credentials: &ClientCredentials,
        from: Option<IpAddr>,
    ) -> Result<Option<Account>, DirectoryError>;

    /// Has the last word about what a client is told of a live token: adds what the host tells
    /// beside what RFC 7662 names, or instead of it. Nothing unless there is one.
    fn tell(
        &self,
        _told: &mut Map<String, Value>,
        _client: &Account,
        _token: &TokenRecord,
        _account: &Account,
    ) {
    }
}

/// The two endpoints over a service.
///
/// A client presents itself by Basic, as RFC 6749 has it: name and secret are encoded as in a form
/// before they are joined. It sends a form with one `token`; what it guesses about the token is
/// ignored. A token that only works from certain networks is inactive here, since nobody can say
/// where it was presented.
///
/// ```
/// use std::sync::Arc;
/// use axum::Router;
/// use keyfob::ReadWrite;
/// use keyfob::http::BearerLayer;
/// use keyfob::ports::directory::Directory;
/// use keyfob::wire::oauth::{Clients, OAuth};
///
/// fn router(
///     layer: BearerLayer<ReadWrite>,
///     directory: Arc<dyn Directory>,
///     clients: Arc<dyn Clients>,
/// ) -> Router {
///     let oauth = OAuth::new(layer, directory, clients);
///     oauth.introspection("/oauth/introspect").merge(oauth.revocation("/oauth/revoke"))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct OAuth<S: Scope> {
    layer: BearerLayer<S>,
    directory: Arc<dyn Directory>,
    clients: Arc<dyn Clients>,
}

impl<S: Scope> OAuth<S> {
    /// The endpoints of the service behind this layer. They are asked seldom, and so ask the store
    /// about each token, whether or not the layer is strict: what is told holds at that moment.
    #[must_use]
    pub fn new(
        layer: BearerLayer<S>,
        directory: Arc<dyn Directory>,
        clients: Arc<dyn Clients>,
    ) -> Self {
        Self { layer, directory, clients }
    }

    /// `POST` there tells of a text whether it is a live token, and of one that is: `username`,
    /// `token_type`, `sub` and `jti`, the last two being ids, and these:
    ///
    /// - `scope` has the names of what it may do now: what it was granted and its owner may still
    ///   do. It is absent where nothing limits either, and empty where nothing is left.
    /// - `exp` is when this text is refused if nobody uses it until then nor changes anything: its
    ///   own expiry, the end of its overlap if it was replaced, the end that the policy sets, or its
    ///   idle limit, whichever comes first.
    /// - `iat` is when the text was made; absent for a replaced one, since nobody knows any more.
    /// - `nbf` is from when it works, which is `iat` where nothing else was asked for.
    ///
    /// To be asked is a use of a token: it counts against those that it is good for, and one that was
    /// used as often as its rate allows is answered with 429.
    pub fn introspection<T: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<T> {
        Router::new().route(path, post(introspect::<S>)).with_state(self.clone())
    }

    /// `POST` there ends the token of a text, if it is the client's own. The answer is the same for
    /// every text: of one that is nobody's, or somebody else's, a client learns nothing.
    ///
    /// A text that was replaced is the token's too as long as its overlap lasts. It must be dead
    /// after this, and so the token is ended as a whole, with its new text. After the overlap the
    /// old text is nobody's, and nothing happens.
    pub fn revocation<T: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<T> {
        Router::new().route(path, post(revoke::<S>)).with_state(self.clone())
    }

    async fn asked(&self, request: Request) -> Result<(Account, Zeroizing<String>), Failure> {
        let (mut parts, body) = request.into_parts();
        conceal(&mut parts.headers);
        let credentials = ClientCredentials::read(&parts.headers).ok_or(Failure::InvalidClient)?;
        let from = client_address(&parts.extensions);
        let client = self.clients.client(&credentials, from).await?;
        let client = client.ok_or(Failure::InvalidClient)?;
        let form = Form::from_request(Request::from_parts(parts, body), &()).await;
        Ok((client, token(form).ok_or(Failure::InvalidRequest)?))
    }

    /// What there is to tell of a text; `None` where it is no live token.
    async fn told(
        &self,
        client: &Account,
        text: &str,
    ) -> Result<Option<Map<String, Value>>, Failure> {
        let tokens = self.layer.tokens();
        let token = match tokens.authenticate_strict(text, &Access::any()).await {
            Ok(token) => token,
            Err(AuthenticateError::RateLimited { seconds }) => {
                return Err(Failure::RateLimited { seconds });
            }
            Err(AuthenticateError::Unavailable(_)) => return Err(Failure::Unavailable),
            Err(AuthenticateError::NotOurs | AuthenticateError::Refused(_)) => return Ok(None),
        };
        let found = tokens.find_again(&token).await.map_err(|_| Failure::Unavailable)?;
        // Somebody may have ended it since.
        let Ok((record, deadline)) = found else { return Ok(None) };
        let account = self.directory.account(&AccountKey::Id(record.owner.clone())).await?;
        let Some(account) = account else { return Ok(None) };
        let rights = self.directory.rights(&account).await?;
        let mut told = Map::new();
        let mut tell = |key: &str, value: Value| told.insert(key.to_owned(), value);
        tell("active", true.into());
        if let Some(scope) = scope::effective::<S>(&record.grant, &rights) {
            tell("scope", scope.into());
        }
        tell("username", account.username.as_str().into());
        tell("token_type", "Bearer".into());
        if let Some(at) = deadline.at() {
            tell("exp", at.timestamp().into());
        }
        // The row knows this of its present secret only.
        let is_present = token.generation() == record.generation;
        let issued_at = is_present.then_some(record.secret_issued_at);
        if let Some(at) = issued_at {
            tell("iat", at.timestamp().into());
        }
        if let Some(at) = record.validity.not_before.or(issued_at) {
            tell("nbf", at.timestamp().into());
        }
        tell("sub", account.id.as_str().into());
        tell("jti", record.id.to_string().into());
        self.clients.tell(&mut told, client, &record, &account);
        Ok(Some(told))
    }
}

/// The one token of a form.
fn token(form: Result<Form<Vec<(String, String)>>, FormRejection>) -> Option<Zeroizing<String>> {
    let Form(fields) = form.ok()?;
    let mut tokens = fields.into_iter().filter(|(name, _)| name == "token");
    let (_, token) = tokens.next()?;
    let token = Zeroizing::new(token);
    (!token.is_empty() && tokens.next().is_none()).then_some(token)
}

async fn introspect<S: Scope>(State(oauth): State<OAuth<S>>, request: Request) -> Response {
    let told = async {
        let (client, text) = oauth.asked(request).await?;
        let inactive = || Map::from_iter([("active".to_owned(), false.into())]);
        Ok(Value::Object(oauth.told(&client, &text).await?.unwrap_or_else(inactive)))
    };
    match told.await {
        Ok(told) => answer(StatusCode::OK, told.to_string()),
        Err(failure) => Failure::into_response(failure),
    }
}

async fn revoke<S: Scope>(State(oauth): State<OAuth<S>>, request: Request) -> Response {
    let ended = async {
        let (client, text) = oauth.asked(request).await?;
        let tokens = oauth.layer.tokens();
        let found = tokens.find_by_text(&text).await.map_err(|_| Failure::Unavailable)?;
        if let Some(record) = found.filter(|record| record.owner == client.id) {
            let actor = Actor::account(client.id);
            let ended = tokens.revoke(record.id, By::Host(&actor), None).await;
            ended.map_err(|_| Failure::Unavailable)?;
        }
        Ok(())
    };
    match ended.await {
        Ok(()) => answer(StatusCode::OK, String::new()),
        Err(failure) => Failure::into_response(failure),
    }
}

fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
