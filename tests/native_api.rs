//! The native JSON API, called as a client would, with every answer held against its own
//! description.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

mod common;
mod web;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, Request};
use keyfob::core::lifecycle::revoke;
use keyfob::http::{Declared, Need, guard, unguarded_routes};
use keyfob::wire::native::{Native, Needs};
use keyfob::{Actor, Grant, IssueRequest, Kind, ReadWrite};
use serde_json::{Value, json};
use web::{Answer, Host, call, owner_id};

struct Api {
    host: Host,
    router: Router,
    document: Value,
    declared: Vec<Declared<ReadWrite>>,
}

impl Api {
    fn new(seed: u64) -> Self {
        Self::over(Host::new(seed))
    }

    fn over(host: Host) -> Self {
        let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let native = Native::new(host.tokens.clone(), host.directory.clone(), needs);
        let document = serde_json::from_str(&native.openapi()).unwrap();
        let declared = native.routes::<()>().declared();
        Self { host, router: guard(&declared, native.into_router()), document, declared }
    }

    /// Calls, and holds the answer against the document.
    async fn call(&self, call: &str, token: &str, body: Option<Value>) -> Answer {
        self.send(call, token, body.map(|body| body.to_string()), &[]).await
    }

    async fn send(
        &self,
        route: &str,
        token: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let (method, uri) = route.split_once(' ').unwrap();
        let mut request = web::request(method, uri, Some(token));
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        if let Some(body) = body {
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body);
        }
        let answer = call(&self.router, request).await;
        self.check(method, uri, &answer);
        answer
    }

    fn check(&self, method: &str, uri: &str, answer: &Answer) {
        let path = uri.split('?').next().unwrap();
        let paths = self.document["paths"].as_object().unwrap();
        let mut fitting = paths.iter().filter(|(template, _)| fits(template, path));
        let (_, operations) = fitting.next().unwrap_or_else(|| panic!("{uri} is not described"));
        assert!(fitting.next().is_none());
        let operation = &operations[method.to_lowercase()];
        let responses = &operation["responses"];
        let response =
            responses.get(answer.status.as_str()).unwrap_or_else(|| &responses["default"]);
        match response.get("content").and_then(Value::as_object) {
            None => assert_eq!(answer.body, "", "{method} {uri}"),
            Some(content) => {
                let (media_type, body) = content.iter().next().unwrap();
                assert_eq!(answer.header("content-type"), Some(media_type.as_str()));
                let said = conforms(&answer.json(), &body["schema"], &self.document);
                assert_eq!(said, Ok(()), "{method} {uri}: {}", answer.body);
            }
        }
    }

    async fn create(&self, token: &str, body: Value) -> (String, String) {
        let answer = self.call("POST /tokens", token, Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        (body["token"].as_str().unwrap().into(), body["id"].as_str().unwrap().into())
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(t, p)| t == p || (t.starts_with('{') && *p != "current"))
}

