//! What a service counts for whoever operates it.

#[cfg(feature = "metrics")]
pub(super) use self::counting::Meter;
#[cfg(not(feature = "metrics"))]
pub(super) use self::silent::Meter;

/// Without the feature nothing is counted, and nothing is paid.
#[cfg(not(feature = "metrics"))]
mod silent {
    use crate::service::error::AuthenticateError;

    #[derive(Default)]
    pub(in crate::service) struct Meter(());

    impl Meter {
        #[inline]
        pub(in crate::service) const fn hit(&self) {}

        #[inline]
        pub(in crate::service) const fn accepted(&self) {}

        #[inline]
        pub(in crate::service) const fn refused(&self, _: &AuthenticateError) {}
    }
}

#[cfg(feature = "metrics")]
mod counting {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

    use crate::core::error::Refusal;
    use crate::core::scope::Scope;
    use crate::service::Tokens;
    use crate::service::error::AuthenticateError;

    /// Counted here and told later: a recorder looks each name up, which takes longer than the
    /// verification.
    #[derive(Default)]
    pub(in crate::service) struct Meter {
        hits: [Stripe; STRIPES],
        accepted: AtomicU64,
        not_ours: AtomicU64,
        rate_limited: AtomicU64,
        unavailable: AtomicU64,
        refused: [AtomicU64; Refusal::ALL.len()],
        told: Mutex<Counts>,
    }

    /// On a line of its own, so that threads which verify at the same time do not wait for each
    /// other's; two of 64 bytes, since processors fetch them in pairs.
    #[repr(align(128))]
    #[derive(Default)]
    struct Stripe(AtomicU64);

    /// What has been counted.
    #[derive(Clone, Copy, Default)]
    struct Counts {
        hits: u64,
        accepted: u64,
        not_ours: u64,
        rate_limited: u64,
        unavailable: u64,
        refused: [u64; Refusal::ALL.len()],
        dropped: u64,
    }

    impl Meter {
        /// Accepted without asking the store.
        #[inline]
        pub(in crate::service) fn hit(&self) {
            let own = STRIPE.with(|stripe| stripe.get() % STRIPES);
            if let Some(Stripe(count)) = self.hits.get(own) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }

        /// Accepted by what the store said.
        pub(in crate::service) fn accepted(&self) {
            self.accepted.fetch_add(1, Ordering::Relaxed);
        }

        pub(in crate::service) fn refused(&self, error: &AuthenticateError) {
            let count = match error {
                AuthenticateError::NotOurs => Some(&self.not_ours),
                AuthenticateError::RateLimited { .. } => Some(&self.rate_limited),
                AuthenticateError::Unavailable(_) => Some(&self.unavailable),
                // The variants of an enum are numbered in their order.
                AuthenticateError::Refused(refusal) => self.refused.get(*refusal as usize),
            };
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }

        fn counts(&self, dropped: u64) -> Counts {
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            Counts {
                hits: self.hits.iter().fold(0, |sum, Stripe(count)| sum.wrapping_add(read(count))),
                accepted: read(&self.accepted),
                not_ours: read(&self.not_ours),
                rate_limited: read(&self.rate_limited),
                unavailable: read(&self.unavailable),
                refused: self.refused.each_ref().map(read),
                dropped,
            }
        }
    }

