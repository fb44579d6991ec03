//! Ways to a store on which a caller waits, and can be dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use keyfob::ports::factors::FactorStore as _;
use keyfob::ports::store::{Filter, MassRevocation};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::sample;
use keyfob::{Event, EventKind, StoreError, TokenStore as _};

use crate::common::Way;
use crate::sweep::factors::CODES;
use crate::sweep::pause;
use crate::sweep::scene::alice;

/// Waits twice before the store does its work, and twice before it is heard that it did.
#[derive(Clone, Debug)]
pub(crate) struct Slow;

#[async_trait]
impl Way for Slow {
    async fn there(&self, _method: &'static str) -> Result<(), StoreError> {
        pause().await;
        pause().await;
        Ok(())
    }

    async fn back(&self, _method: &'static str) -> Result<(), StoreError> {
        pause().await;
        pause().await;
        Ok(())
    }
}

/// A pool that a caller who is dropped takes a connection from for good.
#[derive(Clone, Debug)]
pub(crate) struct Leaking(Arc<AtomicI32>);

impl Default for Leaking {
    fn default() -> Self {
        Self(Arc::new(AtomicI32::new(4)))
    }
}

#[async_trait]
impl Way for Leaking {
    async fn there(&self, _method: &'static str) -> Result<(), StoreError> {
        if self.0.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(StoreError::unavailable("no connection is left"));
        }
        pause().await;
        Ok(())
    }

    async fn back(&self, _method: &'static str) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Writes the event of a change, waits, and makes the change then.
#[derive(Clone, Debug)]
pub(crate) struct Halving(pub(crate) MemoryStore);

#[async_trait]
impl Way for Halving {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        if method == "apply" {
            let mut nothing = Filter::default();
            nothing.states = Some(Vec::new());
            let end = sample::ended(0);
            let event = Event::new(EventKind::TokenRevoked, end.by.clone(), end.at);
            self.0.revoke_all(&MassRevocation::new(nothing, end, event)).await?;
            pause().await;
        }
        Ok(())
    }
}

/// Forgets the attempts of a counter when it is asked for one more.
#[derive(Clone, Debug)]
pub(crate) struct Forgetful(pub(crate) MemoryStore);

#[async_trait]
impl Way for Forgetful {
    async fn there(&self, method: &'static str) -> Result<(), StoreError> {
        pause().await;
        if method == "reserve_attempt" {
            self.0.clear_attempts(&alice(), CODES).await?;
        }
        Ok(())
    }
}
