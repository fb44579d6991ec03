//! Waiting.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// Lets the service's upkeep wait without knowing the host's runtime.
///
/// **If you lie:** a timer that returns at once makes upkeep spin; one that never returns lets
/// recorded uses pile up to their bound, and then be dropped.
#[async_trait]
pub trait Timer: fmt::Debug + Send + Sync + 'static {
    /// Returns once this much time has passed.
    async fn wait(&self, duration: Duration);
}
