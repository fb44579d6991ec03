//! The example chat server as its users meet it: over TCP, byte by byte, until it is stopped.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and waits for another process"
)]

#[path = "common/chat_server.rs"]
mod chat_server;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::chat_server::{Answer, BOB, PASSWORD, Server, folder, refusal, text, write_key};

#[test]
fn a_token_lives_from_sign_in_to_revocation_and_no_line_tells_its_secret() {
    lives(Server::start("life", &[], "trace"));
}

#[test]
fn a_token_lives_the_same_in_a_file() {
    lives(Server::start("life_in_a_file", &["--store", "sqlite:life.db"], "trace"));
}

fn lives(server: Server) {
    let session = server.sign_in("bob", PASSWORD);
    let reading = json!({"name": "reader", "scopes": ["read"]});
    let made = server.call("POST", "/tokens", &session, Some(&reading)).is(201).json();
    let (reader, reader_id) = (text(&made["token"]), text(&made["id"]));
    let writing = json!({"name": "writer", "scopes": ["write"], "expires_in": 3600});
    let made = server.call("POST", "/tokens", &session, Some(&writing)).is(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let (writer, writer_id) = (text(&made.json()["token"]), text(&made.json()["id"]));

    let hello = json!({"text": "hello, wörld"});
    let posted = server.call("POST", "/messages", &writer, Some(&hello)).is(201).json();
    assert_eq!(
        (text(&posted["author"]), text(&posted["text"])),
        ("bob".into(), "hello, wörld".into())
    );
    let said = server.call("GET", "/messages", &reader, None).is(200).json();
    assert_eq!(said["messages"], json!([posted]));
    let refused = server.call("POST", "/messages", &reader, Some(&hello)).is(403);
    assert_eq!(refused.json()["code"], "insufficient_scope");
    assert!(refused.header("www-authenticate").unwrap().contains(r#"scope="write""#));
    server.call("POST", "/tokens", &reader, Some(&reading)).is(403);
    let refused = server.call("POST", "/tokens", &writer, Some(&reading)).is(403);
    assert_eq!(refused.json()["code"], "minting_forbidden", "a personal token makes no token");

    let listed = server.call("GET", "/tokens?kind=personal", &reader, None).is(200).json();
    let names: Vec<String> =
        listed["tokens"].as_array().unwrap().iter().map(|token| text(&token["name"])).collect();
    assert_eq!(names, ["writer", "reader"]);

    let works = |token: &str| server.call("GET", "/messages", token, None).status;
    let change = |verb: &str, by: &str| {
        server.call("POST", &format!("/tokens/{writer_id}/{verb}"), by, None)
    };
    change("deactivate", &session).is(200);
    assert_eq!(works(&writer), 401);
    change("reactivate", &writer).is(401);
    change("reactivate", &session).is(200);
    assert_eq!(works(&writer), 200);
    let second = text(&change("rotate", &session).is(200).json()["token"]);
    assert_eq!((works(&writer), works(&second)), (401, 200));

    let administrator = server.sign_in("admin", "the administrator's password");
    let owner = |verb: &str, by: &str| {
        server.call("POST", &format!("/owners/{BOB}/{verb}"), by, None).status
    };
    assert_eq!(owner("deactivate", &session), 403);
    assert_eq!(owner("deactivate", &administrator), 200);
    assert_eq!((works(&second), works(&reader), works(&session)), (401, 401, 401));
    let wrong = server.try_to_sign_in("bob", PASSWORD).is(401).body;
    assert_eq!(server.try_to_sign_in("bob", "guess").is(401).body, wrong, "they look the same");
    assert_eq!(owner("reactivate", &administrator), 200);
    assert_eq!((works(&second), works(&reader), works(&session)), (200, 200, 200));

    let foreign = format!("/tokens/{reader_id}");
    let other = server.sign_in("deploy", PASSWORD);
    server.call("DELETE", &foreign, &other, None).is(404);
    server.call("DELETE", &foreign, &session, None).is(204);
    assert_eq!((works(&reader), works(&second)), (401, 200));
    server.call("DELETE", "/tokens/current", &session, None).is(204);
    assert_eq!((works(&session), works(&second)), (401, 200));

    let output = server.stop();
    let lines = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains(&writer_id), "at `trace` the log tells of tokens by their ids");
    for secret in [session, reader, writer, second, administrator, other] {
        let (_, tail) = secret.rsplit_once('_').unwrap();
        for slice in tail.as_bytes().windows(8) {
            let slice = std::str::from_utf8(slice).unwrap();
            assert!(!lines.contains(slice), "a part of a secret in the output");
        }
    }
    for password in [PASSWORD, "the administrator's password", "guess"] {
        assert!(!lines.contains(password), "a password in the output");
    }
}

#[test]
fn a_restart_loses_nothing_and_a_key_that_does_not_fit_is_refused() {
    let home = folder("kept");
    let store = format!("sqlite:{}", home.join("kept.db").display());
    let store = ["--store", store.as_str()];
    let first = Server::start("restart", &store, "info");
    let session = first.sign_in("bob", PASSWORD);
    let made = |name: &str| {
        let body = json!({"name": name, "scopes": ["read"]});
        let made = first.call("POST", "/tokens", &session, Some(&body)).is(201).json();
        (text(&made["token"]), text(&made["id"]))
    };
    let ((kept, _), (revoked, id), (blocked, blocked_id)) =
        (made("kept"), made("revoked"), made("blocked"));
    first.call("DELETE", &format!("/tokens/{id}"), &session, None).is(204);
    first.call("POST", &format!("/tokens/{blocked_id}/deactivate"), &session, None).is(200);
    first.call("GET", "/messages", &kept, None).is(200);
    let mode = |file: &str| fs::metadata(home.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("kept.db.key"), 0o600);
    first.stop();

    let second = Server::start("restart", &store, "info");
    let works = |token: &str| second.call("GET", "/messages", token, None).status;
    assert_eq!(
        (works(&session), works(&kept), works(&revoked), works(&blocked)),
        (200, 200, 401, 401)
    );
    let listed = second.call("GET", "/tokens?name=kept", &session, None).is(200).json();
    assert!(listed["tokens"][0]["last_used_at"].is_string(), "the last use was forgotten");
    second.stop();

    let other = write_key(&home, "other.key");
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--secret-key", &other];
    arguments.extend(store);
    let told = refusal(&home, &arguments);
    assert!(told.contains("kept.db"), "{told}");
}

#[test]
fn two_processes_on_one_file_are_one_server() {
    let store = folder("pair").join("pair.db");
    let store = format!("sqlite:{}", store.display());
    let arguments = ["--store", store.as_str()];
    let (one, other) =
        (Server::start("one", &arguments, "info"), Server::start("other", &arguments, "info"));
    let session = one.sign_in("bob", PASSWORD);
    let works = |server: &Server, token: &str| server.call("GET", "/messages", token, None).status;
    let made = other.call("POST", "/tokens", &session, Some(&json!({"name": "x"}))).is(201).json();
    let (token, id) = (text(&made["token"]), text(&made["id"]));
    assert_eq!((works(&one, &token), works(&other, &token)), (200, 200));
    one.call("POST", &format!("/tokens/{id}/deactivate"), &session, None).is(200);
    assert_eq!((works(&one, &token), works(&other, &token)), (401, 401));
    other.call("POST", &format!("/tokens/{id}/reactivate"), &session, None).is(200);
    assert_eq!((works(&one, &token), works(&other, &token)), (200, 200));
    other.call("DELETE", &format!("/tokens/{id}"), &session, None).is(204);
    assert_eq!((works(&one, &token), works(&other, &token)), (401, 401));
}

#[test]
fn the_first_lines_are_for_programs() {
    let server = Server::start("first_lines", &[], "info");
    let address = &server.address;
    assert_eq!(server.first_lines[0], format!("listening on http://{address}"));
    let channel = server.first_lines[1].strip_prefix("town-square ").unwrap();
    assert_eq!(channel.len(), 26);
    assert!(channel.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
}

#[test]
fn every_route_that_is_not_public_asks_for_a_token() {
    let server = Server::start("routes", &[], "info");
    let routes = [
        ("GET", "/accounts"),
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("GET", "/tokens"),
        ("POST", "/tokens"),
        ("GET", "/tokens/current"),
        ("DELETE", "/tokens/current"),
        ("GET", "/tokens/0"),
        ("PATCH", "/tokens/0"),
        ("DELETE", "/tokens/0"),
        ("POST", "/tokens/0/deactivate"),
        ("POST", "/tokens/0/reactivate"),
        ("POST", "/tokens/0/rotate"),
        ("POST", "/owners/0/deactivate"),
        ("POST", "/owners/0/reactivate"),
    ];
    for (method, path) in routes {
        let refused = server.call(method, path, "", None);
        assert_eq!(refused.status, 401, "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer realm="chat""#));
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    let described = server.call("GET", "/openapi.json", "", None).is(200).json();
    assert!(described["paths"]["/tokens"].is_object());
    for (product, route) in [
        ("mattermost", "/api/v4/users/tokens"),
        ("rocketchat", "/api/v1/users.getPersonalAccessTokens"),
    ] {
        let path = format!("/openapi/{product}.json");
        let described = server.call("GET", &path, "", None).is(200).json();
        assert!(described["paths"][route].is_object(), "{product}");
    }
    assert_eq!(server.call("GET", "/nothing", "", None).is(404).json()["code"], "not_found");
    let refused = server.call("PUT", "/messages", "", None).is(405);
    assert_eq!(refused.json()["code"], "method_not_allowed");
    let session = server.sign_in("bob", PASSWORD);
    let listed = server.call("GET", "/accounts", &session, None).is(200).json();
    assert_eq!(listed["accounts"].as_array().unwrap().len(), 1, "others are not shown");
}

#[test]
fn headers_that_can_be_read_two_ways_are_refused() {
    let server = Server::start("headers", &[], "info");
    let token = server.sign_in("bob", PASSWORD);
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let (head, tail) = token.split_at(20);
    let long = "a".repeat(1 << 20);
    let table: &[(&str, Vec<u8>)] = &[
        ("two headers", format!("{bearer}{bearer}").into()),
        ("two headers, one empty", format!("{bearer}Authorization:\r\n").into()),
        ("a folded line", format!("Authorization: Bearer {head}\r\n {tail}\r\n").into()),
        ("a NUL", format!("Authorization: Bearer {head}\0{tail}\r\n").into()),
        ("a tab", format!("Authorization: Bearer\t{token}\r\n").into()),
        ("a tab within", format!("Authorization: Bearer {head}\t{tail}\r\n").into()),
        ("a byte order mark", format!("Authorization: Bearer \u{feff}{token}\r\n").into()),
        ("a letter that is not ASCII", format!("Authorization: Bearer {token}ä\r\n").into()),
        ("a bare line feed", format!("Authorization: Bearer {head}\n{tail}\r\n").into()),
        ("a mebibyte", format!("Authorization: Bearer {long}\r\n").into()),
        ("a mebibyte elsewhere", format!("{bearer}X-Long: {long}\r\n").into()),
        ("a scheme alone", "Authorization: Bearer\r\n".into()),
        ("nothing but blanks", "Authorization:  \r\n".into()),
        ("a token without its scheme", format!("Authorization: {token}\r\n").into()),
        ("another scheme", "Authorization: Basic Ym9iOmJvYg==\r\n".into()),
        ("two tokens", format!("Authorization: Bearer {token} {token}\r\n").into()),
        ("a list", format!("Authorization: Bearer {token}, Bearer {token}\r\n").into()),
        ("a blank before the colon", format!("Authorization : Bearer {token}\r\n").into()),
        ("half a token", format!("Authorization: Bearer {head}\r\n").into()),
        ("another case", format!("Authorization: Bearer {}\r\n", token.to_uppercase()).into()),
    ];
    for (what, headers) in table {
        let mut request = b"GET /messages HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n".to_vec();
        request.extend(headers);
        request.extend(b"\r\n");
        if let Some(answer) = server.exchange(&request) {
            assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
            assert!(!answer.body.contains(&token), "{what}");
        }
        server.call("GET", "/messages", &token, None).is(200);
    }
    for query in ["access_token=x", "a=b&access_token", "%61ccess_token=x"] {
        server.call("GET", &format!("/messages?{query}"), &token, None).is(400);
    }
    server.call("GET", &format!("/openapi.json?access_token={token}"), "", None).is(400);
}

#[test]
fn an_account_with_a_second_factor_gets_no_session_without_it() {
    let server = Server::start("two_factor", &[], "info");
    let refused = server.try_to_sign_in("tina", PASSWORD).is(401).json();
    assert_eq!(refused["code"], "second_factor_required");
    assert_eq!(refused.get("token"), None);
    let body = json!({"username": "tina", "password": PASSWORD, "code": "12345"});
    assert_eq!(server.call("POST", "/login", "", Some(&body)).is(401).json().get("token"), None);
    server.try_to_sign_in("tina", "wrong").is(401);
    let administrator = server.sign_in("admin", "the administrator's password");
    let sessions = server.call("GET", &format!("/tokens?owner={TINA}"), &administrator, None);
    assert_eq!(sessions.is(200).json()["tokens"], json!([]));
}

#[test]
fn ten_wrong_passwords_are_enough() {
    let server = Server::start("attempts", &["--trusted-proxy", "127.0.0.0/8"], "info");
    let session = server.sign_in("bob", PASSWORD);
    let attempt = |from: &str, username: &str, password: &str| {
        let body = json!({"username": username, "password": password}).to_string();
        let length = body.len();
        let request = format!(
            "POST /login HTTP/1.1\r\nHost: chat\r\nConnection: close\r\nX-Forwarded-For: {from}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        server.exchange(request.as_bytes()).expect("an answer")
    };
    // Many at once get no more tries than one after the other.
    thread::scope(|scope| {
        let tries: Vec<_> =
            (0..15).map(|_| scope.spawn(|| attempt("192.0.2.1", "bob", "wrong").status)).collect();
        let mut statuses: Vec<u16> = tries.into_iter().map(|one| one.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [[401; 10].as_slice(), &[429; 5]].concat());
    });
    let refused = attempt("192.0.2.1", "bob", PASSWORD).is(429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=301).contains(&seconds), "{seconds}");
    attempt("198.51.100.1", "bob", PASSWORD).is(429);
    attempt("192.0.2.1", "deploy", PASSWORD).is(429);
    attempt("198.51.100.1", "deploy", PASSWORD).is(200);
    server.call("GET", "/messages", &session, None).is(200);

    // A name that is nobody's is counted like an account.
    for host in 1..=10 {
        attempt(&format!("203.0.113.{host}"), "nobody", "wrong").is(401);
    }
    attempt("203.0.113.99", "nobody", "wrong").is(429);
    // A right password of a deactivated account counts for the account, not for the address.
    for _ in 0..10 {
        attempt("192.0.2.2", "gone", PASSWORD).is(401);
    }
    attempt("192.0.2.3", "gone", PASSWORD).is(429);
    attempt("192.0.2.2", "deploy", PASSWORD).is(200);
    // An IPv6 customer has many addresses, and counts as one.
    for host in 1..=10 {
        attempt(&format!("2001:db8::{host}"), &format!("name{host}"), "wrong").is(401);
    }
    attempt("2001:db8::ffff", "deploy", PASSWORD).is(429);
    attempt("2001:db8:0:1::1", "deploy", PASSWORD).is(200);
}

#[test]
fn only_a_trusted_proxy_says_where_a_request_comes_from() {
    let office = json!({"name": "office", "scopes": ["read"], "addresses": ["198.51.100.7"]});
    let table = [
        (&[][..], "198.51.100.7", 401),
        (&["127.0.0.1"], "198.51.100.7", 200),
        (&["127.0.0.1"], "198.51.100.7, 203.0.113.9", 401),
        (&["127.0.0.1"], "203.0.113.9, 198.51.100.7", 200),
        (&["127.0.0.1"], "198.51.100.7, 10.0.0.1", 401),
        (&["127.0.0.0/8", "10.0.0.0/8"], "198.51.100.7, 10.0.0.1", 200),
        (&["127.0.0.1"], "198.51.100.7, unknown", 401),
    ];
    for (proxies, forwarded, expected) in table {
        let arguments: Vec<&str> = proxies.iter().flat_map(|p| ["--trusted-proxy", p]).collect();
        let server = Server::start("forwarded", &arguments, "info");
        let session = server.sign_in("bob", PASSWORD);
        let made = server.call("POST", "/tokens", &session, Some(&office)).is(201).json();
        let token = text(&made["token"]);
        let request = format!(
            "GET /messages HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\
             X-Forwarded-For: {forwarded}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = server.exchange(request.as_bytes()).expect("an answer");
        assert_eq!(answer.status, expected, "{proxies:?} {forwarded}");
    }
}

#[test]
fn bodies_are_bounded_and_problems_are_named() {
    let server = Server::start("bodies", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    let post =
        |text: &str| server.call("POST", "/messages", &session, Some(&json!({"text": text})));
    post(&"ä".repeat(2000)).is(201);
    assert_eq!(post(&"a".repeat(4001)).is(422).json()["field"], "text");
    post("").is(422);
    post(&"a".repeat(70_000)).is(413);
    let sent = |path: &str, content_type: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\
             Authorization: Bearer {session}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let answer = server.exchange(request.as_bytes()).expect("an answer");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        answer.status
    };
    assert_eq!(sent("/messages", "text/plain", r#"{"text":"a"}"#), 415);
    assert_eq!(sent("/messages", "application/json", r#"{"text":"#), 400);
    assert_eq!(sent("/messages", "application/json", r#"{"text":1}"#), 422);
    assert_eq!(sent("/messages", "application/json", r#"{"text":"a","to":"b"}"#), 422);
    assert_eq!(sent("/login", "application/x-www-form-urlencoded", "username=bob"), 415);
    assert_eq!(sent("/login", "application/json", r#"{"username":"bob"}"#), 422);
}

#[test]
fn mattermosts_own_routes_fail_in_its_envelope() {
    let server = Server::start("mattermost", &["--store", "memory:"], "warn");
    let id = |answer: Answer, status| text(&answer.is(status).json()["id"]);
    let unknown = server.call("GET", "/api/v4/nothing", "", None);
    assert_eq!(id(unknown, 404), "api.context.404.app_error");
    let login = |body: Value| server.call("POST", "/api/v4/users/login", "", Some(&body));
    let large = login(json!({"login_id": "bob", "password": "x".repeat(70_000)}));
    assert_eq!(id(large, 413), "api.context.request_body_too_large.app_error");
    // A blank password is no guess: more of them than are allowed lock nobody out.
    for _ in 0..12 {
        let blank = login(json!({"login_id": "bob", "password": ""}));
        assert_eq!(id(blank, 400), "api.user.login.blank_pwd.app_error");
    }
    let signed_in = login(json!({"login_id": "bob", "password": PASSWORD})).is(200);
    let session = signed_in.header("token").unwrap();
    for (user, status, expected) in [
        ("me", 200, BOB),
        (BOB, 200, BOB),
        ("bob", 400, "api.context.invalid_url_param.app_error"),
        ("a-b", 404, "api.context.404.app_error"),
        ("%ff", 404, "api.context.404.app_error"),
        ("username/%ff", 404, "api.context.404.app_error"),
        ("zzzzzzzzzzzzzzzzzzzzzzzzzz", 404, "app.user.missing_account.const"),
    ] {
        let shown = server.call("GET", &format!("/api/v4/users/{user}"), session, None);
        assert_eq!(id(shown, status), expected, "{user}");
    }
    // Whoever is nobody hears nothing of tokens.
    for (token, is_told) in [(session, true), ("", false), ("wrong", false)] {
        let config = server.call("GET", "/api/v4/config/client", token, None).is(200).json();
        assert_eq!(config.get("EnableUserAccessTokens").is_some(), is_told, "{token}");
    }
}

#[test]
fn what_mattermosts_face_does_not_serve_is_404_in_its_envelope() {
    let server = Server::start("mattermost_404", &[], "warn");
    let session = server.sign_in("bob", PASSWORD);
    let mut ids = Vec::new();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("POST", "/users/me/nothing"),
        ("GET", "/users/login"),
        ("PUT", "/users/me"),
        ("DELETE", "/users/bobbobbobbobbobbobbobbobb2"),
        ("POST", "/users/tokens"),
        ("PATCH", "/users/tokens/revoke"),
        ("DELETE", "/users/me/tokens"),
        ("POST", "/config/client"),
        ("POST", "/websocket"),
        ("GET", "/posts"),
    ] {
        let answer = server.call(method, &format!("/api/v4{path}"), &session, None).is(404);
        assert_eq!(text(&answer.json()["id"]), "api.context.404.app_error", "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let id = text(&answer.json()["request_id"]);
        assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
        assert_eq!(id.len(), 26, "{method} {path}");
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12, "each request has its own");
    // A WebSocket that is refused is in the envelope too, and so is one that is none.
    let plain = server.call("GET", "/api/v4/websocket", &session, None).is(400).json();
    assert_eq!(text(&plain["id"]), "api.web_socket.connect.upgrade.app_error");
    let upgrade = |path: &str, token: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {token}\r\n"
        );
        server.exchange(request.as_bytes()).expect("an answer").is(401).json()
    };
    let refused = upgrade("/api/v4/websocket", "Authorization: Bearer nonsense\r\n");
    assert_eq!(text(&refused["id"]), "api.context.session_expired.app_error");
    assert_eq!(text(&refused["request_id"]).len(), 26);
    let refused = upgrade(&format!("/api/v4/websocket?access_token={session}"), "");
    assert_eq!(text(&refused["id"]), "api.context.token_provided.app_error");
    // The other faces have their own words.
    assert_eq!(server.call("GET", "/api/v9/nothing", "", None).is(404).json()["code"], "not_found");
}

#[test]
fn mattermosts_clients_find_what_they_need_around_its_tokens() {
    let server = Server::start("mattermost_clients", &[], "warn");
    let login = |body: &Value| server.call("POST", "/api/v4/users/login", "", Some(body));
    let mut sessions = Vec::new();
    // As four clients write it.
    for extra in [
        json!({}),
        json!({"token": null}),
        json!({"token": "", "deviceId": ""}),
        json!({"token": "", "device_id": null, "ldap_only": "false"}),
    ] {
        let mut body = json!({"login_id": "bob", "password": PASSWORD});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let signed_in = login(&body).is(200);
        assert_eq!(signed_in.header("content-type"), Some("application/json"));
        assert_eq!(signed_in.header("set-cookie"), None);
        assert_eq!(signed_in.header("cache-control"), Some("no-store"));
        let user = signed_in.json();
        assert_eq!((text(&user["id"]), text(&user["username"])), (BOB.into(), "bob".into()));
        for key in [
            "delete_at",
            "auth_service",
            "email",
            "nickname",
            "first_name",
            "last_name",
            "position",
            "roles",
            "locale",
            "timezone",
            "disable_welcome_email",
        ] {
            assert!(user.get(key).is_some(), "{key}");
        }
        sessions.push(signed_in.header("token").unwrap().to_owned());
    }
    let wrong = login(&json!({"login_id": "bob", "password": "guess"})).is(401);
    assert_eq!(wrong.header("token"), None);

    let config = server.call("GET", "/api/v4/config/client?format=old", &sessions[0], None);
    let config = config.is(200).json();
    assert_eq!(config["EnableUserAccessTokens"], "true");
    assert_eq!(config["MaximumPersonalAccessTokenLifetimeDays"], "0");

    // Signing out ends a session and no personal token, with a body or without.
    let made = server.call("POST", "/tokens", &sessions[0], Some(&json!({"name": "x"}))).is(201);
    let personal = text(&made.json()["token"]);
    let me = |token: &str| server.call("GET", "/api/v4/users/me", token, None);
    let logout = |token: &str, body: Option<&Value>| {
        assert_eq!(me(token).is(200).json()["username"], "bob");
        let answer = server.call("POST", "/api/v4/users/logout", token, body).is(200);
        assert_eq!(answer.body, r#"{"status":"OK"}"#);
    };
    logout(&sessions[1], None);
    logout(&sessions[2], Some(&json!({})));
    for ended in &sessions[1..3] {
        let refused = me(ended).is(401);
        assert_eq!(text(&refused.json()["id"]), "api.context.session_expired.app_error");
        assert_eq!(refused.header("set-cookie"), None);
    }
    logout(&personal, None);
    me(&personal).is(200);
    me(&sessions[3]).is(200);
}

#[test]
fn the_page_runs_no_script_but_its_own() {
    let server = Server::start("page", &[], "info");
    for (path, kind) in
        [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")]
    {
        let page = server.call("GET", path, "", None).is(200);
        assert!(page.header("content-type").unwrap().starts_with(kind));
        assert_eq!(
            page.header("content-security-policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        for what in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            " style=",
            " onclick=",
            "<script>",
        ] {
            assert!(!page.body.contains(what), "{path} has {what}");
        }
    }
}

#[test]
fn a_slow_client_is_not_waited_for() {
    let server = Server::start("slow", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    let bounded = |what: &str, request: String, expected: Option<u16>| {
        let started = Instant::now();
        let answer = server.exchange(request.as_bytes());
        assert_eq!(answer.map(|answer| answer.status), expected, "{what}");
        assert!(started.elapsed() < Duration::from_secs(12), "{what}: {:?}", started.elapsed());
    };
    thread::scope(|scope| {
        scope.spawn(|| bounded("half a head", "GET / HTTP/1.1\r\nHost".to_owned(), None));
        scope.spawn(|| bounded("no head", String::new(), None));
        scope.spawn(|| {
            let body = format!(
                "POST /messages HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\
                 Authorization: Bearer {session}\r\nContent-Type: application/json\r\n\
                 Content-Length: 100\r\n\r\n{{"
            );
            bounded("half a body", body, Some(503));
        });
    });
    server.call("GET", "/messages", &session, None).is(200);
}

#[test]
fn a_signal_ends_it_within_five_seconds() {
    for signal in ["TERM", "INT"] {
        let server = Server::start("signal", &[], "info");
        let session = server.sign_in("bob", PASSWORD);
        // One client holds its connection and says nothing, another is in the middle of a request.
        let idle = TcpStream::connect(&server.address).unwrap();
        let mut busy = TcpStream::connect(&server.address).unwrap();
        let body = r#"{"text":"the last word"}"#;
        let head = format!(
            "POST /messages HTTP/1.1\r\nHost: chat\r\nAuthorization: Bearer {session}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        busy.write_all(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(200));
        let address = server.address.clone();
        let stopping = thread::spawn(move || server.stop_with(signal));
        thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(&address).is_err(), "it accepts no more");
        busy.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        busy.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(stopping.join().unwrap().status.code(), Some(0));
        drop(idle);
    }
}

#[test]
fn a_start_that_fails_says_why_in_one_line_and_leaves_nothing() {
    let folder = folder("refused");
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let account = |field: &str, value: Value| {
        let mut account = json!({"id": "a", "number": 1, "username": "a"});
        account[field] = value;
        json!({"accounts": [account]}).to_string()
    };
    let lifetime = |days: Value| {
        let settings = json!({"maximum_personal_access_token_lifetime_days": days});
        json!({"settings": {"mattermost": settings}}).to_string()
    };
    let accounts = |name: &str, content: &str| ["--accounts".to_owned(), write(name, content)];
    let key = folder.join("made.key").to_str().unwrap().to_owned();
    let open_key = write("open.key", &format!("k1:{}\n", "ab".repeat(32)));
    fs::set_permissions(&open_key, fs::Permissions::from_mode(0o640)).unwrap();
    let short_key = write("short.key", "k1:abcd\n");
    fs::set_permissions(&short_key, fs::Permissions::from_mode(0o600)).unwrap();
    let owned = |arguments: &[&str]| arguments.iter().map(|one| (*one).to_owned()).collect();
    let taken = Server::start("taken", &[], "info");
    let table: Vec<(Vec<String>, &str)> = vec![
        (owned(&["--port", "1"]), "--port"),
        (owned(&["--listen"]), "--listen"),
        (owned(&["--listen", "nowhere"]), "--listen nowhere"),
        (owned(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]), "twice"),
        (owned(&["--listen", &taken.address]), &taken.address),
        (owned(&["--store", "sqlite:"]), "--store"),
        (owned(&["--store", "sqlite:/nowhere/at/all.db"]), "/nowhere/at/all.db"),
        (owned(&["--store", "postgres://user:hunter2@host/db"]), "--store postgres:"),
        (owned(&["--store", "redis://host"]), "--store"),
        (owned(&["--trusted-proxy", "10.0.0.0/33"]), "10.0.0.0/33"),
        (owned(&["--outbox", &open_key]), &open_key),
        (owned(&["--secret-key", &open_key]), &open_key),
        (owned(&["--secret-key", &short_key]), &short_key),
        (owned(&["--secret-key", "/nowhere/at/all"]), "/nowhere/at/all"),
        (owned(&["--accounts", "/nowhere/at/all"]), "/nowhere/at/all"),
        (accounts("1.json", "{").into(), "1.json"),
        (accounts("2.json", &account("usrname", json!("b"))).into(), "usrname"),
        (accounts("3.json", &account("number", json!("one"))).into(), "accounts[0].number"),
        (
            accounts("4.json", &account("password", json!(["hunter2"]))).into(),
            "accounts[0].password",
        ),
        (accounts("5.json", &account("kind", json!("robot"))).into(), "accounts[0].kind"),
        (accounts("6.json", &account("owner", json!("a"))).into(), "accounts[0].owner"),
        (
            accounts("7.json", &account("organization", json!("x"))).into(),
            "accounts[0].organization",
        ),
        (accounts("8.json", &account("id", json!(""))).into(), "accounts[0].id"),
        (
            accounts("9.json", &account("two_factor", json!({"email": true}))).into(),
            "two_factor.email",
        ),
        (
            accounts("10.json", &account("two_factor", json!({"totp": "hunter2!"}))).into(),
            "two_factor.totp",
        ),
        (
            accounts("11.json", &account("created_at", json!("today"))).into(),
            "accounts[0].created_at",
        ),
        (
            accounts("12.json", r#"{"settings": {"revocation_bound_ms": 1}}"#).into(),
            "revocation_bound_ms",
        ),
        (
            accounts("13.json", r#"{"settings": {"rocketchat": {"wire": 8}}}"#).into(),
            "settings.rocketchat.wire",
        ),
        (
            accounts("14.json", r#"{"settings": {"zitadel": {"default_limit": 2000}}}"#).into(),
            "default_limit",
        ),
        (
            accounts("26.json", r#"{"settings": {"rocketchat": {"max_email_attempts": 6}}}"#)
                .into(),
            "settings.rocketchat.max_email_attempts: 6 is not within 1 to 5",
        ),
        (accounts("15.json", r#"{"accounts": [{"id": "a", "number": 1}]}"#).into(), "username"),
        (
            accounts(
                "16.json",
                r#"{"accounts": [{"id": "a", "number": 1, "username": "a"},
                                 {"id": "b", "number": 1, "username": "b"}]}"#,
            )
            .into(),
            "accounts[1].number",
        ),
        // A list is no object, wherever it stands.
        (accounts("17.json", "[]").into(), "expected an object with named fields"),
        (accounts("18.json", r#"{"accounts": [["a", 1, "a"]]}"#).into(), "accounts[0]"),
        (accounts("19.json", r#"{"settings": []}"#).into(), "settings"),
        (accounts("20.json", r#"{"settings": {"mattermost": [true]}}"#).into(), "mattermost"),
        (accounts("21.json", &account("two_factor", json!([]))).into(), "two_factor"),
        (accounts("22.json", r#"{"organizations": [["x"]]}"#).into(), "organizations[0]"),
        (accounts("23.json", &lifetime(json!(36_501))).into(), "token_lifetime_days: 36501 is not"),
        (accounts("24.json", &lifetime(json!(-1))).into(), "token_lifetime_days"),
        (accounts("25.json", &lifetime(json!("30"))).into(), "token_lifetime_days"),
        (owned(&["--import-mattermost", "nowhere.json"]), "nowhere.json"),
        (owned(&["--import-rocketchat", "nowhere.json"]), "nowhere.json"),
    ];
    for (arguments, names) in table {
        let mut all: Vec<&str> = Vec::new();
        for (option, value) in [("--listen", "127.0.0.1:0"), ("--secret-key", &key)] {
            if !arguments.iter().any(|argument| argument == option) {
                all.extend([option, value]);
            }
        }
        all.extend(arguments.iter().map(String::as_str));
        let told = refusal(&folder, &all);
        assert!(told.contains(names), "{arguments:?}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!Path::new(&key).exists(), "{arguments:?} left a key behind");
    }
}

#[test]
fn the_key_file_is_made_once_and_for_its_owner_only() {
    let path = folder("key").join("chat.key");
    let arguments = ["--secret-key", path.to_str().unwrap()];
    drop(Server::start("key_server", &arguments, "info"));
    let made = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(made.strip_prefix("k1:").unwrap().trim_end().len(), 64);
    drop(Server::start("key_server", &arguments, "info"));
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_lines_that_it_prints_can_be_pasted() {
    let server = Server::start_with("pasted", &[], "info", &[]);
    let lines: Vec<&String> =
        server.first_lines.iter().filter(|line| line.contains("curl ")).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert!(line.contains(&format!("http://{}", server.address)), "{line}");
    }
    // What they send, sent without curl.
    let session = server.sign_in("bob", "bob-password");
    let body = json!({"name": "my first token", "scopes": ["write"]});
    let made = server.call("POST", "/tokens", &session, Some(&body)).is(201).json();
    let token = text(&made["token"]);
    server.call("POST", "/messages", &token, Some(&json!({"text": "hello"}))).is(201);
}

const TINA: &str = "tinatinatinatinatinatinat3";
