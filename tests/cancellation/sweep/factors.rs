//! Second factors, attempts and marks of a scene, and what can be seen of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use keyfob::ports::factors::{AttemptLimit, FactorStore, Reservation};
use keyfob::testing::sample;
use keyfob::{OwnerId, StoreError};

use super::scene::{alice, bob, carol};

/// Alice has a factor, two attempts on either counter, and a mark. Bob has nothing.
pub(crate) struct Factors {
    pub(crate) store: Arc<dyn FactorStore>,
    looks: AtomicU64,
}

impl Factors {
    pub(crate) async fn new(store: Arc<dyn FactorStore>) -> Self {
        assert!(store.set_factor(&alice(), METHOD, 0, Some(b"a seed")).await.unwrap());
        for counter in [CODES, MAILS] {
            for second in 1..=MADE {
                let at = sample::after(second.into());
                let made = store.reserve_attempt(&alice(), counter, LIMITS, at).await;
                assert_eq!(made.unwrap(), Reservation::Granted);
            }
        }
        assert!(store.raise_mark(&alice(), MARK, 0).await.unwrap());
        Self { store, looks: AtomicU64::new(0) }
    }

    /// What there is, asked in ways that change nothing of it.
    pub(crate) async fn seen(&self) -> Result<Vec<String>, StoreError> {
        let mut seen = Vec::new();
        for owner in [alice(), bob(), carol()] {
            let factor = self.store.factor(&owner, METHOD).await?;
            // What is sealed for one realm is other bytes in another one, and as many.
            let factor = factor.map(|factor| (factor.version, factor.sealed.len()));
            let (codes, mails) =
                (self.newest(&owner, CODES).await?, self.newest(&owner, MAILS).await?);
            let is_low = self.mark_is_low(&owner).await?;
            seen.push(format!("{owner}: {factor:?} {codes:?} {mails:?} {is_low}"));
        }
        Ok(seen)
    }

    /// Who was dropped was counted or not, and never are there more attempts than the limit says.
    pub(crate) async fn grants_no_free_attempt(&self) -> Result<(), String> {
        let unavailable = |error: StoreError| error.to_string();
        let before = self.newest(&alice(), CODES).await.map_err(unavailable)?;
        let as_made = Reservation::Locked { until: Some(sample::after(MADE.into()) + HOUR) };
        let counted = if before == as_made { MADE } else { MADE + 1 };
        let mut granted = 0;
        while granted <= MOST {
            let at = sample::after(60);
            let next = self.store.reserve_attempt(&alice(), CODES, LIMITS, at).await;
            if next.map_err(unavailable)? != Reservation::Granted {
                break;
            }
            granted += 1;
        }
        // One that was under way may have been counted since.
        let due = MOST - MADE - 1..=MOST - counted;
        if due.contains(&granted) {
            Ok(())
        } else {
            Err(format!("{granted} attempts were granted where {due:?} were left"))
        }
    }

    /// Until when the newest attempt counts. Where there is none, the question is counted itself,
    /// and forgotten again.
    async fn newest(&self, owner: &OwnerId, counter: &str) -> Result<Reservation, StoreError> {
        let limits = [AttemptLimit { attempts: 1, within: Some(HOUR) }];
        let seen = self.store.reserve_attempt(owner, counter, &limits, sample::after(60)).await?;
        if seen == Reservation::Granted {
            self.store.clear_attempts(owner, counter).await?;
        }
        Ok(seen)
    }

    /// Whether the mark is where it can still be raised. Each look raises it by one, far below what
    /// a case raises it to.
    async fn mark_is_low(&self, owner: &OwnerId) -> Result<bool, StoreError> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        self.store.raise_mark(owner, MARK, look + 1).await
    }
}

pub(crate) const METHOD: &str = "totp";

/// Attempts at codes, which a case adds to, and at mails, which a case forgets.
pub(crate) const CODES: &str = "codes";
pub(crate) const MAILS: &str = "mails";

pub(crate) const MARK: &str = "step";

pub(crate) const LIMITS: &[AttemptLimit] = &[AttemptLimit { attempts: MOST, within: None }];

const MOST: u32 = 5;

const MADE: u32 = 2;

const HOUR: TimeDelta = TimeDelta::hours(1);
