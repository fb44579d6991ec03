//! Second factors of the example: at its own sign-in, on Rocket.Chat's face, over restarts and
//! among several processes.
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
#[path = "common/factors.rs"]
mod factors;

use std::fs;
use std::path::Path;
use std::time::Duration;

use chat_server::{Answer, PASSWORD, Server, folder, text};
use factors::{ACCOUNTS, SEED, accepted_of_64, code, early_in_a_step, sign_in, update};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A server whose mail is put into the folder, which is empty at first.
fn start(name: &str, arguments: &[&str], log: &str) -> (Server, std::path::PathBuf) {
    let home = folder(name);
    let accounts = home.join("accounts.json");
    fs::write(&accounts, ACCOUNTS).unwrap();
    let outbox = home.join("outbox");
    let outbox_text = outbox.to_str().unwrap().to_owned();
    let mut all = vec!["--outbox", &outbox_text];
    all.extend(arguments);
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    (Server::start_with(name, &all, log, &accounts), outbox)
}

fn mails(outbox: &Path) -> Vec<Value> {
    let mut names: Vec<_> =
        fs::read_dir(outbox).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let read = |(at, name): (usize, &std::ffi::OsString)| {
        assert_eq!(name.to_str().unwrap(), format!("{:04}.json", at + 1));
        serde_json::from_slice(&fs::read(outbox.join(name)).unwrap()).unwrap()
    };
    names.iter().enumerate().map(read).collect()
}

