//! Connections to the example that stay open, and end with the tokens that opened them.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too, and waits for another process"
)]

#[expect(dead_code, reason = "others need more of it")]
#[path = "common/chat_server.rs"]
mod chat_server;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chat_server::{Server, folder, text};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

const PASSWORD: &str = "correct horse battery staple";
const ADMIN_PASSWORD: &str = "the administrator's password";
const BOB: &str = "bobbobbobbobbobbobbobbobb2";
/// As the accounts of these tests set it.
const BOUND: Duration = Duration::from_millis(500);
/// What a busy machine may need beyond what is promised.
const LENIENCE: Duration = Duration::from_millis(1500);

type Socket = WebSocket<TcpStream>;

fn connect(server: &Server, token: Option<&str>) -> Result<Socket, u16> {
    let mut request =
        format!("ws://{}/api/v4/websocket", server.address).into_client_request().unwrap();
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(other) => panic!("{other}"),
    }
}

fn opened(server: &Server, token: &str) -> Socket {
    let mut socket = connect(server, Some(token)).unwrap();
    assert_eq!(told(&mut socket)["event"], "hello");
    socket
}

fn told(socket: &mut Socket) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other}"),
        }
    }
}

/// The code and the reason of its end, and when it came.
fn end(socket: &mut Socket) -> (CloseCode, String, Instant) {
    loop {
        match socket.read().unwrap() {
            Message::Close(Some(frame)) => {
                return (frame.code, frame.reason.to_string(), Instant::now());
            }
            Message::Ping(_) => {}
            other => panic!("{other}"),
        }
    }
}

fn say(socket: &mut Socket, value: &Value) {
    socket.send(Message::Text(value.to_string().into())).unwrap();
}

/// A store in a file of the test's own.
fn file(name: &str) -> String {
    let path = folder(name).join("tokens.db");
    let _ = std::fs::remove_file(&path);
    format!("sqlite:{}", path.display())
}

fn issued(server: &Server, session: &str, body: &Value) -> (String, String) {
    let made = server.call("POST", "/tokens", session, Some(body)).is(201).json();
    (text(&made["token"]), text(&made["id"]))
}

fn post(server: &Server, token: &str, message: &str) {
    server.call("POST", "/messages", token, Some(&json!({"text": message}))).is(201);
}

