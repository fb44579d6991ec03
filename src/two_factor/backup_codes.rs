//! Codes to be kept for the day the authenticator is lost.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::drawn::{draw, draw_enrolment};
use crate::core::digest::Digest;
use crate::core::event::EventKind;
use crate::core::factor::{Challenge, TwoFactorProof};
use crate::core::factor_policy::method;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::ports::entropy::Entropy;
use crate::ports::two_factor::{Answer, Enrolment, FactorError, TwoFactorVerifier};
use crate::service::By;
use crate::service::two_factor::error::FactorChangeError;
use crate::service::two_factor::{FactorsChanged, TRIES, TwoFactor, Vault, contended};

/// Twelve codes of eight characters, each right once; only their digests are kept, and sealed.
pub struct BackupCodes {
    vault: Vault,
    entropy: Box<dyn Entropy>,
}

impl BackupCodes {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// Codes from this randomness.
    #[must_use]
    pub fn new(vault: Vault, entropy: impl Entropy) -> Self {
        Self { vault, entropy: Box::new(entropy) }
    }

    /// Draws an owner's codes, to be shown once; those from before are worth nothing any more. The
    /// proof is for [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters
    /// `regenerate backup_code` and the owner's id, one space between them.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`].
    pub async fn regenerate<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
        proof: TwoFactorProof,
        by: By<'_>,
    ) -> Result<FactorsChanged<Vec<BackupCode>>, FactorChangeError> {
        let entitled = two_factor.entitle(owner, proof, "regenerate backup_code", by).await?;
        let enrolment = draw_enrolment(&*self.entropy)?;
        let codes: Result<Vec<_>, _> = (0..Self::COUNT)
            .map(|_| draw(&*self.entropy, SYMBOLS, LENGTH).map(BackupCode))
            .collect();
        let codes = codes.map_err(FactorError::unavailable)?;
        let digests = codes.iter().map(|code| digest(enrolment, code.expose_secret())).collect();
        let before = self.vault.version(owner, NAME).await?;
        let kept = Kept { enrolment, digests };
        let event = entitled.event(EventKind::FactorEnabled, NAME);
        self.vault.change(owner, NAME, before, &kept, &event).await?;
        Ok(two_factor.changed(entitled, &event, codes))
    }

    /// Takes the codes from an owner. The proof is for
    /// [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters `disable backup_code`
    /// and the owner's id, one space between them.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`].
    pub async fn disable<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
        proof: TwoFactorProof,
        by: By<'_>,
    ) -> Result<FactorsChanged<()>, FactorChangeError> {
        two_factor.disable(owner, NAME, proof, by).await
    }

    /// How many of an owner's codes are left.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`].
    pub async fn remaining(&self, owner: &OwnerId) -> Result<usize, FactorError> {
        let kept = self.vault.load::<Kept>(owner, NAME).await?;
        Ok(kept.value.map_or(0, |kept| kept.digests.len()))
    }
}

#[async_trait]
impl TwoFactorVerifier for BackupCodes {
    fn method(&self) -> &'static str {
        NAME
    }

    fn resembles(&self, answer: &Answer) -> bool {
        let code = answer.expose_secret().as_bytes();
        code.len() == LENGTH && code.iter().all(|symbol| SYMBOLS.contains(symbol))
    }

    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        let kept = self.vault.load::<Kept>(owner, NAME).await?;
        // Those who have used all of them have none.
        let kept = kept.value.filter(|kept| !kept.digests.is_empty());
        Ok(kept.map(|kept| Enrolment(kept.enrolment)))
    }

    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        _: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        if !self.resembles(answer) {
            return Err(FactorError::Wrong);
        }
        let owner = challenge.owner();
        for _ in 0..TRIES {
            let kept = self.vault.load::<Kept>(owner, NAME).await?;
            let Kept { enrolment, mut digests } = kept.value.ok_or(FactorError::NotEnrolled)?;
            let given = Digest::from_bytes(digest(enrolment, answer.expose_secret()));
            let before = digests.len();
            // All are compared, wherever the right one is.
            digests.retain(|digest| !Digest::from_bytes(*digest).matches(given));
            if digests.len() == before {
                return Err(FactorError::Wrong);
            }
            let left = Kept { enrolment, digests };
            if self.vault.save(owner, NAME, kept.version, &left).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    async fn forget(&self, owner: &OwnerId) -> Result<(), FactorError> {
        self.vault.clear(owner, NAME).await
    }
}

impl fmt::Debug for BackupCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupCodes").finish_non_exhaustive()
    }
}

/// A backup code, to be shown once. It can be shown and nothing else.
#[must_use = "a code that is not shown now can never be shown"]
pub struct BackupCode(Zeroizing<String>);

impl BackupCode {
    /// The eight characters.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode(hidden)")
    }
}

const NAME: &str = method::BACKUP_CODE;

#[derive(Serialize, Deserialize)]
struct Kept {
    enrolment: [u8; 16],
    digests: Vec<[u8; 32]>,
}

/// Of the enrolment too, so that equal codes of two owners have different digests. 46 bits would
/// not withstand somebody who tries them all; sealed, there is nothing to try them on.
fn digest(enrolment: [u8; 16], code: &str) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(b"keyfobR1");
    hash.chain_update(enrolment).chain_update(code).finalize().into()
}

/// Rocket.Chat's: no two of them look alike.
const SYMBOLS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";

/// 46 bits.
const LENGTH: usize = 8;
