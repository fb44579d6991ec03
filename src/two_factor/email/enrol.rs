//! Enabling mailed codes, and disabling them.

use super::{CODE, EmailCode, Enabled};
use crate::core::event::EventKind;
use crate::core::factor::TwoFactorProof;
use crate::core::factor_policy::method;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::ports::two_factor::FactorError;
use crate::service::By;
use crate::service::two_factor::error::FactorChangeError;
use crate::service::two_factor::{FactorsChanged, TwoFactor};
use crate::two_factor::Imported;
use crate::two_factor::drawn::draw_enrolment;

impl EmailCode {
    /// Enables mailed codes for an owner with a verified address. The proof is for
    /// [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters `enable email` and
    /// the owner's id, one space between them.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`].
    pub async fn enable<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
        proof: TwoFactorProof,
        by: By<'_>,
    ) -> Result<FactorsChanged<()>, FactorChangeError> {
        let entitled = two_factor.entitle(owner, proof, "enable email", by).await?;
        if self.address(owner).await?.is_none() {
            return Err(FactorChangeError::NoAddress);
        }
        let before = self.vault.load::<Enabled>(owner, method::EMAIL).await?;
        if before.value.is_some() {
            return Err(FactorChangeError::AlreadyEnabled);
        }
        let enabled = Enabled { enrolment: draw_enrolment(&*self.entropy)? };
        let event = entitled.event(EventKind::FactorEnabled, method::EMAIL);
        self.vault.change(owner, method::EMAIL, before.version, &enabled, &event).await?;
        Ok(two_factor.changed(entitled, &event, ()))
    }

    /// Takes the factor from an owner. The proof is for
    /// [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters `disable email` and
    /// the owner's id, one space between them.
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
        let changed = two_factor.disable(owner, method::EMAIL, proof, by).await?;
        self.vault.clear(owner, CODE).await?;
        Ok(changed)
    }

    /// Enables mailed codes for an owner that has never had them from here, for hosts that say at
    /// each start who has them.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`]; repeat it.
    pub async fn import(&self, owner: &OwnerId) -> Result<Imported, FactorError> {
        if self.vault.load::<Enabled>(owner, method::EMAIL).await?.value.is_some() {
            return Ok(Imported::AsKnown);
        }
        if self.vault.version(owner, IMPORTED).await? > 0 {
            return Ok(Imported::Differs);
        }
        let enabled = Enabled { enrolment: draw_enrolment(&*self.entropy)? };
        let given = self.vault.save(owner, method::EMAIL, 0, &enabled).await?;
        // Written afterwards: whoever is killed in between begins anew and finds the factor there.
        self.vault.save(owner, IMPORTED, 0, &()).await?;
        Ok(if given { Imported::Given } else { Imported::AsKnown })
    }
}

pub(super) const IMPORTED: &str = "email.imported";
