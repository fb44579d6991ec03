//! What the layer, the extractor and declared routes answer.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;
mod web;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use chrono::TimeDelta;
use http::{HeaderValue, Method, Response, StatusCode};
use keyfob::core::constraints::Constraints;
use keyfob::http::{
    Answers, Authenticated, BearerLayer, ClientAddress, Credentials, Declared, Evidence, Need,
    Routes, guard, unguarded_routes,
};
use keyfob::testing::block_on;
use keyfob::{Actor, By, Grant, IssueRequest, Kind, ReadWrite, Rotation};
use tower::layer::util::Identity;
use tower::{Layer as _, Service};
use web::{Answer, Host, call, owner_id, request};

static ITSELF: Actor = Actor::host();
const HOST: By<'static> = By::Host(&ITSELF);

/// Says what the layer has found.
async fn found(request: Request) -> &'static str {
    let evidence = request.extensions().get::<Evidence<ReadWrite>>().unwrap();
    match evidence.credentials() {
        Credentials::Absent => "absent",
        Credentials::NotOurs => "not ours",
        Credentials::OtherScheme => "other scheme",
        Credentials::Token(_) => "token",
    }
}

fn behind(layer: BearerLayer<ReadWrite>) -> Router {
    let routes: Routes<ReadWrite> = Routes::new()
        .get("/found", Need::Public, found)
        .get("/any", Need::Token, async |caller: Authenticated<ReadWrite>| {
            caller.owner().to_string()
        })
        .get("/read", Need::Scope(ReadWrite::Read), async || "read")
        .post("/write", Need::Scope(ReadWrite::Write), async || "written");
    routes.into_router(&layer)
}

fn router(host: &Host) -> Router {
    behind(BearerLayer::new(host.tokens.clone()))
}

#[tokio::test]
async fn every_refused_text_that_is_ours_in_form_gets_the_same_bytes() {
    // Two hosts that draw the same: the second one's rotated token has the first one's id.
    let (host, twin) = (Host::new(1), Host::new(1));
    let (_, row) = host.full("alice").await;
    let (_, twin_row) = twin.full("alice").await;
    assert_eq!(row.id, twin_row.id);
    let (wrong, _) = twin.tokens.rotate(row.id, Rotation::at_once(), HOST).await.unwrap();
    let (unknown, _) = Host::new(2).full("alice").await;
    let (superseded, row) = host.full("alice").await;
    let _ = host.tokens.rotate(row.id, Rotation::at_once(), HOST).await.unwrap();
    let (revoked, row) = host.full("alice").await;
    host.tokens.revoke(row.id, HOST, None).await.unwrap();
    let (deactivated, row) = host.full("alice").await;
    host.tokens.deactivate(row.id, HOST, None).await.unwrap();
    let brief = IssueRequest::new(owner_id("alice"), Grant::Full).expires_in(TimeDelta::hours(1));
    let (expired, _) = host.issue(brief).await;
    let (blocked, _) = host.full("bob").await;
    host.tokens.deactivate_owner(&owner_id("bob"), HOST, None).await.unwrap();
    let (deleted, _) = host.full("carol").await;
    host.tokens.delete_owner(&owner_id("carol"), HOST, None).await.unwrap();
    let mut later = IssueRequest::new(owner_id("alice"), Grant::Full);
    later.not_before = Some(host.tokens.clock().now() + TimeDelta::hours(2));
    let (early, _) = host.issue(later).await;
    let mut bound = IssueRequest::new(owner_id("alice"), Grant::Full);
    bound.constraints = Constraints::from_addresses(vec!["192.0.2.0/24".parse().unwrap()]);
    let (elsewhere, _) = host.issue(bound).await;
    let (live, _) = host.full("alice").await;
    host.clock.advance(TimeDelta::hours(1));

    let router = router(&host);
    assert_eq!(call(&router, request("GET", "/any", Some(&live))).await.body, "alice");
    let expected = Answer {
        status: StatusCode::UNAUTHORIZED,
        headers: [
            ("cache-control", "no-store"),
            ("content-type", "application/problem+json"),
            ("www-authenticate", r#"Bearer realm="tokens", error="invalid_token""#),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: concat!(
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"#,
            r#""detail":"the token is not accepted","code":"invalid_token"}"#
        )
        .to_owned(),
    };
    let malformed = format!("{live}x");
    for (why, text) in [
        ("malformed", malformed.as_str()),
        ("unknown", &unknown),
        ("wrong secret", wrong.expose_secret()),
        ("superseded", &superseded),
        ("revoked", &revoked),
        ("deactivated", &deactivated),
        ("expired", &expired),
        ("owner deactivated", &blocked),
        ("owner deleted", &deleted),
        ("not yet valid", &early),
        ("address", &elsewhere),
    ] {
        // Twice, since the second time another path may be taken; on every kind of route.
        for uri in ["/any", "/any", "/found", "/read"] {
            let answer = call(&router, request("GET", uri, Some(text))).await;
            assert_eq!(without_length(answer), expected, "{why} at {uri}");
        }
    }
    // A bearer token of nobody's is answered like one of ours.
    let foreign = call(&router, request("GET", "/any", Some("ghp_0123456789"))).await;
    assert_eq!(without_length(foreign), expected);
}

fn without_length(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "content-length");
    answer
}

