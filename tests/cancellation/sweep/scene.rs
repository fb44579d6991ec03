//! A store with a service on it, tokens in every state, and what can be seen of them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::core::issue::{Caller, issue};
use keyfob::core::owner::OwnerState;
use keyfob::http::{Authenticated, BearerLayer, Evidence};
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::ports::factors::FactorStore;
use keyfob::ports::mailer::{Mail, MailError, Mailer};
use keyfob::ports::store::{Epoch, EventQuery, Filter, Insert, Lookup, Query, StateName};
use keyfob::ports::timer::Timer;
use keyfob::ports::two_factor::{Answer, Enrolment, FactorError, Sent, TwoFactorVerifier};
use keyfob::service::two_factor::error::StepUpError;
use keyfob::service::two_factor::{Ask, FactorsChanged, TwoFactor, Vault};
use keyfob::testing::{ManualClock, SeededRandomness, sample};
use keyfob::two_factor::{AeadSealer, BackupCodes, EmailCode, Totp, TotpSeed};
use keyfob::wire::awx::{self, Awx};
use keyfob::wire::mattermost::{Mattermost, Needs, Settings};
use keyfob::wire::rocketchat::RocketChat;
use keyfob::wire::zitadel::{self, Zitadel};
use keyfob::{
    Access, Actor, Builder, By, Challenge, Event, Grant, IssueRequest, Key, KeyId, Keyring, Kind,
    KindPolicy, Minting, Operation, OwnerId, Policy, ReadWrite, Rotation, ScopeName, Shape, State,
    TokenName, TokenRecord, TokenStore, Tokens, TwoFactorProof, Verified,
};

use super::factors::Factors;
use super::pause;

pub(crate) static ITSELF: Actor = Actor::host();
pub(crate) const HOST: By<'static> = By::Host(&ITSELF);

pub(crate) struct Scene {
    pub(crate) tokens: Tokens<ReadWrite>,
    /// One that may mint, with the two that it has minted: one may only read, one is deactivated.
    pub(crate) parent: TokenRecord,
    pub(crate) child: TokenRecord,
    pub(crate) blocked: TokenRecord,
    /// The evidence for `parent`.
    pub(crate) verified: Verified,
    /// The texts of `parent` and `child`; of one that was not used yet; of one whose digest was
    /// made before there was a key; and of a token of somebody else.
    pub(crate) texts: Texts,
    pub(crate) factors: Factors,
    /// Everybody's second factor is patience; carol has others too, and bob may get them.
    pub(crate) second: Second,
    pub(crate) clock: ManualClock,
    start: Epoch,
}

pub(crate) struct Texts {
    pub(crate) parent: String,
    pub(crate) child: String,
    pub(crate) unused: String,
    pub(crate) unkeyed: String,
    pub(crate) other: String,
}

/// Second factors over the same store.
pub(crate) struct Second {
    pub(crate) two_factor: TwoFactor<ReadWrite>,
    pub(crate) totp: Totp,
    pub(crate) email: EmailCode,
    pub(crate) backup: BackupCodes,
    /// Bob's, whose tokens may be ended for it.
    pub(crate) changed: Mutex<Option<FactorsChanged<()>>>,
}

impl Second {
    async fn new<S: TokenStore + FactorStore + Clone>(
        store: S,
        tokens: &Tokens<ReadWrite>,
    ) -> Self {
        let mut random = (10..).map(SeededRandomness::new);
        let mut random = || random.next().unwrap();
        let realm = store.realm().clone();
        let sealer = AeadSealer::new(&tokens.rules().keyring, random()).unwrap();
        let vault = Vault::new(store, sealer, realm);
        let mut policy = FactorPolicy::default();
        (policy.tiers, policy.fallback) = (vec![vec![PATIENCE]], Vec::new());
        let two_factor = TwoFactor::new(tokens.clone(), vault.clone(), policy).with(Pausing);
        let totp = Totp::new(vault.clone(), random());
        let email = EmailCode::new(vault.clone(), Arc::new(Pausing), Arc::new(Pausing), random());
        totp.import(&carol(), TotpSeed::from_base32("JBSWY3DPEHPK3PXP").unwrap()).await.unwrap();
        email.import(&carol()).await.unwrap();
        let changed = two_factor.reset(&bob(), None, HOST).await.unwrap();
        let changed = Mutex::new(Some(changed));
        Self { changed, two_factor, totp, email, backup: BackupCodes::new(vault, random()) }
    }

