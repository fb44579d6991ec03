//! The operating system's clocks and random generator.

use std::time::{Duration, UNIX_EPOCH};

use chrono::TimeDelta;
use rand::TryRng as _;
#[expect(
    clippy::disallowed_types,
    reason = "this is the one place where randomness comes from the system"
)]
use rand::rngs::SysRng;

use crate::core::policy::Rules;
use crate::core::scope::Scope;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, EntropyError};
use crate::ports::store::TokenStore;
use crate::service::{Builder, Tokens};

/// The system's clock.
///
/// On Linux and Android the coarse time is the kernel's own, read without entering it, and the
/// time since boot goes on while the machine sleeps. Elsewhere both are `std`'s.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The system's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time is read")]
    fn now_micros(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is broken; every token is then expired rather than none.
        since.map_or(i64::MAX, micros)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time is read")]
    fn coarse_micros(&self) -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn tick(&self) -> TimeDelta {
        // The slowest tick that a kernel is built with is 100 a second.
        TimeDelta::milliseconds(10)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time is read")]
    fn boot_nanos(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let duration = Duration::try_from(now).unwrap_or_default();
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time is read")]
    fn steady_nanos(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the time is read")]
    fn boot_nanos(&self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let since = START.get_or_init(std::time::Instant::now).elapsed();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn micros(since: Duration) -> i64 {
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The system's random generator. It never falls back to a weaker one.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemEntropy;

impl SystemEntropy {
    /// The system's random generator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        SysRng.try_fill_bytes(buffer).map_err(|_| EntropyError)
    }
}

impl Builder {
    /// A service over this store, with these rules, on the system's clock and randomness.
    #[must_use]
    pub fn system(store: impl TokenStore, rules: Rules) -> Self {
        Self::new(store, rules, SystemClock::new(), SystemEntropy::new())
    }
}

impl<S: Scope> Tokens<S> {
    /// A service over this store, with these rules, on the system's clock and randomness.
    #[must_use]
    pub fn new(store: impl TokenStore, rules: Rules) -> Self {
        Builder::system(store, rules).build()
    }
}

/// Waits on tokio's clock.
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TokioTimer;

#[cfg(feature = "tokio")]
impl TokioTimer {
    /// A timer for futures that run on tokio.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

#[cfg(feature = "tokio")]
#[async_trait::async_trait]
impl crate::ports::timer::Timer for TokioTimer {
    async fn wait(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
