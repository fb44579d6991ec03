//! The handlers: read the request, ask the service, write the answer. Their steps are in the
//! product's order, which decides what a request that is wrong in two ways is told.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode, Uri};

use super::codec::{self, Application};
use super::desk::{Content, Handled, json};
use super::failure::Failure;
use super::metadata::Metadata;
use super::{Awx, Caller, Needs};
use crate::core::scope::Scope;
use crate::http::{Declared, Need};

type Face<S> = State<Awx<S>>;
type Segment = Result<Path<String>, PathRejection>;

/// A path, what its methods need, and what serves them.
pub(super) struct Route<S: Scope, T> {
    face: Awx<S>,
    pub(super) path: &'static str,
    pub(super) declared: Vec<Declared<S>>,
    pub(super) handlers: MethodRouter<T>,
}

pub(super) fn routes<S: Scope, T: Clone + Send + Sync + 'static>(
    face: &Awx<S>,
) -> Vec<Route<S, T>> {
    let at = |path| Route::new(face, path);
    let all = "/api/v2/users/{user_id}/tokens/";
    let personal = "/api/v2/users/{user_id}/personal_tokens/";
    let authorized = "/api/v2/users/{user_id}/authorized_tokens/";
    let routes = [
        at("/api/v2/tokens/")
            .on(Method::GET, list::<S>)
            .on(Method::POST, create::<S>)
            .on(Method::OPTIONS, options_of_list::<S, 0>),
        at("/api/v2/tokens/{token_id}/")
            .on(Method::GET, show::<S>)
            .on(Method::PUT, put::<S>)
            .on(Method::PATCH, patch::<S>)
            .on(Method::DELETE, delete::<S>)
            .on(Method::OPTIONS, options_of_one::<S>),
        at("/api/v2/tokens/{token_id}/activity_stream/")
            .on(Method::GET, activity::<S>)
            .on(Method::OPTIONS, options_of_activity),
        at(all)
            .on(Method::GET, list_of::<S>)
            .on(Method::POST, create_any::<S>)
            .on(Method::OPTIONS, options_of_list::<S, 1>),
        at(personal)
            .on(Method::GET, list_of::<S>)
            .on(Method::POST, create_personal::<S>)
            .on(Method::OPTIONS, options_of_list::<S, 2>),
        at(authorized)
            .on(Method::GET, list_authorized::<S>)
            .on(Method::POST, create_authorized::<S>)
            .on(Method::OPTIONS, options_of_list::<S, 3>),
    ];
    routes.into_iter().map(Route::complete).collect()
}

impl<S: Scope, T: Clone + Send + Sync + 'static> Route<S, T> {
    fn new(face: &Awx<S>, path: &'static str) -> Self {
        let handlers = MethodRouter::new();
        Self { face: face.clone(), path, declared: Vec::new(), handlers }
    }

    fn on<H: Handler<X, Awx<S>>, X: 'static>(mut self, method: Method, handler: H) -> Self {
        let Needs { reading, managing } = &self.face.needs;
        let looks = matches!(method, Method::GET | Method::OPTIONS);
        let need = if looks { reading } else { managing }.clone();
        let admitted = from_fn_with_state((self.face.clone(), need.clone()), admit::<S>);
        // Methods that axum cannot route are none of these.
        if let Ok(filter) = MethodFilter::try_from(method.clone()) {
            let handler = on(filter, handler).route_layer(admitted).with_state(self.face.clone());
            self.handlers = self.handlers.merge(handler);
        }
        self.declared.push(Declared::new(method, self.path, Need::Scope(need)));
        self
    }

    /// With the answer for all other methods, and on each answer what there are.
    fn complete(mut self) -> Self {
        let mut methods: Vec<&str> =
            self.declared.iter().map(|declared| declared.method.as_str()).collect();
        // Who may get may have the head of it; the product names it before the last.
        methods.insert(methods.len().saturating_sub(1), "HEAD");
        let allow = HeaderValue::try_from(methods.join(", "));
        // Whoever is not known is told so first.
        let admitted =
            from_fn_with_state((self.face.clone(), self.face.needs.reading.clone()), admit::<S>);
        self.handlers = self.handlers.fallback(other_method.layer(admitted));
        if let Ok(allow) = allow {
            self.handlers = self.handlers.layer(from_fn_with_state(allow, allowing));
        }
        self
    }
}

