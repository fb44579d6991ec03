//! One realm's second factors, counters of attempts and marks.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryStore;
use crate::core::event::Event;
use crate::core::id::OwnerId;
use crate::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use crate::ports::store::StoreError;
use crate::store::attempts::Attempts;

/// All keyed by owner, and by the name of a method, counter or mark.
#[derive(Default)]
pub(super) struct Factors {
    kept: HashMap<(OwnerId, String), Kept>,
    attempts: HashMap<(OwnerId, String), Attempts>,
    marks: HashMap<(OwnerId, String), u64>,
}

/// A factor, or the place of one that was removed: its version is never given again.
#[derive(Default)]
struct Kept {
    version: u64,
    sealed: Option<Vec<u8>>,
}

impl Kept {
    fn record(&self) -> Option<FactorRecord> {
        self.sealed.clone().map(|sealed| FactorRecord::new(sealed, self.version))
    }
}

impl Factors {
    fn set(&mut self, key: (OwnerId, String), expects: u64, sealed: Option<&[u8]>) -> bool {
        let kept = self.kept.entry(key).or_default();
        let version = if kept.sealed.is_some() { kept.version } else { 0 };
        if version != expects {
            return false;
        }
        if version > 0 || sealed.is_some() {
            kept.version = kept.version.saturating_add(1);
            kept.sealed = sealed.map(<[u8]>::to_vec);
        }
        true
    }
}

#[async_trait]
impl FactorStore for MemoryStore {
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError> {
        Ok(self.locked().factors.kept.get(&key(owner, method)).and_then(Kept::record))
    }

    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        Ok(self.locked().factors.set(key(owner, method), expects, sealed))
    }

    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let mut realm = self.locked();
        let is_set = realm.factors.set(key(owner, method), expects, sealed);
        if is_set {
            realm.append(event.clone());
        }
        Ok(is_set)
    }

    async fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let mut realm = self.locked();
        let attempts = realm.factors.attempts.entry(key(owner, counter)).or_default();
        Ok(attempts.reserve(limits, now))
    }

    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let attempts = self.locked().factors.attempts.get(&key(owner, counter)).cloned();
        Ok(attempts.unwrap_or_default().reserve(limits, now))
    }

    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError> {
        self.locked().factors.attempts.remove(&key(owner, counter));
        Ok(())
    }

    async fn raise_mark(
        &self,
        owner: &OwnerId,
        mark: &str,
        value: u64,
    ) -> Result<bool, StoreError> {
        let marks = &mut self.locked().factors.marks;
        let key = key(owner, mark);
        let raises = marks.get(&key).is_none_or(|before| *before < value);
        if raises {
            marks.insert(key, value);
        }
        Ok(raises)
    }
}

fn key(owner: &OwnerId, name: &str) -> (OwnerId, String) {
    (owner.clone(), name.into())
}
