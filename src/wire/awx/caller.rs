//! Whom a request comes from.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use zeroize::Zeroizing;

use super::failure::BasicFault;
use super::{Awx, Failure, codec};
use crate::core::event::Actor;
use crate::core::id::OwnerId;
use crate::core::owner::OwnerStanding;
use crate::core::scope::Scope;
use crate::http::{Denial, client_address, conceal};
use crate::ports::directory::{Account, AccountKey};
use crate::service::By;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

/// Checks the password of whoever presents one by HTTP Basic.
///
/// **If you lie:** a yes for a wrong password is that account's whole access. Whoever guesses must be
/// slowed down here: nobody else does it. An account that has a second factor must not be let in by
/// its password alone; this wire has no way to ask for more.
///
/// Whether the owner is active need not be asked here: one that is
/// [deactivated](crate::Tokens::deactivate_owner) is refused as for a wrong password, whatever this
/// says. An account that the host alone knows to be blocked is for the host to refuse.
#[async_trait]
pub trait SignIn: fmt::Debug + Send + Sync + 'static {
    /// The account whose name and password these are.
    ///
    /// # Errors
    ///
    /// What to answer: [`Failure::WrongPassword`], [`Failure::Throttled`], or
    /// [`Failure::Unavailable`].
    async fn sign_in(
        &self,
        credentials: &BasicCredentials,
        address: Option<IpAddr>,
    ) -> Result<OwnerId, Failure>;
}

/// A user name and a password, as HTTP Basic carries them.
pub struct BasicCredentials {
    username: String,
    password: Zeroizing<String>,
}

impl BasicCredentials {
    /// These credentials, for a host's own tests.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: Zeroizing::new(password.into()) }
    }

    /// The user name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password.
    #[must_use]
    pub fn expose_password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People write passwords into the field for names, too.
        f.debug_struct("BasicCredentials").finish_non_exhaustive()
    }
}

/// The account behind a request: by a token that may do what was asked, or by its password.
#[derive(Clone, Debug)]
pub struct Caller {
    account: Account,
    token: Option<Verified>,
    actor: Actor,
}

impl Caller {
    /// The token; `None` for whoever has given a password.
    #[must_use]
    pub const fn token(&self) -> Option<&Verified> {
        self.token.as_ref()
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Whether everything is within the caller's reach.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.account.has_role("superuser")
    }

    /// Whether the caller sees everything.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        self.is_superuser() || self.account.has_role("system_auditor")
    }

    /// Whether the caller may see this account and its tokens.
    #[must_use]
    pub fn sees(&self, account: &OwnerId) -> bool {
        *account == self.account.id || self.sees_everything()
    }

    /// Whether the caller may change this account's tokens.
    pub(super) fn reaches(&self, owner: &OwnerId) -> bool {
        *owner == self.account.id || self.is_superuser()
    }

    /// The caller, as somebody who changes tokens within its reach.
    pub(super) fn by(&self) -> By<'_> {
        match &self.token {
            Some(verified) => By::Token { verified, administrator: self.is_superuser() },
            None => By::Host(&self.actor),
        }
    }
}

/// Tells the answer to a request whether somebody was known to ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    pub(super) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: Scope> Awx<S> {
    /// The account that a request presents, by Bearer or by Basic, if it may do what is needed; for
    /// the host's own routes of this product too.
    ///
    /// The header is marked sensitive, so that `Debug` of it hides what it holds from then on.
    ///
    /// # Errors
    ///
    /// What to answer: 401 or 403, or 503 when nobody can say.
    pub async fn caller(&self, request: &mut Parts, needed: &S) -> Result<Caller, Failure> {
        conceal(&mut request.headers);
        let address = client_address(&request.extensions);
        let caller = match presented(&request.headers)? {
            Presented::Nothing => return Err(Failure::Anonymous),
            Presented::Basic(credentials) => self.by_password(&credentials, address).await?,
            Presented::Bearer(text) => self.by_token(text, address).await?,
        };
        if let Some(Known(known)) = request.extensions.get() {
            known.store(true, Ordering::Relaxed);
        }
        if self.may(&caller, needed).await? { Ok(caller) } else { Err(Failure::Permissions) }
    }

    /// The account that a part of a path names, by its number or its name, if the caller may see it;
    /// for the host's own routes of this product too. `None` is a part that could not be read.
    ///
    /// # Errors
    ///
    /// What to answer: 404, 403, or 503. Behind [`answering`](Awx::answering) a 403 for a name is a
    /// 404 too.
    pub async fn account_in(
        &self,
        caller: &Caller,
        segment: Option<&str>,
    ) -> Result<Account, Failure> {
        let key = segment.and_then(codec::account).ok_or(Failure::Missing)?;
        let account = self.directory.account(&key).await?.ok_or(Failure::Missing)?;
        if caller.sees(&account.id) { Ok(account) } else { Err(Failure::Permissions) }
    }

    /// Whether the caller may do this: by what its token was granted, and what its account may now.
    pub(super) async fn may(&self, caller: &Caller, needed: &S) -> Result<bool, Failure> {
        let Some(token) = caller.token else {
            let rights = self.directory.rights(&caller.account).await?;
            return Ok(rights.read::<S>().is_some_and(|rights| rights.holds(needed)));
        };
        match self.layer.evidence(token).permits(needed).await {
            Ok(_) => Ok(true),
            Err(Denial::Unavailable) => Err(Failure::Unavailable),
            // It has ended since it was looked at.
            Err(Denial::InvalidToken | Denial::NoCredentials) => Err(Failure::Anonymous),
            Err(_) => Ok(false),
        }
    }

    async fn by_token(&self, text: &str, address: Option<IpAddr>) -> Result<Caller, Failure> {
        let judged = self.layer.authenticate(text, address).await;
        let token = judged.map_err(|error| match error {
            AuthenticateError::RateLimited { seconds } => Failure::Throttled { seconds },
            AuthenticateError::Unavailable(_) => Failure::Unavailable,
            AuthenticateError::NotOurs | AuthenticateError::Refused(_) => Failure::Anonymous,
        })?;
        let owner = self.layer.tokens().owner_of(&token).cloned().ok_or(Failure::Anonymous)?;
        let actor = Actor::with_token(owner.clone(), token.id());
        Ok(Caller { account: self.owner(owner).await?, token: Some(token), actor })
    }

    async fn by_password(
        &self,
        credentials: &BasicCredentials,
        address: Option<IpAddr>,
    ) -> Result<Caller, Failure> {
        let sign_in = self.sign_in.as_ref().ok_or(Failure::WrongPassword)?;
        let owner = sign_in.sign_in(credentials, address).await?;
        let state = self.layer.tokens().owner_state(&owner).await;
        // A host that looks at the password alone has not asked.
        if state.map_err(|_| Failure::Unavailable)?.standing != OwnerStanding::Active {
            return Err(Failure::WrongPassword);
        }
        let actor = Actor::account(owner.clone());
        Ok(Caller { account: self.owner(owner).await?, token: None, actor })
    }

    async fn owner(&self, id: OwnerId) -> Result<Account, Failure> {
        self.directory.account(&AccountKey::Id(id)).await?.ok_or(Failure::Anonymous)
    }
}

