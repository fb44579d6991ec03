//! Codes that are sent by mail.

mod again;
mod code;
mod enrol;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::code::CodeShape;
use self::code::{Code, digest, plain};
use super::drawn::draw;
use crate::core::digest::Digest;
use crate::core::factor::Challenge;
use crate::core::factor_policy::method;
use crate::core::id::OwnerId;
use crate::core::verify::micros;
use crate::ports::directory::{AccountKey, Directory};
use crate::ports::entropy::{Entropy, EntropyError};
use crate::ports::factors::{AttemptLimit, Reservation};
use crate::ports::mailer::{Mail, Mailer};
use crate::ports::two_factor::{Answer, Enrolment, FactorError, Sent, TwoFactorVerifier};
use crate::service::two_factor::{TRIES, Vault, contended};

/// The factor of those who have a mailbox: a code that is sent to the account's verified address.
///
/// The newest code counts alone, for the challenge that it was sent for, once. One that is named
/// for anything else is used up by that.
pub struct EmailCode {
    vault: Vault,
    entropy: Box<dyn Entropy>,
    mailer: Arc<dyn Mailer>,
    directory: Arc<dyn Directory>,
    shape: CodeShape,
    lives_for: TimeDelta,
    most_attempts: u32,
    host: String,
    only_with_address: bool,
}

impl EmailCode {
    /// Codes of [letters](CodeShape::Letters) that live ten minutes.
    #[must_use]
    pub fn new(
        vault: Vault,
        mailer: Arc<dyn Mailer>,
        directory: Arc<dyn Directory>,
        entropy: impl Entropy,
    ) -> Self {
        Self {
            vault,
            entropy: Box::new(entropy),
            mailer,
            directory,
            shape: CodeShape::Letters,
            // NIST SP 800-63B, section 5.1.3.2.
            lives_for: TimeDelta::minutes(10),
            most_attempts: 5,
            host: "this server".to_owned(),
            only_with_address: false,
        }
    }

    /// With codes of this shape.
    #[must_use]
    pub const fn shape(mut self, shape: CodeShape) -> Self {
        self.shape = shape;
        self
    }

    /// With codes that live this long.
    #[must_use]
    pub const fn lives_for(mut self, time: TimeDelta) -> Self {
        self.lives_for = time;
        self
    }

    /// With so many wrong answers to one code, five unless set, after which it is worth nothing.
    /// The owner's count of all answers stands beside that.
    #[must_use]
    pub const fn most_attempts(mut self, attempts: u32) -> Self {
        self.most_attempts = attempts;
        self
    }

    /// With this name of the host in the mail. It must hold nothing that looks like a code.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// For hosts where an address that is not verified means no factor at all, as on Rocket.Chat.
    /// Otherwise its owner has the factor and cannot answer it.
    #[must_use]
    pub const fn only_with_address(mut self) -> Self {
        self.only_with_address = true;
        self
    }

