//! How often tokens may be used, counted on this node.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::core::id::TokenId;
use crate::core::rate::Rate;
use crate::ports::clock::Clock;

/// A limiter for each rate that some token has, shared by all tokens of that rate.
pub(super) struct Rates {
    clock: Steady,
    limiters: Mutex<HashMap<Rate, Arc<Limiter>>>,
}

impl Rates {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Steady(clock), limiters: Mutex::default() }
    }

    pub(super) fn limiter(&self, rate: Rate) -> Arc<Limiter> {
        let mut limiters = self.limiters();
        let new = || Arc::new(Limiter::new(rate, self.clock.clone()));
        Arc::clone(limiters.entry(rate).or_insert_with(new))
    }

    /// Forgets tokens that have all their uses back: they are like those that were never used.
    pub(super) fn forget_rested(&self) {
        let limiters: Vec<_> = self.limiters().values().map(Arc::clone).collect();
        for limiter in limiters {
            limiter.0.retain_recent();
        }
    }

    fn limiters(&self) -> MutexGuard<'_, HashMap<Rate, Arc<Limiter>>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the uses of each token of one rate.
pub(super) struct Limiter(RateLimiter<TokenId, Counts, Steady, NoOpMiddleware<Nanos>>);

impl Limiter {
    fn new(rate: Rate, clock: Steady) -> Self {
        let burst = NonZeroU32::new(rate.uses()).unwrap_or(NonZeroU32::MIN);
        let share = Duration::from_secs(rate.seconds().into()).checked_div(burst.get());
        // The smallest share there can be is a microsecond.
        let quota = Quota::with_period(share.unwrap_or(Duration::from_micros(1)))
            .unwrap_or_else(|| Quota::per_second(burst));
        Self(RateLimiter::new(quota.allow_burst(burst), Counts::default(), clock))
    }

    /// Counts a use, unless there were too many: then it says after how many seconds there may be one.
    pub(super) fn take(&self, token: TokenId) -> Result<(), u64> {
        self.0.check_key(&token).map_err(|until| {
            let wait = until.wait_time_from(self.0.clock().now());
            wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
        })
    }
}

/// When each token's uses are all given back, by the limiter's time.
///
/// Behind locks, each for a share of the tokens: the limiter's own map has one for all.
#[derive(Default)]
struct Counts([Share; SHARES]);

/// Two lines of 64 bytes, so that no two locks are on one.
#[derive(Default)]
#[repr(align(128))]
struct Share(Mutex<HashMap<TokenId, Nanos>>);

impl Counts {
    fn of(&self, token: TokenId) -> Option<MutexGuard<'_, HashMap<TokenId, Nanos>>> {
        let [.., last] = *token.as_bytes();
        self.0.get(usize::from(last) % SHARES).map(Share::open)
    }
}

impl Share {
    fn open(&self) -> MutexGuard<'_, HashMap<TokenId, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Counts {
    type Key = TokenId;

    fn measure_and_replace<T, F, E>(&self, token: &TokenId, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut counts = self.of(*token);
        let (decision, count) = decide(counts.as_ref().and_then(|c| c.get(token)).copied())?;
        if let Some(counts) = &mut counts {
            counts.insert(*token, count);
        }
        Ok(decision)
    }
}

impl ShrinkableKeyedStateStore<TokenId> for Counts {
    fn retain_recent(&self, drop_below: Nanos) {
        for share in &self.0 {
            let mut counts = share.open();
            counts.retain(|_, count| *count > drop_below);
            if counts.capacity() > counts.len().saturating_mul(4) {
                counts.shrink_to_fit();
            }
        }
    }

    fn len(&self) -> usize {
        self.0.iter().fold(0, |sum, share| sum.saturating_add(share.open().len()))
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The service's clock as a limiter reads it: the coarse one that nobody can set.
#[derive(Clone)]
struct Steady(Arc<dyn Clock>);

impl governor::clock::Clock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.reading().steady_nanos)
    }
}

/// As many as threads that verify on a busy server; more of them wait for each other now and then.
const SHARES: usize = 32;
