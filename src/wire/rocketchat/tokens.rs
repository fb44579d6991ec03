//! The routes of personal access tokens.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::SecondsFormat;
use http::{HeaderMap, Method, StatusCode};

use super::body::{Body, Params};
use super::failure::{Failure, Members, success};
use super::names::Names;
use super::{Caller, Profile, RocketChat};
use crate::core::error::IssueError;
use crate::core::factor::{Operation, TwoFactorProof};
use crate::core::id::{Kind, TokenName};
use crate::core::issue::{IssueRequest, Lifetime};
use crate::core::rotation::Rotation;
use crate::core::scope::Scope;
use crate::core::token::TokenRecord;
use crate::http::client_address;
use crate::ports::directory::Account;
use crate::ports::store::Filter;
use crate::service::By;
use crate::service::error::{ChangeFailure, IssueFailure};
use crate::wire::shown::shown;

pub(super) const GENERATE: (Method, &str) =
    (Method::POST, "/api/v1/users.generatePersonalAccessToken");
pub(super) const REGENERATE: (Method, &str) =
    (Method::POST, "/api/v1/users.regeneratePersonalAccessToken");
pub(super) const LIST: (Method, &str) = (Method::GET, "/api/v1/users.getPersonalAccessTokens");
pub(super) const REMOVE: (Method, &str) = (Method::POST, "/api/v1/users.removePersonalAccessToken");

type Face<S> = State<Arc<RocketChat<S>>>;
type Answered = Result<Response, Failure>;

pub(super) fn router<S: Scope, T: Clone + Send + Sync + 'static>(
    face: &Arc<RocketChat<S>>,
) -> Router<T> {
    Router::new()
        .route(GENERATE.1, post(generate::<S>))
        .route(REGENERATE.1, post(regenerate::<S>))
        .route(LIST.1, get(list::<S>))
        .route(REMOVE.1, post(remove::<S>))
        .with_state(Arc::clone(face))
}

async fn generate<S: Scope>(State(face): Face<S>, request: Request) -> Answered {
    let asked = face.asked(request, true).await?;
    face.limited(GENERATE, asked.address, &asked.caller, generated(&face, &asked)).await
}

async fn generated<S: Scope>(face: &RocketChat<S>, asked: &Asked) -> Answered {
    let Asked { caller, params, .. } = asked;
    let tokens = face.two_factor.tokens();
    let grant = tokens.grant_of(caller.token()).cloned().ok_or_else(Failure::forbidden)?;
    let mut new = IssueRequest::new(caller.account().id.clone(), grant).of_kind(Kind::personal());
    new.shape = face.shape;
    new.unique_name = true;
    new.lifetime = face.lifetime();
    // What is no name at all is asked for a second factor all the same, as a missing one is there.
    let name = params.name.as_deref().map(TokenName::new);
    if let Some(Ok(name)) = &name {
        new.name = name.clone();
    }
    let operation =
        if params.bypass { Operation::IssueBypassingToken } else { Operation::IssueToken };
    let proof = asked.step_up(face, operation, &new.parameters()).await?;
    let called = asked.name()?;
    let method = "personalAccessTokens:generateToken";
    permitted(caller, method)?;
    if let Some(Err(_)) = name {
        let what = "tokenName: at most 255 bytes without control characters";
        return Err(Failure::invalid_params(what));
    }
    // The store keeps names apart; here, what another one is called must not become a name.
    if Names::of(&face.tokens_of(caller.account()).await?).find(called).is_some() {
        return Err(taken(method));
    }
    let new = if params.bypass { new.bypassing_two_factor(proof) } else { new.proved_by(proof) };
    let issued = tokens.issue(new, By::token(caller.token())).await;
    let (secret, _) = issued.map_err(|failure| not_issued(&failure, method))?;
    Ok(success(Members::default().with("token", secret.expose_secret())))
}

