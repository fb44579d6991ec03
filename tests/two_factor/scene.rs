//! A host with accounts, mail and passwords, its clock in the test's hand.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use keyfob::core::factor::Grounds;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::ports::factors::FactorStore;
use keyfob::ports::mailer::{Mail, MailError, Mailer};
use keyfob::ports::passwords::Passwords;
use keyfob::ports::store::BoxError;
use keyfob::ports::two_factor::{Answer, Enrolment};
use keyfob::service::two_factor::error::StepUpError;
use keyfob::service::two_factor::{Ask, TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, RecordingSink, SeededRandomness, block_on, sample};
use keyfob::two_factor::otp::{hotp, step};
use keyfob::two_factor::{
    AeadSealer, Algorithm, BackupCodes, Digits, EmailCode, Imported, Password, Totp, TotpSeed,
};
use keyfob::{
    Access, Actor, Builder, By, EventKind, Grant, IssueRequest, Key, KeyId, Keyring, Kind,
    KindPolicy, Operation, OwnerId, Policy, ReadWrite, ScopeName, TokenStore, Tokens, Verified,
};

pub(crate) static ITSELF: Actor = Actor::host();
pub(crate) const HOST: By<'static> = By::Host(&ITSELF);

pub(crate) const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// What alice, bob and carol are asked with.
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) heard: RecordingSink,
    pub(crate) host: Host,
    pub(crate) vault: Vault,
    pub(crate) tokens: Tokens<ReadWrite>,
    pub(crate) totp: Arc<Totp>,
    pub(crate) email: Arc<EmailCode>,
    pub(crate) backup: Arc<BackupCodes>,
    pub(crate) two_factor: TwoFactor<ReadWrite>,
}

impl Scene {
    pub(crate) fn new(policy: FactorPolicy) -> Self {
        Self::on(MemoryStore::default(), ManualClock::new(sample::start()), policy, 1)
    }

    /// A node of its own on a store that others may use too.
    pub(crate) fn on<S: TokenStore + FactorStore + Clone>(
        store: S,
        clock: ManualClock,
        policy: FactorPolicy,
        seed: u64,
    ) -> Self {
        Self::under(&keyring(), store, clock, policy, seed)
    }

    /// The same, with other keys.
    pub(crate) fn under<S: TokenStore + FactorStore + Clone>(
        keyring: &Keyring,
        store: S,
        clock: ManualClock,
        policy: FactorPolicy,
        seed: u64,
    ) -> Self {
        let (heard, host) = (RecordingSink::new(), Host::default());
        let random = |by: u64| SeededRandomness::new(seed * 100 + by);
        let sealer = AeadSealer::new(keyring, random(1)).unwrap();
        let vault = Vault::new(store.clone(), sealer, store.realm().clone());
        let mut personal = KindPolicy::personal();
        personal.may_bypass_two_factor = true;
        personal.second_factor = true;
        let mut rules = sample::rules();
        rules.keyring = keyring.clone();
        let rules = rules.with_policy(Policy::default().with_kind(Kind::personal(), personal));
        let tokens: Tokens<ReadWrite> =
            Builder::new(store, rules, clock.clone(), random(2)).audit(heard.clone()).build();
        let totp = Arc::new(Totp::new(vault.clone(), random(3)).issuer("Acme"));
        let parts: (Arc<dyn Mailer>, Arc<dyn Directory>) =
            (Arc::new(host.clone()), Arc::new(host.clone()));
        let email = Arc::new(EmailCode::new(vault.clone(), parts.0, parts.1, random(4)));
        let backup = Arc::new(BackupCodes::new(vault.clone(), random(5)));
        let two_factor = TwoFactor::new(tokens.clone(), vault.clone(), policy)
            .with_shared(totp.clone())
            .with_shared(email.clone())
            .with_shared(backup.clone())
            .with(Password::new(host.clone()));
        Self { clock, heard, host, vault, tokens, totp, email, backup, two_factor }
    }

    pub(crate) fn with_totp(self, owner: &OwnerId) -> Self {
        let seed = TotpSeed::from_base32(SEED).unwrap();
        assert_eq!(block_on(self.totp.import(owner, seed)).unwrap(), Imported::Given);
        self
    }

    pub(crate) fn with_email(self, owner: &OwnerId) -> Self {
        assert_eq!(block_on(self.email.import(owner)).unwrap(), Imported::Given);
        self
    }

