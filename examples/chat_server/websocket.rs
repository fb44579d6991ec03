//! `GET /api/v4/websocket`: what is said, as it is said, as Mattermost's clients expect it.
//!
//! Whoever presents no token with the request has ten seconds to send it as a message.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use keyfob::http::ClientAddress;
use keyfob::service::live::{EndReason, Live};
use keyfob::wire::mattermost::Failure;
use keyfob::{AuthenticateError, ReadWrite, Verified};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Host;
use crate::live::{GOING_AWAY, News, TOO_OFTEN, TOO_SLOW, next};
use crate::mattermost::{VERSION, shown_post};
use crate::messages::{Message, TOWN_SQUARE};

pub(crate) async fn connect(
    State(host): State<Arc<Host>>,
    Extension(address): Extension<ClientAddress>,
    mut parts: Parts,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let upgrade = upgrade.map_err(|_| NO_UPGRADE)?;
    let presents = parts.headers.contains_key(AUTHORIZATION);
    let verified = match host.mattermost.caller(&mut parts, &ReadWrite::Read).await {
        Ok(caller) => Some(*caller.token()),
        Err(Failure::SessionExpired) if !presents => None,
        Err(failure) => return Err(failure),
    };
    let place = host.connections.place().map_err(|_| Failure::Unavailable)?;
    Ok(upgrade.max_message_size(LONGEST_MESSAGE).on_upgrade(async move |mut socket| {
        let end = converse(&host, address, verified, &mut socket).await;
        if let Some(end) = end {
            // Whoever does not listen any more is not told.
            let _ = socket.send(Frame::Close(Some(end.frame()))).await;
        }
        drop(place);
    }))
}