/// Whether a value is what a schema describes, as far as this document's schemas go.
fn conforms(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let schema = document.pointer(name.trim_start_matches('#')).ok_or(name)?;
        return conforms(value, schema, document);
    }
    if let Some(options) = schema.get("oneOf").and_then(Value::as_array) {
        let fitting = options.iter().filter(|option| conforms(value, option, document).is_ok());
        return match fitting.count() {
            1 => Ok(()),
            count => Err(format!("{value} is {count} of {schema}")),
        };
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        return Err(format!("{value} is none of {words:?}"));
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|name| name == is),
        Some(name) => name == is,
        None => return Err(format!("no type in {schema}")),
    };
    if !named {
        return Err(format!("{value} is not of {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], document)?;
    }
    let (Some(object), Some(properties)) =
        (value.as_object(), schema.get("properties").and_then(Value::as_object))
    else {
        return Ok(());
    };
    assert_eq!(schema["additionalProperties"], false, "{schema}");
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        object.get(key.as_str().unwrap_or_default()).ok_or_else(|| format!("no {key}"))?;
    }
    for (key, value) in object {
        conforms(value, properties.get(key).ok_or_else(|| format!("{key} is extra"))?, document)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_created_shown_listed_and_ended() {
    let api = Api::new(1);
    let session = api.host.session("alice").await;
    let body = json!({
        "name": "backup", "note": "nightly\nat two", "scopes": ["read"], "expires_in": 3600,
        "addresses": ["192.0.2.0/24", "2001:db8::1"],
    });
    let created = api.call("POST /tokens", &session, Some(body)).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("cache-control"), Some("no-store"));
    let token = created.json();
    let id = token["id"].as_str().unwrap();
    let location = format!("/tokens/{id}");
    assert_eq!(created.header("location"), Some(location.as_str()));
    assert_eq!(token["owner"], "alice");
    assert_eq!(token["kind"], "personal");
    assert_eq!(token["scopes"], json!(["read"]));
    assert_eq!(token["state"], "active");
    assert_eq!(token["created_at"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(token["expires_at"], "2027-01-15T09:00:00.000000Z");
    assert_eq!(token["not_before"], Value::Null);
    assert_eq!(token["addresses"], json!(["192.0.2.0/24", "2001:db8::1/128"]));
    assert_eq!(token["creator"]["owner"], "alice");
    let secret = token["token"].as_str().unwrap();
    assert!(secret.ends_with(token["hint"].as_str().unwrap()));

    let keys: Vec<&str> = created.body.split("\":").filter_map(|s| s.rsplit('"').next()).collect();
    let order = [
        "id",
        "kind",
        "name",
        "note",
        "owner",
        "scopes",
        "state",
        "created_at",
        "not_before",
        "expires_at",
        "last_used_at",
        "last_used_from",
        "use_count",
        "hint",
        "generation",
        "overlap_ends_at",
        "ended",
        "creator",
        "owner",
        "token",
        "addresses",
        "rate",
        "uses",
        "spent",
        "token",
    ];
    assert_eq!(keys[..order.len()], order);

    let shown = api.call(&format!("GET {location}"), &session, None).await;
    let mut without = token.clone();
    without.as_object_mut().unwrap().remove("token");
    assert_eq!(shown.json(), without);
    let listed = api.call("GET /tokens?name=backup", &session, None).await;
    assert_eq!(listed.json(), json!({"tokens": [without], "next": null}));

    let body = Some(json!({"why": "no longer needed"}));
    let blocked = api.call(&format!("POST {location}/deactivate"), &session, body).await;
    assert_eq!(blocked.json()["state"], "deactivated");
    assert_eq!(blocked.json()["ended"]["why"], "no longer needed");
    assert_eq!(blocked.json()["ended"]["by"]["owner"], "alice");
    let back = api.call(&format!("POST {location}/reactivate"), &session, None).await;
    assert_eq!((&back.json()["state"], &back.json()["ended"]), (&json!("active"), &Value::Null));
    let gone = api.call(&format!("DELETE {location}"), &session, None).await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (204, ""));
    assert_eq!(api.call(&format!("DELETE {location}"), &session, None).await.status, 204);
    let shown = api.call(&format!("GET {location}"), &session, None).await;
    assert_eq!(shown.json()["state"], "revoked");
    let body = Some(json!({"name": "again"}));
    let refused = api.call(&format!("PATCH {location}"), &session, body).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "revoked"));
}

