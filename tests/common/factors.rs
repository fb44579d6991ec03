//! Accounts with second factors, and what they answer with.

use std::thread;
use std::time::{Duration, SystemTime};

use keyfob::two_factor::otp::{hotp, step};
use keyfob::two_factor::{Algorithm, Digits};
use serde_json::json;

use super::chat_server::{Answer, PASSWORD, Server};

pub(crate) const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

pub(crate) const ACCOUNTS: &str = r#"{
  "accounts": [
    {"id": "bobbobbobbobbobbobbobbobb2", "number": 2, "username": "bob",
     "password": "correct horse battery staple"},
    {"id": "tinatinatinatinatinatinat3", "number": 3, "username": "tina",
     "password": "correct horse battery staple",
     "two_factor": {"totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}},
    {"id": "miamiamiamiamiamiamiamiam4", "number": 4, "username": "mia",
     "email": "mia@acme.example", "email_verified": true,
     "password": "correct horse battery staple", "two_factor": {"email": true}}
  ]
}"#;

/// The code of so many steps from now.
pub(crate) fn code(by: i64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = data_encoding::BASE32_NOPAD.decode(SEED.as_bytes()).unwrap();
    let step = step(i64::try_from(now).unwrap()).saturating_add_signed(by);
    format!("{:06}", hotp(&seed, step, Algorithm::Sha1, Digits::Six))
}

/// Waits until what is a step away stays so for a while.
pub(crate) fn early_in_a_step() {
    while SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() % 30 > 22 {
        thread::sleep(Duration::from_millis(200));
    }
}

pub(crate) fn sign_in(server: &Server, username: &str, code: Option<&str>) -> Answer {
    let mut body = json!({"username": username, "password": PASSWORD});
    if let Some(code) = code {
        body["code"] = code.into();
    }
    server.call("POST", "/login", "", Some(&body))
}

/// Renames an account on Rocket.Chat's face, with what else is in the headers.
pub(crate) fn update(server: &Server, token: &str, user: &str, more: &str, whom: &str) -> Answer {
    let body = json!({"userId": whom, "data": {"name": "renamed"}}).to_string();
    let length = body.len();
    let request = format!(
        "POST /api/v1/users.update HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\
         Content-Type: application/json\r\nX-Auth-Token: {token}\r\nX-User-Id: {user}\r\n{more}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    server.exchange(request.as_bytes()).unwrap()
}

/// How many of 64 sign-ins at once with the present code succeed, on these servers in turn.
pub(crate) fn accepted_of_64(servers: &[&Server]) -> usize {
    // Passwords take their time: one sign-in each digests them first.
    for server in servers {
        sign_in(server, "bob", None).is(200);
    }
    let code = code(0);
    thread::scope(|scope| {
        let all: Vec<_> = (0..64)
            .map(|at| {
                let (server, code) = (servers[at % servers.len()], &code);
                scope.spawn(move || sign_in(server, "tina", Some(code)))
            })
            .collect();
        let answers: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        for answer in &answers {
            assert!([200, 401, 429].contains(&answer.status), "{answer:?}");
        }
        answers.iter().filter(|answer| answer.status == 200).count()
    })
}
