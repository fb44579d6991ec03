//! Mattermost's token routes, called as its clients call them.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;
#[path = "common/cut.rs"]
mod cut;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::get;
use chrono::{DateTime, TimeDelta};
use common::Detour;
use cut::Cut;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use keyfob::core::lifecycle::revoke;
use keyfob::http::{Allowance, BearerLayer, Limiter, Need, guard, unguarded_routes};
use keyfob::os::SystemClock;
use keyfob::ports::clock::Clock as _;
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::ports::store::EventQuery;
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::wire::mattermost::{
    APP_KIND, Failure, Field, Mattermost, Needs, REMOTE_ROLE, Settings, Step,
};
use keyfob::{
    Actor, Builder, By, EventKind, Format, Grant, IssueRequest, Keyring, Kind, KindPolicy, Minting,
    OwnerId, Policy, ReadWrite, Rules, Scope as _, ScopeName, TokenId, TokenName, TokenRecord,
    Tokens,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const START_MS: i64 = 1_800_000_000_000;

/// So many days after the start, in milliseconds.
fn days(days: i64) -> i64 {
    START_MS.saturating_add(days.saturating_mul(86_400_000))
}

const PERMISSIONS: &str = "api.context.permissions.app_error";
const MISSING: &str = "app.user_access_token.get_by_user.app_error";
const EXPIRED: &str = "api.context.session_expired.app_error";

/// An account's id, of the length that this wire insists on.
fn id(name: &str) -> OwnerId {
    OwnerId::new(format!("{name:x<26}")).unwrap()
}

fn of(name: &str) -> String {
    format!("/users/{}/tokens", id(name))
}

#[derive(Debug, Default)]
struct Accounts {
    down: AtomicBool,
}

/// Name, roles, and for a bot its owner.
const ACCOUNTS: &[(&str, &[&str], Option<&str>)] = &[
    ("admin", &["system_user", "system_admin"], None),
    ("alice", &["system_user", "system_user_access_token"], None),
    ("bob", &["system_user"], None),
    ("manager", &["system_user_access_token", "system_user_manager"], None),
    ("keeper", &["system_user_access_token", "manage_bots"], None),
    ("shepherd", &["system_user_access_token", "manage_others_bots"], None),
    ("mirrored", &["system_user_access_token", REMOTE_ROLE], None),
    ("powerless", &["system_admin"], None),
    ("chief", &["system_user_access_token", "IAM_OWNER"], None),
    ("deputy", &["system_user_access_token", "system_user_manager", "IAM_OWNER"], None),
    ("robot", &[], Some("keeper")),
    ("alicebot", &[], Some("alice")),
];

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(DirectoryError("the directory is down".into()));
        }
        let same = |name: &str| match key {
            AccountKey::Id(key) => *key == id(name),
            // A directory that is more generous than the wire.
            AccountKey::Username(key) => key.eq_ignore_ascii_case(name),
            _ => false,
        };
        let found = ACCOUNTS.iter().find(|(name, ..)| same(name));
        Ok(found.map(|(name, roles, owner)| {
            let mut account = Account::new(id(name), 1, *name, DateTime::UNIX_EPOCH);
            account.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            if let Some(owner) = owner {
                account.kind = AccountKind::Bot;
                account.bot_owner = Some(id(owner));
            }
            account
        }))
    }

    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(match account.username.as_str() {
            "powerless" => Grant::only([ScopeName::new("nothing").unwrap()]).unwrap(),
            _ => Grant::Full,
        })
    }

    async fn is_administrator(&self, account: &Account) -> Result<bool, DirectoryError> {
        // Of another product's vocabulary: this wire has its own.
        Ok(account.roles.iter().any(|role| role == "IAM_OWNER"))
    }
}

struct Server {
    tokens: Tokens<ReadWrite>,
    face: Mattermost<ReadWrite>,
    router: Router,
    clock: ManualClock,
    directory: Arc<Accounts>,
    store_is_down: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    fn id(&self) -> String {
        serde_json::from_str::<Value>(&self.body).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Asserts what a failure is, to the byte but for the request's id.
    #[track_caller]
    fn failed(&self, status: u16, id: &str, message: &str) {
        let request = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(request.len(), 26);
        let expected = format!(
            r#"{{"id":"{id}","message":"{message}","detailed_error":"","request_id":"{request}","status_code":{status}}}"#
        );
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, expected.as_str()));
        assert_eq!(self.headers["content-type"], "application/json");
    }

    #[track_caller]
    fn forbidden(&self) {
        self.failed(403, PERMISSIONS, "You do not have the appropriate permissions.");
    }

    #[track_caller]
    fn missing(&self) {
        self.failed(404, MISSING, "Unable to get the personal access tokens by user.");
    }

    #[track_caller]
    fn expired(&self) {
        self.failed(401, EXPIRED, "Invalid or expired session, please login again.");
    }

    #[track_caller]
    fn is(&self, status: u16, id: &str) {
        assert_eq!((self.status.as_u16(), self.id().as_str()), (status, id), "{self:?}");
    }
}

async fn me(
    State(face): State<Mattermost<ReadWrite>>,
    request: Request,
) -> Result<String, Failure> {
    let (mut parts, _) = request.into_parts();
    let caller = face.caller(&mut parts, &ReadWrite::Read).await?;
    assert!(!format!("{:?}", parts.headers).contains("chat"));
    Ok(caller.account().username.clone())
}

/// The product's own policy: nothing that this wire has no word for.
fn policy() -> KindPolicy {
    let mut policy = KindPolicy::personal();
    (policy.never_expires, policy.longest_lifetime, policy.quota) = (true, None, None);
    policy.minting = Minting::AsOwner;
    policy
}

const ON: Settings = Settings { enabled: true, maximum_lifetime_days: 0 };
const OFF: Settings = Settings { enabled: false, maximum_lifetime_days: 0 };
const A_MONTH: Settings = Settings { enabled: true, maximum_lifetime_days: 30 };

impl Server {
    fn new(seed: u64) -> Self {
        Self::with(seed, policy())
    }

    fn with(seed: u64, policy: KindPolicy) -> Self {
        let app = Kind::new(APP_KIND).unwrap();
        let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
        let format = format.with("chata", app).unwrap();
        let policy = Policy::default().with_kind(Kind::personal(), policy);
        let rules = Rules::new(format, Keyring::unkeyed()).with_policy(policy);
        let clock = ManualClock::new(DateTime::from_timestamp_millis(START_MS).unwrap());
        let store_is_down = Arc::new(AtomicBool::new(false));
        let store = Detour::new(Cut(Arc::clone(&store_is_down)));
        let tokens = Builder::new(store, rules, clock.clone(), SeededRandomness::new(seed)).build();
        let directory = Arc::new(Accounts::default());
        let face = face(BearerLayer::new(tokens.clone()), &directory, ON);
        Self { router: router(&face), tokens, face, clock, directory, store_is_down }
    }

    /// The same server after its administrator has set this.
    fn set(&mut self, settings: Settings) {
        self.face = face(BearerLayer::new(self.tokens.clone()), &self.directory, settings);
        self.router = router(&self.face);
    }

