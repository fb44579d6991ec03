//! Passwords, which are the host's.

use std::fmt;

use async_trait::async_trait;

use super::store::BoxError;
use super::two_factor::{Answer, Enrolment};
use crate::core::id::OwnerId;

/// Checks passwords of accounts; this crate keeps none.
///
/// **If you lie:** a yes for a wrong password is the end of the second factor for those who have
/// nothing else.
#[async_trait]
pub trait Passwords: fmt::Debug + Send + Sync + 'static {
    /// Which password this account has: something that changes when the password does and tells
    /// nothing about it, such as bytes of its salt; `None` for accounts without one.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being looked up.
    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, BoxError>;

    /// Whether this is the account's password. The form of the answer, plain text or a digest of
    /// it, is what the host's wire says.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being checked.
    async fn is_right(&self, owner: &OwnerId, answer: &Answer) -> Result<bool, BoxError>;
}
