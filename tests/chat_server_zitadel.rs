//! What Zitadel's clients need around its tokens, and find in the example server.
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

use self::chat_server::{Answer, Server, folder, text};

const ACME: &str = "310000000000000001";

const ROBOT: &str = "robotrobotrobotrobotrobot1";

const ACCOUNTS: &str = r#"{
  "organizations": [
    {"id": "310000000000000001", "name": "Acme", "domain": "acme.example"},
    {"id": "310000000000000002", "name": "Emca", "domain": "emca.example"}
  ],
  "accounts": [
    {"id": "adminadminadminadminadmin1", "number": 1, "username": "admin", "name": "Ada",
     "email": "ada@acme.example", "email_verified": true, "password": "p",
     "organization": "310000000000000001", "roles": ["IAM_OWNER"]},
    {"id": "ownerownerownerownerowner1", "number": 2, "username": "owner", "password": "p",
     "organization": "310000000000000001", "roles": ["ORG_OWNER"]},
    {"id": "clerkclerkclerkclerkclerk1", "number": 6, "username": "clerk", "password": "p",
     "organization": "310000000000000001", "roles": ["ORG_USER_MANAGER"]},
    {"id": "chiefchiefchiefchiefchief1", "number": 7, "username": "chief", "password": "p",
     "organization": "310000000000000001", "roles": ["system_admin"]},
    {"id": "bobbobbobbobbobbobbobbobb2", "number": 3, "username": "bob", "password": "p",
     "organization": "310000000000000001"},
    {"id": "robotrobotrobotrobotrobot1", "number": 4, "username": "robot", "name": "Robot",
     "password": "p", "kind": "machine", "organization": "310000000000000001",
     "created_at": "2024-01-05T00:00:00Z"},
    {"id": "otherotherotherotherother1", "number": 5, "username": "other", "password": "p",
     "kind": "machine", "organization": "310000000000000002"}
  ],
  "settings": {
    "zitadel": {"default_limit": 2, "max_limit": 3, "token_format": "product"},
    "revocation_bound_ms": 500
  }
}"#;

fn start(name: &str) -> Server {
    let accounts = folder(name).join("accounts.json");
    fs::write(&accounts, ACCOUNTS).unwrap();
    Server::start_with(name, &[], "info", &["--accounts", accounts.to_str().unwrap()])
}

/// A token of the robot's by v1, and its id.
fn pat(server: &Server, admin: &str) -> (String, String) {
    let path = format!("/management/v1/users/{ROBOT}/pats");
    let added = server.call("POST", &path, admin, Some(&json!({}))).is(200).json();
    (text(&added["token"]), text(&added["tokenId"]))
}

fn set_active(server: &Server, by: &str, user: &str, verb: &str) -> Answer {
    server.call("POST", &format!("/management/v1/users/{user}/{verb}"), by, Some(&json!({})))
}