#[tokio::test]
async fn limits_are_asked_for_shown_and_narrowed() {
    let api = Api::new(2);
    let session = api.host.session("alice").await;
    let body = json!({"rate": {"uses": 10, "seconds": 60}, "uses": 5, "addresses": ["0.0.0.0/0"]});
    let made = api.call("POST /tokens", &session, Some(body)).await.json();
    assert_eq!(made["rate"], json!({"uses": 10, "seconds": 60}));
    assert_eq!((&made["uses"], &made["spent"]), (&json!(5), &json!(0)));
    let route = format!("PATCH /tokens/{}", made["id"].as_str().unwrap());
    let narrowed = api.call(&route, &session, Some(json!({"uses": 2}))).await.json();
    assert_eq!(narrowed["rate"], made["rate"], "what is not spoken of stays");
    assert_eq!(narrowed["addresses"], made["addresses"]);
    assert_eq!(narrowed["uses"], 2);
    for (body, status, code, field) in [
        (json!({"uses": 3}), 409, "wider", "uses"),
        (json!({"rate": {"uses": 11, "seconds": 60}}), 409, "wider", "rate"),
        (json!({"rate": {"uses": 0, "seconds": 60}}), 400, "wrong_type", "rate"),
        (json!({"rate": {"uses": 1, "seconds": 60, "burst": 9}}), 400, "wrong_type", "rate"),
        (json!({"rate": [10, 60]}), 400, "wrong_type", "rate"),
        (json!({"uses": 0}), 400, "wrong_type", "uses"),
        (json!({"uses": "2"}), 400, "wrong_type", "uses"),
    ] {
        let refused = api.call(&route, &session, Some(body)).await;
        assert_eq!(refused.status, status, "{}", refused.body);
        assert_eq!(
            (refused.code().as_str(), refused.json()["field"].as_str()),
            (code, Some(field))
        );
    }
}

#[tokio::test]
async fn a_secret_is_in_the_answer_that_makes_it_and_in_no_other() {
    let api = Api::new(2);
    let session = api.host.session("alice").await;
    let (first, id) = api.create(&session, json!({"name": "a"})).await;
    let rotated = api
        .call(&format!("POST /tokens/{id}/rotate"), &session, Some(json!({"overlap_seconds": 60})))
        .await;
    assert_eq!((rotated.status.as_u16(), rotated.header("cache-control")), (200, Some("no-store")));
    let second = rotated.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(rotated.json()["generation"], 2);
    assert_eq!(rotated.json()["overlap_ends_at"], "2027-01-15T08:01:00.000000Z");
    for secret in [&first, &second] {
        assert_eq!(api.call("GET /tokens/current", secret, None).await.status, 200);
    }
    for route in [
        format!("GET /tokens/{id}"),
        "GET /tokens".to_owned(),
        "GET /tokens/current".to_owned(),
        format!("POST /tokens/{id}/deactivate"),
        format!("POST /tokens/{id}/reactivate"),
        "GET /openapi.json".to_owned(),
        format!("DELETE /tokens/{id}"),
    ] {
        let answer = api.call(&route, &session, None).await;
        assert!(answer.status.is_success(), "{route}");
        for secret in [&first, &second, &session] {
            let secret = secret.rsplit('_').next().unwrap();
            assert!(!answer.body.contains(secret), "{route}");
            assert!(!answer.headers.iter().any(|(_, value)| value.contains(secret)), "{route}");
        }
    }
}

#[tokio::test]
async fn somebody_elses_token_is_the_same_as_none() {
    let api = Api::new(3);
    let (alice, bob) = (api.host.session("alice").await, api.host.session("bob").await);
    let (_, id) = api.create(&bob, json!({"name": "bobs"})).await;
    let unknown = Host::new(99).full("alice").await.1.id;
    for (method, end) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/deactivate"),
        ("POST", "/reactivate"),
        ("POST", "/rotate"),
    ] {
        let body = (method == "PATCH").then(|| json!({"name": "mine"}));
        let mut answers = Vec::new();
        for id in [id.as_str(), &unknown.to_string(), "nonsense", "%ff", "0"] {
            let route = format!("{method} /tokens/{id}{end}");
            answers.push(api.call(&route, &alice, body.clone()).await);
        }
        assert_eq!(answers[0].status, 404);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{method} {end}");
    }
    let listed = api.call("GET /tokens", &alice, None).await;
    assert!(!listed.body.contains(&id));
    // Whether there is such an account is not said either.
    for route in ["GET /tokens?owner=", "POST /tokens?owner=", "POST /owners/", "POST /owners/"] {
        let end = if route.ends_with("owners/") { "/deactivate" } else { "" };
        let body = (route == "POST /tokens?owner=").then(|| json!({}));
        let known = api.call(&format!("{route}bob{end}"), &alice, body.clone()).await;
        let none = api.call(&format!("{route}nobody{end}"), &alice, body).await;
        assert_eq!((known.status.as_u16(), known.code().as_str()), (403, "administrators_only"));
        assert_eq!(known, none);
    }
    let shown = api.call(&format!("GET /tokens/{id}"), &bob, None).await;
    assert_eq!((&shown.json()["name"], &shown.json()["state"]), (&json!("bobs"), &json!("active")));
}

