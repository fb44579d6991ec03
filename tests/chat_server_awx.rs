//! What the example adds to AWX's face, as that product's clients meet it: over TCP.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and waits for another process"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/chat_server.rs"]
mod chat_server;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::chat_server::{Answer, Server, folder, refusal, text};

const LOGIN: &str = "To establish a login session, visit /api/login/.";

/// A superuser, two people, one with a second factor, one of another provider, one who is gone.
fn started(name: &str, settings: &Value, more: &[&str]) -> Server {
    let account = |id: &str, number: u64| {
        let password = format!("{id}'s password");
        json!({"id": format!("{id:x<26}"), "number": number, "username": id, "password": password})
    };
    let with = |mut account: Value, key: &str, value: Value| {
        account[key] = value;
        account
    };
    let accounts = json!({
        "accounts": [
            with(account("root", 1), "roles", json!(["superuser", "system_admin", "admin"])),
            with(account("alice", 5), "name", json!("Alice de la Mer")),
            account("bob", 6),
            with(account("tina", 7), "two_factor", json!({"totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"})),
            with(account("lisa", 8), "external", json!("ldap")),
            with(account("gone", 9), "active", json!(false)),
        ],
        "settings": {"awx": settings},
    });
    let path = folder(name).join("accounts.json");
    fs::write(&path, accounts.to_string()).unwrap();
    Server::start_with(name, more, "warn", &["--accounts", path.to_str().unwrap()])
}

