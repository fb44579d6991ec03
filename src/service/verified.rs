//! The evidence that a presented token was accepted.

use crate::core::error::Refusal;
use crate::core::id::{Kind, OwnerId, TokenId};
use crate::core::scope::{Grant, Scope};
use crate::service::Tokens;

/// A token that was presented and accepted. Only the service makes one.
///
/// A handler that takes it cannot be reached with an unchecked token. It is small, borrows
/// nothing and shares no counter; what it does not carry is asked of the service that made it.
/// It speaks of the moment of the check: a handler that runs for long, or keeps a connection
/// open, checks again.
#[must_use = "it is the evidence that the caller may go on"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub(super) id: TokenId,
    pub(super) generation: u32,
    pub(super) owner: u32,
    pub(super) class: u32,
    pub(super) mark: u64,
}

impl Verified {
    /// The token.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Which generation of its secret was presented.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}

impl<S: Scope> Tokens<S> {
    /// Whom a verified token acts as; `None` for evidence of another service.
    #[must_use]
    pub fn owner_of(&self, verified: &Verified) -> Option<&OwnerId> {
        self.made(verified).then(|| self.inner.index.owner(verified.owner)).flatten()
    }

    /// What a verified token is for; `None` for evidence of another service.
    #[must_use]
    pub fn kind_of(&self, verified: &Verified) -> Option<&Kind> {
        self.made(verified)
            .then(|| self.inner.index.class(verified.class))
            .flatten()
            .map(|c| &c.key.kind)
    }

    /// What a verified token may do; `None` for evidence of another service, or when none of
    /// the names that the token was granted is in the vocabulary.
    #[must_use]
    pub fn grant_of(&self, verified: &Verified) -> Option<&Grant<S>> {
        let class =
            self.made(verified).then(|| self.inner.index.class(verified.class)).flatten()?;
        class.grant.as_ref()
    }

    /// Whether a verified token passes where a second factor is due: it was issued so, and the
    /// policy still lets tokens of its kind.
    #[must_use]
    pub fn bypasses_two_factor(&self, verified: &Verified) -> bool {
        let class = self.made(verified).then(|| self.inner.index.class(verified.class)).flatten();
        class.is_some_and(|class| {
            class.key.bypasses_two_factor
                && self.inner.rules.policy.of(&class.key.kind).may_bypass_two_factor
        })
    }

    /// Whether a verified token may do `needed`, given what its owner may do now.
    ///
    /// For needs that only a handler knows, such as the channel in question; what a whole route
    /// needs is said when the token is authenticated.
    ///
    /// # Errors
    ///
    /// [`Refusal::ScopeMissing`].
    pub fn permits(
        &self,
        verified: &Verified,
        needed: &S,
        rights: &Grant<S>,
    ) -> Result<(), Refusal> {
        let permitted = self.grant_of(verified).is_some_and(|grant| grant.permits(needed, rights));
        permitted.then_some(()).ok_or(Refusal::ScopeMissing)
    }

    fn made(&self, verified: &Verified) -> bool {
        verified.mark == self.inner.mark
    }
}