#[tokio::test]
async fn an_administrator_reaches_everybodys() {
    let api = Api::new(4);
    let (admin, bob) = (api.host.session("admin").await, api.host.session("bob").await);
    let created =
        api.call("POST /tokens?owner=bob", &admin, Some(json!({"name": "for bob"}))).await;
    assert_eq!((created.status.as_u16(), &created.json()["owner"]), (201, &json!("bob")));
    assert_eq!(created.json()["creator"]["owner"], "admin");
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let token = created.json()["token"].as_str().unwrap().to_owned();
    let listed = api.call("GET /tokens?owner=bob&kind=personal", &admin, None).await;
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(api.call(&format!("GET /tokens/{id}"), &admin, None).await.status, 200);
    for route in ["GET /tokens?owner=nobody", "POST /owners/nobody/deactivate"] {
        assert_eq!(api.call(route, &admin, None).await.code(), "not_found");
    }

    let why = Some(json!({"why": "left"}));
    let blocked = api.call("POST /owners/bob/deactivate", &admin, why).await;
    assert_eq!(
        (&blocked.json()["id"], &blocked.json()["state"]),
        (&json!("bob"), &json!("deactivated"))
    );
    for text in [&bob, &token] {
        assert_eq!(api.call("GET /tokens/current", text, None).await.status, 401);
    }
    let created = api.call("POST /tokens?owner=bob", &admin, Some(json!({}))).await;
    assert_eq!((created.status.as_u16(), created.code().as_str()), (409, "owner_not_active"));
    let back = api.call("POST /owners/bob/reactivate", &admin, None).await;
    assert_eq!(back.json()["state"], "active");
    assert_eq!(api.call("GET /tokens/current", &token, None).await.status, 200);
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_name_and_change_nothing() {
    let api = Api::new(5);
    let session = api.host.session("alice").await;
    let (_, id) = api.create(&session, json!({"name": "a", "scopes": ["read"]})).await;
    let before = api.call("GET /tokens", &session, None).await;
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let table: [(&str, &str, u16, &str, Option<&str>); 13] = [
        ("{\"name\":\"x\",\"name\":\"y\"}", "PATCH", 400, "duplicate_key", Some("name")),
        ("{\"name\":\"x\",\"\\u006eame\":\"y\"}", "POST", 400, "duplicate_key", Some("name")),
        ("{\"name\":7}", "POST", 400, "wrong_type", Some("name")),
        ("{\"scopes\":{}}", "PATCH", 400, "wrong_type", Some("scopes")),
        ("{\"scopes\":[\"admin\"]}", "POST", 400, "unknown_scope", Some("scopes")),
        ("{\"owner\":\"bob\"}", "POST", 400, "unknown_key", Some("owner")),
        ("{\"kind\":\"session\"}", "POST", 400, "unknown_key", Some("kind")),
        ("{\"state\":\"active\"}", "PATCH", 400, "unknown_key", Some("state")),
        ("{\"bypass_two_factor\":true}", "POST", 400, "unknown_key", Some("bypass_two_factor")),
        (&deep, "POST", 400, "malformed_json", None),
        ("\u{feff}{}", "POST", 400, "malformed_json", None),
        ("\"x\"", "PATCH", 400, "wrong_type", None),
        ("", "PATCH", 400, "malformed_json", None),
    ];
    for (body, method, status, code, field) in table {
        let route = if method == "POST" { "POST /tokens" } else { &format!("PATCH /tokens/{id}") };
        let answer = api.send(route, &session, Some(body.to_owned()), &[]).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{shown}");
        assert_eq!(answer.json().get("field").and_then(Value::as_str), field, "{shown}");
    }
    let large = format!("{{\"note\":\"{}\"}}", "a".repeat(1 << 20));
    let answer = api.send("POST /tokens", &session, Some(large), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "body_too_large"));
    let form = Request::post("/tokens")
        .header("authorization", format!("Bearer {session}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("{}"))
        .unwrap();
    let answer = call(&api.router, form).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "unsupported_media_type"));
    for query in ["?limit=1000", "?owner=alice&owner=bob", "?page=2", "?cursor=abc", "?order=owner"]
    {
        let answer = api.call(&format!("GET /tokens{query}"), &session, None).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let answer = api.call(&format!("GET /tokens/{id}?verbose"), &session, None).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "unknown_key"));
    assert_eq!(api.call("GET /tokens", &session, None).await, before);
}

