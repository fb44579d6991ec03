//! Codes of an authenticator (RFC 6238).

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Imported;
use super::drawn::draw_enrolment;
use super::otp::{Algorithm, Digits, find_step, step};
use super::otpauth::OtpAuth;
use super::seed::{Seed, TotpSeed};
use super::window::Window;
use crate::core::event::EventKind;
use crate::core::factor::{Challenge, Operation, TwoFactorProof};
use crate::core::factor_policy::method;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::core::verify::micros;
use crate::ports::entropy::Entropy;
use crate::ports::two_factor::{Answer, Enrolment, FactorError, TwoFactorVerifier};
use crate::service::By;
use crate::service::two_factor::error::FactorChangeError;
use crate::service::two_factor::{FactorsChanged, TwoFactor, Vault, contended};

/// The factor of those who have an authenticator app or a key that shows codes.
///
/// A step is used up when its code is accepted, with all steps before it. The seed is sealed.
pub struct Totp {
    vault: Vault,
    entropy: Box<dyn Entropy>,
    window: Window,
    form: (Algorithm, Digits),
    issuer: String,
}

impl Totp {
    /// With the usual window, and six digits of SHA-1 for those who enrol.
    #[must_use]
    pub fn new(vault: Vault, entropy: impl Entropy) -> Self {
        Self {
            vault,
            entropy: Box::new(entropy),
            window: Window::usual(),
            form: (Algorithm::default(), Digits::default()),
            issuer: "keyfob".to_owned(),
        }
    }

    /// With this window.
    #[must_use]
    pub const fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// With this hash and length for those who enrol. Not every app knows others than the default.
    #[must_use]
    pub const fn form(mut self, algorithm: Algorithm, digits: Digits) -> Self {
        self.form = (algorithm, digits);
        self
    }

    /// With this name of the host for authenticator apps to show.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Draws a seed for an owner to put into its authenticator, which it then shows by
    /// [`confirm`](Totp::confirm). Until then nothing is changed; a seed that was drawn before and
    /// not confirmed is forgotten.
    ///
    /// `account` is what the app calls the account. The proof is for
    /// [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters `enable totp` and the
    /// owner's id, one space between them.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`].
    pub async fn begin<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
        account: &str,
        proof: TwoFactorProof,
        by: By<'_>,
    ) -> Result<OtpAuth, FactorChangeError> {
        let entitled = two_factor.entitle(owner, proof, "enable totp", by).await?;
        let seed = Seed::draw(&*self.entropy, self.form).map_err(FactorError::unavailable)?;
        let shown = OtpAuth::new(&seed.bytes, self.form, &self.issuer, account);
        let ends = entitled.now.checked_add_signed(LONGEST_PENDING).unwrap_or(entitled.now);
        let asked = two_factor.asked(enabling(owner)).await?.digest();
        let pending = Pending { seed, asked, expires_at: micros(ends) };
        let before = self.vault.version(owner, PENDING).await?;
        if self.vault.save(owner, PENDING, before, &pending).await? {
            Ok(shown)
        } else {
            Err(contended().into())
        }
    }

    /// Enables the seed that was drawn, once its owner shows a code of it. The code is used up.
    ///
    /// It replaces a seed that was enabled before. The proof that was given to
    /// [`begin`](Totp::begin), ten minutes ago at the most, stands for this too, unless the owner's
    /// factors have changed since.
    ///
    /// # Errors
    ///
    /// [`FactorChangeError`].
    pub async fn confirm<S: Scope>(
        &self,
        two_factor: &TwoFactor<S>,
        owner: &OwnerId,
        code: &Answer,
        by: By<'_>,
    ) -> Result<FactorsChanged<()>, FactorChangeError> {
        let entitled = two_factor.entitled_caller(owner, by).await?;
        let pending = self.vault.load_if_readable::<Pending>(owner, PENDING).await?;
        let asked = two_factor.asked(enabling(owner)).await?.digest();
        let fits = |it: &Pending| it.expires_at > micros(entitled.now) && it.asked == asked;
        let pending_seed = pending.value.filter(fits).ok_or(FactorChangeError::NotPending)?;
        let seed = pending_seed.seed;
        let digits = seed.form.1;
        let code = digits.parse(code.expose_secret()).ok_or(FactorChangeError::WrongCode)?;
        let now = step(entitled.now.timestamp());
        let steps = self.window.at_enrolment().steps(now, 0);
        let step = find_step(code, steps, |step| seed.code(step));
        let step = step.ok_or(FactorChangeError::WrongCode)?;
        let enrolment = draw_enrolment(&*self.entropy)?;
        let enrolled = Enrolled { enrolment, seed, drift: self.window.drift(now, step) };
        let mark = enrolled.mark();
        let before = self.vault.version(owner, NAME).await?;
        // The step first: whoever sees the new seed must not see its code unused.
        self.vault.store().raise_mark(owner, &mark, step).await?;
        let taken = self.vault.remove(owner, PENDING, pending.version).await?;
        let event = entitled.event(EventKind::FactorEnabled, NAME);
        if !taken {
            return Err(contended().into());
        }
        self.vault.change(owner, NAME, before, &enrolled, &event).await?;
        Ok(two_factor.changed(entitled, &event, ()))
    }

    /// Takes the factor from an owner, and its backup codes, which stand in for it. The proof is for
    /// [`ChangeFactors`](crate::Operation::ChangeFactors) with the parameters `disable totp` and the
    /// owner's id, one space between them.
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
        let changed = two_factor.disable(owner, NAME, proof, by).await?;
        self.vault.clear(owner, PENDING).await?;
        self.vault.clear(owner, method::BACKUP_CODE).await?;
        Ok(changed)
    }

    /// Gives an owner this seed, if it has never had one from here: for hosts that bring seeds from
    /// elsewhere at each start.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`]; repeat it.
    pub async fn import(&self, owner: &OwnerId, seed: TotpSeed) -> Result<Imported, FactorError> {
        loop {
            if let Some(own) = self.vault.load::<Enrolled>(owner, NAME).await?.value {
                let same = own.seed.is(&seed.0);
                return Ok(if same { Imported::AsKnown } else { Imported::Differs });
            }
            if self.vault.version(owner, IMPORTED).await? > 0 {
                return Ok(Imported::Differs);
            }
            let enrolment = draw_enrolment(&*self.entropy)?;
            let enrolled = Enrolled { enrolment, seed: seed.0.clone(), drift: 0 };
            let given = self.vault.save(owner, NAME, 0, &enrolled).await?;
            // Written afterwards: whoever is killed in between begins anew, and finds it there.
            self.vault.save(owner, IMPORTED, 0, &()).await?;
            if given {
                return Ok(Imported::Given);
            }
            // Another process has brought one at the same time.
        }
    }
}

