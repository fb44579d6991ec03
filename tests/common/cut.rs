//! A store that can go away, for those who have `common` too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keyfob::ports::store::StoreError;

use crate::common::Way;

/// The way to a store that is down while this is set.
#[derive(Clone, Debug)]
pub(crate) struct Cut(pub(crate) Arc<AtomicBool>);

#[async_trait]
impl Way for Cut {
    async fn there(&self, _method: &'static str) -> Result<(), StoreError> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(StoreError::unavailable("the store is down")),
            false => Ok(()),
        }
    }
}
