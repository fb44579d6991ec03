//! The account's password, once more.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::core::factor::Challenge;
use crate::core::factor_policy::method;
use crate::core::id::OwnerId;
use crate::ports::passwords::Passwords;
use crate::ports::two_factor::{Answer, Enrolment, FactorError, TwoFactorVerifier};

/// The factor of those who have no other: their password, which the host checks.
///
/// It is no second factor for somebody who has just signed in with it, and is one against whoever
/// holds a token alone. Unlike other answers, it is right more than once.
#[derive(Clone, Debug)]
pub struct Password(Arc<dyn Passwords>);

impl Password {
    /// Passwords as this host checks them.
    pub fn new(passwords: impl Passwords) -> Self {
        Self(Arc::new(passwords))
    }
}

#[async_trait]
impl TwoFactorVerifier for Password {
    fn method(&self) -> &'static str {
        method::PASSWORD
    }

    fn resembles(&self, _: &Answer) -> bool {
        true
    }

    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        self.0.enrolment(owner).await.map_err(FactorError::Unavailable)
    }

    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        _: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        let is_right = self.0.is_right(challenge.owner(), answer).await;
        is_right.map_err(FactorError::Unavailable)?.then_some(()).ok_or(FactorError::Wrong)
    }

    /// Passwords stay: they are the host's.
    async fn forget(&self, _: &OwnerId) -> Result<(), FactorError> {
        Ok(())
    }
}