async fn regenerate<S: Scope>(State(face): Face<S>, request: Request) -> Answered {
    let asked = face.asked(request, false).await?;
    face.limited(REGENERATE, asked.address, &asked.caller, regenerated(&face, &asked)).await
}

async fn regenerated<S: Scope>(face: &RocketChat<S>, asked: &Asked) -> Answered {
    let Asked { caller, params, .. } = asked;
    let all = face.tokens_of(caller.account()).await?;
    let found = params.name.as_deref().and_then(|name| Names::of(&all).find(name));
    let rotation = Rotation::at_once().living(face.lifetime()).in_shape(face.shape);
    // A name that is nobody's is asked for a second factor too, so that the answer tells nothing.
    let parameters = found.map_or_else(
        || format!("regenerate {:?}", params.name).into_bytes(),
        |record| rotation.parameters(record.id),
    );
    let proof = asked.step_up(face, Operation::RotateToken, &parameters).await?;
    asked.name()?;
    let method = "personalAccessTokens:regenerateToken";
    permitted(caller, method)?;
    let record = found.ok_or_else(|| missing(method))?;
    let (tokens, by) = (face.two_factor.tokens(), By::token(caller.token()));
    let rotated = tokens.rotate_proved(record.id, rotation, Some(proof), by).await;
    let (secret, _) = rotated.map_err(|failure| not_changed(&failure, method))?;
    Ok(success(Members::default().with("token", secret.expose_secret())))
}

async fn list<S: Scope>(State(face): Face<S>, request: Request) -> Answered {
    let (parts, _) = request.into_parts();
    let address = client_address(&parts.extensions);
    let caller = face.caller(&parts.headers, address, &face.reading).await?;
    let is_permitted = may_have_tokens(caller.account());
    if !is_permitted && face.profile == Profile::Eight {
        return Err(Failure::forbidden());
    }
    let listed = async {
        if !is_permitted {
            return Err(Failure::thrown("Not Authorized", "not-authorized"));
        }
        Ok(listed(&face.tokens_of(caller.account()).await?))
    };
    face.limited(LIST, address, &caller, listed).await
}

fn listed(all: &[TokenRecord]) -> Response {
    let names = Names::of(all);
    let shown = names.iter().map(|(record, name)| {
        let created_at = record.secret_issued_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Members::default()
            .with("name", name)
            .with("createdAt", created_at)
            .with("lastTokenPart", &*record.hint)
            .with("bypassTwoFactor", record.bypasses_two_factor)
    });
    success(Members::default().with_list("tokens", shown))
}

async fn remove<S: Scope>(State(face): Face<S>, request: Request) -> Answered {
    let asked = face.asked(request, false).await?;
    face.limited(REMOVE, asked.address, &asked.caller, removed(&face, &asked)).await
}

async fn removed<S: Scope>(face: &RocketChat<S>, asked: &Asked) -> Answered {
    let Asked { caller, params, .. } = asked;
    let parameters = format!("remove {:?}", params.name);
    let _answered = asked.step_up(face, Operation::RevokeToken, parameters.as_bytes()).await?;
    let name = asked.name()?;
    let method = "personalAccessTokens:removeToken";
    permitted(caller, method)?;
    let all = face.tokens_of(caller.account()).await?;
    let record = Names::of(&all).find(name).ok_or_else(|| missing(method))?;
    let by = By::token(caller.token());
    let removed = face.two_factor.tokens().revoke(record.id, by, None).await;
    removed.map_err(|failure| not_changed(&failure, method))?;
    Ok(success(Members::default()))
}

/// A request that is somebody's, and well-formed.
struct Asked {
    caller: Caller,
    headers: HeaderMap,
    address: Option<IpAddr>,
    params: Params,
}

impl Asked {
    async fn step_up<S: Scope>(
        &self,
        face: &RocketChat<S>,
        operation: Operation,
        parameters: &[u8],
    ) -> Result<TwoFactorProof, Failure> {
        face.step_up(&self.caller, &self.headers, self.address, operation, parameters).await
    }

