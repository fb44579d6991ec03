//! Zitadel's routes of personal access tokens, called as its clients call them.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;
#[path = "common/cut.rs"]
mod cut;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use common::Detour;
use cut::Cut;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use keyfob::http::{BearerLayer, Need, guard, unguarded_routes};
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::ports::store::{EventQuery, Filter, Query};
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::wire::zitadel::{Code, Failure, Needs, Settings, Zitadel};
use keyfob::{
    Actor, Builder, By, EventKind, Format, Grant, IssueRequest, Keyring, Kind, KindPolicy,
    Lifetime, Minting, OwnerId, Policy, ReadWrite, Rules, ScopeName, Shape, TokenRecord, Tokens,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const START: i64 = 1_800_000_000;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(START, 0).unwrap()
}

/// So many days after the start.
fn day(days: i64) -> String {
    let at = start().checked_add_signed(TimeDelta::days(days)).unwrap();
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn id(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

const ACME: &str = "310000000000000001";
const EMCA: &str = "310000000000000002";

/// Name, roles, organization, and whether it is a service account.
const ACCOUNTS: &[(&str, &[&str], Option<&str>, bool)] = &[
    ("admin", &["IAM_OWNER"], Some(ACME), false),
    ("usermanager", &["IAM_USER_MANAGER"], Some(ACME), false),
    ("auditor", &["IAM_OWNER_VIEWER"], Some(ACME), false),
    ("owner", &["ORG_OWNER"], Some(ACME), false),
    ("clerk", &["ORG_USER_MANAGER"], Some(ACME), false),
    ("viewer", &["ORG_OWNER_VIEWER"], Some(ACME), false),
    ("stranger", &["ORG_OWNER"], Some(EMCA), false),
    ("plain", &[], Some(ACME), false),
    ("robot", &[], Some(ACME), true),
    ("second", &[], Some(ACME), true),
    ("mighty", &["IAM_OWNER"], Some(ACME), true),
    ("hostadmin", &["admin"], Some(ACME), true),
    ("away", &[], Some(EMCA), true),
    ("homeless", &["IAM_OWNER"], None, true),
    ("powerless", &["IAM_OWNER"], Some(ACME), false),
    ("with:colon", &[], Some(ACME), true),
];

#[derive(Debug, Default)]
struct Accounts {
    down: AtomicBool,
    /// How often it was asked for the members of an organization.
    asked: AtomicU32,
}

fn account(
    (name, roles, organization, is_machine): &(&str, &[&str], Option<&str>, bool),
) -> Account {
    let mut account = Account::new(id(name), 1, *name, DateTime::UNIX_EPOCH);
    account.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    account.organization = organization.map(str::to_owned);
    if *is_machine {
        account.kind = AccountKind::Machine;
    }
    account
}

impl Accounts {
    fn up(&self) -> Result<(), DirectoryError> {
        match self.down.load(Ordering::Relaxed) {
            true => Err(DirectoryError("the directory is down".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        self.up()?;
        let AccountKey::Id(key) = key else { return Ok(None) };
        Ok(ACCOUNTS.iter().find(|(name, ..)| *key == id(name)).map(account))
    }

    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(match account.username.as_str() {
            "powerless" => Grant::only([ScopeName::new("nothing").unwrap()]).unwrap(),
            _ => Grant::Full,
        })
    }

    async fn is_administrator(&self, account: &Account) -> Result<bool, DirectoryError> {
        Ok(account.roles.iter().any(|role| role == "admin" || role == "IAM_OWNER"))
    }

    async fn members(&self, organization: &str) -> Result<Option<Vec<OwnerId>>, DirectoryError> {
        self.up()?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let of = ACCOUNTS.iter().filter(|(_, _, own, _)| *own == Some(organization));
        let members: Vec<OwnerId> = of.map(|(name, ..)| id(name)).collect();
        Ok(Some(members).filter(|members| !members.is_empty()))
    }
}

struct Server {
    tokens: Tokens<ReadWrite>,
    face: Zitadel<ReadWrite>,
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
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        self.json()
    }

    /// Asserts what a failure is, to the byte, whichever transport asked.
    #[track_caller]
    fn failed(&self, code: Code, id: &str, message: &str) {
        assert_eq!(self.status, code.status(), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        let whole = if id.is_empty() { message.to_owned() } else { format!("{message} ({id})") };
        let told = self.json();
        if told["code"].is_string() {
            assert_eq!(told["code"], code.name(), "{self:?}");
        } else {
            assert_eq!(told["code"], code.number(), "{self:?}");
        }
        assert_eq!(told["message"], whole.as_str(), "{self:?}");
        let details = told["details"].as_array();
        assert_eq!(details.map_or(0, Vec::len), usize::from(!id.is_empty()), "{self:?}");
        if let Some(details) = details {
            let said = if told["code"].is_string() { &details[0]["debug"] } else { &details[0] };
            assert_eq!((said["id"].as_str(), said["message"].as_str()), (Some(id), Some(message)));
        }
    }

    #[track_caller]
    fn forbidden_v1(&self) {
        self.failed(Code::PermissionDenied, "AUTH-5mWD2", "No matching permissions found");
    }

    #[track_caller]
    fn forbidden_v2(&self) {
        self.failed(Code::PermissionDenied, "AUTH-AWfge", "No matching permissions found");
    }

    #[track_caller]
    fn missing_user(&self) {
        self.failed(Code::FailedPrecondition, "COMMAND-Dggw2", "User could not be found");
    }

    #[track_caller]
    fn missing_token(&self) {
        self.failed(Code::NotFound, "COMMAND-4m77G", "Personal Access Token not found");
    }

    #[track_caller]
    fn invalid(&self, message: &str) {
        self.failed(Code::InvalidArgument, "", message);
    }
}

const SETTINGS: Settings = Settings { default_limit: 100, max_limit: 1000 };

/// The product's own policy: nothing that this wire has no word for.
fn policy() -> KindPolicy {
    let mut policy = KindPolicy::personal();
    (policy.never_expires, policy.longest_lifetime, policy.quota) = (true, None, None);
    policy.minting = Minting::AsOwner;
    policy
}

async fn me(State(face): State<Zitadel<ReadWrite>>, request: Request) -> Result<String, Failure> {
    let (mut parts, _) = request.into_parts();
    let caller = face.caller(&mut parts, &ReadWrite::Read).await?;
    assert!(!format!("{:?}", parts.headers).contains("chat"));
    Ok(caller.account().username.clone())
}

async fn organization(
    State(face): State<Zitadel<ReadWrite>>,
    request: Request,
) -> Result<String, Failure> {
    let (mut parts, _) = request.into_parts();
    let caller = face.caller(&mut parts, &ReadWrite::Write).await?;
    let organization = face.managed_organization(&caller, &parts.headers).await?;
    Ok(organization.unwrap_or_default())
}

impl Server {
    fn new(seed: u64) -> Self {
        Self::with(seed, policy(), SETTINGS)
    }

    fn with(seed: u64, policy: KindPolicy, settings: Settings) -> Self {
        let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
        let policy = Policy::default().with_kind(Kind::personal(), policy);
        let rules = Rules::new(format.reading(Shape::ZITADEL), Keyring::unkeyed());
        let clock = ManualClock::new(start());
        let store_is_down = Arc::new(AtomicBool::new(false));
        let store = Detour::new(Cut(Arc::clone(&store_is_down)));
        let rules = rules.with_policy(policy);
        let tokens = Builder::new(store, rules, clock.clone(), SeededRandomness::new(seed)).build();
        let directory = Arc::new(Accounts::default());
        let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let layer = BearerLayer::new(tokens.clone());
        let known = Arc::clone(&directory) as Arc<dyn Directory>;
        let face = Zitadel::new(layer, known, needs, settings);
        Self { router: router(&face), tokens, face, clock, directory, store_is_down }
    }

    async fn issue(&self, request: IssueRequest<ReadWrite>) -> (String, TokenRecord) {
        let (secret, row) = self.tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    async fn session(&self, name: &str) -> String {
        self.issue(IssueRequest::new(id(name), Grant::Full).of_kind(Kind::session())).await.0
    }

    /// A token that the host has issued, a second after the last one.
    async fn personal(&self, name: &str, lifetime: Lifetime) -> (String, String) {
        self.clock.advance(TimeDelta::seconds(1));
        let mut request = IssueRequest::new(id(name), Grant::Full);
        request.lifetime = lifetime;
        let (secret, row) = self.issue(request).await;
        (secret, row.id.to_string())
    }

    async fn endless(&self, name: &str) -> (String, String) {
        self.personal(name, Lifetime::Unlimited).await
    }

    async fn call(&self, route: &str, token: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(route, &[("authorization", &format!("Bearer {token}"))], &body).await
    }

    async fn call_in(&self, organization: &str, route: &str, token: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("x-zitadel-orgid", organization)];
        self.send(route, &headers, &body.to_string()).await
    }

    async fn send(&self, route: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn add_v1(&self, token: &str, user: &str, body: Value) -> Answer {
        self.call(&format!("POST /management/v1/users/{user}/pats"), token, body).await
    }

    async fn add_v2(&self, token: &str, user: &str) -> Answer {
        let body = json!({"expirationDate": day(10)});
        self.call(&format!("POST /v2/users/{user}/pats"), token, body).await
    }

    async fn get(&self, token: &str, user: &str, id: &str) -> Answer {
        let route = format!("GET /management/v1/users/{user}/pats/{id}");
        self.call(&route, token, Value::Null).await
    }

    async fn remove_v1(&self, token: &str, user: &str, id: &str) -> Answer {
        let route = format!("DELETE /management/v1/users/{user}/pats/{id}");
        self.call(&route, token, Value::Null).await
    }

    async fn remove_v2(&self, token: &str, user: &str, id: &str) -> Answer {
        self.call(&format!("DELETE /v2/users/{user}/pats/{id}"), token, Value::Null).await
    }

    async fn list_v1(&self, token: &str, user: &str) -> Answer {
        let route = format!("POST /management/v1/users/{user}/pats/_search");
        self.call(&route, token, json!({})).await
    }

    async fn search(&self, token: &str, body: Value) -> Answer {
        self.call("POST /v2/users/pats/search", token, body).await
    }

    /// The ids that a search finds, and its total.
    async fn found(&self, token: &str, body: Value) -> (Vec<String>, Value) {
        let found = self.search(token, body).await.ok();
        (ids(&found), found["pagination"]["totalResult"].clone())
    }

    /// Who a token is, or the status that refuses it.
    async fn who(&self, token: &str) -> String {
        let answer = self.call("GET /me", token, Value::Null).await;
        if answer.status == 200 { answer.body } else { answer.status.as_u16().to_string() }
    }
}

fn ids(listed: &Value) -> Vec<String> {
    let result = listed["result"].as_array().into_iter().flatten();
    result.map(|token| token["id"].as_str().unwrap().to_owned()).collect()
}

fn router(face: &Zitadel<ReadWrite>) -> Router {
    let own = Router::new().route("/me", get(me)).route("/organization", get(organization));
    let own = own.with_state(face.clone());
    face.answering(own).merge(face.clone().into_router())
}

const V1: &str = "/zitadel.management.v1.ManagementService";
const V2: &str = "/zitadel.user.v2.UserService";

#[tokio::test]
async fn v1_adds_shows_lists_and_removes_in_the_products_words() {
    let server = Server::new(1);
    let admin = server.session("admin").await;
    let added = server.add_v1(&admin, "robot", json!({})).await;
    let told = added.ok();
    let (token, secret) = (told["tokenId"].as_str().unwrap(), told["token"].as_str().unwrap());
    assert_eq!(token.len(), 26);
    assert!(secret.starts_with("chatp_"));
    let (now, later) = ("2027-01-15T08:00:00Z", "2027-01-15T08:00:01.500Z");
    let end = format!(r#""resourceOwner":"{ACME}"}}"#);
    assert_eq!(
        added.body,
        format!(
            r#"{{"tokenId":"{token}","token":"{secret}","details":{{"sequence":"1","creationDate":"{now}",{end}}}"#
        )
    );
    assert_eq!(server.who(secret).await, "robot");

    let both = format!(r#"{{"sequence":"1","creationDate":"{now}","changeDate":"{now}",{end}"#);
    let scopes = r#"["openid","profile","urn:zitadel:iam:user:metadata","urn:zitadel:iam:user:resourceowner"]"#;
    let object = format!(
        r#"{{"id":"{token}","details":{both},"expirationDate":"9999-12-31T23:59:59Z","scopes":{scopes}}}"#
    );
    let shown = server.get(&admin, "robot", token).await;
    assert_eq!((shown.status.as_u16(), shown.body), (200, format!(r#"{{"token":{object}}}"#)));
    let listed = server.list_v1(&admin, "robot").await;
    assert_eq!(
        listed.body,
        format!(
            r#"{{"details":{{"totalResult":"1","processedSequence":"1","viewTimestamp":"{now}"}},"result":[{object}]}}"#
        )
    );

    server.clock.advance(TimeDelta::milliseconds(1500));
    let removed = server.remove_v1(&admin, "robot", token).await;
    let details = format!(r#"{{"sequence":"2","changeDate":"{later}",{end}"#);
    assert_eq!(
        (removed.status.as_u16(), removed.body),
        (200, format!(r#"{{"details":{details}}}"#))
    );
    assert_eq!(server.who(secret).await, "401");
    server.remove_v1(&admin, "robot", token).await.missing_token();
    let empty = server.list_v1(&admin, "robot").await;
    assert_eq!(
        empty.body,
        format!(r#"{{"details":{{"processedSequence":"2","viewTimestamp":"{later}"}}}}"#)
    );
    let unknown = server.list_v1(&admin, "nobody").await;
    assert_eq!(unknown.body, format!(r#"{{"details":{{"viewTimestamp":"{later}"}}}}"#));
}

#[tokio::test]
async fn v2_adds_finds_and_removes_in_the_products_words() {
    let server = Server::new(2);
    let admin = server.session("admin").await;
    let added = server.add_v2(&admin, "robot").await;
    let told = added.ok();
    let (token, secret) = (told["tokenId"].as_str().unwrap(), told["token"].as_str().unwrap());
    let now = "2027-01-15T08:00:00Z";
    assert_eq!(
        added.body,
        format!(r#"{{"creationDate":"{now}","tokenId":"{token}","token":"{secret}"}}"#)
    );
    assert_eq!(server.who(secret).await, "robot");
    let found = server.search(&admin, json!({})).await;
    assert_eq!(
        found.body,
        format!(
            r#"{{"pagination":{{"totalResult":"1","appliedLimit":"100"}},"result":[{{"creationDate":"{now}","changeDate":"{now}","id":"{token}","userId":"robot","organizationId":"{ACME}","expirationDate":"{}"}}]}}"#,
            day(10)
        )
    );
    let removed = server.remove_v2(&admin, "robot", token).await;
    assert_eq!(
        (removed.status.as_u16(), removed.body),
        (200, format!(r#"{{"deletionDate":"{now}"}}"#))
    );
    assert_eq!(server.who(secret).await, "401");
    server.remove_v2(&admin, "robot", token).await.missing_token();
    let nothing = server.search(&admin, json!({})).await;
    assert_eq!(nothing.body, r#"{"pagination":{"appliedLimit":"100"}}"#);
}

#[tokio::test]
async fn calls_do_the_same_with_all_fields_in_the_body() {
    let server = Server::new(3);
    let admin = server.session("admin").await;
    for (service, is_v1) in [(V1, true), (V2, false)] {
        let call = async |name: &str, body: Value| {
            server.call(&format!("POST {service}/{name}"), &admin, body).await
        };
        let body = json!({"user_id": "robot", "expiration_date": day(3), "whatever": [1]});
        let added = call("AddPersonalAccessToken", body).await.ok();
        let token = added["tokenId"].as_str().unwrap();
        assert_eq!(server.who(added["token"].as_str().unwrap()).await, "robot");
        assert_eq!(added["details"].is_object(), is_v1);
        let named = json!({"userId": "robot", "tokenId": token});
        let body = if is_v1 { json!({"userId": "robot"}) } else { json!({}) };
        assert_eq!(ids(&call("ListPersonalAccessTokens", body).await.ok()), [token]);
        if is_v1 {
            let shown = call("GetPersonalAccessTokenByIDs", named.clone()).await.ok();
            assert_eq!(shown["token"]["id"], token);
            assert_eq!(shown["token"]["expirationDate"], day(3));
        } else {
            let unknown = call("GetPersonalAccessTokenByIDs", named.clone()).await;
            unknown.failed(Code::NotFound, "", "Not Found");
        }
        let removed = call("RemovePersonalAccessToken", named.clone()).await.ok();
        assert_eq!(removed["deletionDate"].is_string(), !is_v1);
        let again = call("RemovePersonalAccessToken", named).await;
        again.missing_token();
        let detail = &again.json()["details"][0];
        assert_eq!(detail["type"], "zitadel.v1.ErrorDetail");
        assert!(detail["value"].as_str().unwrap().starts_with("Cg1DT01NQU5ELTRtNzdHEh9"));
    }
}

#[tokio::test]
async fn a_call_is_in_json_and_may_say_which_protocol_it_is() {
    let server = Server::new(4);
    let admin = format!("Bearer {}", server.session("admin").await);
    let list = format!("POST {V2}/ListPersonalAccessTokens");
    let sent = async |kind: &'static str, version: Option<&'static str>, body: &'static str| {
        let request = Request::post(list.strip_prefix("POST ").unwrap())
            .header("authorization", &admin)
            .header("content-type", kind);
        let request = match version {
            Some(version) => request.header("connect-protocol-version", version),
            None => request,
        };
        let request = request.body(Body::from(body)).unwrap();
        server.router.clone().oneshot(request).await.unwrap()
    };
    for version in [None, Some("1")] {
        assert_eq!(sent("application/json", version, "{}").await.status(), 200);
    }
    assert_eq!(sent("application/json", Some("2"), "{}").await.status(), 400);
    // A call must say something, a resource need not.
    assert_eq!(sent("application/json", None, "").await.status(), 400);
    for kind in ["application/proto", "application/grpc", "text/plain"] {
        let answer = sent(kind, None, "{}").await;
        assert_eq!(answer.status(), 415, "{kind}");
        assert_eq!(answer.headers()["accept-post"], "application/json");
    }
    let answer = server.send(&list.replace("POST", "GET"), &[("authorization", &admin)], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (405, ""));
    assert_eq!(answer.headers["allow"], "POST");
}

#[tokio::test]
async fn fields_may_be_in_snake_case_and_unknown_ones_are_ignored() {
    let server = Server::new(5);
    let admin = server.session("admin").await;
    for body in [
        json!({"expirationDate": "2030-01-01T00:00:00+00:00"}),
        json!({"expiration_date": "2030-01-01T00:00:00Z", "other": {"a": null}}),
        // What is in the path counts, whatever the body says.
        json!({"expirationDate": "2030-01-01T00:00:00.000Z", "userId": "away", "tokenId": 7}),
    ] {
        let added = server.add_v1(&admin, "robot", body.clone()).await.ok();
        assert_eq!(server.who(added["token"].as_str().unwrap()).await, "robot");
        let shown = server.get(&admin, "robot", added["tokenId"].as_str().unwrap()).await.ok();
        assert_eq!(shown["token"]["expirationDate"], "2030-01-01T00:00:00Z", "{body}");
    }
    let found = json!({"pagination": {"limit": 1, "offset": "1"}, "sorting_column": 1, "x": 1});
    assert_eq!(server.search(&admin, found).await.ok()["pagination"]["appliedLimit"], "1");
}

#[tokio::test]
async fn an_expiry_lies_in_the_future_and_v2_asks_for_one() {
    let server = Server::new(6);
    let admin = server.session("admin").await;
    let past = "Errors.AuthNKey.ExpireBeforeNow";
    for at in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:01Z", &day(0), "2027-01-15T07:59:59.999Z"]
    {
        let body = json!({"expirationDate": at});
        let v1 = server.add_v1(&admin, "robot", body.clone()).await;
        v1.failed(Code::InvalidArgument, "DOMAIN-dv3t5", past);
        let v2 = server.call("POST /v2/users/robot/pats", &admin, body).await;
        v2.failed(Code::InvalidArgument, "DOMAIN-dv3t5", past);
    }
    for body in [json!({}), json!({"expirationDate": null}), Value::Null] {
        let required = "invalid AddPersonalAccessTokenRequest.ExpirationDate: value is required";
        server.call("POST /v2/users/robot/pats", &admin, body.clone()).await.invalid(required);
        server.add_v1(&admin, "robot", body).await.ok();
    }
    // Never has a date here.
    let never = json!({"expirationDate": "9999-12-31T23:59:59Z"});
    let added = server.call("POST /v2/users/robot/pats", &admin, never).await.ok();
    let filter = json!({"tokenIdFilter": {"id": added["tokenId"]}});
    let found = server.search(&admin, json!({"filters": [filter]})).await.ok();
    assert_eq!(found["result"][0]["expirationDate"], "9999-12-31T23:59:59Z");
    for wrong in [json!("soon"), json!(7), json!("2030-01-01"), json!({})] {
        let told = "proto: invalid value for timestamp field expirationDate";
        server.add_v1(&admin, "robot", json!({"expirationDate": wrong})).await.invalid(told);
    }
}

#[tokio::test]
async fn the_first_second_of_the_year_1_is_no_expiry_by_v1() {
    let server = Server::new(34);
    let admin = server.session("admin").await;
    let zero = json!({"expirationDate": "0001-01-01T00:00:00Z"});
    let added = server.add_v1(&admin, "robot", zero.clone()).await.ok();
    let shown = server.get(&admin, "robot", added["tokenId"].as_str().unwrap()).await.ok();
    assert_eq!(shown["token"]["expirationDate"], "9999-12-31T23:59:59Z");
    let v2 = server.call("POST /v2/users/robot/pats", &admin, zero).await;
    let past = "Errors.AuthNKey.ExpireBeforeNow";
    v2.failed(Code::InvalidArgument, "DOMAIN-dv3t5", past);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_listed_until_it_is_removed() {
    let server = Server::new(7);
    let admin = server.session("admin").await;
    let added = server.add_v1(&admin, "robot", json!({"expirationDate": day(1)})).await.ok();
    let (token, secret) = (added["tokenId"].as_str().unwrap(), added["token"].as_str().unwrap());
    server.clock.advance(TimeDelta::days(1));
    assert_eq!(server.who(secret).await, "401");
    let admin = server.session("admin").await;
    assert_eq!(ids(&server.list_v1(&admin, "robot").await.ok()), [token]);
    assert_eq!(server.found(&admin, json!({})).await, (vec![token.to_owned()], json!("1")));
    server.get(&admin, "robot", token).await.ok();
    server.remove_v1(&admin, "robot", token).await.ok();
    assert!(ids(&server.list_v1(&admin, "robot").await.ok()).is_empty());
}

#[tokio::test]
async fn only_service_accounts_of_the_organization_get_tokens() {
    let server = Server::new(8);
    let admin = server.session("admin").await;
    for user in ["nobody", "away", "a%00b"] {
        server.add_v1(&admin, user, json!({})).await.missing_user();
    }
    server.add_v2(&admin, "nobody").await.missing_user();
    let human = "Not allowed for this user type";
    for user in ["plain", "admin"] {
        let (v1, v2) =
            (server.add_v1(&admin, user, json!({})).await, server.add_v2(&admin, user).await);
        for answer in [v1, v2] {
            answer.failed(Code::FailedPrecondition, "COMMAND-Df2f1", human);
        }
    }
    // v2 is about whichever organization the account is of.
    assert_eq!(server.add_v2(&admin, "away").await.status, 200);
    // As many as you like.
    for _ in 0..3 {
        server.add_v2(&admin, "robot").await.ok();
    }
}

#[tokio::test]
async fn the_header_names_the_organization_and_the_callers_own_is_the_default() {
    let server = Server::new(9);
    let (admin, stranger) = (server.session("admin").await, server.session("stranger").await);
    let add = "POST /management/v1/users/away/pats";
    let added = server.call_in(EMCA, add, &admin, json!({})).await.ok();
    assert_eq!(added["details"]["resourceOwner"], EMCA);
    let token = added["tokenId"].as_str().unwrap();
    let get = format!("GET /management/v1/users/away/pats/{token}");
    assert_eq!(server.call_in(EMCA, &get, &admin, json!({})).await.status, 200);
    assert_eq!(server.get(&stranger, "away", token).await.status, 200);
    // Without the header it is the caller's own organization that is looked into.
    server.add_v1(&admin, "away", json!({})).await.missing_user();
    let unknown = "Errors.PersonalAccessToken.NotFound";
    server.get(&admin, "away", token).await.failed(Code::NotFound, "QUERY-fRunu", unknown);
    server.remove_v1(&admin, "away", token).await.missing_token();
    assert!(ids(&server.list_v1(&admin, "away").await.ok()).is_empty());
    // An empty header is none.
    let own = server.call_in("", "POST /management/v1/users/robot/pats", &admin, json!({})).await;
    assert_eq!(own.ok()["details"]["resourceOwner"], ACME);

    let nowhere = server.call_in("nowhere", add, &admin, json!({})).await;
    nowhere.failed(Code::PermissionDenied, "AUTH-Bs7Ds", "Organisation doesn't exist");
    // Whoever reaches no farther than his own organization does not learn which there are.
    for organization in ["nowhere", ACME] {
        server.call_in(organization, add, &stranger, json!({})).await.forbidden_v1();
    }
    let homeless = server.session("homeless").await;
    let none = server.add_v1(&homeless, "homeless", json!({})).await;
    let message = "Resource Owner Organisation missing";
    none.failed(Code::InvalidArgument, "COMMAND-xs0k2n", message);
    server.remove_v1(&homeless, "homeless", token).await.missing_token();
    assert!(ids(&server.list_v1(&homeless, "homeless").await.ok()).is_empty());
    assert_eq!(server.add_v2(&homeless, "homeless").await.status, 200);

    // The host's own routes are told the same.
    let route = "GET /organization";
    assert_eq!(server.call_in(EMCA, route, &admin, json!({})).await.body, EMCA);
    assert_eq!(server.call(route, &stranger, Value::Null).await.body, EMCA);
    server.call(route, &server.session("viewer").await, Value::Null).await.forbidden_v1();
}

#[tokio::test]
async fn roles_decide_who_may_by_v1_and_nobody_may_just_because_it_is_about_himself() {
    let server = Server::new(10);
    let (_, token) = server.endless("robot").await;
    for (who, reads, writes) in [
        ("admin", true, true),
        ("usermanager", true, true),
        ("owner", true, true),
        ("clerk", true, true),
        ("auditor", true, false),
        ("viewer", true, false),
        ("plain", false, false),
        ("robot", false, false),
    ] {
        let session = server.session(who).await;
        let reading =
            [server.get(&session, "robot", &token).await, server.list_v1(&session, "robot").await];
        let (_, another) = server.endless("robot").await;
        let writing = [
            server.add_v1(&session, "robot", json!({})).await,
            server.remove_v1(&session, "robot", &another).await,
        ];
        for (answers, may) in [(reading, reads), (writing, writes)] {
            for answer in answers {
                if may {
                    answer.ok();
                } else {
                    answer.forbidden_v1();
                }
            }
        }
    }
}

#[tokio::test]
async fn roles_decide_who_may_by_v2_and_everybody_may_on_himself() {
    let server = Server::new(11);
    for (who, on_robot, on_away) in [
        ("admin", true, true),
        ("usermanager", true, true),
        ("owner", true, false),
        ("clerk", true, false),
        ("stranger", false, true),
        ("auditor", false, false),
        ("viewer", false, false),
        ("plain", false, false),
        ("second", false, false),
        ("robot", true, false),
    ] {
        let session = server.session(who).await;
        for (user, may) in [("robot", on_robot), ("away", on_away)] {
            let (_, token) = server.endless(user).await;
            let answers = [
                server.add_v2(&session, user).await,
                server.remove_v2(&session, user, &token).await,
            ];
            for answer in answers {
                if may {
                    answer.ok();
                } else {
                    answer.forbidden_v2();
                }
            }
        }
    }
}

#[tokio::test]
async fn who_may_not_learns_nothing_about_accounts() {
    let server = Server::new(12);
    let (_, token) = server.endless("away").await;
    for who in ["plain", "robot", "owner"] {
        let session = server.session(who).await;
        // Unknown, another organization's service account, and another organization's person.
        let mut answers = Vec::new();
        for user in ["nobody", "away", "stranger"] {
            let add = server.add_v2(&session, user).await;
            let remove = server.remove_v2(&session, user, &token).await;
            add.forbidden_v2();
            answers.push((add.body, remove.body));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{who}: {answers:?}");
    }
    let admin = server.session("admin").await;
    let unknown = server.remove_v2(&admin, "nobody", &token).await;
    unknown.failed(Code::NotFound, "COMMAND-4g3xq", "Errors.NotFound");
}

#[tokio::test]
async fn nobody_gets_a_token_that_may_more_than_he_may() {
    let server = Server::new(13);
    // A role over everything, and one that only the host knows.
    for user in ["mighty", "hostadmin"] {
        let owner = server.session("owner").await;
        server.add_v1(&owner, user, json!({})).await.forbidden_v1();
        server.add_v2(&owner, user).await.forbidden_v2();
        let manager = server.session("usermanager").await;
        server.add_v2(&manager, user).await.forbidden_v2();
        let own = server.session(user).await;
        server.add_v2(&own, user).await.ok();
        server.add_v1(&server.session("admin").await, user, json!({})).await.ok();
        // It can be ended, though.
        let (_, token) = server.endless(user).await;
        server.remove_v1(&owner, user, &token).await.ok();
    }
    let mut reading = IssueRequest::new(id("admin"), Grant::only([ReadWrite::Read]).unwrap());
    reading.lifetime = Lifetime::Unlimited;
    let (reading, _) = server.issue(reading).await;
    server.list_v1(&reading, "robot").await.ok();
    server.add_v1(&reading, "robot", json!({})).await.forbidden_v1();
    server.add_v2(&reading, "robot").await.forbidden_v1();
    // The owner's rights count as well.
    server.list_v1(&server.session("powerless").await, "robot").await.forbidden_v1();
}

#[tokio::test]
async fn a_token_makes_and_ends_tokens_as_its_owner_does() {
    let server = Server::new(14);
    let (own, id) = server.endless("robot").await;
    let added = server.add_v2(&own, "robot").await.ok();
    let (next, token) = (added["token"].as_str().unwrap(), added["tokenId"].as_str().unwrap());
    server.remove_v2(next, "robot", &id).await.ok();
    assert_eq!(server.who(&own).await, "401");
    assert_eq!(server.who(next).await, "robot");
    // Even itself.
    server.remove_v2(next, "robot", token).await.ok();
    assert_eq!(server.who(next).await, "401");
    // A host may want otherwise.
    let mut policy = policy();
    policy.minting = Minting::Forbidden;
    let server = Server::with(14, policy, SETTINGS);
    let (own, _) = server.endless("robot").await;
    server.add_v2(&own, "robot").await.forbidden_v1();
    server.add_v2(&server.session("robot").await, "robot").await.ok();
}

#[tokio::test]
async fn a_deactivated_account_gets_no_token_and_its_own_sleep_until_it_is_back() {
    let server = Server::new(15);
    let admin = server.session("admin").await;
    let (secret, token) = server.endless("robot").await;
    let (removed, gone) = server.endless("robot").await;
    assert_eq!(server.who(&secret).await, "robot");
    let host = Actor::host();
    server.tokens.deactivate_owner(&id("robot"), By::Host(&host), None).await.unwrap();
    let refused = server.call("GET /me", &secret, Value::Null).await;
    refused.failed(Code::Unauthenticated, "APP-BxUSiL", "invalid token");
    for answer in
        [server.add_v1(&admin, "robot", json!({})).await, server.add_v2(&admin, "robot").await]
    {
        answer.failed(Code::FailedPrecondition, "COMMAND-notActive", "User is not active");
    }
    // What it has is still shown, and can be ended.
    assert_eq!(ids(&server.list_v1(&admin, "robot").await.ok()).len(), 2);
    server.remove_v1(&admin, "robot", &gone).await.ok();
    server.tokens.reactivate_owner(&id("robot"), By::Host(&host)).await.unwrap();
    assert_eq!(server.who(&secret).await, "robot");
    assert_eq!(server.who(&removed).await, "401");
    assert_eq!(server.get(&admin, "robot", &token).await.status, 200);
}

#[tokio::test]
async fn a_token_is_its_accounts_and_another_path_does_not_find_it() {
    let server = Server::new(16);
    let admin = server.session("admin").await;
    let (_, token) = server.endless("robot").await;
    let session =
        server.issue(IssueRequest::new(id("robot"), Grant::Full).of_kind(Kind::session()));
    let session = session.await.1.id.to_string();
    let unknown = "y".repeat(26);
    for (user, token) in
        [("second", &token), ("robot", &session), ("robot", &unknown), ("robot", &"x".to_owned())]
    {
        let message = "Errors.PersonalAccessToken.NotFound";
        let shown = server.get(&admin, user, token).await;
        shown.failed(Code::NotFound, "QUERY-fRunu", message);
        server.remove_v1(&admin, user, token).await.missing_token();
        server.remove_v2(&admin, user, token).await.missing_token();
        let filters = json!([{"tokenIdFilter": {"id": token}}, {"userIdFilter": {"id": user}}]);
        assert_eq!(server.found(&admin, json!({"filters": filters})).await, (vec![], Value::Null));
    }
    assert_eq!(ids(&server.list_v1(&admin, "robot").await.ok()), [token]);
    assert!(ids(&server.list_v1(&admin, "nobody").await.ok()).is_empty());
}

#[tokio::test]
async fn sequences_are_texts_and_grow_with_every_change_of_an_account() {
    let server = Server::new(17);
    let admin = server.session("admin").await;
    let mut last = 0;
    let mut next = |details: &Value| {
        let sequence: u64 = details["sequence"].as_str().unwrap().parse().unwrap();
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
    };
    for _ in 0..3 {
        let first = server.add_v1(&admin, "robot", json!({})).await.ok();
        next(&first["details"]);
        let second = server.add_v1(&admin, "robot", json!({})).await.ok();
        next(&second["details"]);
        let token = first["tokenId"].as_str().unwrap();
        next(&server.remove_v1(&admin, "robot", token).await.ok()["details"]);
    }
    let listed = server.list_v1(&admin, "robot").await.ok();
    assert_eq!(listed["details"]["totalResult"], "3");
    // The last change was a removal, whose row is not in the list.
    assert_eq!(listed["details"]["processedSequence"], last.to_string());
}

#[tokio::test]
async fn what_a_list_has_processed_never_goes_back() {
    let server = Server::new(33);
    let admin = server.session("admin").await;
    let processed = async || {
        let listed = server.list_v1(&admin, "robot").await.ok();
        listed["details"]["processedSequence"].as_str().map(|sequence| sequence.parse::<u64>())
    };
    // As for an account that there is not.
    assert_eq!(processed().await, None);
    let mut last = 0;
    for _ in 0..3 {
        let added = server.add_v1(&admin, "robot", json!({})).await.ok();
        let token = added["tokenId"].as_str().unwrap();
        let removed = server.remove_v1(&admin, "robot", token).await.ok();
        let removed: u64 = removed["details"]["sequence"].as_str().unwrap().parse().unwrap();
        let now = processed().await.unwrap().unwrap();
        assert!(now >= removed && now > last, "{now} after {removed} and {last}");
        last = now;
    }
}

#[tokio::test]
async fn v1_lists_all_unless_it_is_asked_for_less() {
    let server = Server::with(18, policy(), Settings { default_limit: 1, max_limit: 2 });
    let admin = server.session("admin").await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(server.endless("robot").await.1);
    }
    server.endless("second").await;
    let list = async |query: Value| {
        let route = "POST /management/v1/users/robot/pats/_search";
        let listed = server.call(route, &admin, json!({"query": query})).await.ok();
        assert_eq!(listed["details"]["totalResult"], "5");
        ids(&listed)
    };
    assert_eq!(list(Value::Null).await, all);
    assert_eq!(list(json!({"limit": 0})).await, all);
    assert_eq!(list(json!({"limit": 3, "offset": 1, "asc": true})).await, all[1..4]);
    assert_eq!(list(json!({"limit": "5000", "offset": "4"})).await, all[4..]);
    assert_eq!(list(json!({"limit": 1000, "offset": 2})).await, all[2..]);
    assert_eq!(list(json!({"limit": 1001, "offset": 2})).await, all[2..]);
    for beyond in [json!({}), json!({"limit": 2}), json!({"limit": 1001})] {
        let mut query = beyond;
        query["offset"] = json!("18446744073709551615");
        assert!(list(query).await.is_empty());
    }
}

#[tokio::test]
async fn an_accounts_id_may_have_a_colon() {
    let server = Server::new(35);
    let admin = server.session("admin").await;
    let added = server.add_v1(&admin, "with:colon", json!({})).await.ok();
    let (secret, token) = (added["token"].as_str().unwrap(), added["tokenId"].as_str().unwrap());
    assert_eq!(server.who(secret).await, "with:colon");
    let filters = json!([{"userIdFilter": {"id": "with:colon"}}]);
    let (found, _) = server.found(&admin, json!({"filters": filters})).await;
    assert_eq!(found, [token]);
    server.remove_v2(secret, "with:colon", token).await.ok();
    assert_eq!(server.who(secret).await, "401");
}

#[tokio::test]
async fn a_removed_token_stays_in_the_audit_log() {
    let server = Server::new(36);
    let admin = server.session("admin").await;
    let added = server.add_v1(&admin, "robot", json!({})).await.ok();
    let token = added["tokenId"].as_str().unwrap();
    server.remove_v1(&admin, "robot", token).await.ok();
    let events = server.tokens.events(&EventQuery::after(0, 100)).await.unwrap();
    let about = |kind| {
        let is_it = |id: keyfob::TokenId| id.to_string() == token;
        let of = |event: &keyfob::Event| event.kind == kind && event.token.is_some_and(is_it);
        let event = events.iter().map(|stored| &stored.event).find(|event| of(event)).unwrap();
        (event.owner.clone(), event.by.owner.clone())
    };
    for kind in [EventKind::TokenIssued, EventKind::TokenRevoked] {
        assert_eq!(about(kind), (Some(id("robot")), Some(id("admin"))));
    }
}

#[tokio::test]
async fn no_store_holds_a_secret() {
    let server = Server::new(37);
    let admin = server.session("admin").await;
    let added = server.add_v1(&admin, "robot", json!({})).await.ok();
    let secret = added["token"].as_str().unwrap();
    let store = server.tokens.store();
    let rows = store.query(&Query::new(Filter::default(), 100)).await.unwrap();
    let events = store.events(&EventQuery::after(0, 100)).await.unwrap();
    let held = format!("{rows:?} {events:?} {store:?}");
    let token = added["tokenId"].as_str().unwrap();
    assert!(held.contains(token));
    for run in secret.as_bytes().windows(12) {
        let run = str::from_utf8(run).unwrap();
        // The text has the id in it, which is no secret.
        assert!(token.contains(run) || !held.contains(run), "{run} in {held}");
    }
}

#[tokio::test]
async fn removing_an_account_ends_its_tokens() {
    let server = Server::new(38);
    let (secret, _) = server.endless("robot").await;
    let (other, _) = server.endless("second").await;
    assert_eq!(server.who(&secret).await, "robot");
    let host = Actor::host();
    server.tokens.delete_owner(&id("robot"), By::Host(&host), None).await.unwrap();
    assert_eq!(server.who(&secret).await, "401");
    assert_eq!(server.who(&other).await, "second");
    // Whoever has its id later on does not have its tokens.
    server.tokens.reactivate_owner(&id("robot"), By::Host(&host)).await.unwrap();
    assert_eq!(server.who(&secret).await, "401");
}

/// Four tokens as in the product's own tests: of an account, of another one of the organization, of
/// the caller's, and of another organization's, oldest first.
async fn four(server: &Server) -> [String; 4] {
    let mut all = Vec::new();
    for (user, days) in [("robot", 4), ("second", 2), ("mighty", 3), ("away", 1)] {
        let at = start().checked_add_signed(TimeDelta::days(days)).unwrap();
        all.push(server.personal(user, Lifetime::Until(at)).await.1);
    }
    all.try_into().unwrap()
}

#[tokio::test]
async fn a_search_shows_what_the_caller_may_see_newest_first() {
    let server = Server::new(19);
    let [robot, second, mighty, away] = &four(&server).await;
    for (who, expected) in [
        ("admin", vec![away, mighty, second, robot]),
        ("auditor", vec![away, mighty, second, robot]),
        ("owner", vec![mighty, second, robot]),
        ("viewer", vec![mighty, second, robot]),
        ("stranger", vec![away]),
        ("robot", vec![robot]),
        ("plain", vec![]),
    ] {
        let session = server.session(who).await;
        let (found, total) = server.found(&session, json!({})).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{who}");
        // It counts what is seen, and nothing else.
        let count = expected.len();
        let expected = if count == 0 { Value::Null } else { json!(count.to_string()) };
        assert_eq!(total, expected, "{who}");
    }
}

#[tokio::test]
async fn filters_are_met_all_at_once() {
    let server = Server::new(20);
    let admin = server.session("admin").await;
    let [robot, second, mighty, away] = &four(&server).await;
    let endless = &server.endless("robot").await.1;
    let created = |seconds: i64, method: &str| {
        let at = start().checked_add_signed(TimeDelta::seconds(seconds)).unwrap();
        let method = format!("TIMESTAMP_FILTER_METHOD_{method}");
        json!({"createdDateFilter": {"timestamp": at.to_rfc3339(), "method": method}})
    };
    let expires = |at: String, method: u8| json!({"expirationDateFilter": {"timestamp": at, "method": method}});
    let never = || "9999-12-31T23:59:59Z".to_owned();
    let of = |kind: &str, id: &str| json!({kind: {"id": id}});
    for (filters, expected) in [
        (vec![], vec![endless, away, mighty, second, robot]),
        (vec![of("userIdFilter", "robot")], vec![endless, robot]),
        (vec![of("user_id_filter", "robot"), of("userIdFilter", "second")], vec![]),
        (vec![of("userIdFilter", "nobody")], vec![]),
        (vec![of("userIdFilter", "")], vec![]),
        (vec![of("organizationIdFilter", ACME)], vec![endless, mighty, second, robot]),
        (vec![of("organizationIdFilter", EMCA)], vec![away]),
        (vec![of("organizationIdFilter", "nowhere")], vec![]),
        (vec![of("organizationIdFilter", EMCA), of("userIdFilter", "robot")], vec![]),
        (vec![of("tokenIdFilter", mighty)], vec![mighty]),
        (vec![of("tokenIdFilter", mighty), of("userIdFilter", "mighty")], vec![mighty]),
        (vec![of("tokenIdFilter", mighty), of("userIdFilter", "robot")], vec![]),
        (vec![of("tokenIdFilter", mighty), of("tokenIdFilter", robot)], vec![]),
        (vec![created(2, "EQUALS")], vec![second]),
        (vec![created(2, "AFTER")], vec![endless, away, mighty]),
        (vec![created(2, "AFTER_OR_EQUALS")], vec![endless, away, mighty, second]),
        (vec![created(2, "BEFORE")], vec![robot]),
        (vec![created(2, "BEFORE_OR_EQUALS")], vec![second, robot]),
        (vec![created(2, "AFTER"), created(4, "BEFORE")], vec![mighty]),
        (vec![expires(day(2), 0)], vec![second]),
        (vec![expires(day(2), 1)], vec![endless, mighty, robot]),
        (vec![expires(day(2), 2)], vec![endless, mighty, second, robot]),
        (vec![expires(day(2), 3)], vec![away]),
        (vec![expires(day(2), 4)], vec![away, second]),
        (vec![expires(never(), 0)], vec![endless]),
        (vec![expires(never(), 1)], vec![]),
        (vec![expires(never(), 3)], vec![away, mighty, second, robot]),
        (vec![expires(never(), 4)], vec![endless, away, mighty, second, robot]),
        (vec![json!({"createdDateFilter": {}})], vec![]),
    ] {
        let (found, total) = server.found(&admin, json!({"filters": filters})).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filters:?}");
        let count = expected.len();
        let expected = if count == 0 { Value::Null } else { json!(count.to_string()) };
        assert_eq!(total, expected, "{filters:?}");
    }
    // What a caller may not see is not found by naming it.
    let owner = server.session("owner").await;
    for filter in
        [of("tokenIdFilter", away), of("userIdFilter", "away"), of("organizationIdFilter", EMCA)]
    {
        assert_eq!(server.found(&owner, json!({"filters": [filter]})).await, (vec![], Value::Null));
    }
}

#[tokio::test]
async fn an_organization_is_asked_for_its_members_once() {
    let server = Server::new(39);
    let admin = server.session("admin").await;
    let [robot, second, mighty, away] = &four(&server).await;
    let asked = async |organizations: &[&str]| {
        let of = |id: &&str| json!({"organizationIdFilter": {"id": id}});
        let filters: Vec<_> = organizations.iter().map(of).collect();
        server.directory.asked.store(0, Ordering::Relaxed);
        let (found, _) = server.found(&admin, json!({"filters": filters})).await;
        (found, server.directory.asked.load(Ordering::Relaxed))
    };
    let own = [mighty, second, robot].map(Clone::clone).to_vec();
    assert_eq!(asked(&[ACME; 64]).await, (own, 1));
    assert_eq!(asked(&[EMCA; 9]).await, (vec![away.clone()], 1));
    // Nothing is left after the second one.
    assert_eq!(asked(&[ACME, EMCA, "a", "b", "c"]).await, (vec![], 2));
}

#[tokio::test]
async fn a_search_has_64_filters_at_the_most() {
    let server = Server::new(40);
    let admin = server.session("admin").await;
    let search = async |count: usize| {
        let filter = json!({"userIdFilter": {"id": "ü".repeat(200)}});
        server.search(&admin, json!({"filters": vec![filter; count]})).await
    };
    search(64).await.ok();
    search(65).await.invalid(
        "invalid ListPersonalAccessTokensRequest.Filters: value must contain no more than 64 item(s)",
    );
}

#[tokio::test]
async fn what_no_store_sorts_is_sorted_up_to_10_000_tokens() {
    let server = Server::new(41);
    let admin = server.session("admin").await;
    for _ in 0..10_000 {
        let mut request = IssueRequest::new(id("robot"), Grant::Full);
        request.lifetime = Lifetime::Unlimited;
        server.issue(request).await;
    }
    let sorted = |column: u8| json!({"sortingColumn": column, "pagination": {"limit": 1}});
    for column in [2, 4] {
        assert_eq!(server.found(&admin, sorted(column)).await.1, "10000");
    }
    server.endless("away").await;
    for column in [2, 4] {
        let answer = server.search(&admin, sorted(column)).await;
        let told = "Too many results to be sorted by this";
        answer.failed(Code::ResourceExhausted, "QUERY-tooMany", told);
        // It counts what the caller may see.
        let owner = server.session("owner").await;
        assert_eq!(server.found(&owner, sorted(column)).await.1, "10000");
    }
    for column in [1, 3, 5] {
        assert_eq!(server.found(&admin, sorted(column)).await.1, "10001");
    }
}

#[tokio::test]
async fn a_filter_that_asks_nothing_is_refused() {
    let server = Server::new(21);
    let admin = server.session("admin").await;
    for filter in [json!({}), json!({"orFilter": {}})] {
        let answer = server.search(&admin, json!({"filters": [filter]})).await;
        answer.failed(Code::InvalidArgument, "GRPC-vR9nC", "List.Query.Invalid");
    }
    let long =
        server.search(&admin, json!({"filters": [{"userIdFilter": {"id": "x".repeat(201)}}]}));
    let told = long.await;
    assert_eq!(told.status, 400);
    assert!(told.json()["message"].as_str().unwrap().ends_with("must be at most 200 runes"));
    let wrong = json!({"filters": [{"createdDateFilter": {"method": "SOMETIME"}}]});
    server.search(&admin, wrong).await.invalid("proto: invalid value for enum field method");
}

#[tokio::test]
async fn a_search_is_sorted_by_any_of_five_columns_both_ways() {
    let server = Server::new(22);
    let admin = server.session("admin").await;
    let all = four(&server).await;
    let [robot, second, mighty, away] = &all;
    let mut by_id: Vec<&String> = all.iter().collect();
    by_id.sort();
    let columns: [(&str, u8, Vec<&String>); 6] = [
        ("UNSPECIFIED", 0, vec![robot, second, mighty, away]),
        ("CREATED_DATE", 1, vec![robot, second, mighty, away]),
        ("ID", 2, by_id),
        ("USER_ID", 3, vec![away, mighty, robot, second]),
        ("ORGANIZATION_ID", 4, vec![robot, second, mighty, away]),
        ("EXPIRATION_DATE", 5, vec![away, second, mighty, robot]),
    ];
    for (name, number, ascending) in columns {
        let name = json!(format!("PERSONAL_ACCESS_TOKEN_FIELD_NAME_{name}"));
        for column in [name, json!(number)] {
            let page = |asc: bool| json!({"sortingColumn": column, "pagination": {"asc": asc}});
            let (found, total) = server.found(&admin, page(true)).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), ascending, "{column}");
            assert_eq!(total, "4");
            let (mut found, _) = server.found(&admin, page(false)).await;
            found.reverse();
            assert_eq!(found.iter().collect::<Vec<_>>(), ascending, "{column}");
            let body = json!({
                "sortingColumn": column, "pagination": {"asc": true, "offset": 2, "limit": 2},
            });
            let answer = server.search(&admin, body).await.ok();
            assert_eq!(ids(&answer).iter().collect::<Vec<_>>(), ascending[2..], "{column}");
            let pagination = json!({"totalResult": "4", "appliedLimit": "2"});
            assert_eq!(answer["pagination"], pagination);
        }
    }
}

#[tokio::test]
async fn pages_of_a_search_have_a_limit_that_can_be_set() {
    let server = Server::with(23, policy(), Settings { default_limit: 2, max_limit: 3 });
    let admin = server.session("admin").await;
    let [robot, second, mighty, away] = &four(&server).await;
    let page = async |pagination: Value| {
        let found = server.search(&admin, json!({"pagination": pagination})).await.ok();
        (ids(&found), found["pagination"]["appliedLimit"].clone())
    };
    let own = |tokens: &[&String]| tokens.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    assert_eq!(page(json!({})).await, (own(&[away, mighty]), json!("2")));
    assert_eq!(page(json!({"limit": 0})).await, (own(&[away, mighty]), json!("2")));
    assert_eq!(page(json!({"limit": 3})).await, (own(&[away, mighty, second]), json!("3")));
    assert_eq!(page(json!({"offset": "3"})).await, (own(&[robot]), json!("2")));
    assert_eq!(page(json!({"offset": "18446744073709551615"})).await, (vec![], json!("2")));
    let answer = server.search(&admin, json!({"pagination": {"limit": 4}})).await;
    answer.failed(Code::InvalidArgument, "QUERY-4M0fs", "Limit exceeded");
    let token = json!([{"tokenIdFilter": {"id": robot}}]);
    let past = json!({"filters": token, "pagination": {"offset": 1}});
    assert_eq!(server.found(&admin, past).await, (vec![], json!("1")));
    // More than any store gives at once is not promised.
    let settings = Settings { default_limit: 5000, max_limit: 100_000 };
    let server = Server::with(23, policy(), settings);
    let admin = server.session("admin").await;
    let found = server.search(&admin, json!({})).await.ok();
    assert_eq!(found["pagination"]["appliedLimit"], "1000");
}

#[tokio::test]
async fn headers_that_name_nobody_are_told_apart_and_tokens_are_not() {
    let server = Server::new(24);
    let admin = server.session("admin").await;
    let (dead, token) = server.endless("robot").await;
    server.remove_v1(&admin, "robot", &token).await.ok();
    for route in ["POST /v2/users/pats/search", &format!("POST {V2}/ListPersonalAccessTokens")] {
        let with = async |header: Option<&str>| {
            let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
            server.send(route, &headers, "no JSON").await
        };
        with(None).await.failed(Code::Unauthenticated, "", "auth header missing");
        for header in ["Basic YTpi", "bearer x", &format!("Bearer Bearer {admin}"), &admin] {
            let answer = with(Some(header)).await;
            answer.failed(Code::Unauthenticated, "AUTH-7fs1e", "invalid auth header");
        }
        let unreadable = with(Some("Bearer chatp_x")).await;
        unreadable.failed(Code::Unauthenticated, "APP-Reb32", "invalid token");
        for text in ["elsewhere", "", &dead[..dead.len() - 1]] {
            let answer = with(Some(&format!("Bearer {text}"))).await;
            answer.failed(Code::Unauthenticated, "APP-Reb32", "invalid token");
        }
        let answer = with(Some(&format!("Bearer {dead}"))).await;
        answer.failed(Code::Unauthenticated, "APP-BxUSiL", "invalid token");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let nobody = format!("Bearer {}", server.session("nobody").await);
        let nobody = with(Some(&nobody)).await;
        nobody.failed(Code::Unauthenticated, "APP-BxUSiL", "invalid token");
    }
}

#[tokio::test]
async fn every_dead_token_has_the_same_answer() {
    let server = Server::new(42);
    let host = Actor::host();
    let soon = Lifetime::Until(start().checked_add_signed(TimeDelta::minutes(1)).unwrap());
    let (expired, _) = server.personal("robot", soon).await;
    let (removed, gone) = server.endless("robot").await;
    let (asleep, sleeping) = server.endless("robot").await;
    let (blocked, _) = server.endless("second").await;
    let (deleted, _) = server.endless("with:colon").await;
    let parsed = |id: &str| keyfob::TokenId::parse(id.as_bytes()).unwrap();
    server.tokens.revoke(parsed(&gone), By::Host(&host), None).await.unwrap();
    server.tokens.deactivate(parsed(&sleeping), By::Host(&host), None).await.unwrap();
    server.tokens.deactivate_owner(&id("second"), By::Host(&host), None).await.unwrap();
    server.tokens.delete_owner(&id("with:colon"), By::Host(&host), None).await.unwrap();
    server.clock.advance(TimeDelta::minutes(2));
    for route in ["POST /v2/users/pats/search", &format!("POST {V2}/ListPersonalAccessTokens")] {
        let mut answers = BTreeSet::new();
        for text in [&expired, &removed, &asleep, &blocked, &deleted] {
            let answer = server.call(route, text, json!({})).await;
            answer.failed(Code::Unauthenticated, "APP-BxUSiL", "invalid token");
            answers.insert((answer.body, format!("{:?}", answer.headers)));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_before_the_body_is_judged() {
    let server = Server::new(25);
    let plain = format!("Bearer {}", server.session("plain").await);
    let admin = format!("Bearer {}", server.session("admin").await);
    let long = "x".repeat(201);
    for route in [
        "POST /management/v1/users/robot/pats".to_owned(),
        "POST /management/v1/users/robot/pats/_search".to_owned(),
        format!("GET /management/v1/users/robot/pats/{long}"),
        format!("DELETE /management/v1/users/robot/pats/{long}"),
        format!("POST {V1}/AddPersonalAccessToken"),
    ] {
        server.send(&route, &[("authorization", &plain)], "{").await.forbidden_v1();
        let answer = server.send(&route, &[("authorization", &admin)], "{").await;
        assert_eq!(answer.status, 400, "{route}");
        assert!(answer.json().get("details").is_none(), "{route}");
    }
    let answer = server.send("POST /v2/users/robot/pats", &[("authorization", &admin)], "{").await;
    answer.invalid("proto: syntax error (line 1:1)");
    let rule = "value length must be between 1 and 200 runes, inclusive";
    let admin = server.session("admin").await;
    for (answer, message) in [
        (
            server.remove_v1(&admin, "robot", &long).await,
            "RemovePersonalAccessTokenRequest.TokenId",
        ),
        (server.remove_v2(&admin, &long, "t").await, "RemovePersonalAccessTokenRequest.UserId"),
        (server.get(&admin, &long, "t").await, "GetPersonalAccessTokenByIDsRequest.UserId"),
        (server.list_v1(&admin, &long).await, "ListPersonalAccessTokensRequest.UserId"),
        (server.add_v2(&admin, &long).await, "AddPersonalAccessTokenRequest.UserId"),
    ] {
        answer.invalid(&format!("invalid {message}: {rule}"));
    }
    // v1 asks for one character, which no path is without.
    server.add_v1(&admin, &long, json!({})).await.missing_user();
    let none = server.call(&format!("POST {V1}/AddPersonalAccessToken"), &admin, json!({})).await;
    none.invalid(
        "invalid AddPersonalAccessTokenRequest.UserId: value length must be at least 1 runes",
    );
    let large = json!({"other": "x".repeat(70_000)});
    let answer = server.add_v1(&admin, "robot", large).await;
    answer.failed(Code::ResourceExhausted, "", "received message larger than max");
    server.get(&admin, "%ff", "x").await.invalid("proto: invalid UTF-8");
}

#[tokio::test]
async fn what_is_wrong_with_an_addition_is_told_in_the_products_order() {
    let server = Server::new(26);
    let admin = server.session("admin").await;
    let past = json!({"expirationDate": day(0)});
    let dead = |answer: &Answer| answer.json()["details"][0]["id"] == "DOMAIN-dv3t5";
    // The expiry, the account, what it is, whether it is active.
    for user in ["nobody", "plain", "robot"] {
        assert!(dead(&server.add_v1(&admin, user, past.clone()).await), "{user}");
        let v2 = server.call(&format!("POST /v2/users/{user}/pats"), &admin, past.clone()).await;
        assert!(dead(&v2), "{user}");
    }
    let homeless = server.session("homeless").await;
    let none = server.add_v1(&homeless, "nobody", past).await;
    assert_eq!(none.json()["details"][0]["id"], "COMMAND-xs0k2n");
}

#[tokio::test]
async fn what_there_is_no_route_for_is_told_in_the_same_envelope() {
    let server = Server::new(27);
    let admin = server.session("admin").await;
    for route in [
        "GET /management/v1/anything",
        "GET /v2/users/robot/pats/x/y",
        "POST /zitadel.user.v2.UserService/GetUserByID",
        "POST /zitadel.management.v1.ManagementService/Other",
    ] {
        server.call(route, &admin, json!({})).await.failed(Code::NotFound, "", "Not Found");
    }
    let answer = server.call("PUT /v2/users/robot/pats", &admin, json!({})).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.body, r#"{"code":12,"message":"Method Not Allowed"}"#);
}

#[tokio::test]
async fn no_answer_is_kept_on_the_way() {
    let server = Server::new(28);
    let admin = server.session("admin").await;
    let (good, bad) = (server.list_v1(&admin, "robot").await, server.list_v1("x", "robot").await);
    let unknown = server.call("GET /management/v1/anything", &admin, json!({})).await;
    for answer in [good, bad, unknown] {
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["pragma"], "no-cache");
        assert_eq!(answer.headers["expires"], "Fri, 15 Jan 2027 08:00:00 GMT");
    }
}

#[tokio::test]
async fn a_secret_may_look_as_the_products_do() {
    let server = Server::new(29);
    let face = server.face.clone().in_shape(Some(Shape::ZITADEL));
    let server = Server { router: router(&face), face, ..server };
    let admin = server.session("admin").await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let added = server.add_v1(&admin, "robot", json!({})).await.ok();
        let secret = added["token"].as_str().unwrap();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(secret.len() == 71 && secret.bytes().all(is_plain), "{secret}");
        assert_eq!(server.who(secret).await, "robot");
        // Nothing of it may be changed, to its last character.
        let last = if secret.ends_with('A') { "B" } else { "A" };
        assert_eq!(server.who(&format!("{}{last}", &secret[..70])).await, "401");
        assert_eq!(server.who(&secret[..70]).await, "401");
        assert!(seen.insert(secret.to_owned()));
    }
}

#[tokio::test]
async fn the_services_own_policy_speaks_in_the_products_words() {
    let mut strict = KindPolicy::personal();
    (strict.minting, strict.quota) = (Minting::AsOwner, Some(2));
    let server = Server::with(30, strict, SETTINGS);
    let admin = server.session("admin").await;
    // Without an expiry it is the policy's own, and is shown.
    let added = server.add_v1(&admin, "robot", json!({})).await.ok();
    let shown = server.get(&admin, "robot", added["tokenId"].as_str().unwrap()).await.ok();
    assert_eq!(shown["token"]["expirationDate"], day(90));
    let never = server.add_v1(&admin, "robot", json!({"expirationDate": "9999-12-31T23:59:59Z"}));
    never.await.failed(Code::InvalidArgument, "DOMAIN-expiryRequired", "Expiration date missing");
    let far = server.add_v1(&admin, "robot", json!({"expirationDate": day(367)})).await;
    let message = "Expiration date more than 366 days ahead";
    far.failed(Code::InvalidArgument, "DOMAIN-expiryTooFar", message);
    server.add_v2(&admin, "robot").await.ok();
    let message = "The user has as many Personal Access Tokens as it may have";
    let full = server.add_v2(&admin, "robot").await;
    full.failed(Code::ResourceExhausted, "COMMAND-quotaReached", message);
}

#[tokio::test]
async fn trouble_is_503_and_never_says_that_a_token_is_invalid() {
    let server = Server::new(31);
    let admin = server.session("admin").await;
    let (_, token) = server.endless("robot").await;
    server.list_v1(&admin, "robot").await.ok();
    for directory in [true, false] {
        let down = if directory { &server.directory.down } else { &server.store_is_down };
        down.store(true, Ordering::Relaxed);
        for answer in [
            server.add_v1(&admin, "robot", json!({})).await,
            server.list_v1(&admin, "robot").await,
            server.get(&admin, "robot", &token).await,
            server.remove_v1(&admin, "robot", &token).await,
            server.add_v2(&admin, "robot").await,
            server.remove_v2(&admin, "robot", &token).await,
            server.search(&admin, json!({})).await,
            server.search(&admin, json!({"sortingColumn": 2})).await,
            server.search(&admin, json!({"filters": [{"tokenIdFilter": {"id": token}}]})).await,
        ] {
            answer.failed(Code::Unavailable, "", "temporarily unavailable");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        down.store(false, Ordering::Relaxed);
    }
    assert_eq!(server.get(&admin, "robot", &token).await.status, 200);
}

#[tokio::test]
async fn every_route_is_declared_and_refuses_who_may_not() {
    let server = Server::new(32);
    let declared = server.face.declared();
    assert_eq!(declared.len(), 14);
    assert!(declared.iter().all(|route| route.need != Need::Public));
    let (powerless, _) = server.endless("powerless").await;
    let router: Router = guard(&declared, server.face.clone().into_router());
    assert_eq!(unguarded_routes(&declared, &router, &powerless).await.unwrap(), []);
    let mut reading = IssueRequest::new(id("admin"), Grant::only([ReadWrite::Read]).unwrap());
    reading.lifetime = Lifetime::Unlimited;
    let (reading, _) = server.issue(reading).await;
    for route in &declared {
        let Need::Scope(need) = &route.need else { continue };
        let path = route.path.replace("{user_id}", "robot").replace("{token_id}", "x");
        let name = format!("{} {path}", route.method);
        let answer = server.call(&name, &reading, json!({"userId": "robot", "tokenId": "x"})).await;
        match need {
            ReadWrite::Write => answer.forbidden_v1(),
            _ => assert_ne!(answer.status, 403, "{name}"),
        }
    }
}