#[test]
fn what_is_posted_is_told_over_a_websocket_as_mattermost_tells_it() {
    let server = Server::start("live_posts", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    let mut socket = opened(&server, &session);
    post(&server, &session, "hello there");
    let event = told(&mut socket);
    assert_eq!((&event["event"], &event["seq"]), (&json!("posted"), &json!(1)));
    let channel = server.first_lines[1].strip_prefix("town-square ").unwrap();
    assert_eq!(event["broadcast"]["channel_id"], channel);
    let post: Value = serde_json::from_str(event["data"]["post"].as_str().unwrap()).unwrap();
    assert_eq!(post["message"], "hello there");
    assert_eq!(post["user_id"], BOB);
    assert_eq!(post["id"].as_str().unwrap().len(), 26);
    say(&mut socket, &json!({"seq": 7, "action": "ping"}));
    let pong = told(&mut socket);
    assert_eq!(pong, json!({"status": "OK", "data": {"text": "pong"}, "seq_reply": 7}));
    say(&mut socket, &json!({"seq": 8, "action": "dance"}));
    assert_eq!(told(&mut socket)["status"], "FAIL");
}

#[test]
fn a_websocket_without_a_header_waits_for_a_challenge() {
    let server = Server::start("live_challenge", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    let mut socket = connect(&server, None).unwrap();
    let challenge = |token: &str| {
        let data = json!({"token": token});
        json!({"seq": 1, "action": "authentication_challenge", "data": data})
    };
    say(&mut socket, &challenge(&session));
    assert_eq!(told(&mut socket), json!({"status": "OK", "seq_reply": 1}));
    assert_eq!(told(&mut socket)["event"], "hello");
    post(&server, &session, "heard");
    assert_eq!(told(&mut socket)["event"], "posted");

    for wrong in ["", "nonsense", "chat_1111111111111111111111111111111111111111111111111111"] {
        let mut socket = connect(&server, None).unwrap();
        say(&mut socket, &challenge(wrong));
        let (code, reason, _) = end(&mut socket);
        assert_eq!((code, reason.as_str()), (CloseCode::Policy, "invalid_token"), "{wrong}");
    }
    assert_eq!(connect(&server, Some(&format!("{session}x"))).err(), Some(401));
    let mut silent = connect(&server, None).unwrap();
    let begun = Instant::now();
    let (code, reason, at) = end(&mut silent);
    assert_eq!((code, reason.as_str()), (CloseCode::Policy, "authentication_timeout"));
    let waited = at - begun;
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(12), "{waited:?}");
    let said = String::from_utf8(server.stop().stderr).unwrap();
    assert!(!said.contains(&session));
}

/// Opens a connection of each kind, ends the token, and sees both end for that reason.
fn ends(name: &str, reason: &str, body: &Value, finish: impl Fn(&Server, &str, &str)) {
    let store = file(name);
    let server = Server::start(name, &["--store", &store], "info");
    let session = server.sign_in("bob", PASSWORD);
    let (token, id) = issued(&server, &session, body);
    let mut socket = opened(&server, &token);
    let mut stream = Stream::open(&server, &token);
    post(&server, &session, "before");
    assert_eq!(told(&mut socket)["event"], "posted");
    assert_eq!(stream.event(), ("message".to_owned(), "before".to_owned()));
    finish(&server, &session, &id);
    let ended = Instant::now();
    let (code, told, at) = end(&mut socket);
    assert_eq!((code, told.as_str()), (CloseCode::Policy, reason), "{name}");
    assert_eq!(stream.event(), ("end".to_owned(), reason.to_owned()), "{name}");
    let took = at - ended;
    assert!(took < BOUND + LENIENCE, "{took:?}");
    assert_eq!(connect(&server, Some(&token)).err(), Some(401));
}

#[test]
fn revocation_ends_connections() {
    ends("live_revoked", "revoked", &json!({"name": "x"}), |server, session, id| {
        server.call("DELETE", &format!("/tokens/{id}"), session, None).is(204);
    });
}

#[test]
fn deactivation_ends_connections() {
    ends("live_deactivated", "deactivated", &json!({"name": "x"}), |server, session, id| {
        server.call("POST", &format!("/tokens/{id}/deactivate"), session, None).is(200);
    });
}

#[test]
fn deactivating_the_owner_ends_connections() {
    ends("live_owner", "owner_deactivated", &json!({"name": "x"}), |server, _, _| {
        let administrator = server.sign_in("admin", ADMIN_PASSWORD);
        let path = format!("/owners/{BOB}/deactivate");
        server.call("POST", &path, &administrator, None).is(200);
    });
}

#[test]
fn expiry_ends_connections() {
    let soon = SystemTime::now() + Duration::from_secs(4);
    let body = json!({"name": "x", "expires_at": DateTime::<Utc>::from(soon).to_rfc3339()});
    ends("live_expired", "expired", &body, |_, _, _| {
        thread::sleep(soon.duration_since(SystemTime::now()).unwrap());
    });
}

#[test]
fn another_process_on_the_store_ends_connections_too() {
    let store = file("live_two");
    let one = Server::start("live_two_a", &["--store", &store], "info");
    let other = Server::start("live_two_b", &["--store", &store], "info");
    let session = one.sign_in("bob", PASSWORD);
    let (token, id) = issued(&one, &session, &json!({"name": "x"}));
    let mut socket = opened(&other, &token);
    one.call("DELETE", &format!("/tokens/{id}"), &session, None).is(204);
    let revoked = Instant::now();
    let (_, reason, at) = end(&mut socket);
    assert_eq!(reason, "revoked");
    assert!(at - revoked < BOUND + LENIENCE, "{:?}", at - revoked);
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let server = Server::start("live_stop", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    let mut socket = opened(&server, &session);
    let mut stream = Stream::open(&server, &session);
    let stopping = thread::spawn(move || server.stop());
    let (code, reason, _) = end(&mut socket);
    assert_eq!((code, reason.as_str()), (CloseCode::Away, "going_away"));
    assert_eq!(stream.event(), ("end".to_owned(), "going_away".to_owned()));
    assert_eq!(stopping.join().unwrap().status.code(), Some(0));
}

#[test]
fn a_stream_needs_a_token_that_may_read() {
    let server = Server::start("live_stream", &[], "info");
    let session = server.sign_in("bob", PASSWORD);
    assert_eq!(server.call("GET", "/messages/stream", "nonsense", None).status, 401);
    let (writer, _) = issued(&server, &session, &json!({"name": "w", "scopes": ["write"]}));
    // Writing implies reading here.
    let mut stream = Stream::open(&server, &writer);
    post(&server, &session, "hi");
    assert_eq!(stream.event().1, "hi");
}

/// Server-sent events, as they come.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(server: &Server, token: &str) -> Self {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "GET /messages/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        Self(lines)
    }

    /// The next event's name, and its text or code.
    fn event(&mut self) -> (String, String) {
        let (mut name, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(event) = line.strip_prefix("event:") {
                name = event.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data:") {
                let data: Value = serde_json::from_str(data).unwrap();
                let told = if name == "end" { &data["code"] } else { &data["text"] };
                return (name, text(told));
            }
        }
    }
}
