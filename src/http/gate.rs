//! What the layer judges with, and hands on to those behind it.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue, Uri};

use crate::core::scope::{Grant, Scope};
use crate::core::verify::Access;
use crate::http::answer::{Answers, Denial};
use crate::http::bearer::{Presented, offered};
use crate::http::credentials::{ClientAddress, Credentials};
use crate::http::evidence::Evidence;
use crate::ports::directory::{AccountKey, Directory, DirectoryError};
use crate::service::Tokens;
use crate::service::error::AuthenticateError;
use crate::service::verified::Verified;

#[derive(Clone, Debug)]
pub(super) struct Gate<S: Scope> {
    pub(super) tokens: Tokens<S>,
    pub(super) answers: Answers,
    pub(super) directory: Option<Arc<dyn Directory>>,
    pub(super) strict: bool,
    /// None, with room for more than a router puts beside the evidence.
    pub(super) roomy: Extensions,
}

impl<S: Scope> Gate<S> {
    pub(super) fn new(tokens: Tokens<S>) -> Self {
        let (answers, roomy) = (Answers::default(), roomy());
        Self { tokens, answers, directory: None, strict: false, roomy }
    }

    /// Puts the evidence of what a request presents into its extensions.
    #[inline]
    pub(super) fn attach(self: &Arc<Self>, credentials: Credentials, to: &mut Extensions) {
        if to.is_empty() {
            *to = self.roomy.clone();
        }
        to.insert(Evidence::new(credentials, Arc::clone(self)));
    }

    /// Accepts the token of a request's one `Authorization` header, if the index knows and accepts it.
    /// Whoever calls this has looked at all else that [`Presented::read`] would refuse a request
    /// for; what the index knows, to the byte, is a token's text.
    #[inline]
    pub(super) fn recognise(
        &self,
        value: &HeaderValue,
        address: Option<IpAddr>,
    ) -> Option<Credentials> {
        let text = offered(value.as_bytes()).filter(|_| !self.strict)?;
        self.tokens.recognise(text, &Access::any().from(address)).map(Credentials::Token)
    }

    /// `None` means that only the store can tell.
    pub(super) fn judge_now(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        address: Option<IpAddr>,
    ) -> Option<Result<Credentials, Denial>> {
        let text = match Presented::read(headers, uri.query()) {
            Err(error) => return Some(Err(Denial::InvalidRequest(error))),
            Ok(Presented::Absent) => return Some(Ok(Credentials::Absent)),
            Ok(Presented::OtherScheme) => return Some(Ok(Credentials::OtherScheme)),
            Ok(Presented::Bearer(_)) if self.strict => return None,
            Ok(Presented::Bearer(text)) => text,
        };
        let access = Access::any().from(address);
        self.tokens.authenticate_now(text.expose_secret(), &access).map(verdict)
    }

    pub(super) async fn judge(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        address: Option<IpAddr>,
    ) -> Result<Credentials, Denial> {
        let text = match Presented::read(headers, uri.query()) {
            Err(error) => return Err(Denial::InvalidRequest(error)),
            Ok(Presented::Absent) => return Ok(Credentials::Absent),
            Ok(Presented::OtherScheme) => return Ok(Credentials::OtherScheme),
            Ok(Presented::Bearer(text)) => text.expose_secret(),
        };
        verdict(self.authenticate(text, address).await)
    }

    pub(super) async fn authenticate(
        &self,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Verified, AuthenticateError> {
        let access = Access::any().from(address);
        if self.strict {
            self.tokens.authenticate_strict(text, &access).await
        } else {
            self.tokens.authenticate(text, &access).await
        }
    }

    /// What the owner of a token may do now, as this directory says; `None` for nothing.
    pub(super) async fn rights(
        &self,
        directory: &dyn Directory,
        verified: &Verified,
    ) -> Result<Option<Grant<S>>, DirectoryError> {
        let Some(owner) = self.tokens.owner_of(verified) else {
            return Ok(None);
        };
        let Some(account) = directory.account(&AccountKey::Id(owner.clone())).await? else {
            return Ok(None);
        };
        Ok(directory.rights(&account).await?.read())
    }
}

/// No extensions, in a map that was made for more than three.
///
/// A router adds three of its own, and the fourth is one more than `http`'s first map takes: it would
/// be copied into a larger one, which takes as long as half the verification.
fn roomy() -> Extensions {
    #[derive(Clone)]
    struct Place<const N: u8>;

    let mut extensions = Extensions::new();
    extensions.insert(Place::<0>);
    extensions.insert(Place::<1>);
    extensions.insert(Place::<2>);
    extensions.insert(Place::<3>);
    extensions.clear();
    extensions
}

fn verdict(judged: Result<Verified, AuthenticateError>) -> Result<Credentials, Denial> {
    match judged {
        Ok(verified) => Ok(Credentials::Token(verified)),
        Err(AuthenticateError::NotOurs) => Ok(Credentials::NotOurs),
        Err(AuthenticateError::RateLimited { seconds }) => Err(Denial::RateLimited { seconds }),
        Err(AuthenticateError::Refused(refusal)) => Err(Denial::of(refusal, None)),
        Err(AuthenticateError::Unavailable(_)) => Err(Denial::Unavailable),
    }
}

#[inline]
pub(crate) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(ClientAddress(address)) = extensions.get() {
        return Some(*address);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) =
        extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()
    {
        return Some(peer.ip());
    }
    None
}

/// Hides the header from whoever prints the request later on; returns its value if there is one and
/// no more.
#[inline]
pub(crate) fn conceal(headers: &mut HeaderMap) -> Option<&HeaderValue> {
    let (mut sole, mut several) = (None, false);
    for (_, value) in headers.iter_mut().filter(|(name, _)| *name == AUTHORIZATION) {
        value.set_sensitive(true);
        several |= sole.replace(&*value).is_some();
    }
    sole.filter(|_| !several)
}
