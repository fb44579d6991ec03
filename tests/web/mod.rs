//! A small host for tests of HTTP: a service over a store that can go away, accounts that can go
//! away, and calls without a network.

#[path = "../common/cut.rs"]
mod cut;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use chrono::DateTime;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use keyfob::ports::directory::{Account, AccountKey, Directory, DirectoryError};
use keyfob::testing::{ManualClock, SeededRandomness};
use keyfob::{
    Actor, Builder, By, Format, Grant, IssueRequest, Keyring, Kind, OwnerId, ReadWrite, Rules,
    Scope as _, ScopeName, TokenRecord, Tokens,
};
use tower::ServiceExt as _;

use self::cut::Cut;
use crate::common::Detour;

/// What a host has. `alice` and `bob` may do everything, `reader` may read, `admin` is an
/// administrator.
pub(crate) struct Host {
    pub(crate) tokens: Tokens<ReadWrite>,
    pub(crate) clock: ManualClock,
    pub(crate) store_is_down: Arc<AtomicBool>,
    pub(crate) directory: Arc<Accounts>,
}

impl Host {
    pub(crate) fn new(seed: u64) -> Self {
        let format = Format::new("chatp").unwrap().with("chats", Kind::session()).unwrap();
        let rules = Rules::new(format, Keyring::unkeyed());
        let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let store_is_down = Arc::new(AtomicBool::new(false));
        let store = Detour::new(Cut(Arc::clone(&store_is_down)));
        let tokens = Builder::new(store, rules, clock.clone(), SeededRandomness::new(seed)).build();
        let directory = Arc::new(Accounts { down: AtomicBool::new(false) });
        Self { tokens, clock, store_is_down, directory }
    }

    pub(crate) async fn issue(&self, request: IssueRequest<ReadWrite>) -> (String, TokenRecord) {
        let (secret, row) = self.tokens.issue(request, By::Host(&Actor::host())).await.unwrap();
        (secret.expose_secret().to_owned(), row)
    }

    /// A token that may do whatever its owner may.
    pub(crate) async fn full(&self, owner: &str) -> (String, TokenRecord) {
        self.issue(IssueRequest::new(owner_id(owner), Grant::Full)).await
    }

    /// A session, which issues as its owner does.
    pub(crate) async fn session(&self, owner: &str) -> String {
        let request = IssueRequest::new(owner_id(owner), Grant::Full).of_kind(Kind::session());
        self.issue(request).await.0
    }

    /// A personal token with one scope.
    pub(crate) async fn scoped(&self, owner: &str, scope: ReadWrite) -> (String, TokenRecord) {
        let grant = Grant::only([scope]).unwrap();
        self.issue(IssueRequest::new(owner_id(owner), grant)).await
    }
}

pub(crate) fn owner_id(text: &str) -> OwnerId {
    OwnerId::new(text).unwrap()
}

/// Everything that a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn call(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in &parts.headers {
        headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
    }
    headers.sort();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers, body: String::from_utf8(body.into()).unwrap() }
}

pub(crate) fn request(method: &str, uri: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

/// Accounts that can go away.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) down: AtomicBool,
}

impl Accounts {
    fn up(&self) -> Result<(), DirectoryError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(DirectoryError("the directory is down".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Directory for Accounts {
    async fn account(&self, key: &AccountKey) -> Result<Option<Account>, DirectoryError> {
        self.up()?;
        let AccountKey::Id(id) = key else { return Ok(None) };
        let known = ["alice", "bob", "reader", "admin"].contains(&id.as_str());
        Ok(known.then(|| Account::new(id.clone(), 1, id.as_str(), DateTime::UNIX_EPOCH)))
    }

    async fn rights(&self, account: &Account) -> Result<Grant<ScopeName>, DirectoryError> {
        self.up()?;
        Ok(match account.id.as_str() {
            "reader" => Grant::only([ReadWrite::Read.name()]).unwrap(),
            _ => Grant::Full,
        })
    }

    async fn is_administrator(&self, account: &Account) -> Result<bool, DirectoryError> {
        self.up()?;
        Ok(account.id.as_str() == "admin")
    }
}