fn ask(server: &Server, route: &str, authorization: &str, body: &str) -> Answer {
    let mut request = format!("{route} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n");
    if !authorization.is_empty() {
        request.push_str(&format!("Authorization: {authorization}\r\n"));
    }
    let length = body.len();
    request.push_str("Content-Type: application/json\r\n");
    request.push_str(&format!("Content-Length: {length}\r\n\r\n{body}"));
    server.exchange(request.as_bytes()).unwrap()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn own(name: &str) -> String {
    basic(name, &format!("{name}'s password"))
}

/// A token of this account, made by its password.
fn made(server: &Server, name: &str, scope: &str) -> String {
    let path = format!("POST /api/v2/users/{name}/personal_tokens/");
    let body = json!({"description": "AWX CLI", "application": null, "scope": scope}).to_string();
    text(&ask(server, &path, &own(name), &body).is(201).json()["token"])
}

#[test]
fn clients_find_what_there_is_before_they_are_known() {
    let server = started("places", &json!({}), &[]);
    let root = ask(&server, "GET /api/", "", "").is(200);
    let expected = r#"{"description":"AWX REST API","current_version":"/api/v2/","available_versions":{"v2":"/api/v2/"},"oauth2":"/api/o/","custom_logo":"","custom_login_info":"","login_redirect_override":""}"#;
    assert_eq!(root.body, expected);
    assert_eq!(root.header("x-api-product-name"), Some("AWX"));
    let resources = ask(&server, "GET /api/v2/", "", "").is(200).json();
    for name in ["applications", "config", "me", "ping", "tokens", "users"] {
        assert_eq!(resources[name], format!("/api/v2/{name}/"));
        // None of them leads nowhere.
        ask(&server, &format!("GET /api/v2/{name}/"), &own("alice"), "").is(200);
    }
    let ping = ask(&server, "GET /api/v2/ping/", "", "").is(200).json();
    let keys = ["active_node", "ha", "install_uuid", "instance_groups", "instances", "version"];
    assert_eq!(ping.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    // A client sends empty credentials here, only to see whether there is such a place.
    for authorization in ["", "Basic Og==", "Bearer nonsense", &basic("alice", "wrong")] {
        let places = ask(&server, "GET /api/o/", authorization, "").is(200).json();
        assert_eq!(places["token"], "/api/o/token/");
        assert_eq!(ask(&server, "HEAD /api/o/", authorization, "").is(200).body, "");
    }
    for path in ["me", "users", "config", "applications", "users/5"] {
        let refused = ask(&server, &format!("GET /api/v2/{path}/"), "", "").is(401);
        let told = format!("Authentication credentials were not provided. {LOGIN}");
        assert_eq!(refused.json(), json!({"detail": told}));
        let challenge = "Bearer realm=api authorization_url=/api/o/authorize/";
        assert_eq!(refused.header("www-authenticate"), Some(challenge));
    }
    // Applications have fields of their own to be found by, although there are none.
    let path = "GET /api/v2/applications/?name=x&order_by=-id&search=a";
    let none = ask(&server, path, &own("alice"), "").is(200).json();
    assert_eq!(none, json!({"count": 0, "next": null, "previous": null, "results": []}));
    let path = "GET /api/v2/applications/?username=x";
    let refused = ask(&server, path, &own("alice"), "").is(400).json();
    assert_eq!(refused["detail"], "OAuth2Application has no field named 'username'");
    let options = ask(&server, "OPTIONS /api/v2/applications/", &own("alice"), "").is(200).json();
    assert!(options["actions"]["GET"]["name"].is_object(), "{options}");
    let missing = ask(&server, "GET /api/v2/nothing/", "", "").is(404).json();
    assert_eq!(missing, json!({"detail": "The requested resource could not be found."}));
    let other = ask(&server, "POST /api/v2/me/", &own("alice"), "{}").is(405).json();
    assert_eq!(other, json!({"detail": "Method \"POST\" not allowed."}));
}

#[test]
fn accounts_are_shown_to_whoever_may_see_them() {
    let server = started("accounts", &json!({}), &[]);
    let (alice, root) = (own("alice"), own("root"));
    let get = |path: &str, by: &str| ask(&server, &format!("GET /api/v2/{path}"), by, "");
    let me = get("me/", &alice).is(200).json();
    assert_eq!(me["count"], 1);
    let user = &me["results"][0];
    for (key, value) in [
        ("id", json!(5)),
        ("type", json!("user")),
        ("url", json!("/api/v2/users/5/")),
        ("username", json!("alice")),
        ("first_name", json!("Alice")),
        ("last_name", json!("de la Mer")),
        ("is_superuser", json!(false)),
    ] {
        assert_eq!(user[key], value, "{key}");
    }
    for path in ["users/5/", "users/alice/"] {
        assert_eq!(&get(path, &alice).is(200).json(), user);
    }
    get("users/6/", &alice).is(403);
    get("users/bob/", &alice).is(404);
    get("users/nobody/", &alice).is(404);
    get("users/99/", &root).is(404);
    assert_eq!(get("users/", &alice).is(200).json()["count"], 1);
    let all = get("users/?page_size=2&order_by=-id", &root).is(200).json();
    assert_eq!((&all["count"], &all["results"][0]["id"]), (&json!(6), &json!(9)));
    assert_eq!(all["next"], "/api/v2/users/?order_by=-id&page=2&page_size=2");
    let found = get("users/?username=bob", &root).is(200).json();
    assert_eq!(found["results"][0]["id"], 6);
    let options = ask(&server, "OPTIONS /api/v2/users/", &alice, "").is(200);
    assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"));
    assert!(options.json()["actions"]["GET"]["username"].is_object());
}

#[test]
fn a_token_by_password_works_on_every_face_as_far_as_its_scope_goes() {
    let server = started("faces", &json!({}), &[]);
    let (writer, reader) = (made(&server, "alice", "write"), made(&server, "alice", "read"));
    for token in [&writer, &reader] {
        server.call("GET", "/messages", token, None).is(200);
        server.call("GET", "/api/v4/users/me", token, None).is(200);
        server.call("GET", "/api/v2/me/", token, None).is(200);
    }
    let saying = json!({"text": "by a playbook"});
    server.call("POST", "/messages", &writer, Some(&saying)).is(201);
    server.call("POST", "/messages", &reader, Some(&saying)).is(403);
    // The other faces show what it is called.
    let listed = server.call("GET", "/tokens", &writer, None).is(200).json();
    assert_eq!(listed["tokens"][0]["name"], "AWX CLI");
    // A session of another face is somebody here too, and deactivating ends it all.
    let session = server.sign_in("alice", "alice's password");
    server.call("GET", "/api/v2/tokens/", &session, None).is(200);
    let root = server.sign_in("root", "root's password");
    server.call("POST", &format!("/owners/{:x<26}/deactivate", "alice"), &root, None).is(200);
    for token in [&writer, &reader, &session] {
        server.call("GET", "/api/v2/me/", token, None).is(401);
    }
    let refused = ask(&server, "GET /api/v2/me/", &own("alice"), "").is(401).json();
    assert_eq!(refused["detail"], format!("Invalid username/password. {LOGIN}"));
}

#[test]
fn wrong_passwords_are_counted_for_the_account_and_right_tokens_are_not_concerned() {
    let server = started("guesses", &json!({}), &["--trusted-proxy", "127.0.0.0/8"]);
    let token = made(&server, "alice", "write");
    for _ in 0..10 {
        let refused = ask(&server, "GET /api/v2/me/", &basic("alice", "wrong"), "").is(401);
        let told = format!("Invalid username/password. {LOGIN}");
        assert_eq!(refused.json(), json!({"detail": told}));
    }
    let refused = ask(&server, "GET /api/v2/me/", &own("alice"), "").is(429);
    assert!(text(&refused.json()["detail"]).starts_with("Request was throttled."));
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    server.call("GET", "/api/v2/me/", &token, None).is(200);
    // The count is the same on the other faces.
    server.try_to_sign_in("alice", "alice's password").is(429);
}

#[test]
fn a_password_alone_does_not_do_where_there_is_a_second_factor_or_nobody_left() {
    let server = started("factor", &json!({}), &[]);
    for _ in 0..11 {
        let refused = ask(&server, "GET /api/v2/me/", &own("tina"), "").is(401).json();
        assert!(text(&refused["detail"]).contains("second factor"), "{refused}");
    }
    ask(&server, "GET /api/v2/me/", &own("gone"), "").is(401);
    ask(&server, "GET /api/v2/me/", &basic("nobody", "any"), "").is(401);
}

#[test]
fn the_settings_are_those_of_the_file() {
    let product = json!({"token_format": "product", "access_token_expire_seconds": 60});
    let server = started("settings", &product, &[]);
    let token = made(&server, "alice", "write");
    assert!(token.len() == 30 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    server.call("GET", "/api/v2/me/", &token, None).is(200);
    let shown = server.call("GET", "/api/v2/tokens/?page=last", &token, None).is(200).json();
    let (from, until) = (&shown["results"][0]["created"], &shown["results"][0]["expires"]);
    let at =
        |text: &Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!((at(until) - at(from)).num_seconds(), 60);
    ask(&server, "POST /api/v2/tokens/", &own("lisa"), "{}").is(403);
    drop(server);
    let open = json!({"allow_oauth2_for_external_users": true});
    made(&started("external", &open, &[]), "lisa", "write");
    let home = folder("no_life");
    let settings = json!({"accounts": [], "settings": {"awx": {"access_token_expire_seconds": 0}}});
    fs::write(home.join("accounts.json"), settings.to_string()).unwrap();
    let told = refusal(&home, &["--accounts", "accounts.json", "--store", "memory:"]);
    assert!(told.contains("settings.awx.access_token_expire_seconds"), "{told}");
}

#[test]
fn tokens_of_awxs_own_table_work_for_the_accounts_of_their_numbers() {
    let export = folder("table").join("tokens.json");
    let row = |id: u64, token: &str, user: u64, scope: &str| {
        json!({
            "id": id, "token": token, "user_id": user, "application_id": null, "scope": scope,
            "description": "of old", "created": "2018-05-29T12:42:48.086056+00:00",
            "expires": "3017-09-29T12:42:48.084732+00:00",
        })
    };
    let (one, two) = ("73HNeV53E6p2oYMMAogRn9TIKt92Cf", "9TIKt92Cf73HNeV53E6p2oYMMAogRn");
    let rows = json!([
        row(1, one, 5, "write"),
        row(2, two, 6, "read"),
        row(3, &"A".repeat(30), 99, "write")
    ]);
    fs::write(&export, rows.to_string()).unwrap();
    let server = started("import", &json!({}), &["--import-awx", export.to_str().unwrap()]);
    for (token, name, writes) in [(one, "alice", 201), (two, "bob", 403)] {
        let me = server.call("GET", "/api/v2/me/", token, None).is(200).json();
        assert_eq!(me["results"][0]["username"], name);
        server.call("POST", "/api/v2/tokens/", token, Some(&json!({}))).is(writes);
    }
    server.call("GET", "/api/v2/me/", &"A".repeat(30), None).is(401);
}
