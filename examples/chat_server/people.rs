//! Accounts, as far as those who sign in may know of them.

use std::sync::Arc;

use axum::extract::{Json, State};
use axum::http::StatusCode;
use keyfob::ReadWrite;
use keyfob::core::owner::OwnerStanding;
use keyfob::http::{Authenticated, Denial, Problem};
use keyfob::ports::directory::Directory as _;
use serde::Serialize;

use crate::Host;
use crate::accounts::Entry;

/// Everybody for an administrator, and oneself for everybody else.
#[derive(Serialize)]
pub(crate) struct People {
    me: String,
    accounts: Vec<Person>,
}

#[derive(Serialize)]
struct Person {
    id: String,
    username: String,
    name: String,
    administrator: bool,
    state: OwnerStanding,
}

pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    caller: Authenticated<ReadWrite>,
) -> Result<Json<People>, Problem> {
    let me = caller.owner();
    let sees_all = match host.accounts.of(me) {
        Some(own) => is_administrator(&host, own).await?,
        None => false,
    };
    let mut accounts = Vec::new();
    for entry in host.accounts.all().filter(|entry| sees_all || entry.account.id == *me) {
        let account = host.accounts.present(entry);
        let state = host.tokens.owner_state(&account.id).await.map_err(|_| unavailable())?;
        accounts.push(Person {
            id: account.id.to_string(),
            username: account.username.clone(),
            name: account.name,
            administrator: is_administrator(&host, entry).await?,
            state: state.standing,
        });
    }
    Ok(Json(People { me: me.to_string(), accounts }))
}

async fn is_administrator(host: &Host, entry: &Entry) -> Result<bool, Problem> {
    host.accounts.is_administrator(&entry.account).await.map_err(|_| unavailable())
}

pub(crate) fn unavailable() -> Problem {
    let detail = "this cannot be answered now; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, Denial::Unavailable.code(), detail)
}
