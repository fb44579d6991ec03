//! The second factor's words: what is asked, and the proof that it was answered.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::id::{OwnerId, TokenId};

/// What a second factor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Changing the owner's factors.
    ChangeFactors,
    /// Issuing a token.
    IssueToken,
    /// Issuing a token that passes where a second factor is due.
    IssueBypassingToken,
    /// Rotating a token.
    RotateToken,
    /// Signing in.
    SignIn,
}

/// A question that one owner must answer for one operation with these very parameters.
///
/// It is bound to all four of owner, operation, parameters and presenting token: an answer given
/// for one is worth nothing for another.
#[derive(Clone, Debug)]
pub struct Challenge {
    owner: OwnerId,
    operation: Operation,
    parameters: [u8; 32],
    presenter: Option<TokenId>,
    expires_at: DateTime<Utc>,
}

impl Challenge {
    /// A challenge for this operation, with its parameters in a canonical form of the host's.
    #[must_use]
    pub fn new(
        owner: OwnerId,
        operation: Operation,
        parameters: &[u8],
        presenter: Option<TokenId>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            owner,
            operation,
            parameters: Sha256::digest(parameters).into(),
            presenter,
            expires_at,
        }
    }

    /// Who must answer.
    #[must_use]
    pub const fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// What for.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// SHA-256 of the operation's canonical parameters.
    #[must_use]
    pub const fn parameters(&self) -> &[u8; 32] {
        &self.parameters
    }

    /// The token that asks for the operation.
    #[must_use]
    pub const fn presenter(&self) -> Option<TokenId> {
        self.presenter
    }

    /// The first instant at which an answer comes too late.
    #[must_use]
    pub const fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

/// The evidence that an owner answered a [`Challenge`].
///
/// The privileged operation takes it by value, so a flag cannot be set by forgetting a check and
/// a proof cannot be used twice. Only the service makes one, after a verifier said yes; there is
/// no `Clone`.
///
/// ```compile_fail,E0599
/// fn twice(proof: keyfob::TwoFactorProof) { let _ = proof.clone(); }
/// ```
#[must_use = "a proof that nothing takes proves nothing"]
pub struct TwoFactorProof {
    challenge: Challenge,
    method: Box<str>,
    proved_at: DateTime<Utc>,
}

impl TwoFactorProof {
    /// How long a proof may be carried before it is taken: one request's time, no more.
    pub const FRESH_FOR: TimeDelta = TimeDelta::seconds(60);

    #[cfg(feature = "service")]
    pub(crate) const fn new(
        challenge: Challenge,
        method: Box<str>,
        proved_at: DateTime<Utc>,
    ) -> Self {
        Self { challenge, method, proved_at }
    }

    /// Which method was answered with.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether this proves, now, that this owner answered for this operation with these
    /// parameters and this presenting token.
    #[must_use]
    pub fn holds_for(
        &self,
        owner: &OwnerId,
        operation: Operation,
        parameters: &[u8],
        presenter: Option<TokenId>,
        now: DateTime<Utc>,
    ) -> bool {
        let age = now.signed_duration_since(self.proved_at);
        let parameters: [u8; 32] = Sha256::digest(parameters).into();
        self.challenge.owner == *owner
            && self.challenge.operation == operation
            && self.challenge.parameters == parameters
            && self.challenge.presenter == presenter
            && age >= TimeDelta::zero()
            && age <= Self::FRESH_FOR
    }
}

impl fmt::Debug for TwoFactorProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactorProof")
            .field("owner", &self.challenge.owner)
            .field("operation", &self.challenge.operation)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
