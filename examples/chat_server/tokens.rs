//! Where tokens are kept, and the service over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyfob::os::SystemEntropy;
use keyfob::ports::factors::FactorStore;
use keyfob::ports::store::{Filter, Query};
use keyfob::service::two_factor::Vault;
use keyfob::store::memory::MemoryStore;
use keyfob::store::postgres::{PostgresOptions, PostgresStore};
use keyfob::store::sqlite::SqliteStore;
use keyfob::two_factor::AeadSealer;
use keyfob::{
    Builder, Format, Keyring, Kind, KindPolicy, Minting, Policy, ReadWrite, RealmId, Rules, Shape,
    StoreError, TokenStore, Tokens,
};
use tokio::time::timeout;

use crate::keys;

/// What `--store` names.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Nothing survives the process.
    Memory,
    /// A database, which several nodes share.
    Postgres(Box<PostgresOptions>),
    /// A file, which several processes may share.
    Sqlite(PathBuf),
}

impl Place {
    /// Reads the URL.
    ///
    /// # Errors
    ///
    /// A sentence. What follows the scheme may hold a password, and is not repeated.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        match url.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some((scheme @ ("postgres" | "postgresql"), _)) => PostgresOptions::from_url(url)
                .and_then(|options| {
                    // Else a server with a certificate that nobody vouches for, as Debian sets one
                    // up, would be refused where no certificate was asked for.
                    let is_secured = url.contains("sslmode=require");
                    if is_secured { options.with_system_roots() } else { Ok(options) }
                })
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|error| format!("--store {scheme}: {}", reason(&error))),
            _ => Err("--store is none of memory:, sqlite:PATH and postgres://…".into()),
        }
    }

    /// Whether other processes may change tokens behind this one's back.
    pub(crate) const fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// The service over a store, and what second factors keep there.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) tokens: Tokens<ReadWrite>,
    pub(crate) vault: Vault,
}

/// Opens a store, with the keys of a file or with fresh ones.
///
/// Beside native texts those of these shapes are read. A start that fails leaves neither a key nor a store behind that was not there before.
///
/// # Errors
///
/// A sentence that names the file at fault.
pub(crate) async fn open(
    place: &Place,
    key_file: Option<&Path>,
    bound: Duration,
    shapes: Vec<Shape>,
) -> Result<Opened, String> {
    match place {
        Place::Memory => {
            let keyring = match key_file {
                Some(file) => keys::read_or_make(file)?.0,
                None => keys::fresh()?,
            };
            over(MemoryStore::default(), keyring, bound, shapes)
        }
        Place::Sqlite(path) => {
            let key_file = key_file.map_or_else(|| beside(path), Path::to_owned);
            let (keyring, is_new) = keys::read_or_make(&key_file)?;
            let opened = open_sqlite(path, &keyring).await;
            // A file with anything in it is somebody's: another process may have begun meanwhile.
            let is_empty = || fs::metadata(path).map_or(true, |file| file.len() == 0);
            if opened.is_err() && is_new && is_empty() {
                let _ = fs::remove_file(&key_file);
                remove_store(path);
            }
            over(opened?, keyring, bound, shapes)
        }
        Place::Postgres(options) => {
            let key_file = key_file
                .ok_or("--secret-key: every node on a PostgreSQL store needs the same one")?;
            let (keyring, is_new) = keys::read_or_make(key_file)?;
            let opened = open_postgres(options, &keyring).await;
            if opened.is_err() && is_new {
                let _ = fs::remove_file(key_file);
            }
            over(opened?, keyring, bound, shapes)
        }
    }
}

fn over<S: TokenStore + FactorStore + Clone>(
    store: S,
    keyring: Keyring,
    bound: Duration,
    shapes: Vec<Shape>,
) -> Result<Opened, String> {
    let sealer = AeadSealer::new(&keyring, SystemEntropy::new()).ok_or("there is no key")?;
    let vault = Vault::new(store.clone(), sealer, store.realm().clone());
    let tokens = Builder::system(store, rules(keyring, shapes)?).bound(bound).build();
    Ok(Opened { tokens, vault })
}

async fn open_sqlite(path: &Path, keyring: &Keyring) -> Result<SqliteStore, String> {
    let named = |what: String| format!("the store {}: {what}", path.display());
    let store = SqliteStore::open(path, RealmId::default()).map_err(|e| named(reason(&e)))?;
    fits(&store, keyring).await.map_err(named)?;
    Ok(store)
}

async fn open_postgres(
    options: &PostgresOptions,
    keyring: &Keyring,
) -> Result<PostgresStore, String> {
    // The URL may hold a password.
    let named = |what: String| format!("--store postgres: {what}");
    let opening = async {
        let store = PostgresStore::connect(options.clone(), RealmId::default()).await;
        let store = store.map_err(|error| reason(&error))?;
        fits(&store, keyring).await?;
        Ok(store)
    };
    // A server that takes connections and says nothing would be waited for without end.
    let opened = timeout(LONGEST_OPENING, opening).await;
    opened.unwrap_or_else(|_| Err("the server does not answer".into())).map_err(named)
}

/// Whether a store's tokens are of these keys.
async fn fits(store: &impl TokenStore, keyring: &Keyring) -> Result<(), String> {
    let mut newest = Query::new(Filter::default(), 1);
    newest.descending = true;
    for record in store.query(&newest).await.map_err(|error| reason(&error))?.records {
        match record.is_intact(keyring) {
            Ok(true) => {}
            Ok(false) => return Err("its tokens are not of the keys in the key file".into()),
            Err(error) => return Err(format!("{error}: the key file does not fit it")),
        }
    }
    Ok(())
}

/// What is behind an error, down to its cause.
fn reason(error: &StoreError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Sessions last 12 hours and make tokens as their owner does. Personal ones may live for ever, be
/// any number, make others of their owner's and bypass second factors, since the products whose
/// faces this server has let them; each face is as strict as its product is.
fn rules(keyring: Keyring, shapes: Vec<Shape>) -> Result<Rules, String> {
    let format = Format::new("chatpat").and_then(|format| format.with("chatses", Kind::session()));
    let mut personal = KindPolicy::personal();
    personal.never_expires = true;
    personal.longest_lifetime = None;
    personal.quota = None;
    personal.minting = Minting::AsOwner;
    personal.may_bypass_two_factor = true;
    let policy = Policy::default().with_kind(Kind::personal(), personal);
    let format = format.map_err(|error| error.to_string())?;
    let rules = Rules::new(shapes.into_iter().fold(format, Format::reading), keyring);
    Ok(rules.with_policy(policy))
}

fn beside(path: &Path) -> PathBuf {
    with_suffix(path, ".key")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove_store(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(with_suffix(path, suffix));
    }
}

/// Of the ten seconds within which a start succeeds or says why not. Several hosts of one URL are
/// tried one after the other.
const LONGEST_OPENING: Duration = Duration::from_secs(8);
