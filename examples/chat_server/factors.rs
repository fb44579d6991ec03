//! The second factors of this host: who has which, and what each face asks for.

use std::sync::Arc;

use async_trait::async_trait;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::os::SystemEntropy;
use keyfob::ports::directory::Directory;
use keyfob::ports::mailer::Mailer;
use keyfob::ports::passwords::Passwords as PasswordsPort;
use keyfob::ports::store::BoxError;
use keyfob::ports::two_factor::{Answer, Enrolment, FactorError, Sent};
use keyfob::service::two_factor::{TwoFactor, Vault};
use keyfob::two_factor::{BackupCodes, CodeShape, EmailCode, Imported, Password, Totp, Window};
use keyfob::{OwnerId, ReadWrite, Tokens};

use crate::accounts::Accounts;
use crate::mail::Post;
use crate::passwords::{PasswordText, Passwords};

/// One façade for each way of asking. They count the same attempts and use up the same codes.
#[derive(Debug)]
pub(crate) struct Factors {
    pub(crate) native: TwoFactor<ReadWrite>,
    pub(crate) rocketchat: TwoFactor<ReadWrite>,
    totp: Arc<Totp>,
    email: Arc<EmailCode>,
    rocketchat_email: Arc<EmailCode>,
}

impl Factors {
    pub(crate) fn new(
        tokens: &Tokens<ReadWrite>,
        vault: &Vault,
        accounts: &Arc<Accounts>,
        passwords: &Arc<Passwords>,
        post: Post,
    ) -> Self {
        let random = SystemEntropy::new();
        let mailer: Arc<dyn Mailer> = Arc::new(post);
        let email = || {
            let directory: Arc<dyn Directory> = Arc::<Accounts>::clone(accounts);
            EmailCode::new(vault.clone(), Arc::clone(&mailer), directory, random).host("the chat")
        };
        let password = |form| {
            let (accounts, passwords) = (Arc::clone(accounts), Arc::clone(passwords));
            Password::new(Checked { accounts, passwords, form })
        };
        let totp = Arc::new(Totp::new(vault.clone(), random).issuer("chat"));
        let native_email = Arc::new(email());
        let native = TwoFactor::new(tokens.clone(), vault.clone(), FactorPolicy::default())
            .with_shared(Arc::<Totp>::clone(&totp))
            .with_shared(Arc::<EmailCode>::clone(&native_email))
            .with(BackupCodes::new(vault.clone(), random))
            .with(password(Form::Text));
        let settings = accounts.settings();
        let (lives_for, attempts) = settings.rocketchat_codes();
        let codes = email().only_with_address().shape(CodeShape::SixDigits);
        let rocketchat_email = Arc::new(codes.lives_for(lives_for).most_attempts(attempts));
        let rocketchat =
            TwoFactor::new(tokens.clone(), vault.clone(), settings.rocketchat_factors())
                .with(Totp::new(vault.clone(), random).window(Window::lenient()))
                .with_shared(Arc::<EmailCode>::clone(&rocketchat_email))
                .with(BackupCodes::new(vault.clone(), random))
                .with(password(Form::Sha256Hex));
        Self { native, rocketchat, totp, email: native_email, rocketchat_email }
    }

    /// Sends another code, as Rocket.Chat's clients ask for it without saying what for.
    pub(crate) async fn send_again(&self, owner: &OwnerId) -> Result<Sent, FactorError> {
        self.rocketchat_email.send_again(&self.rocketchat, owner).await
    }

    /// Gives each account the factors that the file says it has. What the store knows already, it
    /// knows better.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(crate) async fn seed(&self, accounts: &Accounts) -> Result<(), String> {
        for entry in accounts.all() {
            let id = &entry.account.id;
            let mut differs = false;
            if let Some(seed) = entry.two_factor.seed() {
                let imported = self.totp.import(id, seed).await;
                differs |= imported.map_err(|error| error.to_string())? == Imported::Differs;
            }
            if entry.two_factor.email {
                let imported = self.email.import(id).await;
                differs |= imported.map_err(|error| error.to_string())? == Imported::Differs;
            }
            if differs {
                tracing::warn!(
                    owner = %id,
                    "the store knows which second factors an account has, and the file says otherwise",
                );
            }
        }
        Ok(())
    }
}

/// The accounts' passwords, as one face sends them.
#[derive(Debug)]
struct Checked {
    accounts: Arc<Accounts>,
    passwords: Arc<Passwords>,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// As its owner types it.
    Text,
    /// SHA-256 in hexadecimal, in letters of any case.
    Sha256Hex,
}

#[async_trait]
impl PasswordsPort for Checked {
    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, BoxError> {
        let entry = self.accounts.of(owner);
        let Some(password) = entry.and_then(|entry| entry.password.as_ref()) else {
            return Ok(None);
        };
        Ok(Some(Enrolment(self.passwords.mark(password).await?)))
    }

    async fn is_right(&self, owner: &OwnerId, answer: &Answer) -> Result<bool, BoxError> {
        let entry = self.accounts.of(owner);
        let password = entry.and_then(|entry| entry.password.as_ref());
        let offered = match self.form {
            Form::Text => PasswordText::from(answer.expose_secret().to_owned()).sha256_hex(),
            Form::Sha256Hex => answer.expose_secret().to_ascii_lowercase().into(),
        };
        Ok(self.passwords.check(password, offered).await?)
    }
}
