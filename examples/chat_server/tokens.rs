//! Where tokens are kept, and the service over it.

use std::fs;
use std::path::{Path, PathBuf};

use keyfob::ports::store::{Filter, Query};
use keyfob::store::memory::MemoryStore;
use keyfob::store::sqlite::SqliteStore;
use keyfob::{Format, Keyring, Kind, ReadWrite, RealmId, Rules, Tokens};

use crate::keys;

/// What `--store` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing survives the process.
    Memory,
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
            Some((scheme @ ("postgres" | "postgresql"), _)) => {
                Err(format!("--store {scheme}: is not there yet; use sqlite:PATH or memory:"))
            }
            _ => Err("--store is none that this server knows; use sqlite:PATH or memory:".into()),
        }
    }

    /// Whether other processes may change tokens behind this one's back.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// The service over a store, with the keys of a file or with fresh ones.
///
/// A start that fails leaves neither a key nor a store behind that was not there before.
///
/// # Errors
///
/// A sentence that names the file at fault.
pub(crate) async fn open(
    place: &Place,
    key_file: Option<&Path>,
) -> Result<Tokens<ReadWrite>, String> {
    let Place::Sqlite(path) = place else {
        let keyring = match key_file {
            Some(file) => keys::read_or_make(file)?.0,
            None => keys::fresh()?,
        };
        return Ok(Tokens::new(MemoryStore::default(), rules(keyring)?));
    };
    let key_file = key_file.map_or_else(|| beside(path), Path::to_owned);
    let (keyring, is_new) = keys::read_or_make(&key_file)?;
    let opened = fits(path, &keyring).await;
    if opened.is_err() {
        // A file with anything in it is somebody's: another process may have begun meanwhile.
        let is_empty = fs::metadata(path).map_or(true, |file| file.len() == 0);
        if is_new && is_empty {
            let _ = fs::remove_file(&key_file);
            remove_store(path);
        }
    }
    Ok(Tokens::new(opened?, rules(keyring)?))
}

/// The store, if its tokens are of these keys.
async fn fits(path: &Path, keyring: &Keyring) -> Result<SqliteStore, String> {
    let named = |what: String| format!("the store {}: {what}", path.display());
    let store = SqliteStore::open(path, RealmId::default()).map_err(|error| {
        named(
            std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        )
    })?;
    let mut newest = Query::new(Filter::default(), 1);
    newest.descending = true;
    let page = keyfob::TokenStore::query(&store, &newest).await;
    for record in page.map_err(|error| named(error.to_string()))?.records {
        match record.is_intact(keyring) {
            Ok(true) => {}
            Ok(false) => {
                return Err(named("its tokens are not of the keys in the key file".into()));
            }
            Err(error) => return Err(named(format!("{error}: the key file does not fit it"))),
        }
    }
    Ok(store)
}

/// Sessions last 12 hours and make tokens as their owner does. Personal tokens make none: what a
/// stolen one could do ends with it.
fn rules(keyring: Keyring) -> Result<Rules, String> {
    let format = Format::new("chatpat").and_then(|format| format.with("chatses", Kind::session()));
    Ok(Rules::new(format.map_err(|error| error.to_string())?, keyring))
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