#[tokio::test]
async fn a_token_is_narrowed_and_never_widened() {
    let api = Api::new(6);
    let session = api.host.session("alice").await;
    let (secret, id) = api.create(&session, json!({"scopes": ["write"], "expires_in": 7200})).await;
    let route = format!("PATCH /tokens/{id}");
    let body = json!({
        "name": "narrower", "scopes": ["read"], "expires_at": "2027-01-15T10:00:00+01:00",
        "addresses": ["192.0.2.7"],
    });
    let narrowed = api.call(&route, &session, Some(body)).await.json();
    assert_eq!((&narrowed["name"], &narrowed["scopes"]), (&json!("narrower"), &json!(["read"])));
    assert_eq!(narrowed["expires_at"], "2027-01-15T09:00:00.000000Z");
    assert_eq!(narrowed["addresses"], json!(["192.0.2.7/32"]));
    for (body, field) in [
        (json!({"scopes": "full", "name": "wider"}), "scopes"),
        (json!({"scopes": ["write"]}), "scopes"),
        (json!({"expires_at": "2027-01-15T09:00:01Z"}), "expires_at"),
        (json!({"addresses": ["192.0.2.0/24"]}), "addresses"),
    ] {
        let answer = api.call(&route, &session, Some(body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "wider"));
        assert_eq!(answer.json()["field"], field);
    }
    let unchanged = api.call(&route, &session, Some(json!({}))).await.json();
    assert_eq!(unchanged, narrowed);
    assert_eq!(api.call("GET /tokens/current", &secret, None).await.status, 401);
}

