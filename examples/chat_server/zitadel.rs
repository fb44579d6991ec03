//! What this host adds to Zitadel's face: who somebody is, whether an account is active, and what a
//! token is worth to others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, SecondsFormat, Utc};
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::http::{BearerLayer, Declared, Need, guard};
use keyfob::ports::directory::{Account, AccountKind, Directory as _, DirectoryError};
use keyfob::wire::oauth::{ClientCredentials, Clients, OAuth};
use keyfob::wire::zitadel::{Code, Failure, SCOPES};
use keyfob::{By, OwnerId, ReadWrite, TokenRecord};
use serde_json::{Map, Value, json};

use crate::Host;
use crate::accounts::Entry;
use crate::passwords::PasswordText;
use crate::session::{NotSignedIn, first_factor};

type Handled = Result<Response, Failure>;
type OnHost = State<Arc<Host>>;
type Segment = Result<Path<String>, PathRejection>;

/// The host's routes beside the library's.
pub(crate) fn router(host: &Arc<Host>, layer: &BearerLayer<ReadWrite>) -> Router {
    let own = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/oidc/v1/userinfo", get(user_info))
        .route("/auth/v1/users/me", get(me))
        .route("/management/v1/users/{user_id}/_deactivate", post(deactivate))
        .route("/management/v1/users/{user_id}/_reactivate", post(reactivate))
        .with_state(Arc::clone(host));
    let clients = Arc::new(IntrospectionClients(Arc::clone(host)));
    let accounts = Arc::clone(&host.accounts);
    let introspection = OAuth::new(layer.clone(), accounts, clients).introspection(INTROSPECT);
    let own = guard(&declared(), own.merge(introspection));
    host.zitadel.answering(own).merge(host.zitadel.clone().into_router())
}

/// Each judges its caller itself.
fn declared() -> Vec<Declared<ReadWrite>> {
    let own = [
        (Method::GET, "/healthz"),
        (Method::GET, "/oidc/v1/userinfo"),
        (Method::GET, "/auth/v1/users/me"),
        (Method::POST, "/management/v1/users/{user_id}/_deactivate"),
        (Method::POST, "/management/v1/users/{user_id}/_reactivate"),
        (Method::POST, INTROSPECT),
    ];
    own.into_iter().map(|(method, path)| Declared::new(method, path, Need::Public)).collect()
}

async fn user_info(State(host): OnHost, request: Request) -> Handled {
    let (mut parts, _) = request.into_parts();
    let caller = host.zitadel.caller(&mut parts, &ReadWrite::Read).await?;
    let mut told = Map::from_iter([("sub".to_owned(), json!(caller.account().id))]);
    told.extend(person(&host, caller.account()));
    if let Some((email, is_verified)) = &caller.account().email {
        told.insert("email".to_owned(), email.as_str().into());
        told.insert("email_verified".to_owned(), (*is_verified).into());
    }
    Ok(json(&Value::Object(told)))
}

async fn me(State(host): OnHost, request: Request) -> Handled {
    let (mut parts, _) = request.into_parts();
    let caller = host.zitadel.caller(&mut parts, &ReadWrite::Read).await?;
    let account = caller.account();
    let state = host.tokens.owner_state(&account.id).await.map_err(|_| Failure::Unavailable)?;
    let created = account.created_at;
    let mut details = Map::from_iter([("creationDate".to_owned(), timestamp(created).into())]);
    details.extend(changed(account.organization.as_deref(), &state, created));
    let mut user = json!({
        "id": account.id,
        "details": details,
        "state": "USER_STATE_ACTIVE",
        "userName": account.username,
        "loginNames": [account.username],
        "preferredLoginName": account.username,
    });
    let (kind, about) = match account.kind {
        AccountKind::Machine => ("machine", json!({"name": account.name})),
        _ => ("human", json!({"profile": {"displayName": account.name}})),
    };
    if let Some(user) = user.as_object_mut() {
        user.insert(kind.to_owned(), about);
    }
    Ok(json(&json!({"user": user})))
}

async fn deactivate(State(host): OnHost, id: Segment, request: Request) -> Handled {
    set_active(&host, id, request, false).await
}

async fn reactivate(State(host): OnHost, id: Segment, request: Request) -> Handled {
    set_active(&host, id, request, true).await
}

