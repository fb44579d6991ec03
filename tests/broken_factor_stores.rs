//! The laws about factors notice what they are there to notice: the store in memory, broken in one
//! way, breaks exactly the laws that this way concerns.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "it is a test, and its store is broken anyway"
)]

use std::collections::{BTreeSet, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use keyfob::ports::factors::{AttemptLimit, FactorRecord, FactorStore, Reservation};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::laws::{FACTOR_LAWS, FactorHarness};
use keyfob::testing::{block_on, sample};
use keyfob::{Event, OwnerId, RealmId, StoreError};

#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    flaw: Flaw,
    notes: Arc<Mutex<Notes>>,
    /// Whether some call is being answered, in any realm.
    busy: Arc<AtomicBool>,
}

/// The time in which a call is answered.
struct Step<'a>(Option<&'a AtomicBool>);

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if let Some(busy) = self.0 {
            busy.store(false, Ordering::Release);
        }
    }
}

/// What a flaw must remember beside the inner store.
#[derive(Debug, Default)]
struct Notes {
    attempts: HashMap<(OwnerId, String), Vec<DateTime<Utc>>>,
    counters: Vec<(OwnerId, String)>,
    marks: HashMap<(OwnerId, String), u64>,
    removals: HashMap<(OwnerId, String), u64>,
}

fn fresh(flaw: Flaw) -> impl Fn(RealmId) -> Broken + Send + Sync {
    let store = MemoryStore::new(sample::realm());
    let notes: Mutex<HashMap<RealmId, Arc<Mutex<Notes>>>> = Mutex::default();
    let busy: Arc<AtomicBool> = Arc::default();
    move |realm| {
        let realm = if flaw == Flaw::RealmsAreOne { sample::realm() } else { realm };
        let notes = Arc::clone(notes.lock().unwrap().entry(realm.clone()).or_default());
        let inner = match flaw {
            Flaw::HandlesAreSeparate => MemoryStore::new(realm),
            _ => store.in_realm(realm),
        };
        Broken { inner, flaw, notes, busy: Arc::clone(&busy) }
    }
}

impl Broken {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    /// One call after the other, unless the flaw is that others get in between: a store that is
    /// wrong in another way must not lose races besides.
    fn step(&self) -> Step<'_> {
        let gets_in_between = matches!(
            self.flaw,
            Flaw::AttemptsAreReadThenWritten
                | Flaw::MarksAreReadThenWritten
                | Flaw::VersionsAreComparedBefore
        );
        if gets_in_between {
            return Step(None);
        }
        while self.busy.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        Step(Some(&self.busy))
    }

    /// What a name is taken for.
    fn name(&self, owner: &OwnerId, name: &str) -> String {
        let removals = self.notes().removals.get(&key(owner, name)).copied();
        match (self.flaw, removals) {
            (Flaw::NamesIgnoreCase, _) => name.to_lowercase(),
            (Flaw::VersionsBeginAnew, Some(removals)) => format!("{name} {removals}"),
            _ => name.into(),
        }
    }

    /// The answer if these attempts were all that there were.
    async fn replay(
        attempts: &[DateTime<Utc>],
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Reservation {
        let (store, owner) = (MemoryStore::default(), sample::owner(1));
        for at in attempts {
            store.reserve_attempt(&owner, "c", &[], *at).await.unwrap();
        }
        store.reserve_attempt(&owner, "c", limits, now).await.unwrap()
    }

    /// What becomes of the limits on their way in.
    fn limits(&self, limits: &[AttemptLimit]) -> Vec<AttemptLimit> {
        let mut limits = limits.to_vec();
        match self.flaw {
            Flaw::LimitsAreOneMore => limits.iter_mut().for_each(|limit| limit.attempts += 1),
            Flaw::OnlyTheFirstLimitHolds => limits.truncate(1),
            Flaw::ZeroIsNoLimit => limits.retain(|limit| limit.attempts > 0),
            _ => {}
        }
        for within in limits.iter_mut().filter_map(|limit| limit.within.as_mut()) {
            match self.flaw {
                Flaw::WindowsEndLate => *within = (*within).min(LONG) + TimeDelta::microseconds(1),
                Flaw::WindowsEndSomeDay => *within = (*within).min(LONG),
                _ => {}
            }
        }
        limits
    }
}

