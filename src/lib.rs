//! Personal access tokens for chat servers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod core;
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
pub use crate::core::token::{Expiry, State, Token, TokenRecord};
pub use crate::core::verify::Access;
pub use crate::ports::store::{StoreError, TokenStore};
#[cfg(feature = "service")]
#[cfg_attr(docsrs, doc(cfg(feature = "service")))]
pub use crate::service::{Builder, By, Tokens, error::AuthenticateError, verified::Verified};
