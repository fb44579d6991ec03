//! Passwords: the host's business, and the only thing here that is hashed slowly.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use keyfob::os::SystemEntropy;
use keyfob::ports::entropy::{Entropy as _, EntropyError};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// A password as somebody wrote it: in the accounts file, or to sign in.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(crate) struct PasswordText(Zeroizing<String>);

impl PasswordText {
    pub(crate) fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl PasswordText {
    /// SHA-256 in hexadecimal, as Rocket.Chat's clients send passwords. It is what is digested here,
    /// so that both forms can be checked.
    pub(crate) fn sha256_hex(&self) -> Self {
        let digest = Sha256::digest(self.expose_secret());
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

impl From<String> for PasswordText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for PasswordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordText(hidden)")
    }
}

/// A password as it is kept: what the accounts file says until it is first needed, then a digest.
///
/// That is why forty accounts are loaded at once.
pub(crate) struct Password {
    salt: [u8; 16],
    kept: Mutex<Kept>,
}

enum Kept {
    Text(PasswordText),
    Digest([u8; DIGEST_LENGTH]),
}

impl Password {
    /// The salt follows from whose it is: the digest never leaves this process, and what is made of
    /// it to tell passwords apart must be the same on every node.
    pub(crate) fn new(whose: &str, text: &PasswordText) -> Self {
        let salt = Sha256::digest(whose).first_chunk().copied().unwrap_or_default();
        Self { salt, kept: Mutex::new(Kept::Text(text.sha256_hex())) }
    }

    /// Whether this is the SHA-256 of the password. It takes milliseconds of processor time, and
    /// 7 MiB.
    fn is(&self, offered: &PasswordText) -> Result<bool, argon2::Error> {
        let offered = digest(offered, &self.salt)?;
        Ok(self.digest()?.ct_eq(&offered).into())
    }

    /// The digest, if it was made and nobody is making it.
    fn kept_digest(&self) -> Option<[u8; DIGEST_LENGTH]> {
        match &*self.kept.try_lock().ok()? {
            Kept::Digest(digest) => Some(*digest),
            Kept::Text(_) => None,
        }
    }

    fn digest(&self) -> Result<[u8; DIGEST_LENGTH], argon2::Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = match &*kept {
            Kept::Digest(digest) => return Ok(*digest),
            Kept::Text(text) => digest(text, &self.salt)?,
        };
        *kept = Kept::Digest(digest);
        Ok(digest)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// Checks passwords, a few at a time.
#[derive(Debug)]
pub(crate) struct Passwords {
    /// Nobody's password, so that an account that is not there takes as long as one that is.
    nobodys: Arc<Password>,
    room: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, EntropyError> {
        let mut bytes = [0; 32];
        SystemEntropy::new().fill(&mut bytes)?;
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self {
            nobodys: Arc::new(Password::new("", &text.into())),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Whether `offered` is the SHA-256 of this password; never for an account that has none.
    ///
    /// # Errors
    ///
    /// [`NotChecked`]: nobody can say now.
    pub(crate) async fn check(
        &self,
        password: Option<&Arc<Password>>,
        offered: PasswordText,
    ) -> Result<bool, NotChecked> {
        let (is_somebodys, password) = match password {
            Some(password) => (true, Arc::clone(password)),
            None => (false, Arc::clone(&self.nobodys)),
        };
        let is_right = self.work(move || password.is(&offered)).await?;
        Ok(is_right && is_somebodys)
    }

    /// Which password this is: something that changes with it, and tells nothing about it.
    ///
    /// # Errors
    ///
    /// [`NotChecked`]: nobody can say now.
    pub(crate) async fn mark(&self, password: &Arc<Password>) -> Result<[u8; 16], NotChecked> {
        // Those who sign in wrongly must not make others wait for what is known already.
        let digest = match password.kept_digest() {
            Some(digest) => digest,
            None => {
                let password = Arc::clone(password);
                self.work(move || password.digest()).await?
            }
        };
        Ok(Sha256::digest(digest).first_chunk().copied().unwrap_or_default())
    }

    /// Digests these passwords one after the other, so that whoever signs in first need not wait
    /// longer than the others.
    pub(crate) async fn digest_all(&self, passwords: Vec<Arc<Password>>) {
        for password in passwords.into_iter().chain([Arc::clone(&self.nobodys)]) {
            // One that cannot be digested now is digested when it is needed.
            let _ = self.work(move || password.digest()).await;
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::Error> + Send + 'static,
    ) -> Result<T, NotChecked> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| NotChecked)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held here, since a caller that goes away does not end the work.
            let _room = room;
            work()
        });
        done.await.map_err(|_| NotChecked)?.map_err(|_| NotChecked)
    }
}

/// A password could not be checked.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be checked now")]
pub(crate) struct NotChecked;

fn digest(text: &PasswordText, salt: &[u8]) -> Result<[u8; DIGEST_LENGTH], argon2::Error> {
    let parameters = Params::new(MEMORY_KIB, PASSES, 1, Some(DIGEST_LENGTH))?;
    let mut digest = [0; DIGEST_LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters).hash_password_into(
        text.expose_secret().as_bytes(),
        salt,
        &mut digest,
    )?;
    Ok(digest)
}

const DIGEST_LENGTH: usize = 32;

/// With five passes, the least memory that OWASP's password storage cheat sheet calls as strong
/// as its other choices.
const MEMORY_KIB: u32 = 7 * 1024;

const PASSES: u32 = 5;

/// More would not be faster on the machines that an example runs on; with four, signing in takes
/// 28 MiB at the most, however many try.
const AT_ONCE: usize = 4;
