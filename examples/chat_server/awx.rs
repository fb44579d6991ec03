//! What this host adds to AWX's face: where things are, accounts, and passwords by HTTP Basic.

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use keyfob::core::factor_policy::method;
use keyfob::http::{BearerLayer, Declared, Need, guard};
use keyfob::ports::directory::Account;
use keyfob::wire::awx::{
    Awx, BasicCredentials, Caller, Column, Failure, Holds, NODE, Needs, SignIn, Table, VERSION,
    page,
};
use keyfob::{OwnerId, ReadWrite};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Host;
use crate::accounts::Accounts;
use crate::passwords::PasswordText;
use crate::session::{NotSignedIn, first_factor};

type Handled = Result<Response, Failure>;
type OnHost = State<Arc<Host>>;

/// The library's face, which asks this host about passwords.
pub(crate) fn face(
    gate: BearerLayer<ReadWrite>,
    accounts: &Arc<Accounts>,
    host: Weak<Host>,
) -> Awx<ReadWrite> {
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let settings = accounts.settings();
    let face = Awx::new(gate, Arc::<Accounts>::clone(accounts), needs, settings.awx());
    face.in_shape(settings.awx_shape()).signing_in(Arc::new(Door(host)))
}

/// The host's routes beside the library's, all behind what makes answers the product's, and guarded
/// before it, so that what they do not have is answered the product's way too.
pub(crate) fn router(host: &Arc<Host>) -> Router {
    let own = Router::new()
        .route("/api/", get(root))
        .route("/api/o/", get(oauth))
        .route("/api/v2/", get(resources))
        .route("/api/v2/ping/", get(ping))
        .route("/api/v2/config/", get(config))
        .route("/api/v2/applications/", get(applications).options(options_of_applications))
        .route("/api/v2/me/", get(me).options(options))
        .route("/api/v2/users/", get(users).options(options))
        .route("/api/v2/users/{user_id}/", get(user).options(options))
        .with_state(Arc::clone(host));
    host.awx.answering(guard(&declared(), own)).merge(host.awx.clone().into_router())
}

/// Each judges its caller itself.
fn declared() -> Vec<Declared<ReadWrite>> {
    let open = ["/api/", "/api/o/", "/api/v2/", "/api/v2/ping/"];
    let described =
        ["/api/v2/applications/", "/api/v2/me/", "/api/v2/users/", "/api/v2/users/{user_id}/"];
    let gets = [&open[..], &["/api/v2/config/"], &described].concat();
    let gets = gets.into_iter().map(|path| (Method::GET, path));
    let all = gets.chain(described.map(|path| (Method::OPTIONS, path)));
    all.map(|(method, path)| Declared::new(method, path, Need::Public)).collect()
}

/// Whoever signs in by a password alone.
#[derive(Debug)]
struct Door(Weak<Host>);

#[async_trait]
impl SignIn for Door {
    async fn sign_in(
        &self,
        credentials: &BasicCredentials,
        address: Option<IpAddr>,
    ) -> Result<OwnerId, Failure> {
        // While there are requests there is a host, and it knows where they come from.
        let host = self.0.upgrade().ok_or(Failure::Unavailable)?;
        let peer = address.ok_or(Failure::Unavailable)?;
        let name = credentials.username();
        let password = PasswordText::from(credentials.expose_password().to_owned()).sha256_hex();
        let first = first_factor(&host, host.accounts.named(name), name, password, peer).await;
        let (entry, attempt) = first.map_err(|why| match why {
            NotSignedIn::TooMany(too_many) => {
                // A part of a second rounds up: trying again a moment early would fail.
                Failure::Throttled { seconds: too_many.retry_in.as_secs().saturating_add(1) }
            }
            NotSignedIn::Unavailable => Failure::Unavailable,
            NotSignedIn::Wrong => Failure::WrongPassword,
        })?;
        let id = &entry.account.id;
        let enrolled = host.factors.native.enrolled(id).await;
        // The password was right, whatever follows.
        attempt.succeeded();
        // Nothing is asked for here: that would send a mail with every request.
        let enrolled = enrolled.map_err(|_| Failure::Unavailable)?;
        if enrolled.iter().all(|name| *name == method::PASSWORD) {
            Ok(id.clone())
        } else {
            Err(Failure::Host {
                status: StatusCode::UNAUTHORIZED,
                detail: SECOND_FACTOR.to_owned(),
            })
        }
    }
}