#[async_trait]
impl TwoFactorVerifier for Totp {
    fn method(&self) -> &'static str {
        NAME
    }

    fn resembles(&self, answer: &Answer) -> bool {
        let is_of = |digits: Digits| digits.parse(answer.expose_secret()).is_some();
        is_of(Digits::Six) || is_of(Digits::Eight)
    }

    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        let kept = self.vault.load::<Enrolled>(owner, NAME).await?;
        Ok(kept.value.map(|enrolled| Enrolment(enrolled.enrolment)))
    }

    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        let owner = challenge.owner();
        let kept = self.vault.load::<Enrolled>(owner, NAME).await?;
        let enrolled = kept.value.ok_or(FactorError::NotEnrolled)?;
        let digits = enrolled.seed.form.1;
        let code = digits.parse(answer.expose_secret()).ok_or(FactorError::Wrong)?;
        let now = step(now.timestamp());
        let steps = self.window.steps(now, enrolled.drift);
        let step = find_step(code, steps, |step| enrolled.seed.code(step));
        let step = step.ok_or(FactorError::Wrong)?;
        // The step and all before it are used up, for every node, before anybody hears of it.
        if !self.vault.store().raise_mark(owner, &enrolled.mark(), step).await? {
            return Err(FactorError::Wrong);
        }
        let drift = self.window.drift(now, step);
        if self.window.longest_drift > 0 && drift != enrolled.drift {
            // To its owner's comfort: when it cannot be written now, the next answer will show it.
            let enrolled = Enrolled { drift, ..enrolled };
            let _ = self.vault.save(owner, NAME, kept.version, &enrolled).await;
        }
        Ok(())
    }

    async fn forget(&self, owner: &OwnerId) -> Result<(), FactorError> {
        // What a host brings at each start must not come back.
        self.vault.save(owner, IMPORTED, 0, &()).await?;
        self.vault.clear(owner, PENDING).await?;
        self.vault.clear(owner, NAME).await
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp").field("window", &self.window).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Enrolled {
    enrolment: [u8; 16],
    seed: Seed,
    drift: i8,
}

impl Enrolled {
    /// The mark of the last step that was used. Each enrolment has its own, since the first code of
    /// a new seed may be of the step that the last one of the old seed was of.
    fn mark(&self) -> String {
        let enrolment: String = self.enrolment.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("totp.{enrolment}")
    }
}

/// What a seed that is drawn is for; the proof was for the same.
fn enabling(owner: &OwnerId) -> Challenge {
    Challenge::new(owner.clone(), Operation::ChangeFactors, b"enable totp", None)
}

#[derive(Serialize, Deserialize)]
struct Pending {
    seed: Seed,
    /// What its owner had enrolled when it was drawn.
    asked: [u8; 32],
    expires_at: i64,
}

const NAME: &str = method::TOTP;

const PENDING: &str = "totp.pending";

const IMPORTED: &str = "totp.imported";

/// Time to find the phone, and no more.
const LONGEST_PENDING: TimeDelta = TimeDelta::minutes(10);