    /// Draws a code for this challenge, keeps its digest and mails it.
    async fn send(
        &self,
        owner: &OwnerId,
        challenge: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Sent, FactorError> {
        let enrolled = self.enrolled(owner).await?.ok_or(FactorError::NotEnrolled)?;
        let address = enrolled.1.ok_or(FactorError::NotEnrolled)?;
        // Both are counted before anything is sent, and neither is forgotten when it is not.
        self.count(owner, "mail", MAILS, now).await?;
        self.count(&destination(&address)?, "mail_to", MAILS, now).await?;
        let code = self.draw().map_err(FactorError::unavailable)?;
        let expires_at = now.checked_add_signed(self.lives_for).unwrap_or(now);
        let mut kept = Code {
            challenge,
            digest: digest(challenge, &code),
            expires_at: micros(expires_at),
            attempts: 0,
            is_sent: false,
        };
        let mut version = self.vault.version(owner, CODE).await?;
        for _ in 0..TRIES {
            if self.vault.save(owner, CODE, version, &kept).await? {
                break;
            }
            // Somebody else has asked at the same time. The newest counts, and that is this one.
            version = self.vault.version(owner, CODE).await?;
        }
        let mail = self.mail(&address, &code);
        self.mailer.send(&mail).await.map_err(FactorError::unavailable)?;
        // Until this is written nobody is told that it is on its way: whoever was dropped here, or
        // could not send it, is sent another one.
        let sent = self.vault.load_if_readable::<Code>(owner, CODE).await?;
        if sent.value.is_some_and(|sent| sent.digest == kept.digest) {
            kept.is_sent = true;
            self.vault.save(owner, CODE, sent.version, &kept).await?;
        }
        Ok(Sent::new(true, expires_at))
    }

    async fn count(
        &self,
        whose: &OwnerId,
        counter: &str,
        limit: AttemptLimit,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        match self.vault.store().reserve_attempt(whose, counter, &[limit], now).await? {
            Reservation::Granted => Ok(()),
            Reservation::Locked { .. } => Err(FactorError::TooManySent),
        }
    }

    fn mail(&self, address: &str, code: &str) -> Mail {
        let (head, tail) = code.split_at_checked(code.len() / 2).unwrap_or((code, ""));
        let host = &self.host;
        let text = Zeroizing::new(format!(
            "Your code for {host} is {head}-{tail}\n\n\
             It is good for one answer, and not for long. If you did not ask for it, somebody else\n\
             has your password or one of your tokens: change the one and revoke the other.\n"
        ));
        Mail::new(address, format!("Your code for {host}"), text)
    }

    fn draw(&self) -> Result<Zeroizing<String>, EntropyError> {
        let (symbols, length) = self.shape.symbols();
        draw(&*self.entropy, symbols, length)
    }

    /// The verified address of an owner.
    async fn address(&self, owner: &OwnerId) -> Result<Option<String>, FactorError> {
        let account = self.directory.account(&AccountKey::Id(owner.clone())).await;
        let email = account.map_err(FactorError::unavailable)?.and_then(|account| account.email);
        Ok(email.and_then(|(address, is_verified)| is_verified.then_some(address)))
    }

    /// What an owner has enabled, and its verified address.
    async fn enrolled(
        &self,
        owner: &OwnerId,
    ) -> Result<Option<(Enabled, Option<String>)>, FactorError> {
        let Some(enabled) = self.vault.load::<Enabled>(owner, method::EMAIL).await?.value else {
            return Ok(None);
        };
        let address = self.address(owner).await?;
        let counts = address.is_some() || !self.only_with_address;
        Ok(counts.then_some((enabled, address)))
    }

    async fn waiting(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, FactorError> {
        let code = self.vault.load_if_readable::<Code>(challenge.owner(), CODE).await?.value;
        let code = code.filter(|code| {
            code.is_sent
                && code.challenge == challenge.digest()
                && code.expires_at > micros(now)
                && code.attempts < self.most_attempts
        });
        Ok(code.and_then(|code| DateTime::from_timestamp_micros(code.expires_at)))
    }
}

#[async_trait]
impl TwoFactorVerifier for EmailCode {
    fn method(&self) -> &'static str {
        method::EMAIL
    }

    fn resembles(&self, answer: &Answer) -> bool {
        let (symbols, length) = self.shape.symbols();
        let code = plain(answer);
        code.len() == length && code.bytes().all(|byte| symbols.contains(&byte))
    }

    async fn destination(&self, owner: &OwnerId) -> Result<Option<String>, FactorError> {
        Ok(self.enrolled(owner).await?.and_then(|(_, address)| address))
    }

    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        let enrolled = self.enrolled(owner).await?;
        Ok(enrolled.map(|(Enabled { enrolment }, address)| {
            // Another address is another factor.
            let address = address.unwrap_or_default();
            let hash = Sha256::new_with_prefix(enrolment).chain_update(address).finalize();
            Enrolment(hash.first_chunk().copied().unwrap_or_default())
        }))
    }

    /// Sends a code, unless one that was sent for this challenge can still be answered.
    async fn prepare(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        match self.outstanding(challenge, now).await? {
            Some(sent) => Ok(Some(sent)),
            None => self.send(challenge.owner(), challenge.digest(), now).await.map(Some),
        }
    }

    async fn check(
        &self,
        challenge: &Challenge,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        let owner = challenge.owner();
        for _ in 0..TRIES {
            let kept = self.vault.load_if_readable::<Code>(owner, CODE).await?;
            let mut code = kept.value.ok_or(FactorError::Wrong)?;
            let given = Digest::from_bytes(digest(code.challenge, &plain(answer)));
            let is_right = Digest::from_bytes(code.digest).matches(given);
            let is_for_this = code.challenge == challenge.digest() && code.expires_at > micros(now);
            if is_for_this && code.attempts >= self.most_attempts {
                return Err(FactorError::TooManyAttempts);
            }
            code.attempts = code.attempts.saturating_add(1);
            let is_done = if is_for_this && !is_right {
                self.vault.save(owner, CODE, kept.version, &code).await?
            } else {
                // Accepted, or named for something else: it is used up.
                self.vault.remove(owner, CODE, kept.version).await?
            };
            if is_done {
                return (is_for_this && is_right).then_some(()).ok_or(FactorError::Wrong);
            }
        }
        Err(contended())
    }

    async fn outstanding(
        &self,
        challenge: &Challenge,
        now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        let waiting = self.waiting(challenge, now).await?;
        Ok(waiting.map(|expires_at| Sent::new(false, expires_at)))
    }

    async fn forget(&self, owner: &OwnerId) -> Result<(), FactorError> {
        // What a host brings at each start must not come back.
        self.vault.save(owner, enrol::IMPORTED, 0, &()).await?;
        self.vault.clear(owner, CODE).await?;
        self.vault.clear(owner, method::EMAIL).await
    }
}

impl fmt::Debug for EmailCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmailCode").field("shape", &self.shape).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Enabled {
    enrolment: [u8; 16],
}

/// An address as whose mails are counted, whoever they are for. No host's account is called so.
fn destination(address: &str) -> Result<OwnerId, FactorError> {
    let digest = Sha256::digest(address.to_lowercase());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    OwnerId::new(format!("mailto:{digest}")).map_err(FactorError::unavailable)
}

const CODE: &str = "email.code";

/// Five mails in five minutes: enough for somebody who mistypes, and no flood.
const MAILS: AttemptLimit = AttemptLimit { attempts: 5, within: Some(TimeDelta::minutes(5)) };