    impl<S: Scope> Tokens<S> {
        /// Tells the recorder of metrics, which the host has installed, what this service counts.
        /// [`upkeep`](Tokens::upkeep) does so every five seconds; a host may just before it is asked
        /// for its metrics.
        ///
        /// | name | what it is |
        /// |---|---|
        /// | `keyfob_verifications_total` | verifications, by `outcome`: `accepted`, or the code of the [error](crate::AuthenticateError::code) |
        /// | `keyfob_index_hits_total` | those that were accepted without asking the store |
        /// | `keyfob_indexed_tokens` | secrets in the index |
        /// | `keyfob_lease_age_seconds` | how old the store's last word on what has changed is; at the [bound](crate::Builder::bound) every verification asks it |
        /// | `keyfob_usage_pending` | uses that wait to be written down |
        /// | `keyfob_usage_dropped_total` | uses that were not recorded, because too many were waiting |
        /// | `keyfob_live_connections` | open connections that end with their token |
        ///
        /// No name or label holds anything of a token. Several services of one process add up.
        /// Whoever asks while somebody else asks the store for news may be counted as unavailable
        /// and, when the news are there, as accepted.
        pub fn publish_metrics(&self) {
            let inner = &*self.inner;
            let now = inner.meter.counts(self.dropped_uses());
            let mut told = inner.meter.told.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut *told, now);
            describe();
            let outcome = |outcome: &'static str, now: u64, before: u64| {
                counter!(VERIFICATIONS, "outcome" => outcome).increment(now.wrapping_sub(before));
            };
            let accepted = |counts: Counts| counts.hits.wrapping_add(counts.accepted);
            outcome("accepted", accepted(now), accepted(before));
            outcome("not_ours", now.not_ours, before.not_ours);
            outcome("rate_limited", now.rate_limited, before.rate_limited);
            outcome("unavailable", now.unavailable, before.unavailable);
            for (refusal, (now, before)) in
                Refusal::ALL.iter().zip(now.refused.iter().zip(before.refused))
            {
                outcome(refusal.code(), *now, before);
            }
            counter!(HITS).increment(now.hits.wrapping_sub(before.hits));
            counter!(DROPPED).increment(now.dropped.wrapping_sub(before.dropped));
            gauge!(INDEXED).set(number(self.index_size().0));
            gauge!(PENDING).set(number(inner.recorder.pending()));
            gauge!(CONNECTIONS).set(number(self.live_connections()));
            gauge!(LEASE_AGE).set(self.lease_age().map_or(f64::INFINITY, |age| age.as_secs_f64()));
        }

        /// `None` before the first answer of the store.
        fn lease_age(&self) -> Option<Duration> {
            let inner = &*self.inner;
            let _ = inner.index.applied()?;
            let (lease, at) = (inner.index.lease(), inner.clock.reading());
            let elapsed = Duration::from_nanos(at.steady_nanos).saturating_add(inner.keeping.bound);
            Some(elapsed.saturating_sub(Duration::from_nanos(lease.until_nanos)))
        }
    }

    fn describe() {
        describe_counter!(
            VERIFICATIONS,
            Unit::Count,
            "Verifications of presented tokens, by outcome."
        );
        describe_counter!(
            HITS,
            Unit::Count,
            "Verifications that were accepted without asking the store."
        );
        describe_counter!(DROPPED, Unit::Count, "Uses of tokens that were not recorded.");
        describe_gauge!(INDEXED, Unit::Count, "Secrets in the index.");
        describe_gauge!(PENDING, Unit::Count, "Uses of tokens that wait to be written down.");
        describe_gauge!(CONNECTIONS, Unit::Count, "Open connections that end with their token.");
        describe_gauge!(
            LEASE_AGE,
            Unit::Seconds,
            "Age of the store's last word on what has changed."
        );
    }

    /// Exact below 2^32, and no gauge here gets there.
    fn number(count: usize) -> f64 {
        f64::from(u32::try_from(count).unwrap_or(u32::MAX))
    }

    thread_local! {
        static STRIPE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
    }

    static THREADS: AtomicUsize = AtomicUsize::new(0);

    /// As many threads as a busy server verifies on; more of them share. 4 KiB.
    const STRIPES: usize = 32;

    const VERIFICATIONS: &str = "keyfob_verifications_total";
    const HITS: &str = "keyfob_index_hits_total";
    const INDEXED: &str = "keyfob_indexed_tokens";
    const LEASE_AGE: &str = "keyfob_lease_age_seconds";
    const PENDING: &str = "keyfob_usage_pending";
    const DROPPED: &str = "keyfob_usage_dropped_total";
    const CONNECTIONS: &str = "keyfob_live_connections";
}
