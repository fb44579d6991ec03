//! A token works, or is refused, the same way whatever carries it: every route of a product, over
//! each of its transports, with each kind of token.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and waits for another process"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/chat_server.rs"]
mod chat_server;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::http::{BearerLayer, Declared, Need};
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::service::two_factor::{TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::two_factor::AeadSealer;
use keyfob::wire::awx::{self, Awx};
use keyfob::wire::mattermost::{Mattermost, Needs, Settings};
use keyfob::wire::rocketchat::RocketChat;
use keyfob::wire::zitadel;
use keyfob::{
    Actor, Builder, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy,
    Lifetime, Minting, OwnerId, Policy, ReadWrite, Rules, ScopeName, Shape, TokenName, Tokens,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use self::chat_server::{Server, folder, text};

/// One face, and all that is asked of it.
struct Product {
    name: &'static str,
    router: Router,
    declared: Vec<Declared<ReadWrite>>,
    transports: &'static [Transport],
    calls: &'static [Call],
    /// What it answers to a token that is dead, and to one that may not do this.
    dead: (u16, &'static str),
    forbidden: (u16, &'static str),
    /// How its errors are told apart.
    code: fn(&Value) -> &str,
}

/// How a request carries a token: what that is called, and the headers for a text and its account.
type Transport = (&'static str, fn(&str, &OwnerId) -> Headers);

type Headers = Vec<(&'static str, String)>;

/// A route as it is declared, how it is called, and what it answers to whoever may. `$TOKEN` in the
/// body or the path is a fresh token's id, of the caller's own, `$NAME` its name, `$NUMBER` its number,
/// and `$SOON` a time.
struct Call {
    route: &'static str,
    path: &'static str,
    body: &'static str,
    works: u16,
}

const fn call(route: &'static str, path: &'static str, body: &'static str) -> Call {
    Call { route, path, body, works: 200 }
}

/// What becomes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may do all that its account may.
    Works,
    /// It may look, and change nothing.
    Looks,
    /// It is refused like one that never was.
    Dead,
}

/// A token: what it is called here, its account and its text.
struct Held {
    kind: &'static str,
    owner: &'static str,
    text: String,
    fate: Fate,
}

/// Paths are below this one.
const MATTERMOST: &str = "/api/v4/users";

const MATTERMOSTS_CALLS: &[Call] = &[
    call("POST /{user_id}/tokens", "/me/tokens", r#"{"description":"ci","expires_at":$SOON}"#),
    call("GET /{user_id}/tokens", "/me/tokens", ""),
    call("GET /tokens", "/tokens", ""),
    call("GET /tokens/{token_id}", "/tokens/$TOKEN", ""),
    call("POST /tokens/search", "/tokens/search", r#"{"term":"admin"}"#),
    call("POST /tokens/revoke", "/tokens/revoke", r#"{"token_id":"$TOKEN"}"#),
    call("POST /tokens/disable", "/tokens/disable", r#"{"token_id":"$TOKEN"}"#),
    call("POST /tokens/enable", "/tokens/enable", r#"{"token_id":"$TOKEN"}"#),
    call("POST /tokens/rotate", "/tokens/rotate", r#"{"token_id":"$TOKEN","expires_at":$SOON}"#),
    call("GET /tokens/non_compliant/count", "/tokens/non_compliant/count", ""),
    call("POST /tokens/non_compliant/revoke", "/tokens/non_compliant/revoke", ""),
    // None of these is an id.
    Call { route: "GET /tokens/search", path: "/tokens/search", body: "", works: 400 },
    Call { route: "GET /tokens/revoke", path: "/tokens/revoke", body: "", works: 400 },
    Call { route: "GET /tokens/disable", path: "/tokens/disable", body: "", works: 400 },
    Call { route: "GET /tokens/enable", path: "/tokens/enable", body: "", works: 400 },
    Call { route: "GET /tokens/rotate", path: "/tokens/rotate", body: "", works: 400 },
];

const MATTERMOSTS_TRANSPORTS: &[Transport] = &[
    ("Bearer", |text, _| authorization("Bearer", text)),
    ("BEARER", |text, _| authorization("BEARER", text)),
    ("bEaReR", |text, _| authorization("bEaReR", text)),
    ("Token", |text, _| authorization("Token", text)),
    ("TOKEN", |text, _| authorization("TOKEN", text)),
];

fn authorization(scheme: &str, text: &str) -> Headers {
    vec![("authorization", format!("{scheme} {text}"))]
}

fn mattermost(tokens: &Tokens<ReadWrite>) -> Product {
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let settings = Settings { enabled: true, maximum_lifetime_days: 30 };
    let layer = BearerLayer::new(tokens.clone());
    let face = Mattermost::new(layer, Arc::new(Accounts), needs, settings);
    Product {
        name: MATTERMOST,
        declared: face.declared(),
        router: face.into_router(),
        transports: MATTERMOSTS_TRANSPORTS,
        calls: MATTERMOSTS_CALLS,
        dead: (401, "api.context.session_expired.app_error"),
        forbidden: (403, "api.context.permissions.app_error"),
        code: |told| told["id"].as_str().unwrap(),
    }
}

/// Paths are below this one.
const ROCKETCHAT: &str = "/api/v1/users";

const ROCKETCHATS_CALLS: &[Call] = &[
    call(
        "POST .generatePersonalAccessToken",
        ".generatePersonalAccessToken",
        r#"{"tokenName":"another $NAME"}"#,
    ),
    call(
        "POST .regeneratePersonalAccessToken",
        ".regeneratePersonalAccessToken",
        r#"{"tokenName":"$NAME"}"#,
    ),
    call("GET .getPersonalAccessTokens", ".getPersonalAccessTokens", ""),
    call(
        "POST .removePersonalAccessToken",
        ".removePersonalAccessToken",
        r#"{"tokenName":"$NAME"}"#,
    ),
];

const ROCKETCHATS_TRANSPORTS: &[Transport] = &[
    ("both headers", |text, owner| {
        vec![("x-auth-token", text.to_owned()), ("x-user-id", owner.to_string())]
    }),
    ("both headers, the other way round", |text, owner| {
        vec![("x-user-id", owner.to_string()), ("x-auth-token", text.to_owned())]
    }),
];

/// Nobody is asked for a second factor here.
fn rocketchat(tokens: &Tokens<ReadWrite>) -> Product {
    let mut policy = FactorPolicy::rocketchat();
    policy.asked_for.clear();
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    let sealer = AeadSealer::new(&Keyring::new(key), SeededRandomness::new(3)).unwrap();
    let realm = tokens.store().realm().clone();
    let vault = Vault::new(MemoryStore::default(), sealer, realm);
    let two_factor = TwoFactor::new(tokens.clone(), vault, policy);
    let layer = BearerLayer::new(tokens.clone());
    let (reading, managing) = (ReadWrite::Read, ReadWrite::Write);
    let face = Arc::new(RocketChat::new(layer, Arc::new(Accounts), two_factor, reading, managing));
    Product {
        name: ROCKETCHAT,
        declared: face.declared(),
        router: face.router(),
        transports: ROCKETCHATS_TRANSPORTS,
        calls: ROCKETCHATS_CALLS,
        dead: (401, "You must be logged in to do this."),
        forbidden: (
            403,
            "User does not have the permissions required for this action [error-unauthorized]",
        ),
        code: |told| told["error"].as_str().unwrap(),
    }
}

const AWX: &str = "/api/v2";

const fn creates(route: &'static str, path: &'static str) -> Call {
    Call { route, path, body: r#"{"description":"ci"}"#, works: 201 }
}

const AWXS_CALLS: &[Call] = &[
    call("GET /tokens/", "/tokens/", ""),
    creates("POST /tokens/", "/tokens/"),
    call("OPTIONS /tokens/", "/tokens/", ""),
    call("GET /tokens/{token_id}/", "/tokens/$NUMBER/", ""),
    call("PUT /tokens/{token_id}/", "/tokens/$NUMBER/", ""),
    call("PATCH /tokens/{token_id}/", "/tokens/$NUMBER/", r#"{"scope":"read"}"#),
    Call { route: "DELETE /tokens/{token_id}/", path: "/tokens/$NUMBER/", body: "", works: 204 },
    call("OPTIONS /tokens/{token_id}/", "/tokens/$NUMBER/", ""),
    call("GET /tokens/{token_id}/activity_stream/", "/tokens/$NUMBER/activity_stream/", ""),
    call("OPTIONS /tokens/{token_id}/activity_stream/", "/tokens/$NUMBER/activity_stream/", ""),
    call("GET /users/{user_id}/tokens/", "/users/1/tokens/", ""),
    creates("POST /users/{user_id}/tokens/", "/users/1/tokens/"),
    call("OPTIONS /users/{user_id}/tokens/", "/users/1/tokens/", ""),
    call("GET /users/{user_id}/personal_tokens/", "/users/1/personal_tokens/", ""),
    creates("POST /users/{user_id}/personal_tokens/", "/users/1/personal_tokens/"),
    call("OPTIONS /users/{user_id}/personal_tokens/", "/users/1/personal_tokens/", ""),
    call("GET /users/{user_id}/authorized_tokens/", "/users/1/authorized_tokens/", ""),
    // There is no application that it could be of.
    Call {
        route: "POST /users/{user_id}/authorized_tokens/",
        path: "/users/1/authorized_tokens/",
        body: "",
        works: 400,
    },
    call("OPTIONS /users/{user_id}/authorized_tokens/", "/users/1/authorized_tokens/", ""),
];

const AWXS_TRANSPORTS: &[Transport] = &[
    ("Bearer", |text, _| authorization("Bearer", text)),
    ("BEARER", |text, _| authorization("BEARER", text)),
    ("bEaReR and two spaces", |text, _| authorization("bEaReR ", text)),
];

fn awx(tokens: &Tokens<ReadWrite>) -> Product {
    let needs = awx::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let layer = BearerLayer::new(tokens.clone());
    let face = Awx::new(layer, Arc::new(Accounts), needs, awx::Settings::default());
    Product {
        name: AWX,
        declared: face.declared(),
        router: face.into_router(),
        transports: AWXS_TRANSPORTS,
        calls: AWXS_CALLS,
        dead: (
            401,
            "Authentication credentials were not provided. To establish a login session, visit \
             /api/login/.",
        ),
        forbidden: (403, "You do not have permission to perform this action."),
        code: |told| told["detail"].as_str().unwrap(),
    }
}

const ZITADELS_CALLS: &[Call] = &[
    call("POST /management/v1/users/{user_id}/pats", "/management/v1/users/$ROBOT/pats", ""),
    call(
        "POST /management/v1/users/{user_id}/pats/_search",
        "/management/v1/users/$OWNER/pats/_search",
        "",
    ),
    call(
        "GET /management/v1/users/{user_id}/pats/{token_id}",
        "/management/v1/users/$OWNER/pats/$TOKEN",
        "",
    ),
    call(
        "DELETE /management/v1/users/{user_id}/pats/{token_id}",
        "/management/v1/users/$OWNER/pats/$TOKEN",
        "",
    ),
    call("POST /v2/users/{user_id}/pats", "/v2/users/$ROBOT/pats", NEXT_YEAR),
    call("DELETE /v2/users/{user_id}/pats/{token_id}", "/v2/users/$OWNER/pats/$TOKEN", ""),
    call("POST /v2/users/pats/search", "/v2/users/pats/search", "{}"),
    call(
        "POST /zitadel.management.v1.ManagementService/AddPersonalAccessToken",
        "/zitadel.management.v1.ManagementService/AddPersonalAccessToken",
        r#"{"userId":"$ROBOT"}"#,
    ),
    call(
        "POST /zitadel.management.v1.ManagementService/ListPersonalAccessTokens",
        "/zitadel.management.v1.ManagementService/ListPersonalAccessTokens",
        r#"{"userId":"$OWNER"}"#,
    ),
    call(
        "POST /zitadel.management.v1.ManagementService/GetPersonalAccessTokenByIDs",
        "/zitadel.management.v1.ManagementService/GetPersonalAccessTokenByIDs",
        NAMED,
    ),
    call(
        "POST /zitadel.management.v1.ManagementService/RemovePersonalAccessToken",
        "/zitadel.management.v1.ManagementService/RemovePersonalAccessToken",
        NAMED,
    ),
    call(
        "POST /zitadel.user.v2.UserService/AddPersonalAccessToken",
        "/zitadel.user.v2.UserService/AddPersonalAccessToken",
        NEXT_YEAR,
    ),
    call(
        "POST /zitadel.user.v2.UserService/RemovePersonalAccessToken",
        "/zitadel.user.v2.UserService/RemovePersonalAccessToken",
        NAMED,
    ),
    call(
        "POST /zitadel.user.v2.UserService/ListPersonalAccessTokens",
        "/zitadel.user.v2.UserService/ListPersonalAccessTokens",
        "{}",
    ),
];

const NEXT_YEAR: &str = r#"{"userId":"$ROBOT","expirationDate":"2028-01-01T00:00:00Z"}"#;

const NAMED: &str = r#"{"userId":"$OWNER","tokenId":"$TOKEN"}"#;

fn zitadel(tokens: &Tokens<ReadWrite>) -> Product {
    let needs = zitadel::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let settings = zitadel::Settings { default_limit: 100, max_limit: 1000 };
    let layer = BearerLayer::new(tokens.clone());
    let face = zitadel::Zitadel::new(layer, Arc::new(Accounts), needs, settings);
    Product {
        name: "",
        declared: face.declared(),
        router: face.into_router(),
        transports: &[("Bearer", |text, _| authorization("Bearer", text))],
        calls: ZITADELS_CALLS,
        dead: (401, "invalid token"),
        forbidden: (403, "No matching permissions found"),
        // What cannot be a token has another id than one that is dead, and the same words.
        code: |told| told["message"].as_str().unwrap().split(" (").next().unwrap(),
    }
}

/// An administrator, his bot and his service account, and somebody who will be deactivated.
#[derive(Debug)]
struct Accounts;

const PEOPLE: [&str; 4] = ["admin", "adminbot", "robot", "gone"];

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let is = |name: &&&str| match key {
            AccountKey::Id(key) => *key == id(name),
            AccountKey::Number(1) => **name == "admin",
            AccountKey::Username(key) => key == *name,
            _ => false,
        };
        Ok(PEOPLE.iter().find(is).map(|name| {
            let mut account = Account::new(id(name), 1, *name, DateTime::UNIX_EPOCH);
            let roles = ["superuser", "system_admin", "admin", "IAM_OWNER"];
            account.roles = roles.map(str::to_owned).to_vec();
            account.organization = Some("acme".to_owned());
            if *name == "robot" {
                account.kind = AccountKind::Machine;
            }
            if *name == "adminbot" {
                (account.kind, account.bot_owner) = (AccountKind::Bot, Some(id("admin")));
            }
            account
        }))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(true)
    }
}

fn id(name: &str) -> OwnerId {
    OwnerId::new(format!("{name:x<26}")).unwrap()
}

async fn issue(tokens: &Tokens<ReadWrite>, request: IssueRequest<ReadWrite>) -> (String, String) {
    let (secret, row) = tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
    (secret.expose_secret().to_owned(), row.id.to_string())
}

fn personal(owner: &str) -> IssueRequest<ReadWrite> {
    let mut request = IssueRequest::new(id(owner), Grant::Full);
    request.lifetime = Lifetime::For(TimeDelta::days(10));
    request
}

/// A service, and a token of each kind.
async fn scene() -> (Tokens<ReadWrite>, Vec<Held>, i64) {
    let mut policy = KindPolicy::personal();
    (policy.never_expires, policy.quota, policy.minting) = (true, None, Minting::AsOwner);
    let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
    let format = format.reading(Shape::MATTERMOST).reading(Shape::ROCKET_CHAT);
    let policy = Policy::default().with_kind(Kind::personal(), policy);
    let rules = Rules::new(format, Keyring::unkeyed()).with_policy(policy);
    let start = DateTime::from_timestamp_millis(1_800_000_000_000).unwrap();
    let clock = ManualClock::new(start);
    let build = |seed| {
        let (store, randomness) = (MemoryStore::default(), SeededRandomness::new(seed));
        Builder::new(store, rules.clone(), clock.clone(), randomness).build()
    };
    let (tokens, another): (Tokens<ReadWrite>, Tokens<ReadWrite>) = (build(1), build(2));
    let host = Actor::host();
    let mut held = Vec::new();
    let mut hold = |kind, owner, text: &str, fate| {
        held.push(Held { kind, owner, text: text.to_owned(), fate });
    };
    let session = IssueRequest::new(id("admin"), Grant::Full).of_kind(Kind::session());
    hold("a session", "admin", &issue(&tokens, session).await.0, Fate::Works);
    hold("a person's", "admin", &issue(&tokens, personal("admin")).await.0, Fate::Works);
    hold("a bot's", "adminbot", &issue(&tokens, personal("adminbot")).await.0, Fate::Works);
    let mut reading = personal("admin");
    reading.grant = Grant::only([ReadWrite::Read]).unwrap();
    hold("one that reads", "admin", &issue(&tokens, reading).await.0, Fate::Looks);
    for shape in [Shape::MATTERMOST, Shape::ROCKET_CHAT] {
        let (text, _) = issue(&tokens, personal("admin").in_shape(Some(shape))).await;
        hold(shape.name(), "admin", &text, Fate::Works);
        let (text, revoked) = issue(&tokens, personal("admin").in_shape(Some(shape))).await;
        tokens.revoke(revoked.parse().unwrap(), By::Host(&host), None).await.unwrap();
        hold("a revoked one without an id", "admin", &text, Fate::Dead);
    }
    let (text, asleep) = issue(&tokens, personal("admin")).await;
    tokens.deactivate(asleep.parse().unwrap(), By::Host(&host), None).await.unwrap();
    hold("a deactivated one", "admin", &text, Fate::Dead);
    let (text, revoked) = issue(&tokens, personal("admin")).await;
    tokens.revoke(revoked.parse().unwrap(), By::Host(&host), None).await.unwrap();
    hold("a revoked one", "admin", &text, Fate::Dead);
    let (text, rotated) = issue(&tokens, personal("admin")).await;
    let rotation = keyfob::core::rotation::Rotation::at_once();
    let _ = tokens.rotate(rotated.parse().unwrap(), rotation, By::Host(&host)).await.unwrap();
    hold("a replaced one", "admin", &text, Fate::Dead);
    let mut short = personal("admin");
    short.lifetime = Lifetime::For(TimeDelta::minutes(1));
    hold("an expired one", "admin", &issue(&tokens, short).await.0, Fate::Dead);
    let (text, _) = issue(&tokens, personal("gone")).await;
    tokens.deactivate_owner(&id("gone"), By::Host(&host), None).await.unwrap();
    hold("a deactivated account's", "gone", &text, Fate::Dead);
    let (text, _) = issue(&tokens, personal("nobody")).await;
    hold("nobody's", "nobody", &text, Fate::Dead);
    let (text, _) = issue(&another, personal("admin")).await;
    hold("another server's", "admin", &text, Fate::Dead);
    hold("no token", "admin", "nonsense", Fate::Dead);
    clock.advance(TimeDelta::minutes(1));
    (tokens, held, (start + TimeDelta::days(1)).timestamp_millis())
}

#[tokio::test]
async fn every_route_judges_a_token_the_same_whatever_carries_it() {
    let (tokens, held, soon) = scene().await;
    for product in [awx(&tokens), mattermost(&tokens), rocketchat(&tokens), zitadel(&tokens)] {
        let called: BTreeSet<String> = product
            .calls
            .iter()
            .map(|call| call.route.replacen(' ', &format!(" {}", product.name), 1))
            .collect();
        let declared: BTreeSet<String> = product
            .declared
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        assert_eq!(called, declared, "a route is not called, or is not declared");
        let mut asked = 0;
        for call in product.calls {
            let route = call.route.replacen(' ', &format!(" {}", product.name), 1);
            let is_it =
                |declared: &&Declared<_>| format!("{} {}", declared.method, declared.path) == route;
            let need = &product.declared.iter().find(is_it).unwrap().need;
            for Held { kind, owner, text, fate } in &held {
                let expected = match (fate, need) {
                    (Fate::Dead, _) => (product.dead.0, Some(product.dead.1)),
                    (Fate::Looks, need) if changes(call, need) => {
                        (product.forbidden.0, Some(product.forbidden.1))
                    }
                    _ => (call.works, None),
                };
                for (how, headers) in product.transports {
                    let name = format!("token {asked} of {}", product.name);
                    let named = TokenName::new(name.as_str()).unwrap();
                    let (_, fresh) = issue(&tokens, personal(owner_of(owner)).named(named)).await;
                    let by = Actor::host();
                    let row = tokens.find(fresh.parse().unwrap(), By::Host(&by)).await.unwrap();
                    let fill = |text: &str| {
                        let owner = id(owner_of(owner));
                        text.replace("$TOKEN", &fresh)
                            .replace("$NAME", &name)
                            .replace("$NUMBER", &row.number.to_string())
                            .replace("$SOON", &soon.to_string())
                            .replace("$OWNER", owner.as_str())
                            .replace("$ROBOT", id("robot").as_str())
                    };
                    let method = call.route.split_once(' ').unwrap().0;
                    let mut request = Request::builder()
                        .method(method)
                        .uri(format!("{}{}", product.name, fill(call.path)))
                        .header("content-type", "application/json");
                    for (header, value) in headers(text, &id(owner)) {
                        request = request.header(header, value);
                    }
                    let request = request.body(Body::from(fill(call.body))).unwrap();
                    let (parts, body) =
                        product.router.clone().oneshot(request).await.unwrap().into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let told: Value = if body.is_empty() {
                        Value::Null
                    } else {
                        serde_json::from_slice(&body).unwrap()
                    };
                    let code = expected.1.map(|_| (product.code)(&told));
                    let what = format!("{route} with {kind}, {how}: {told}");
                    assert_eq!((parts.status.as_u16(), code), expected, "{what}");
                    asked += 1;
                }
            }
        }
        assert_eq!(asked, product.calls.len() * held.len() * product.transports.len());
    }
}

/// Whether a call changes something. Rocket.Chat's routes look at tokens themselves, and are declared
/// as open.
fn changes(call: &Call, need: &Need<ReadWrite>) -> bool {
    match need {
        Need::Scope(scope) => *scope == ReadWrite::Write,
        _ => call.route.starts_with("POST"),
    }
}

/// Whom a fresh token is issued for: whoever is gone gets none.
fn owner_of(owner: &str) -> &str {
    if owner == "adminbot" { owner } else { "admin" }
}

/// How a connection that stays open is given a token: what it is called, and whether it opens.
type Opening = (&'static str, fn(&Server, &str) -> bool);

const MATTERMOSTS_OPENINGS: &[Opening] = &[
    ("Bearer", |server, text| opens_with(server, "Bearer", text)),
    ("BEARER", |server, text| opens_with(server, "BEARER", text)),
    ("Token", |server, text| opens_with(server, "Token", text)),
    ("a challenge", opens_by_challenge),
    // For comparison: a request that asks who it is.
    ("a request", |server, text| server.call("GET", "/api/v4/users/me", text, None).status == 200),
];

fn opens_with(server: &Server, scheme: &str, text: &str) -> bool {
    match connect(server, Some(&format!("{scheme} {text}"))) {
        Ok(mut socket) => told(&mut socket).unwrap()["event"] == "hello",
        Err(status) => {
            assert_eq!(status, 401);
            false
        }
    }
}

fn opens_by_challenge(server: &Server, text: &str) -> bool {
    let mut socket = connect(server, None).unwrap();
    let challenge =
        json!({"seq": 1, "action": "authentication_challenge", "data": {"token": text}});
    socket.send(Message::Text(challenge.to_string().into())).unwrap();
    match told(&mut socket) {
        Ok(answer) => {
            assert_eq!(answer, json!({"status": "OK", "seq_reply": 1}));
            told(&mut socket).unwrap()["event"] == "hello"
        }
        Err(reason) => {
            assert_eq!(reason, "invalid_token");
            false
        }
    }
}

type Socket = WebSocket<TcpStream>;

/// A connection, or the status that refuses it.
fn connect(server: &Server, authorization: Option<&str>) -> Result<Socket, u16> {
    let mut request =
        format!("ws://{}/api/v4/websocket", server.address).into_client_request().unwrap();
    if let Some(value) = authorization {
        request.headers_mut().insert("authorization", value.parse().unwrap());
    }
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

/// The next message, or why there is none.
fn told(socket: &mut Socket) -> Result<Value, String> {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(frame)) => return Err(frame.reason.to_string()),
            Message::Ping(_) => {}
            other => panic!("{other}"),
        }
    }
}

const PASSWORD: &str = "correct horse battery staple";

/// The example, with an administrator, bob and his bot.
fn server(name: &str, settings: &Value) -> Server {
    let accounts = json!({
        "accounts": [
            {"id": id("admin"), "number": 1, "username": "admin", "password": PASSWORD,
             "roles": ["system_admin"]},
            {"id": id("bob"), "number": 2, "username": "bob", "password": PASSWORD,
             "roles": ["system_user_access_token"]},
            {"id": id("bot"), "number": 3, "username": "bot", "kind": "bot", "owner": id("bob")},
            {"id": id("gone"), "number": 4, "username": "gone", "password": PASSWORD},
        ],
        "settings": {"mattermost": settings},
    });
    let path = folder(name).join("accounts.json");
    fs::write(&path, accounts.to_string()).unwrap();
    Server::start_with(name, &[], "warn", &["--accounts", path.to_str().unwrap()])
}

fn made(server: &Server, session: &str, body: &Value) -> (String, String) {
    let made = server.call("POST", "/tokens", session, Some(body)).is(201).json();
    (text(&made["token"]), text(&made["id"]))
}

/// A bot's token, which an administrator makes on Mattermost's face.
fn bots(server: &Server, session: &str) -> String {
    let path = format!("/api/v4/users/{}/tokens", id("bot"));
    let made = server.call("POST", &path, session, Some(&json!({"description": "x"}))).is(200);
    text(&made.json()["token"])
}

#[track_caller]
fn opens(server: &Server, held: &[(&str, &str, bool)]) {
    for (kind, text, expected) in held {
        for (how, opens) in MATTERMOSTS_OPENINGS {
            assert_eq!(opens(server, text), *expected, "{kind} by {how}");
        }
    }
}

#[test]
fn a_websocket_opens_for_the_same_tokens_however_it_is_given_one() {
    let server = server("transports", &json!({}));
    let (admin, session) = (server.sign_in("admin", PASSWORD), server.sign_in("bob", PASSWORD));
    let (person, _) = made(&server, &session, &json!({"name": "person"}));
    let (reader, _) = made(&server, &session, &json!({"name": "reader", "scopes": ["read"]}));
    let soon = DateTime::<Utc>::from(SystemTime::now() + Duration::from_secs(1));
    let (expired, _) =
        made(&server, &session, &json!({"name": "short", "expires_at": soon.to_rfc3339()}));
    let (asleep, asleep_id) = made(&server, &session, &json!({"name": "asleep"}));
    server.call("POST", &format!("/tokens/{asleep_id}/deactivate"), &session, None).is(200);
    let (revoked, revoked_id) = made(&server, &session, &json!({"name": "revoked"}));
    server.call("DELETE", &format!("/tokens/{revoked_id}"), &session, None).is(204);
    let gone = server.sign_in("gone", PASSWORD);
    server.call("POST", &format!("/owners/{}/deactivate", id("gone")), &admin, None).is(200);
    let bot = bots(&server, &admin);
    thread::sleep(Duration::from_millis(1100));
    opens(
        &server,
        &[
            ("a session", &session, true),
            ("a person's", &person, true),
            ("a bot's", &bot, true),
            ("one that reads", &reader, true),
            ("a deactivated one", &asleep, false),
            ("a revoked one", &revoked, false),
            ("an expired one", &expired, false),
            ("a deactivated account's", &gone, false),
            ("no token", "nonsense", false),
        ],
    );
}

/// A request that carries the token in Rocket.Chat's headers.
fn in_headers(server: &Server, owner: &str, token: &str) -> u16 {
    let request = format!(
        "GET /api/v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-auth-token: {token}\r\nx-user-id: {}\r\n\r\n",
        id(owner)
    );
    server.exchange(request.as_bytes()).unwrap().status
}

/// Signing in with the token instead of a password, and using what that yields.
fn by_resuming(server: &Server, owner: &str, token: &str) -> u16 {
    let answer = server.call("POST", "/api/v1/login", "", Some(&json!({"resume": token})));
    if answer.status != 200 {
        return answer.status;
    }
    let data = &answer.json()["data"];
    assert_eq!(data["userId"], json!(id(owner)));
    assert_eq!(data["authToken"], token, "it is the same token");
    in_headers(server, owner, &text(&data["authToken"]))
}

#[test]
fn rocketchats_sign_in_takes_the_tokens_that_its_headers_take() {
    let server = server("resuming", &json!({}));
    let (admin, session) = (server.sign_in("admin", PASSWORD), server.sign_in("bob", PASSWORD));
    let (person, _) = made(&server, &session, &json!({"name": "person"}));
    let (reader, _) = made(&server, &session, &json!({"name": "reader", "scopes": ["read"]}));
    let (revoked, revoked_id) = made(&server, &session, &json!({"name": "revoked"}));
    server.call("DELETE", &format!("/tokens/{revoked_id}"), &session, None).is(204);
    let (asleep, asleep_id) = made(&server, &session, &json!({"name": "asleep"}));
    server.call("POST", &format!("/tokens/{asleep_id}/deactivate"), &session, None).is(200);
    let gone = server.sign_in("gone", PASSWORD);
    server.call("POST", &format!("/owners/{}/deactivate", id("gone")), &admin, None).is(200);
    let bot = bots(&server, &admin);
    for (kind, owner, token, expected) in [
        ("a session", "bob", &session, 200),
        ("a person's", "bob", &person, 200),
        ("a bot's", "bot", &bot, 200),
        ("one that reads", "bob", &reader, 200),
        ("a deactivated one", "bob", &asleep, 401),
        ("a revoked one", "bob", &revoked, 401),
        ("a deactivated account's", "gone", &gone, 401),
        ("no token", "bob", &"nonsense".to_owned(), 401),
    ] {
        assert_eq!(in_headers(&server, owner, token), expected, "{kind} in headers");
        assert_eq!(by_resuming(&server, owner, token), expected, "{kind} by resuming");
    }
}

#[test]
fn deactivating_an_account_on_mattermosts_face_takes_its_bots_along() {
    let server = server("bots", &json!({}));
    let admin = server.sign_in("admin", PASSWORD);
    let bot = bots(&server, &admin);
    let works = || server.call("GET", "/api/v4/users/me", &bot, None).status;
    let set = |name: &str, active: bool| {
        let path = format!("/api/v4/users/{}/active", id(name));
        server.call("PUT", &path, &admin, Some(&json!({"active": active}))).is(200);
    };
    assert_eq!(works(), 200);
    set("bob", false);
    assert_eq!(works(), 401);
    // They do not come back with it; each is let in again by itself.
    set("bob", true);
    assert_eq!(works(), 401);
    set("bot", true);
    assert_eq!(works(), 200);
}

#[test]
fn a_websocket_refuses_peoples_tokens_where_those_are_switched_off() {
    let server = server("switched_off", &json!({"enable_user_access_tokens": false}));
    let (admin, session) = (server.sign_in("admin", PASSWORD), server.sign_in("bob", PASSWORD));
    let (person, _) = made(&server, &session, &json!({"name": "person"}));
    // It is alive, and works on the faces that know of no switch.
    server.call("GET", "/messages", &person, None).is(200);
    let bot = bots(&server, &admin);
    opens(
        &server,
        &[("a session", &session, true), ("a person's", &person, false), ("a bot's", &bot, true)],
    );
}
