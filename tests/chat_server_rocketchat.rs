//! The example as a Rocket.Chat: what its clients call around their tokens, byte by byte.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and goes by the time of day"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/chat_server.rs"]
mod chat_server;
#[expect(dead_code, reason = "others need more of it")]
#[path = "common/factors.rs"]
mod factors;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chat_server::{Answer, PASSWORD, Server, folder, text};
use chrono::{DateTime, Utc};
use factors::{SEED, code};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ADA: &str = "adminadminadminadminadmin1";
const BOB: &str = "bobbobbobbobbobbobbobbobb2";
const TINA: &str = "tinatinatinatinatinatinat3";
const MIA: &str = "miamiamiamiamiamiamiamiam4";
const BOT: &str = "botbotbotbotbotbotbotbotb5";

const GENERATE: &str = "users.generatePersonalAccessToken";
const REGENERATE: &str = "users.regeneratePersonalAccessToken";
const LIST: &str = "users.getPersonalAccessTokens";
const REMOVE: &str = "users.removePersonalAccessToken";

/// Everybody has the same password. With these roles and this factor of bob, and these settings.
fn accounts(roles: &Value, two_factor: &Value, settings: &Value) -> Value {
    let account = |id: &str, number: u8, username: &str| {
        json!({"id": id, "number": number, "username": username, "password": PASSWORD,
               "roles": ["user"]})
    };
    let mut ada = account(ADA, 1, "ada");
    ada["roles"] = json!(["admin"]);
    ada["email"] = "ada@acme.example".into();
    let mut bob = account(BOB, 2, "bob");
    bob["roles"] = roles.clone();
    bob["two_factor"] = two_factor.clone();
    // Made this very moment.
    bob["created_at"] = now().to_rfc3339().into();
    let mut tina = account(TINA, 3, "tina");
    tina["two_factor"] = json!({"totp": SEED});
    let mut mia = account(MIA, 4, "mia");
    mia["two_factor"] = json!({"email": true});
    mia["email"] = "mia@acme.example".into();
    mia["email_verified"] = true.into();
    let mut bot = account(BOT, 5, "bot");
    bot["roles"] = json!(["bot"]);
    json!({"accounts": [ada, bob, tina, mia, bot], "settings": {"rocketchat": settings}})
}

fn start_with(name: &str, accounts: &Value, arguments: &[&str]) -> (Server, PathBuf) {
    let home = folder(name);
    let file = home.join("accounts.json");
    fs::write(&file, accounts.to_string()).unwrap();
    let outbox = home.join("outbox");
    fs::create_dir(&outbox).unwrap();
    let outbox_text = outbox.to_str().unwrap().to_owned();
    let mut all = vec!["--outbox", &outbox_text];
    all.extend(arguments);
    let accounts = ["--accounts", file.to_str().unwrap()];
    (Server::start_with(name, &all, "warn", &accounts), outbox)
}

fn start(name: &str, settings: &Value) -> (Server, PathBuf) {
    start_with(name, &accounts(&json!(["user"]), &Value::Null, settings), &[])
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// One request below `/api/v1/`; its answer has the content type that the product's tests insist on.
fn send(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} /api/v1/{path} HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = server.exchange(request.as_bytes()).unwrap();
    assert_eq!(answer.header("content-type"), Some(JSON), "{path}: {}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    answer
}

fn of_type(kind: &str) -> String {
    format!("Content-Type: {kind}\r\n")
}

/// A token and whose it is.
#[derive(Clone)]
struct Caller<'s> {
    server: &'s Server,
    owner: &'static str,
    token: String,
    code: String,
}

impl<'s> Caller<'s> {
    /// A session of this account, which has no second factor.
    fn of(server: &'s Server, username: &str, owner: &'static str) -> Self {
        Self::signed_in(server, &json!({"user": username, "password": PASSWORD}), owner)
    }

    fn signed_in(server: &'s Server, body: &Value, owner: &'static str) -> Self {
        let answer = send(server, "POST", "login", &of_type(JSON), &body.to_string()).is(200);
        let token = text(&answer.json()["data"]["authToken"]);
        Self { server, owner, token, code: String::new() }
    }

    fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), code: String::new(), ..self.clone() }
    }

    /// Gives the password in answer to a second factor.
    fn proving(&self) -> Self {
        self.answering(&sha256_hex(PASSWORD), "password")
    }

    fn answering(&self, code: &str, method: &str) -> Self {
        let code = format!("x-2fa-code: {code}\r\nx-2fa-method: {method}\r\n");
        Self { code, ..self.clone() }
    }

    fn headers(&self, kind: &str) -> String {
        let Self { owner, token, code, .. } = self;
        format!("X-Auth-Token: {token}\r\nX-User-Id: {owner}\r\n{code}{}", of_type(kind))
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.server, "POST", path, &self.headers(JSON), &body.to_string())
    }

    fn get(&self, path: &str) -> Answer {
        send(self.server, "GET", path, &self.headers(JSON), "")
    }

    fn form(&self, path: &str, body: &str) -> Answer {
        send(self.server, "POST", path, &self.headers(FORM), body)
    }

    fn is_live(&self) -> bool {
        match self.get("me").status {
            200 => true,
            401 => false,
            status => panic!("{status}"),
        }
    }

    /// A personal token of the same owner.
    fn generate(&self, name: &str, bypass: bool) -> Self {
        let body = json!({"tokenName": name, "bypassTwoFactor": bypass});
        self.with_token(text(&self.proving().post(GENERATE, &body).is(200).json()["token"]))
    }

    fn update(&self) -> Answer {
        let body = json!({"userId": self.owner, "data": {"name": "renamed"}});
        self.post("users.update", &body)
    }
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// The codes of the mails so far.
fn mailed(outbox: &Path) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(outbox).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let shape = regex::Regex::new(r"\b\d{3}-\d{3}\b").unwrap();
    let codes = files.iter().map(|file| {
        let mail: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        shape.find(mail["text"].as_str().unwrap()).unwrap().as_str().to_owned()
    });
    codes.collect()
}

const ME: &str = r#"{"_id":"adminadminadminadminadmin1","username":"ada","name":"","emails":[{"address":"ada@acme.example","verified":false}],"status":"online","roles":["admin"],"active":true,"createdAt":"1970-01-01T00:00:00.000Z","type":"user","email":"ada@acme.example","avatarUrl":"/avatar/ada","settings":{"preferences":{}},"isOAuthUser":false,"services":{"password":{"exists":true}}"#;

