//! The handlers: read the request, ask the service, write the answer. Their steps are in the
//! product's order, which decides what a request that is wrong in two ways is told.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, Uri};

use super::desk::{Content, Handled, done, json, json_line, objects, permit, permit_administrator};
use super::failure::{Failure, Step};
use super::object::{Count, TokenObject};
use super::{Caller, Mattermost, Needs, codec, roles};
use crate::core::id::Note;
use crate::core::issue::IssueRequest;
use crate::core::rotation::Rotation;
use crate::core::scope::Scope;
use crate::core::token::State as TokenState;
use crate::http::{Declared, Need};
use crate::ports::store::Filter;
use crate::service::By;
use crate::service::error::ChangeFailure;

type Face<S> = State<Mattermost<S>>;
type Id = Result<Path<String>, PathRejection>;
type Route<S, T> = (Declared<S>, MethodRouter<T>);

pub(super) fn routes<S: Scope, T: Clone + Send + Sync + 'static>(
    face: &Mattermost<S>,
) -> Vec<Route<S, T>> {
    let Needs { reading, managing } = &face.needs;
    let mut routes = vec![
        post(face, "/{user_id}/tokens", managing, create::<S>),
        get(face, "/{user_id}/tokens", reading, list::<S>),
        get(face, "/tokens", reading, list_all::<S>),
        get(face, "/tokens/{token_id}", reading, show::<S>),
        post(face, "/tokens/search", reading, search::<S>),
        post(face, "/tokens/revoke", managing, revoke::<S>),
        post(face, "/tokens/disable", managing, disable::<S>),
        post(face, "/tokens/enable", managing, enable::<S>),
        post(face, "/tokens/rotate", managing, rotate::<S>),
        get(face, "/tokens/non_compliant/count", reading, count_non_compliant::<S>),
        post(face, "/tokens/non_compliant/revoke", managing, revoke_non_compliant::<S>),
    ];
    // The product's router has these as ids that are none.
    for verb in ["search", "revoke", "disable", "enable", "rotate"] {
        routes.push(get(face, &format!("/tokens/{verb}"), reading, show_verb));
    }
    routes
}

fn get<S: Scope, H, X, T>(face: &Mattermost<S>, path: &str, need: &S, handler: H) -> Route<S, T>
where
    H: Handler<X, Mattermost<S>>,
    X: 'static,
    T: Clone + Send + Sync + 'static,
{
    route(face, (Method::GET, MethodFilter::GET), path, need, handler)
}

fn post<S: Scope, H, X, T>(face: &Mattermost<S>, path: &str, need: &S, handler: H) -> Route<S, T>
where
    H: Handler<X, Mattermost<S>>,
    X: 'static,
    T: Clone + Send + Sync + 'static,
{
    route(face, (Method::POST, MethodFilter::POST), path, need, handler)
}

fn route<S: Scope, H, X, T>(
    face: &Mattermost<S>,
    (method, filter): (Method, MethodFilter),
    path: &str,
    need: &S,
    handler: H,
) -> Route<S, T>
where
    H: Handler<X, Mattermost<S>>,
    X: 'static,
    T: Clone + Send + Sync + 'static,
{
    let admitted = from_fn_with_state((face.clone(), need.clone()), admit::<S>);
    let handler = on(filter, handler).route_layer(admitted).with_state(face.clone());
    let need = Need::Scope(need.clone());
    (Declared::new(method, format!("/api/v4/users{path}"), need), handler)
}

/// No handler is reached without a caller.
async fn admit<S: Scope>(
    State((face, need)): State<(Mattermost<S>, S)>,
    request: Request,
    next: Next,
) -> Handled {
    let (mut parts, body) = request.into_parts();
    let caller = face.caller(&mut parts, &need).await?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn create<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    id: Id,
    Content(body): Content,
) -> Handled {
    let owner = caller.account_in(segment(&id))?;
    let target = face.account(&owner).await?.ok_or(Failure::MissingAccount)?;
    permit(!roles::is_remote(&target) && !caller.is_app())?;
    let creation = codec::creation(&body)?;
    permit(roles::may_use_tokens(caller.account()))?;
    permit(roles::reaches(caller.account(), &owner, Some(&target)))?;
    face.permit_secret(&caller, &target).await?;
    let by = caller.revealing(&owner)?;
    face.is_on_for(&target)?;
    let lifetime = face.life(creation.expires_at, &target)?;
    let tokens = face.layer.tokens();
    let grant = tokens.grant_of(caller.token()).cloned().ok_or(Failure::Permissions)?;
    let mut request = IssueRequest::new(owner, grant).named(codec::name(creation.description)?);
    request.shape = face.shape;
    request.lifetime = lifetime;
    let (secret, record) = tokens.issue(request, by).await.map_err(Failure::issue)?;
    json_line(&TokenObject::of(&record).with_secret(&secret))
}

