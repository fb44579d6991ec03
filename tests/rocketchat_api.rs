//! Rocket.Chat's token routes, in both lines of its dialect: exact bodies, in the product's order.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use chrono::{DateTime, TimeDelta};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use keyfob::core::factor_policy::{FactorPolicy, method};
use keyfob::http::{Allowance, BearerLayer, ClientAddress, Limiter, guard};
use keyfob::ports::clock::Clock as _;
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::ports::passwords::Passwords;
use keyfob::ports::store::BoxError;
use keyfob::ports::two_factor::{Answer, Enrolment};
use keyfob::service::two_factor::{TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::two_factor::{AeadSealer, Password};
use keyfob::wire::rocketchat::{Profile, RocketChat};
use keyfob::{
    Actor, Builder, By, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, Minting,
    OwnerId, Policy, ReadWrite, ScopeName, TokenName, TokenStore as _, Tokens,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const GENERATE: &str = "users.generatePersonalAccessToken";
const REGENERATE: &str = "users.regeneratePersonalAccessToken";
const LIST: &str = "users.getPersonalAccessTokens";
const REMOVE: &str = "users.removePersonalAccessToken";

struct Server {
    router: Router,
    tokens: Tokens<ReadWrite>,
    clock: ManualClock,
    limiter: Arc<Counting>,
}

/// Counts down, whoever asks for whatever.
#[derive(Debug)]
struct Counting {
    left: Mutex<u32>,
    clock: ManualClock,
}

impl Limiter for Counting {
    fn take(&self, route: &str, address: Option<IpAddr>, account: Option<&OwnerId>) -> Allowance {
        assert!(route.contains(" /api/v1/users.") && account.is_some(), "{route}");
        assert_eq!(address, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let mut left = self.left.lock().unwrap();
        let is_admitted = *left > 0;
        *left = left.saturating_sub(1);
        let now = DateTime::from_timestamp_micros(self.clock.now_micros()).unwrap();
        let resets_at = now + TimeDelta::milliseconds(41_500);
        Allowance { is_admitted, limit: 10, remaining: *left, resets_at }
    }
}

impl Server {
    fn new(profile: Profile) -> Self {
        Self::limited(profile, 0)
    }

    /// With so many requests to each route; none stands for no limiter at all.
    fn limited(profile: Profile, most: u32) -> Self {
        let (store, clock) = (MemoryStore::default(), ManualClock::new(sample::start()));
        let keyring = Keyring::new(Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap());
        let sealer = AeadSealer::new(&keyring, SeededRandomness::new(1)).unwrap();
        let vault = Vault::new(store.clone(), sealer, store.realm().clone());
        let mut personal = KindPolicy::personal();
        personal.never_expires = true;
        personal.may_bypass_two_factor = true;
        personal.minting = Minting::AsOwner;
        let mut rules = sample::rules();
        rules.keyring = keyring;
        let rules = rules.with_policy(Policy::default().with_kind(Kind::personal(), personal));
        let random = SeededRandomness::new(2);
        let tokens: Tokens<ReadWrite> = Builder::new(store, rules, clock.clone(), random).build();
        // Everybody has a password, and nothing else.
        let mut policy = FactorPolicy::rocketchat().without(method::EMAIL);
        policy = policy.without(method::TOTP).without(method::BACKUP_CODE);
        let two_factor =
            TwoFactor::new(tokens.clone(), vault, policy).with(Password::new(Accounts));
        let layer = BearerLayer::new(tokens.clone());
        let (reading, managing) = (ReadWrite::Read, ReadWrite::Write);
        let face = RocketChat::new(layer, Arc::new(Accounts), two_factor, reading, managing);
        let mut face = face.profile(profile);
        let limiter = Arc::new(Counting { left: Mutex::new(most), clock: clock.clone() });
        if most > 0 {
            face = face.limited_by(limiter.clone());
        }
        let face = Arc::new(face);
        let router = guard(&face.declared(), face.router());
        Self { router, tokens, clock, limiter }
    }

    /// A session of this account.
    fn session(&self, owner: &str, grant: Grant<ReadWrite>) -> Caller<'_> {
        let owner = OwnerId::new(owner).unwrap();
        let request = IssueRequest::new(owner.clone(), grant).of_kind(Kind::session());
        let issued = block_on(self.tokens.issue(request, By::Host(&Actor::host())));
        let token = issued.unwrap().0.expose_secret().to_owned();
        Caller { server: self, owner: owner.to_string(), token, code: None }
    }

    fn send(&self, request: Request<Body>) -> (u16, String) {
        let (status, _, body) = self.send_for_headers(request);
        (status, body)
    }

    fn send_for_headers(&self, request: Request<Body>) -> (u16, HeaderMap, String) {
        let response = block_on(self.router.clone().oneshot(request)).unwrap();
        let status = response.status().as_u16();
        if status != 405 {
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
        let headers = response.headers().clone();
        let body = block_on(response.into_body().collect()).unwrap().to_bytes();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[derive(Clone)]
struct Caller<'s> {
    server: &'s Server,
    owner: String,
    token: String,
    code: Option<&'static str>,
}

impl Caller<'_> {
    fn answering(&self) -> Self {
        Self { code: Some("the password"), ..self.clone() }
    }

    fn call(&self, route: &str, body: &str) -> (u16, String) {
        self.server.send(self.request(route, "application/json", body))
    }

    fn request(&self, route: &str, kind: &str, body: &str) -> Request<Body> {
        let method = if route == LIST { Method::GET } else { Method::POST };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{route}"))
            .header("x-auth-token", &self.token)
            .header("x-user-id", &self.owner)
            .header("content-type", kind)
            .extension(ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        if let Some(code) = self.code {
            request = request.header("X-2FA-Code", code).header("X-2FA-Method", "password");
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }

    /// A call that succeeds.
    fn done(&self, route: &str, body: &Value) -> Value {
        let (status, answer) = self.call(route, &body.to_string());
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["success"], true);
        answer
    }

    fn generate(&self, name: &str) -> String {
        self.done(GENERATE, &json!({"tokenName": name}))["token"].as_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let tokens = self.done(LIST, &json!({}))["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_token_lives_from_generate_to_remove_and_works_in_between() {
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::new(profile);
        let alice = server.session("alice", Grant::Full).answering();
        assert_eq!(alice.call(LIST, "").1, r#"{"tokens":[],"success":true}"#);
        let first = alice.generate("backup");
        let (status, listed) = alice.call(LIST, "");
        assert_eq!(status, 200);
        let hint = &first[first.len() - 6..];
        assert_eq!(
            listed,
            format!(
                r#"{{"tokens":[{{"name":"backup","createdAt":"2030-01-01T00:00:00.000Z","lastTokenPart":"{hint}","bypassTwoFactor":false}}],"success":true}}"#
            )
            .replace("2030-01-01T00:00:00.000Z", &at(&server))
        );
        let by = |text: &str| Caller { token: text.to_owned(), ..alice.clone() };
        assert_eq!(by(&first).names(), ["backup"]);
        server.clock.advance(TimeDelta::seconds(10));
        let second = alice.done(REGENERATE, &json!({"tokenName": "backup"}));
        let second = second["token"].as_str().unwrap();
        assert_ne!(second, first);
        assert_eq!(by(&first).call(LIST, "").0, 401);
        assert_eq!(by(second).names(), ["backup"]);
        let (status, removed) = alice.call(REMOVE, r#"{"tokenName":"backup"}"#);
        assert_eq!((status, removed.as_str()), (200, r#"{"success":true}"#));
        assert_eq!(by(second).call(LIST, "").0, 401);
        assert!(alice.names().is_empty());
    }
}

/// As the list writes the time of the server.
fn at(server: &Server) -> String {
    server.tokens.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[test]
fn a_token_that_was_made_anew_moves_to_the_end_and_keeps_its_bypass() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    alice.done(GENERATE, &json!({"tokenName": "robot", "bypassTwoFactor": true}));
    server.clock.advance(TimeDelta::seconds(1));
    alice.generate("other");
    assert_eq!(alice.names(), ["robot", "other"]);
    server.clock.advance(TimeDelta::seconds(1));
    alice.done(REGENERATE, &json!({"tokenName": "robot"}));
    assert_eq!(alice.names(), ["other", "robot"]);
    let tokens = alice.done(LIST, &json!({}))["tokens"].clone();
    let bypasses: Vec<_> = (0..2).map(|at| tokens[at]["bypassTwoFactor"].as_bool()).collect();
    assert_eq!(bypasses, [Some(false), Some(true)]);
}

#[test]
fn every_change_asks_for_a_second_factor_before_it_says_anything_of_the_name() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full);
    alice.answering().generate("there");
    // Remembered of the session that answered; another one has to.
    let other = server.session("alice", Grant::Full);
    let due = r#"{"success":false,"error":"TOTP Required [totp-required]","errorType":"totp-required","details":{"method":"password","codeGenerated":false,"availableMethods":[]}}"#;
    for route in [GENERATE, REGENERATE, REMOVE] {
        for name in ["there", "not there"] {
            let answer = other.call(route, &json!({"tokenName": name}).to_string());
            assert_eq!(answer, (400, due.to_owned()), "{route} {name}");
        }
    }
    let wrong = Caller { code: Some("wrong"), ..other.clone() };
    let (status, answer) = wrong.call(REMOVE, r#"{"tokenName":"there"}"#);
    assert!(status == 400 && answer.contains(r#""errorType":"totp-invalid""#), "{answer}");
    assert_eq!(alice.names(), ["there"]);
    // Listing asks for nothing.
    assert_eq!(other.names(), ["there"]);
}

#[test]
fn a_bypassing_token_removes_and_makes_nothing() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    let made = alice.done(GENERATE, &json!({"tokenName": "robot", "bypassTwoFactor": true}));
    alice.generate("victim");
    let text = made["token"].as_str().unwrap().to_owned();
    let robot = Caller { token: text, code: None, ..alice.clone() };
    for (route, body) in [
        (GENERATE, json!({"tokenName": "more"})),
        (GENERATE, json!({"tokenName": "more", "bypassTwoFactor": true})),
        (REGENERATE, json!({"tokenName": "robot"})),
    ] {
        let (status, answer) = robot.call(route, &body.to_string());
        assert!(status == 400 && answer.contains("totp-required"), "{route} {body}: {answer}");
    }
    robot.done(REMOVE, &json!({"tokenName": "victim"}));
    // With an answer it makes one, as its owner.
    robot.answering().generate("more");
    assert_eq!(alice.names(), ["robot", "more"]);
}

#[test]
fn errors_are_those_of_the_product() {
    let does_not_exist = |method: &str| {
        format!(
            r#"{{"success":false,"error":"Token does not exist [error-token-does-not-exists]","errorType":"error-token-does-not-exists","details":{{"method":"personalAccessTokens:{method}"}}}}"#
        )
    };
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::new(profile);
        let alice = server.session("alice", Grant::Full).answering();
        alice.generate("there");
        assert_eq!(
            alice.call(GENERATE, r#"{"tokenName":"there"}"#),
            (400, r#"{"success":false,"error":"A token with this name already exists [error-token-already-exists]","errorType":"error-token-already-exists","details":{"method":"personalAccessTokens:generateToken"}}"#.to_owned())
        );
        let unknown = r#"{"tokenName":"not there"}"#;
        assert_eq!(alice.call(REGENERATE, unknown), (400, does_not_exist("regenerateToken")));
        assert_eq!(alice.call(REMOVE, unknown), (400, does_not_exist("removeToken")));
        for route in [GENERATE, REGENERATE, REMOVE] {
            let missing = match profile {
                Profile::Eight => {
                    r#"{"success":false,"error":"must have required property 'tokenName'","errorType":"invalid-params"}"#
                }
                Profile::Legacy => {
                    r#"{"success":false,"error":"The 'tokenName' param is required"}"#
                }
            };
            assert_eq!(alice.call(route, "{}"), (400, missing.to_owned()), "{route}");
            let long = json!({"tokenName": "x".repeat(256)}).to_string();
            assert_eq!(alice.call(route, &long).0, 400, "{route}");
        }
    }
}

#[test]
fn the_current_line_coerces_parameters_as_its_validator_does_and_says_so_before_anything_else() {
    let server = Server::new(Profile::Eight);
    // Nothing was answered: what is not well-formed is refused first.
    let unproved = server.session("alice", Grant::Full);
    for (body, error) in [
        ("", "must have required property 'tokenName'"),
        ("no json", "must have required property 'tokenName'"),
        ("[]", "must be object"),
        (r#"{"tokenName":["a"]}"#, "must be string"),
        (r#"{"tokenName":{"$ne":null}}"#, "must be string"),
        (r#"{"tokenName":"x","loginToken":"y"}"#, "must NOT have additional properties"),
    ] {
        let expected =
            format!(r#"{{"success":false,"error":"{error}","errorType":"invalid-params"}}"#);
        for route in [GENERATE, REGENERATE, REMOVE] {
            assert_eq!(unproved.call(route, body), (400, expected.clone()), "{route} {body}");
        }
    }
    let bypass = |value: &str| format!(r#"{{"tokenName":"x{value}","bypassTwoFactor":{value}}}"#);
    for value in ["2", "[]"] {
        let (status, answer) = unproved.call(GENERATE, &bypass(value));
        assert!(status == 400 && answer.contains("must be boolean"), "{value}: {answer}");
    }
    let yes = unproved.call(GENERATE, r#"{"tokenName":"x","bypassTwoFactor":"yes"}"#);
    assert!(yes.1.contains("must be boolean"));
    for route in [REGENERATE, REMOVE] {
        let (_, answer) = unproved.call(route, r#"{"tokenName":"x","bypassTwoFactor":true}"#);
        assert!(answer.contains("must NOT have additional properties"), "{answer}");
    }
    let alice = unproved.answering();
    for value in ["true", "1", "false", "0", "null"] {
        alice.done(GENERATE, &serde_json::from_str(&bypass(value)).unwrap());
    }
    alice.done(GENERATE, &json!({"tokenName": "text", "bypassTwoFactor": "true"}));
    alice.done(GENERATE, &json!({"tokenName": 5}));
    alice.done(GENERATE, &json!({"tokenName": null}));
    let tokens = alice.done(LIST, &json!({}))["tokens"].clone();
    let all = tokens.as_array().unwrap();
    let bypassing = |token: &&Value| token["bypassTwoFactor"] == true;
    let bypassing: Vec<_> = all.iter().filter(bypassing).map(|token| &token["name"]).collect();
    assert_eq!(bypassing, ["xtrue", "x1", "text"]);
    assert_eq!((all[6]["name"].as_str(), all.len()), (Some("5"), 8));
}

#[test]
fn the_older_line_misses_a_name_after_the_second_factor_and_before_the_permission() {
    let server = Server::new(Profile::Legacy);
    let missing = r#"{"success":false,"error":"The 'tokenName' param is required"}"#;
    for route in [GENERATE, REGENERATE, REMOVE] {
        let bot = server.session("bot", Grant::Full);
        for body in ["{}", r#"{"tokenName":""}"#, r#"{"tokenName":{"$ne":null}}"#] {
            assert!(bot.call(route, body).1.contains("totp-required"), "{route} {body}");
            let other = server.session("bot", Grant::Full).answering();
            assert_eq!(other.call(route, body), (400, missing.to_owned()), "{route} {body}");
        }
        let (_, answer) = bot.answering().call(route, r#"{"tokenName":"x","loginToken":"y"}"#);
        assert!(answer.contains("not-authorized"), "{route}: {answer}");
    }
}

#[test]
fn forms_are_read_as_json_is_and_several_parts_are_nothing() {
    const FORM: &str = "application/x-www-form-urlencoded";
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::new(profile);
        let alice = server.session("alice", Grant::Full).answering();
        let post = |route, body: &str| server.send(alice.request(route, FORM, body));
        assert_eq!(post(GENERATE, "tokenName=my+robot%21").0, 200);
        assert_eq!(alice.names(), ["my robot!"]);
        assert_eq!(post(REGENERATE, "tokenName=my+robot%21").0, 200);
        assert_eq!(post(REMOVE, "tokenName=my%20robot!").0, 200);
        assert!(alice.names().is_empty());
        let parts = "multipart/form-data; boundary=x";
        let (status, answer) = server.send(alice.request(GENERATE, parts, r#"{"tokenName":"x"}"#));
        assert!(status == 400 && answer.contains("tokenName"), "{answer}");
    }
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    for (flag, expected) in [("true", true), ("false", false)] {
        let body = format!("tokenName={flag}&bypassTwoFactor={flag}");
        assert_eq!(server.send(alice.request(GENERATE, FORM, &body)).0, 200);
        let tokens = alice.done(LIST, &json!({}))["tokens"].clone();
        assert_eq!(tokens.as_array().unwrap().last().unwrap()["bypassTwoFactor"], expected);
    }
}

#[test]
fn an_account_that_was_just_made_is_asked_all_the_same() {
    // Everybody was made at this very moment, and has nothing but a password. Whoever has stolen
    // a session of theirs must not turn it into a token.
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::new(profile);
        assert_eq!(server.tokens.now(), sample::start());
        let alice = server.session("alice", Grant::Full);
        let (status, answer) = alice.call(GENERATE, r#"{"tokenName":"x"}"#);
        assert!(status == 400 && answer.contains(r#""errorType":"totp-required""#), "{answer}");
        alice.answering().generate("x");
    }
}

#[test]
fn a_token_that_was_made_anew_must_answer_anew() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    let first = alice.generate("robot");
    let by = |text: &str| Caller { token: text.to_owned(), code: None, ..alice.clone() };
    by(&first).answering().generate("another");
    by(&first).generate("and another");
    let second = alice.done(REGENERATE, &json!({"tokenName": "robot"}));
    let robot = by(second["token"].as_str().unwrap());
    let (status, answer) = robot.call(GENERATE, r#"{"tokenName":"more"}"#);
    assert!(status == 400 && answer.contains("totp-required"), "{answer}");
    robot.answering().generate("more");
}

#[test]
fn an_answer_is_remembered_of_a_token_and_the_address_that_it_came_from() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full);
    alice.answering().generate("x");
    alice.generate("y");
    // Whatever it calls itself: a client is its address here, as it is there.
    let from = |address: [u8; 4], client: &str| {
        let body = json!({"tokenName": client}).to_string();
        let mut request = alice.request(GENERATE, "application/json", &body);
        request.extensions_mut().insert(ClientAddress(address.into()));
        request.headers_mut().insert("user-agent", client.parse().unwrap());
        server.send(request)
    };
    assert_eq!(from([127, 0, 0, 1], "another browser").0, 200);
    let (status, answer) = from([192, 0, 2, 7], "the same");
    assert!(status == 400 && answer.contains("totp-required"), "{answer}");
    server.clock.advance(TimeDelta::seconds(1799));
    assert_eq!(from([127, 0, 0, 1], "nearly").0, 200);
    server.clock.advance(TimeDelta::seconds(1));
    assert_eq!(from([127, 0, 0, 1], "too late").0, 400);
}

#[test]
fn what_a_token_is_called_is_no_name_for_another_one() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    for _ in 0..2 {
        let request = IssueRequest::new(OwnerId::new("alice").unwrap(), Grant::Full);
        let request = request.named(TokenName::new("x".repeat(255)).unwrap());
        let _ = block_on(server.tokens.issue(request, By::Host(&Actor::host()))).unwrap();
    }
    let request = IssueRequest::new(OwnerId::new("alice").unwrap(), Grant::Full);
    let _ = block_on(server.tokens.issue(request, By::Host(&Actor::host()))).unwrap();
    let names = alice.names();
    let taken = alice.call(GENERATE, &json!({"tokenName": names[2]}).to_string());
    assert!(taken.0 == 400 && taken.1.contains("error-token-already-exists"), "{}", taken.1);
    // Longer than any name, and found all the same.
    assert_eq!(names[0].len(), 264);
    alice.done(REMOVE, &json!({"tokenName": names[0]}));
    assert_eq!(alice.names(), ["x".repeat(255), names[2].clone()]);
}

#[test]
fn a_limit_of_requests_stands_where_the_product_has_it_and_every_answer_tells_what_is_left() {
    let slow = r#"{"success":false,"error":"Error, too many requests. Please slow down. You must wait 42 seconds before trying this endpoint again. [error-too-many-requests]"}"#;
    let body = r#"{"tokenName":"x"}"#;
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::limited(profile, 4);
        let alice = server.session("alice", Grant::Full);
        let told = |caller: &Caller<'_>, route: &str, body: &str| {
            let request = caller.request(route, "application/json", body);
            let (status, headers, body) = server.send_for_headers(request);
            let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let reset = of("x-ratelimit-reset").inspect(|reset| {
                let millis = server.tokens.now().timestamp_millis() + 41_500;
                assert_eq!(reset.parse(), Ok(millis));
                assert_eq!(of("x-ratelimit-limit").as_deref(), Some("10"));
            });
            let left = of("x-ratelimit-remaining").map(|left| left.parse::<u32>().unwrap());
            assert_eq!(left.is_some(), reset.is_some());
            (status, body, left)
        };
        // Nobody's requests are not counted; in 8.x neither are those that are not well-formed.
        let nobody = Caller { token: "x".to_owned(), ..alice.clone() };
        assert_eq!(told(&nobody, GENERATE, body).2, None);
        let missing = told(&alice, GENERATE, "{}");
        let bot = server.session("bot", Grant::Full);
        let forbidden = told(&bot, LIST, "");
        match profile {
            Profile::Eight => {
                assert_eq!((missing.2, forbidden.0, forbidden.2), (None, 403, None));
                *server.limiter.left.lock().unwrap() = 2;
            }
            Profile::Legacy => {
                assert_eq!((missing.2, forbidden.0, forbidden.2), (Some(3), 400, Some(2)));
            }
        }
        // Failures and successes tell what is left, and then it comes before the second factor.
        let due = told(&alice, GENERATE, body);
        assert!(due.1.contains("totp-required") && due.2 == Some(1), "{due:?}");
        assert_eq!(
            told(&alice, LIST, ""),
            (200, r#"{"tokens":[],"success":true}"#.into(), Some(0))
        );
        for caller in [&alice, &alice.answering()] {
            for route in [GENERATE, REGENERATE, LIST, REMOVE] {
                assert_eq!(told(caller, route, body), (429, slow.to_owned(), Some(0)), "{route}");
            }
        }
        *server.limiter.left.lock().unwrap() = 9;
        assert!(alice.names().is_empty());
    }
    // Without a limiter nothing is said.
    let server = Server::new(Profile::Eight);
    let request = server.session("alice", Grant::Full).request(LIST, "", "");
    let (_, headers, _) = server.send_for_headers(request);
    assert!(headers.keys().all(|name| !name.as_str().contains("ratelimit")));
}

#[test]
fn without_the_permission_every_route_says_so_and_nothing_of_names() {
    for profile in [Profile::Eight, Profile::Legacy] {
        let server = Server::new(profile);
        let bot = server.session("bot", Grant::Full).answering();
        let not_authorized = |method: &str| {
            format!(
                r#"{{"success":false,"error":"Not Authorized [not-authorized]","errorType":"not-authorized","details":{{"method":"personalAccessTokens:{method}"}}}}"#
            )
        };
        let body = r#"{"tokenName":"anything"}"#;
        assert_eq!(bot.call(GENERATE, body), (400, not_authorized("generateToken")));
        assert_eq!(bot.call(REGENERATE, body), (400, not_authorized("regenerateToken")));
        assert_eq!(bot.call(REMOVE, body), (400, not_authorized("removeToken")));
        let list = bot.call(LIST, "");
        match profile {
            Profile::Eight => assert_eq!(list, (403, r#"{"success":false,"error":"User does not have the permissions required for this action [error-unauthorized]"}"#.to_owned())),
            Profile::Legacy => assert_eq!(list, (400, r#"{"success":false,"error":"Not Authorized [not-authorized]","errorType":"not-authorized"}"#.to_owned())),
        }
    }
}

#[test]
fn names_are_exact_and_each_owners_own() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    let bob = server.session("bob", Grant::Full).answering();
    for name in ["x", "X", " x", "x ", "é", "", "5"] {
        alice.generate(name);
    }
    bob.generate("x");
    // The empty name is shown by the id.
    let names = alice.names();
    assert_eq!(names[..5], ["x", "X", " x", "x ", "é"]);
    assert!(names[5].starts_with('#') && names[5].len() == 9, "{names:?}");
    bob.done(REMOVE, &json!({"tokenName": "x"}));
    assert_eq!(alice.names().len(), 7);
    alice.done(REMOVE, &json!({"tokenName": ""}));
    alice.done(REMOVE, &json!({"tokenName": 5}));
    assert_eq!(alice.names(), ["x", "X", " x", "x ", "é"]);
    let (status, _) = bob.call(REGENERATE, r#"{"tokenName":"X"}"#);
    assert_eq!(status, 400);
}

#[test]
fn tokens_of_other_faces_that_share_a_name_are_told_apart_and_can_be_removed() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    for _ in 0..2 {
        let request = IssueRequest::new(OwnerId::new("alice").unwrap(), Grant::Full);
        let request = request.named(TokenName::new("same").unwrap());
        let _ = block_on(server.tokens.issue(request, By::Host(&Actor::host()))).unwrap();
    }
    let names = alice.names();
    assert!(names.iter().all(|name| name.starts_with("same#") && name.len() == 13), "{names:?}");
    assert_eq!(alice.call(REMOVE, r#"{"tokenName":"same"}"#).0, 400);
    alice.done(REMOVE, &json!({"tokenName": names[0]}));
    assert_eq!(alice.names(), ["same"]);
}

#[test]
fn many_at_once_with_one_name_make_one_token() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full).answering();
    alice.generate("first");
    let remembered = Caller { code: None, ..alice.clone() };
    let made: usize = std::thread::scope(|scope| {
        let one = || usize::from(remembered.call(GENERATE, r#"{"tokenName":"one"}"#).0 == 200);
        let all: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!((made, alice.names().len()), (1, 2));
}

#[test]
fn a_token_gives_no_more_than_it_has_and_reading_is_not_managing() {
    let server = Server::new(Profile::Eight);
    let reader = server.session("alice", Grant::only([ReadWrite::Read]).unwrap()).answering();
    assert_eq!(reader.names(), Vec::<String>::new());
    for route in [GENERATE, REGENERATE, REMOVE] {
        assert_eq!(reader.call(route, r#"{"tokenName":"x"}"#).0, 403, "{route}");
    }
    let writer = server.session("alice", Grant::only([ReadWrite::Write]).unwrap()).answering();
    let made = writer.generate("x");
    let by = Caller { token: made, ..writer.clone() };
    assert_eq!(by.names(), ["x"]);
    let found = block_on(
        server.tokens.query(&keyfob::ports::store::Query::new(
            keyfob::ports::store::Filter::of_owner(OwnerId::new("alice").unwrap())
                .of_kind(Kind::personal()),
            10,
        )),
    );
    assert_ne!(found.unwrap().records[0].grant, Grant::<ReadWrite>::Full.names());
}

#[test]
fn other_methods_and_other_peoples_headers_get_nowhere() {
    let server = Server::new(Profile::Eight);
    let alice = server.session("alice", Grant::Full);
    let nobody = r#"{"success":false,"error":"You must be logged in to do this.","status":"error","message":"You must be logged in to do this."}"#;
    for route in [GENERATE, REGENERATE, LIST, REMOVE] {
        let as_bob = Caller { owner: "bob".to_owned(), ..alice.clone() };
        assert_eq!(as_bob.call(route, "{}"), (401, nobody.to_owned()), "{route}");
        let method = if route == LIST { Method::POST } else { Method::GET };
        let request = Request::builder().method(method).uri(format!("/api/v1/{route}"));
        assert_eq!(server.send(request.body(Body::empty()).unwrap()).0, 405, "{route}");
    }
}

/// Everybody is there; a bot has no role that may have tokens.
#[derive(Debug)]
struct Accounts;

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let AccountKey::Id(id) = key else { return Ok(None) };
        let mut account = Account::new(id.clone(), 1, id.as_str(), sample::start());
        account.roles = vec![if id.as_str() == "bot" { "bot" } else { "user" }.to_owned()];
        Ok(Some(account))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

#[async_trait]
impl Passwords for Accounts {
    async fn enrolment(&self, _: &OwnerId) -> Result<Option<Enrolment>, BoxError> {
        Ok(Some(Enrolment([1; 16])))
    }

    async fn is_right(&self, _: &OwnerId, answer: &Answer) -> Result<bool, BoxError> {
        Ok(answer.expose_secret() == "the password")
    }
}