    /// The name that the older line misses only now: after the second factor, and before it looks
    /// at permissions.
    fn name(&self) -> Result<&str, Failure> {
        let missing = || Failure::new(StatusCode::BAD_REQUEST, "The 'tokenName' param is required");
        self.params.name.as_deref().ok_or_else(missing)
    }
}

impl<S: Scope> RocketChat<S> {
    async fn asked(&self, request: Request, takes_bypass: bool) -> Result<Asked, Failure> {
        let (parts, body) = request.into_parts();
        let address = client_address(&parts.extensions);
        let caller = self.caller(&parts.headers, address, &self.managing).await?;
        let body = to_bytes(body, LONGEST_BODY).await;
        let too_long = |_| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large");
        let body = Body::read(&parts.headers, &body.map_err(too_long)?);
        let params = Params::read(&body, self.profile, takes_bypass)?;
        Ok(Asked { caller, headers: parts.headers, address, params })
    }

    /// Tokens of this product live until they are removed, where the host's policy lets them.
    fn lifetime(&self) -> Lifetime {
        let policy = self.two_factor.tokens().rules().policy.of(&Kind::personal());
        if policy.never_expires { Lifetime::Unlimited } else { Lifetime::Default }
    }

    /// The owner's personal tokens that are not revoked, in the order in which their secrets were
    /// made: one that was made anew moves to the end.
    async fn tokens_of(&self, account: &Account) -> Result<Vec<TokenRecord>, Failure> {
        let filter = shown(Filter::of_owner(account.id.clone()));
        let all = self.two_factor.tokens().query_all(filter).await;
        let mut all = all.map_err(|_| Failure::unavailable())?;
        all.sort_by_key(|record| (record.secret_issued_at, record.number));
        Ok(all)
    }
}

/// Roles that have the permission `create-personal-access-tokens` by default.
fn may_have_tokens(account: &Account) -> bool {
    account.roles.iter().any(|role| matches!(role.as_str(), "admin" | "user"))
}

fn permitted(caller: &Caller, method: &'static str) -> Result<(), Failure> {
    if may_have_tokens(caller.account()) {
        return Ok(());
    }
    Err(Failure::thrown("Not Authorized", "not-authorized").with_details(of(method)))
}

fn missing(method: &'static str) -> Failure {
    let code = "error-token-does-not-exists";
    Failure::thrown("Token does not exist", code).with_details(of(method))
}

fn of(method: &'static str) -> Members {
    Members::default().with("method", method)
}

fn taken(method: &'static str) -> Failure {
    let reason = "A token with this name already exists";
    Failure::thrown(reason, "error-token-already-exists").with_details(of(method))
}

fn not_issued(failure: &IssueFailure, method: &'static str) -> Failure {
    match failure {
        IssueFailure::NameTaken => taken(method),
        IssueFailure::Presenter(_) | IssueFailure::Request(IssueError::OwnerNotActive) => {
            Failure::unauthorized()
        }
        IssueFailure::Unavailable(_) => Failure::unavailable(),
        // What the host's policy does not allow; the product has no word for it.
        failure => Failure::thrown(&failure.to_string(), "error-not-allowed"),
    }
}

fn not_changed(failure: &ChangeFailure, method: &'static str) -> Failure {
    match failure {
        // Somebody else has removed it meanwhile.
        ChangeFailure::Missing | ChangeFailure::Lifecycle(_) => missing(method),
        ChangeFailure::Presenter(_) => Failure::unauthorized(),
        ChangeFailure::Unavailable(_) => Failure::unavailable(),
        failure => Failure::thrown(&failure.to_string(), "error-not-allowed"),
    }
}

/// As large as a request's body may be on the other faces.
const LONGEST_BODY: usize = 64 * 1024;
