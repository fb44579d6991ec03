//! Turning an answer into proof.

use crate::core::factor::{Challenge, TwoFactorProof};
use crate::core::scope::Scope;
use crate::ports::two_factor::{Answer, FactorError, TwoFactorVerifier};
use crate::service::Tokens;

impl<S: Scope> Tokens<S> {
    /// Asks a verifier about an answer; a right one in time becomes the proof that a privileged
    /// operation takes.
    ///
    /// # Errors
    ///
    /// [`FactorError`]; a verifier in trouble is an error, never "not required".
    pub async fn prove(
        &self,
        verifier: &dyn TwoFactorVerifier,
        challenge: Challenge,
        answer: &Answer,
    ) -> Result<TwoFactorProof, FactorError> {
        if self.inner.known_now() >= challenge.expires_at() {
            return Err(FactorError::Wrong);
        }
        verifier.check(&challenge, answer).await?;
        Ok(TwoFactorProof::new(challenge, verifier.method().into(), self.inner.known_now()))
    }
}
