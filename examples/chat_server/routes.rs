//! All that this server answers to, and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Json, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use keyfob::ReadWrite;
use keyfob::http::{Authenticated, Declared, Need, Problem, Routes, guard};
use keyfob::wire::native::Native;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::messages::Message;
use crate::{Host, awx, mattermost, page, people, rocketchat, sign_in, stream, zitadel};

/// Everything, with what each route needs.
pub(crate) fn router(host: Arc<Host>, native: &Native<ReadWrite>) -> Router {
    // What a person needs who has no token yet, or a dead one: nobody looks at their headers.
    let open = Router::new()
        .route("/", get(page::html))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/login", post(sign_in::sign_in))
        .route(AWX_DOCUMENT, described(host.awx.openapi()))
        .route(MATTERMOST_DOCUMENT, described(host.mattermost.openapi()))
        .route(ROCKETCHAT_DOCUMENT, described(host.rocketchat.openapi()))
        .route(ZITADEL_DOCUMENT, described(host.zitadel.openapi()))
        .with_state(Arc::clone(&host));
    let own: Routes<ReadWrite, Arc<Host>> = Routes::new()
        .get("/accounts", Need::Scope(ReadWrite::Read), people::list)
        .get("/messages", Need::Scope(ReadWrite::Read), read)
        .post("/messages", Need::Scope(ReadWrite::Write), say)
        .get("/messages/stream", Need::Scope(ReadWrite::Read), stream::stream);
    let open = open.merge(rocketchat::router(&host));
    let guarded = awx::router(&host)
        .merge(mattermost::router(&host))
        .merge(zitadel::router(&host, native.layer()));
    let others = rocketchat::declared(&host);
    let routes = own.with_state(host).merge(native.routes());
    let mut declared = routes.declared();
    declared.extend(others);
    let documents = [AWX_DOCUMENT, MATTERMOST_DOCUMENT, ROCKETCHAT_DOCUMENT, ZITADEL_DOCUMENT];
    for path in ["/", "/page.css", "/page.js"].into_iter().chain(documents) {
        declared.push(Declared::new(Method::GET, path, Need::Public));
    }
    declared.push(Declared::new(Method::POST, "/login", Need::Public));
    // These faces guard themselves: they have words of their own for what they do not serve.
    guard(&declared, open.merge(routes.into_router(native.layer())))
        .merge(guarded)
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(in_time))
        .layer(from_fn(rocketchat::in_envelope))
}

/// The document of another product's routes; the library serves its own by itself.
fn described(document: String) -> MethodRouter<Arc<Host>> {
    let document = Bytes::from(document);
    get(async move || ([(CONTENT_TYPE, "application/json")], document))
}

/// What is said in the channel, oldest first.
#[derive(Serialize)]
struct Said {
    messages: Vec<Message>,
}

/// Something to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saying {
    text: String,
}

async fn read(State(host): State<Arc<Host>>) -> impl IntoResponse {
    Json(Said { messages: host.messages.all() })
}

async fn say(
    State(host): State<Arc<Host>>,
    caller: Authenticated<ReadWrite>,
    saying: Result<Json<Saying>, JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(Saying { text }) = saying.map_err(|rejection| {
        Problem::new(rejection.status(), "invalid_body", "this takes JSON with a text")
    })?;
    // The route's need was judged with the account at hand, so it is there.
    let author = host.accounts.of(caller.owner()).map(|entry| entry.account.username.clone());
    let now = host.tokens.now();
    let message = host.messages.post(author.unwrap_or_default(), text, now).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_text", error.to_string())
            .about(Some("text"))
    })?;
    Ok((StatusCode::CREATED, Json(message)))
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

async fn other_method() -> Problem {
    let detail = "this is not what can be done here";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// No request takes longer, whatever it waits for: its own body, the store, or its turn.
async fn in_time(request: Request, next: Next) -> Response {
    timeout(LONGEST_REQUEST, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "this took too long; try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).into_response()
    })
}

const AWX_DOCUMENT: &str = "/openapi/awx.json";

const MATTERMOST_DOCUMENT: &str = "/openapi/mattermost.json";

const ROCKETCHAT_DOCUMENT: &str = "/openapi/rocketchat.json";

const ZITADEL_DOCUMENT: &str = "/openapi/zitadel.json";

/// Less than the ten seconds that are promised, to leave time for the answer.
const LONGEST_REQUEST: Duration = Duration::from_secs(9);

/// A message whose every byte is escaped is 24 000 bytes of JSON.
const LARGEST_BODY: usize = 64 * 1024;
