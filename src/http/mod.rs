//! Tokens on HTTP: reading what a request presents, judging it, and answering as RFC 6750 says.
//!
//! [`BearerLayer`] stands before a service and leaves [`Evidence`] in each request; on axum,
//! `Routes` declares what each route needs and `Authenticated` hands the evidence to a handler.
//!
//! The layer sees one connection: the address that it judges by is the peer's, unless the host
//! has put a [`ClientAddress`] there. Which proxies are to be believed is for the host to say.

mod answer;
mod bearer;
mod credentials;
#[cfg(feature = "axum")]
mod enforce;
mod evidence;
#[cfg(feature = "axum")]
mod extract;
mod gate;
mod layer;
mod limit;
mod query;
#[cfg(feature = "axum")]
mod routes;
mod span;
mod stage;
#[cfg(feature = "axum")]
mod survey;
#[cfg(feature = "axum")]
mod undeclared;

pub use self::answer::{Answers, Denial, Problem};
pub use self::bearer::{BearerError, BearerText, MAX_TOKEN_LENGTH, Presented};
pub use self::credentials::{ClientAddress, Credentials};
pub use self::evidence::Evidence;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::extract::{Authenticated, Denied};
#[cfg(any(
    feature = "awx",
    feature = "introspection",
    feature = "mattermost",
    feature = "rocketchat",
    feature = "zitadel"
))]
pub(crate) use self::gate::client_address;
#[cfg(any(
    feature = "awx",
    feature = "introspection",
    feature = "mattermost",
    feature = "zitadel"
))]
pub(crate) use self::gate::conceal;
pub use self::layer::{BearerFuture, BearerLayer, BearerService};
pub use self::limit::{Allowance, Limiter};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::routes::{Declared, Need, Routes};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::survey::{Unguarded, unguarded_routes};
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::undeclared::guard;
