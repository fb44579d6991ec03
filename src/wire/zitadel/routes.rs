//! The routes, and how each is served: four operations of v1 and three of v2, by two transports.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use super::desk::{Asked, Handled, content};
use super::failure::{Dialect, Failure};
use super::{Needs, Zitadel};
use crate::core::scope::Scope;
use crate::http::{Declared, Need};

/// One route.
#[derive(Clone, Copy, Debug)]
struct Route {
    method: Verb,
    path: &'static str,
    operation: Operation,
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Delete,
    Get,
    Post,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    AddV1,
    AddV2,
    ListV1,
    ListV2,
    RemoveV1,
    RemoveV2,
    ShowV1,
}

const ROUTES: [Route; 14] = [
    route(Verb::Post, "/management/v1/users/{user_id}/pats", Operation::AddV1),
    route(Verb::Post, "/management/v1/users/{user_id}/pats/_search", Operation::ListV1),
    route(Verb::Get, "/management/v1/users/{user_id}/pats/{token_id}", Operation::ShowV1),
    route(Verb::Delete, "/management/v1/users/{user_id}/pats/{token_id}", Operation::RemoveV1),
    route(Verb::Post, "/v2/users/{user_id}/pats", Operation::AddV2),
    route(Verb::Delete, "/v2/users/{user_id}/pats/{token_id}", Operation::RemoveV2),
    route(Verb::Post, "/v2/users/pats/search", Operation::ListV2),
    call("/zitadel.management.v1.ManagementService/AddPersonalAccessToken", Operation::AddV1),
    call("/zitadel.management.v1.ManagementService/ListPersonalAccessTokens", Operation::ListV1),
    call("/zitadel.management.v1.ManagementService/GetPersonalAccessTokenByIDs", Operation::ShowV1),
    call("/zitadel.management.v1.ManagementService/RemovePersonalAccessToken", Operation::RemoveV1),
    call("/zitadel.user.v2.UserService/AddPersonalAccessToken", Operation::AddV2),
    call("/zitadel.user.v2.UserService/RemovePersonalAccessToken", Operation::RemoveV2),
    call("/zitadel.user.v2.UserService/ListPersonalAccessTokens", Operation::ListV2),
];

const fn route(method: Verb, path: &'static str, operation: Operation) -> Route {
    Route { method, path, operation }
}

const fn call(path: &'static str, operation: Operation) -> Route {
    route(Verb::Post, path, operation)
}

impl Verb {
    const fn method(self) -> (Method, MethodFilter) {
        match self {
            Self::Delete => (Method::DELETE, MethodFilter::DELETE),
            Self::Get => (Method::GET, MethodFilter::GET),
            Self::Post => (Method::POST, MethodFilter::POST),
        }
    }
}

impl Operation {
    const fn need<S>(self, needs: &Needs<S>) -> &S {
        match self {
            Self::ListV1 | Self::ListV2 | Self::ShowV1 => &needs.reading,
            Self::AddV1 | Self::AddV2 | Self::RemoveV1 | Self::RemoveV2 => &needs.managing,
        }
    }
}

impl Dialect {
    /// The names of services begin with the product's.
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/zitadel.") { Self::Connect } else { Self::Rest }
    }

    /// Whether this is in the format that is read.
    fn reads(self, headers: &HeaderMap) -> Result<(), Failure> {
        let Self::Connect = self else { return Ok(()) };
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/json") {
            return Err(Failure::MediaType);
        }
        match headers.get("connect-protocol-version") {
            Some(version) if version != "1" => {
                Err(Failure::Malformed("connect-protocol-version must be \"1\"".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn routes<S: Scope, T: Clone + Send + Sync + 'static>(
    face: &Zitadel<S>,
) -> Vec<(Declared<S>, MethodRouter<T>)> {
    let routes = ROUTES.iter().map(|route| {
        let (method, filter) = route.method.method();
        let need = Need::Scope(route.operation.need(&face.needs).clone());
        let handler = on(filter, serve::<S>).with_state((face.clone(), route));
        (Declared::new(method, route.path, need), handler)
    });
    routes.collect()
}

type Fields = Result<Path<Vec<(String, String)>>, PathRejection>;

async fn serve<S: Scope>(
    State((face, route)): State<(Zitadel<S>, &'static Route)>,
    fields: Fields,
    request: Request,
) -> Response {
    let dialect = Dialect::of(route.path);
    match face.served(route.operation, dialect, fields, request).await {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(failure) => failure.response(dialect),
    }
}

impl<S: Scope> Zitadel<S> {
    async fn served(
        &self,
        operation: Operation,
        dialect: Dialect,
        fields: Fields,
        request: Request,
    ) -> Handled {
        let (mut parts, body) = request.into_parts();
        let caller = self.caller(&mut parts, operation.need(&self.needs)).await?;
        dialect.reads(&parts.headers)?;
        // What is not UTF-8 is no id of anything.
        let Path(named) = fields.map_err(|_| Failure::Malformed("invalid UTF-8".to_owned()))?;
        let mut fields = Vec::new();
        for (name, text) in named {
            fields.push((if name == "token_id" { "tokenId" } else { "userId" }, text));
        }
        let body = content(body).await?;
        let asked = Asked { caller, headers: parts.headers, dialect, fields, body };
        match operation {
            Operation::AddV1 => self.add_v1(&asked).await,
            Operation::AddV2 => self.add_v2(&asked).await,
            Operation::ListV1 => self.list_v1(&asked).await,
            Operation::ListV2 => self.list_v2(&asked).await,
            Operation::RemoveV1 => self.remove_v1(&asked).await,
            Operation::RemoveV2 => self.remove_v2(&asked).await,
            Operation::ShowV1 => self.show_v1(&asked).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_call_says_that_it_is_json_and_need_not_say_its_protocol() {
        let reads = |kind: Option<&'static str>, version: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("content-type", kind), ("connect-protocol-version", version)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(Dialect::Rest.reads(&headers), Ok(()));
            Dialect::Connect.reads(&headers)
        };
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(reads(Some(kind), None), Ok(()));
            assert_eq!(reads(Some(kind), Some("1")), Ok(()));
            assert!(matches!(reads(Some(kind), Some("2")), Err(Failure::Malformed(_))));
        }
        for kind in [None, Some(""), Some("application/proto"), Some("application/grpc")] {
            assert_eq!(reads(kind, None), Err(Failure::MediaType));
        }
    }
}