async fn allowing(State(allow): State<HeaderValue>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// No handler is reached without a caller.
async fn admit<S: Scope>(
    State((face, need)): State<(Awx<S>, S)>,
    request: Request,
    next: Next,
) -> Handled {
    let (mut parts, body) = request.into_parts();
    let caller = face.caller(&mut parts, &need).await?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

pub(super) async fn other_method(method: Method) -> Failure {
    Failure::MethodNotAllowed(method)
}

async fn list<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Handled {
    face.list(&caller, None, &uri).await
}

async fn list_of<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    user: Segment,
    uri: Uri,
) -> Handled {
    let account = face.account_in(&caller, segment(&user)).await?;
    face.list(&caller, Some(account.id), &uri).await
}

/// Tokens of applications, of which there are none.
async fn list_authorized<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    user: Segment,
    uri: Uri,
) -> Handled {
    face.account_in(&caller, segment(&user)).await?;
    super::page::<()>(&uri, &super::metadata::TOKENS, Vec::new())
}

async fn create<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    content: Content,
) -> Handled {
    let wanted = codec::wanted(&content.object()?, Application::Optional)?;
    face.create(&caller, wanted).await
}

async fn create_any<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    user: Segment,
    content: Content,
) -> Handled {
    create_at(&face, &caller, &user, &content, Application::Optional).await
}

async fn create_personal<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    user: Segment,
    content: Content,
) -> Handled {
    create_at(&face, &caller, &user, &content, Application::Ignored).await
}

async fn create_authorized<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    user: Segment,
    content: Content,
) -> Handled {
    create_at(&face, &caller, &user, &content, Application::Required).await
}

/// Whatever account a path names, the token is the caller's.
async fn create_at<S: Scope>(
    face: &Awx<S>,
    caller: &Caller,
    user: &Segment,
    content: &Content,
    application: Application,
) -> Handled {
    face.account_in(caller, segment(user)).await?;
    face.create(caller, codec::wanted(&content.object()?, application)?).await
}

async fn show<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
) -> Handled {
    let record = face.find(&caller, codec::token(segment(&token))?).await?;
    face.answer(&record).await
}

async fn patch<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
    content: Content,
) -> Handled {
    let record = face.reach(&caller, codec::token(segment(&token))?).await?;
    let wanted = codec::wanted(&content.object()?, Application::Ignored)?;
    face.change(&caller, record, wanted).await
}

/// What is not there is the default again, as in the product; but a token does not get a scope back
/// by that.
async fn put<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
    content: Content,
) -> Handled {
    let record = face.reach(&caller, codec::token(segment(&token))?).await?;
    let mut wanted = codec::wanted(&content.object()?, Application::Ignored)?;
    wanted.description.get_or_insert_default();
    face.change(&caller, record, wanted).await
}

async fn delete<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
) -> Handled {
    let record = face.reach(&caller, codec::token(segment(&token))?).await?;
    let deleted = face.layer.tokens().revoke(record.id, caller.by(), None).await;
    deleted.map_err(Failure::change)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn activity<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
    uri: Uri,
) -> Handled {
    let record = face.find(&caller, codec::token(segment(&token))?).await?;
    face.activity(&record, &uri).await
}

/// The same whatever account a path names.
async fn options_of_list<S: Scope, const NAME: usize>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
) -> Handled {
    let may_create = face.may(&caller, &face.needs.managing).await?;
    let name = NAMES.get(NAME).copied().unwrap_or_default();
    json(StatusCode::OK, &Metadata::list(name, may_create))
}

/// Whether there is such a token or not: the product's command line asks for the first one.
async fn options_of_one<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    token: Segment,
) -> Handled {
    let is_reached = match face.reach(&caller, codec::token(segment(&token))?).await {
        Ok(_) => true,
        Err(Failure::Unavailable) => return Err(Failure::Unavailable),
        Err(_) => false,
    };
    let may_change = is_reached && face.may(&caller, &face.needs.managing).await?;
    json(StatusCode::OK, &Metadata::detail(may_change))
}

async fn options_of_activity() -> Handled {
    json(StatusCode::OK, &Metadata::activity())
}

fn segment(path: &Segment) -> Option<&str> {
    path.as_ref().ok().map(|Path(segment)| segment.as_str())
}

const NAMES: [&str; 4] = [
    "OAuth2 Tokens",
    "OAuth2 User Tokens",
    "OAuth2 Personal Access Tokens",
    "OAuth2 User Authorized Access Tokens",
];
