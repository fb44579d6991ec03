//! Personal access tokens for chat servers: issue, hash, verify, scope, deactivate, rotate, revoke.
//!
//! ```
//! use keyfob::store::memory::MemoryStore;
//! use keyfob::{Access, Actor, By, Format, Grant, IssueRequest, Keyring, OwnerId, ReadWrite, Rules, Tokens};
//!
//! # keyfob::testing::block_on(async {
//! let rules = Rules::new(Format::new("hello")?, Keyring::unkeyed());
//! let tokens = Tokens::<ReadWrite>::new(MemoryStore::default(), rules);
//!
//! let request = IssueRequest::new(OwnerId::new("alice")?, Grant::Full);
//! let (secret, token) = tokens.issue(request, By::Host(&Actor::host())).await?;
//! let verified = tokens.authenticate(secret.expose_secret(), &Access::needing(&ReadWrite::Read)).await?;
//! assert_eq!(tokens.owner_of(&verified), Some(&token.owner));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Begin with the [quick start](guide::quick_start).
//!
//! # The parts
//!
//! | module | what is in it |
//! |---|---|
//! | [`core`] | words, and pure functions of them: what is decided, and when |
//! | [`ports`] | the traits that stores, clocks and hosts implement |
//! | `service` | [`Tokens`], which puts it together |
//! | [`store`] | stores |
//! | `two_factor` | methods of answering a second factor |
//! | `http`, `wire` | bearer tokens on requests, and APIs about tokens |
//! | `import` | tokens of other products, read from their tables |
//! | `testing` | what a host's own tests need |
//! | [`guide`] | prose |
//!
//! # What it is not
//!
//! Not OAuth, not a session framework, not JWT, not a user database. It hashes no passwords and
//! takes no token from a query string.
//!
//! # Features
//!
//! `memory`, `os` and `service` are on by default; `sqlite`, `postgres`, `postgres-tls`, `tokio`,
//! `metrics`, `tracing`, `two-factor`, `http`, `axum`, `awx`, `introspection`, `mattermost`, `native`, `rocketchat`,
//! `zitadel`, `import` and `testing` are not. None changes what is there without it.
//! Without any, the tree holds no runtime, no server and no database.
//!
//! # Public dependencies
//!
//! A breaking release of one of these is one of ours.
//!
//! | crate | where |
//! |---|---|
//! | `async-trait` 0.1, `chrono` 0.4, `ipnet` 2, `serde` 1 | everywhere |
//! | `rand` 0.10 | the generator argument of the pure functions |
//! | `zeroize` 1 | texts that hold secrets |
//! | `http` 1, `tower-layer` 0.3, `tower-service` 0.3 | feature `http` |
//! | `axum` 0.8 | feature `axum` |
//! | `utoipa` 6 | feature `native` |
//! | `tokio-postgres` 0.7, and a runtime of `tokio` 1 | feature `postgres` |
//!
//! What `postgres-tls` brings, rustls and the system's root certificates, is in no signature.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod core;
pub mod guide;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
#[cfg(feature = "import")]
#[cfg_attr(docsrs, doc(cfg(feature = "import")))]
pub mod import;
#[cfg(feature = "os")]
#[cfg_attr(docsrs, doc(cfg(feature = "os")))]
pub mod os;
pub mod ports;
#[cfg(feature = "service")]
#[cfg_attr(docsrs, doc(cfg(feature = "service")))]
pub mod service;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "two-factor")]
#[cfg_attr(docsrs, doc(cfg(feature = "two-factor")))]
pub mod two_factor;
#[cfg(any(
    feature = "awx",
    feature = "introspection",
    feature = "mattermost",
    feature = "native",
    feature = "rocketchat",
    feature = "zitadel"
))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "awx",
        feature = "introspection",
        feature = "mattermost",
        feature = "native",
        feature = "rocketchat",
        feature = "zitadel"
    )))
)]
pub mod wire;

pub use crate::core::digest::{Key, Keyring};
pub use crate::core::error::{IssueError, Refusal};
pub use crate::core::event::{Actor, Event, EventKind};
pub use crate::core::factor::{Challenge, Operation, TwoFactorProof};
pub use crate::core::format::{Format, ParseError, PresentedToken};
pub use crate::core::id::{
    IdempotencyKey, InvalidName, KeyId, Kind, Note, OwnerId, RealmId, ScopeName, TokenId, TokenName,
};
pub use crate::core::issue::{IssueRequest, Lifetime};
pub use crate::core::lifecycle::Narrowing;
pub use crate::core::policy::{KindPolicy, Minting, Policy, Rules};
pub use crate::core::rotation::Rotation;
pub use crate::core::scope::{ChatScope, Grant, ReadWrite, Scope, Scopes};
pub use crate::core::secret::TokenSecret;
pub use crate::core::shape::Shape;
pub use crate::core::token::{Expiry, State, Token, TokenRecord};
pub use crate::core::verify::Access;
pub use crate::ports::store::{StoreError, TokenStore};
#[cfg(feature = "service")]
#[cfg_attr(docsrs, doc(cfg(feature = "service")))]
pub use crate::service::{Builder, By, Tokens, error::AuthenticateError, verified::Verified};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