async fn root() -> Response {
    ordered(&Root {
        description: "AWX REST API",
        current_version: "/api/v2/",
        available_versions: Versions { v2: "/api/v2/" },
        oauth2: "/api/o/",
        custom_logo: "",
        custom_login_info: "",
        login_redirect_override: "",
    })
}

#[derive(Serialize)]
struct Root {
    description: &'static str,
    current_version: &'static str,
    available_versions: Versions,
    oauth2: &'static str,
    custom_logo: &'static str,
    custom_login_info: &'static str,
    login_redirect_override: &'static str,
}

#[derive(Serialize)]
struct Versions {
    v2: &'static str,
}

/// Where the product's applications would get tokens. Nobody's credentials are looked at here: a
/// client sends empty ones, only to see whether there is such a place.
async fn oauth() -> Response {
    ordered(&json!({
        "authorize": "/api/o/authorize/",
        "token": "/api/o/token/",
        "revoke_token": "/api/o/revoke_token/",
    }))
}

async fn resources() -> Response {
    ordered(&json!({
        "applications": "/api/v2/applications/",
        "config": "/api/v2/config/",
        "me": "/api/v2/me/",
        "ping": "/api/v2/ping/",
        "tokens": "/api/v2/tokens/",
        "users": "/api/v2/users/",
    }))
}

async fn ping() -> Response {
    ordered(&json!({
        "ha": false,
        "version": VERSION,
        "active_node": NODE,
        "install_uuid": INSTALLATION,
        "instances": [],
        "instance_groups": [],
    }))
}

async fn config(State(host): OnHost, request: Request) -> Handled {
    caller(&host, request).await?;
    Ok(ordered(&json!({"time_zone": "UTC", "version": VERSION, "license_info": {}})))
}

async fn applications(State(host): OnHost, uri: Uri, request: Request) -> Handled {
    caller(&host, request).await?;
    page::<Value>(&uri, &APPLICATIONS, Vec::new())
}

async fn me(State(host): OnHost, uri: Uri, request: Request) -> Handled {
    let caller = caller(&host, request).await?;
    page(&uri, &USERS, vec![User::of(caller.account())])
}

async fn users(State(host): OnHost, uri: Uri, request: Request) -> Handled {
    let caller = caller(&host, request).await?;
    let seen = host.accounts.all().filter(|entry| caller.sees(&entry.account.id));
    let mut users: Vec<User> = seen.map(|entry| User::of(&host.accounts.present(entry))).collect();
    users.sort_by_key(|user| user.id);
    page(&uri, &USERS, users)
}

async fn user(
    State(host): OnHost,
    user: Result<Path<String>, PathRejection>,
    request: Request,
) -> Handled {
    let caller = caller(&host, request).await?;
    let segment = user.as_ref().ok().map(|Path(segment)| segment.as_str());
    Ok(ordered(&User::of(&host.awx.account_in(&caller, segment).await?)))
}

/// For the product's command line, which asks before it lists anything.
async fn options(State(host): OnHost, request: Request) -> Handled {
    caller(&host, request).await?;
    Ok(described("Users", "Accounts.", &USERS))
}

async fn options_of_applications(State(host): OnHost, request: Request) -> Handled {
    caller(&host, request).await?;
    Ok(described("OAuth2 Applications", "There are none.", &APPLICATIONS))
}

