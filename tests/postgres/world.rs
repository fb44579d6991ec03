//! A service over the store, and what tests ask of it again and again.

use std::time::{Duration, Instant};

use keyfob::ports::store::{Filter, Query};
use keyfob::service::error::{ChangeFailure, IssueFailure};
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::{
    Access, Actor, AuthenticateError, By, Format, Grant, IdempotencyKey, IssueRequest, Key, KeyId,
    Keyring, OwnerId, ReadWrite, RealmId, Rules, StoreError, TokenId, Tokens,
};

use super::RUNTIME;
use super::cluster::{Cluster, ask};

/// A store whose connections are all its own, and a service over it.
pub(crate) struct World {
    pub(crate) store: PostgresStore,
    pub(crate) tokens: Tokens<ReadWrite>,
}

/// What became of a change, as its caller hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard<T> {
    Done(T),
    /// Nothing was made.
    Unavailable(String),
    Indeterminate,
}

impl<T> Heard<T> {
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl World {
    pub(crate) fn new(options: PostgresOptions) -> Self {
        let store = RUNTIME.block_on(super::connect(options));
        Self { tokens: service(store.clone()), store }
    }

    /// At a database, given up on after so many milliseconds.
    pub(crate) fn at(url: &str, patience: u64) -> Self {
        Self::new(options(url).patience(Duration::from_millis(patience)))
    }

    /// A token of this owner with its text, where nothing is wrong.
    #[track_caller]
    pub(crate) fn token(&self, owner: &str) -> (String, TokenId) {
        let issued = RUNTIME.block_on(self.tokens.issue(request(owner), By::Host(&Actor::host())));
        let (secret, row) = issued.unwrap();
        (secret.expose_secret().to_owned(), row.id)
    }

    /// Issues with an idempotency key. Any other refusal than the two is a wrong verdict.
    pub(crate) async fn issue(&self, owner: &str, key: &str) -> Heard<Issued> {
        let mut request = request(owner);
        request.idempotency_key = Some(IdempotencyKey::new(key).unwrap());
        match self.tokens.issue(request, By::Host(&Actor::host())).await {
            Ok((secret, row)) => {
                Heard::Done(Issued::Now(secret.expose_secret().to_owned(), row.id))
            }
            Err(IssueFailure::AlreadyIssued(id)) => Heard::Done(Issued::Before(id)),
            Err(IssueFailure::Unavailable(error)) => unmade(error),
            Err(wrong) => panic!("{wrong:?}"),
        }
    }

    pub(crate) async fn revoke(&self, id: TokenId) -> Heard<()> {
        heard(self.tokens.revoke(id, By::Host(&Actor::host()), None).await)
    }

    /// What the store says of a text: accepted, refused, or that it cannot be asked.
    pub(crate) async fn strictly(&self, text: &str) -> Result<bool, String> {
        judged(self.tokens.authenticate_strict(text, &Access::any()).await)
    }

    /// The same, from the index where the token is there.
    pub(crate) async fn verdict(&self, text: &str) -> Result<bool, String> {
        judged(self.tokens.authenticate(text, &Access::any()).await)
    }

    /// Puts a token into the index.
    #[track_caller]
    pub(crate) fn warm(&self, text: &str) {
        assert_eq!(RUNTIME.block_on(self.verdict(text)), Ok(true));
        assert!(self.tokens.authenticate_now(text, &Access::any()).is_some());
    }

    /// How long it takes until a look-up, a list and a change all succeed, one after the other.
    #[track_caller]
    pub(crate) fn is_well_again(&self) -> Duration {
        let owner = OwnerId::new("well").unwrap();
        let since = Instant::now();
        let all = async || {
            let query = Query::new(Filter::default(), 1);
            self.tokens.owner_state(&owner).await.is_ok()
                && self.tokens.query(&query).await.is_ok()
                && self.tokens.issue(request("well"), By::Host(&Actor::host())).await.is_ok()
        };
        RUNTIME.block_on(async {
            while !all().await {
                assert!(since.elapsed() < RETURN, "not back after {:?}", since.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let took = since.elapsed();
        assert!(took < RETURN, "back after {took:?}");
        took
    }
}

/// A token that was issued, by this request or by an earlier one with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Issued {
    Now(String, TokenId),
    Before(TokenId),
}

/// After the server's return everything works again within this.
pub(crate) const RETURN: Duration = Duration::from_secs(2);

pub(crate) fn options(url: &str) -> PostgresOptions {
    PostgresOptions::from_url(url).unwrap()
}

pub(crate) fn rules() -> Rules {
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    Rules::new(Format::new("acme").unwrap(), Keyring::new(key))
}

pub(crate) fn service(store: PostgresStore) -> Tokens<ReadWrite> {
    Tokens::new(store, rules())
}

pub(crate) fn request(owner: &str) -> IssueRequest<ReadWrite> {
    IssueRequest::new(OwnerId::new(owner).unwrap(), Grant::Full)
}

/// What a store's change came to.
pub(crate) fn heard_of_store<T>(outcome: Result<T, StoreError>) -> Heard<T> {
    outcome.map_or_else(unmade, Heard::Done)
}

fn heard<T>(outcome: Result<T, ChangeFailure>) -> Heard<()> {
    match outcome {
        Ok(_) => Heard::Done(()),
        Err(ChangeFailure::Unavailable(error)) => unmade(error),
        Err(wrong) => panic!("{wrong:?}"),
    }
}

fn unmade<T>(error: StoreError) -> Heard<T> {
    match error {
        StoreError::Unavailable(_) => Heard::Unavailable(reasons(&error)),
        StoreError::Indeterminate(_) => Heard::Indeterminate,
        wrong => panic!("{wrong:?}"),
    }
}

fn judged<T>(verdict: Result<T, AuthenticateError>) -> Result<bool, String> {
    match verdict {
        Ok(_) => Ok(true),
        Err(AuthenticateError::Refused(_)) => Ok(false),
        Err(AuthenticateError::Unavailable(error @ StoreError::Unavailable(_))) => {
            Err(reasons(&error))
        }
        Err(wrong) => panic!("{wrong:?}"),
    }
}

/// Why a store could not be opened.
#[track_caller]
pub(crate) fn refusal(options: PostgresOptions) -> String {
    let refused = RUNTIME.block_on(PostgresStore::connect(options, RealmId::default()));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    reasons(&refused)
}

/// An error with all that is behind it, as an operator reads it.
pub(crate) fn reasons(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        all = format!("{all}: {error}");
        next = error.source();
    }
    all
}

/// How many rows a statement answers with, asked from outside.
#[track_caller]
pub(crate) fn count(url: &str, sql: &str) -> usize {
    ask(url, sql).unwrap().len()
}

/// Nobody may hold locks while it waits for a client.
#[track_caller]
pub(crate) fn no_transaction_is_left_open(cluster: &Cluster, database: &str) {
    let open = cluster.admin(&format!(
        "SELECT pid, query FROM pg_stat_activity
         WHERE datname = '{database}' AND state LIKE 'idle in transaction%'"
    ));
    assert!(open.is_empty(), "{open:?}");
}