/// The one code that a mail holds.
fn mailed(mail: &Value, shape: &str) -> String {
    let words = regex::Regex::new(shape).unwrap();
    let found: Vec<_> =
        words.find_iter(mail["text"].as_str().unwrap()).map(|found| found.as_str()).collect();
    assert_eq!(found.len(), 1, "{mail}");
    found[0].to_owned()
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn factor_code(code: &str, method: &str) -> String {
    format!("X-2fa-Code: {code}\r\nx-2fa-method: {method}\r\n")
}

/// A session and whose it is.
fn session(server: &Server, username: &str, code: Option<&str>) -> String {
    text(&sign_in(server, username, code).is(200).json()["token"])
}

#[test]
fn an_authenticator_is_asked_for_at_sign_in_and_each_code_is_taken_once() {
    let (server, _) = start("totp", &[], "info");
    early_in_a_step();
    let due = sign_in(&server, "tina", None).is(401);
    assert!(due.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(due.header("content-type"), Some("application/problem+json"));
    let due = due.json();
    assert_eq!(due["code"], "second_factor_required");
    assert_eq!((&due["method"], &due["field"]), (&json!("totp"), &json!("code")));
    assert_eq!(due.get("token"), None);
    let wrong = sign_in(&server, "tina", Some("000000")).is(401).json();
    assert_eq!(wrong["code"], "second_factor_wrong");
    let right = code(0);
    let token = session(&server, "tina", Some(&right));
    assert_eq!(
        sign_in(&server, "tina", Some(&right)).is(401).json()["code"],
        "second_factor_wrong"
    );
    // On every other route too.
    let used = update(&server, &token, TINA, &factor_code(&right, "totp"), TINA).is(400).json();
    assert_eq!(used["errorType"], "totp-invalid");
    // A password alone opens nothing, and a code alone opens nothing.
    let body = json!({"username": "tina", "password": "wrong", "code": code(1)});
    server.call("POST", "/login", "", Some(&body)).is(401);
}

#[test]
fn rocketchat_takes_the_steps_around_the_present_one_and_no_others() {
    let (server, _) = start("steps", &[], "info");
    early_in_a_step();
    let token = session(&server, "tina", Some(&code(-1)));
    let with = |by: i64| update(&server, &token, TINA, &factor_code(&code(by), "totp"), TINA);
    for by in [-2, 2, -1] {
        assert_eq!(with(by).is(400).json()["errorType"], "totp-invalid", "{by}");
    }
    with(1).is(200);
    // It is remembered of this token, from this address; not of another one.
    update(&server, &token, TINA, "", TINA).is(200);
    let bob = session(&server, "bob", None);
    assert_eq!(update(&server, &bob, BOB, "", BOB).is(400).json()["errorType"], "totp-required");
}

#[test]
fn a_route_that_demands_a_second_factor_takes_the_password_of_those_who_have_nothing_else() {
    let (server, _) = start("password", &[], "info");
    let bob = session(&server, "bob", None);
    let due = update(&server, &bob, BOB, "", BOB).is(400);
    assert_eq!(due.header("content-type"), Some("application/json"));
    assert_eq!(due.header("cache-control"), Some("no-store"));
    assert_eq!(
        due.body,
        r#"{"success":false,"error":"TOTP Required [totp-required]","errorType":"totp-required","details":{"method":"password","codeGenerated":false,"availableMethods":[]}}"#
    );
    let wrong = factor_code(&sha256_hex("wrong"), "password");
    assert_eq!(update(&server, &bob, BOB, &wrong, BOB).is(400).json()["errorType"], "totp-invalid");
    // Not the password itself: this face sends its digest.
    let plain = factor_code(PASSWORD, "password");
    update(&server, &bob, BOB, &plain, BOB).is(400);
    let right = factor_code(&sha256_hex(PASSWORD).to_uppercase(), "password");
    let done = update(&server, &bob, BOB, &right, BOB).is(200).json();
    assert_eq!((&done["success"], &done["user"]["name"]), (&json!(true), &json!("renamed")));
    // It was asked for first, and is not allowed all the same.
    let other = update(&server, &bob, BOB, "", TINA).is(400).json();
    assert_eq!(other["errorType"], "error-action-not-allowed");
}

#[test]
fn a_request_that_is_nobodys_or_not_well_formed_is_refused_before_anything_is_asked_for() {
    let (server, _) = start("refused", &[], "info");
    let bob = session(&server, "bob", None);
    let headers = |headers: &str, body: &str| -> Answer {
        let length = body.len();
        let request = format!(
            "POST /api/v1/users.update HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        server.exchange(request.as_bytes()).unwrap()
    };
    let own = format!("X-Auth-Token: {bob}\r\nX-User-Id: {BOB}\r\n");
    let nobody = r#"{"success":false,"error":"You must be logged in to do this.","status":"error","message":"You must be logged in to do this."}"#;
    for wrong in [
        String::new(),
        format!("X-Auth-Token: {bob}\r\n"),
        format!("X-User-Id: {BOB}\r\n"),
        format!("X-Auth-Token: {bob}\r\nX-User-Id: {TINA}\r\n"),
        format!("X-Auth-Token: {bob}x\r\nX-User-Id: {BOB}\r\n"),
        format!("{own}X-Auth-Token: {bob}\r\n"),
        format!("Authorization: Bearer {bob}\r\n"),
        format!("Authorization: Bearer {bob}\r\nX-User-Id: {BOB}\r\n"),
    ] {
        assert_eq!(headers(&wrong, "{}").is(401).body, nobody, "{wrong}");
    }
    for (body, error) in [
        ("", "must have required property 'userId'"),
        ("no json", "must have required property 'userId'"),
        ("[]", "must be object"),
        (r#"{"userId":{"$ne":null},"data":{}}"#, "must be string"),
        (r#"{"userId":"x"}"#, "must have required property 'data'"),
        (r#"{"userId":"x","data":"x"}"#, "must be object"),
        (
            r#"{"userId":"x","data":{"password":"x"}}"#,
            "data.password cannot be changed on this server",
        ),
        (
            r#"{"userId":"x","data":{"name":""}}"#,
            "data.name: 1 to 255 bytes without control characters",
        ),
    ] {
        let refused = headers(&own, body).is(400).json();
        assert_eq!(refused["error"], error, "{body}");
        assert_eq!(refused["errorType"], "invalid-params", "{body}");
    }
}

#[test]
fn codes_are_mailed_with_forty_bits_here_and_six_digits_on_rocketchats_face() {
    let (server, outbox) = start("mail", &[], "info");
    let due = sign_in(&server, "mia", None).is(401).json();
    assert_eq!((&due["code"], &due["method"]), (&json!("second_factor_required"), &json!("email")));
    assert_eq!(due["detail"], "enter the code sent to mia@acme.example");
    let sent = mails(&outbox);
    assert_eq!((sent.len(), &sent[0]["to"]), (1, &json!("mia@acme.example")));
    let code = mailed(&sent[0], r"\b[a-z0-9]{4}-[a-z0-9]{4}\b");
    assert_eq!(
        sign_in(&server, "mia", Some("aaaa-aaaa")).is(401).json()["code"],
        "second_factor_wrong"
    );
    let token = session(&server, "mia", Some(&code));

    let due = update(&server, &token, MIA, "", MIA).is(400).json();
    let expected = json!({"method": "email", "emailOrUsername": "mia@acme.example",
        "codeGenerated": true, "availableMethods": ["email"]});
    assert_eq!((&due["errorType"], &due["details"]), (&json!("totp-required"), &expected));
    let again = update(&server, &token, MIA, "", MIA).is(400).json();
    assert_eq!(again["details"]["codeGenerated"], false);
    assert!(again["details"]["codeExpires"].as_str().unwrap().ends_with('Z'));
    let sent = mails(&outbox);
    assert_eq!(sent.len(), 2);
    let digits = mailed(&sent[1], r"\b\d{3}-?\d{3}\b");
    // For another request it is wrong, and used up by that.
    let other = update(&server, &token, MIA, &factor_code(&digits, "email"), BOB).is(400).json();
    assert_eq!(other["errorType"], "totp-invalid");
    update(&server, &token, MIA, &factor_code(&digits, "email"), MIA).is(400);
    update(&server, &token, MIA, "", MIA).is(400);
    let digits = mailed(&mails(&outbox)[2], r"\b\d{3}-?\d{3}\b").replace('-', "");
    update(&server, &token, MIA, &factor_code(&digits, "email"), MIA).is(200);
}

#[test]
fn too_many_wrong_codes_lock_the_owner_out_and_nobody_else() {
    let (server, _) = start("locked", &[], "info");
    early_in_a_step();
    let bob = session(&server, "bob", None);
    // Who does not know the password guesses no code: the count is not reached.
    for _ in 0..7 {
        let body = json!({"username": "tina", "password": "wrong", "code": "000000"});
        let refused = server.call("POST", "/login", "", Some(&body)).is(401).json();
        assert_eq!(refused["code"], "wrong_credentials");
    }
    let tina = session(&server, "tina", Some(&code(-1)));
    let invalid =
        |code: &str| update(&server, &tina, TINA, &factor_code(code, "totp"), TINA).is(400).body;
    let wrong: Vec<_> = (0..5).map(|n| invalid(&format!("00000{n}"))).collect();
    assert!(wrong[0].contains("totp-invalid"), "{wrong:?}");
    // The right one is answered as a wrong one, here and at sign-in.
    assert_eq!(invalid(&code(0)), wrong[0]);
    let locked = sign_in(&server, "tina", Some(&code(0))).is(429);
    assert_eq!(locked.json()["code"], "second_factor_locked");
    let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=901).contains(&wait), "{wait}");
    let right = factor_code(&sha256_hex(PASSWORD), "password");
    update(&server, &bob, BOB, &right, BOB).is(200);
    // Her token is her token: only what asks for a second factor is closed.
    server.call("GET", "/messages", &tina, None).is(200);
}

#[test]
fn what_was_used_and_what_was_counted_survives_a_restart_and_the_store_wins() {
    let home = folder("restart_store");
    let store = format!("sqlite:{}", home.join("tokens.db").display());
    let arguments = ["--store", store.as_str()];
    let (server, _) = start("restart", &arguments, "info");
    let used = code(0);
    session(&server, "tina", Some(&used));
    assert_eq!(server.stop().status.code(), Some(0));

    let (server, _) = start("restart", &arguments, "info");
    assert_eq!(sign_in(&server, "tina", Some(&used)).is(401).json()["code"], "second_factor_wrong");
    for n in 1..5 {
        sign_in(&server, "tina", Some(&format!("00000{n}"))).is(401);
    }
    assert_eq!(server.stop_with("KILL").status.code(), None);
    let (server, _) = start("restart", &arguments, "info");
    sign_in(&server, "tina", Some(&code(1))).is(429);
    server.stop();

    // The file says another seed: the store knows better, and says so.
    let other = ACCOUNTS.replace(SEED, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let accounts = home.join("other.json");
    fs::write(&accounts, other).unwrap();
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    let server = Server::start_with("restart_other", &arguments, "warn", &accounts);
    let told = String::from_utf8(server.stop().stderr).unwrap();
    assert!(told.contains("the store knows which second factors") && told.contains(TINA), "{told}");
}

#[test]
fn of_64_sign_ins_at_once_with_one_code_on_two_processes_one_succeeds() {
    let home = folder("race_store");
    let store = format!("sqlite:{}", home.join("tokens.db").display());
    let arguments = ["--store", store.as_str()];
    let (one, _) = start("race_one", &arguments, "warn");
    let (other, _) = start("race_other", &arguments, "warn");
    assert_eq!(accepted_of_64(&[&one, &other]), 1);
}

#[test]
fn no_line_holds_a_code_a_seed_or_a_password() {
    let (server, outbox) = start("lines", &[], "trace");
    let mut secrets = vec![SEED.to_owned(), PASSWORD.to_owned(), sha256_hex(PASSWORD)];
    for code in ["000000", &code(0)] {
        sign_in(&server, "tina", Some(code));
        secrets.push(code.to_owned());
    }
    sign_in(&server, "mia", None).is(401);
    let mailed = mailed(&mails(&outbox)[0], r"\b[a-z0-9]{4}-[a-z0-9]{4}\b");
    let token = session(&server, "mia", Some(&mailed));
    update(&server, &token, MIA, "", MIA).is(400);
    secrets.extend([mailed.replace('-', ""), mailed, token]);
    let bob = session(&server, "bob", None);
    update(&server, &bob, BOB, &factor_code(&sha256_hex(PASSWORD), "password"), BOB).is(200);
    secrets.push(bob);
    let output = server.stop();
    let lines = [output.stdout, output.stderr].concat();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains("second_factor") || lines.contains("users.update"), "{lines}");
    for secret in secrets {
        // A timestamp has six digits too; a code stands alone.
        let alone =
            regex::Regex::new(&format!(r"(^|[^0-9.]){}($|[^0-9Z])", regex::escape(&secret)));
        assert!(!alone.unwrap().is_match(&lines), "{secret}: {lines}");
    }
}

#[test]
fn without_an_outbox_mail_is_printed_and_a_folder_that_cannot_be_made_ends_the_start() {
    let home = folder("printed");
    let accounts = home.join("accounts.json");
    fs::write(&accounts, ACCOUNTS).unwrap();
    let accounts = ["--accounts", accounts.to_str().unwrap()];
    let server = Server::start_with("printed_server", &[], "warn", &accounts);
    sign_in(&server, "mia", None).is(401);
    std::thread::sleep(Duration::from_millis(50));
    let told = String::from_utf8(server.stop().stderr).unwrap();
    assert!(told.contains("mail {\"to\"") && told.contains("mia@acme.example"), "{told}");
    let file = home.join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("below");
    let told =
        chat_server::refusal(&home, &["--outbox", below.to_str().unwrap(), "--store", "memory:"]);
    assert!(told.contains("--outbox"), "{told}");
}

const BOB: &str = "bobbobbobbobbobbobbobbobb2";
const TINA: &str = "tinatinatinatinatinatinat3";
const MIA: &str = "miamiamiamiamiamiamiamiam4";
