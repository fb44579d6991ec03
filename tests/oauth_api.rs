//! What a token's text is worth to a host's other servers, and ending a token by its text.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;
#[path = "common/cut.rs"]
mod cut;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use common::Detour;
use cut::Cut;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use keyfob::http::{BearerLayer, ClientAddress};
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::ports::store::{EventQuery, TokenStore as _};
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::wire::oauth::{ClientCredentials, Clients, OAuth};
use keyfob::{
    Access, Actor, Builder, By, EventKind, Format, Grant, IssueRequest, Keyring, Kind, KindPolicy,
    Lifetime, OwnerId, Policy, ReadWrite, Rotation, Rules, Scope as _, ScopeName, TokenId,
    TokenRecord, Tokens,
};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

const START: i64 = 1_800_000_000;

fn id(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

fn account(name: &str) -> Account {
    Account::new(id(name), 1, format!("{name}'s name"), DateTime::UNIX_EPOCH)
}

/// Clients are accounts whose secret is their id twice.
#[derive(Debug, Default)]
struct Host {
    is_down: AtomicBool,
    tells_more: AtomicBool,
}

#[async_trait]
impl Directory for Host {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DirectoryError("it is down".into()));
        }
        let AccountKey::Id(id) = key else { return Ok(None) };
        Ok(Some(account(id.as_str())).filter(|_| id.as_str() != "nobody"))
    }

    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(match account.id.as_str() {
            "reader" => Grant::only([ReadWrite::Read.name()]).unwrap(),
            "powerless" => Grant::only([ScopeName::new("nothing").unwrap()]).unwrap(),
            _ => Grant::Full,
        })
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

#[async_trait]
impl Clients for Host {
    async fn client(
        &self,
        credentials: &ClientCredentials,
        from: Option<IpAddr>,
    ) -> Result<Option<Account>, DirectoryError> {
        assert_eq!(from, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DirectoryError("it is down".into()));
        }
        let name = credentials.name();
        let is_known = credentials.expose_secret() == format!("{name}{name}");
        Ok(is_known.then(|| account(name)))
    }

    fn tell(
        &self,
        told: &mut Map<String, Value>,
        client: &Account,
        token: &TokenRecord,
        account: &Account,
    ) {
        if self.tells_more.load(Ordering::Relaxed) {
            let more = json!({
                "aud": [client.id], "scope": format!("mine {}", told["scope"]),
                "number": token.number, "of": account.id,
            });
            told.extend(more.as_object().unwrap().clone());
        }
    }
}

struct Server {
    tokens: Tokens<ReadWrite>,
    router: Router,
    clock: ManualClock,
    host: Arc<Host>,
    store: Detour<Cut>,
    store_is_down: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn is(&self, status: u16, body: &Value) {
        assert_eq!(self.status, status, "{self:?}");
        let told = serde_json::from_str(&self.body).unwrap_or(Value::Null);
        assert_eq!(told, *body, "{self:?}");
        assert_eq!(self.headers.get("content-type").unwrap(), "application/json");
        assert_eq!(self.headers.get("cache-control").unwrap(), "no-store");
    }
}

impl Server {
    fn new(seed: u64) -> Self {
        Self::with(seed, KindPolicy::personal())
    }

