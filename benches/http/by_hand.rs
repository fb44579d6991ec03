//! What a host would write that only wants to know whose a token is: no expiry, no state, no scope,
//! no revocation elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::TOKENS;
use crate::rounds::fleet::Fleet;

type Owners = Arc<RwLock<HashMap<[u8; 32], Owner>>>;

#[derive(Clone, Copy)]
pub(crate) struct Owner(#[expect(dead_code, reason = "a handler would read it")] usize);

pub(crate) fn owners(fleet: &Fleet) -> Owners {
    let digest = |number| Sha256::digest(fleet.text(number)).into();
    let owners = (0..TOKENS).map(|number| (digest(number), Owner(number)));
    Arc::new(RwLock::new(owners.collect()))
}

pub(crate) async fn check(
    State(owners): State<Owners>,
    mut request: Request<Body>,
    next: Next,
) -> Result<Response<Body>, StatusCode> {
    let header = request.headers().get(AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?;
    let text = header.as_bytes().strip_prefix(b"Bearer ").ok_or(StatusCode::UNAUTHORIZED)?;
    let digest: [u8; 32] = Sha256::digest(text).into();
    let owner = owners.read().unwrap().get(&digest).copied();
    request.extensions_mut().insert(owner.ok_or(StatusCode::UNAUTHORIZED)?);
    Ok(next.run(request).await)
}