    /// The proof of the host for a change of this owner's factors.
    pub(crate) async fn proof_of(
        &self,
        owner: &OwnerId,
        change: &str,
    ) -> Result<TwoFactorProof, StepUpError> {
        let (answer, parameters) = (Answer::new("1"), format!("{change} {owner}"));
        let ask = Ask::of(owner, Operation::ChangeFactors, parameters.as_bytes());
        self.two_factor.demand(&ask.answered(&answer)).await
    }
}

/// All that a store shows of a scene.
#[derive(Debug, PartialEq)]
pub(crate) struct Remains(Vec<String>);

impl Scene {
    /// The same for every store, ids and secrets included.
    pub(crate) async fn new<S: TokenStore + FactorStore + Clone>(store: S) -> Self {
        let factors = Factors::new(Arc::new(store.clone())).await;
        let start = store.invalidations(Epoch(0)).await.unwrap().epoch;
        let mut personal = KindPolicy::personal();
        personal.minting = Minting::Within;
        personal.quota = None;
        let policy = Policy::default().with_kind(Kind::personal(), personal);
        let mut rules = sample::rules().with_policy(policy).in_realm(store.realm().clone());
        rules.format = rules.format.reading(Shape::MATTERMOST);
        let (caller, owner) = (Caller::Host(&ITSELF), OwnerState::unheard_of());
        let now = store.invalidations(start).await.unwrap().now.unwrap_or(sample::start());
        let mut rng = SeededRandomness::new(1);
        let unkeyed = issue(request(&alice()), caller, &owner, &rules, now, &mut rng).unwrap();
        store.insert(Insert::new(unkeyed.record, unkeyed.event)).await.unwrap();

        let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
        rules.keyring = Keyring::new(key).with_previous_unkeyed();
        let clock = ManualClock::new(sample::start());
        let tokens: Tokens<ReadWrite> =
            Builder::new(store.clone(), rules, clock.clone(), SeededRandomness::new(2)).build();
        let second = Second::new(store, &tokens).await;
        let (parent_text, parent) =
            tokens.issue(request(&alice()).expires_in(TimeDelta::days(4)), HOST).await.unwrap();
        let parent_text = parent_text.expose_secret().to_owned();
        let verified = tokens.authenticate(&parent_text, &Access::any()).await.unwrap();
        let mut reading = request(&alice());
        reading.grant = Grant::only([ReadWrite::Read]).unwrap();
        let (child_text, child) = tokens.issue(reading, By::token(&verified)).await.unwrap();
        let (_, blocked) = tokens.issue(request(&alice()), By::token(&verified)).await.unwrap();
        let blocked = tokens.deactivate(blocked.id, HOST, None).await.unwrap();
        let (unused, _) = tokens.issue(request(&alice()), HOST).await.unwrap();
        let (other, _) = tokens.issue(request(&bob()), HOST).await.unwrap();
        tokens.deactivate_owner(&carol(), HOST, None).await.unwrap();
        let texts = Texts {
            parent: parent_text,
            child: child_text.expose_secret().to_owned(),
            unused: unused.expose_secret().to_owned(),
            unkeyed: unkeyed.secret.expose_secret().to_owned(),
            other: other.expose_secret().to_owned(),
        };
        for text in [&texts.child, &texts.other] {
            let _ = tokens.authenticate(text, &Access::any()).await.unwrap();
        }
        Self { tokens, parent, child, blocked, verified, texts, factors, second, clock, start }
    }

    pub(crate) fn store(&self) -> &Arc<dyn TokenStore> {
        self.tokens.store()
    }

    pub(crate) fn layer(&self) -> BearerLayer<ReadWrite> {
        BearerLayer::new(self.tokens.clone()).with_directory(Arc::new(Pausing))
    }

    pub(crate) fn awx(&self) -> Awx<ReadWrite> {
        let needs = awx::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        Awx::new(self.layer(), Arc::new(Pausing), needs, awx::Settings::default())
    }

    pub(crate) fn mattermost(&self) -> Mattermost<ReadWrite> {
        let needs = Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let settings = Settings { enabled: true, maximum_lifetime_days: 0 };
        Mattermost::new(self.layer(), Arc::new(Pausing), needs, settings)
    }

    pub(crate) fn rocketchat(&self) -> RocketChat<ReadWrite> {
        let (reading, managing) = (ReadWrite::Read, ReadWrite::Write);
        let two_factor = self.second.two_factor.clone();
        RocketChat::new(self.layer(), Arc::new(Pausing), two_factor, reading, managing)
    }