#[tokio::test]
async fn a_request_that_is_repeated_issues_once() {
    let api = Api::new(7);
    let (alice, bob) = (api.host.session("alice").await, api.host.session("bob").await);
    let body = || Some("{\"name\":\"once\"}".to_owned());
    let key = [("idempotency-key", "5f1c")];
    let first = api.send("POST /tokens", &alice, body(), &key).await;
    assert_eq!(first.status, 201);
    let again = api.send("POST /tokens", &alice, body(), &key).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "already_issued"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert!(!again.body.contains(first.json()["token"].as_str().unwrap()));
    // Keys are each owner's own.
    assert_eq!(api.send("POST /tokens", &bob, body(), &key).await.status, 201);
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(api.send("POST /tokens", &alice, body(), &twice).await.status, 400);
    let listed = api.call("GET /tokens?name=once", &alice, None).await;
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn pages_show_each_token_once_in_order() {
    let api = Api::new(8);
    let session = api.host.session("alice").await;
    for number in 0..7 {
        api.create(&session, json!({"name": format!("t{number}")})).await;
        api.host.clock.advance(chrono::TimeDelta::seconds(1));
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let route = format!("GET /tokens?kind=personal&order=created&limit=3{cursor}");
        let page = api.call(&route, &session, None).await.json();
        for token in page["tokens"].as_array().unwrap() {
            names.push(token["name"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]);
    let newest = api.call("GET /tokens?kind=personal&limit=1", &session, None).await.json();
    assert_eq!(newest["tokens"][0]["name"], "t6");
}

#[tokio::test]
async fn a_token_shows_no_secret_that_is_worth_more_than_its_own() {
    let api = Api::new(9);
    let session = api.host.session("alice").await;
    let (_, strong) = api.create(&session, json!({"name": "strong"})).await;
    let (writer, own) = api.create(&session, json!({"scopes": ["write"]})).await;
    let rotate = |id: &str| format!("POST /tokens/{id}/rotate");

    // By default a personal token issues nothing, and rotates itself without a longer life.
    let answer = api.call("POST /tokens", &writer, Some(json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "minting_forbidden"));
    let answer = api.call(&rotate(&strong), &writer, None).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "minting_forbidden"));
    let answer = api.call(&rotate(&own), &writer, Some(json!({"expires_in": 60}))).await;
    assert_eq!(answer.code(), "minting_forbidden");
    let answer = api.call(&rotate(&own), &writer, None).await;
    assert_eq!(answer.status, 200);
    let writer = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(api.call("GET /tokens/current", &writer, None).await.status, 200);

    // Not even a session, if it holds less.
    let grant = Grant::only([ReadWrite::Write]).unwrap();
    let request = IssueRequest::new(owner_id("alice"), grant).of_kind(Kind::session());
    let (weak, _) = api.host.issue(request).await;
    let answer = api.call(&rotate(&strong), &weak, None).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "grant_exceeded"));
    assert_eq!(api.call(&rotate(&own), &weak, None).await.status, 200);
    let answer = api.call("POST /tokens", &weak, Some(json!({"scopes": "full"}))).await;
    assert_eq!(
        (answer.code().as_str(), &answer.json()["field"]),
        ("grant_exceeded", &json!("scopes"))
    );
    let answer = api.call("POST /tokens", &weak, Some(json!({}))).await;
    assert_eq!(answer.json()["scopes"], json!(["write"]));
    let answer = api.call(&rotate(&strong), &session, Some(json!({"expires_in": 60}))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["generation"]), (200, &json!(2)));
}

#[tokio::test]
async fn rules_are_named_with_their_field() {
    let api = Api::new(10);
    let session = api.host.session("alice").await;
    for (body, status, code, field) in [
        (json!({"expires_at": null}), 422, "never_forbidden", "expires_at"),
        (json!({"expires_in": 40_000_000}), 422, "lifetime_too_long", "expires_at"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), 422, "expiry_not_in_future", "expires_at"),
        (
            json!({"expires_in": 60, "not_before": "2027-01-15T09:00:00Z"}),
            422,
            "never_valid",
            "not_before",
        ),
    ] {
        let answer = api.call("POST /tokens", &session, Some(body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
        assert_eq!(answer.json()["field"], field);
    }
    let (_, id) = api.create(&session, json!({})).await;
    let route = format!("POST /tokens/{id}/rotate");
    let answer = api.call(&route, &session, Some(json!({"overlap_seconds": 604_801}))).await;
    assert_eq!(
        (answer.code().as_str(), &answer.json()["field"]),
        ("overlap_too_long", &json!("overlap_seconds"))
    );
    api.call(&format!("POST /tokens/{id}/deactivate"), &session, None).await;
    let answer = api.call(&route, &session, None).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "deactivated"));
    for _ in 0..49 {
        api.create(&session, json!({})).await;
    }
    let answer = api.call("POST /tokens", &session, Some(json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "quota_reached"));
}