#[tokio::test]
async fn a_header_is_read_one_way_or_not_at_all() {
    let host = Host::new(3);
    let router = router(&host);
    let (live, _) = host.full("alice").await;
    let long = format!("Bearer {}", "a".repeat(1 << 20));
    let ours = |scheme: &str| format!("{scheme}{live}");
    let table: &[(&[String], u16, &str)] = &[
        (&[], 200, "absent"),
        (&[ours("Bearer ")], 200, "token"),
        (&[ours("bearer ")], 200, "token"),
        (&[ours("BEARER   ")], 200, "token"),
        (&["Bearer ghp_0123456789".to_owned()], 200, "not ours"),
        (&["Basic YWxpY2U6cGFzc3dvcmQ=".to_owned()], 200, "other scheme"),
        (&["Digest username=\"alice\"".to_owned()], 200, "other scheme"),
        (&[String::new()], 400, "invalid_request"),
        (&["Bearer".to_owned()], 400, "invalid_request"),
        (&["Bearer ".to_owned()], 400, "invalid_request"),
        (&[ours("Bearer\t")], 400, "invalid_request"),
        (&[ours("")], 400, "invalid_request"),
        (&[ours("Bearer junk ")], 400, "invalid_request"),
        (&[ours("junk Bearer ")], 400, "invalid_request"),
        (&[ours("Bearer a,")], 400, "invalid_request"),
        (&[ours("Bearer "), ours("Bearer ")], 400, "invalid_request"),
        (&[ours("Bearer "), String::new()], 400, "invalid_request"),
        (&[ours("Bearer "), "Basic YQ==".to_owned()], 400, "invalid_request"),
        (&[long], 400, "invalid_request"),
    ];
    for (values, status, says) in table {
        let mut request = request("GET", "/found", None);
        for value in *values {
            request.headers_mut().append("authorization", HeaderValue::try_from(value).unwrap());
        }
        let answer = call(&router, request).await;
        assert_eq!(answer.status, *status, "{values:?}");
        if *status == 200 {
            assert_eq!(answer.body, *says, "{values:?}");
        } else {
            assert_eq!(answer.code(), *says, "{values:?}");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, Some(r#"Bearer realm="tokens", error="invalid_request""#));
            assert!(!answer.body.contains(&live));
        }
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_unhashed() {
    let host = Host::new(4);
    let (live, _) = host.full("alice").await;
    host.store_is_down.store(true, Ordering::Relaxed);
    let uri = format!("/found?access_token={live}");
    let answer = call(&router(&host), request("GET", &uri, None)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn other_schemes_are_asked_for_a_bearer_token_without_an_error() {
    let host = Host::new(5);
    let router = router(&host);
    let nothing = call(&router, request("GET", "/any", None)).await;
    assert_eq!((nothing.status.as_u16(), nothing.code().as_str()), (401, "no_credentials"));
    assert_eq!(nothing.header("www-authenticate"), Some(r#"Bearer realm="tokens""#));
    let mut basic = request("GET", "/any", None);
    basic.headers_mut().insert("authorization", HeaderValue::from_static("Basic YTpi"));
    assert_eq!(call(&router, basic).await, nothing);
}

#[tokio::test]
async fn a_store_that_is_away_is_no_verdict() {
    let host = Host::new(6);
    let router = router(&host);
    let (live, _) = host.full("alice").await;
    host.store_is_down.store(true, Ordering::Relaxed);
    for uri in ["/any", "/found", "/read"] {
        let answer = call(&router, request("GET", uri, Some(&live))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert_eq!(call(&router, request("GET", "/found", Some("ghp_x"))).await.body, "not ours");
    host.store_is_down.store(false, Ordering::Relaxed);
    assert_eq!(call(&router, request("GET", "/any", Some(&live))).await.body, "alice");
}

#[tokio::test]
async fn a_strict_layer_always_asks_the_store() {
    let host = Host::new(7);
    let layer = BearerLayer::new(host.tokens.clone());
    let (fast, strict) = (behind(layer.clone()), behind(layer.strict()));
    let (live, _) = host.full("alice").await;
    assert_eq!(call(&strict, request("GET", "/any", Some(&live))).await.body, "alice");
    host.store_is_down.store(true, Ordering::Relaxed);
    assert_eq!(call(&fast, request("GET", "/any", Some(&live))).await.status, 200);
    assert_eq!(call(&strict, request("GET", "/any", Some(&live))).await.status, 503);
}

#[tokio::test]
async fn a_missing_scope_is_named_and_what_is_held_is_not() {
    let host = Host::new(8);
    let layer = BearerLayer::new(host.tokens.clone());
    let router = behind(layer.with_answers(Answers::new("chat").unwrap()));
    let (reader, _) = host.scoped("alice", ReadWrite::Read).await;
    assert_eq!(call(&router, request("GET", "/read", Some(&reader))).await.body, "read");
    let answer = call(&router, request("POST", "/write", Some(&reader))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "insufficient_scope"));
    let challenge = r#"Bearer realm="chat", error="insufficient_scope", scope="write""#;
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    assert!(!answer.body.contains("read"), "{}", answer.body);
}

#[tokio::test]
async fn an_owner_without_the_right_lends_it_to_no_token() {
    let host = Host::new(9);
    let layer = BearerLayer::new(host.tokens.clone()).with_directory(host.directory.clone());
    let router = behind(layer);
    let (alice, _) = host.full("alice").await;
    let (reader, _) = host.full("reader").await;
    let (nobody, _) = host.full("gone").await;
    assert_eq!(call(&router, request("POST", "/write", Some(&alice))).await.status, 200);
    assert_eq!(call(&router, request("GET", "/read", Some(&reader))).await.status, 200);
    let refused = call(&router, request("POST", "/write", Some(&reader))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
    assert_eq!(call(&router, request("GET", "/read", Some(&nobody))).await.status, 403);
    host.directory.down.store(true, Ordering::Relaxed);
    let answer = call(&router, request("GET", "/read", Some(&alice))).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(call(&router, request("GET", "/any", Some(&alice))).await.status, 200);
}

#[tokio::test]
async fn the_address_is_the_hosts_or_the_peers_and_never_a_header() {
    let host = Host::new(10);
    let router = router(&host);
    let mut bound = IssueRequest::new(owner_id("alice"), Grant::Full);
    bound.constraints = Constraints::from_addresses(vec!["192.0.2.0/24".parse().unwrap()]);
    let (bound, _) = host.issue(bound).await;
    let status = async |from: Option<&str>, peer: Option<&str>, indexed: &str| {
        let mut request = request("GET", "/any", Some(&bound));
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        request.headers_mut().insert("forwarded", HeaderValue::from_static("for=192.0.2.7"));
        if let Some(from) = from {
            request.extensions_mut().insert(ClientAddress(from.parse().unwrap()));
        }
        if let Some(peer) = peer {
            let peer = SocketAddr::new(peer.parse().unwrap(), 4000);
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        (call(&router, request).await.status.as_u16(), indexed.to_owned())
    };
    for indexed in ["not in the index", "in the index"] {
        let says = |status: u16| (status, indexed.to_owned());
        assert_eq!(status(None, None, indexed).await, says(401));
        assert_eq!(status(None, Some("198.51.100.1"), indexed).await, says(401));
        assert_eq!(status(Some("198.51.100.1"), Some("192.0.2.7"), indexed).await, says(401));
        assert_eq!(status(None, Some("192.0.2.7"), indexed).await, says(200));
        assert_eq!(status(Some("::ffff:192.0.2.7"), Some("::1"), indexed).await, says(200));
    }
}

#[tokio::test]
async fn a_token_is_hidden_from_whoever_prints_the_request() {
    let host = Host::new(11);
    let (live, _) = host.full("alice").await;
    let layer = BearerLayer::new(host.tokens.clone());
    let printed =
        Router::new().route("/", get(async |request: Request| format!("{request:?}"))).layer(layer);
    let answer = call(&printed, request("GET", "/", Some(&live))).await;
    assert!(answer.body.contains("authorization"), "{}", answer.body);
    assert!(!answer.body.contains(&live[8..]), "{}", answer.body);
}

/// The service behind the layer in the count of allocations.
#[derive(Clone)]
struct Nothing;

impl Service<http::Request<()>> for Nothing {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn a_token_in_use_costs_the_layer_the_box_of_its_evidence() {
    let host = Host::new(12);
    let (live, _) = host.full("alice").await;
    let mut service = BearerLayer::new(host.tokens.clone()).layer(Nothing);
    let request = || {
        let bearer = format!("Bearer {live}");
        let request = http::Request::builder().header("authorization", bearer);
        // The extensions' table is there already, as it is on axum.
        request.extension(7_u8).body(()).unwrap()
    };
    for _ in 0..2 {
        assert_eq!(service.call(request()).await.unwrap().status(), 200);
    }
    let prepared = request();
    let mut future = None;
    let counted = allocation_counter::measure(|| future = Some(service.call(prepared)));
    assert_eq!(counted.count_total, 1);
    assert_eq!(future.unwrap().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_need_that_is_met_costs_a_route_no_allocation() {
    let host = Host::new(20);
    let (live, _) = host.full("alice").await;
    let layer = BearerLayer::new(host.tokens.clone());
    let needing = Routes::new().get("/", Need::Scope(ReadWrite::Read), async || ());
    let needing = allocations(needing.into_router(&layer), Some(&live));
    let without = Router::new().route("/", get(async || ()).route_layer(layer));
    let without = allocations(without, Some(&live));
    assert!(without > 0);
    assert_eq!(needing, without);
}

#[tokio::test]
async fn a_declared_route_costs_what_any_layer_does() {
    let bare = || Router::new().route("/", get(async || ()));
    let declared = [Declared::new(Method::GET, "/", Need::<ReadWrite>::Public)];
    let without = allocations(bare().layer(Identity::new()), None);
    assert!(without > 0);
    assert_eq!(allocations(guard(&declared, bare()), None), without);
}

/// How often an answer to `GET /` allocates.
fn allocations(router: Router, token: Option<&str>) -> u64 {
    // As `axum::serve` does, so that no layer is applied anew for each request.
    let mut router = router.with_state(());
    let mut counted = 0;
    // The first time the token comes into use.
    for _ in 0..2 {
        let request = request("GET", "/", token);
        let mut answered = None;
        let answering = || answered = Some(block_on(router.call(request)).unwrap().status());
        counted = allocation_counter::measure(answering).count_total;
        assert_eq!(answered, Some(StatusCode::OK));
    }
    counted
}

#[tokio::test]
async fn an_undeclared_route_is_closed_and_its_handler_never_runs() {
    let host = Host::new(13);
    let ran = Arc::new(AtomicBool::new(false));
    let run = {
        let ran = Arc::clone(&ran);
        async move || ran.store(true, Ordering::Relaxed)
    };
    let routes: Routes<ReadWrite> =
        Routes::new().get("/read", Need::Scope(ReadWrite::Read), async || "read");
    let routes = routes.under("/api").get("/health", Need::Public, async || "well");
    let declared = routes.declared();
    let forgotten = Router::new().route("/{name}", get(run.clone()).post(run.clone()));
    let router = routes
        .into_router(&BearerLayer::new(host.tokens.clone()))
        .route("/health", axum::routing::delete(run.clone()))
        .nest("/forgotten", forgotten)
        .route("/bare", get(run));
    let router = guard(&declared, router);

    assert_eq!(call(&router, request("GET", "/health", None)).await.body, "well");
    assert_eq!(call(&router, request("HEAD", "/health", None)).await.status, 200);
    assert_eq!(call(&router, request("GET", "/api/read", None)).await.status, 401);
    for (method, uri) in [("GET", "/bare"), ("GET", "/forgotten/a"), ("POST", "/forgotten/a")] {
        let answer = call(&router, request(method, uri, None)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "undeclared_route"));
    }
    let answer = call(&router, request("DELETE", "/health", None)).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(call(&router, request("GET", "/nowhere", None)).await.status, 404);
    assert!(!ran.load(Ordering::Relaxed));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_to_everybody() {
    let host = Host::new(14);
    let router = router(&host);
    for token in [None, Some("chatp_broken")] {
        assert_eq!(call(&router, request("GET", "/nowhere", token)).await.status, 404);
        assert_eq!(call(&router, request("DELETE", "/read", token)).await.status, 405);
    }
}

#[tokio::test]
async fn a_route_that_forgets_its_need_is_reported() {
    let host = Host::new(15);
    let (powerless, _) = host.scoped("alice", ReadWrite::Read).await;
    let enforced: Routes<ReadWrite> = Routes::new()
        .get("/any/{id}", Need::Token, async || "any")
        .post("/write", Need::Scope(ReadWrite::Write), async || "written");
    let mut declared = enforced.declared();
    let router = enforced.into_router(&BearerLayer::new(host.tokens.clone()));
    let found = unguarded_routes(&declared, &router, &powerless).await.unwrap();
    assert_eq!(found, []);

    let router = router.route("/open", get(async || "open"));
    declared.push(Declared::new(Method::GET, "/open", Need::Scope(ReadWrite::Read)));
    let found = unguarded_routes(&declared, &router, &powerless).await.unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "GET /open served a request that presents nothing",
            "GET /open served a request that presents a token without the scope",
        ]
    );
}

#[tokio::test]
async fn a_handler_without_the_layer_is_closed() {
    let host = Host::new(16);
    let (live, _) = host.full("alice").await;
    let bare = Router::new()
        .route("/", get(async |caller: Authenticated<ReadWrite>| caller.owner().to_string()))
        .route("/maybe", get(async |_: Option<Authenticated<ReadWrite>>| "served"));
    for uri in ["/", "/maybe"] {
        let answer = call(&bare, request("GET", uri, Some(&live))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "no_evidence"));
    }
    // Evidence of another service is none.
    let other = BearerLayer::new(Host::new(17).tokens);
    let verified = host.tokens.authenticate(&live, &keyfob::Access::any()).await.unwrap();
    let mut request = request("GET", "/", None);
    request.extensions_mut().insert(other.evidence(verified));
    assert_eq!(call(&bare, request).await.code(), "no_evidence");
}

#[tokio::test]
async fn a_handler_learns_who_calls_with_what() {
    let host = Host::new(19);
    let session = host.session("alice").await;
    let told = async |caller: Authenticated<ReadWrite>| {
        assert_eq!(caller.kind(), Some(&Kind::session()));
        assert_eq!(caller.grant(), Some(&Grant::Full));
        assert_eq!(caller.owner().as_str(), "alice");
        let rights = Grant::only([ReadWrite::Read]).unwrap();
        caller.permits(&ReadWrite::Read, &rights).unwrap();
        caller.permits(&ReadWrite::Write, &rights)
    };
    let router = Router::new().route("/", get(told)).layer(BearerLayer::new(host.tokens.clone()));
    let answer = call(&router, request("GET", "/", Some(&session))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "insufficient_scope"));
}

#[tokio::test]
async fn evidence_that_the_host_found_elsewhere_serves_the_same_handlers() {
    let host = Host::new(18);
    let (live, _) = host.full("alice").await;
    let layer = BearerLayer::new(host.tokens.clone());
    let bare = Router::new()
        .route("/", get(async |caller: Authenticated<ReadWrite>| caller.owner().to_string()));
    let verified = host.tokens.authenticate(&live, &keyfob::Access::any()).await.unwrap();
    let mut request = http::Request::new(Body::empty());
    request.extensions_mut().insert(layer.evidence(verified));
    assert_eq!(call(&bare, request).await.body, "alice");
}

/// What was logged.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_logged_while_a_request_is_served_names_its_token_by_id() {
    let host = Host::new(1);
    let (text, row) = host.full("alice").await;
    let speaking = async || {
        tracing::info!("begun");
        tokio::task::yield_now().await;
        tracing::info!("gone on");
    };
    let router =
        Router::new().route("/", get(speaking)).layer(BearerLayer::new(host.tokens.clone()));
    // What is said for the first time in a thread of another test, while a subscriber is set here, may
    // stay unheard for good: `tracing` keeps that nobody listens. So all is said once before.
    let (other, _) = host.full("bob").await;
    assert_eq!(call(&router, request("GET", "/", Some(&other))).await.status, 200);
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // The first is asked of the store, the second is found in the index; the third has no token.
    for token in [Some(text.as_str()), Some(text.as_str()), None] {
        assert_eq!(call(&router, request("GET", "/", token)).await.status, 200);
    }
    tracing::info!("outside");
    let lines = heard.lines();
    let said = |word: &str| lines.iter().filter(|line| line.ends_with(word)).collect::<Vec<_>>();
    let span = format!("token{{id={}}}:", row.id);
    for word in ["begun", "gone on"] {
        let spans: Vec<bool> = said(word).iter().map(|line| line.contains(&span)).collect();
        assert_eq!(spans, [true, true, false], "{lines:#?}");
    }
    assert!(said("outside").iter().all(|line| !line.contains("token{")), "{lines:#?}");
    let secret = &text[text.len() - 38..];
    assert!(lines.iter().all(|line| !line.contains(secret)), "{lines:#?}");
}