fn described(name: &str, description: &str, table: &Table) -> Response {
    let fields = table.columns.iter().map(|column| {
        let holds = match column.holds {
            Holds::Flag => "boolean",
            Holds::Number | Holds::Reference => "integer",
            Holds::Text => "string",
            Holds::Time => "datetime",
        };
        (column.name.to_owned(), json!({"type": holds, "filterable": true, "help_text": ""}))
    });
    let fields: serde_json::Map<String, Value> = fields.collect();
    let mut response = ordered(&json!({
        "name": name,
        "description": description,
        "renders": ["application/json"],
        "parses": ["application/json"],
        "actions": {"GET": fields},
    }));
    response.headers_mut().insert("allow", HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

async fn caller(host: &Host, request: Request) -> Result<Caller, Failure> {
    let (mut parts, _) = request.into_parts();
    host.awx.caller(&mut parts, &ReadWrite::Read).await
}

/// An account as the product writes it.
#[derive(Serialize)]
struct User {
    id: u64,
    r#type: &'static str,
    url: String,
    related: UserRelated,
    summary_fields: Value,
    created: String,
    modified: Option<String>,
    username: String,
    first_name: String,
    last_name: String,
    email: String,
    is_superuser: bool,
    is_system_auditor: bool,
    external_account: Option<String>,
}

#[derive(Serialize)]
struct UserRelated {
    tokens: String,
    authorized_tokens: String,
    personal_tokens: String,
}

impl User {
    fn of(account: &Account) -> Self {
        let url = format!("/api/v2/users/{}/", account.number);
        let (first_name, last_name) = account.name.split_once(' ').unwrap_or((&account.name, ""));
        Self {
            id: account.number,
            r#type: "user",
            related: UserRelated {
                tokens: format!("{url}tokens/"),
                authorized_tokens: format!("{url}authorized_tokens/"),
                personal_tokens: format!("{url}personal_tokens/"),
            },
            url,
            summary_fields: json!({}),
            created: account.created_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            modified: None,
            username: account.username.clone(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            email: account.email.as_ref().map_or_else(String::new, |(address, _)| address.clone()),
            is_superuser: account.has_role("superuser"),
            is_system_auditor: account.has_role("system_auditor"),
            external_account: account.external.clone(),
        }
    }
}

/// By what accounts are found.
const USERS: Table = Table {
    model: "User",
    r#type: "user",
    columns: &[
        Column { name: "id", pointer: "/id", holds: Holds::Number },
        Column { name: "created", pointer: "/created", holds: Holds::Time },
        Column { name: "username", pointer: "/username", holds: Holds::Text },
        Column { name: "first_name", pointer: "/first_name", holds: Holds::Text },
        Column { name: "last_name", pointer: "/last_name", holds: Holds::Text },
        Column { name: "email", pointer: "/email", holds: Holds::Text },
        Column { name: "is_superuser", pointer: "/is_superuser", holds: Holds::Flag },
    ],
    searched: &["username", "first_name", "last_name", "email"],
};

/// By what applications would be found.
const APPLICATIONS: Table = Table {
    model: "OAuth2Application",
    r#type: "o_auth2_application",
    columns: &[
        Column { name: "id", pointer: "/id", holds: Holds::Number },
        Column { name: "created", pointer: "/created", holds: Holds::Time },
        Column { name: "modified", pointer: "/modified", holds: Holds::Time },
        Column { name: "name", pointer: "/name", holds: Holds::Text },
        Column { name: "description", pointer: "/description", holds: Holds::Text },
        Column { name: "organization", pointer: "/organization", holds: Holds::Reference },
    ],
    searched: &["name", "description"],
};

fn ordered(body: &impl Serialize) -> Response {
    // Texts and numbers: nothing that could fail to be written.
    let body = serde_json::to_string(body).unwrap_or_default();
    (StatusCode::OK, [("content-type", "application/json")], body).into_response()
}

const SECOND_FACTOR: &str = "This account has a second factor, which cannot be asked for here: sign \
     in elsewhere, and use a token.";

/// One installation is like the other.
const INSTALLATION: &str = "00000000-0000-0000-0000-000000000000";