const LONG: TimeDelta = TimeDelta::days(365);

fn key(owner: &OwnerId, name: &str) -> (OwnerId, String) {
    (owner.clone(), name.into())
}

/// Long enough for others to get in.
fn pause() {
    thread::park_timeout(Duration::from_millis(3));
}

#[async_trait]
impl FactorStore for Broken {
    async fn factor(
        &self,
        owner: &OwnerId,
        method: &str,
    ) -> Result<Option<FactorRecord>, StoreError> {
        let mut found = self.inner.factor(owner, &self.name(owner, method)).await?;
        if let (Flaw::VersionsBeginAtZero, Some(record)) = (self.flaw, &mut found) {
            record.version -= 1;
        }
        Ok(found)
    }

    async fn set_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        let _step = self.step();
        let name = self.name(owner, method);
        let found = self.inner.factor(owner, &name).await?;
        let now = found.as_ref().map_or(0, |record| record.version);
        let sealed = match (self.flaw, sealed) {
            (Flaw::NoBytesAreNoFactor, Some([])) => None,
            (Flaw::RemovalsAreRefused, None) => return Ok(false),
            (Flaw::SealedBytesAreText, Some(sealed)) => {
                Some(String::from_utf8_lossy(sealed).into_owned().into_bytes())
            }
            (_, sealed) => sealed.map(<[u8]>::to_vec),
        };
        let sealed = sealed.as_deref();
        match self.flaw {
            Flaw::RefusalsAreWritten if now != expects => {
                self.inner.set_factor(owner, &name, now, sealed).await?;
                return Ok(false);
            }
            Flaw::VersionsAreComparedBefore if now == expects => {
                pause();
                let now = self.inner.factor(owner, &name).await?.map_or(0, |record| record.version);
                self.inner.set_factor(owner, &name, now, sealed).await?;
                return Ok(true);
            }
            Flaw::VersionsAreNotCompared => {
                return self.inner.set_factor(owner, &name, now, sealed).await;
            }
            Flaw::VersionsBeginAtZero if found.is_some() => {
                return self.inner.set_factor(owner, &name, expects + 1, sealed).await;
            }
            _ => {}
        }
        let set = self.inner.set_factor(owner, &name, expects, sealed).await?;
        if set && sealed.is_none() {
            *self.notes().removals.entry(key(owner, method)).or_default() += 1;
        }
        Ok(set)
    }

    async fn change_factor(
        &self,
        owner: &OwnerId,
        method: &str,
        expects: u64,
        sealed: Option<&[u8]>,
        _event: &Event,
    ) -> Result<bool, StoreError> {
        self.set_factor(owner, method, expects, sealed).await
    }

    async fn reserve_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let _step = self.step();
        let counter = &self.name(owner, counter);
        let limits = &self.limits(limits);
        let key = key(owner, counter);
        let before = self.notes().attempts.get(&key).cloned().unwrap_or_default();
        match self.flaw {
            Flaw::AttemptsAreReadThenWritten => {
                let answer = Self::replay(&before, limits, now).await;
                if answer == Reservation::Granted {
                    pause();
                    self.notes().attempts.insert(key, [before, vec![now]].concat());
                }
                return Ok(answer);
            }
            Flaw::AttemptsToComeAreIgnored => {
                let past: Vec<_> = before.iter().copied().filter(|at| *at <= now).collect();
                let answer = Self::replay(&past, limits, now).await;
                if answer == Reservation::Granted {
                    self.notes().attempts.entry(key).or_default().push(now);
                }
                return Ok(answer);
            }
            Flaw::CountersAreEvicted => {
                let counters = &mut self.notes().counters;
                if !counters.contains(&key) {
                    counters.push(key);
                }
                if counters.len() > 1000 {
                    let (owner, counter) = counters.remove(0);
                    block_on(self.inner.clear_attempts(&owner, &counter))?;
                }
            }
            Flaw::UnlimitedAttemptsAreNotCounted if limits.is_empty() => {
                return Ok(Reservation::Granted);
            }
            _ => {}
        }
        let mut answer = self.inner.reserve_attempt(owner, counter, limits, now).await?;
        if let Reservation::Locked { until } = &mut answer {
            match self.flaw {
                Flaw::RefusalsCount => {
                    self.inner.reserve_attempt(owner, counter, &[], now).await?;
                }
                Flaw::SecondsAreWhole => {
                    *until = until.map(|at| at.duration_trunc(TimeDelta::seconds(1)).unwrap());
                }
                _ => {}
            }
        }
        Ok(answer)
    }

    async fn peek_attempt(
        &self,
        owner: &OwnerId,
        counter: &str,
        limits: &[AttemptLimit],
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let counter = &self.name(owner, counter);
        let limits = &self.limits(limits);
        match self.flaw {
            Flaw::AttemptsAreReadThenWritten | Flaw::AttemptsToComeAreIgnored => {
                let before = self.notes().attempts.get(&key(owner, counter)).cloned();
                Ok(Self::replay(&before.unwrap_or_default(), limits, now).await)
            }
            Flaw::PeekingAlwaysGrants => Ok(Reservation::Granted),
            Flaw::PeekingCounts => self.inner.reserve_attempt(owner, counter, limits, now).await,
            _ => self.inner.peek_attempt(owner, counter, limits, now).await,
        }
    }

    async fn clear_attempts(&self, owner: &OwnerId, counter: &str) -> Result<(), StoreError> {
        let counter = self.name(owner, counter);
        self.notes().attempts.remove(&key(owner, &counter));
        match self.flaw {
            Flaw::ClearingIsIgnored => return Ok(()),
            Flaw::ClearingReachesOwners => {
                for counter in ["totp", "email"] {
                    self.inner.clear_attempts(owner, counter).await?;
                }
            }
            _ => {}
        }
        self.inner.clear_attempts(owner, &counter).await
    }

    async fn raise_mark(
        &self,
        owner: &OwnerId,
        mark: &str,
        value: u64,
    ) -> Result<bool, StoreError> {
        let _step = self.step();
        let mark = &self.name(owner, mark);
        let before = self.notes().marks.get(&key(owner, mark)).copied();
        let raises = match self.flaw {
            Flaw::MarksAreReadThenWritten => before.is_none_or(|before| before < value),
            Flaw::MarksAreRaisedTwice => before.is_none_or(|before| before <= value),
            Flaw::MarksAreSigned => before.is_none_or(|before| (before as i64) < value as i64),
            _ => return self.inner.raise_mark(owner, mark, value).await,
        };
        if self.is(Flaw::MarksAreReadThenWritten) {
            pause();
        }
        if raises {
            self.notes().marks.insert(key(owner, mark), value);
        }
        Ok(raises)
    }
}

