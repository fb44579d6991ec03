//! The second factor's words: what is asked for, and the proof that it was answered.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::id::{OwnerId, TokenId};

/// What a second factor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Changing the owner's factors.
    ChangeFactors,
    /// Whatever else the host gates; the parameters begin with its name.
    Host,
    /// Issuing a token that passes where a second factor is due.
    IssueBypassingToken,
    /// Issuing a token.
    IssueToken,
    /// Revoking a token, where the host gates that.
    RevokeToken,
    /// Giving a token a new secret.
    RotateToken,
    /// Signing in.
    SignIn,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ChangeFactors,
        Self::Host,
        Self::IssueBypassingToken,
        Self::IssueToken,
        Self::RevokeToken,
        Self::RotateToken,
        Self::SignIn,
    ];

    /// The stable code of this operation.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ChangeFactors => "change_factors",
            Self::Host => "host",
            Self::IssueBypassingToken => "issue_bypassing_token",
            Self::IssueToken => "issue_token",
            Self::RevokeToken => "revoke_token",
            Self::RotateToken => "rotate_token",
            Self::SignIn => "sign_in",
        }
    }

    /// Whether a token that passes where a second factor is due passes here, if the policy lets
    /// such tokens pass at all.
    ///
    /// It never does where that would give more than the token has: a new token or secret, other
    /// factors, or a session.
    #[must_use]
    pub const fn may_be_bypassed(self) -> bool {
        matches!(self, Self::Host | Self::RevokeToken)
    }
}

/// What one owner is to answer for: one operation with these very parameters, asked for with this
/// very token.
///
/// It is bound to all four of owner, operation, parameters and presenting token: an answer given
/// for one is worth nothing for another.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    owner: OwnerId,
    operation: Operation,
    parameters: [u8; 32],
    presenter: Option<TokenId>,
    enrolled: [u8; 32],
}

impl Challenge {
    /// A challenge for this operation, with its parameters in a canonical form of the host's: equal
    /// bytes for equal requests, and for no others.
    #[must_use]
    pub fn new(
        owner: OwnerId,
        operation: Operation,
        parameters: &[u8],
        presenter: Option<TokenId>,
    ) -> Self {
        let parameters = Sha256::digest(parameters).into();
        Self { owner, operation, parameters, presenter, enrolled: [0; 32] }
    }

    /// The same challenge, to be answered while its owner has just these factors: what is tied to
    /// it ends when any of them changes.
    #[cfg(feature = "two-factor")]
    pub(crate) const fn among(mut self, enrolled: [u8; 32]) -> Self {
        self.enrolled = enrolled;
        self
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

    /// The token that asks for the operation.
    #[must_use]
    pub const fn presenter(&self) -> Option<TokenId> {
        self.presenter
    }

    /// SHA-256 over all four and over which factors the owner has, for what must be tied to this
    /// challenge and no other.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"keyfobC1");
        // Each with its length before it, so that no two challenges are the same bytes.
        for part in [self.owner.as_str(), self.operation.code()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.update(self.parameters);
        hash.update(self.enrolled);
        if let Some(presenter) = self.presenter {
            hash.update(presenter.as_bytes());
        }
        hash.finalize().into()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("owner", &self.owner)
            .field("operation", &self.operation)
            .field("presenter", &self.presenter)
            .finish_non_exhaustive()
    }
}

/// Why somebody may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grounds {
    /// A factor of this method was answered.
    Answered(Box<str>),
    /// The presented token passes where a second factor is due.
    Bypassed,
    /// The policy asks for no second factor here.
    NotAsked,
    /// The owner has no factor, and the policy lets such owners pass here.
    NothingEnrolled,
    /// A factor was answered from this device a while ago.
    Remembered,
}

/// The evidence that what the policy asks for an operation was done.
///
/// The privileged operation takes it by value, so a flag cannot be set by forgetting a check and
/// a proof cannot be used twice. Only the service makes one; there is no `Clone`.
///
/// ```compile_fail,E0599
/// fn twice(proof: keyfob::TwoFactorProof) { let _ = proof.clone(); }
/// ```
#[must_use = "a proof that nothing takes proves nothing"]
pub struct TwoFactorProof {
    challenge: Challenge,
    grounds: Grounds,
    proved_at: DateTime<Utc>,
}

impl TwoFactorProof {
    /// How far apart proving and taking may lie: one request's time, no more.
    pub const FRESH_FOR: TimeDelta = TimeDelta::seconds(60);

    #[cfg(feature = "two-factor")]
    pub(crate) const fn new(
        challenge: Challenge,
        grounds: Grounds,
        proved_at: DateTime<Utc>,
    ) -> Self {
        Self { challenge, grounds, proved_at }
    }

    /// Why its owner may go on.
    #[must_use]
    pub const fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// Whether this proves, now, that this owner did what the policy asks for this operation with
    /// these parameters and this presenting token. That a token bypasses proves nothing for an
    /// operation that [cannot be bypassed](Operation::may_be_bypassed).
    ///
    /// `now` may be a moment before the proof was made: a node knows the store's time to within the
    /// time that an answer took, and the next answer may come sooner.
    #[must_use]
    pub fn holds_for(
        &self,
        owner: &OwnerId,
        operation: Operation,
        parameters: &[u8],
        presenter: Option<TokenId>,
        now: DateTime<Utc>,
    ) -> bool {
        let apart = now.signed_duration_since(self.proved_at).abs();
        self.challenge == Challenge::new(owner.clone(), operation, parameters, presenter)
            && (self.grounds != Grounds::Bypassed || operation.may_be_bypassed())
            && apart <= Self::FRESH_FOR
    }
}

impl fmt::Debug for TwoFactorProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactorProof")
            .field("owner", &self.challenge.owner)
            .field("operation", &self.challenge.operation)
            .field("grounds", &self.grounds)
            .finish_non_exhaustive()
    }
}