async fn set_active(host: &Host, id: Segment, request: Request, active: bool) -> Handled {
    let (mut parts, _) = request.into_parts();
    let caller = host.zitadel.caller(&mut parts, &ReadWrite::Write).await?;
    let organization = host.zitadel.managed_organization(&caller, &parts.headers).await?;
    let id = id.ok().and_then(|Path(id)| OwnerId::new(id).ok());
    let entry = id.and_then(|id| host.accounts.of(&id));
    let entry = entry.filter(|entry| entry.account.organization == organization);
    let account = &entry.ok_or_else(|| missing(active))?.account;
    if !host.zitadel.may_act_as(&caller, account).await? {
        return Err(Failure::NotPermitted);
    }
    let owner = &account.id;
    let by = By::administrator(caller.token());
    let before = host.tokens.owner_state(owner).await.map_err(|_| Failure::Unavailable)?;
    if (before.standing == OwnerStanding::Active) == active {
        return Err(unchanged(active));
    }
    let changed = if active {
        host.tokens.reactivate_owner(owner, by).await
    } else {
        host.tokens.deactivate_owner(owner, by, None).await
    };
    let state = changed.map_err(|_| Failure::Unavailable)?;
    let details = self::changed(organization.as_deref(), &state, host.tokens.now());
    Ok(json(&json!({"details": details})))
}

/// What v1 tells of the last change of an account.
fn changed(
    organization: Option<&str>,
    state: &OwnerState,
    otherwise: DateTime<Utc>,
) -> Map<String, Value> {
    let mut details = Map::new();
    let mut tell = |key: &str, value: Value| details.insert(key.to_owned(), value);
    if state.sequence > 0 {
        tell("sequence", state.sequence.to_string().into());
    }
    tell("changeDate", timestamp(state.changed_at.unwrap_or(otherwise)).into());
    if let Some(organization) = organization {
        tell("resourceOwner", organization.into());
    }
    details
}

/// What the product tells of an account by OpenID Connect.
fn person(host: &Host, account: &Account) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tell = |key: &str, value: Value| told.insert(key.to_owned(), value);
    tell("name", account.name.as_str().into());
    tell("preferred_username", account.username.as_str().into());
    tell("updated_at", account.created_at.timestamp().into());
    if let Some((id, organization)) = host.accounts.organization_of(account) {
        tell("urn:zitadel:iam:user:resourceowner:id", id.into());
        tell("urn:zitadel:iam:user:resourceowner:name", organization.name.as_str().into());
        let domain = organization.domain.as_str();
        tell("urn:zitadel:iam:user:resourceowner:primary_domain", domain.into());
    }
    told
}

/// Service accounts and administrators may ask what a token is worth.
struct IntrospectionClients(Arc<Host>);

#[async_trait]
impl Clients for IntrospectionClients {
    async fn client(
        &self,
        credentials: &ClientCredentials,
        from: Option<IpAddr>,
    ) -> Result<Option<Account>, DirectoryError> {
        let Self(host) = self;
        let name = credentials.name();
        let by_id = OwnerId::new(name).ok().and_then(|id| host.accounts.of(&id));
        let entry = host.accounts.named(name).or(by_id);
        let password = PasswordText::from(credentials.expose_secret().to_owned()).sha256_hex();
        let peer = from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        match first_factor(host, entry, name, password, peer).await {
            Ok((entry, attempt)) => {
                attempt.succeeded();
                Ok(is_client(host, entry).await?.then(|| host.accounts.present(entry)))
            }
            Err(NotSignedIn::TooMany(_) | NotSignedIn::Wrong) => Ok(None),
            Err(NotSignedIn::Unavailable) => Err(DirectoryError("nobody can say now".into())),
        }
    }

    fn tell(
        &self,
        told: &mut Map<String, Value>,
        client: &Account,
        _token: &TokenRecord,
        account: &Account,
    ) {
        let Self(host) = self;
        told.extend(person(host, account));
        told.insert("aud".to_owned(), json!([client.id]));
        told.insert("iss".to_owned(), host.url.as_str().into());
        // The product's own say nothing of what a token may do; those of a limited one follow them,
        // and one that may do nothing is told with none.
        let own = told.get("scope").and_then(Value::as_str);
        if own != Some("") {
            let scopes: Vec<&str> = SCOPES.into_iter().chain(own).collect();
            let scopes = scopes.join(" ");
            told.insert("scope".to_owned(), scopes.into());
        }
        told.entry("exp").or_insert(LAST_SECOND.into());
    }
}

impl fmt::Debug for IntrospectionClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionClients").finish_non_exhaustive()
    }
}

async fn is_client(host: &Host, entry: &Entry) -> Result<bool, DirectoryError> {
    let account = &entry.account;
    Ok(account.kind == AccountKind::Machine || host.accounts.is_administrator(account).await?)
}

fn json(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

const fn missing(active: bool) -> Failure {
    let id = if active { "COMMAND-4M0sd" } else { "COMMAND-3M9ds" };
    Failure::Host { code: Code::NotFound, id, message: "User could not be found" }
}

const fn unchanged(active: bool) -> Failure {
    let (id, message) = if active {
        ("COMMAND-6M0sf", "User is not inactive")
    } else {
        ("COMMAND-5M0sf", "User already inactive")
    };
    Failure::Host { code: Code::FailedPrecondition, id, message }
}

const INTROSPECT: &str = "/oauth/v2/introspect";

/// Of the year 9999: never, as the product says it.
const LAST_SECOND: i64 = 253_402_300_799;