/// Why this end closes a connection.
struct End(&'static str);

impl End {
    const fn because(error: &AuthenticateError) -> Self {
        match error {
            AuthenticateError::RateLimited { .. } => Self(TOO_OFTEN),
            AuthenticateError::Unavailable(_) => Self(EndReason::Unavailable.code()),
            AuthenticateError::NotOurs | AuthenticateError::Refused(_) => Self(WRONG_TOKEN),
        }
    }

    /// As RFC 6455 (section 7.4.1) and its registry number them: the client is to blame, or may
    /// come back.
    fn frame(&self) -> CloseFrame {
        let code = match self.0 {
            GOING_AWAY => close_code::AWAY,
            TOO_OFTEN | TOO_SLOW => close_code::AGAIN,
            code if code == EndReason::Unavailable.code() => close_code::AGAIN,
            _ => close_code::POLICY,
        };
        CloseFrame { code, reason: self.0.into() }
    }
}

/// Goes on until one of both ends it; returns why if it is this one.
async fn converse(
    host: &Host,
    ClientAddress(address): ClientAddress,
    verified: Option<Verified>,
    socket: &mut WebSocket,
) -> Option<End> {
    let (verified, answer) = match verified {
        Some(verified) => (verified, None),
        None => {
            let challenge = tokio::select! {
                challenge = timeout(PATIENCE, challenge(socket)) => challenge,
                () = host.connections.stopped() => return Some(End(GOING_AWAY)),
            };
            let Ok(challenge) = challenge else { return Some(End("authentication_timeout")) };
            let Challenge { seq, text } = challenge?;
            match authenticate(host, &text, address).await {
                Ok(verified) => (verified, Some(json!({"status": "OK", "seq_reply": seq}))),
                Err(end) => return Some(end),
            }
        }
    };
    let mut news = host.messages.news();
    let live = match host.tokens.live(&verified).await {
        Ok(live) => live,
        Err(error) => return Some(End::because(&error)),
    };
    if let Some(answer) = answer {
        send(socket, &answer).await?;
    }
    let data = json!({"server_version": VERSION, "connection_id": ""});
    send(socket, &event(0, "hello", &data, "")).await?;
    let mut sequence = 0_u64;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent_beats = 0_u8;
    let mut stopped = pin!(host.connections.stopped());
    loop {
        let told = tokio::select! {
            biased;
            told = next(&live, &mut news, &mut stopped) => told,
            frame = socket.recv() => {
                silent_beats = 0;
                hear(&live, socket, frame?.ok()?).await?;
                continue;
            }
            _ = beat.tick() => {
                silent_beats = silent_beats.saturating_add(1);
                if silent_beats > MOST_SILENT_BEATS {
                    return Some(End(TOO_SLOW));
                }
                socket.send(Frame::Ping(Vec::new().into())).await.ok()?;
                continue;
            }
        };
        match told {
            News::End(code) => return Some(End(code)),
            News::Posted(message) => {
                sequence = sequence.saturating_add(1);
                let posted = event(sequence, "posted", &posted(host, &message), TOWN_SQUARE);
                send(socket, &posted).await?;
            }
        }
    }
}

struct Challenge {
    seq: u64,
    text: String,
}

/// What a client sends.
#[derive(Deserialize)]
struct Asked {
    seq: u64,
    action: String,
    #[serde(default)]
    data: Value,
}

/// The first message that is a challenge; others before it are of no use. `None` when the client is
/// gone.
async fn challenge(socket: &mut WebSocket) -> Option<Challenge> {
    loop {
        let Frame::Text(text) = socket.recv().await?.ok()? else { continue };
        let Ok(asked) = serde_json::from_str::<Asked>(&text) else { continue };
        if asked.action == "authentication_challenge" {
            let text = asked.data.get("token").and_then(Value::as_str).unwrap_or_default();
            return Some(Challenge { seq: asked.seq, text: text.to_owned() });
        }
    }
}

/// A text in a message is worth what it is worth in a header.
async fn authenticate(host: &Host, text: &str, address: IpAddr) -> Result<Verified, End> {
    match host.mattermost.authenticate(text, Some(address), &ReadWrite::Read).await {
        Ok(caller) => Ok(*caller.token()),
        Err(Failure::Unavailable) => Err(End(EndReason::Unavailable.code())),
        Err(_) => Err(End(WRONG_TOKEN)),
    }
}

/// Answers a client's message; `None` when it is gone.
async fn hear(live: &Live, socket: &mut WebSocket, frame: Frame) -> Option<()> {
    let text = match frame {
        Frame::Text(text) if live.is_live() => text,
        Frame::Close(_) => return None,
        _ => return Some(()),
    };
    let asked: Option<Asked> = serde_json::from_str(&text).ok();
    let answer = match asked {
        Some(Asked { seq, action, .. }) if action == "ping" => {
            json!({"status": "OK", "data": {"text": "pong"}, "seq_reply": seq})
        }
        asked => {
            let seq = asked.map(|asked| asked.seq).unwrap_or_default();
            let id = "api.web_socket_router.bad_action.app_error";
            let error = json!({"id": id, "message": "Unknown WebSocket action."});
            json!({"status": "FAIL", "error": error, "seq_reply": seq})
        }
    };
    send(socket, &answer).await
}

async fn send(socket: &mut WebSocket, value: &Value) -> Option<()> {
    socket.send(Frame::Text(value.to_string().into())).await.ok()
}

fn event(sequence: u64, name: &str, data: &Value, channel: &str) -> Value {
    let broadcast =
        json!({"omit_users": null, "user_id": "", "channel_id": channel, "team_id": ""});
    json!({"event": name, "data": data, "broadcast": broadcast, "seq": sequence})
}

/// The message itself is a text in the event, as that product has it.
fn posted(host: &Host, message: &Message) -> Value {
    let post = shown_post(host, message);
    json!({
        "channel_name": "town-square",
        "channel_display_name": "Town Square",
        "channel_type": "O",
        "sender_name": format!("@{}", message.author),
        "team_id": "",
        "post": post.to_string(),
    })
}

const NO_UPGRADE: Failure = Failure::Host {
    status: StatusCode::BAD_REQUEST,
    id: "api.web_socket.connect.upgrade.app_error",
    message: "Failed to upgrade the connection to a WebSocket.",
};

/// One answer for all that is not accepted.
const WRONG_TOKEN: &str = "invalid_token";

/// How long a client that has presented nothing may take to.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a client is asked whether it is still there, and how often it may not answer.
const BEAT: Duration = Duration::from_secs(30);
const MOST_SILENT_BEATS: u8 = 3;

/// As large as a request's body may be.
const LONGEST_MESSAGE: usize = 64 * 1024;
