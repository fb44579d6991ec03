//! Whom a request comes from.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{Failure, Zitadel};
use crate::core::error::Refusal;
use crate::core::id::OwnerId;
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

    /// The caller, as somebody who changes a token within its reach.
    pub(super) fn reaching(&self, owner: &OwnerId) -> By<'_> {
        By::Token { verified: &self.token, administrator: *owner != self.account.id }
    }
}

impl<S: Scope> Zitadel<S> {
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
        let text = presented(&request.headers)?;
        let judged = self.layer.authenticate(text, client_address(&request.extensions)).await;
        let token = judged.map_err(|error| match error {
            AuthenticateError::RateLimited { seconds } => Failure::RateLimited { seconds },
            AuthenticateError::Unavailable(_) => Failure::Unavailable,
            // Whoever reads the text can tell that much.
            AuthenticateError::NotOurs | AuthenticateError::Refused(Refusal::Malformed) => {
                Failure::UnreadableToken
            }
            AuthenticateError::Refused(_) => Failure::InvalidToken,
        })?;
        let owner = self.layer.tokens().owner_of(&token).cloned().ok_or(Failure::InvalidToken)?;
        let account = self.directory.account(&AccountKey::Id(owner)).await?;
        let account = account.ok_or(Failure::InvalidToken)?;
        let permitted = self.layer.evidence(token).permits(needed).await;
        let token = permitted.map_err(|denial| match denial {
            Denial::Unavailable => Failure::Unavailable,
            _ => Failure::NotPermitted,
        })?;
        Ok(Caller { token, account })
    }
}

/// The token that the one `Authorization` header holds, which the product reads to the letter.
fn presented(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Failure::MissingAuthorization)?;
    let text = value.to_str().ok().and_then(|value| value.strip_prefix(SCHEME));
    let text = text.filter(|text| !text.contains(SCHEME) && values.next().is_none());
    text.ok_or(Failure::InvalidAuthorization)
}

const SCHEME: &str = "Bearer ";

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_token_follows_the_word_bearer_and_one_space() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            presented(&headers).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer t"]), Ok("t".to_owned()));
        assert_eq!(read(&["Bearer  t"]), Ok(" t".to_owned()));
        assert_eq!(read(&[]), Err(Failure::MissingAuthorization));
        for values in [
            &[""][..],
            &["t"],
            &["Bearer"],
            &["bearer t"],
            &["Basic t"],
            &["Bearer Bearer t"],
            &["Bearer t", "Bearer t"],
        ] {
            assert_eq!(read(values), Err(Failure::InvalidAuthorization), "{values:?}");
        }
    }
}
