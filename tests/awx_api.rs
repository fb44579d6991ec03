//! AWX's token routes, called as its clients call them.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use common::{Detour, Way};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::BodyExt as _;
use keyfob::http::{BearerLayer, Need, guard, unguarded_routes};
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::ports::store::{EventQuery, StoreError};
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::wire::awx::{
    Awx, BasicCredentials, Column, Failure, Holds, Needs, Settings, SignIn, Table, page,
};
use keyfob::{
    Actor, Builder, By, EventKind, Format, Grant, IssueRequest, Keyring, Kind, KindPolicy,
    Lifetime, Minting, Note, OwnerId, Policy, ReadWrite, Rules, Scope as _, ScopeName, Shape,
    TokenName, TokenRecord, Tokens,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

const START_MS: i64 = 1_800_000_000_000;

const LOGIN: &str = "To establish a login session, visit /api/login/.";
const ANONYMOUS: &str = "Authentication credentials were not provided.";
const PERMISSIONS: &str = "You do not have permission to perform this action.";
const SCOPES: &str =
    "Must be a simple space-separated string with allowed scopes ['read', 'write'].";

fn id(name: &str) -> OwnerId {
    OwnerId::new(format!("{name}-of-this-host")).unwrap()
}

#[derive(Debug, Default)]
struct Accounts {
    down: AtomicBool,
}

/// Name, number, roles, and the provider of an external one.
const ACCOUNTS: &[(&str, u64, &[&str], Option<&str>)] = &[
    ("root", 1, &["superuser"], None),
    ("auditor", 2, &["system_auditor"], None),
    ("alice", 5, &[], None),
    ("bob", 6, &["system_admin"], None),
    ("lisa", 7, &[], Some("ldap")),
    ("powerless", 8, &[], None),
    ("outcast", 9, &[], None),
];

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(DirectoryError("the directory is down".into()));
        }
        let found = ACCOUNTS.iter().find(|(name, number, ..)| match key {
            AccountKey::Id(key) => *key == id(name),
            AccountKey::Username(key) => key == name,
            AccountKey::Number(key) => key == number,
            _ => false,
        });
        Ok(found.map(|(name, number, roles, external)| {
            let mut account = Account::new(id(name), *number, *name, DateTime::UNIX_EPOCH);
            account.roles = roles.iter().map(|role| (*role).to_owned()).collect();
            account.external = external.map(str::to_owned);
            if *name == "alice" {
                account.name = "Alice de la Mer".to_owned();
            }
            account
        }))
    }

    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(match account.username.as_str() {
            "powerless" => Grant::only([ReadWrite::Read.name()]).unwrap(),
            "outcast" => Grant::only([ScopeName::new("nothing").unwrap()]).unwrap(),
            _ => Grant::Full,
        })
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        // Roles say it on this wire.
        Ok(true)
    }
}

/// Everybody's password is `NAME's password`.
#[derive(Debug)]
struct Passwords;

#[async_trait]
impl SignIn for Passwords {
    async fn sign_in(
        &self,
        credentials: &BasicCredentials,
        _: Option<IpAddr>,
    ) -> Result<OwnerId, Failure> {
        let name = credentials.username();
        if name == "guesser" {
            return Err(Failure::Throttled { seconds: 9 });
        }
        let is_right = credentials.expose_password() == format!("{name}'s password");
        if is_right { Ok(id(name)) } else { Err(Failure::WrongPassword) }
    }
}

/// Holds one call up, so that something else happens first.
#[derive(Debug, Default)]
struct Barrier {
    is_shut: AtomicBool,
    reached: Notify,
    open: Notify,
}

impl Barrier {
    fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
    }

    /// Does this while a call waits, and then lets it go on.
    async fn meanwhile(&self, work: impl Future<Output = ()>) {
        self.reached.notified().await;
        work.await;
        self.open.notify_one();
    }
}

#[derive(Debug)]
struct Road {
    is_cut: Arc<AtomicBool>,
    barrier: Arc<Barrier>,
}

#[async_trait]
impl Way for Road {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        let is_change = matches!(method, "apply" | "insert");
        if is_change && self.barrier.is_shut.swap(false, Ordering::Relaxed) {
            self.barrier.reached.notify_one();
            self.barrier.open.notified().await;
        }
        match self.is_cut.load(Ordering::Relaxed) {
            true => Err(StoreError::unavailable("the store is down")),
            false => Ok(()),
        }
    }
}

struct Server {
    tokens: Tokens<ReadWrite>,
    face: Awx<ReadWrite>,
    router: Router,
    clock: ManualClock,
    directory: Arc<Accounts>,
    store_is_down: Arc<AtomicBool>,
    barrier: Arc<Barrier>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if status == 204 {
            assert_eq!(self.body, "");
            return Value::Null;
        }
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts what a failure is, to the byte.
    #[track_caller]
    fn failed(&self, status: u16, detail: &str) {
        self.is(status);
        let hint = if status == 401 { format!(" {LOGIN}") } else { String::new() };
        let told = serde_json::to_string(&format!("{detail}{hint}")).unwrap();
        assert_eq!(self.body, format!("{{\"detail\":{told}}}"));
    }

    #[track_caller]
    fn text(&self, key: &str) -> String {
        serde_json::from_str::<Value>(&self.body).unwrap()[key].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn number(&self) -> u64 {
        self.is(201)["id"].as_u64().unwrap()
    }

    #[track_caller]
    fn ids(&self) -> Vec<u64> {
        let told = self.is(200);
        let rows = told["results"].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_u64().unwrap()).collect()
    }
}

/// The product's own policy.
fn policy() -> KindPolicy {
    let mut policy = KindPolicy::personal();
    (policy.never_expires, policy.longest_lifetime, policy.quota) = (true, None, None);
    policy.minting = Minting::AsOwner;
    policy
}

impl Server {
    fn new(seed: u64) -> Self {
        Self::with(seed, policy())
    }

    fn with(seed: u64, policy: KindPolicy) -> Self {
        let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
        let policy = Policy::default().with_kind(Kind::personal(), policy);
        let format = format.reading(Shape::AWX);
        let rules = Rules::new(format, Keyring::unkeyed()).with_policy(policy);
        let clock = ManualClock::new(DateTime::from_timestamp_millis(START_MS).unwrap());
        let store_is_down = Arc::new(AtomicBool::new(false));
        let barrier = Arc::new(Barrier::default());
        let (is_cut, held) = (Arc::clone(&store_is_down), Arc::clone(&barrier));
        let store = Detour::new(Road { is_cut, barrier: held });
        let tokens = Builder::new(store, rules, clock.clone(), SeededRandomness::new(seed)).build();
        let directory = Arc::new(Accounts::default());
        let face = face(&tokens, &directory, Settings::default());
        Self { router: router(&face), tokens, face, clock, directory, store_is_down, barrier }
    }

    /// The same server after its administrator has set this.
    fn set(&mut self, settings: Settings) {
        self.face = face(&self.tokens, &self.directory, settings);
        self.router = router(&self.face);
    }