    async fn issue(&self, request: IssueRequest<ReadWrite>) -> (String, TokenRecord) {
        let (secret, row) = self.tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    async fn of_kind(&self, name: &str, kind: Kind) -> String {
        self.issue(IssueRequest::new(id(name), Grant::Full).of_kind(kind)).await.0
    }

    async fn session(&self, name: &str) -> String {
        self.of_kind(name, Kind::session()).await
    }

    /// A token of a person's or a bot's that the host has issued, and its id.
    async fn personal(&self, name: &str) -> (String, String) {
        let mut request = IssueRequest::new(id(name), Grant::Full);
        request.lifetime = keyfob::Lifetime::Unlimited;
        let (secret, row) = self.issue(request).await;
        (secret, row.id.to_string())
    }

    async fn call(&self, route: &str, token: &str, body: Option<Value>) -> Answer {
        self.raw(route, token, &body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    async fn raw(&self, route: &str, token: &str, body: &str) -> Answer {
        self.send(route, &[("authorization", &format!("Bearer {token}"))], body).await
    }

    async fn send(&self, route: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(format!("/api/v4{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn create(&self, token: &str, whose: &str) -> Answer {
        let body = json!({"description": "ci"});
        self.call(&format!("POST {}", of(whose)), token, Some(body)).await
    }

    async fn create_until(&self, token: &str, whose: &str, expires_at: i64) -> Answer {
        let body = json!({"description": "ci", "expires_at": expires_at});
        self.call(&format!("POST {}", of(whose)), token, Some(body)).await
    }

    async fn act(&self, verb: &str, token: &str, id: &str) -> Answer {
        let body = json!({"token_id": id});
        self.call(&format!("POST /users/tokens/{verb}"), token, Some(body)).await
    }

    /// Who a token is, or the status that refuses it.
    async fn who(&self, token: &str) -> String {
        let answer = self.raw("GET /users/me", token, "").await;
        if answer.status == 200 { answer.body } else { answer.status.as_u16().to_string() }
    }

    async fn list(&self, route: &str, token: &str) -> Vec<String> {
        let listed = self.call(&format!("GET {route}"), token, None).await.ok();
        listed.as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn search(&self, token: &str, term: &str) -> Vec<String> {
        let body = Some(json!({"term": term}));
        let found = self.call("POST /users/tokens/search", token, body).await.ok();
        found.as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn face(
    layer: BearerLayer<ReadWrite>,
    directory: &Arc<Accounts>,
    settings: Settings,
) -> Mattermost<ReadWrite> {
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    Mattermost::new(layer, Arc::clone(directory) as Arc<dyn Directory>, needs, settings)
}

fn router(face: &Mattermost<ReadWrite>) -> Router {
    let own = Router::new().route("/api/v4/users/me", get(me)).with_state(face.clone());
    face.answering(own).merge(face.clone().into_router())
}

/// Two requests, whoever makes them, and then none for a minute and a half.
#[derive(Debug, Default)]
struct Two(AtomicU32);

impl Limiter for Two {
    fn take(&self, route: &str, _: Option<IpAddr>, account: Option<&OwnerId>) -> Allowance {
        let own = ["GET /api/v4/users/me", "POST /api/v4/users/{user_id}/tokens"];
        assert!(own.contains(&route) && account.is_none(), "{route}");
        let made = self.0.fetch_add(1, Ordering::Relaxed);
        let resets_at = DateTime::from_timestamp_millis(START_MS + 89_001).unwrap();
        Allowance {
            is_admitted: made < 2,
            limit: 2,
            remaining: 1_u32.saturating_sub(made),
            resets_at,
        }
    }
}

#[tokio::test]
async fn a_hosts_limit_is_told_in_the_products_headers_and_refuses_in_its_words() {
    let mut server = Server::new(90);
    let session = server.session("alice").await;
    server.face = server.face.clone().limited_by(Arc::new(Two::default()));
    server.router = router(&server.face);
    let told = |answer: &Answer| {
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"]
            .map(|name| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()))
    };
    let headers = |remaining: &str, wait: Option<&str>| {
        let some = |text: &str| Some(text.to_owned());
        [some("2"), some(remaining), some("90"), wait.map(str::to_owned)]
    };
    // Counted before anybody knows whose it is; the host's own routes too.
    let refused = server.create("nobody's", "alice").await;
    assert_eq!((refused.status.as_u16(), told(&refused)), (401, headers("1", None)));
    let seen = server.raw("GET /users/me", &session, "").await;
    assert_eq!((seen.status.as_u16(), told(&seen)), (200, headers("0", None)));
    let limited = server.create(&session, "alice").await;
    assert_eq!((limited.status.as_u16(), told(&limited)), (429, headers("0", Some("90"))));
    assert_eq!(limited.body, "limit exceeded");
    assert!(limited.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let document: Value = serde_json::from_str(&server.face.openapi()).unwrap();
    let responses = &document["paths"]["/api/v4/users/tokens"]["get"]["responses"];
    assert!(responses["429"]["content"]["text/plain"].is_object(), "{responses}");
}

#[tokio::test]
async fn a_token_is_created_with_six_keys_and_its_secret_works() {
    let server = Server::new(1);
    let session = server.session("alice").await;
    let body = json!({
        "description": "ci", "expires_at": days(1),
        "id": "mine", "token": "mine", "user_id": "mine", "is_active": false,
    });
    let created = server.call("POST /users/me/tokens", &session, Some(body)).await;
    let token = created.ok();
    let (secret, token_id) = (token["token"].as_str().unwrap(), token["id"].as_str().unwrap());
    assert_eq!(token_id.len(), 26);
    // Scanners know it by its beginning.
    assert!(secret.starts_with("chatp_") && secret.len() > 26);
    let (user, at) = (id("alice"), days(1));
    let rest =
        format!(r#""user_id":"{user}","description":"ci","is_active":true,"expires_at":{at}}}"#);
    assert_eq!(created.body, format!("{{\"id\":\"{token_id}\",\"token\":\"{secret}\",{rest}\n"));
    assert_eq!(created.headers["cache-control"], "no-store");
    assert_eq!(server.who(secret).await, "alice");

    let shown = server.call(&format!("GET /users/tokens/{token_id}"), &session, None).await;
    assert_eq!(shown.body, format!("{{\"id\":\"{token_id}\",{rest}\n"));
    let listed = server.call("GET /users/me/tokens", &session, None).await;
    assert_eq!(listed.body, format!("[{{\"id\":\"{token_id}\",{rest}]"));
    server.clock.advance(TimeDelta::days(1));
    assert_eq!(server.who(secret).await, "401");
}

#[tokio::test]
async fn every_answer_carries_the_products_headers_and_a_fresh_request_id() {
    let server = Server::new(2);
    let session = server.session("alice").await;
    let header = format!("Bearer {session}");
    let headers = [("authorization", header.as_str()), ("x-request-id", "mine")];
    let first = server.send("GET /users/me/tokens", &headers, "").await;
    let second = server.send("POST /users/tokens/search", &headers, "{}").await;
    for answer in [&first, &second] {
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["permissions-policy"], "");
        assert_eq!(answer.headers["x-request-id"].len(), 26);
    }
    assert_ne!(first.headers["x-request-id"], second.headers["x-request-id"]);
    assert_eq!(first.headers["expires"], "0");
    assert!(!second.headers.contains_key("expires"));
    assert_eq!(first.body, "[]");
}

#[tokio::test]
async fn whoever_lacks_the_role_may_do_nothing_about_tokens() {
    let server = Server::new(3);
    let session = server.session("bob").await;
    let (_, own) = server.personal("bob").await;
    let unknown = "y".repeat(26);
    server.create(&session, "bob").await.forbidden();
    server.call("GET /users/me/tokens", &session, None).await.forbidden();
    for token in [&own, &unknown] {
        server.call(&format!("GET /users/tokens/{token}"), &session, None).await.forbidden();
        for verb in ["revoke", "disable", "enable", "rotate"] {
            server.act(verb, &session, token).await.forbidden();
        }
    }
    server.act("revoke", &session, "").await.forbidden();
    server.call("GET /users/tokens", &session, None).await.forbidden();
    server.call("POST /users/tokens/search", &session, Some(json!({}))).await.forbidden();
    server.call("GET /users/tokens/non_compliant/count", &session, None).await.forbidden();
    server.call("POST /users/tokens/non_compliant/revoke", &session, None).await.forbidden();
}

#[tokio::test]
async fn an_account_reaches_its_own_tokens_and_an_administrator_everybodys() {
    let server = Server::new(4);
    let (admin, alice) = (server.session("admin").await, server.session("alice").await);
    server.create(&alice, "alice").await.ok();
    server.create(&alice, "bob").await.forbidden();
    let created = server.create(&admin, "bob").await.ok();
    assert_eq!(created["user_id"], id("bob").as_str());
    let secret = created["token"].as_str().unwrap();
    assert_eq!(server.who(secret).await, "bob");
    let token = created["id"].as_str().unwrap();

    server.call(&format!("GET /users/tokens/{token}"), &alice, None).await.forbidden();
    server.call(&format!("GET {}", of("bob")), &alice, None).await.forbidden();
    for verb in ["revoke", "disable", "enable", "rotate"] {
        server.act(verb, &alice, token).await.forbidden();
    }
    assert_eq!(server.who(secret).await, "bob");
    assert_eq!(server.list(&of("bob"), &admin).await, [token]);
    for verb in ["disable", "enable", "rotate", "revoke"] {
        server.act(verb, &admin, token).await.ok();
    }
    // An account that there is not has none, as far as an administrator asks.
    assert_eq!(server.list(&of("nobody"), &admin).await.len(), 0);
    server.call(&format!("GET {}", of("nobody")), &alice, None).await.forbidden();
}

#[tokio::test]
async fn a_user_manager_reaches_people_but_no_administrator() {
    let server = Server::new(5);
    let manager = server.session("manager").await;
    let created = server.create(&manager, "bob").await.ok();
    assert_eq!(server.who(created["token"].as_str().unwrap()).await, "bob");
    assert_eq!(server.list(&of("bob"), &manager).await.len(), 1);
    let (secret, token) = server.personal("admin").await;
    server.create(&manager, "admin").await.forbidden();
    server.call(&format!("GET {}", of("admin")), &manager, None).await.forbidden();
    for verb in ["revoke", "disable", "enable", "rotate"] {
        server.act(verb, &manager, &token).await.forbidden();
    }
    assert_eq!(server.who(&secret).await, "admin");
    let (_, bots) = server.personal("robot").await;
    server.call(&format!("GET /users/tokens/{bots}"), &manager, None).await.forbidden();
}

#[tokio::test]
async fn nobody_is_shown_a_secret_of_an_administrator_by_the_directory_but_administrators() {
    let server = Server::new(43);
    let (secret, token) = server.personal("chief").await;
    let manager = server.session("manager").await;
    server.create(&manager, "chief").await.forbidden();
    server.act("rotate", &manager, &token).await.forbidden();
    assert_eq!(server.who(&secret).await, "chief");
    for who in ["chief", "deputy", "admin"] {
        let session = server.session(who).await;
        let created = server.create(&session, "chief").await.ok();
        assert_eq!(server.who(created["token"].as_str().unwrap()).await, "chief", "{who}");
        server.act("rotate", &session, created["id"].as_str().unwrap()).await.ok();
    }
    // What gives no secret is as it was.
    server.act("revoke", &manager, &token).await.ok();
}

#[tokio::test]
async fn a_bot_is_reached_by_its_owner_or_by_who_manages_others_bots() {
    let server = Server::new(6);
    for (who, whose, may) in [
        ("keeper", "robot", true),
        ("keeper", "alicebot", false),
        ("alice", "alicebot", false),
        ("shepherd", "robot", true),
        ("admin", "robot", true),
        ("manager", "robot", false),
    ] {
        let session = server.session(who).await;
        let (secret, token) = server.personal(whose).await;
        let shown = server.call(&format!("GET /users/tokens/{token}"), &session, None).await;
        let mut answers = vec![server.create(&session, whose).await, shown];
        answers.push(server.call(&format!("GET {}", of(whose)), &session, None).await);
        for verb in ["disable", "enable", "rotate", "revoke"] {
            answers.push(server.act(verb, &session, &token).await);
        }
        for answer in &answers {
            if may {
                answer.ok();
            } else {
                answer.forbidden();
            }
        }
        assert_eq!(server.who(&secret).await, if may { "401" } else { whose });
    }
}

#[tokio::test]
async fn an_account_of_another_server_gets_no_tokens() {
    let server = Server::new(7);
    let admin = server.session("admin").await;
    let (secret, token) = server.personal("mirrored").await;
    server.create(&admin, "mirrored").await.forbidden();
    server.create(&secret, "mirrored").await.forbidden();
    server.act("rotate", &admin, &token).await.forbidden();
    server.call(&format!("GET /users/tokens/{token}"), &admin, None).await.ok();
    server.act("revoke", &admin, &token).await.ok();
}

#[tokio::test]
async fn an_app_looks_and_changes_nothing() {
    let server = Server::new(8);
    let app = server.of_kind("admin", Kind::new(APP_KIND).unwrap()).await;
    let (_, token) = server.personal("admin").await;
    server.create(&app, "admin").await.forbidden();
    for verb in ["revoke", "disable", "enable", "rotate"] {
        server.act(verb, &app, &token).await.forbidden();
    }
    assert_eq!(server.list("/users/tokens", &app).await, [token.as_str()]);
    assert_eq!(server.call(&format!("GET /users/tokens/{token}"), &app, None).await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_creation_is_told_in_the_products_order() {
    let server = Server::new(9);
    let session = server.session("alice").await;
    let invalid = "api.context.invalid_body_param.app_error";
    let answer = server.raw("POST /users/alice/tokens", &session, "{").await;
    let message = "Invalid or missing user_id parameter in request URL.";
    answer.failed(400, "api.context.invalid_url_param.app_error", message);
    // The account is looked up before the body is read.
    let answer = server.raw(&format!("POST {}", of("nobody")), &session, "{").await;
    answer.failed(404, "app.user.missing_account.const", "Unable to find the user.");
    for body in ["", "{", "[]", "\"\"", "1", "{\"description\":1}", "{\"description\":{\"$ne\":1}}"]
    {
        let answer = server.raw("POST /users/me/tokens", &session, body).await;
        answer.failed(400, invalid, "Invalid or missing user_access_token in request body.");
    }
    for body in ["{}", "null", "{\"description\":\"\"}"] {
        let answer = server.raw("POST /users/me/tokens", &session, body).await;
        answer.failed(400, invalid, "Invalid or missing description in request body.");
        // Who may not is told so only about a body that can be read.
        let answer = server.raw(&format!("POST {}", of("bob")), &session, body).await;
        answer.failed(400, invalid, "Invalid or missing description in request body.");
    }
    let description = |length: usize| json!({"description": "d".repeat(length)}).to_string();
    server.raw("POST /users/me/tokens", &session, &description(255)).await.ok();
    let id = "model.user_access_token.is_valid.description.app_error";
    for body in [description(256), description(300), json!({"description": "a\nb"}).to_string()] {
        let answer = server.raw("POST /users/me/tokens", &session, &body).await;
        answer.failed(400, id, "Invalid description, must be 255 or less characters.");
    }
    server.raw("POST /users/me/tokens", &session, "{\"description\":\" \"} and more").await.ok();
    server.raw("POST /users/me/tokens", &session, "{\"DESCRIPTION\":\" \"}").await.ok();
    let deep = format!("{{\"description\":{}", "[".repeat(100_000));
    assert_eq!(server.raw("POST /users/me/tokens", &session, &deep).await.id(), invalid);
    let long = "x".repeat(1024 * 1024);
    let answer = server.raw("POST /users/me/tokens", &session, &long).await;
    let id = "api.context.request_body_too_large.app_error";
    answer.failed(413, id, "Request body too large.");
    assert_eq!(server.list("/users/me/tokens", &session).await.len(), 3);
}

#[tokio::test]
async fn an_expiry_lies_in_the_future_or_is_none() {
    let server = Server::new(10);
    let session = server.session("alice").await;
    let created = server.create(&session, "alice").await.ok();
    assert_eq!(created["expires_at"], 0);
    let created = server.create_until(&session, "alice", START_MS.saturating_add(1)).await.ok();
    assert_eq!(created["expires_at"], START_MS.saturating_add(1));
    for at in [START_MS, 1, -1, i64::MIN] {
        let answer = server.create_until(&session, "alice", at).await;
        let id = "app.user_access_token.expires_at_in_past.app_error";
        answer.failed(400, id, "The provided expires_at is in the past.");
    }
    let answer = server.create_until(&session, "alice", i64::MAX).await;
    answer.is(400, "model.user_access_token.is_valid.expires_at.app_error");
    let admin = server.session("admin").await;
    let answer = server.create_until(&admin, "robot", -1).await;
    answer.is(400, "model.user_access_token.is_valid.expires_at.app_error");
}

#[tokio::test]
async fn a_limit_on_lifetimes_binds_people_and_not_bots() {
    let mut server = Server::new(11);
    server.set(A_MONTH);
    let admin = server.session("admin").await;
    let answer = server.create(&admin, "alice").await;
    let id = "app.user_access_token.expires_at_required.app_error";
    let message = "Personal access tokens must include an expiry date because the server enforces a maximum token lifetime.";
    answer.failed(400, id, message);
    let answer = server.create_until(&admin, "alice", days(60)).await;
    let id = "app.user_access_token.expires_at_too_far.app_error";
    let message = "The provided expires_at exceeds the configured maximum personal access token lifetime (30 days).";
    answer.failed(400, id, message);
    let answer = server.create_until(&admin, "alice", days(30).saturating_add(1)).await;
    answer.failed(400, id, message);
    let created = server.create_until(&admin, "alice", days(30)).await.ok();
    let answer = server.act("rotate", &admin, created["id"].as_str().unwrap()).await;
    answer.is(400, "app.user_access_token.expires_at_required.app_error");
    assert_eq!(server.create(&admin, "robot").await.ok()["expires_at"], 0);
    server.create_until(&admin, "robot", days(999)).await.ok();
}

#[tokio::test]
async fn a_client_on_the_same_machine_may_ask_for_the_whole_limit() {
    let rules = Server::new(33).tokens.rules().clone();
    let tokens: Tokens<ReadWrite> =
        Tokens::new(keyfob::store::memory::MemoryStore::default(), rules);
    let request = IssueRequest::new(id("alice"), Grant::Full).of_kind(Kind::session());
    let (session, _) = tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
    let directory = Arc::new(Accounts::default());
    let router = router(&face(BearerLayer::new(tokens.clone()), &directory, A_MONTH));
    let mut kept = 0;
    for _ in 0..300 {
        // The exact time, as a client reads it; the server goes by a cheaper clock, which lags.
        let now = SystemClock::new().now_micros() / 1000;
        let at = now + TimeDelta::days(30).num_milliseconds();
        let body = json!({"description": "ci", "expires_at": at}).to_string();
        let request = Request::post("/api/v4/users/me/tokens")
            .header("authorization", format!("Bearer {}", session.expose_secret()))
            .body(Body::from(body))
            .unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{at}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["expires_at"], at);
        kept += 1;
    }
    assert_eq!(kept, 300);
}

#[tokio::test]
async fn the_services_own_policy_speaks_in_the_products_words() {
    let mut strict = KindPolicy::personal();
    (strict.quota, strict.minting) = (Some(1), Minting::Forbidden);
    let server = Server::with(12, strict);
    let admin = server.session("admin").await;
    let answer = server.create(&admin, "robot").await;
    answer.is(400, "app.user_access_token.expires_at_required.app_error");
    let answer = server.create_until(&admin, "robot", days(367)).await;
    answer.is(400, "app.user_access_token.expires_at_too_far.app_error");
    assert!(answer.body.contains("(366 days)"));
    let created = server.create_until(&admin, "admin", days(1)).await.ok();
    let answer = server.create_until(&admin, "admin", days(1)).await;
    let id = "app.user_access_token.quota_reached.app_error";
    answer.failed(400, id, "The user has as many personal access tokens as it may have.");
    // A kind that mints nothing makes no secret here either, its own included.
    let secret = created["token"].as_str().unwrap();
    server.create_until(secret, "admin", days(1)).await.forbidden();
    let body = json!({"token_id": created["id"], "expires_at": days(1)});
    server.call("POST /users/tokens/rotate", secret, Some(body)).await.forbidden();
}

#[tokio::test]
async fn switched_off_nobody_gets_tokens_but_bots_and_old_ones_can_still_be_managed() {
    let mut server = Server::new(13);
    let admin = server.session("admin").await;
    let created = server.create(&admin, "alice").await.ok();
    let (secret, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    let (bot, bots) = server.personal("robot").await;
    server.set(OFF);
    let message = "Personal access tokens are disabled on this server. Please contact your system administrator for details.";
    let answer = server.create(&admin, "alice").await;
    answer.failed(501, "app.user_access_token.disabled", message);
    let answer = server.act("rotate", &admin, token).await;
    answer.failed(501, "app.user_access_token.disabled", message);
    server.raw("GET /users/me", secret, "").await.expired();
    assert_eq!(server.who(&admin).await, "admin");
    assert_eq!(server.who(&bot).await, "robot");
    let created = server.create(&admin, "robot").await.ok();
    assert_eq!(server.who(created["token"].as_str().unwrap()).await, "robot");
    server.act("rotate", &admin, &bots).await.ok();
    assert_eq!(server.list(&of("alice"), &admin).await, [token]);
    assert_eq!(server.search(&admin, token).await, [token]);
    server.call(&format!("GET /users/tokens/{token}"), &admin, None).await.ok();
    for verb in ["disable", "enable"] {
        server.act(verb, &admin, token).await.ok();
    }
    server.set(ON);
    assert_eq!(server.who(secret).await, "alice");
    server.set(OFF);
    server.act("revoke", &admin, token).await.ok();
}

#[tokio::test]
async fn a_token_that_is_none_or_unknown_is_told_apart_from_others() {
    let server = Server::new(14);
    let (admin, alice) = (server.session("admin").await, server.session("alice").await);
    let message = "Invalid or missing token_id parameter in request URL.";
    for path in ["123", "search", "revoke", "disable", "enable", "rotate", "tokens"] {
        let answer = server.call(&format!("GET /users/tokens/{path}"), &admin, None).await;
        answer.failed(400, "api.context.invalid_url_param.app_error", message);
    }
    let answer = server.call("GET /users/tokens/non_compliant", &admin, None).await;
    answer.failed(404, "api.context.404.app_error", "Sorry, we could not find the page.");
    let (session, row) = {
        let request = IssueRequest::new(id("alice"), Grant::Full).of_kind(Kind::session());
        server.issue(request).await
    };
    // Sessions are tokens too, and none of this wire's.
    for unknown in ["y".repeat(26), "Z".repeat(26), row.id.to_string()] {
        server.call(&format!("GET /users/tokens/{unknown}"), &alice, None).await.missing();
        for verb in ["revoke", "disable", "enable", "rotate"] {
            server.act(verb, &alice, &unknown).await.missing();
        }
    }
    assert_eq!(server.who(&session).await, "alice");
    // What cannot be read names no token; only rotating says that it is missing.
    for verb in ["revoke", "disable", "enable"] {
        for body in
            ["", "{", "[]", "null", "{}", "{\"token_id\":null}", "{\"token_id\":{\"$ne\":1}}"]
        {
            server.raw(&format!("POST /users/tokens/{verb}"), &alice, body).await.missing();
        }
    }
    let invalid = "api.context.invalid_body_param.app_error";
    for body in ["{}", "null", "{\"token_id\":null}"] {
        let answer = server.raw("POST /users/tokens/rotate", &alice, body).await;
        answer.failed(400, invalid, "Invalid or missing token_id in request body.");
    }
    for body in ["", "[]", "{\"token_id\":7}"] {
        let answer = server.raw("POST /users/tokens/rotate", &alice, body).await;
        let message = "Invalid or missing rotate_user_access_token in request body.";
        answer.failed(400, invalid, message);
    }
}

#[tokio::test]
async fn what_the_product_has_no_route_for_is_404_in_its_envelope() {
    let server = Server::new(32);
    let session = server.session("alice").await;
    let own = of("alice");
    for route in [
        "GET /nothing",
        "GET /users/me/tokens/nothing",
        "GET /",
        "PUT /users/me",
        "POST /users/me",
        "POST /users/tokens",
        "DELETE /users/tokens",
        &format!("DELETE {own}"),
        &format!("PATCH {own}"),
        "DELETE /users/tokens/yyyyyyyyyyyyyyyyyyyyyyyyyy",
        "PUT /users/tokens/revoke",
        "DELETE /users/tokens/rotate",
        "POST /users/tokens/non_compliant/count",
        "GET /users/tokens/non_compliant/revoke",
        "GET /users/a-b/tokens",
        "GET /users/tokens/a-b",
        "GET /users/tokens/%ff",
        "GET /users/%ff/tokens",
    ] {
        let answer = server.raw(route, &session, "").await;
        let message = "Sorry, we could not find the page.";
        answer.failed(404, "api.context.404.app_error", message);
        for (header, value) in [
            ("cache-control", "no-store"),
            ("permissions-policy", ""),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.headers[header], value, "{route}");
        }
    }
    // A word of another length is no id, and one of the same is nobody's.
    let answer = server.raw("GET /users/ab1/tokens", &session, "").await;
    answer.is(400, "api.context.invalid_url_param.app_error");
    let admin = server.session("admin").await;
    assert_eq!(server.list(&format!("/users/{}/tokens", "Z".repeat(26)), &admin).await.len(), 0);
}

#[tokio::test]
async fn lists_show_personal_tokens_by_pages_and_never_a_secret() {
    let server = Server::new(15);
    let (admin, alice) = (server.session("admin").await, server.session("alice").await);
    let (mut ids, mut secrets) = (Vec::new(), Vec::new());
    for whose in ["alice", "alice", "bob"] {
        let created = server.create(&admin, whose).await.ok();
        ids.push(created["id"].as_str().unwrap().to_owned());
        secrets.push(created["token"].as_str().unwrap().to_owned());
    }
    let list = async |query: &str| server.list(&format!("/users/me/tokens{query}"), &alice).await;
    assert_eq!(list("?per_page=100").await, ids[..2]);
    assert_eq!(list("?page=1&per_page=1").await, ids[1..2]);
    assert_eq!(list("?page=1&per_page=100").await.len(), 0);
    assert_eq!(list("?page=-1&per_page=-1").await, ids[..2]);
    assert_eq!(list("?page=x&per_page=9999").await, ids[..2]);
    let none = server.call("GET /users/me/tokens?per_page=0", &alice, None).await;
    assert_eq!((none.status.as_u16(), none.body.as_str()), (200, "[]"));
    server.call("GET /users/tokens", &alice, None).await.forbidden();
    assert_eq!(server.list("/users/tokens?page=1&per_page=1", &admin).await, ids[1..2]);
    assert_eq!(server.list("/users/tokens?page=0&per_page=2", &admin).await, ids[..2]);
    let all = server.call("GET /users/tokens", &admin, None).await;
    assert_eq!(all.ok().as_array().unwrap().len(), 3);
    for secret in secrets.iter().chain([&admin, &alice]) {
        assert!(!all.body.contains(secret.rsplit('_').next().unwrap()));
    }
    assert!(!all.body.contains("\"token\""));
}

#[tokio::test]
async fn a_search_means_its_term_to_the_letter() {
    let server = Server::new(16);
    let (admin, alice) = (server.session("admin").await, server.session("alice").await);
    let (_, token) = server.personal("alice").await;
    server.create(&admin, "bob").await.ok();
    let owner = id("alice");
    for term in [token.as_str(), owner.as_str(), "alice", "al\\ice"] {
        assert_eq!(server.search(&admin, term).await, [token.as_str()], "{term}");
    }
    for term in ["not found", "ci", "Alice", "alic", "alic_", "%", "\\", &token[..25]] {
        assert_eq!(server.search(&admin, term).await.len(), 0, "{term}");
    }
    let (_, orphan) = server.personal("nobody").await;
    assert_eq!(server.search(&admin, &orphan).await.len(), 0);
    assert_eq!(server.search(&admin, id("nobody").as_str()).await.len(), 0);
    server
        .call("POST /users/tokens/search", &alice, Some(json!({"term": "alice"})))
        .await
        .forbidden();
    let invalid = "api.context.invalid_body_param.app_error";
    for body in ["", "[]", "{\"term\":{\"$ne\":1}}"] {
        let answer = server.raw("POST /users/tokens/search", &admin, body).await;
        answer.failed(400, invalid, "Invalid or missing user_access_token_search in request body.");
    }
    let answer = server.raw("POST /users/tokens/search", &admin, "null").await;
    answer.failed(400, invalid, "Invalid or missing term in request body.");
}

#[tokio::test]
async fn a_revoked_token_is_dead_and_cannot_be_found() {
    let server = Server::new(17);
    let session = server.session("alice").await;
    let created = server.create(&session, "alice").await.ok();
    let (secret, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    let other = server.create(&session, "alice").await.ok();
    let revoked = server.act("revoke", &session, token).await;
    revoked.ok();
    assert_eq!(revoked.body, r#"{"status":"OK"}"#);
    server.raw("GET /users/me", secret, "").await.expired();
    server.call(&format!("GET /users/tokens/{token}"), &session, None).await.missing();
    for verb in ["revoke", "disable", "enable", "rotate"] {
        server.act(verb, &session, token).await.missing();
    }
    assert_eq!(server.list("/users/me/tokens", &session).await, [other["id"].as_str().unwrap()]);
    assert_eq!(server.who(other["token"].as_str().unwrap()).await, "alice");
    assert_eq!(server.who(&session).await, "alice");
    let events = server.tokens.events(&EventQuery::after(0, 1000)).await.unwrap();
    let told = events.iter().find(|stored| stored.event.kind == EventKind::TokenRevoked).unwrap();
    assert_eq!(told.event.token.unwrap().to_string(), token);
    assert_eq!(told.event.by.owner, Some(id("alice")));
}

#[tokio::test]
async fn a_disabled_token_sleeps_until_it_is_enabled() {
    let server = Server::new(18);
    let session = server.session("alice").await;
    let created = server.create(&session, "alice").await.ok();
    let (secret, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(server.act("disable", &session, token).await.body, r#"{"status":"OK"}"#);
        server.raw("GET /users/me", secret, "").await.expired();
    }
    let shown = server.call(&format!("GET /users/tokens/{token}"), &session, None).await.ok();
    assert_eq!(shown["is_active"], false);
    let answer = server.act("rotate", &session, token).await;
    let id = "api.user.rotate_user_access_token.disabled_token.app_error";
    answer.failed(400, id, "A disabled personal access token cannot be rotated.");
    // Whoever may not is told that first.
    let keeper = server.session("keeper").await;
    server.act("rotate", &keeper, token).await.forbidden();
    for _ in 0..2 {
        assert_eq!(server.act("enable", &session, token).await.body, r#"{"status":"OK"}"#);
        assert_eq!(server.who(secret).await, "alice");
    }
    server.clock.advance(TimeDelta::days(1));
    let session = server.session("alice").await;
    let created = server.create_until(&session, "alice", days(2)).await.ok();
    server.clock.advance(TimeDelta::hours(11));
    let (secret, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    server.act("disable", &session, token).await.ok();
    server.clock.advance(TimeDelta::days(1));
    let session = server.session("alice").await;
    // It is expired, and that does not keep it from being enabled.
    server.act("enable", &session, token).await.ok();
    server.raw("GET /users/me", secret, "").await.expired();
}

#[tokio::test]
async fn a_rotated_token_keeps_all_but_its_secret_and_its_expiry() {
    let server = Server::new(19);
    let session = server.session("alice").await;
    let created = server.create_until(&session, "alice", days(1)).await.ok();
    let (old, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    let body = json!({"token_id": token, "expires_at": days(2)});
    let rotated = server.call("POST /users/tokens/rotate", &session, Some(body)).await;
    let secret = rotated.ok()["token"].as_str().unwrap().to_owned();
    let (user, at) = (id("alice"), days(2));
    assert_eq!(
        rotated.body,
        format!(
            "{{\"id\":\"{token}\",\"token\":\"{secret}\",\"user_id\":\"{user}\",\"description\":\"ci\",\"is_active\":true,\"expires_at\":{at}}}\n"
        )
    );
    assert_eq!(rotated.headers["cache-control"], "no-store");
    assert_ne!(secret, old);
    server.raw("GET /users/me", old, "").await.expired();
    assert_eq!(server.who(&secret).await, "alice");
    // Absent means never, and not what it was.
    assert_eq!(server.act("rotate", &session, token).await.ok()["expires_at"], 0);
    let body = json!({"token_id": token, "expires_at": START_MS});
    let answer = server.call("POST /users/tokens/rotate", &session, Some(body)).await;
    answer.is(400, "app.user_access_token.expires_at_in_past.app_error");
}

#[tokio::test]
async fn what_outlives_the_limit_is_counted_and_revoked_unless_it_is_a_bots() {
    let mut server = Server::new(20);
    let (admin, alice) = (server.session("admin").await, server.session("alice").await);
    let never = server.create(&admin, "alice").await.ok();
    let long = server.create_until(&admin, "bob", days(60)).await.ok();
    let edge = server.create_until(&admin, "bob", days(30)).await.ok();
    let short = server.create_until(&admin, "alice", days(10)).await.ok();
    let bots = server.create(&admin, "robot").await.ok();
    let asleep = server.create(&admin, "alice").await.ok();
    server.act("disable", &admin, asleep["id"].as_str().unwrap()).await.ok();
    let count = async |server: &Server| {
        server.call("GET /users/tokens/non_compliant/count", &admin, None).await.body
    };
    assert_eq!(count(&server).await, r#"{"count":0}"#);
    let revoke_them = "POST /users/tokens/non_compliant/revoke";
    let answer = server.raw(revoke_them, &admin, "").await;
    let message = "No maximum personal access token lifetime is configured, so there are no non-compliant tokens to revoke.";
    let id = "app.user_access_token.revoke_non_compliant.no_policy.app_error";
    answer.failed(400, id, message);
    server.set(A_MONTH);
    // The limit acts when a token is created or rotated, and here.
    assert_eq!(server.who(never["token"].as_str().unwrap()).await, "alice");
    assert_eq!(count(&server).await, r#"{"count":2}"#);
    server.raw(revoke_them, &alice, "").await.forbidden();
    assert_eq!(server.raw(revoke_them, &admin, "").await.body, r#"{"count":2}"#);
    for dead in [&never, &long] {
        assert_eq!(server.who(dead["token"].as_str().unwrap()).await, "401");
    }
    for (live, who) in [(&edge, "bob"), (&short, "alice"), (&bots, "robot")] {
        assert_eq!(server.who(live["token"].as_str().unwrap()).await, who);
    }
    assert_eq!(count(&server).await, r#"{"count":0}"#);
    assert_eq!(server.raw(revoke_them, &admin, "").await.body, r#"{"count":0}"#);
}

#[tokio::test]
async fn a_token_follows_either_scheme_in_any_case_and_nothing_else() {
    let server = Server::new(21);
    let (secret, _) = server.personal("alice").await;
    for scheme in ["Bearer", "BEARER", "bearer", "Token", "TOKEN", "token"] {
        let header = format!("{scheme} {secret}");
        let answer = server.send("GET /users/me", &[("authorization", &header)], "").await;
        assert_eq!(answer.body, "alice", "{scheme}");
    }
    let (bare, basic, spaced) =
        (secret.clone(), format!("Basic {secret}"), format!("Bearer  {secret}"));
    // Nothing is cut off that it would be right without.
    let longer = format!("Bearer {secret}x");
    let cookie = format!("MMAUTHTOKEN={secret}");
    let good = format!("Bearer {secret}");
    for headers in [
        vec![],
        vec![("authorization", bare.as_str())],
        vec![("authorization", basic.as_str())],
        vec![("authorization", spaced.as_str())],
        vec![("authorization", longer.as_str())],
        vec![("authorization", "Bearer nonsense")],
        vec![("authorization", good.as_str()), ("authorization", good.as_str())],
        vec![("cookie", cookie.as_str())],
        vec![("x-auth-token", secret.as_str())],
    ] {
        server.send("GET /users/me", &headers, "").await.expired();
    }
    let message = "Session is not OAuth but token was provided in the query string.";
    for token in [secret.as_str(), "nonsense"] {
        let answer = server.send(&format!("GET /users/me?access_token={token}"), &[], "").await;
        answer.failed(401, "api.context.token_provided.app_error", message);
    }
    // The header comes first, and the query is then not looked at.
    let headers = [("authorization", good.as_str())];
    let answer = server.send("GET /users/me?access_token=nonsense", &headers, "").await;
    assert_eq!(answer.body, "alice");
}

#[tokio::test]
async fn a_deactivated_owners_tokens_are_kept_and_refused() {
    let server = Server::new(22);
    let admin = server.session("admin").await;
    let (secret, token) = server.personal("alice").await;
    let host = Actor::host();
    server.tokens.deactivate_owner(&id("alice"), By::Host(&host), None).await.unwrap();
    server.raw("GET /users/me", &secret, "").await.expired();
    assert_eq!(server.list(&of("alice"), &admin).await, [token.as_str()]);
    // Nobody gets a token for an account that is deactivated.
    server.create(&admin, "alice").await.forbidden();
    server.tokens.reactivate_owner(&id("alice"), By::Host(&host)).await.unwrap();
    assert_eq!(server.who(&secret).await, "alice");
    let (gone, _) = server.personal("nobody").await;
    server.raw("GET /users/me", &gone, "").await.expired();
}

#[tokio::test]
async fn a_token_cycles_itself_and_gives_nothing_to_others() {
    let server = Server::new(23);
    let (secret, token) = server.personal("admin").await;
    let next = server.create(&secret, "admin").await.ok();
    let next_secret = next["token"].as_str().unwrap();
    assert_eq!(server.who(next_secret).await, "admin");
    server.act("revoke", next_secret, &token).await.ok();
    assert_eq!(server.who(&secret).await, "401");
    assert_eq!(server.who(next_secret).await, "admin");
    // Only a session stands for the person where others are given something.
    let (_, alices) = server.personal("alice").await;
    server.create(next_secret, "alice").await.forbidden();
    server.create(next_secret, "robot").await.forbidden();
    server.act("rotate", next_secret, &alices).await.forbidden();
    server.act("revoke", next_secret, &alices).await.ok();
}

#[tokio::test]
async fn an_administrators_token_enables_what_it_could_do_itself_and_nothing_more() {
    let server = Server::new(30);
    let scoped = async |name: &str, scope| {
        let mut request = IssueRequest::new(id(name), Grant::only([scope]).unwrap());
        request.lifetime = keyfob::Lifetime::Unlimited;
        let (secret, row) = server.issue(request).await;
        (secret, row.id.to_string())
    };
    let (full, _) = server.personal("admin").await;
    let (writing, _) = scoped("admin", ReadWrite::Write).await;
    let (alice, alices) = server.personal("alice").await;
    let (bot, bots) = server.personal("robot").await;
    let (reader, readers) = scoped("alice", ReadWrite::Read).await;
    for (secret, token, who) in [(&alice, &alices, "alice"), (&bot, &bots, "robot")] {
        server.act("disable", &full, token).await.ok();
        assert_eq!(server.who(secret).await, "401");
        // It may write, and what sleeps may do all.
        server.act("enable", &writing, token).await.forbidden();
        assert_eq!(server.who(secret).await, "401");
        server.act("enable", &full, token).await.ok();
        assert_eq!(server.who(secret).await, who);
    }
    server.act("disable", &full, &readers).await.ok();
    server.act("enable", &writing, &readers).await.ok();
    assert_eq!(server.who(&reader).await, "alice");
    // Nobody else's token reaches it, and a dead one gives nothing back.
    server.act("disable", &full, &alices).await.ok();
    let (bob, _) = server.personal("bob").await;
    let (mirrored, _) = server.personal("mirrored").await;
    server.act("enable", &bob, &alices).await.forbidden();
    server.act("enable", &mirrored, &alices).await.forbidden();
    server.act("enable", &alice, &alices).await.expired();
    let host = Actor::host();
    server.tokens.deactivate_owner(&id("admin"), By::Host(&host), None).await.unwrap();
    server.act("enable", &full, &alices).await.expired();
    assert_eq!(server.who(&alice).await, "401");
}

#[tokio::test]
async fn a_policy_that_lets_no_token_mint_lets_none_enable_others() {
    let mut strict = policy();
    strict.minting = Minting::Forbidden;
    let server = Server::with(31, strict);
    let (session, (token, _)) = (server.session("admin").await, server.personal("admin").await);
    let (secret, alices) = server.personal("alice").await;
    server.act("disable", &token, &alices).await.ok();
    server.act("enable", &token, &alices).await.forbidden();
    assert_eq!(server.who(&secret).await, "401");
    server.act("enable", &session, &alices).await.ok();
    assert_eq!(server.who(&secret).await, "alice");
}

#[tokio::test]
async fn a_rotation_is_bound_by_the_limit_and_revives_what_is_expired() {
    let mut server = Server::new(34);
    let rotate_until = async |server: &Server, token: &str, secret: &str, at: i64| {
        let body = json!({"token_id": token, "expires_at": at});
        server.call("POST /users/tokens/rotate", secret, Some(body)).await
    };
    let session = server.session("alice").await;
    let created = server.create_until(&session, "alice", days(1)).await.ok();
    let (old, token) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    server.set(A_MONTH);
    let answer = rotate_until(&server, token, &session, days(30).saturating_add(1)).await;
    answer.is(400, "app.user_access_token.expires_at_too_far.app_error");
    assert_eq!(server.who(old).await, "alice");
    server.clock.advance(TimeDelta::days(2));
    assert_eq!(server.who(old).await, "401");
    let session = server.session("alice").await;
    let rotated = rotate_until(&server, token, &session, days(32)).await.ok();
    assert_eq!(rotated["expires_at"], days(32));
    assert_eq!(server.who(rotated["token"].as_str().unwrap()).await, "alice");
    assert_eq!(server.who(old).await, "401");
}

#[tokio::test]
async fn a_bots_expiry_lies_in_the_future_too() {
    let server = Server::new(35);
    let admin = server.session("admin").await;
    for at in [START_MS, 1] {
        let answer = server.create_until(&admin, "robot", at).await;
        answer.is(400, "app.user_access_token.expires_at_in_past.app_error");
    }
    server.create_until(&admin, "robot", START_MS.saturating_add(1)).await.ok();
}

#[tokio::test]
async fn a_token_that_nobody_uses_for_years_still_works() {
    let server = Server::new(36);
    let (secret, _) = server.personal("alice").await;
    assert_eq!(server.who(&secret).await, "alice");
    server.clock.advance(TimeDelta::days(2000));
    assert_eq!(server.who(&secret).await, "alice");
}

#[tokio::test]
async fn a_body_that_a_look_needs_not_is_ignored() {
    let server = Server::new(37);
    let admin = server.session("admin").await;
    let (_, token) = server.personal("alice").await;
    for route in [
        "GET /users/me/tokens",
        "GET /users/tokens",
        &format!("GET /users/tokens/{token}"),
        "GET /users/tokens/non_compliant/count",
    ] {
        let plain = server.raw(route, &admin, "").await;
        plain.ok();
        let header = format!("Bearer {admin}");
        let headers = [("authorization", header.as_str()), ("content-type", "application/json")];
        for body in ["{}", "{", "null"] {
            assert_eq!(server.send(route, &headers, body).await.body, plain.body, "{route}");
        }
    }
    // Nor does it matter what a body says it is.
    let header = format!("Bearer {admin}");
    for kind in
        ["text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded"]
    {
        let headers = [("authorization", header.as_str()), ("content-type", kind)];
        let answer =
            server.send("POST /users/me/tokens", &headers, "{\"description\":\"a\"}").await;
        answer.ok();
    }
}

#[tokio::test]
async fn no_answer_sets_a_cookie_or_names_a_version() {
    let server = Server::new(38);
    let session = server.session("alice").await;
    let good = server.raw("GET /users/me/tokens", &session, "").await;
    let bad = server.raw("GET /users/me/tokens", "nonsense", "").await;
    good.ok();
    bad.expired();
    for answer in [good, bad] {
        assert!(!answer.headers.contains_key("set-cookie"));
        assert!(!answer.headers.contains_key("x-version-id"));
    }
}

#[tokio::test]
async fn descriptions_may_repeat_and_tokens_are_as_many_as_you_like() {
    let server = Server::new(39);
    let session = server.session("alice").await;
    for _ in 0..70 {
        server.create(&session, "alice").await.ok();
    }
    // A page is 60 by default, and 200 at the most.
    assert_eq!(server.list("/users/me/tokens", &session).await.len(), 60);
    assert_eq!(server.list("/users/me/tokens?page=1", &session).await.len(), 10);
    assert_eq!(server.list("/users/me/tokens?per_page=9999", &session).await.len(), 70);
}

#[tokio::test]
async fn a_description_is_kept_to_the_byte_and_255_of_them_are_the_most() {
    let server = Server::new(40);
    let session = server.session("alice").await;
    for description in [" ", "  padded ", "ä", &"ä".repeat(127)] {
        let body = Some(json!({"description": description}));
        let created = server.call("POST /users/me/tokens", &session, body).await.ok();
        assert_eq!(created["description"], description);
    }
    // 128 letters, and 256 bytes.
    let body = Some(json!({"description": "ä".repeat(128)}));
    let answer = server.call("POST /users/me/tokens", &session, body).await;
    answer.is(400, "model.user_access_token.is_valid.description.app_error");
}

#[tokio::test]
async fn a_token_never_gives_more_than_it_holds() {
    let server = Server::new(24);
    let scoped = async |scope| {
        let mut request = IssueRequest::new(id("alice"), Grant::only([scope]).unwrap());
        request.lifetime = keyfob::Lifetime::Unlimited;
        server.issue(request).await.0
    };
    let (reading, writing) = (scoped(ReadWrite::Read).await, scoped(ReadWrite::Write).await);
    let (_, full) = server.personal("alice").await;
    assert_eq!(server.list("/users/me/tokens", &reading).await.len(), 3);
    server.create(&reading, "alice").await.forbidden();
    server.act("revoke", &reading, &full).await.forbidden();
    let created = server.create(&writing, "alice").await.ok();
    let id: TokenId = created["id"].as_str().unwrap().parse().unwrap();
    let row = server.tokens.find(id, By::Host(&Actor::host())).await.unwrap();
    assert_eq!(row.grant, Grant::only([ReadWrite::Write.name()]).unwrap());
    server.act("rotate", &writing, &full).await.forbidden();
    server.act("disable", &writing, &full).await.ok();
    server.act("enable", &writing, &full).await.forbidden();
}

#[tokio::test]
async fn a_strict_layer_asks_the_store_about_every_token() {
    let mut server = Server::new(25);
    let request = IssueRequest::new(id("alice"), Grant::Full).of_kind(Kind::session());
    let (session, row) = server.issue(request).await;
    assert_eq!(server.who(&session).await, "alice");
    // Another process revokes it, so that this one's index does not know.
    let revocation = revoke(&row, Actor::host(), None, server.tokens.now()).unwrap();
    server.tokens.store().apply(&revocation).await.unwrap();
    assert_eq!(server.who(&session).await, "alice");
    server.create(&session, "alice").await.expired();
    server.face = face(BearerLayer::new(server.tokens.clone()).strict(), &server.directory, ON);
    server.router = router(&server.face);
    assert_eq!(server.who(&session).await, "401");
}

#[tokio::test]
async fn a_store_that_is_away_is_no_verdict() {
    let mut server = Server::new(26);
    server.set(A_MONTH);
    let admin = server.session("admin").await;
    let (secret, token) = server.personal("alice").await;
    assert_eq!(server.who(&admin).await, "admin");
    server.store_is_down.store(true, Ordering::Relaxed);
    let until = json!({"description": "ci", "expires_at": days(1)}).to_string();
    let of_alice = of("alice");
    let create = format!("POST {of_alice}");
    let named = json!({"token_id": token}).to_string();
    for verb in ["revoke", "disable", "enable", "rotate"] {
        let answer = server.raw(&format!("POST /users/tokens/{verb}"), &admin, &named).await;
        answer.is(503, "app.user_access_token.get_by_user.app_error");
    }
    for (route, body, id) in [
        (create.as_str(), until.as_str(), "save"),
        (&format!("GET {of_alice}"), "", "get_by_user"),
        ("GET /users/tokens", "", "get_all"),
        (&format!("GET /users/tokens/{token}"), "", "get_by_user"),
        ("POST /users/tokens/search", "{\"term\":\"alice\"}", "search"),
        ("GET /users/tokens/non_compliant/count", "", "count_non_compliant"),
        ("POST /users/tokens/non_compliant/revoke", "", "revoke_non_compliant.partial"),
    ] {
        let answer = server.raw(route, &admin, body).await;
        answer.is(503, &format!("app.user_access_token.{id}.app_error"));
        assert_eq!(answer.headers["retry-after"], "1", "{route}");
    }
    let busy = "Server is busy, non-critical services are temporarily unavailable.";
    let answer = server.raw("GET /users/me", &secret, "").await;
    answer.failed(503, "api.context.server_busy.app_error", busy);
    server.store_is_down.store(false, Ordering::Relaxed);
    server.directory.down.store(true, Ordering::Relaxed);
    let answer = server.raw("GET /users/me", &secret, "").await;
    answer.failed(503, "api.context.server_busy.app_error", busy);
}

#[tokio::test]
async fn a_name_of_another_face_is_the_description() {
    let server = Server::new(27);
    let session = server.session("alice").await;
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    request.note = keyfob::Note::new("a\nnote").unwrap();
    let (_, noted) = server.issue(request).await;
    let request = IssueRequest::new(id("alice"), Grant::Full);
    let (_, named) = server.issue(request.named(TokenName::new("a name").unwrap())).await;
    for (row, description) in [(noted, "a\nnote"), (named, "a name")] {
        let route = format!("GET /users/tokens/{}", row.id);
        assert_eq!(server.call(&route, &session, None).await.ok()["description"], description);
    }
}

#[tokio::test]
async fn every_route_is_declared_and_refuses_who_may_not() {
    let server = Server::new(28);
    let declared = server.face.declared();
    assert_eq!(declared.len(), 16);
    assert!(declared.iter().all(|route| route.need != Need::Public));
    let (powerless, _) = server.personal("powerless").await;
    let router: Router = guard(&declared, server.face.clone().into_router());
    assert_eq!(unguarded_routes(&declared, &router, &powerless).await.unwrap(), []);
}

#[tokio::test]
async fn every_failure_is_told_in_the_products_words() {
    let server = Server::new(29);
    let model = |field: &str| format!("model.user_access_token.is_valid.{field}.app_error");
    let step = |step: &str| format!("app.user_access_token.{step}.app_error");
    let context = |what: &str| format!("api.context.{what}.app_error");
    let table = [
        (Failure::BodyTooLarge, 413, context("request_body_too_large")),
        (Failure::Disabled, 501, "app.user_access_token.disabled".to_owned()),
        (
            Failure::DisabledToken,
            400,
            "api.user.rotate_user_access_token.disabled_token.app_error".to_owned(),
        ),
        (Failure::ExpiryInPast, 400, step("expires_at_in_past")),
        (Failure::ExpiryRequired, 400, step("expires_at_required")),
        (Failure::ExpiryTooFar { days: 1 }, 400, step("expires_at_too_far")),
        (Failure::InvalidBody("term"), 400, context("invalid_body_param")),
        (Failure::InvalidField(Field::Id), 400, model("id")),
        (Failure::InvalidField(Field::Token), 400, model("token")),
        (Failure::InvalidField(Field::UserId), 400, model("user_id")),
        (Failure::InvalidField(Field::Description), 400, model("description")),
        (Failure::InvalidField(Field::ExpiresAt), 400, model("expires_at")),
        (Failure::InvalidParameter("token_id"), 400, context("invalid_url_param")),
        (Failure::MfaRequired, 403, context("mfa_required")),
        (Failure::MissingAccount, 404, "app.user.missing_account.const".to_owned()),
        (Failure::MissingToken, 404, step("get_by_user")),
        (Failure::NoPolicy, 400, step("revoke_non_compliant.no_policy")),
        (Failure::Permissions, 403, context("permissions")),
        (Failure::QueryToken, 401, context("token_provided")),
        (Failure::QuotaReached, 400, step("quota_reached")),
        (Failure::SessionExpired, 401, context("session_expired")),
        (Failure::Unavailable, 503, context("server_busy")),
        (Failure::Undone(Step::CountNonCompliant), 503, step("count_non_compliant")),
        (Failure::Undone(Step::Delete), 503, step("delete")),
        (Failure::Undone(Step::Disable), 503, step("update_token_disable")),
        (Failure::Undone(Step::Enable), 503, step("update_token_enable")),
        (Failure::Undone(Step::GetAll), 503, step("get_all")),
        (Failure::Undone(Step::GetByUser), 503, step("get_by_user")),
        (Failure::Undone(Step::GetExpiring), 503, step("get_expiring")),
        (Failure::Undone(Step::RevokeNonCompliant), 503, step("revoke_non_compliant.partial")),
        (Failure::Undone(Step::Rotate), 503, step("rotate")),
        (Failure::Undone(Step::Save), 503, step("save")),
        (Failure::Undone(Step::Search), 503, step("search")),
        (Failure::UnknownRoute, 404, context("404")),
    ];
    for (failure, status, id) in table {
        assert_eq!((failure.status().as_u16(), failure.id()), (status, id.as_str()));
        let answer = fail(&server, &failure).await;
        let message = serde_json::from_str::<Value>(&answer.body).unwrap()["message"].clone();
        assert!(message.as_str().unwrap().ends_with('.'), "{message}");
        answer.failed(status, &id, message.as_str().unwrap());
    }
    let limited = fail(&server, &Failure::LimitExceeded { seconds: 7 }).await;
    assert_eq!((limited.status.as_u16(), limited.body.as_str()), (429, "limit exceeded"));
    assert_eq!(limited.headers["retry-after"], "7");
}

/// A host's route that fails, called.
async fn fail(server: &Server, failure: &Failure) -> Answer {
    let failure = failure.clone();
    let router = Router::new().route("/", get(async || Err::<(), _>(failure)));
    let request = Request::new(Body::empty());
    let response = server.face.answering(router).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}
