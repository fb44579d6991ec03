//! Sending another code.

use chrono::TimeDelta;

use super::code::Code;
use super::{CODE, EmailCode};
use crate::core::factor::{Challenge, Operation};
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::core::verify::micros;
use crate::ports::factors::{AttemptLimit, Reservation};
use crate::ports::two_factor::{FactorError, Sent};
use crate::service::two_factor::TwoFactor;

impl EmailCode {
    /// Sends another code for what an owner was last asked, or for signing in with no parameters:
    /// what a button "send it again" does on wires where it does not say what for.
    ///
    /// Anybody may press that button, so that it has two of the five mails in five minutes. While the
    /// owner may not answer, nothing is sent.
    ///
    /// # Errors
    ///
    /// [`FactorError`].
    pub async fn send_again<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
    ) -> Result<Sent, FactorError> {
        let now = two_factor.now().await?;
        if let Reservation::Locked { .. } = two_factor.lock(owner, now).await? {
            return Err(FactorError::TooManyAttempts);
        }
        let last = self.vault.load_if_readable::<Code>(owner, CODE).await?.value;
        let last = last.filter(|code| code.expires_at > micros(now)).map(|code| code.challenge);
        let asked = match last {
            Some(challenge) => challenge,
            None => {
                let sign_in = Challenge::new(owner.clone(), Operation::SignIn, b"", None);
                two_factor.asked(sign_in).await?.digest()
            }
        };
        self.count(owner, "mail_again", MAILS_AGAIN, now).await?;
        self.send(owner, asked, now).await
    }
}

/// Those that anybody can have sent must leave some to the owner.
const MAILS_AGAIN: AttemptLimit = AttemptLimit { attempts: 2, within: Some(TimeDelta::minutes(5)) };