async fn list<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    id: Id,
    uri: Uri,
) -> Handled {
    let owner = caller.account_in(segment(&id))?;
    permit(roles::may_use_tokens(caller.account()))?;
    let target = face.account(&owner).await?;
    permit(roles::reaches(caller.account(), &owner, target.as_ref()))?;
    face.page(Filter::of_owner(owner), paging(&uri), Step::GetByUser).await
}

async fn list_all<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Handled {
    permit_administrator(&caller)?;
    face.page(Filter::default(), paging(&uri), Step::GetAll).await
}

async fn show<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    id: Id,
) -> Handled {
    let record = face.reach(&caller, codec::token(segment(&id))?).await?;
    json_line(&TokenObject::of(&record))
}

async fn show_verb() -> Failure {
    Failure::InvalidParameter("token_id")
}

async fn search<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    Content(body): Content,
) -> Handled {
    permit_administrator(&caller)?;
    objects(&face.search(&codec::term(&body)?).await?)
}

async fn revoke<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    Content(body): Content,
) -> Handled {
    let record = face.named(&caller, &body).await?;
    let by = caller.reaching(&record.owner);
    done(face.layer.tokens().revoke(record.id, by, None).await, Step::Delete)
}

async fn disable<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    Content(body): Content,
) -> Handled {
    let record = face.named(&caller, &body).await?;
    let by = caller.reaching(&record.owner);
    done(face.layer.tokens().deactivate(record.id, by, None).await, Step::Disable)
}

async fn enable<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    Content(body): Content,
) -> Handled {
    let record = face.named(&caller, &body).await?;
    let by = caller.reaching(&record.owner);
    done(face.layer.tokens().reactivate(record.id, by).await, Step::Enable)
}

async fn rotate<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
    Content(body): Content,
) -> Handled {
    let asked = codec::rotation(&body)?;
    permit(!caller.is_app())?;
    permit(roles::may_use_tokens(caller.account()))?;
    let record = face.find(asked.token).await?;
    let target = face.account(&record.owner).await?.ok_or(Failure::MissingAccount)?;
    permit(roles::reaches(caller.account(), &record.owner, Some(&target)))?;
    permit(!roles::is_remote(&target))?;
    face.permit_secret(&caller, &target).await?;
    let by = caller.revealing(&record.owner)?;
    if record.state != TokenState::Active {
        return Err(Failure::DisabledToken);
    }
    face.is_on_for(&target)?;
    let rotation =
        Rotation::at_once().living(face.life(asked.expires_at, &target)?).in_shape(face.shape);
    let rotated = face.layer.tokens().rotate(record.id, rotation, by).await;
    let (secret, record) = rotated.map_err(|failure| Failure::change(failure, Step::Rotate))?;
    json_line(&TokenObject::of(&record).with_secret(&secret))
}

async fn count_non_compliant<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
) -> Handled {
    permit_administrator(&caller)?;
    let count = match face.most_days() {
        Some(days) => face.non_compliant(days, Step::CountNonCompliant).await?.len(),
        None => 0,
    };
    json(&Count { count })
}

async fn revoke_non_compliant<S: Scope>(
    State(face): Face<S>,
    Extension(caller): Extension<Caller>,
) -> Handled {
    permit_administrator(&caller)?;
    let days = face.most_days().ok_or(Failure::NoPolicy)?;
    let step = Step::RevokeNonCompliant;
    let (mut count, why) = (0_usize, Note::new("outlives the longest lifetime").ok());
    for id in face.non_compliant(days, step).await? {
        let by = By::administrator(caller.token());
        match face.layer.tokens().revoke(id, by, why.clone()).await {
            Ok(_) => count = count.saturating_add(1),
            // Somebody has pruned it meanwhile.
            Err(ChangeFailure::Missing) => {}
            Err(failure) => return Err(Failure::change(failure, step)),
        }
    }
    json(&Count { count })
}

fn segment(id: &Id) -> Option<&str> {
    id.as_ref().ok().map(|Path(id)| id.as_str())
}

fn paging(uri: &Uri) -> codec::Paging {
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
    codec::paging(&query.map(|Query(query)| query).unwrap_or_default())
}