    pub(crate) fn zitadel(&self) -> Zitadel<ReadWrite> {
        let needs = zitadel::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let settings = zitadel::Settings { default_limit: 100, max_limit: 1000 };
        Zitadel::new(self.layer(), Arc::new(Pausing), needs, settings)
    }

    /// Alice's, who looks into another organization.
    pub(crate) fn bearer(&self) -> http::request::Parts {
        let request = http::Request::builder()
            .header("authorization", format!("Bearer {}", self.texts.unused))
            .header("x-zitadel-orgid", "another");
        request.body(()).unwrap().into_parts().0
    }

    /// Alice's, with her answer.
    pub(crate) fn headers(&self) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-auth-token", self.texts.parent.parse().unwrap());
        headers.insert("x-user-id", alice().as_str().parse().unwrap());
        headers.insert("x-2fa-code", "1".parse().unwrap());
        headers
    }

    pub(crate) fn evidence(&self) -> Evidence<ReadWrite> {
        self.layer().evidence(self.verified)
    }

    pub(crate) async fn authenticated(&self) -> Authenticated<ReadWrite> {
        use axum::extract::FromRequestParts as _;
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.extensions.insert(self.evidence());
        Authenticated::from_request_parts(&mut parts, &()).await.unwrap()
    }

    /// Everything as of one epoch, so that a change that is still under way is seen as made or
    /// not made.
    pub(crate) async fn remains(&self) -> Result<Remains, String> {
        loop {
            let before = self.epoch().await?;
            let seen = self.seen(before).await?;
            if self.epoch().await? == before {
                return Ok(seen);
            }
        }
    }

    async fn seen(&self, epoch: Epoch) -> Result<Remains, String> {
        let store = self.store();
        let all = Query::new(Filter::default(), Query::LARGEST_PAGE);
        let rows = store.query(&all).await.map_err(|error| error.to_string())?.records;
        let mut seen: Vec<_> = rows.iter().map(shown).collect();
        for owner in [alice(), bob(), carol()] {
            let state = store.owner(&owner).await.map_err(|error| error.to_string())?;
            let OwnerState { standing, generation, sequence, .. } = state;
            seen.push(format!("{owner}: {standing:?} {generation} {sequence}"));
        }
        let all = EventQuery::after(0, Query::LARGEST_PAGE);
        let events = store.events(&all).await.map_err(|error| error.to_string())?;
        seen.extend(events.iter().map(|stored| {
            let Event { kind, token, owner, by, why, .. } = &stored.event;
            format!("{kind:?} {token:?} {owner:?} {by:?} {why:?}")
        }));
        seen.push(format!("{} epochs", epoch.0 - self.start.0));
        seen.extend(self.factors.seen().await.map_err(|error| error.to_string())?);
        Ok(Remains(seen))
    }

    async fn epoch(&self) -> Result<Epoch, String> {
        let answer = self.store().invalidations(self.start).await;
        answer.map(|answer| answer.epoch).map_err(|error| error.to_string())
    }

    /// Whether the service says of every token what the store does, once its bound is over.
    pub(crate) async fn index_agrees(&self) -> Result<(), String> {
        let Texts { parent, child, unused, unkeyed, other } = &self.texts;
        for text in [parent, child, unused, unkeyed, other] {
            loop {
                let before = self.strict(text).await;
                self.clock.advance(TimeDelta::seconds(2));
                let verdict = self.tokens.authenticate(text, &Access::any()).await;
                let verdict = verdict.map(drop).map_err(|error| error.code());
                // A change that was under way may have been made in between.
                if self.strict(text).await != before {
                    continue;
                }
                if verdict != before {
                    return Err(format!("the index says {verdict:?}, the store {before:?}"));
                }
                break;
            }
            let id = self.tokens.rules().format.parse(text.as_bytes()).unwrap().id().unwrap();
            let found = self.store().find(&Lookup::Id(id)).await.map_err(|e| e.to_string())?;
            let is_revoked = found.is_some_and(|f| matches!(f.record.state, State::Revoked(_)));
            if is_revoked && self.strict(text).await.is_ok() {
                return Err(format!("{id} is revoked, and accepted"));
            }
        }
        Ok(())
    }

    async fn strict(&self, text: &str) -> Result<(), &'static str> {
        let verdict = self.tokens.authenticate_strict(text, &Access::any()).await;
        verdict.map(drop).map_err(|error| error.code())
    }

    /// A hundred operations of somebody else.
    pub(crate) async fn next_hundred(&self) -> Result<(), String> {
        for _ in 0..10 {
            self.next_ten().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn next_ten(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (tokens, dave) = (&self.tokens, OwnerId::new("dave")?);
        let (secret, row) = tokens.issue(request(&dave), HOST).await?;
        let _ = tokens.authenticate(secret.expose_secret(), &Access::any()).await?;
        tokens.edit(row.id, Some(TokenName::new("renamed")?), None, HOST).await?;
        tokens.deactivate(row.id, HOST, None).await?;
        tokens.reactivate(row.id, HOST).await?;
        let (secret, _) = tokens.rotate(row.id, Rotation::at_once(), HOST).await?;
        let _ = tokens.authenticate_strict(secret.expose_secret(), &Access::any()).await?;
        tokens.query(&Query::new(Filter::of_owner(dave.clone()), 10)).await?;
        tokens.owner_state(&dave).await?;
        tokens.revoke(row.id, HOST, None).await?;
        Ok(())
    }
}

/// What is the same in every realm and at any time: not the number, nor what ties a row to its
/// realm, nor when something was, which a store with a clock of its own decides; nor how often, since
/// uses that were being written down when their writer was dropped are written again.
fn shown(row: &TokenRecord) -> String {
    let TokenRecord { id, owner, owner_generation, name, note, grant, created_at, .. } = row;
    let TokenRecord { changed_sequence, generation, usage, version, .. } = row;
    let state = match &row.state {
        State::Deactivated(end) | State::Revoked(end) => Some((&end.by, &end.why)),
        _ => None,
    };
    let state = (StateName::of(row), state);
    let lifetime = row.validity.expires_at.at().map(|at| at - created_at);
    let digest = (row.digest.digest.as_bytes(), row.previous.is_some());
    format!(
        "{id} {owner} {owner_generation} {name} {note} {grant:?} {state:?} {lifetime:?} \
         {changed_sequence} {generation} {} {version} {digest:?}",
        usage.count > 0
    )
}

pub(crate) fn request(owner: &OwnerId) -> IssueRequest<ReadWrite> {
    let request = IssueRequest::new(owner.clone(), Grant::Full);
    request.named(TokenName::new("backup").unwrap()).expires_in(TimeDelta::days(3))
}

pub(crate) fn alice() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

pub(crate) fn bob() -> OwnerId {
    OwnerId::new("bob").unwrap()
}

/// She is deactivated.
pub(crate) fn carol() -> OwnerId {
    OwnerId::new("carol").unwrap()
}

/// A host's own parts, each of which lets its caller wait.
#[derive(Debug)]
pub(crate) struct Pausing;

#[async_trait]
impl Timer for Pausing {
    async fn wait(&self, _duration: std::time::Duration) {
        pause().await;
    }
}

#[async_trait]
impl TwoFactorVerifier for Pausing {
    fn method(&self) -> &'static str {
        PATIENCE
    }

    fn resembles(&self, _answer: &Answer) -> bool {
        true
    }

    async fn enrolment(&self, _owner: &OwnerId) -> Result<Option<Enrolment>, FactorError> {
        pause().await;
        Ok(Some(Enrolment([1; 16])))
    }

    async fn prepare(
        &self,
        _challenge: &Challenge,
        _now: DateTime<Utc>,
    ) -> Result<Option<Sent>, FactorError> {
        Ok(None)
    }

    async fn check(
        &self,
        _challenge: &Challenge,
        _answer: &Answer,
        _now: DateTime<Utc>,
    ) -> Result<(), FactorError> {
        pause().await;
        Ok(())
    }

    async fn forget(&self, _owner: &OwnerId) -> Result<(), FactorError> {
        pause().await;
        Ok(())
    }
}

#[async_trait]
impl Mailer for Pausing {
    async fn send(&self, _mail: &Mail) -> Result<(), MailError> {
        pause().await;
        Ok(())
    }
}

const PATIENCE: &str = "patience";

#[async_trait]
impl Directory for Pausing {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        pause().await;
        Ok(match key {
            AccountKey::Id(id) => {
                let mut account = Account::new(id.clone(), 1, id.as_str(), sample::start());
                account.email = Some(("somebody@acme.example".to_owned(), true));
                account.roles = vec!["IAM_OWNER".to_owned()];
                Some(account)
            }
            _ => None,
        })
    }

    async fn rights(&self, _account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        pause().await;
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _account: &Account) -> Result<bool, DirectoryError> {
        Ok(false)
    }

    async fn members(&self, _organization: &str) -> Result<Option<Vec<OwnerId>>, DirectoryError> {
        pause().await;
        Ok(Some(Vec::new()))
    }
}
