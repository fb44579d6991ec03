//! Token routes for the host's router, one face for each product whose clients are to be served.

#[cfg(feature = "awx")]
#[cfg_attr(docsrs, doc(cfg(feature = "awx")))]
pub mod awx;
#[cfg(feature = "mattermost")]
#[cfg_attr(docsrs, doc(cfg(feature = "mattermost")))]
pub mod mattermost;
#[cfg(feature = "native")]
#[cfg_attr(docsrs, doc(cfg(feature = "native")))]
pub mod native;
#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub mod oauth;
#[cfg(feature = "rocketchat")]
#[cfg_attr(docsrs, doc(cfg(feature = "rocketchat")))]
pub mod rocketchat;
#[cfg(feature = "zitadel")]
#[cfg_attr(docsrs, doc(cfg(feature = "zitadel")))]
pub mod zitadel;

#[cfg(any(feature = "mattermost", feature = "zitadel"))]
mod authority;
#[cfg(any(feature = "native", feature = "zitadel"))]
mod once;
#[cfg(any(
    feature = "awx",
    feature = "mattermost",
    feature = "native",
    feature = "rocketchat",
    feature = "zitadel"
))]
mod openapi;
#[cfg(any(feature = "awx", feature = "mattermost", feature = "rocketchat", feature = "zitadel"))]
mod shown;