    async fn issue(&self, request: IssueRequest<ReadWrite>) -> (String, TokenRecord) {
        let (secret, row) = self.tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    async fn session(&self, name: &str) -> String {
        self.issue(IssueRequest::new(id(name), Grant::Full).of_kind(Kind::session())).await.0
    }

    /// A token of a full grant that the host has issued, and its number.
    async fn personal(&self, name: &str) -> (String, u64) {
        let mut request = IssueRequest::new(id(name), Grant::Full);
        request.lifetime = Lifetime::Unlimited;
        let (secret, row) = self.issue(request).await;
        (secret, row.number)
    }

    /// A token that reads.
    async fn reader(&self, name: &str) -> (String, u64) {
        let grant = Grant::only([ReadWrite::Read]).unwrap();
        let (secret, row) = self.issue(IssueRequest::new(id(name), grant)).await;
        (secret, row.number)
    }

    async fn call(&self, route: &str, token: &str, body: Value) -> Answer {
        self.raw(route, &bearer(token), &body.to_string()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.raw(&format!("GET {path}"), &bearer(token), "").await
    }

    async fn raw(&self, route: &str, authorization: &str, body: &str) -> Answer {
        let json = [("content-type", "application/json"), ("authorization", authorization)];
        self.send(route, &json, body).await
    }

    async fn send(&self, route: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(format!("/api/v2{path}"));
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn create(&self, token: &str, body: Value) -> Answer {
        self.call("POST /tokens/", token, body).await
    }

    /// Whether a token is accepted.
    async fn works(&self, token: &str) -> bool {
        self.get("/tokens/", token).await.status == 200
    }
}

fn bearer(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("Bearer {token}") }
}

fn basic(name: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{name}'s password")))
}

fn face(
    tokens: &Tokens<ReadWrite>,
    directory: &Arc<Accounts>,
    settings: Settings,
) -> Awx<ReadWrite> {
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let layer = BearerLayer::new(tokens.clone());
    let directory = Arc::clone(directory) as Arc<dyn Directory>;
    Awx::new(layer, directory, needs, settings).signing_in(Arc::new(Passwords))
}

async fn me(
    State(face): State<Awx<ReadWrite>>,
    uri: Uri,
    request: Request,
) -> Result<axum::response::Response, Failure> {
    let (mut parts, _) = request.into_parts();
    let caller = face.caller(&mut parts, &ReadWrite::Read).await?;
    assert!(!format!("{:?}", parts.headers).contains("chatp"));
    let row = json!({"id": caller.account().number, "username": caller.account().username});
    page(&uri, &ME, vec![row])
}

const ME: Table = Table {
    model: "User",
    r#type: "user",
    columns: &[
        Column { name: "id", pointer: "/id", holds: Holds::Number },
        Column { name: "username", pointer: "/username", holds: Holds::Text },
    ],
    searched: &["username"],
};

fn router(face: &Awx<ReadWrite>) -> Router {
    let own = Router::new().route("/api/v2/me/", get(me)).with_state(face.clone());
    face.answering(own).merge(face.clone().into_router())
}

#[tokio::test]
async fn a_token_is_created_with_all_its_keys_and_its_secret_works() {
    let server = Server::new(1);
    let body = r#"{"description":"AWX CLI","application":null,"scope":"write"}"#;
    let made = server.raw("POST /users/alice/personal_tokens/", &basic("alice"), body).await;
    made.is(201);
    let secret = made.text("token");
    assert!(secret.starts_with("chatp_"), "{secret}");
    assert_eq!(made.headers["location"], "/api/v2/tokens/1/");
    assert_eq!(made.headers["cache-control"], "no-store");
    let shown = |token: &str| {
        let account = r#"{"id":5,"username":"alice","first_name":"Alice","last_name":"de la Mer"}"#;
        let related =
            r#"{"user":"/api/v2/users/5/","activity_stream":"/api/v2/tokens/1/activity_stream/"}"#;
        let times = r#""created":"2027-01-15T08:00:00Z","modified":"2027-01-15T08:00:00Z""#;
        format!(
            r#"{{"id":1,"type":"o_auth2_access_token","url":"/api/v2/tokens/1/","related":{related},"summary_fields":{{"user":{account}}},{times},"description":"AWX CLI","user":5,"token":"{token}","refresh_token":null,"application":null,"expires":"3026-05-18T08:00:00Z","scope":"write"}}"#
        )
    };
    assert_eq!(made.body, shown(&secret));
    // Never again.
    let detail = server.get("/tokens/1/", &secret).await;
    assert_eq!((detail.is(200), detail.body), (detail_json(), shown("************")));
    for path in ["/tokens/", "/users/5/tokens/", "/users/5/personal_tokens/"] {
        let listed = server.get(path, &secret).await;
        let expected = format!(
            r#"{{"count":1,"next":null,"previous":null,"results":[{}]}}"#,
            shown("************")
        );
        assert_eq!(listed.body, expected, "{path}");
    }

    fn detail_json() -> Value {
        json!({
            "id": 1, "type": "o_auth2_access_token", "url": "/api/v2/tokens/1/",
            "related": {
                "user": "/api/v2/users/5/",
                "activity_stream": "/api/v2/tokens/1/activity_stream/",
            },
            "summary_fields": {"user": {
                "id": 5, "username": "alice", "first_name": "Alice", "last_name": "de la Mer",
            }},
            "created": "2027-01-15T08:00:00Z", "modified": "2027-01-15T08:00:00Z",
            "description": "AWX CLI", "user": 5, "token": "************", "refresh_token": null,
            "application": null, "expires": "3026-05-18T08:00:00Z", "scope": "write",
        })
    }
}

#[tokio::test]
async fn an_empty_body_asks_for_the_defaults() {
    let server = Server::new(2);
    let session = server.session("alice").await;
    for (content_type, body) in
        [("application/json", ""), ("text/plain", ""), ("", ""), ("application/json", "{}")]
    {
        let headers = [("content-type", content_type), ("authorization", &bearer(&session))];
        let made = server.send("POST /tokens/", &headers, body).await.is(201);
        assert_eq!((&made["description"], &made["scope"]), (&json!(""), &json!("write")));
    }
}

#[tokio::test]
async fn every_creating_route_makes_a_token_of_the_callers_whatever_path_or_body_say() {
    let server = Server::new(3);
    let session = server.session("root").await;
    let body = json!({
        "user": 6, "token": "mine", "refresh_token": "mine", "expires": "2000-01-01T00:00:00Z",
        "id": 99, "unknown": {"$ne": null}, "application": null,
    });
    for path in [
        "/tokens/",
        "/users/1/tokens/",
        "/users/1/personal_tokens/",
        "/users/6/tokens/",
        "/users/6/personal_tokens/",
        "/users/bob/personal_tokens/",
    ] {
        let made = server.call(&format!("POST {path}"), &session, body.clone()).await.is(201);
        assert_eq!(made["user"], 1, "{path}");
        assert_ne!((&made["id"], &made["token"]), (&json!(99), &json!("mine")), "{path}");
        assert_eq!(made["expires"], "3026-05-18T08:00:00Z", "{path}");
    }
    // An application is not looked at where there can be none.
    let made = server.call("POST /users/1/personal_tokens/", &session, json!({"application": 5}));
    assert_eq!(made.await.is(201)["application"], Value::Null);
}

#[tokio::test]
async fn there_is_no_application_that_a_token_could_be_of() {
    let server = Server::new(4);
    let session = server.session("alice").await;
    for (path, body, told) in [
        ("/tokens/", json!({"application": 5}), "Invalid pk \"5\" - object does not exist."),
        (
            "/users/5/tokens/",
            json!({"application": "a"}),
            "Incorrect type. Expected pk value, received str.",
        ),
        ("/users/5/authorized_tokens/", json!({}), "This field is required."),
        (
            "/users/5/authorized_tokens/",
            json!({"application": null}),
            "This field may not be null.",
        ),
    ] {
        let refused = server.call(&format!("POST {path}"), &session, body).await;
        assert_eq!(refused.is(400), json!({"application": [told]}), "{path}");
    }
    server.create(&session, json!({})).await.is(201);
    let none = json!({"count": 0, "next": null, "previous": null, "results": []});
    assert_eq!(server.get("/users/5/authorized_tokens/", &session).await.is(200), none);
}

#[tokio::test]
async fn a_scope_is_told_right_from_wrong() {
    let server = Server::new(5);
    let session = server.session("alice").await;
    for (scope, shown) in [
        ("read", "read"),
        ("write", "write"),
        ("read write", "read write"),
        ("write read", "read write"),
        (" read  write ", "read write"),
    ] {
        let made = server.create(&session, json!({"scope": scope})).await.is(201);
        assert_eq!(made["scope"], shown, "{scope:?}");
    }
    for scope in [json!(""), json!(null), json!("  "), json!("read read"), json!("foo"), json!(5)] {
        let refused = server.create(&session, json!({"scope": scope})).await;
        assert_eq!(refused.is(400), json!({"scope": [SCOPES]}), "{scope}");
    }
    for scope in [json!(true), json!(["read"]), json!({})] {
        let refused = server.create(&session, json!({"scope": scope})).await;
        assert_eq!(refused.is(400), json!({"scope": ["Not a valid string."]}), "{scope}");
    }
    let refused = server.create(&session, json!({"description": [], "scope": "foo"})).await;
    let told = format!(r#"{{"description":["Not a valid string."],"scope":["{SCOPES}"]}}"#);
    assert_eq!((refused.status.as_u16(), refused.body), (400, told));
    assert_eq!(server.get("/tokens/", &session).await.is(200)["count"], 5);
}

#[tokio::test]
async fn a_token_that_reads_changes_nothing_and_one_that_writes_reads_too() {
    let server = Server::new(6);
    let (reader, number) = server.reader("alice").await;
    for route in [
        "POST /tokens/".to_owned(),
        "POST /users/5/tokens/".to_owned(),
        "POST /users/5/personal_tokens/".to_owned(),
        "POST /users/5/authorized_tokens/".to_owned(),
        format!("PATCH /tokens/{number}/"),
        format!("PUT /tokens/{number}/"),
        format!("DELETE /tokens/{number}/"),
        "DELETE /tokens/999/".to_owned(),
    ] {
        server.call(&route, &reader, json!({})).await.failed(403, PERMISSIONS);
    }
    assert_eq!(server.get("/tokens/", &reader).await.ids(), [number]);
    // It is not even offered.
    let options = server.raw("OPTIONS /tokens/", &bearer(&reader), "").await.is(200);
    assert_eq!(options["actions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["GET"]);
    let session = server.session("alice").await;
    for scope in ["write", "read write"] {
        let writer = server.create(&session, json!({"scope": scope})).await.text("token");
        let made = server.create(&writer, json!({"scope": "write"})).await;
        assert_eq!(server.get(&format!("/tokens/{}/", made.number()), &writer).await.status, 200);
    }
}

#[tokio::test]
async fn what_an_account_may_not_do_now_no_credentials_of_it_may() {
    let server = Server::new(7);
    let (full, _) = server.personal("powerless").await;
    for authorization in [bearer(&full), basic("powerless")] {
        server.raw("GET /tokens/", &authorization, "").await.is(200);
        server.raw("POST /tokens/", &authorization, "{}").await.failed(403, PERMISSIONS);
    }
}

#[tokio::test]
async fn external_accounts_get_tokens_only_where_the_setting_says_so_and_keep_them() {
    let mut server = Server::new(8);
    let told = "(access_denied) OAuth2 Tokens cannot be created by users associated with an \
                external authentication provider (ldap)";
    server.raw("POST /tokens/", &basic("lisa"), "{}").await.failed(403, told);
    // What is wrong with the body is told first; and by name, as everywhere, 403 is 404.
    let scope = json!({"scope": "foo"}).to_string();
    server.raw("POST /tokens/", &basic("lisa"), &scope).await.is(400);
    let by_name = server.raw("POST /users/lisa/personal_tokens/", &basic("lisa"), "{}").await;
    by_name.failed(404, "Not found.");
    server.set(Settings { external_users: true, ..Settings::default() });
    let token = server.raw("POST /tokens/", &basic("lisa"), "{}").await.text("token");
    server.set(Settings::default());
    assert!(server.works(&token).await);
    server.create(&token, json!({})).await.failed(403, told);
}

#[tokio::test]
async fn a_token_lives_as_long_as_the_setting_says_when_it_is_made() {
    let mut server = Server::new(9);
    let session = server.session("alice").await;
    server.set(Settings { expire_seconds: 60, external_users: false });
    let made = server.create(&session, json!({})).await;
    assert_eq!(made.text("expires"), "2027-01-15T08:01:00Z");
    server.set(Settings { expire_seconds: u64::MAX, external_users: false });
    let eternal = server.create(&session, json!({})).await;
    assert_eq!(eternal.text("expires"), "9999-12-31T23:59:59.999999Z");
    let token = made.text("token");
    server.clock.advance(TimeDelta::microseconds(59_999_999));
    assert!(server.works(&token).await);
    server.clock.advance(TimeDelta::microseconds(1));
    server.get("/tokens/", &token).await.failed(401, ANONYMOUS);
    // It is listed all the same, until it is deleted.
    assert_eq!(server.get("/tokens/", &session).await.ids().len(), 2);
    server.call("DELETE /tokens/2/", &session, json!({})).await.is(204);
    assert_eq!(server.get("/tokens/", &session).await.ids(), [3]);
}

#[tokio::test]
async fn a_host_that_is_stricter_has_its_way() {
    let mut strict = policy();
    (strict.never_expires, strict.longest_lifetime) = (false, Some(TimeDelta::days(1)));
    (strict.quota, strict.minting) = (Some(1), Minting::Forbidden);
    let server = Server::with(10, strict);
    let made = server.raw("POST /tokens/", &basic("alice"), "{}").await;
    assert_eq!(made.text("expires"), "2027-01-16T08:00:00Z");
    server.create(&made.text("token"), json!({})).await.failed(403, PERMISSIONS);
    let refused = server.raw("POST /tokens/", &basic("alice"), "{}").await;
    let told = "The user has as many tokens as it may have.";
    assert_eq!(refused.is(400), json!({"__all__": [told]}));
}

#[tokio::test]
async fn a_token_that_never_expires_is_shown_with_the_last_of_days() {
    let server = Server::new(11);
    let (token, number) = server.personal("alice").await;
    let shown = server.get(&format!("/tokens/{number}/"), &token).await.is(200);
    assert_eq!(shown["expires"], "9999-12-31T23:59:59.999999Z");
    assert_eq!((&shown["scope"], &shown["description"]), (&json!("write"), &json!("")));
}

#[tokio::test]
async fn everybody_sees_own_tokens_and_superusers_and_auditors_everybodys() {
    let server = Server::new(12);
    let (alice, one) = server.personal("alice").await;
    let (bob, two) = server.personal("bob").await;
    let (auditor, three) = server.personal("auditor").await;
    let (root, four) = server.personal("root").await;
    let (_, nobodys) = server.personal("nobody").await;
    assert_eq!(server.get("/tokens/", &alice).await.ids(), [one]);
    assert_eq!(server.get("/tokens/", &bob).await.ids(), [two]);
    for all in [&auditor, &root] {
        assert_eq!(server.get("/tokens/", all).await.ids(), [one, two, three, four, nobodys]);
        for path in ["/users/5/tokens/", "/users/alice/tokens/", "/users/5/personal_tokens/"] {
            assert_eq!(server.get(path, all).await.ids(), [one], "{path}");
        }
        server.get(&format!("/tokens/{one}/"), all).await.is(200);
        server.get("/users/99/tokens/", all).await.failed(404, "Not found.");
    }
    // An account that is gone is nobody.
    let shown = server.get(&format!("/tokens/{nobodys}/"), &root).await.is(200);
    assert_eq!((&shown["user"], &shown["summary_fields"]), (&Value::Null, &json!({})));
    assert_eq!(
        shown["related"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["activity_stream"]
    );
    // One may not be seen, one is not there.
    server.get(&format!("/tokens/{two}/"), &alice).await.failed(403, PERMISSIONS);
    server.get(&format!("/tokens/{two}/activity_stream/"), &alice).await.failed(403, PERMISSIONS);
    server.get("/tokens/999/", &alice).await.failed(404, "Not found.");
    server.get("/users/6/tokens/", &alice).await.failed(403, PERMISSIONS);
    server.get("/users/99/tokens/", &alice).await.failed(404, "Not found.");
    for below in ["tokens", "personal_tokens", "authorized_tokens"] {
        let post = async |user: u64, token: &str| {
            server.call(&format!("POST /users/{user}/{below}/"), token, json!({})).await
        };
        post(6, &alice).await.failed(403, PERMISSIONS);
        for token in [&alice, &root] {
            post(99, token).await.failed(404, "Not found.");
        }
    }
    // A number may be larger than any that a store gives.
    for number in [i64::MAX.unsigned_abs() + 1, u64::MAX] {
        server.get(&format!("/tokens/{number}/"), &root).await.failed(404, "Not found.");
    }
}

#[tokio::test]
async fn a_name_in_a_path_does_not_tell_whether_it_is_somebodys() {
    let server = Server::new(13);
    let alice = server.session("alice").await;
    for path in ["/users/bob/tokens/", "/users/nobody/tokens/"] {
        let missing = server.get(path, &alice).await;
        missing.failed(404, "Not found.");
        server.call(&format!("POST {path}"), &alice, json!({})).await.failed(404, "Not found.");
        server.get(path, "").await.failed(401, ANONYMOUS);
    }
    server.get("/users/alice/tokens/", &alice).await.is(200);
    // A token that only reads may not create, which is no secret, and told like one.
    let (reader, _) = server.reader("alice").await;
    let refused = server.call("POST /users/alice/tokens/", &reader, json!({})).await;
    refused.failed(404, "Not found.");
}

#[tokio::test]
async fn an_owner_and_a_superuser_change_a_token_and_an_auditor_does_not() {
    let server = Server::new(14);
    let (_, number) = server.personal("alice").await;
    let path = format!("/tokens/{number}/");
    let patch = format!("PATCH {path}");
    for (name, may) in [("alice", true), ("root", true), ("auditor", false), ("bob", false)] {
        for authorization in [bearer(&server.session(name).await), basic(name)] {
            let body = json!({"description": name}).to_string();
            let changed = server.raw(&patch, &authorization, &body).await;
            if may {
                assert_eq!(changed.is(200)["description"], name);
            } else {
                changed.failed(403, PERMISSIONS);
                server
                    .raw(&format!("PUT {path}"), &authorization, "{}")
                    .await
                    .failed(403, PERMISSIONS);
                let deleted = server.raw(&format!("DELETE {path}"), &authorization, "").await;
                deleted.failed(403, PERMISSIONS);
            }
        }
    }
    let deleted = server.raw(&format!("DELETE {path}"), &basic("root"), "").await;
    deleted.is(204);
    server.raw(&patch, &basic("root"), "{}").await.failed(404, "Not found.");
}

#[tokio::test]
async fn a_change_is_of_the_description_and_towards_less() {
    let server = Server::new(15);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({"description": "ci"})).await;
    let (path, token) = (format!("/tokens/{}/", made.number()), made.text("token"));
    server.clock.advance(TimeDelta::milliseconds(1500));
    let change = async |method: &str, body: Value| {
        server.call(&format!("{method} {path}"), &session, body).await
    };
    let changed = change("PATCH", json!({"user": 6, "token": "a", "expires": "2030-01-01"})).await;
    assert_eq!(changed.is(200)["modified"], "2027-01-15T08:00:00Z");
    let changed = change("PATCH", json!({"description": "  nightly "})).await.is(200);
    assert_eq!(changed["description"], "nightly");
    assert_eq!(changed["modified"], "2027-01-15T08:00:01.500000Z");
    assert_eq!((&changed["token"], &changed["scope"]), (&json!("************"), &json!("write")));
    // Both words are no more than the one.
    assert_eq!(
        change("PATCH", json!({"scope": "read write"})).await.is(200)["scope"],
        "read write"
    );
    assert_eq!(change("PATCH", json!({"scope": "write"})).await.is(200)["scope"], "write");
    assert_eq!(change("PATCH", json!({"scope": "read"})).await.is(200)["scope"], "read");
    server.create(&token, json!({})).await.failed(403, PERMISSIONS);
    let wider = "A token cannot be given more than it has; make a new one.";
    for scope in ["write", "read write"] {
        let body = json!({"description": "taken over", "scope": scope});
        assert_eq!(change("PATCH", body.clone()).await.is(400), json!({"scope": [wider]}));
        assert_eq!(change("PUT", body).await.is(400), json!({"scope": [wider]}));
    }
    assert_eq!(change("PATCH", json!({"scope": "foo"})).await.is(400), json!({"scope": [SCOPES]}));
    // What a replacement does not name is the default again, but never more.
    let replaced = change("PUT", json!({"description": "x"})).await.is(200);
    assert_eq!((&replaced["description"], &replaced["scope"]), (&json!("x"), &json!("read")));
    let replaced = change("PUT", json!({"scope": "read"})).await.is(200);
    assert_eq!((&replaced["description"], &replaced["scope"]), (&json!(""), &json!("read")));
    assert!(server.works(&token).await);
}

#[tokio::test]
async fn a_scope_that_is_as_it_was_leaves_a_full_grant_alone() {
    let server = Server::new(16);
    let (token, number) = server.personal("alice").await;
    let path = format!("PUT /tokens/{number}/");
    let body = json!({"description": "x", "scope": "write"});
    assert_eq!(server.call(&path, &token, body).await.is(200)["scope"], "write");
    let by = Actor::host();
    let row = server.tokens.find_by_number(number, By::Host(&by)).await.unwrap();
    assert_eq!(row.grant, Grant::Full);
}

#[tokio::test]
async fn a_deleted_token_is_dead_and_cannot_be_found_and_may_be_its_own_end() {
    let server = Server::new(17);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({})).await;
    let (number, token) = (made.number(), made.text("token"));
    let path = format!("/tokens/{number}/");
    let deleted = server.raw(&format!("DELETE {path}"), &bearer(&token), "").await;
    deleted.is(204);
    server.get(&path, &token).await.failed(401, ANONYMOUS);
    for path in [&path, &format!("{path}activity_stream/")] {
        server.get(path, &session).await.failed(404, "Not found.");
    }
    server.call(&format!("DELETE {path}"), &session, json!({})).await.failed(404, "Not found.");
    assert_eq!(server.get("/tokens/", &session).await.ids(), [0; 0]);
    assert_eq!(server.get(&format!("/tokens/?id={number}"), &session).await.ids(), [0; 0]);
    let events = server.tokens.events(&EventQuery::after(0, 100)).await.unwrap();
    assert_eq!(events.last().unwrap().event.kind, EventKind::TokenRevoked);
}

#[tokio::test]
async fn sessions_are_none_of_this_wire_and_disabled_tokens_are() {
    let server = Server::new(18);
    let session = server.session("alice").await;
    server.get("/tokens/1/", &session).await.failed(404, "Not found.");
    let (token, number) = server.personal("alice").await;
    let by = Actor::host();
    let row = server.tokens.find_by_number(number, By::Host(&by)).await.unwrap();
    server.tokens.deactivate(row.id, By::Host(&by), None).await.unwrap();
    server.get("/tokens/", &token).await.failed(401, ANONYMOUS);
    assert_eq!(server.get("/tokens/", &session).await.ids(), [number]);
}

#[tokio::test]
async fn tokens_of_a_deactivated_account_do_not_work() {
    let server = Server::new(19);
    let (token, _) = server.personal("alice").await;
    assert!(server.works(&token).await);
    server.raw("POST /tokens/", &basic("alice"), "{}").await.is(201);
    let host = Actor::host();
    server.tokens.deactivate_owner(&id("alice"), By::Host(&host), None).await.unwrap();
    server.get("/tokens/", &token).await.failed(401, ANONYMOUS);
    // Nor does its password, although whoever checks passwords says that it is right.
    for route in ["GET /tokens/", "POST /tokens/", "DELETE /tokens/1/", "GET /me/"] {
        let refused = server.raw(route, &basic("alice"), "{}").await;
        refused.failed(401, "Invalid username/password.");
        assert!(!refused.headers.contains_key("x-api-product-version"), "{route}");
    }
    server.tokens.reactivate_owner(&id("alice"), By::Host(&host)).await.unwrap();
    assert!(server.works(&token).await);
    server.raw("GET /tokens/", &basic("alice"), "").await.is(200);
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_is_refused() {
    let server = Server::new(34);
    let session = server.session("root").await;
    let number = server.create(&session, json!({"description": "aa"})).await.number();
    let many = |item: &str, between: &str, count: usize| vec![item; count].join(between);
    let stream = format!("/tokens/{number}/activity_stream/");
    for path in ["/tokens/", "/users/1/tokens/", "/users/1/authorized_tokens/", &stream, "/me/"] {
        for (query, told) in [
            (format!("search={}", many("a", ",", 17)), "16 search terms"),
            (many("id__gt=0", "&", 17), "16 filters"),
            (format!("or__id=1&{}", many("not__id__lt=0", "&", 16)), "16 filters"),
            (format!("id__in={}", many("1", ",", 101)), "100 values of a list"),
            (format!("order_by={}", many("-id", ",", 17)), "16 fields to order by"),
        ] {
            let refused = server.get(&format!("{path}?{query}"), &session).await;
            refused.failed(400, &format!("A query may have at most {told}."));
        }
    }
    // As much as that is no harm.
    let filters = many("description__icontains=A", "&", 16);
    let terms = many("a", ",", 16);
    let query = format!("/tokens/?{filters}&search={terms}&order_by={}", many("id", ",", 16));
    assert_eq!(server.get(&query, &session).await.ids(), [number]);
}

#[tokio::test]
async fn tokens_of_any_number_are_paged_and_only_so_many_are_filtered() {
    let server = Server::new(35);
    let root = server.session("root").await;
    let alice = server.session("alice").await;
    for _ in 0..10_001 {
        server.personal("alice").await;
    }
    let (_, last) = server.personal("bob").await;
    for page in ["last", "51"] {
        let answer = server.get(&format!("/tokens/?page={page}&page_size=200"), &root).await;
        assert_eq!(answer.ids(), [last - 1, last], "{page}");
        let told = answer.is(200);
        assert_eq!((&told["count"], &told["next"]), (&json!(10_002), &Value::Null), "{page}");
        assert_eq!(told["previous"], "/api/v2/tokens/?page=50&page_size=200", "{page}");
    }
    for query in ["page=52&page_size=200", "page=a", "page=a&search=x"] {
        server.get(&format!("/tokens/?{query}"), &root).await.failed(404, "Invalid page.");
    }
    let told = "There are too many tokens to filter or order them all";
    for query in ["search=a", "order_by=-id"] {
        let refused = server.get(&format!("/tokens/?{query}"), &root).await;
        refused.failed(400, &format!("{told}; name a user."));
    }
    // To name a user is of no use where one is named.
    for (path, token) in [
        ("/tokens/?user=5&order_by=-id", &root),
        ("/users/5/tokens/?order_by=-id", &root),
        ("/tokens/?order_by=-id", &alice),
    ] {
        server.get(path, token).await.failed(400, &format!("{told}."));
    }
    assert_eq!(server.get("/tokens/?user=6&order_by=-id", &root).await.ids(), [last]);
    assert_eq!(server.get(&format!("/tokens/?id={last}"), &root).await.ids(), [last]);
}

#[tokio::test]
async fn a_token_that_bounds_what_it_makes_bounds_its_life_too() {
    let mut within = policy();
    within.minting = Minting::Within;
    let mut server = Server::with(36, within);
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    request.lifetime = Lifetime::For(TimeDelta::hours(1));
    let (bounded, _) = server.issue(request).await;
    let expires =
        async |server: &Server, token: &str| server.create(token, json!({})).await.text("expires");
    assert_eq!(expires(&server, &bounded).await, "2027-01-15T09:00:00Z");
    // Neither a token that never ends nor a session, whose kind makes tokens as its owner does.
    let (eternal, _) = server.personal("alice").await;
    assert_eq!(expires(&server, &eternal).await, "3026-05-18T08:00:00Z");
    let session = server.session("alice").await;
    assert_eq!(expires(&server, &session).await, "3026-05-18T08:00:00Z");
    server.set(Settings { expire_seconds: 60, external_users: false });
    assert_eq!(expires(&server, &bounded).await, "2027-01-15T08:01:00Z");
}

#[tokio::test]
async fn a_note_that_somebody_changes_meanwhile_is_not_lost() {
    let server = Server::new(37);
    let session = server.session("alice").await;
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    (request.name, request.note) = (TokenName::new("old").unwrap(), Note::new("remark").unwrap());
    let (_, row) = server.issue(request).await;
    let path = format!("PATCH /tokens/{}/", row.number);
    let host = Actor::host();
    server.barrier.shut();
    let edit = server.barrier.meanwhile(async {
        let note = Note::new("newer").unwrap();
        server.tokens.edit(row.id, None, Some(note), By::Host(&host)).await.unwrap();
    });
    let (changed, ()) =
        tokio::join!(server.call(&path, &session, json!({"description": "new"})), edit);
    assert_eq!(changed.is(200)["description"], "new");
    let row = server.tokens.find(row.id, By::Host(&host)).await.unwrap();
    assert_eq!((row.name.as_str(), row.note.as_str()), ("new", "newer"));
}

#[tokio::test]
async fn a_token_that_ends_meanwhile_makes_no_other_one() {
    let server = Server::new(38);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({})).await;
    let (number, token) = (made.number(), made.text("token"));
    let host = Actor::host();
    let row = server.tokens.find_by_number(number, By::Host(&host)).await.unwrap();
    server.barrier.shut();
    let end = server.barrier.meanwhile(async {
        server.tokens.revoke(row.id, By::Host(&host), None).await.unwrap();
    });
    let (refused, ()) = tokio::join!(server.create(&token, json!({})), end);
    // What it is now is for the next try to see.
    refused.failed(503, "The server cannot answer now; try again.");
    server.create(&token, json!({})).await.failed(401, ANONYMOUS);
    assert_eq!(server.get("/tokens/", &session).await.ids(), [0; 0]);
}

#[tokio::test]
async fn expired_tokens_are_listed_until_the_hosts_job_removes_them() {
    let mut server = Server::new(39);
    let session = server.session("alice").await;
    server.set(Settings { expire_seconds: 60, external_users: false });
    let number = server.create(&session, json!({})).await.number();
    server.clock.advance(TimeDelta::seconds(61));
    assert_eq!(server.get("/tokens/", &session).await.ids(), [number]);
    assert_eq!(server.tokens.store().prune(server.tokens.now(), 10).await.unwrap(), 1);
    assert_eq!(server.get("/tokens/", &session).await.ids(), [0; 0]);
    server.get(&format!("/tokens/{number}/"), &session).await.failed(404, "Not found.");
}

#[tokio::test]
async fn the_document_tells_what_clients_meet_beside_the_usual() {
    let document: Value = serde_json::from_str(&Server::new(40).face.openapi()).unwrap();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // Wrong passwords may be slowed down wherever a password is taken.
            assert!(operation["responses"]["429"].is_object(), "{method} {path}");
            operations += 1;
        }
    }
    assert_eq!(operations, 19);
    let listing = document["paths"]["/api/v2/tokens/"]["get"]["parameters"].as_array().unwrap();
    assert!(listing.iter().any(|told| told["name"] == "count_disabled"), "{listing:?}");
    let schemas = &document["components"]["schemas"];
    // Whoever does not count gets nothing else.
    assert_eq!(schemas["TokenList"]["required"], json!(["results"]));
    assert_eq!(schemas["EntryList"]["required"], json!(["results"]));
    assert_eq!(schemas["Wanted"]["properties"]["description"]["maxLength"], 4096);
}

#[tokio::test]
async fn whoever_is_not_known_gets_one_answer_and_no_challenge_for_a_password() {
    let server = Server::new(20);
    let (token, _) = server.personal("alice").await;
    let revoked = server.raw("DELETE /tokens/1/", &bearer(&token), "").await;
    revoked.is(204);
    let nobodys = server.personal("nobody").await.0;
    for authorization in [
        "",
        "Bearer nonsense",
        &bearer(&token),
        &bearer(&nobodys),
        "Token abc",
        "Bearer",
        "Digest a",
    ] {
        let refused = server.raw("GET /tokens/", authorization, "").await;
        refused.failed(401, ANONYMOUS);
        let challenge = "Bearer realm=api authorization_url=/api/o/authorize/";
        assert_eq!(refused.headers["www-authenticate"], challenge, "{authorization}");
        assert!(!refused.headers.contains_key("x-api-product-version"));
    }
    let (live, _) = server.personal("alice").await;
    let twice = [("authorization", bearer(&live)), ("authorization", bearer(&live))];
    let twice = twice.each_ref().map(|(name, value)| (*name, value.as_str()));
    server.send("GET /tokens/", &twice, "").await.failed(401, ANONYMOUS);
    // In the query it is not looked at.
    let path = format!("/me/?access_token={live}");
    server.get(&path, "").await.failed(401, ANONYMOUS);
    // Nor in a form.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let refused = server.send("POST /tokens/", &form, &format!("access_token={live}")).await;
    refused.failed(401, ANONYMOUS);
}

#[tokio::test]
async fn a_password_is_as_good_as_a_token_and_a_wrong_one_is_told_so() {
    let server = Server::new(21);
    let told = server.raw("GET /me/", &basic("alice"), "").await;
    assert_eq!(told.is(200)["results"][0]["username"], "alice");
    let wrong = format!("Basic {}", STANDARD.encode("alice:wrong"));
    let refused = server.raw("GET /tokens/", &wrong, "").await;
    refused.failed(401, "Invalid username/password.");
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(!challenge.to_lowercase().contains("basic"), "{challenge}");
    for (header, told) in [
        ("Basic", "Invalid basic header. No credentials provided."),
        ("Basic a b", "Invalid basic header. Credentials string should not contain spaces."),
        ("Basic ???", "Invalid basic header. Credentials not correctly base64 encoded."),
    ] {
        server.raw("GET /tokens/", header, "").await.failed(401, told);
    }
    let throttled = server.raw("GET /tokens/", &basic("guesser"), "").await;
    throttled.failed(429, "Request was throttled. Expected available in 9 seconds.");
    assert_eq!(throttled.headers["retry-after"], "9");
    // A password for an account that is not there any more is nobody's.
    server.raw("GET /tokens/", &basic("nobody"), "").await.failed(401, ANONYMOUS);
}

#[tokio::test]
async fn a_host_that_checks_no_passwords_takes_none() {
    let server = Server::new(22);
    let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
    let layer = BearerLayer::new(server.tokens.clone());
    let face =
        Awx::new(layer, Arc::<Accounts>::clone(&server.directory), needs, Settings::default());
    let server = Server { router: router(&face), face, ..server };
    let refused = server.raw("GET /tokens/", &basic("alice"), "").await;
    refused.failed(401, "Invalid username/password.");
}

#[tokio::test]
async fn lists_come_by_pages_with_links_to_their_neighbours() {
    let server = Server::new(23);
    let session = server.session("alice").await;
    for number in 1..=30 {
        server.create(&session, json!({"description": number.to_string()})).await.is(201);
    }
    let first = server.get("/tokens/", &session).await;
    assert_eq!(first.ids(), (2..27).collect::<Vec<_>>());
    let told = first.is(200);
    assert_eq!((&told["count"], &told["next"]), (&json!(30), &json!("/api/v2/tokens/?page=2")));
    let second = server.get("/tokens/?page=2", &session).await;
    assert_eq!(second.ids(), (27..32).collect::<Vec<_>>());
    assert_eq!(second.is(200)["previous"], "/api/v2/tokens/?page=1");
    assert_eq!(server.get("/tokens/?page=last", &session).await.ids(), second.ids());
    let large = server.get("/tokens/?page_size=1000&order_by=-id", &session).await;
    assert_eq!(large.ids(), (2..32).rev().collect::<Vec<_>>());
    let one = server.get("/tokens/?page_size=1&page=2&order_by=-id", &session).await.is(200);
    assert_eq!(one["next"], "/api/v2/tokens/?order_by=-id&page=3&page_size=1");
    assert_eq!(one["previous"], "/api/v2/tokens/?order_by=-id&page=1&page_size=1");
    for page in ["3", "0", "-1", "a", ""] {
        for more in ["", "&order_by=id"] {
            let path = format!("/tokens/?page={page}{more}");
            server.get(&path, &session).await.failed(404, "Invalid page.");
        }
    }
    let rows = server.get("/tokens/?count_disabled=1&page_size=1", &session).await.is(200);
    assert_eq!(rows.as_object().unwrap().keys().collect::<Vec<_>>(), ["results"]);
}

#[tokio::test]
async fn tokens_are_found_by_their_fields_and_never_by_their_secrets() {
    let server = Server::new(24);
    let root = server.session("root").await;
    let alice = server.session("alice").await;
    let one =
        server.create(&alice, json!({"description": "Backup", "scope": "read"})).await.number();
    let two = server.create(&alice, json!({"description": "ci"})).await.number();
    let three = server.create(&root, json!({"description": "ci of root"})).await.number();
    for (query, expected) in [
        (format!("id={two}"), vec![two]),
        ("user=5".to_owned(), vec![one, two]),
        ("user=99".to_owned(), vec![]),
        ("user__username=root".to_owned(), vec![three]),
        ("description__icontains=CI&order_by=-id".to_owned(), vec![three, two]),
        ("scope=read".to_owned(), vec![one]),
        ("application__isnull=true&not__user=5".to_owned(), vec![three]),
        ("or__scope=read&or__user=1".to_owned(), vec![one, three]),
        ("expires__lt=2027-01-15T08:00:00Z".to_owned(), vec![]),
        ("search=backup".to_owned(), vec![one]),
    ] {
        assert_eq!(
            server.get(&format!("/tokens/?{query}"), &root).await.ids(),
            expected,
            "{query}"
        );
    }
    // Nobody finds what is not to be seen.
    for query in [format!("id={three}"), "user=1".to_owned(), "search=root".to_owned()] {
        assert_eq!(server.get(&format!("/tokens/?{query}"), &alice).await.ids(), [0; 0], "{query}");
    }
    for query in
        ["token__startswith=a", "token=a", "order_by=token", "main_oauth2accesstoken__token__gt=a"]
    {
        let refused = server.get(&format!("/tokens/?{query}"), &root).await;
        refused.failed(403, "Filtering on token is not allowed.");
    }
    for (query, told) in [
        ("nothing=1", "OAuth2AccessToken has no field named 'nothing'"),
        ("order_by=nothing", "OAuth2AccessToken has no field named 'nothing'"),
        ("user=a", "Invalid user id: a"),
        // Relations are followed to nothing but a user's number and names.
        ("user__email=a", "No related model for field email."),
        ("application__name=a", "No related model for field name."),
        ("refresh_token__id=1", "OAuth2AccessToken has no field named 'refresh_token'"),
        ("description__regex=a", "Filtering by regex is not supported."),
    ] {
        server.get(&format!("/tokens/?{query}"), &root).await.failed(400, told);
    }
}

#[tokio::test]
async fn bodies_are_read_as_the_product_reads_them() {
    let server = Server::new(25);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({})).await.number();
    let wrong_type = "You did not use correct Content-Type in your HTTP request. If you are using \
                      our REST API, the Content-Type must be application/json";
    for route in ["POST /tokens/".to_owned(), format!("PATCH /tokens/{made}/")] {
        let send = async |content_type: &str, body: &str| {
            let authorization = bearer(&session);
            let headers = [("content-type", content_type), ("authorization", &authorization)];
            server.send(&route, &headers, body).await
        };
        for content_type in ["", "text/plain", "application/x-www-form-urlencoded"] {
            send(content_type, "scope=read").await.failed(415, wrong_type);
        }
        let json = "application/json";
        send(json, "[]").await.failed(400, "JSON parse error - not a JSON object");
        assert_eq!(send(json, "null").await.is(400), json!({"__all__": ["No data provided"]}));
        let broken = send(json, "{\"scope\": \"read\",}").await;
        let told = "JSON parse error - not JSON: line 1 column 18\nPossible cause: trailing comma.";
        broken.failed(400, told);
        send(json, &" ".repeat(64 * 1024 + 1)).await.failed(413, "The request is too large.");
        // Of a key that is there twice the last counts.
        send(json, r#"{"scope":"foo","scope":"write"}"#).await;
    }
    let body = r#"{"scope":"foo","scope":"read"}"#;
    let twice = server.raw("POST /tokens/", &bearer(&session), body).await;
    assert_eq!(twice.is(201)["scope"], "read");
}

#[tokio::test]
async fn a_description_is_the_name_that_every_face_shows() {
    let server = Server::new(26);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({"description": "ci"})).await.number();
    let row = |number| {
        let tokens = server.tokens.clone();
        async move {
            let row = tokens.find_by_number(number, By::Host(&Actor::host())).await.unwrap();
            (row.name.to_string(), row.note.to_string())
        }
    };
    assert_eq!(row(made).await, ("ci".to_owned(), String::new()));
    // What is no name is kept whole, and begins in the name.
    let long = format!("{}\nand more", "a".repeat(300));
    let made = server.create(&session, json!({"description": long})).await;
    assert_eq!(made.text("description"), long);
    let number = made.number();
    assert_eq!(row(number).await, ("a".repeat(255), long));
    let path = format!("PATCH /tokens/{number}/");
    let changed = server.call(&path, &session, json!({"description": "short"})).await;
    assert_eq!(changed.is(200)["description"], "short");
    assert_eq!(row(number).await, ("short".to_owned(), String::new()));
    let refused = server.create(&session, json!({"description": "a".repeat(4097)})).await;
    assert_eq!(refused.is(400).as_object().unwrap().keys().collect::<Vec<_>>(), ["description"]);
    // A remark of another face's is no description, and stays.
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    (request.name, request.note) = (TokenName::new("old").unwrap(), Note::new("remark").unwrap());
    let (_, native) = server.issue(request).await;
    let path = format!("/tokens/{}/", native.number);
    assert_eq!(server.get(&path, &session).await.text("description"), "old");
    let path = format!("PATCH {path}");
    let changed = server.call(&path, &session, json!({"description": "new"})).await;
    assert_eq!(changed.text("description"), "new");
    assert_eq!(row(native.number).await, ("new".to_owned(), "remark".to_owned()));
}

#[tokio::test]
async fn what_has_become_of_a_token_is_told_in_order() {
    let server = Server::new(27);
    let session = server.session("alice").await;
    let made = server.create(&session, json!({"description": "ci"})).await;
    let number = made.number();
    let path = format!("/tokens/{number}/");
    // To be used is no news.
    assert!(server.works(&made.text("token")).await);
    server.tokens.flush_usage().await.unwrap();
    let row = server.tokens.find_by_number(number, By::Host(&Actor::host())).await.unwrap();
    assert!(row.usage.last_at.is_some());
    let root = server.session("root").await;
    server.call(&format!("PATCH {path}"), &root, json!({"description": "x"})).await.is(200);
    server.call(&format!("PATCH {path}"), &session, json!({"scope": "read"})).await.is(200);
    let path = format!("{path}activity_stream/");
    let told = server.get(&path, &session).await.is(200);
    let rows = told["results"].as_array().unwrap();
    let seen: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            let actor = row["summary_fields"]["actor"]["username"].as_str().unwrap();
            (row["operation"].as_str().unwrap(), actor)
        })
        .collect();
    assert_eq!(seen, [("create", "alice"), ("update", "root"), ("update", "alice")]);
    assert_eq!(told["count"], 3);
    assert_eq!(rows[0]["changes"], json!({"id": number, "token": "************"}));
    assert_eq!(rows[1]["object1"], "o_auth2_access_token");
    let token = &rows[1]["summary_fields"]["o_auth2_access_token"][0];
    let expected = json!({
        "id": number, "user_id": 5, "description": "x", "application_id": null, "scope": "read",
    });
    assert_eq!(*token, expected);
    let updates = server.get(&format!("{path}?operation=update&page_size=1"), &session).await;
    assert_eq!((updates.ids().len(), &updates.is(200)["count"]), (1, &json!(2)));
    let auditor = server.session("auditor").await;
    server.get(&path, &auditor).await.is(200);
}

