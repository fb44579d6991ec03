//! The database that every child starts from, and the service over it.
//!
//! Time stands still and randomness follows from a seed: the same steps leave the same contents
//! behind, to the byte, and make the same calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use keyfob::core::policy::Minting;
use keyfob::service::Builder;
use keyfob::store::sqlite::SqliteStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on};
use keyfob::{
    Access, Actor, By, Format, Grant, IssueRequest, Key, KeyId, Keyring, Kind, KindPolicy, OwnerId,
    Policy, ReadWrite, RealmId, Rotation, Rules, StoreError, TokenId, Tokens,
};

/// The database's name in its folder.
pub(crate) const DATABASE: &str = "tokens.db";

/// The secrets of the prepared tokens, by name, and whether they work.
pub(crate) const SECRETS: &[(&str, bool)] = &[
    ("blocked", false),
    ("bobs", true),
    ("dead", false),
    ("live", true),
    ("minted", true),
    ("replaced", false),
    ("replacing", true),
    ("spare", true),
    ("target", true),
];

/// Whose randomness it is: what one draws the others do not.
#[derive(Clone, Copy)]
pub(crate) enum Draws {
    Preparing = 1,
    Child = 2,
    Judge = 3,
}

pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) store: SqliteStore,
    pub(crate) tokens: Tokens<ReadWrite>,
    pub(crate) secrets: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn open(folder: &Path, draws: Draws) -> Result<Self, StoreError> {
        let store = SqliteStore::open(folder.join(DATABASE), RealmId::default())?;
        let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let tokens =
            Builder::new(store.clone(), rules(), clock, SeededRandomness::new(draws as u64))
                .build();
        let lines = fs::read_to_string(folder.join(KNOWN)).unwrap_or_default();
        let secrets = lines.lines().filter_map(|line| line.split_once(' '));
        let secrets = secrets.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        Ok(Self { folder: folder.to_owned(), store, tokens, secrets })
    }

    /// The token of a prepared secret.
    pub(crate) fn id(&self, name: &str) -> TokenId {
        let text = self.secrets[name].as_bytes();
        self.tokens.rules().format.parse(text).unwrap().id().unwrap()
    }

    /// Whether a secret works.
    pub(crate) fn accepts(&self, text: &str) -> bool {
        block_on(self.tokens.authenticate_strict(text, &Access::any())).is_ok()
    }

    /// Makes one token of each sort, and writes their secrets down.
    pub(crate) fn prepare(&self) {
        let host = Actor::host();
        let by = By::Host(&host);
        let tokens = self.tokens.clone();
        let issue = |owner, kind, by| {
            let request = IssueRequest::new(owner_named(owner), Grant::Full).of_kind(kind);
            let (secret, token) = block_on(tokens.issue(request, by)).unwrap();
            (secret.expose_secret().to_owned(), token.id)
        };
        let personal = |owner| issue(owner, Kind::personal(), by);
        let (live, _) = personal("alice");
        let (dead, dead_id) = personal("alice");
        block_on(tokens.revoke(dead_id, by, None)).unwrap();
        let (blocked, blocked_id) = personal("alice");
        block_on(tokens.deactivate(blocked_id, by, None)).unwrap();
        let (replaced, replaced_id) = personal("alice");
        let rotated = block_on(tokens.rotate(replaced_id, Rotation::at_once(), by)).unwrap();
        let (bobs, _) = personal("bob");
        let (spare, _) = personal("bob");
        let (target, _) = issue("alice", bot(), by);
        let minter = block_on(tokens.authenticate(&target, &Access::any())).unwrap();
        let (minted, _) = issue("alice", bot(), By::token(&minter));
        let replacing = rotated.0.expose_secret().to_owned();
        let texts = [blocked, bobs, dead, live, minted, replaced, replacing, spare, target];
        let lines = SECRETS.iter().zip(texts).map(|((name, _), text)| format!("{name} {text}\n"));
        fs::write(self.folder.join(KNOWN), lines.collect::<String>()).unwrap();
    }
}

/// Where the prepared secrets are written down.
const KNOWN: &str = "secrets";

pub(crate) fn owner_named(name: &str) -> OwnerId {
    OwnerId::new(name).unwrap()
}

/// Tokens that may mint others, which are revoked with them.
fn bot() -> Kind {
    Kind::new("bot").unwrap()
}

fn rules() -> Rules {
    let key = Key::new(KeyId::new("k1").unwrap(), &[7; 32]).unwrap();
    let mut bots = KindPolicy::personal();
    bots.minting = Minting::Within;
    let format = Format::new("acme").unwrap().with("bots", bot()).unwrap();
    Rules::new(format, Keyring::new(key)).with_policy(Policy::default().with_kind(bot(), bots))
}