/// What the one `Authorization` header holds; two of them hold nothing. No `Debug`: it holds secrets.
enum Presented<'h> {
    Basic(BasicCredentials),
    Bearer(&'h str),
    Nothing,
}

fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let Some(value) = value.filter(|_| values.next().is_none()) else {
        return Ok(Presented::Nothing);
    };
    let mut words = value.split_ascii_whitespace();
    let (scheme, first, more) = (words.next().unwrap_or_default(), words.next(), words.next());
    if scheme.eq_ignore_ascii_case("basic") {
        let text = match (first, more) {
            (None, _) => return Err(Failure::BasicHeader(BasicFault::Absent)),
            (Some(_), Some(_)) => return Err(Failure::BasicHeader(BasicFault::Spaces)),
            (Some(text), None) => text,
        };
        let credentials = basic(text).ok_or(Failure::BasicHeader(BasicFault::Base64))?;
        return Ok(Presented::Basic(credentials));
    }
    Ok(match (first, more) {
        (Some(text), None) if scheme.eq_ignore_ascii_case("bearer") => Presented::Bearer(text),
        _ => Presented::Nothing,
    })
}

fn basic(text: &str) -> Option<BasicCredentials> {
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    // UTF-8, and else the first 256 characters, as older clients write.
    let text = Zeroizing::new(match std::str::from_utf8(&decoded) {
        Ok(text) => text.to_owned(),
        Err(_) => decoded.iter().map(|byte| char::from(*byte)).collect(),
    });
    let (username, password) = text.split_once(':').unwrap_or((&text, ""));
    Some(BasicCredentials::new(username, password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        match presented(&headers) {
            Ok(Presented::Nothing) => "nothing".to_owned(),
            Ok(Presented::Bearer(text)) => format!("bearer {text}"),
            Ok(Presented::Basic(held)) => {
                format!("basic {}/{}", held.username(), held.expose_password())
            }
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn a_header_holds_a_token_or_a_password_in_a_scheme_of_any_case() {
        for value in ["Bearer t", "BEARER t", "bearer  t "] {
            assert_eq!(read(&[value]), "bearer t", "{value}");
        }
        for value in ["Basic YWxpY2U6cGFzczp3b3Jk", "BASIC YWxpY2U6cGFzczp3b3Jk"] {
            assert_eq!(read(&[value]), "basic alice/pass:word", "{value}");
        }
        assert_eq!(read(&["Basic Og=="]), "basic /");
        assert_eq!(read(&["Basic YWxpY2U="]), "basic alice/");
        // A name in Latin-1.
        assert_eq!(read(&["Basic 5Dpwdw=="]), "basic ä/pw");
    }

    #[test]
    fn what_is_neither_is_nothing() {
        for values in [
            &[][..],
            &[""],
            &["t"],
            &["Bearer"],
            &["Bearer a b"],
            &["Token t"],
            &["Bearer t", "Bearer t"],
        ] {
            assert_eq!(read(values), "nothing", "{values:?}");
        }
    }

    #[test]
    fn a_header_of_basic_that_cannot_be_read_is_told_so() {
        assert_eq!(read(&["Basic"]), "BasicHeader(Absent)");
        assert_eq!(read(&["Basic a b"]), "BasicHeader(Spaces)");
        assert_eq!(read(&["Basic ???"]), "BasicHeader(Base64)");
    }

    #[test]
    fn credentials_are_not_printed() {
        let held = basic("YWxpY2U6cGFzczp3b3Jk").unwrap();
        assert_eq!(format!("{held:?}"), "BasicCredentials { .. }");
    }
}
