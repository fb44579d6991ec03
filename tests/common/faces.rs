//! The faces over one store in memory, for accounts that are asked for no second factor, and may
//! everything unless a test says otherwise.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use keyfob::core::factor_policy::FactorPolicy;
use keyfob::http::{BearerLayer, ClientAddress, Declared};
use keyfob::ports::directory::{Account, AccountKey, AccountKind, Directory, DirectoryError};
use keyfob::ports::store::{EventQuery, Filter, Query};
use keyfob::service::two_factor::{TwoFactor, Vault};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::two_factor::AeadSealer;
use keyfob::wire::awx::{self, Awx};
use keyfob::wire::mattermost::{self, Mattermost};
use keyfob::wire::native::{self, Native};
use keyfob::wire::rocketchat::{Profile, RocketChat};
use keyfob::wire::zitadel::{self, Zitadel};
use keyfob::{
    Actor, Builder, By, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, Lifetime,
    Minting, OwnerId, Policy, ReadWrite, ScopeName, TokenName, TokenRecord, TokenStore as _,
    Tokens,
};

/// An owner, by an id of the length that Mattermost's wire insists on.
pub(crate) const OWNER: &str = "aliceealiceealiceealiceeal";

pub(crate) struct Host {
    pub(crate) tokens: Tokens<ReadWrite>,
    accounts: Arc<dyn Directory>,
    vault: Vault,
}

/// A face, served.
pub(crate) struct Served {
    pub(crate) declared: Vec<Declared<ReadWrite>>,
    pub(crate) document: String,
    pub(crate) router: Router,
}

/// What came back, as a client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::of(Arc::new(Everybody))
    }

    pub(crate) fn of(accounts: Arc<dyn Directory>) -> Self {
        let store = MemoryStore::default();
        let keyring = Keyring::new(Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap());
        let sealer = AeadSealer::new(&keyring, SeededRandomness::new(1)).unwrap();
        let vault = Vault::new(store.clone(), sealer, store.realm().clone());
        let mut personal = KindPolicy::personal();
        (personal.never_expires, personal.quota, personal.longest_lifetime) = (true, None, None);
        personal.may_bypass_two_factor = true;
        personal.minting = Minting::AsOwner;
        let mut rules = sample::rules();
        rules.keyring = keyring;
        let rules = rules.with_policy(Policy::default().with_kind(Kind::personal(), personal));
        let clock = ManualClock::new(sample::start());
        let tokens = Builder::new(store, rules, clock, SeededRandomness::new(2)).build();
        Self { tokens, accounts, vault }
    }

    fn accounts(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.accounts)
    }

    pub(crate) fn awx(&self) -> Served {
        let needs = awx::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let layer = BearerLayer::new(self.tokens.clone());
        let face = Awx::new(layer, self.accounts(), needs, awx::Settings::default());
        let (declared, document) = (face.declared(), face.openapi());
        Served { declared, document, router: face.into_router() }
    }

    pub(crate) fn native(&self) -> Served {
        let needs = native::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let face = Native::new(self.tokens.clone(), self.accounts(), needs);
        let (declared, document) = (face.routes::<()>().declared(), face.openapi());
        Served { declared, document, router: face.into_router() }
    }

    pub(crate) fn mattermost(&self) -> Served {
        let needs = mattermost::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let settings = mattermost::Settings { enabled: true, maximum_lifetime_days: 0 };
        let layer = BearerLayer::new(self.tokens.clone());
        let face = Mattermost::new(layer, self.accounts(), needs, settings);
        let (declared, document) = (face.declared(), face.openapi());
        Served { declared, document, router: face.into_router() }
    }

    pub(crate) fn rocketchat(&self, profile: Profile) -> Served {
        let mut policy = FactorPolicy::rocketchat();
        policy.asked_for.clear();
        let two_factor = TwoFactor::new(self.tokens.clone(), self.vault.clone(), policy);
        let layer = BearerLayer::new(self.tokens.clone());
        let (reading, managing) = (ReadWrite::Read, ReadWrite::Write);
        let face = RocketChat::new(layer, self.accounts(), two_factor, reading, managing);
        let face = Arc::new(face.profile(profile));
        Served { declared: face.declared(), document: face.openapi(), router: face.router() }
    }

    pub(crate) fn zitadel(&self) -> Served {
        let needs = zitadel::Needs { reading: ReadWrite::Read, managing: ReadWrite::Write };
        let settings = zitadel::Settings { default_limit: 100, max_limit: 1000 };
        let layer = BearerLayer::new(self.tokens.clone());
        let face = Zitadel::new(layer, self.accounts(), needs, settings);
        let (declared, document) = (face.declared(), face.openapi());
        Served { declared, document, router: face.into_router() }
    }

    /// A session of the owner.
    pub(crate) fn session(&self) -> String {
        self.issue(Kind::session(), "").0
    }

    /// A personal token of the owner with this name: its secret and its row.
    pub(crate) fn issue(&self, kind: Kind, name: &str) -> (String, TokenRecord) {
        let request = IssueRequest::new(OwnerId::new(OWNER).unwrap(), Grant::Full);
        let mut request = request.named(TokenName::new(name).unwrap()).of_kind(kind.clone());
        if kind == Kind::personal() {
            request.lifetime = Lifetime::Unlimited;
        }
        let issued = block_on(self.tokens.issue(request, By::Host(&Actor::host())));
        let (secret, row) = issued.unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    /// Every token as it is, and how many events there were.
    pub(crate) fn state(&self) -> (Vec<TokenRecord>, usize) {
        let all = block_on(self.tokens.query(&Query::new(Filter::default(), 1000))).unwrap();
        let events = block_on(self.tokens.events(&EventQuery::after(0, 1000))).unwrap();
        (all.records, events.len())
    }
}

impl Served {
    /// A call by the owner's session, with the headers of all faces.
    pub(crate) fn call(&self, method: &Method, path: &str, session: &str, body: &[u8]) -> Answer {
        self.call_as(OWNER, method, path, session, body)
    }

    /// A call with a token of this account.
    pub(crate) fn call_as(
        &self,
        owner: &str,
        method: &Method,
        path: &str,
        token: &str,
        body: &[u8],
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("x-auth-token", token)
            .header("x-user-id", owner)
            .header("content-type", "application/json")
            .extension(ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .body(Body::from(body.to_vec()))
            .unwrap();
        let answer = block_on(tower::ServiceExt::oneshot(self.router.clone(), request)).unwrap();
        let (parts, body) = answer.into_parts();
        let content_type = parts.headers.get("content-type").map(|text| text.to_str().unwrap());
        Answer {
            status: parts.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: block_on(body.collect()).unwrap().to_bytes(),
        }
    }
}

#[derive(Debug)]
struct Everybody;

#[async_trait]
impl Directory for Everybody {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        let id = match key {
            AccountKey::Id(id) => id.clone(),
            AccountKey::Number(1) => OwnerId::new(OWNER).unwrap(),
            _ => return Ok(None),
        };
        let mut account = Account::new(id.clone(), 1, id.as_str(), sample::start());
        account.roles =
            ["admin", "superuser", "system_admin", "IAM_OWNER"].map(str::to_owned).into();
        account.kind = AccountKind::Machine;
        account.organization = Some("acme".to_owned());
        Ok(Some(account))
    }

    async fn rights(&self, _: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        Ok(Grant::Full)
    }

    async fn is_administrator(&self, _: &Account) -> Result<bool, DirectoryError> {
        Ok(true)
    }
}