#[tokio::test]
async fn any_live_token_may_look_at_itself_and_end_itself() {
    let api = Api::new(11);
    let (reader, row) = api.host.scoped("alice", ReadWrite::Read).await;
    let shown = api.call("GET /tokens/current", &reader, None).await;
    assert_eq!(shown.json()["id"], row.id.to_string());
    let refused = api.call(&format!("DELETE /tokens/{}", row.id), &reader, None).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
    assert_eq!(api.call("DELETE /tokens/current", &reader, None).await.status, 204);
    assert_eq!(api.call("GET /tokens/current", &reader, None).await.code(), "invalid_token");
}

#[tokio::test]
async fn trouble_is_503_and_says_when_to_try_again() {
    let api = Api::new(12);
    let session = api.host.session("alice").await;
    let (_, id) = api.create(&session, json!({})).await;
    let routes = [
        ("GET /tokens".to_owned(), None),
        ("POST /tokens".to_owned(), Some(json!({"name": "lost"}))),
        (format!("GET /tokens/{id}"), None),
        (format!("PATCH /tokens/{id}"), Some(json!({"name": "lost"}))),
        (format!("POST /tokens/{id}/rotate"), None),
        (format!("DELETE /tokens/{id}"), None),
    ];
    for down in [&*api.host.store_is_down, &api.host.directory.down] {
        down.store(true, Ordering::Relaxed);
        for (route, body) in &routes {
            let answer = api.call(route, &session, body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
            assert_eq!(answer.header("retry-after"), Some("1"), "{route}");
        }
        down.store(false, Ordering::Relaxed);
    }
    let listed = api.call("GET /tokens?kind=personal", &session, None).await.json();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(listed["tokens"][0]["generation"], 1);
}

#[tokio::test]
async fn every_route_refuses_who_may_not() {
    let api = Api::new(13);
    // A live token of an account that may nothing.
    let (powerless, _) = api.host.full("gone").await;
    let found = unguarded_routes(&api.declared, &api.router, &powerless).await.unwrap();
    assert_eq!(found, []);
    let public: Vec<&str> = api
        .declared
        .iter()
        .filter(|route| route.need == Need::Public)
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(public, ["/openapi.json"]);
}

#[tokio::test]
async fn the_document_lists_the_declared_routes_and_no_others() {
    let api = Api::new(14);
    let served = call(&api.router, web::request("GET", "/openapi.json", None)).await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.json(), api.document);
    assert_eq!(api.document["openapi"], "3.1.0");
    let declared: BTreeSet<String> =
        api.declared.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(declared.len(), 13);
    let (mut listed, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (path, operations) in api.document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            listed.insert(format!("{} {path}", method.to_uppercase()));
            ids.insert(operation["operationId"].as_str().unwrap());
        }
    }
    assert_eq!(listed, declared);
    assert_eq!(ids.len(), 13);
    let security = &api.document["paths"]["/tokens"]["post"]["security"];
    assert_eq!(*security, json!([{"bearer": ["write"]}]));
    // Every name that is referred to is there.
    let text = served.body;
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(api.document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_token_that_ended_elsewhere_makes_nothing_and_is_refused_like_any_other() {
    let api = Api::new(15);
    let request = IssueRequest::new(owner_id("alice"), Grant::Full).of_kind(Kind::session());
    let (session, row) = api.host.issue(request).await;
    let (_, id) = api.create(&session, json!({})).await;
    // Another process revokes it, so that this one's index does not know.
    let now = api.host.tokens.clock().now();
    let revocation = revoke(&row, Actor::host(), None, now).unwrap();
    api.host.tokens.store().apply(&revocation).await.unwrap();
    assert_eq!(api.call("GET /tokens", &session, None).await.status, 200);
    let invalid = api.call("GET /tokens", "chatp_broken", None).await;
    assert_eq!((invalid.status.as_u16(), invalid.code().as_str()), (401, "invalid_token"));
    let rotate = format!("POST /tokens/{id}/rotate");
    for (route, body) in [("POST /tokens", Some(json!({}))), (rotate.as_str(), None)] {
        assert_eq!(api.call(route, &session, body).await, invalid, "{route}");
    }
}
