//! `GET /messages/stream`: what is said, as it is said, as server-sent events.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use keyfob::ReadWrite;
use keyfob::http::{Authenticated, Problem};
use serde_json::json;

use crate::Host;
use crate::live::{News, next};
use crate::people::unavailable;

/// Each message is an event `message`. The last event is `end`, and says why.
pub(crate) async fn stream(
    State(host): State<Arc<Host>>,
    caller: Authenticated<ReadWrite>,
) -> Result<Response, Problem> {
    let place = host.connections.place()?;
    let news = host.messages.news();
    // It was accepted a moment ago: if it cannot be shown now, the client shall try again, and is
    // refused then if it is dead.
    let live = host.tokens.live(caller.verified()).await.map_err(|_| unavailable())?;
    let state = Some((live, news, place, host));
    let events = unfold(state, async |state| {
        let (live, mut news, place, host) = state?;
        let event = match next(&live, &mut news, pin!(host.connections.stopped())).await {
            News::Posted(message) => {
                let event = Event::default().event("message").id(message.number.to_string());
                let event = event.json_data(&message).unwrap_or_default();
                return Some((Ok::<_, Infallible>(event), Some((live, news, place, host))));
            }
            News::End(code) => Event::default().event("end").json_data(json!({"code": code})),
        };
        Some((Ok(event.unwrap_or_default()), None))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEPT_ALIVE));
    Ok(([(CACHE_CONTROL, "no-store")], events).into_response())
}

/// Proxies close what is silent for a minute.
const KEPT_ALIVE: Duration = Duration::from_secs(20);