    fn with(seed: u64, policy: KindPolicy) -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(START, 0).unwrap());
        let store_is_down = Arc::new(AtomicBool::new(false));
        let store = Detour::new(Cut(Arc::clone(&store_is_down)));
        Self::on(seed, policy, clock, store, store_is_down)
    }

    /// Another process of the same host, with a policy of its own.
    fn beside(&self, seed: u64, policy: KindPolicy) -> Self {
        let (clock, down) = (self.clock.clone(), Arc::clone(&self.store_is_down));
        Self::on(seed, policy, clock, self.store.clone(), down)
    }

    fn on(
        seed: u64,
        policy: KindPolicy,
        clock: ManualClock,
        store: Detour<Cut>,
        store_is_down: Arc<AtomicBool>,
    ) -> Self {
        let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
        let policy = Policy::default().with_kind(Kind::personal(), policy);
        let rules = Rules::new(format, Keyring::unkeyed()).with_policy(policy);
        let randomness = SeededRandomness::new(seed);
        let tokens = Builder::new(store.clone(), rules, clock.clone(), randomness).build();
        let host = Arc::new(Host::default());
        let directory = Arc::clone(&host) as Arc<dyn Directory>;
        let clients = Arc::clone(&host) as Arc<dyn Clients>;
        let oauth = OAuth::new(BearerLayer::new(tokens.clone()), directory, clients);
        let router = oauth.introspection("/introspect").merge(oauth.revocation("/revoke"));
        Self { tokens, router, clock, host, store, store_is_down }
    }

    async fn issue(&self, request: IssueRequest<ReadWrite>) -> (String, TokenId) {
        let (secret, row) = self.tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
        (secret.expose_secret().to_owned(), row.id)
    }

    async fn personal(&self, name: &str) -> (String, TokenId) {
        self.issue(IssueRequest::new(id(name), Grant::Full)).await
    }

    async fn send(&self, path: &str, authorization: &str, kind: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header("authorization", authorization)
            .header("content-type", kind)
            .extension(ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ask(&self, path: &str, client: &str, form: &str) -> Answer {
        self.send(path, &basic(client, &client.repeat(2)), FORM, form).await
    }

    async fn introspect(&self, text: &str) -> Answer {
        self.ask("/introspect", "api", &format!("token={text}&token_type_hint=whatever")).await
    }

    /// What is told of a live token.
    async fn told(&self, text: &str) -> Value {
        let told: Value = serde_json::from_str(&self.introspect(text).await.body).unwrap();
        assert_eq!(told["active"], true);
        told
    }

    async fn rotate(&self, token: TokenId, overlap_seconds: i64) -> String {
        let rotation = Rotation::with_overlap(TimeDelta::seconds(overlap_seconds));
        let rotated = self.tokens.rotate(token, rotation, By::Host(&Actor::host())).await;
        rotated.unwrap().0.expose_secret().to_owned()
    }

    async fn revoke(&self, client: &str, text: &str) {
        let answer = self.ask("/revoke", client, &format!("token={text}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{text}");
    }

    async fn is_active(&self, text: &str) -> bool {
        let answer = self.introspect(text).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        if told["active"] == false {
            assert_eq!(answer.body, r#"{"active":false}"#);
        }
        told["active"] == true
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

#[tokio::test]
async fn a_client_is_told_what_a_live_token_is() {
    let server = Server::new(1);
    let (text, token) = server.personal("alice").await;
    let told = json!({
        "active": true, "username": "alice's name", "token_type": "Bearer",
        "exp": START + 90 * 86_400, "iat": START, "nbf": START,
        "sub": "alice", "jti": token.to_string(),
    });
    server.introspect(&text).await.is(200, &told);
    // The host has the last word, and more of them.
    let request = IssueRequest::new(id("alice"), Grant::only([ReadWrite::Read]).unwrap());
    let (narrow, _) = server.issue(request).await;
    server.host.tells_more.store(true, Ordering::Relaxed);
    let told = server.told(&narrow).await;
    for (key, value) in [
        ("aud", json!(["api"])),
        ("scope", json!("mine \"read\"")),
        ("of", json!("alice")),
        ("number", json!(2)),
    ] {
        assert_eq!(told.get(key), Some(&value));
    }
}

#[tokio::test]
async fn a_scope_is_what_a_token_was_granted_and_its_owner_may_still_do() {
    let server = Server::new(7);
    let only = |scope| Grant::only([scope]).unwrap();
    for (owner, grant, told) in [
        ("alice", Grant::Full, None),
        ("alice", only(ReadWrite::Read), Some("read")),
        ("alice", only(ReadWrite::Write), Some("write")),
        ("reader", Grant::Full, Some("read")),
        ("reader", only(ReadWrite::Read), Some("read")),
        ("reader", only(ReadWrite::Write), Some("read")),
        ("powerless", Grant::Full, Some("")),
        ("powerless", only(ReadWrite::Read), Some("")),
    ] {
        let (text, _) = server.issue(IssueRequest::new(id(owner), grant.clone())).await;
        let scope = server.told(&text).await.get("scope").cloned();
        assert_eq!(scope, told.map(Value::from), "{owner}, {grant:?}");
    }
}

#[tokio::test]
async fn a_token_that_another_process_has_ended_is_inactive_at_once() {
    let server = Server::new(8);
    let other = server.beside(9, KindPolicy::personal());
    let host = Actor::host();
    let (revoked, token) = server.personal("alice").await;
    let (pruned, gone) = server.personal("alice").await;
    let (blocked, _) = server.personal("bob").await;
    for text in [&revoked, &pruned, &blocked] {
        // It is in use here, and the layer is not strict.
        assert!(server.is_active(text).await);
        assert!(server.tokens.authenticate_now(text, &Access::any()).is_some());
    }
    other.tokens.revoke(gone, By::Host(&host), None).await.unwrap();
    let later = server.tokens.now().checked_add_signed(TimeDelta::seconds(1)).unwrap();
    assert_eq!(server.store.prune(later, 10).await.unwrap(), 1);
    other.tokens.revoke(token, By::Host(&host), None).await.unwrap();
    other.tokens.deactivate_owner(&id("bob"), By::Host(&host), None).await.unwrap();
    for text in [&revoked, &pruned, &blocked] {
        assert!(!server.is_active(text).await);
    }
}

#[tokio::test]
async fn a_replaced_text_ends_with_its_overlap_and_nobody_knows_when_it_was_made() {
    let server = Server::new(10);
    let (old, token) = server.personal("alice").await;
    server.clock.advance(TimeDelta::seconds(10));
    let new = server.rotate(token, 60).await;
    let told = server.told(&old).await;
    assert_eq!(told["exp"], START + 70);
    assert_eq!((told.get("iat"), told.get("nbf")), (None, None));
    let told = server.told(&new).await;
    assert_eq!(told["exp"], START + 90 * 86_400);
    assert_eq!((&told["iat"], &told["nbf"]), (&json!(START + 10), &json!(START + 10)));
    // A beginning that was asked for is the token's.
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    request.not_before = Some(server.tokens.now());
    let (old, token) = server.issue(request).await;
    server.clock.advance(TimeDelta::seconds(5));
    server.rotate(token, 60).await;
    assert_eq!(server.told(&old).await["nbf"], START + 10);
}

#[tokio::test]
async fn an_end_is_the_policys_or_that_of_idleness_where_that_comes_first() {
    let mut policy = KindPolicy::personal();
    policy.never_expires = true;
    let server = Server::with(11, policy.clone());
    let mut request = IssueRequest::new(id("alice"), Grant::Full);
    request.lifetime = Lifetime::Unlimited;
    let (endless, _) = server.issue(request).await;
    assert_eq!(server.told(&endless).await.get("exp"), None);
    // A policy that has become stricter since.
    policy.never_expires = false;
    let server = server.beside(12, policy.clone());
    assert_eq!(server.told(&endless).await["exp"], START + 366 * 86_400);
    policy.idle_limit = Some(TimeDelta::days(1));
    let server = server.beside(13, policy);
    assert_eq!(server.told(&endless).await["exp"], START + 86_400);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_inactive_and_no_more() {
    let server = Server::new(2);
    let host = Actor::host();
    let (revoked, token) = server.personal("alice").await;
    server.tokens.revoke(token, By::Host(&host), None).await.unwrap();
    let (asleep, token) = server.personal("alice").await;
    server.tokens.deactivate(token, By::Host(&host), None).await.unwrap();
    let mut short = IssueRequest::new(id("alice"), Grant::Full);
    short = short.expires_in(TimeDelta::seconds(5));
    let (expired, _) = server.issue(short).await;
    let (gone, _) = server.personal("nobody").await;
    let (blocked, _) = server.personal("bob").await;
    server.tokens.deactivate_owner(&id("bob"), By::Host(&host), None).await.unwrap();
    let mut bound = IssueRequest::new(id("alice"), Grant::Full);
    bound.constraints.addresses = vec!["127.0.0.1/32".parse().unwrap()];
    let (bound, _) = server.issue(bound).await;
    let (live, _) = server.personal("alice").await;
    server.clock.advance(TimeDelta::seconds(5));
    for text in [&revoked, &asleep, &expired, &gone, &blocked, &bound, "chatp_x", "elsewhere"] {
        assert!(!server.is_active(text).await, "{text}");
    }
    assert!(server.is_active(&live).await);
    server.tokens.reactivate_owner(&id("bob"), By::Host(&host)).await.unwrap();
    assert!(server.is_active(&blocked).await);
}

#[tokio::test]
async fn a_client_that_is_not_known_learns_nothing() {
    let server = Server::new(3);
    let (text, _) = server.personal("api").await;
    let form = format!("token={text}");
    for path in ["/introspect", "/revoke"] {
        for authorization in [
            basic("api", "wrong"),
            basic("api", ""),
            format!("Bearer {text}"),
            "Basic".to_owned(),
            "Basic !".to_owned(),
        ] {
            // It is asked who it is before what it wants.
            for body in [form.as_str(), ""] {
                let answer = server.send(path, &authorization, FORM, body).await;
                answer.is(401, &json!({"error": "invalid_client"}));
                let challenge = "Basic realm=\"tokens\", charset=\"UTF-8\"";
                assert_eq!(answer.headers.get("www-authenticate").unwrap(), challenge);
            }
        }
    }
    assert!(server.is_active(&text).await);
}

#[tokio::test]
async fn a_request_is_a_form_with_one_token() {
    let server = Server::new(4);
    let known = basic("api", "apiapi");
    for path in ["/introspect", "/revoke"] {
        for (kind, body) in [
            (FORM, ""),
            (FORM, "token="),
            (FORM, "token=a&token=b"),
            (FORM, "other=a"),
            ("application/json", "{\"token\":\"a\"}"),
            ("text/plain", "token=a"),
        ] {
            let answer = server.send(path, &known, kind, body).await;
            answer.is(400, &json!({"error": "invalid_request"}));
        }
        let huge = format!("token={}", "a".repeat(3_000_000));
        let answer = server.send(path, &known, FORM, &huge).await;
        answer.is(400, &json!({"error": "invalid_request"}));
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
    }
}

#[tokio::test]
async fn a_client_ends_its_own_tokens_by_their_texts_and_is_told_the_same_of_all() {
    let server = Server::new(5);
    let host = Actor::host();
    let (own, token) = server.personal("api").await;
    let (asleep, sleeping) = server.personal("api").await;
    server.tokens.deactivate(sleeping, By::Host(&host), None).await.unwrap();
    let (other, _) = server.personal("alice").await;
    for text in [&own, &asleep, &other, &own, "chatp_x", "elsewhere"] {
        let answer = server.ask("/revoke", "api", &format!("token={text}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{text}");
    }
    assert!(!server.is_active(&own).await);
    assert!(server.is_active(&other).await);
    // What slept does not come back.
    assert!(server.tokens.reactivate(sleeping, By::Host(&host)).await.is_err());
    let events = server.tokens.events(&EventQuery::after(0, 100)).await.unwrap();
    let ends = events.iter().filter(|stored| stored.event.kind == EventKind::TokenRevoked);
    let ends: Vec<_> = ends.map(|stored| (stored.event.token, stored.event.by.clone())).collect();
    let by = Actor::account(id("api"));
    assert_eq!(ends, [(Some(token), by.clone()), (Some(sleeping), by)]);
}

#[tokio::test]
async fn a_text_whose_overlap_is_over_ends_nothing() {
    let server = Server::new(14);
    let (old, token) = server.personal("api").await;
    let new = server.rotate(token, 60).await;
    server.clock.advance(TimeDelta::seconds(60));
    server.revoke("api", &old).await;
    assert!(!server.is_active(&old).await);
    assert!(server.is_active(&new).await);
}

#[tokio::test]
async fn a_replaced_text_that_still_works_ends_its_token_as_a_whole() {
    let server = Server::new(15);
    let (old, token) = server.personal("api").await;
    let new = server.rotate(token, 60).await;
    server.clock.advance(TimeDelta::seconds(59));
    // Somebody else's is left alone.
    server.revoke("other", &old).await;
    assert!(server.is_active(&old).await);
    server.revoke("api", &old).await;
    assert!(!server.is_active(&old).await);
    assert!(!server.is_active(&new).await);
}

#[tokio::test]
async fn trouble_is_503_and_says_nothing_of_the_token() {
    let server = Server::new(6);
    let (text, token) = server.personal("api").await;
    for is_host in [true, false] {
        let down = if is_host { &server.host.is_down } else { &server.store_is_down };
        down.store(true, Ordering::Relaxed);
        for path in ["/introspect", "/revoke"] {
            let answer = server.ask(path, "api", &format!("token={text}")).await;
            answer.is(503, &json!({"error": "temporarily_unavailable"}));
            assert_eq!(answer.headers.get("retry-after").unwrap(), "1");
        }
        down.store(false, Ordering::Relaxed);
    }
    assert!(server.is_active(&text).await);
    let row = server.tokens.find(token, By::Host(&Actor::host())).await.unwrap();
    assert_eq!(row.state, keyfob::State::Active);
}
