//! Whom a request comes from.

use std::net::IpAddr;

use http::HeaderMap;

use super::{Failure, RocketChat};
use crate::core::scope::Scope;
use crate::http::Denial;
use crate::ports::directory::{Account, AccountKey};
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

/// The account behind a request, by a token that may do what was asked.
#[derive(Clone, Debug)]
pub struct Caller {
    token: Verified,
    account: Account,
}

impl Caller {
    /// The token.
    pub const fn token(&self) -> &Verified {
        &self.token
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }
}

impl<S: Scope> RocketChat<S> {
    /// The account that a request presents, if its token may do what is needed.
    ///
    /// Both headers must be there, once, and belong together. Which of them is wrong is not said;
    /// `Authorization` is for other faces, and not looked at.
    ///
    /// # Errors
    ///
    /// What to answer: 401 or 403, or 503 when nobody can say.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        needed: &S,
    ) -> Result<Caller, Failure> {
        let (text, user) = (one(headers, "x-auth-token"), one(headers, "x-user-id"));
        let (Some(text), Some(user)) = (text, user) else {
            return Err(Failure::unauthorized());
        };
        let tokens = self.two_factor.tokens();
        let judged = self.layer.authenticate(text, address).await;
        let token = judged.map_err(|error| match error {
            AuthenticateError::RateLimited { seconds } => Failure::too_many_requests(seconds),
            AuthenticateError::Unavailable(_) => Failure::unavailable(),
            AuthenticateError::NotOurs | AuthenticateError::Refused(_) => Failure::unauthorized(),
        })?;
        let owner = tokens.owner_of(&token).filter(|owner| owner.as_str() == user);
        let owner = owner.ok_or_else(Failure::unauthorized)?;
        let account = self.directory.account(&AccountKey::Id(owner.clone())).await;
        let account = account.map_err(|_| Failure::unavailable())?;
        let account = account.ok_or_else(Failure::unauthorized)?;
        let permitted = self.layer.evidence(token).permits(needed).await;
        let token = permitted.map_err(|denial| match denial {
            Denial::Unavailable => Failure::unavailable(),
            _ => Failure::forbidden(),
        })?;
        Ok(Caller { token, account })
    }
}

/// The value of a header that is there once, as text.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