#[test]
fn signing_in_tells_the_profile_and_all_in_the_products_order() {
    let (server, _) = start("sign_in", &json!({}));
    let digest = json!({"digest": sha256_hex(PASSWORD), "algorithm": "sha-256"});
    let bodies = [
        json!({"user": "ada", "password": PASSWORD}),
        json!({"user": "ada@acme.example", "password": PASSWORD}),
        json!({"username": "ada", "password": PASSWORD}),
        json!({"email": "ada@acme.example", "password": PASSWORD}),
        json!({"user": "ada", "password": digest}),
    ];
    for body in bodies {
        let answer = send(&server, "POST", "login", &of_type(JSON), &body.to_string()).is(200);
        let token = text(&answer.json()["data"]["authToken"]);
        let expected = format!(
            r#"{{"status":"success","data":{{"userId":"{ADA}","authToken":"{token}","me":{ME}}}}},"success":true}}"#
        );
        assert_eq!(answer.body, expected);
        let ada = Caller { server: &server, owner: ADA, token, code: String::new() };
        assert_eq!(ada.get("me").is(200).body, format!(r#"{ME},"success":true}}"#));
    }
    let form = format!("user=ada&password={}", PASSWORD.replace(' ', "+"));
    send(&server, "POST", "login", &of_type(FORM), &form).is(200);
    for wrong in [
        json!({"user": "ada", "password": "wrong"}),
        json!({"user": "nobody", "password": PASSWORD}),
        json!({"user": "ada"}),
        json!({"user": {"$ne": null}, "password": PASSWORD}),
        json!({"resume": "nothing"}),
        json!([]),
    ] {
        let refused = send(&server, "POST", "login", &of_type(JSON), &wrong.to_string()).is(401);
        assert_eq!(
            refused.body,
            r#"{"success":false,"status":"error","error":"Unauthorized","message":"Unauthorized"}"#
        );
    }
}

#[test]
fn a_second_factor_at_sign_in_is_asked_for_with_401_and_its_code_in_the_error() {
    let (server, outbox) = start("sign_in_factor", &json!({}));
    let login = |body: &Value| send(&server, "POST", "login", &of_type(JSON), &body.to_string());
    let mut body = json!({"user": "tina", "password": PASSWORD});
    let due = |code: &str, message: &str| {
        format!(
            r#"{{"success":false,"status":"error","error":"{code}","details":{{"method":"totp","codeGenerated":false,"availableMethods":["totp"]}},"message":"{message}"}}"#
        )
    };
    assert_eq!(login(&body).is(401).body, due("totp-required", "TOTP Required"));
    body["code"] = "000000".into();
    assert_eq!(login(&body).is(401).body, due("totp-invalid", "TOTP Invalid"));
    body["code"] = code(0).into();
    let answer = login(&body).is(200).json();
    assert_eq!(answer["data"]["me"]["services"]["totp"], json!({"enabled": true}));
    // Once more it is worth nothing, and it is remembered of nobody.
    assert_eq!(login(&body).is(401).body, due("totp-invalid", "TOTP Invalid"));
    let token = text(&answer["data"]["authToken"]);
    let tina = Caller { server: &server, owner: TINA, token, code: String::new() };
    assert_eq!(tina.update().is(400).json()["errorType"], "totp-required");

    // Where a code was mailed, the details say where to, before and after it was used.
    let mut body = json!({"user": "mia", "password": PASSWORD});
    let details = |answer: &Answer| answer.json()["details"].clone();
    let due = login(&body).is(401);
    let to = "mia@acme.example";
    assert_eq!(
        details(&due),
        json!({"method": "email", "emailOrUsername": to, "codeGenerated": true,
               "availableMethods": ["email"]})
    );
    body["code"] = mailed(&outbox)[0].as_str().into();
    login(&body).is(200);
    // A right code has sent no other one.
    assert_eq!(mailed(&outbox).len(), 1);
    let used = login(&body).is(401);
    assert_eq!(used.json()["error"], "totp-invalid");
    assert_eq!(
        details(&used),
        json!({"method": "email", "emailOrUsername": to, "codeGenerated": false,
               "availableMethods": ["email"]})
    );
}

#[test]
fn after_ten_wrong_passwords_a_right_one_is_refused_as_the_product_refuses_it() {
    let (server, _) = start("blocked", &json!({}));
    let login = |password: &str| {
        let body = json!({"user": "bob", "password": password}).to_string();
        send(&server, "POST", "login", &of_type(JSON), &body).is(401).json()
    };
    let robot = Caller::of(&server, "bob", BOB).generate("robot", false);
    for _ in 0..10 {
        assert_eq!(login("wrong")["error"], "Unauthorized");
    }
    assert_eq!(login(PASSWORD)["error"], "error-login-blocked-for-user");
    assert!(robot.is_live());
}

#[test]
fn a_token_is_generated_listed_regenerated_and_removed() {
    let (server, _) = start("tokens", &json!({}));
    let bob = Caller::of(&server, "bob", BOB);
    assert_eq!(bob.get(LIST).is(200).body, r#"{"tokens":[],"success":true}"#);
    let made = bob.proving().post(GENERATE, &json!({"tokenName": "robot"})).is(200);
    let token = text(&made.json()["token"]);
    assert_eq!(made.body, format!(r#"{{"token":"{token}","success":true}}"#));
    let robot = bob.with_token(token.clone());
    assert!(robot.is_live());
    let listed = bob.get(LIST).is(200).json();
    let item = listed["tokens"][0].as_object().unwrap();
    assert_eq!(item.len(), 4);
    assert_eq!((&item["name"], &item["bypassTwoFactor"]), (&json!("robot"), &json!(false)));
    assert_eq!(item["lastTokenPart"], token[token.len() - 6..]);
    let created_at = item["createdAt"].as_str().unwrap();
    assert!(
        regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            .unwrap()
            .is_match(created_at)
    );
    let again = bob.post(GENERATE, &json!({"tokenName": "robot"})).is(400).json();
    assert_eq!(again["errorType"], "error-token-already-exists");
    let renewed = bob.post(REGENERATE, &json!({"tokenName": "robot"})).is(200).json();
    let renewed = bob.with_token(text(&renewed["token"]));
    assert!(!robot.is_live() && renewed.is_live());
    for route in [REGENERATE, REMOVE] {
        let unknown = bob.post(route, &json!({"tokenName": "unknown"})).is(400).json();
        assert_eq!(unknown["errorType"], "error-token-does-not-exists");
    }
    let removed = bob.post(REMOVE, &json!({"tokenName": "robot"})).is(200);
    assert_eq!(removed.body, r#"{"success":true}"#);
    assert!(!renewed.is_live() && bob.is_live());
}

#[test]
fn an_account_that_was_just_made_proves_its_password_before_it_has_a_token() {
    let (server, _) = start("fresh", &json!({}));
    let bob = Caller::of(&server, "bob", BOB);
    let due = bob.post(GENERATE, &json!({"tokenName": "robot"})).is(400).json();
    assert_eq!(
        (&due["errorType"], &due["details"]["method"]),
        (&json!("totp-required"), &json!("password"))
    );
    assert!(bob.generate("robot", false).is_live());
}

#[test]
fn a_personal_token_signs_in_again_and_logging_out_with_it_ends_it_alone() {
    let (server, _) = start("logout", &json!({}));
    let bob = Caller::of(&server, "bob", BOB);
    let (robot, other) = (bob.generate("robot", false), bob.generate("other", false));
    let body = json!({"resume": robot.token}).to_string();
    let resumed = send(&server, "POST", "login", &of_type(JSON), &body).is(200).json();
    assert_eq!(resumed["data"]["authToken"], robot.token.as_str());
    let farewell = r#"{"status":"success","data":{"message":"You've been logged out!"}}"#;
    assert_eq!(robot.post("logout", &json!({})).is(200).body, farewell);
    assert!(!robot.is_live() && other.is_live() && bob.is_live());
    // Whoever has a session logs out of that; a GET does the same.
    assert_eq!(bob.get("logout").is(200).body, farewell);
    assert!(!bob.is_live() && other.is_live());
    assert_eq!(bob.post("logout", &json!({})).is(401).json()["status"], "error");
}

#[test]
fn other_clients_are_logged_out_and_personal_tokens_stay() {
    let (server, _) = start("other_clients", &json!({}));
    let (bob, elsewhere) = (Caller::of(&server, "bob", BOB), Caller::of(&server, "bob", BOB));
    let ada = Caller::of(&server, "ada", ADA);
    let robot = elsewhere.generate("robot", false);
    let done = bob.post("users.logoutOtherClients", &json!({})).is(200);
    let expires = text(&done.json()["tokenExpires"]);
    assert_eq!(
        done.body,
        format!(r#"{{"token":"{}","tokenExpires":"{expires}","success":true}}"#, bob.token)
    );
    assert!(expires.ends_with('Z') && expires > now().to_rfc3339());
    assert!(bob.is_live() && !elsewhere.is_live() && robot.is_live() && ada.is_live());
    let done = robot.post("users.logoutOtherClients", &json!({})).is(200).json();
    assert_eq!((&done["token"], &done["tokenExpires"]), (&json!(robot.token), &json!("")));
    assert!(robot.is_live() && !bob.is_live());
}

#[test]
fn all_tokens_but_the_presented_one_are_removed_personal_ones_too() {
    let (server, _) = start("other_tokens", &json!({}));
    let (bob, elsewhere) = (Caller::of(&server, "bob", BOB), Caller::of(&server, "bob", BOB));
    let ada = Caller::of(&server, "ada", ADA);
    let (robot, other) = (bob.generate("robot", false), bob.generate("other", false));
    let done = robot.post("users.removeOtherTokens", &json!({})).is(200);
    assert_eq!(done.body, r#"{"success":true}"#);
    assert!(robot.is_live() && ada.is_live());
    assert!(!bob.is_live() && !elsewhere.is_live() && !other.is_live());
}

#[test]
fn users_log_themselves_out_everywhere_and_only_an_administrator_others() {
    let (server, _) = start("users_logout", &json!({}));
    let (ada, bob) = (Caller::of(&server, "ada", ADA), Caller::of(&server, "bob", BOB));
    let robot = bob.generate("robot", false);
    let refused = bob.post("users.logout", &json!({"userId": ADA})).is(403);
    assert_eq!(refused.body, r#"{"success":false,"error":"unauthorized"}"#);
    assert!(ada.is_live() && bob.is_live() && robot.is_live());
    let done = ada.post("users.logout", &json!({"userId": BOB})).is(200);
    let message =
        |id: &str| format!(r#"{{"message":"User {id} has been logged out!","success":true}}"#);
    assert_eq!(done.body, message(BOB));
    assert!(ada.is_live() && !bob.is_live() && !robot.is_live());
    let unknown = ada.post("users.logout", &json!({"userId": "nobody"})).is(400).json();
    assert_eq!(unknown["errorType"], "error-invalid-user-id");
    let bob = Caller::of(&server, "bob", BOB);
    assert_eq!(bob.post("users.logout", &json!({})).is(200).body, message(BOB));
    assert!(!bob.is_live());
}

#[test]
fn what_is_not_there_is_said_in_the_products_envelope() {
    let (server, _) = start("envelope", &json!({}));
    let told = |method: &str, path: &str| send(&server, method, path, "", "");
    for path in ["nothing", "users.nothing", "", "../v1/nothing"] {
        let unknown = told("POST", path).is(404);
        assert_eq!(unknown.body, r#"{"success":false,"error":"Not Found"}"#, "{path}");
    }
    let other = r#"{"success":false,"error":"Method Not Allowed"}"#;
    for (method, path, allowed) in [
        ("GET", GENERATE, "POST"),
        ("DELETE", LIST, "GET,HEAD"),
        ("GET", "login", "POST"),
        ("PUT", "me", "GET,HEAD"),
    ] {
        let refused = told(method, path).is(405);
        assert_eq!((refused.body.as_str(), refused.header("allow")), (other, Some(allowed)));
    }
    let large = format!(r#"{{"tokenName":"{}"}}"#, "x".repeat(70_000));
    for path in ["login", "users.update"] {
        let refused = send(&server, "POST", path, &of_type(JSON), &large).is(413).json();
        assert_eq!(refused["success"], false, "{path}");
    }
    // Other faces have their own words.
    let problem = server.call("POST", "/nothing", "", None).is(404);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
}

#[test]
fn deactivating_takes_forms_and_what_the_validator_takes_and_blocks_or_wipes_all_tokens() {
    for policy in ["keep", "wipe"] {
        let (server, _) = start(policy, &json!({"on_deactivation": policy}));
        let (ada, bob) = (Caller::of(&server, "ada", ADA), Caller::of(&server, "bob", BOB));
        let robot = bob.generate("robot", false);
        for (body, error) in [
            (json!({"userId": BOB}), "must have required property 'activeStatus'"),
            (json!({"activeStatus": false}), "must have required property 'userId'"),
            (json!({"activeStatus": "no", "userId": BOB}), "must be boolean"),
            (json!({"activeStatus": 2, "userId": BOB}), "must be boolean"),
            (json!({"activeStatus": false, "userId": [BOB]}), "must be string"),
            (json!([]), "must be object"),
        ] {
            let refused = ada.post("users.setActiveStatus", &body).is(400).json();
            let expected = json!({"success": false, "error": error, "errorType": "invalid-params"});
            assert_eq!(refused, expected, "{body}");
        }
        let body = format!("activeStatus=false&userId={BOB}");
        bob.form("users.setActiveStatus", &body).is(403);
        let done = ada.form("users.setActiveStatus", &body).is(200);
        assert_eq!(
            done.body,
            format!(r#"{{"user":{{"_id":"{BOB}","active":false}},"success":true}}"#)
        );
        assert!(!bob.is_live() && !robot.is_live());
        let sign_in = json!({"user": "bob", "password": PASSWORD}).to_string();
        send(&server, "POST", "login", &of_type(JSON), &sign_in).is(401);
        ada.post("users.setActiveStatus", &json!({"activeStatus": 1, "userId": BOB})).is(200);
        // Sessions and personal tokens alike: kept, or gone for good.
        let is_kept = policy == "keep";
        assert_eq!((bob.is_live(), robot.is_live()), (is_kept, is_kept), "{policy}");
    }
}

#[test]
fn a_code_is_sent_again_to_whoever_asks_and_nobody_learns_who_is_there() {
    for (wire, missing) in [
        (
            "8",
            r#"{"success":false,"error":"must have required property 'emailOrUsername'","errorType":"invalid-params"}"#,
        ),
        (
            "legacy",
            r#"{"success":false,"error":"emailOrUsername is required [error-parameter-required]","errorType":"error-parameter-required"}"#,
        ),
    ] {
        let (server, outbox) = start(&format!("again_{wire}"), &json!({"wire": wire}));
        let post = |body: &Value| {
            send(&server, "POST", "users.2fa.sendEmailCode", &of_type(JSON), &body.to_string())
        };
        for (name, mails) in
            [("mia", 1), ("mia@acme.example", 2), ("mia", 2), ("bob", 2), ("nobody", 2)]
        {
            let done = post(&json!({"emailOrUsername": name})).is(200);
            assert_eq!(done.body, r#"{"success":true}"#, "{name}");
            assert_eq!(mailed(&outbox).len(), mails, "{name}");
        }
        assert_eq!(post(&json!({})).is(400).body, missing);
        let code = &mailed(&outbox)[1];
        let body = json!({"user": "mia", "password": PASSWORD, "code": code});
        send(&server, "POST", "login", &of_type(JSON), &body.to_string()).is(200);
    }
}

#[test]
fn whoever_may_not_answer_is_sent_no_code_that_would_be_refused() {
    let (server, outbox) = start("locked_mail", &json!({}));
    send(
        &server,
        "POST",
        "users.2fa.sendEmailCode",
        &of_type(JSON),
        r#"{"emailOrUsername":"mia"}"#,
    )
    .is(200);
    let code = mailed(&outbox)[0].clone();
    let body = json!({"user": "mia", "password": PASSWORD, "code": code});
    let mia = Caller::signed_in(&server, &body, MIA);
    let to = "mia@acme.example";
    assert_eq!(mia.update().is(400).json()["errorType"], "totp-required");
    let wrong = mia.answering("000000", "email");
    for n in 0..5 {
        let refused = wrong.update().is(400).json();
        assert_eq!(refused["errorType"], "totp-invalid", "{n}");
        assert_eq!(refused["details"]["emailOrUsername"], to);
    }
    let locked = wrong.update().is(400).json();
    assert_eq!(locked["error"], "TOTP Maximun Failed Attempts Reached [totp-max-attempts]");
    assert_eq!(mailed(&outbox).len(), 2);
    // Not by asking again, for this or for something else, and not by the button.
    let post = |body: &Value| mia.post(GENERATE, body).is(400).json();
    for refused in [mia.update().is(400).json(), post(&json!({"tokenName": "robot"}))] {
        assert_eq!(refused["errorType"], "totp-max-attempts");
        assert_eq!(refused["details"]["emailOrUsername"], to);
        assert_eq!(refused["details"]["codeGenerated"], false);
    }
    let again = mia.post("users.2fa.sendEmailCode", &json!({"emailOrUsername": "mia"})).is(200);
    assert_eq!(again.body, r#"{"success":true}"#);
    assert_eq!(mailed(&outbox).len(), 2);
    let sign_in = json!({"user": "mia", "password": PASSWORD}).to_string();
    let refused = send(&server, "POST", "login", &of_type(JSON), &sign_in).is(401).json();
    assert_eq!(
        (&refused["error"], &refused["details"]["emailOrUsername"]),
        (&json!("totp-max-attempts"), &json!(to))
    );
    assert_eq!(mailed(&outbox).len(), 2);
}

#[test]
fn after_as_many_wrong_codes_as_the_setting_says_another_one_is_sent() {
    let (server, outbox) = start("few_attempts", &json!({"max_email_attempts": 2}));
    let login = |body: &Value| send(&server, "POST", "login", &of_type(JSON), &body.to_string());
    let mut body = json!({"user": "mia", "password": PASSWORD});
    login(&body).is(401);
    body["code"] = "000000".into();
    for expected in ["totp-invalid", "totp-invalid", "totp-max-attempts"] {
        assert_eq!(login(&body).is(401).json()["error"], expected);
    }
    body["code"] = mailed(&outbox)[0].as_str().into();
    assert_eq!(login(&body).is(401).json()["error"], "totp-max-attempts");
    let due = login(&json!({"user": "mia", "password": PASSWORD})).is(401).json();
    assert_eq!(
        (&due["error"], &due["details"]["codeGenerated"]),
        (&json!("totp-required"), &json!(true))
    );
}

#[test]
fn tokens_outlive_the_permission_and_a_new_factor_and_their_owner_says_nothing_more_of_them() {
    let home = folder("permission_store");
    let store = format!("sqlite:{}", home.join("tokens.db").display());
    let arguments = ["--store", store.as_str()];
    let before = accounts(&json!(["user"]), &Value::Null, &json!({}));
    let (server, _) = start_with("permission", &before, &arguments);
    let bob = Caller::of(&server, "bob", BOB);
    let (robot, plain) = (bob.generate("robot", true), bob.generate("plain", false));
    plain.proving().update().is(200);
    plain.update().is(200);
    let (robot, plain) = (robot.token, plain.token);
    assert_eq!(server.stop().status.code(), Some(0));

    let after = accounts(&json!(["bot"]), &json!({"totp": SEED}), &json!({}));
    let (server, outbox) = start_with("permission", &after, &arguments);
    let bob = |token| Caller { server: &server, owner: BOB, token, code: String::new() };
    let (robot, plain) = (bob(robot), bob(plain));
    assert!(robot.is_live() && plain.is_live());
    // A bypass made before the authenticator still passes; what was remembered before does not.
    robot.update().is(200);
    let due = plain.update().is(400).json();
    assert_eq!(
        (&due["errorType"], &due["details"]["method"]),
        (&json!("totp-required"), &json!("totp"))
    );
    assert_eq!(
        robot.get(LIST).is(403).body,
        r#"{"success":false,"error":"User does not have the permissions required for this action [error-unauthorized]"}"#
    );
    let refused = robot.post(REMOVE, &json!({"tokenName": "plain"})).is(400).json();
    assert_eq!(refused["errorType"], "not-authorized");
    // Nor does it make tokens, and mail is no way round the authenticator.
    for caller in [robot.clone(), robot.answering("000000", "email")] {
        let refused = caller.post(GENERATE, &json!({"tokenName": "more"})).is(400).json();
        let code = refused["errorType"].as_str().unwrap();
        assert!(["totp-required", "totp-invalid"].contains(&code), "{refused}");
    }
    assert!(mailed(&outbox).is_empty());
    // An administrator ends them all the same.
    let ada = Caller::of(&server, "ada", ADA);
    ada.post("users.logout", &json!({"userId": BOB})).is(200);
    assert!(!robot.is_live() && !plain.is_live());
}

#[test]
fn without_second_factors_nobody_is_asked_and_a_factor_that_there_is_none_of_is_none_to_ask() {
    let (server, _) = start("off", &json!({"two_factor_enabled": false}));
    let tina = Caller::of(&server, "tina", TINA);
    tina.post(GENERATE, &json!({"tokenName": "robot"})).is(200);
    let (server, _) = start("no_fallback", &json!({"password_fallback": false}));
    let bob = Caller::of(&server, "bob", BOB);
    bob.post(GENERATE, &json!({"tokenName": "robot"})).is(200);
    let (server, _) = start("forgetful", &json!({"remember_for_seconds": 0}));
    let bob = Caller::of(&server, "bob", BOB);
    bob.generate("robot", false);
    let due = bob.post(GENERATE, &json!({"tokenName": "more"})).is(400).json();
    assert_eq!(due["errorType"], "totp-required");
}

#[test]
fn accounts_without_the_permission_have_no_tokens() {
    let (server, _) = start("bots", &json!({}));
    let bot = Caller::of(&server, "bot", BOT).proving();
    for route in [GENERATE, REGENERATE, REMOVE] {
        let refused = bot.post(route, &json!({"tokenName": "robot"})).is(400).json();
        assert_eq!(refused["error"], "Not Authorized [not-authorized]", "{route}");
    }
    bot.get(LIST).is(403);
    assert!(bot.is_live());
}
