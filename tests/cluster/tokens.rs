//! The tokens that all nodes know of, and what is done with which.

use std::fs;
use std::path::Path;

use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::sample;
use keyfob::{
    Actor, Builder, By, Grant, IssueRequest, OwnerId, ReadWrite, RealmId, Rules, TokenId, Tokens,
};

use crate::history::{Act, NEVER, Operation, Outcome};
use crate::nodes::BOUND;
use crate::record::now;

/// Of each hundred tokens the last ones are never revoked: these are switched off and on, and the
/// owners of those are.
pub(crate) const REVOKED: std::ops::Range<u32> = 0..96;
pub(crate) const SWITCHED: std::ops::Range<u32> = 96..98;
pub(crate) const OWNED: std::ops::Range<u32> = 98..100;

static HOST: Actor = Actor::host();
pub(crate) const BY: By<'static> = By::Host(&HOST);

pub(crate) fn is_in(number: u32, part: &std::ops::Range<u32>) -> bool {
    part.contains(&(number % 100))
}

/// An owner for each token: what is done to one concerns no other.
pub(crate) fn owner(number: u32) -> OwnerId {
    OwnerId::new(format!("owner-{number}")).unwrap()
}

pub(crate) struct Known {
    pub(crate) text: String,
    pub(crate) id: TokenId,
}

/// A service on the store of this URL.
pub(crate) async fn service(url: &str) -> Tokens<ReadWrite> {
    let mut rules: Rules = sample::rules();
    rules.policy = rules.policy.clone();
    let realm = RealmId::default();
    let builder = match url.strip_prefix("sqlite:") {
        Some(path) => Builder::system(SqliteStore::open(path, realm).unwrap(), rules),
        None => {
            let options = PostgresOptions::from_url(url).unwrap();
            // A node may be started while its way is cut.
            let store = loop {
                match PostgresStore::connect(options.clone(), realm.clone()).await {
                    Ok(store) => break store,
                    Err(_) => tokio::time::sleep(BOUND / 10).await,
                }
            };
            Builder::system(store, rules)
        }
    };
    builder.bound(BOUND).build()
}

/// Issues so many, and leaves their texts for the nodes.
pub(crate) async fn issue(url: &str, many: u32, path: &Path) -> Vec<Operation> {
    let tokens = service(url).await;
    let mut texts = Vec::new();
    let mut history = Vec::new();
    for batch in (0..many).collect::<Vec<_>>().chunks(64) {
        let issuing: Vec<_> = batch
            .iter()
            .map(|number| {
                let (tokens, number) = (tokens.clone(), *number);
                tokio::spawn(async move {
                    let invoked_at = now();
                    let request = IssueRequest::new(owner(number), Grant::Full);
                    let (secret, _) = tokens.issue(request, BY).await.unwrap();
                    let act = Act::Issue {
                        token: number,
                        owner: number,
                        parent: None,
                        expires_at: NEVER,
                    };
                    let operation = Operation {
                        invoked_at,
                        returned_at: now(),
                        act,
                        node: u16::MAX,
                        outcome: Outcome::Done,
                    };
                    (secret.expose_secret().to_owned(), operation)
                })
            })
            .collect();
        for issued in issuing {
            let (text, operation) = issued.await.unwrap();
            texts.push(text);
            history.push(operation);
        }
    }
    fs::write(path, texts.join("\n")).unwrap();
    history
}

pub(crate) fn read(path: &Path, tokens: &Tokens<ReadWrite>) -> Vec<Known> {
    let known = |text: &str| Known {
        text: text.into(),
        id: tokens.rules().format.parse(text.as_bytes()).unwrap().id().unwrap(),
    };
    fs::read_to_string(path).unwrap().lines().map(known).collect()
}
