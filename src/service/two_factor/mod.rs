//! The second factor: what a policy asks for, answered by methods, counted, and turned into proof.

mod challenges;
mod change;
mod demand;
mod devices;
pub mod error;
mod vault;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use crate::core::factor::Challenge;
use crate::core::factor_policy::FactorPolicy;
use crate::core::id::OwnerId;
use crate::core::scope::Scope;
use crate::ports::factors::AttemptLimit;
use crate::ports::two_factor::{FactorError, TwoFactorVerifier};
use crate::service::Tokens;

pub use self::change::FactorsChanged;
pub use self::demand::Ask;
pub use self::vault::Vault;
pub(crate) use self::vault::{TRIES, contended};

/// Asks for second factors as a [`FactorPolicy`] says, and makes the proof that privileged
/// operations take. Clones share everything.
///
/// All attempts of one owner are counted together, whatever the method and whichever façade over
/// the same store they reach: durably, and before anything is compared.
///
/// ```
/// use keyfob::core::factor::Grounds;
/// use keyfob::core::factor_policy::{FactorPolicy, method};
/// use keyfob::os::SystemEntropy;
/// use keyfob::service::two_factor::error::StepUpError;
/// use keyfob::service::two_factor::{Ask, TwoFactor, Vault};
/// use keyfob::store::memory::MemoryStore;
/// use keyfob::two_factor::{AeadSealer, Totp};
/// use keyfob::{Format, Key, KeyId, Keyring, Operation, OwnerId, ReadWrite, RealmId, Rules, Tokens};
///
/// # keyfob::testing::block_on(async {
/// let keyring = Keyring::new(Key::new(KeyId::new("k1")?, &[7; 32])?);
/// let store = MemoryStore::default();
/// let sealer = AeadSealer::new(&keyring, SystemEntropy::new()).expect("there is a key");
/// let vault = Vault::new(store.clone(), sealer, RealmId::default());
/// let tokens = Tokens::<ReadWrite>::new(store, Rules::new(Format::new("hello")?, keyring));
/// let policy = FactorPolicy::default().without(method::EMAIL).without(method::PASSWORD)
///     .without(method::BACKUP_CODE);
/// let totp = Totp::new(vault.clone(), SystemEntropy::new());
/// let two_factor = TwoFactor::new(tokens, vault, policy).with(totp);
///
/// // Nobody has enrolled anything: the policy lets such owners sign in, and says so.
/// let alice = OwnerId::new("alice")?;
/// let proof = two_factor.demand(&Ask::of(&alice, Operation::SignIn, b"")).await?;
/// assert_eq!(proof.grounds(), &Grounds::NothingEnrolled);
/// // What the host gates is refused to them.
/// let refused = two_factor.demand(&Ask::of(&alice, Operation::Host, b"rename")).await;
/// assert!(matches!(refused, Err(StepUpError::NothingEnrolled)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TwoFactor<S: Scope> {
    tokens: Tokens<S>,
    vault: Vault,
    policy: Arc<FactorPolicy>,
    methods: Vec<Arc<dyn TwoFactorVerifier>>,
}

impl<S: Scope> TwoFactor<S> {
    /// A façade without methods. Each method that the policy names must be added: one that is
    /// missing cannot be asked whether an owner has it, so that nobody could pass.
    #[must_use]
    pub fn new(tokens: Tokens<S>, vault: Vault, policy: FactorPolicy) -> Self {
        Self { tokens, vault, policy: Arc::new(policy), methods: Vec::new() }
    }

    /// With this method, in place of another one of its name.
    #[must_use]
    pub fn with(self, method: impl TwoFactorVerifier) -> Self {
        self.with_shared(Arc::new(method))
    }

    /// With this method, which the host uses elsewhere too.
    #[must_use]
    pub fn with_shared(mut self, method: Arc<dyn TwoFactorVerifier>) -> Self {
        self.methods.retain(|other| other.method() != method.method());
        self.methods.push(method);
        self
    }

    /// What it asks for.
    #[must_use]
    pub fn policy(&self) -> &FactorPolicy {
        &self.policy
    }

    /// The tokens whose owners it asks.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens<S> {
        &self.tokens
    }

    /// The methods that an owner has enrolled, of those that the policy names.
    ///
    /// # Errors
    ///
    /// [`FactorError::Unavailable`] when one of them could not be asked, or is missing.
    pub async fn enrolled(&self, owner: &OwnerId) -> Result<Vec<&'static str>, FactorError> {
        Ok(self.enrolments(owner).await?.methods)
    }

    /// This challenge to an owner with the factors that it has now.
    pub(crate) async fn asked(&self, challenge: Challenge) -> Result<Challenge, FactorError> {
        let enrolments = self.enrolments(challenge.owner()).await?;
        Ok(challenge.among(enrolments.mark))
    }

    /// What time it is by the store's clock.
    pub(crate) async fn now(&self) -> Result<DateTime<Utc>, FactorError> {
        Ok(self.tokens.inner.now().await?)
    }

    async fn enrolments(&self, owner: &OwnerId) -> Result<Enrolments, FactorError> {
        let (mut methods, mut hash) = (Vec::new(), Sha256::new_with_prefix(b"keyfobE1"));
        for name in self.policy.methods() {
            if methods.contains(&name) {
                continue;
            }
            if let Some(enrolment) = self.method(name)?.enrolment(owner).await? {
                methods.push(name);
                // A name holds no zero byte in any policy that somebody would write.
                hash.update(name);
                hash.update([0]);
                hash.update(enrolment.0);
            }
        }
        Ok(Enrolments { methods, mark: hash.finalize().into() })
    }

    fn method(&self, name: &str) -> Result<&Arc<dyn TwoFactorVerifier>, FactorError> {
        self.methods
            .iter()
            .find(|method| method.method() == name)
            .ok_or_else(|| FactorError::unavailable(format!("there is no method {name}")))
    }

    fn limits(&self) -> [AttemptLimit; 2] {
        let policy = &self.policy;
        [
            AttemptLimit { attempts: policy.attempts, within: Some(policy.attempts_within) },
            AttemptLimit { attempts: policy.attempts_in_all, within: None },
        ]
    }
}

/// What an owner has enrolled, and a mark that is another one once any of it was changed.
struct Enrolments {
    methods: Vec<&'static str>,
    mark: [u8; 32],
}

/// The one counter of an owner's answers.
const ATTEMPTS: &str = "second_factor";

impl<S: Scope> Clone for TwoFactor<S> {
    fn clone(&self) -> Self {
        Self {
            tokens: self.tokens.clone(),
            vault: self.vault.clone(),
            policy: Arc::clone(&self.policy),
            methods: self.methods.clone(),
        }
    }
}

impl<S: Scope> fmt::Debug for TwoFactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|method| method.method()).collect();
        f.debug_struct("TwoFactor").field("methods", &methods).finish_non_exhaustive()
    }
}
