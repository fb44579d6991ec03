//! Whom a request comes from.

use std::net::IpAddr;

use axum::extract::Query;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Uri};

use super::{APP_KIND, Failure, Mattermost, codec, roles};
use crate::core::id::{Kind, OwnerId};
use crate::core::scope::Scope;
use crate::http::{Denial, client_address, conceal};
use crate::ports::directory::{Account, AccountKey};
use crate::service::By;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

/// The account behind a request, by a token that may do what was asked.
#[derive(Clone, Debug)]
pub struct Caller {
    token: Verified,
    kind: Kind,
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

    /// Whether an app acts for the account: it may look, and change nothing about tokens.
    pub(super) fn is_app(&self) -> bool {
        self.kind.as_str() == APP_KIND
    }

    /// The account that a part of a path names, where `me` is the caller's: for the host's own
    /// routes of this product too. `None` is a part that could not be read.
    ///
    /// # Errors
    ///
    /// What to answer: 400 for a word of another length than ids have, and 404 for what is no word
    /// of letters and digits, since the product's router knows no such path.
    pub fn account_in(&self, segment: Option<&str>) -> Result<OwnerId, Failure> {
        codec::user(segment, &self.account.id)
    }

    /// The caller, as somebody who changes a token within its reach and is shown no secret.
    pub(super) fn reaching(&self, owner: &OwnerId) -> By<'_> {
        By::Token { verified: &self.token, administrator: *owner != self.account.id }
    }

    /// The caller, as somebody who is shown a secret of an account within its reach.
    ///
    /// A session stands for the person; any other token is shown its own account's only.
    pub(super) fn revealing(&self, owner: &OwnerId) -> Result<By<'_>, Failure> {
        let is_own = *owner == self.account.id;
        let may = is_own || self.kind == Kind::session();
        may.then(|| self.reaching(owner)).ok_or(Failure::Permissions)
    }
}

impl<S: Scope> Mattermost<S> {
    /// The account that a request presents, if its token may do what is needed; for the host's own
    /// routes of this product too.
    ///
    /// The header is marked sensitive, so that `Debug` of it hides the token from then on.
    ///
    /// # Errors
    ///
    /// What to answer: 401 or 403, or 503 when nobody can say.
    pub async fn caller(&self, request: &mut Parts, needed: &S) -> Result<Caller, Failure> {
        conceal(&mut request.headers);
        let Some(text) = presented(&request.headers) else {
            let in_query = names_token(&request.uri);
            return Err(if in_query { Failure::QueryToken } else { Failure::SessionExpired });
        };
        self.authenticate(text, client_address(&request.extensions), needed).await
    }

    /// The account of a token that came without a header, in a message on a WebSocket: judged as
    /// [`caller`](Mattermost::caller) judges one.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn authenticate(
        &self,
        text: &str,
        address: Option<IpAddr>,
        needed: &S,
    ) -> Result<Caller, Failure> {
        let judged = self.layer.authenticate(text, address).await;
        let token = judged.map_err(|error| match error {
            AuthenticateError::RateLimited { seconds } => Failure::LimitExceeded { seconds },
            AuthenticateError::Unavailable(_) => Failure::Unavailable,
            AuthenticateError::NotOurs | AuthenticateError::Refused(_) => Failure::SessionExpired,
        })?;
        let tokens = self.layer.tokens();
        let (owner, kind) = (tokens.owner_of(&token), tokens.kind_of(&token).cloned());
        let (owner, kind) = owner.zip(kind).ok_or(Failure::SessionExpired)?;
        let account = self.directory.account(&AccountKey::Id(owner.clone())).await?;
        let account = account.ok_or(Failure::SessionExpired)?;
        if !self.settings.enabled && kind == Kind::personal() && !roles::is_bot(&account) {
            return Err(Failure::SessionExpired);
        }
        let permitted = self.layer.evidence(token).permits(needed).await;
        let token = permitted.map_err(|denial| match denial {
            Denial::Unavailable => Failure::Unavailable,
            _ => Failure::Permissions,
        })?;
        Ok(Caller { token, kind, account })
    }
}

/// The token that the one `Authorization` header holds: a scheme in any case, one space, the text.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    let is_known = ["Bearer", "Token"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    (is_known && values.next().is_none()).then_some(text)
}

fn names_token(uri: &Uri) -> bool {
    Query::<Vec<(String, String)>>::try_from_uri(uri).is_ok_and(|Query(query)| {
        query.iter().any(|(key, value)| key == "access_token" && !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_token_follows_one_of_two_schemes_in_any_case() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            presented(&headers).map(str::to_owned)
        };
        for value in ["Bearer t", "BEARER t", "bearer t", "Token t", "tOKEN t"] {
            assert_eq!(read(&[value]).as_deref(), Some("t"), "{value}");
        }
        for values in [&[][..], &["t"], &["Bearer"], &["Basic t"], &["Bearer t", "Bearer t"]] {
            assert_eq!(read(values), None, "{values:?}");
        }
        // One separator: what follows it is the text, and no token begins with a space.
        assert_eq!(read(&["Bearer  t"]).as_deref(), Some(" t"));
    }

    #[test]
    fn a_query_names_a_token_however_it_is_encoded() {
        for (uri, names) in [
            ("/a?access_token=t", true),
            ("/a?page=1&%61ccess_token=t", true),
            ("/a?access_token=", false),
            ("/a?token=t", false),
            ("/a", false),
        ] {
            assert_eq!(names_token(&Uri::from_static(uri)), names, "{uri}");
        }
    }
}