    /// The code of so many steps from now.
    pub(crate) fn code(&self, by: i64) -> Answer {
        code_at(self.tokens.now(), by)
    }

    /// A session, as evidence.
    pub(crate) fn session(&self, owner: &OwnerId) -> Verified {
        let request = IssueRequest::new(owner.clone(), Grant::Full).of_kind(Kind::session());
        let (secret, _) = block_on(self.tokens.issue(request, HOST)).unwrap();
        block_on(self.tokens.authenticate(secret.expose_secret(), &Access::any())).unwrap()
    }

    pub(crate) fn demand(&self, ask: &Ask<'_>) -> Result<Grounds, StepUpError> {
        block_on(self.two_factor.demand(ask)).map(|proof| proof.grounds().clone())
    }

    /// What signing in with this answer comes to.
    pub(crate) fn sign_in(
        &self,
        owner: &OwnerId,
        answer: &Answer,
    ) -> Result<Grounds, &'static str> {
        let ask = Ask::of(owner, Operation::SignIn, b"").answered(answer);
        self.demand(&ask).map_err(|error| error.code())
    }

    pub(crate) fn told(&self, kind: EventKind) -> usize {
        self.heard.events().iter().filter(|event| event.kind == kind).count()
    }
}

pub(crate) fn keyring() -> Keyring {
    Keyring::new(Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap())
}

pub(crate) fn code_at(now: DateTime<Utc>, by: i64) -> Answer {
    let seed = data_encoding::BASE32_NOPAD.decode(SEED.as_bytes()).unwrap();
    let step = step(now.timestamp()).saturating_add_signed(by);
    Answer::new(format!("{:06}", hotp(&seed, step, Algorithm::Sha1, Digits::Six)))
}

pub(crate) fn answered(method: &str) -> Grounds {
    Grounds::Answered(method.into())
}

pub(crate) fn alice() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

pub(crate) fn bob() -> OwnerId {
    OwnerId::new("bob").unwrap()
}

/// Everybody has the password `NAME-password` and the verified address `NAME@acme.example`, but
/// carol, who has neither, and dora, whose address is not verified.
#[derive(Clone, Debug, Default)]
pub(crate) struct Host {
    mails: Arc<Mutex<Vec<(String, String)>>>,
    pub(crate) is_away: Arc<Mutex<bool>>,
    pub(crate) mail_is_down: Arc<Mutex<bool>>,
    pub(crate) mail_hangs: Arc<Mutex<bool>>,
    /// How often, so to say.
    pub(crate) passwords_changed: Arc<Mutex<u8>>,
}

impl Host {
    pub(crate) fn mails(&self) -> Vec<(String, String)> {
        self.mails.lock().unwrap().clone()
    }

    /// The code in the last mail, as it stands there.
    pub(crate) fn last_code(&self) -> String {
        let mails = self.mails();
        let (_, text) = mails.last().unwrap();
        text.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned()
    }

    fn is_there(&self) -> Result<(), BoxError> {
        if *self.is_away.lock().unwrap() { Err("the host is away".into()) } else { Ok(()) }
    }
}

#[async_trait]
impl Directory for Host {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        self.is_there().map_err(DirectoryError)?;
        let AccountKey::Id(id) = key else { return Ok(None) };
        let mut account = Account::new(id.clone(), 1, id.as_str(), sample::start());
        account.email = match id.as_str() {
            "carol" => None,
            name => Some((format!("{name}@acme.example"), name != "dora")),
        };
        Ok(Some(account))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }
}

#[async_trait]
impl Mailer for Host {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let hangs = *self.mail_hangs.lock().unwrap();
        if hangs {
            std::future::pending::<()>().await;
        }
        if *self.mail_is_down.lock().unwrap() {
            return Err(MailError("there is no way out".into()));
        }
        self.mails.lock().unwrap().push((mail.to.clone(), mail.text.to_string()));
        Ok(())
    }
}

#[async_trait]
impl Passwords for Host {
    async fn enrolment(&self, owner: &OwnerId) -> Result<Option<Enrolment>, BoxError> {
        self.is_there()?;
        let changed = *self.passwords_changed.lock().unwrap();
        Ok((owner.as_str() != "carol").then_some(Enrolment([changed; 16])))
    }

    async fn is_right(&self, owner: &OwnerId, answer: &Answer) -> Result<bool, BoxError> {
        self.is_there()?;
        Ok(answer.expose_secret() == format!("{owner}-password"))
    }
}

pub(crate) fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}