fn introspect(server: &Server, client: &str, password: &str, token: &str) -> Answer {
    let basic = STANDARD.encode(format!("{client}:{password}"));
    let body = format!("token={token}");
    let request = format!(
        "POST /oauth/v2/introspect HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\
         Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    server.exchange(request.as_bytes()).unwrap()
}

#[test]
fn an_account_is_told_who_it_is_by_its_token() {
    let server = start("who");
    let admin = server.sign_in("admin", "p");
    let (token, _) = pat(&server, &admin);
    assert_eq!(token.len(), 71);
    let told = server.call("GET", "/oidc/v1/userinfo", &token, None).is(200);
    assert_eq!(told.header("content-type"), Some("application/json"));
    let robot = json!({
        "sub": ROBOT, "name": "Robot", "preferred_username": "robot", "updated_at": 1_704_412_800,
        "urn:zitadel:iam:user:resourceowner:id": ACME,
        "urn:zitadel:iam:user:resourceowner:name": "Acme",
        "urn:zitadel:iam:user:resourceowner:primary_domain": "acme.example",
    });
    assert_eq!(told.json(), robot);
    let admins = server.call("GET", "/oidc/v1/userinfo", &admin, None).is(200).json();
    assert_eq!(
        (&admins["email"], &admins["email_verified"]),
        (&json!("ada@acme.example"), &json!(true))
    );

    let me = server.call("GET", "/auth/v1/users/me", &token, None).is(200).json();
    let user = &me["user"];
    assert_eq!((&user["id"], &user["userName"]), (&json!(ROBOT), &json!("robot")));
    assert_eq!(user["details"]["resourceOwner"], ACME);
    assert_eq!(user["details"]["creationDate"], "2024-01-05T00:00:00Z");
    assert_eq!(user["machine"]["name"], "Robot");
    assert!(user["details"]["sequence"].is_string());
    for path in ["/oidc/v1/userinfo", "/auth/v1/users/me"] {
        for bad in ["", "elsewhere", &token[..70]] {
            let refused = server.call("GET", path, bad, None).is(401);
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
            assert_eq!(refused.json()["code"], 16);
        }
        assert_eq!(server.call("POST", path, &token, None).status, 405);
    }
    assert_eq!(server.call("GET", "/healthz", "", None).is(200).body, "ok");
    // One server: the same token opens what is not this product's.
    server.call("POST", "/messages", &token, Some(&json!({"text": "hello"}))).is(201);
}

#[test]
fn a_deactivated_account_is_refused_everywhere_at_once_until_it_is_back() {
    let server = start("active");
    let admin = server.sign_in("admin", "p");
    let (token, id) = pat(&server, &admin);
    let is = |status: u16| {
        for path in ["/oidc/v1/userinfo", "/auth/v1/users/me", "/messages", "/tokens"] {
            server.call("GET", path, &token, None).is(status);
        }
    };
    is(200);
    let off = set_active(&server, &admin, ROBOT, "_deactivate").is(200).json();
    assert_eq!(off["details"]["resourceOwner"], ACME);
    assert!(off["details"]["changeDate"].is_string());
    is(401);
    assert_eq!(introspect(&server, "other", "p", &token).is(200).body, r#"{"active":false}"#);
    let again = set_active(&server, &admin, ROBOT, "_deactivate").is(400).json();
    assert_eq!(again["details"][0]["id"], "COMMAND-5M0sf");
    let add = format!("/v2/users/{ROBOT}/pats");
    let soon = json!({"expirationDate": "2999-01-01T00:00:00Z"});
    server.call("POST", &add, &admin, Some(&soon)).is(400);
    set_active(&server, &admin, ROBOT, "_reactivate").is(200);
    is(200);
    let again = set_active(&server, &admin, ROBOT, "_reactivate").is(400).json();
    assert_eq!(again["details"][0]["id"], "COMMAND-6M0sf");
    // What was removed meanwhile does not come back.
    set_active(&server, &admin, ROBOT, "_deactivate").is(200);
    let path = format!("/management/v1/users/{ROBOT}/pats/{id}");
    server.call("DELETE", &path, &admin, None).is(200);
    set_active(&server, &admin, ROBOT, "_reactivate").is(200);
    is(401);
}

#[test]
fn who_may_set_an_account_active_is_who_may_write_it() {
    let server = start("may");
    let (admin, owner) = (server.sign_in("admin", "p"), server.sign_in("owner", "p"));
    let (token, _) = pat(&server, &admin);
    for who in [&server.sign_in("bob", "p"), &token] {
        for verb in ["_deactivate", "_reactivate"] {
            let refused = set_active(&server, who, ROBOT, verb).is(403).json();
            assert_eq!(refused["details"][0]["id"], "AUTH-5mWD2");
        }
    }
    let other = "otherotherotherotherother1";
    for (verb, id) in [("_deactivate", "COMMAND-3M9ds"), ("_reactivate", "COMMAND-4M0sd")] {
        for user in [other, "nobody", "%ff"] {
            for who in [&owner, &admin] {
                let missing = set_active(&server, who, user, verb).is(404).json();
                assert_eq!(missing["details"][0]["id"], id);
            }
        }
        set_active(&server, &owner, ROBOT, verb).is(200);
    }
    server.call("POST", "/management/v1/users/nobody/_deactivate", "", None).is(401);
    server.call("GET", "/management/v1/users/nobody/_deactivate", &admin, None).is(405);
    let unknown = server.call("GET", "/management/v1/projects", &admin, None).is(404);
    assert_eq!(unknown.json(), json!({"code": 5, "message": "Not Found"}));
}

#[test]
fn nobody_sets_an_account_active_that_is_above_him() {
    let server = start("above");
    let (admin, clerk) = (server.sign_in("admin", "p"), server.sign_in("clerk", "p"));
    // One by a role over all organizations, one by what the host says.
    for user in ["adminadminadminadminadmin1", "chiefchiefchiefchiefchief1"] {
        for who in [&clerk, &server.sign_in("owner", "p")] {
            for verb in ["_deactivate", "_reactivate"] {
                let refused = set_active(&server, who, user, verb).is(403).json();
                assert_eq!(refused["details"][0]["id"], "AUTH-5mWD2");
            }
        }
    }
    server.call("GET", "/auth/v1/users/me", &admin, None).is(200);
    let chief = "chiefchiefchiefchiefchief1";
    set_active(&server, &admin, chief, "_deactivate").is(200);
    set_active(&server, &clerk, chief, "_reactivate").is(403);
    set_active(&server, &admin, chief, "_reactivate").is(200);
    set_active(&server, &clerk, ROBOT, "_deactivate").is(200);
    set_active(&server, &clerk, ROBOT, "_reactivate").is(200);
}

#[test]
fn a_limited_token_is_told_with_what_it_may_do_behind_the_products_scopes() {
    let server = start("limited");
    let robot = server.sign_in("robot", "p");
    let (full, _) = pat(&server, &server.sign_in("admin", "p"));
    for (scope, told) in [("read", "read"), ("write", "write")] {
        let body = json!({"name": scope, "scopes": [scope]});
        let made = server.call("POST", "/tokens", &robot, Some(&body)).is(201).json();
        let limited = introspect(&server, "other", "p", &text(&made["token"])).is(200).json();
        let of_full = introspect(&server, "other", "p", &full).is(200).json();
        let products = of_full["scope"].as_str().unwrap();
        assert_eq!(limited["scope"], format!("{products} {told}"));
        assert!(!products.contains("read") && !products.contains("write"));
    }
}

#[test]
fn an_address_is_told_to_its_own_account_only() {
    let server = start("address");
    let admin = server.sign_in("admin", "p");
    let told = introspect(&server, "other", "p", &admin).is(200).json();
    assert_eq!(told["username"], "admin");
    assert!(told.get("email").is_none() && told.get("email_verified").is_none());
    let own = server.call("GET", "/oidc/v1/userinfo", &admin, None).is(200).json();
    assert_eq!((&own["email"], &own["email_verified"]), (&json!("ada@acme.example"), &json!(true)));
}

#[test]
fn service_accounts_and_administrators_may_ask_what_a_token_is_worth() {
    let server = start("introspection");
    let admin = server.sign_in("admin", "p");
    let (token, id) = pat(&server, &admin);
    for client in ["other", "otherotherotherotherother1", "robot", "admin"] {
        let told = introspect(&server, client, "p", &token).is(200);
        assert_eq!(told.header("cache-control"), Some("no-store"));
        let told = told.json();
        assert_eq!(told["active"], true);
        assert_eq!((&told["sub"], &told["jti"]), (&json!(ROBOT), &json!(id)));
        assert_eq!((&told["username"], &told["token_type"]), (&json!("robot"), &json!("Bearer")));
        assert_eq!(told["exp"], 253_402_300_799_i64);
        assert_eq!(told["iat"], told["nbf"]);
        assert_eq!(told["iss"], format!("http://{}", server.address));
        assert!(told["scope"].as_str().unwrap().starts_with("openid profile urn:"));
        assert_eq!(told["urn:zitadel:iam:user:resourceowner:id"], ACME);
        assert_eq!(told["aud"].as_array().unwrap().len(), 1);
        assert!(told.get("client_id").is_none());
    }
    for (client, password) in [("other", "wrong"), ("bob", "p"), ("nobody", "p"), ("", "")] {
        let refused = introspect(&server, client, password, &token).is(401);
        assert_eq!(refused.json(), json!({"error": "invalid_client"}));
    }
    for token in ["elsewhere", &token[..70]] {
        let told = introspect(&server, "other", "p", token).is(200);
        assert_eq!(told.body, r#"{"active":false}"#);
    }
    // A guess at a client's password counts as one.
    for _ in 0..10 {
        introspect(&server, "robot", "wrong", &token).is(401);
    }
    introspect(&server, "robot", "p", &token).is(401);
}

#[test]
fn the_settings_of_lists_are_those_of_the_accounts_file() {
    let server = start("settings");
    let admin = server.sign_in("admin", "p");
    for _ in 0..4 {
        pat(&server, &admin);
    }
    let search = |pagination: Value| {
        let body = json!({"pagination": pagination});
        server.call("POST", "/v2/users/pats/search", &admin, Some(&body))
    };
    let page = search(json!({})).is(200).json();
    assert_eq!(page["pagination"], json!({"totalResult": "4", "appliedLimit": "2"}));
    assert_eq!(page["result"].as_array().unwrap().len(), 2);
    search(json!({"limit": 4})).is(400);
    let call = "/zitadel.user.v2.UserService/ListPersonalAccessTokens";
    let page = server.call("POST", call, &admin, Some(&json!({"pagination": {"limit": 3}})));
    assert_eq!(page.is(200).json()["result"].as_array().unwrap().len(), 3);
    let document = server.call("GET", "/openapi/zitadel.json", "", None).is(200).json();
    assert_eq!(document["paths"].as_object().unwrap().len(), 13);
}

#[test]
fn no_line_of_the_log_tells_a_secret() {
    let accounts = folder("log").join("accounts.json");
    fs::write(&accounts, ACCOUNTS).unwrap();
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    let server = Server::start_with("log", &[], "trace", &accounts);
    let admin = server.sign_in("admin", "p");
    let (token, id) = pat(&server, &admin);
    server.call("GET", "/oidc/v1/userinfo", &token, None).is(200);
    introspect(&server, "robot", "p", &token).is(200);
    let output = server.stop();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(&id));
    assert!(!said.contains(&token) && !said.contains(&admin), "{said}");
}
