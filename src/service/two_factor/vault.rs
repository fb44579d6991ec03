//! What second factors keep of an owner: sealed, and changed by compare-and-set.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::core::event::Event;
use crate::core::id::{OwnerId, RealmId};
use crate::ports::factors::FactorStore;
use crate::ports::sealer::SeedSealer;
use crate::ports::two_factor::FactorError;

/// Records of owners in a [`FactorStore`], each readable only with the host's key, and only for the
/// realm, the owner and the name that it was written for. Clones share everything.
///
/// What does not open is trouble, never "not enrolled": a row that was moved to another owner must
/// not take a factor away.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Arc<dyn FactorStore>,
    sealer: Arc<dyn SeedSealer>,
    realm: RealmId,
}

/// A record as it was read, and what a change of it must expect.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) value: Option<T>,
    pub(crate) version: u64,
}

impl Vault {
    /// The records of a store whose handle is bound to this realm.
    pub fn new(store: impl FactorStore, sealer: impl SeedSealer, realm: RealmId) -> Self {
        Self { store: Arc::new(store), sealer: Arc::new(sealer), realm }
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn FactorStore> {
        &self.store
    }

    /// A record, which is sealed anew if its key is about to go.
    pub(crate) async fn load<T: DeserializeOwned>(
        &self,
        owner: &OwnerId,
        name: &str,
    ) -> Result<Kept<T>, FactorError> {
        let context = self.context(owner, name);
        for is_last in [false, true] {
            let Some(record) = self.store.factor(owner, name).await? else { break };
            let opened = self.sealer.open(&record.sealed, &context);
            let opened = opened.map_err(FactorError::unavailable)?;
            if !is_last && !self.sealer.is_current(&record.sealed) {
                let sealed =
                    self.sealer.seal(&opened, &context).map_err(FactorError::unavailable)?;
                self.store.set_factor(owner, name, record.version, Some(&sealed)).await?;
                continue;
            }
            // The error would quote what stands there.
            let value = serde_json::from_slice(&opened)
                .map_err(|_| FactorError::unavailable("a sealed record is not what was written"))?;
            return Ok(Kept { value: Some(value), version: record.version });
        }
        Ok(Kept { value: None, version: 0 })
    }

    /// A record that only lets somebody pass, or go on with something: one that does not open is as
    /// good as none, and is written over. Where its key is gone, nobody should be shut out by what
    /// was worth little.
    pub(crate) async fn load_if_readable<T: DeserializeOwned>(
        &self,
        owner: &OwnerId,
        name: &str,
    ) -> Result<Kept<T>, FactorError> {
        let Some(record) = self.store.factor(owner, name).await? else {
            return Ok(Kept { value: None, version: 0 });
        };
        let opened = self.sealer.open(&record.sealed, &self.context(owner, name)).ok();
        let value = opened.and_then(|opened| serde_json::from_slice(&opened).ok());
        Ok(Kept { value, version: record.version })
    }

    /// The version of a record that is to be replaced, whatever it is; zero is none.
    pub(crate) async fn version(&self, owner: &OwnerId, name: &str) -> Result<u64, FactorError> {
        Ok(self.store.factor(owner, name).await?.map_or(0, |record| record.version))
    }

    /// Returns whether the record was still as expected, and is now this one.
    pub(crate) async fn save<T: Serialize + Sync>(
        &self,
        owner: &OwnerId,
        name: &str,
        expects: u64,
        value: &T,
    ) -> Result<bool, FactorError> {
        let sealed = self.sealed(owner, name, value)?;
        Ok(self.store.set_factor(owner, name, expects, Some(&sealed)).await?)
    }

    /// Returns whether the record was still as expected, and is gone now.
    pub(crate) async fn remove(
        &self,
        owner: &OwnerId,
        name: &str,
        expects: u64,
    ) -> Result<bool, FactorError> {
        Ok(self.store.set_factor(owner, name, expects, None).await?)
    }

    /// [`save`](Self::save) for a change that somebody asked for, with the event that tells of it;
    /// a record that was no longer as expected is trouble then.
    pub(crate) async fn change<T: Serialize + Sync>(
        &self,
        owner: &OwnerId,
        name: &str,
        expects: u64,
        value: &T,
        event: &Event,
    ) -> Result<(), FactorError> {
        let sealed = self.sealed(owner, name, value)?;
        let is_made = self.store.change_factor(owner, name, expects, Some(&sealed), event).await?;
        is_made.then_some(()).ok_or_else(contended)
    }

    /// Removes a record, whatever it is, and tells of it; returns whether there was one.
    pub(crate) async fn take_away(
        &self,
        owner: &OwnerId,
        name: &str,
        event: &Event,
    ) -> Result<bool, FactorError> {
        for _ in 0..TRIES {
            let Some(record) = self.store.factor(owner, name).await? else { return Ok(false) };
            let version = record.version;
            if self.store.change_factor(owner, name, version, None, event).await? {
                return Ok(true);
            }
        }
        Err(contended())
    }

    /// Removes a record, whatever it is.
    pub(crate) async fn clear(&self, owner: &OwnerId, name: &str) -> Result<(), FactorError> {
        for _ in 0..TRIES {
            // Not opened: what cannot be read any more must be removable too.
            let Some(record) = self.store.factor(owner, name).await? else { return Ok(()) };
            if self.remove(owner, name, record.version).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    fn sealed<T: Serialize>(
        &self,
        owner: &OwnerId,
        name: &str,
        value: &T,
    ) -> Result<Vec<u8>, FactorError> {
        // Large enough for every record, so that no part of one is left behind as it grows.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_RECORD));
        serde_json::to_writer(&mut *bytes, value).map_err(FactorError::unavailable)?;
        self.sealer.seal(&bytes, &self.context(owner, name)).map_err(FactorError::unavailable)
    }

    fn context(&self, owner: &OwnerId, name: &str) -> Vec<u8> {
        let mut context = Vec::new();
        for part in [self.realm.as_str(), owner.as_str(), name] {
            // With its length before it, so that no two contexts are the same bytes.
            context.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.extend(part.as_bytes());
        }
        context
    }
}

pub(crate) fn contended() -> FactorError {
    FactorError::unavailable("the record is being changed all the time")
}

/// Each try loses only to a change that was made; sixteen in a row is a fight, not a race.
pub(crate) const TRIES: usize = 16;

/// Sixteen remembered devices of some 300 bytes.
const LONGEST_RECORD: usize = 8192;