fn breaks(flaw: Flaw, expected: &[&'static str]) -> Result<(), String> {
    // What a law says when it fails is of no interest here.
    panic::set_hook(Box::new(|_| {}));
    let is_broken = |check: fn(&FactorHarness<'_>)| {
        let harness = FactorHarness::new(fresh(flaw), |future| block_on(future));
        panic::catch_unwind(AssertUnwindSafe(|| check(&harness))).is_err()
    };
    let broken: BTreeSet<_> =
        FACTOR_LAWS.iter().filter(|law| is_broken(law.check)).map(|law| law.name).collect();
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    let kept: Vec<_> = expected.difference(&broken).collect();
    let besides: Vec<_> = broken.difference(&expected).collect();
    if broken == expected {
        return Ok(());
    }
    Err(format!("{flaw:?} keeps {kept:?} and breaks {besides:?} besides"))
}

macro_rules! flaws {
    ($($(#[$doc:meta])* $test:ident: $flaw:ident breaks [$($law:ident)*];)+) => {
        /// One way to break the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Flaw {
            $($(#[$doc])* $flaw,)+
        }

        $(
            #[test]
            fn $test() -> Result<(), String> {
                breaks(Flaw::$flaw, &[$(stringify!($law)),*])
            }
        )+

        const NOTICED: &[&str] = &[$($(stringify!($law),)*)+];
    };
}

#[test]
fn every_law_about_factors_notices_a_flaw() -> Result<(), String> {
    let blind: Vec<_> =
        FACTOR_LAWS.iter().map(|law| law.name).filter(|law| !NOTICED.contains(law)).collect();
    if blind.is_empty() { Ok(()) } else { Err(format!("no flaw breaks {blind:?}")) }
}

flaws! {
    /// Who decides at the same time does not see the other.
    attempts_are_read_then_written: AttemptsAreReadThenWritten breaks [
        a_limit_holds_under_contention
    ];
    /// Attempts from before the clock went back do not count.
    attempts_to_come_are_ignored: AttemptsToComeAreIgnored breaks [
        a_clock_that_goes_back_grants_nothing_more
    ];
    clearing_is_ignored: ClearingIsIgnored breaks [
        cleared_attempts_are_forgotten
        clearing_reaches_one_counter_only
        handles_on_one_realm_keep_the_same_factors
    ];
    /// Clearing one counter clears the others of its owner.
    clearing_reaches_owners: ClearingReachesOwners breaks [
        clearing_reaches_one_counter_only
    ];
    /// No more than a thousand counters are kept.
    counters_are_evicted: CountersAreEvicted breaks [
        nobody_forgets_because_others_fail
    ];
    /// Each handle is a store of its own.
    handles_are_separate: HandlesAreSeparate breaks [
        handles_on_one_realm_keep_the_same_factors
    ];
    limits_are_one_more: LimitsAreOneMore breaks [
        a_clock_that_goes_back_grants_nothing_more
        a_dropped_reservation_gives_no_free_attempt
        a_limit_grants_that_many_attempts
        a_limit_holds_under_contention
        a_limit_of_zero_grants_nothing
        a_locked_attempt_counts_for_nothing
        a_locked_attempt_is_told_until_when
        a_window_holds_two_hundred
        a_window_may_have_no_end
        a_window_slides
        attempts_are_counted_by_owner_and_counter
        attempts_are_counted_in_one_realm
        attempts_without_a_limit_count_too
        cleared_attempts_are_forgotten
        clearing_reaches_one_counter_only
        handles_on_one_realm_keep_the_same_factors
        nobody_forgets_because_others_fail
        several_limits_hold_together
    ];
    marks_are_read_then_written: MarksAreReadThenWritten breaks [
        a_mark_ends_at_the_highest_under_contention
        a_mark_is_raised_once_under_contention
    ];
    marks_are_raised_twice: MarksAreRaisedTwice breaks [
        a_mark_ends_at_the_highest_under_contention
        a_mark_goes_up_only
        a_mark_holds_every_number
        a_mark_is_of_one_owner_and_name
        a_mark_is_raised_once_under_contention
        handles_on_one_realm_keep_the_same_factors
        marks_are_of_one_realm
    ];
    /// Half of all numbers are below zero.
    marks_are_signed: MarksAreSigned breaks [
        a_mark_holds_every_number
    ];
    names_ignore_case: NamesIgnoreCase breaks [
        a_factor_is_of_one_owner_and_method
        a_mark_is_of_one_owner_and_name
        attempts_are_counted_by_owner_and_counter
    ];
    no_bytes_are_no_factor: NoBytesAreNoFactor breaks [
        sealed_bytes_survive
    ];
    only_the_first_limit_holds: OnlyTheFirstLimitHolds breaks [
        a_limit_of_zero_grants_nothing
        a_locked_attempt_counts_for_nothing
        cleared_attempts_are_forgotten
        several_limits_hold_together
    ];
    peeking_always_grants: PeekingAlwaysGrants breaks [
        peeking_tells_what_reserving_would_and_counts_nothing
    ];
    peeking_counts: PeekingCounts breaks [
        peeking_tells_what_reserving_would_and_counts_nothing
    ];
    realms_are_one: RealmsAreOne breaks [
        attempts_are_counted_in_one_realm
        factors_of_another_realm_are_not_there
        marks_are_of_one_realm
    ];
    /// A factor of another version is replaced, and the answer is that it was not.
    refusals_are_written: RefusalsAreWritten breaks [
        a_factor_is_added_once_under_contention
        a_factor_is_set_if_it_has_the_expected_version
        a_refused_change_of_a_factor_changes_nothing
        a_version_of_a_factor_is_replaced_once_under_contention
        no_version_of_a_factor_comes_back
    ];
    /// An attempt that was refused counts too.
    refusals_count: RefusalsCount breaks [
        a_clock_that_goes_back_grants_nothing_more
        a_limit_of_zero_grants_nothing
        a_locked_attempt_counts_for_nothing
        a_locked_attempt_is_told_until_when
        a_window_holds_two_hundred
        a_window_slides
        attempts_without_a_limit_count_too
        several_limits_hold_together
    ];
    removals_are_refused: RemovalsAreRefused breaks [
        a_factor_is_of_one_owner_and_method
        a_factor_is_set_if_it_has_the_expected_version
        a_refused_change_of_a_factor_changes_nothing
        a_removed_factor_is_not_there
        no_version_of_a_factor_comes_back
    ];
    sealed_bytes_are_text: SealedBytesAreText breaks [
        sealed_bytes_survive
    ];
    seconds_are_whole: SecondsAreWhole breaks [
        a_locked_attempt_is_told_until_when
    ];
    unlimited_attempts_are_not_counted: UnlimitedAttemptsAreNotCounted breaks [
        attempts_without_a_limit_count_too
    ];
    versions_are_compared_before: VersionsAreComparedBefore breaks [
        a_factor_is_added_once_under_contention
        a_version_of_a_factor_is_replaced_once_under_contention
    ];
    versions_are_not_compared: VersionsAreNotCompared breaks [
        a_factor_is_added_once_under_contention
        a_factor_is_set_if_it_has_the_expected_version
        a_refused_change_of_a_factor_changes_nothing
        a_version_of_a_factor_is_replaced_once_under_contention
        factors_of_another_realm_are_not_there
        no_version_of_a_factor_comes_back
    ];
    /// A factor that is added again has its first version again.
    versions_begin_anew: VersionsBeginAnew breaks [
        no_version_of_a_factor_comes_back
    ];
    versions_begin_at_zero: VersionsBeginAtZero breaks [
        a_factor_is_added_once_under_contention
        a_factor_is_found_as_it_was_set
        a_factor_is_set_if_it_has_the_expected_version
        a_refused_change_of_a_factor_changes_nothing
        factors_of_another_realm_are_not_there
        no_version_of_a_factor_comes_back
    ];
    /// An attempt still counts at the end of its window.
    windows_end_late: WindowsEndLate breaks [
        a_clock_that_goes_back_grants_nothing_more
        a_locked_attempt_counts_for_nothing
        a_locked_attempt_is_told_until_when
        a_window_holds_two_hundred
        a_window_may_have_no_end
        a_window_slides
        attempts_without_a_limit_count_too
        several_limits_hold_together
    ];
    /// No window is longer than a year.
    windows_end_some_day: WindowsEndSomeDay breaks [
        a_window_may_have_no_end
    ];
    zero_is_no_limit: ZeroIsNoLimit breaks [
        a_limit_of_zero_grants_nothing
    ];
}