#[tokio::test]
async fn options_tell_the_products_command_line_what_there_is() {
    let server = Server::new(28);
    let session = server.session("alice").await;
    let number = server.create(&session, json!({})).await.number();
    let ask =
        async |path: &str| server.raw(&format!("OPTIONS {path}"), &bearer(&session), "").await;
    let list = ask("/tokens/").await;
    let told = list.is(200);
    assert_eq!((&told["name"], &told["max_page_size"]), (&json!("OAuth2 Tokens"), &json!(200)));
    assert_eq!(told["actions"]["POST"]["scope"]["default"], "write");
    assert_eq!(told["parses"], json!(["application/json"]));
    assert_eq!(told["renders"], json!(["application/json"]));
    assert_eq!(told["types"], json!(["o_auth2_access_token"]));
    assert_eq!(told["search_fields"], json!(["description"]));
    assert_eq!(told["related_search_fields"], json!([]));
    assert_eq!(list.headers["allow"], "GET, POST, HEAD, OPTIONS");
    // The first one is asked for, whether or not there is one.
    let detail = ask("/tokens/999/").await;
    assert_eq!(detail.is(200)["actions"].as_object().unwrap().len(), 1);
    assert_eq!(detail.headers["allow"], "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
    let own = ask(&format!("/tokens/{number}/")).await.is(200);
    assert_eq!(own["actions"]["PUT"].as_object().unwrap().len(), 2);
    for (path, name) in [
        ("/users/5/tokens/", "OAuth2 User Tokens"),
        ("/users/alice/personal_tokens/", "OAuth2 Personal Access Tokens"),
        ("/users/5/authorized_tokens/", "OAuth2 User Authorized Access Tokens"),
    ] {
        assert_eq!(ask(path).await.is(200)["name"], name);
    }
    let stream = ask(&format!("/tokens/{number}/activity_stream/")).await;
    assert_eq!(stream.is(200)["types"], json!(["activity_stream"]));
    assert_eq!(stream.headers["allow"], "GET, HEAD, OPTIONS");
    server.raw("OPTIONS /tokens/", "", "").await.failed(401, ANONYMOUS);
}

#[tokio::test]
async fn what_the_product_has_no_route_for_is_404_and_other_methods_are_405() {
    let server = Server::new(29);
    let session = server.session("alice").await;
    // Every path ends with a slash.
    for path in
        ["/tokens", "/tokens/1", "/users/5/tokens", "/nothing/", "/tokens/one/", "/tokens/1/more/"]
    {
        let missing = server.get(path, &session).await;
        missing.failed(404, "The requested resource could not be found.");
        assert_eq!(missing.headers["x-api-product-name"], "AWX", "{path}");
    }
    for (route, allow) in [
        ("PUT /tokens/", "GET, POST, HEAD, OPTIONS"),
        ("POST /tokens/1/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("DELETE /users/5/personal_tokens/", "GET, POST, HEAD, OPTIONS"),
    ] {
        let refused = server.call(route, &session, json!({})).await;
        let method = route.split_once(' ').unwrap().0;
        refused.failed(405, &format!("Method \"{method}\" not allowed."));
        assert_eq!(refused.headers["allow"], allow);
    }
    server.call("POST /me/", &session, json!({})).await.failed(405, "Method \"POST\" not allowed.");
}

#[tokio::test]
async fn whoever_is_not_known_is_told_so_before_a_method_that_there_is_not() {
    let server = Server::new(41);
    let (reader, number) = server.reader("alice").await;
    for route in ["PUT /tokens/".to_owned(), format!("POST /tokens/{number}/")] {
        for authorization in ["", "Bearer nonsense"] {
            let refused = server.raw(&route, authorization, "{}").await;
            refused.failed(401, ANONYMOUS);
            assert!(refused.headers.contains_key("allow"), "{route}");
        }
        let method = route.split_once(' ').unwrap().0;
        let refused = server.call(&route, &reader, json!({})).await;
        refused.failed(405, &format!("Method \"{method}\" not allowed."));
    }
}

#[tokio::test]
async fn every_answer_carries_the_products_headers() {
    let server = Server::new(30);
    let session = server.session("alice").await;
    for (answer, is_known) in [
        (server.get("/tokens/", &session).await, true),
        (server.get("/me/", &session).await, true),
        (server.get("/tokens/999/", &session).await, true),
        (server.get("/tokens/", "").await, false),
        (server.get("/nothing/", &session).await, false),
    ] {
        assert_eq!(answer.headers["x-api-product-name"], "AWX");
        assert_eq!(answer.headers["x-api-node"], "keyfob");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.headers.contains_key("vary"));
        let took = answer.headers["x-api-time"].to_str().unwrap();
        assert!(took.len() >= 6 && took.ends_with('s'), "{took}");
        let version = answer.headers.get("x-api-product-version");
        assert_eq!(version.is_some_and(|text| text == "24.6.1"), is_known, "{answer:?}");
    }
    // Whatever a token's route answers, it tells its methods.
    let made = server.create(&session, json!({})).await;
    let detail = format!("/tokens/{}/", made.number());
    for (answer, allow) in [
        (&made, "GET, POST, HEAD, OPTIONS"),
        (&server.get("/tokens/", &session).await, "GET, POST, HEAD, OPTIONS"),
        (&server.get("/tokens/", "").await, "GET, POST, HEAD, OPTIONS"),
        (&server.get("/users/5/tokens/", &session).await, "GET, POST, HEAD, OPTIONS"),
        (&server.get(&detail, &session).await, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        (&server.get("/tokens/999/", &session).await, "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
    ] {
        assert_eq!(answer.headers["allow"], allow, "{answer:?}");
    }
    let head = server.raw("HEAD /tokens/", &bearer(&session), "").await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_store_or_a_directory_that_is_away_is_no_verdict() {
    let server = Server::new(31);
    let session = server.session("alice").await;
    let number = server.create(&session, json!({})).await.number();
    let told = "The server cannot answer now; try again.";
    let calls = [
        "GET /tokens/".to_owned(),
        "GET /tokens/?search=a".to_owned(),
        "POST /tokens/".to_owned(),
        "GET /users/5/tokens/".to_owned(),
        format!("GET /tokens/{number}/"),
        format!("GET /tokens/{number}/activity_stream/"),
        format!("PATCH /tokens/{number}/"),
        format!("DELETE /tokens/{number}/"),
        format!("OPTIONS /tokens/{number}/"),
    ];
    let store: &AtomicBool = &server.store_is_down;
    for (what, name) in [(store, "store"), (&server.directory.down, "directory")] {
        what.store(true, Ordering::Relaxed);
        for route in &calls {
            let refused = server.call(route, &session, json!({"description": "y"})).await;
            assert_eq!(refused.status, 503, "{name} {route}");
            refused.failed(503, told);
            assert_eq!(refused.headers["retry-after"], "1");
        }
        let refused = server.raw("GET /tokens/", &basic("alice"), "").await;
        refused.failed(503, told);
        what.store(false, Ordering::Relaxed);
        assert!(server.works(&session).await);
    }
}

#[tokio::test]
async fn a_token_is_of_the_products_own_shape_where_the_host_says_so() {
    let server = Server::new(32);
    let face = server.face.clone().in_shape(Some(Shape::AWX));
    let server = Server { router: router(&face), face, ..server };
    let made = server.raw("POST /tokens/", &basic("alice"), "{}").await;
    let token = made.text("token");
    assert!(token.len() == 30 && token.bytes().all(|b| b.is_ascii_alphanumeric()), "{token}");
    assert!(server.works(&token).await);
    assert!(!server.works(&token[1..]).await);
}

#[tokio::test]
async fn every_route_is_declared_and_refuses_who_may_not() {
    let server = Server::new(33);
    let declared = server.face.declared();
    assert_eq!(declared.len(), 19);
    assert!(declared.iter().all(|route| route.need != Need::Public));
    let (outcast, _) = server.personal("outcast").await;
    let router: Router = guard(&declared, server.face.clone().into_router());
    assert_eq!(unguarded_routes(&declared, &router, &outcast).await.unwrap(), []);
}
