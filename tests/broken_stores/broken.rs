//! A store that keeps the contract but for one flaw: the store in memory, behind a wrapper that
//! deviates in exactly one way.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use keyfob::core::change::{Change, Presenter};
use keyfob::core::constraints::Constraints;
use keyfob::core::event::{Event, EventKind};
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::core::time::LATEST;
use keyfob::core::token::{Ended, Usage};
use keyfob::ports::factors::FactorStore as _;
use keyfob::ports::store::{
    Applied, Cursor, Epoch, EventQuery, Filter, Found, Insert, Inserted, Invalidations, Lookup,
    MassRevocation, NodeId, NodeReport, Order, OwnerChange, OwnerSet, Page, Query, Revoked, Start,
    StoredEvent, Touched, Use,
};
use keyfob::store::memory::MemoryStore;
use keyfob::testing::sample;
use keyfob::{
    Actor, Expiry, OwnerId, ReadWrite, RealmId, State, StoreError, TokenId, TokenRecord, TokenStore,
};

use crate::Flaw;

/// A handle on a broken store.
#[derive(Debug)]
pub(crate) struct Broken {
    inner: MemoryStore,
    flaw: Flaw,
    notes: Arc<Mutex<Notes>>,
    /// Whether some call is being answered, in any realm.
    busy: Arc<AtomicBool>,
    /// What this handle has found before, for a store that reads from a lagging copy.
    seen: Mutex<HashMap<TokenId, Found>>,
}

/// What a flaw must remember beside the rows.
#[derive(Debug, Default)]
struct Notes {
    keys: HashMap<String, TokenId>,
    /// Rows that are shown instead of those of the inner store.
    overlay: HashMap<TokenId, TokenRecord>,
    hidden: HashSet<TokenId>,
    usage: HashMap<TokenId, Usage>,
    changed_at: HashMap<TokenId, DateTime<Utc>>,
    numbers: HashMap<TokenId, u64>,
    digests: HashMap<[u8; 32], TokenId>,
    sequences: HashMap<OwnerId, u64>,
    log: Vec<StoredEvent>,
}

/// A broken store without rows; yields handles on its realms.
pub(crate) fn fresh(flaw: Flaw) -> impl Fn(RealmId) -> Broken + Send + Sync {
    let store = MemoryStore::new(sample::realm());
    let notes: Mutex<HashMap<RealmId, Arc<Mutex<Notes>>>> = Mutex::default();
    let busy: Arc<AtomicBool> = Arc::default();
    move |realm| {
        let shared = matches!(flaw, Flaw::KeysAreSharedByRealms | Flaw::QuotasAreSharedByRealms);
        let noted = if shared { sample::realm() } else { realm.clone() };
        let notes = Arc::clone(notes.lock().unwrap().entry(noted).or_default());
        let inner = match flaw {
            Flaw::HandlesAreSeparate => MemoryStore::new(realm),
            _ => store.in_realm(realm),
        };
        Broken { inner, flaw, notes, busy: Arc::clone(&busy), seen: Mutex::default() }
    }
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

impl Broken {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Whether rows are shown that the inner store does not have.
    fn has_ghosts(&self) -> bool {
        matches!(self.flaw, Flaw::OwnersAreCheckedBefore | Flaw::PruningWaitsForTheLaterEnd)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    /// The realm of the samples, if this handle is on another one and the flaw reaches into it.
    fn elsewhere(&self, flaw: Flaw) -> Option<MemoryStore> {
        let reaches = self.is(flaw) && *self.inner.realm() != sample::realm();
        reaches.then(|| self.inner.in_realm(sample::realm()))
    }

    /// One call after the other, unless the flaw is that others get in between: a store that is
    /// wrong in another way must not lose races besides.
    fn step(&self) -> Step<'_> {
        let gets_in_between = matches!(
            self.flaw,
            Flaw::EpochsAreReadAfterwards
                | Flaw::EventsFollowLater
                | Flaw::KeysAreLookedUpBefore
                | Flaw::MassRevocationsCollectFirst
                | Flaw::NamesAreComparedBefore
                | Flaw::OwnersAreCheckedBefore
                | Flaw::OwnersAreReadAfterwards
                | Flaw::PresentersAreCheckedBefore
                | Flaw::QuotasAreCountedBefore
                | Flaw::RevocationsExpectAVersion
                | Flaw::SequencesAreTakenBefore
                | Flaw::SpendingIsReadThenWritten
                | Flaw::TotalsAreCountedBefore
                | Flaw::UsesAreReadThenWritten
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

    /// Between a decision and what follows from it, where others may get in.
    ///
    /// Some take longer than others, so that they do not come out in the order they went in.
    fn pause(&self) {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        thread::park_timeout(Duration::from_millis(1 + turn * 3 % 5));
    }

    async fn rows(&self, filter: Filter) -> Vec<TokenRecord> {
        self.inner.query(&Query::new(filter, 1000)).await.unwrap().records
    }

    async fn row(&self, id: TokenId) -> Option<TokenRecord> {
        self.inner.find(&Lookup::Id(id)).await.unwrap().map(|found| *found.record)
    }

    /// A mutation that nobody asked for: it revokes nothing, with an event and an epoch.
    async fn noise(&self) -> Epoch {
        let mut nothing = Filter::default();
        nothing.owners = Some(Vec::new());
        let event = Event::new(EventKind::TokenRevoked, Actor::host(), sample::start());
        let noise = MassRevocation::new(nothing, sample::ended(0), event);
        self.inner.revoke_all(&noise).await.unwrap().epoch
    }

    /// What becomes of a row on its way in.
    fn keep(&self, record: &mut TokenRecord) {
        let millis =
            |at: DateTime<Utc>| DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap();
        match self.flaw {
            Flaw::BindingsAreLost => record.binding = record.digest.digest,
            Flaw::BypassIsLost => record.bypasses_two_factor = false,
            Flaw::ConstraintsAreLost => record.constraints = Constraints::default(),
            Flaw::CreatorTokensAreLost => record.creator.token = None,
            Flaw::DigestKeysAreLost => record.digest.key = None,
            Flaw::EndlessIsFarAway if record.validity.expires_at == Expiry::Never => {
                record.validity.expires_at = Expiry::At(LATEST);
            }
            Flaw::ImportedUsageIsLost => record.usage = Usage::default(),
            Flaw::InstantsAreMilliseconds => {
                record.created_at = millis(record.created_at);
                record.changed_at = millis(record.changed_at);
                if let Expiry::At(at) = record.validity.expires_at {
                    record.validity.expires_at = Expiry::At(millis(at));
                }
            }
            Flaw::KindsAreLost => record.kind = keyfob::Kind::personal(),
            Flaw::NamesAreCut => {
                let name: String = record.name.as_str().chars().take(32).collect();
                record.name = name.parse().unwrap();
            }
            Flaw::NotBeforeIsLost => record.validity.not_before = None,
            Flaw::NotesAreLost => record.note = keyfob::Note::default(),
            Flaw::ParentsAreLost => record.parent = None,
            Flaw::PreviousDigestsAreLost => record.previous = None,
            Flaw::ReasonsAreLost => forget_why(&mut record.state),
            Flaw::UnknownScopesAreLost => {
                if let Some(known) = record.grant.read::<ReadWrite>() {
                    record.grant = known.names();
                }
            }
            _ => {}
        }
    }

    /// What becomes of a row on its way out.
    fn show(&self, record: &mut TokenRecord) {
        let notes = self.notes();
        if let Some(row) = notes.overlay.get(&record.id) {
            *record = row.clone();
        }
        match self.flaw {
            Flaw::GenerationsStandStill => record.owner_generation = 1,
            Flaw::NumbersShrink => record.number = MANY - record.number,
            Flaw::SequencesGoByTwo => record.changed_sequence *= 2,
            Flaw::VersionsGoByTwo => record.version = record.version * 2 - 1,
            _ => {}
        }
        if let Some(at) = notes.changed_at.get(&record.id) {
            record.changed_at = *at;
        }
        if let Some(number) = notes.numbers.get(&record.id) {
            record.number = *number;
        }
        if let Some(usage) = notes.usage.get(&record.id) {
            match self.flaw {
                Flaw::AddressesAreOfTheLastWritten => record.usage.last_from = usage.last_from,
                Flaw::UseCountsAreReplaced | Flaw::UsesAreReadThenWritten => {
                    record.usage.count = usage.count;
                }
                Flaw::UsesMoveBackwards => record.usage.last_at = usage.last_at,
                _ => {}
            }
        }
    }

    /// Writes down one use, and tells of its address as the flaw has it.
    async fn mark(&self, mut one: Use) -> Result<Vec<TokenId>, StoreError> {
        if self.is(Flaw::NewAddressesTellNothing) {
            one.if_new = None;
        }
        let event = one.if_new.clone();
        let token = one.token;
        let used_from = self.row(token).await.map(|row| row.usage.last_from);
        let is_known = self.inner.mark_used(&[one]).await?.is_empty();
        let tells = match self.flaw {
            Flaw::EveryAddressIsNew => matches!(used_from, Some(Some(_))),
            Flaw::FirstAddressesAreNew => matches!(used_from, Some(None)),
            _ => false,
        };
        if let Some(event) = event.as_ref().filter(|_| !is_known) {
            self.note_event(event);
        }
        if let Some(event) = event.filter(|_| tells && is_known) {
            // Of all that tells of something this touches least: a factor of nobody's.
            static FACTORS: AtomicU64 = AtomicU64::new(0);
            let method = format!("n{}", FACTORS.fetch_add(1, Ordering::Relaxed));
            self.inner.change_factor(&sample::owner(9), &method, 0, Some(&[]), &event).await?;
            return Ok(vec![token]);
        }
        Ok(if is_known { Vec::new() } else { vec![token] })
    }

    fn shown(&self, mut record: TokenRecord) -> TokenRecord {
        self.show(&mut record);
        record
    }

    fn show_owner(&self, state: &mut OwnerState) {
        match self.flaw {
            Flaw::GenerationsStandStill => state.generation = 1,
            Flaw::OwnersShowNoSequence => state.sequence = 0,
            Flaw::SequencesGoByTwo => state.sequence *= 2,
            Flaw::UnheardOwnersAreDeactivated if *state == OwnerState::unheard_of() => {
                state.standing = OwnerStanding::Deactivated;
            }
            _ => {}
        }
    }

    fn show_epoch(&self, epoch: Epoch) -> Epoch {
        if self.is(Flaw::EpochsGoByTwo) { Epoch(epoch.0 * 2) } else { epoch }
    }

    fn inner_version(&self, version: u64) -> u64 {
        match self.flaw {
            Flaw::VersionsGoByTwo if version % 2 == 1 => version.div_ceil(2),
            Flaw::VersionsGoByTwo => u64::MAX,
            _ => version,
        }
    }

    /// The presenting token as the inner store is to check it.
    async fn presenter(
        &self,
        presenter: Option<Presenter>,
        at: DateTime<Utc>,
    ) -> Option<Presenter> {
        let mut presenter = presenter?;
        presenter.version = self.inner_version(presenter.version);
        let found = self.inner.find(&Lookup::Id(presenter.token)).await.unwrap();
        let Some(found) = found else {
            let passes = match self.flaw {
                Flaw::UnknownPresentersPass => true,
                _ => match self.elsewhere(Flaw::PresentersAreSharedByRealms) {
                    Some(other) => {
                        other.find(&Lookup::Id(presenter.token)).await.unwrap().is_some()
                    }
                    None => false,
                },
            };
            return if passes { None } else { Some(presenter) };
        };
        let passes = match self.flaw {
            Flaw::DeactivatedPresentersPass => matches!(found.record.state, State::Deactivated(_)),
            Flaw::EarlyPresentersPass => {
                found.record.validity.not_before.is_some_and(|from| from > at)
            }
            Flaw::ExpiredPresentersPass => found.record.validity.expires_at <= Expiry::At(at),
            Flaw::PresentersOfInactiveOwnersPass => found.owner.standing != OwnerStanding::Active,
            Flaw::RevokedPresentersPass => matches!(found.record.state, State::Revoked(_)),
            _ => false,
        };
        if self.is(Flaw::PresenterVersionsAreIgnored) {
            presenter.version = found.record.version;
        }
        if self.is(Flaw::PresentersAreRefused) {
            presenter.version = u64::MAX;
        }
        if passes { None } else { Some(presenter) }
    }

    /// Whether the presenting token is live, decided a moment before it matters.
    async fn was_live(&self, presenter: Presenter) -> bool {
        let found = self.inner.find(&Lookup::Id(presenter.token)).await.unwrap();
        found.is_some_and(|found| {
            found.record.version == presenter.version
                && found.record.state == State::Active
                && found.record.validity.not_before.is_none_or(|from| from <= sample::start())
                && found.record.validity.expires_at > Expiry::At(sample::start())
                && found.owner.standing == OwnerStanding::Active
        })
    }

    /// Tokens of the owner and kind that the record will count with.
    async fn siblings(&self, record: &TokenRecord) -> Vec<TokenRecord> {
        let filter = Filter::of_owner(record.owner.clone()).of_kind(record.kind.clone());
        self.rows(filter).await
    }

    /// The answer or the change of an insert that the flaw puts before the inner store's.
    async fn before_insert(&self, insert: &mut Insert) -> Option<Inserted> {
        let record = insert.record.clone();
        let now = record.created_at;
        let is_live = |row: &&TokenRecord| {
            !matches!(row.state, State::Revoked(_)) && row.validity.expires_at > Expiry::At(now)
        };
        let siblings =
            if self.flaw.is_about_siblings() { self.siblings(&record).await } else { Vec::new() };
        let live = siblings.iter().filter(is_live).count();
        let same_name =
            |row: &&TokenRecord| row.name == record.name && !matches!(row.state, State::Revoked(_));
        let quota = insert.quota.map(|quota| quota as usize);
        let key = insert.idempotency_key.clone().map(|key| match self.flaw {
            Flaw::KeysAreSharedByOwners => key.to_string(),
            _ => format!("{} {key}", record.owner),
        });
        match self.flaw {
            Flaw::KeysAreForgotten => insert.idempotency_key = None,
            Flaw::KeysAreForgottenWithTheirTokens => {
                let repeated = self.notes().keys.get(&key?).copied();
                let row = match repeated {
                    Some(id) => self.row(id).await,
                    None => None,
                };
                if row.is_some_and(|row| matches!(row.state, State::Revoked(_))) {
                    insert.idempotency_key = None;
                }
            }
            Flaw::KeysAreLookedUpBefore => {
                let known = self.notes().keys.get(&key?).copied();
                if let Some(id) = known {
                    return Some(Inserted::AlreadyIssued(id));
                }
                insert.idempotency_key = None;
                self.pause();
            }
            Flaw::KeysAreSharedByOwners
            | Flaw::KeysAreSharedByRealms
            | Flaw::KeysAreUsedUpByRefusals => {
                let key = key?;
                let known = self.notes().keys.get(&key).copied();
                if self.is(Flaw::KeysAreUsedUpByRefusals) {
                    self.notes().keys.entry(key).or_insert(record.id);
                }
                return known.map(Inserted::AlreadyIssued);
            }
            Flaw::NamesAreAlwaysUnique => insert.unique_name = true,
            Flaw::NamesAreComparedBefore if insert.unique_name => {
                insert.unique_name = siblings.iter().any(|row| same_name(&row));
                self.pause();
            }
            Flaw::NamesAreFolded if insert.unique_name => {
                let folded = |row: &TokenRecord| row.name.as_str().trim().to_lowercase();
                let taken = siblings
                    .iter()
                    .any(|row| row.name != record.name && folded(row) == folded(&record));
                return taken.then_some(Inserted::NameTaken);
            }
            Flaw::NamesAreUniqueAcrossKinds if insert.unique_name => {
                let all = self.rows(Filter::of_owner(record.owner.clone())).await;
                let taken = all.iter().any(|row| row.kind != record.kind && same_name(&row));
                return taken.then_some(Inserted::NameTaken);
            }
            Flaw::NamesEndWithExpiry if insert.unique_name => {
                let taken = siblings.iter().filter(same_name).any(|row| is_live(&row));
                insert.unique_name = taken;
            }
            Flaw::NamesOutliveRevocation if insert.unique_name => {
                let revoked = |row: &TokenRecord| matches!(row.state, State::Revoked(_));
                let taken = siblings.iter().any(|row| row.name == record.name && revoked(row));
                return taken.then_some(Inserted::NameTaken);
            }
            Flaw::OldGenerationsGetTokens => {
                insert.record.owner_generation =
                    self.inner.owner(&record.owner).await.unwrap().generation;
            }
            Flaw::GenerationsStandStill if record.owner_generation == 1 => {
                insert.record.owner_generation =
                    self.inner.owner(&record.owner).await.unwrap().generation;
            }
            Flaw::PresentersAreCheckedBefore => {
                let presenter = insert.presenter.take()?;
                if !self.was_live(presenter).await {
                    insert.presenter = Some(presenter);
                }
                self.pause();
            }
            Flaw::QuotasAreCountedBefore => {
                let quota = insert.quota.take()?;
                if live >= quota as usize {
                    insert.quota = Some(quota);
                }
                self.pause();
            }
            Flaw::QuotasAreOneTooLarge => insert.quota = insert.quota.map(|quota| quota + 1),
            Flaw::QuotasAreSharedByRealms => {
                let other = self.elsewhere(self.flaw)?;
                let of_owner = Query::new(Filter::of_owner(record.owner.clone()), 1000);
                let others = other.query(&of_owner).await.unwrap().records.len();
                return (live + others >= quota?).then_some(Inserted::QuotaReached);
            }
            Flaw::QuotasComeBeforeNames => {
                return (live >= quota?).then_some(Inserted::QuotaReached);
            }
            Flaw::QuotasCountAllKinds => {
                let all = self.rows(Filter::of_owner(record.owner.clone())).await;
                let other = all.iter().filter(|row| row.kind != record.kind).count();
                return (other > 0 && live + other >= quota?).then_some(Inserted::QuotaReached);
            }
            Flaw::QuotasCountTheDead => {
                let dead = siblings.len() - live;
                return (dead > 0 && siblings.len() >= quota?).then_some(Inserted::QuotaReached);
            }
            Flaw::QuotasSkipTheDeactivated => {
                let deactivated = |row: &&TokenRecord| matches!(row.state, State::Deactivated(_));
                let skipped = siblings.iter().filter(deactivated).count();
                insert.quota = insert.quota.map(|quota| quota + u32::try_from(skipped).unwrap());
            }
            Flaw::StrayRowsAreStored => insert.record.realm = self.inner.realm().clone(),
            Flaw::UniqueNamesAreIgnored => insert.unique_name = false,
            _ => {}
        }
        None
    }

    /// The inner store's answer to an insert as the flaw tells it.
    async fn after_insert(&self, insert: &Insert, answer: Inserted) -> Inserted {
        let record = || Box::new(insert.record.clone());
        let is_known = self.row(insert.record.id).await.is_some();
        match (self.flaw, &answer) {
            (Flaw::DuplicateDigestsAreAccepted, Inserted::Duplicate) if !is_known => {
                Inserted::Stored(record(), Epoch(0))
            }
            (Flaw::DuplicateIdsAreAccepted, Inserted::Duplicate) if is_known => {
                Inserted::Stored(record(), Epoch(0))
            }
            (Flaw::InactiveOwnersGetTokens, Inserted::OwnerNotActive)
                if self.inner.owner(&insert.record.owner).await.unwrap().standing
                    != OwnerStanding::Active =>
            {
                Inserted::Stored(record(), Epoch(0))
            }
            (Flaw::RefusedInsertsAreEvents, Inserted::Stored(..)) => answer,
            (Flaw::RefusedInsertsAreEvents, _) => {
                self.noise().await;
                answer
            }
            (_, Inserted::Stored(stored, epoch)) => {
                let key = insert.idempotency_key.as_ref().map(|key| match self.flaw {
                    Flaw::KeysAreSharedByOwners => key.to_string(),
                    _ => format!("{} {key}", stored.owner),
                });
                self.notes().keys.extend(key.map(|key| (key, stored.id)));
                self.notes().digests.insert(*stored.digest.digest.as_bytes(), stored.id);
                Inserted::Stored(Box::new(self.shown((**stored).clone())), self.show_epoch(*epoch))
            }
            _ => answer,
        }
    }

    fn note_event(&self, event: &Event) {
        if self.is(Flaw::EventsFollowLater) {
            self.pause();
            let mut notes = self.notes();
            let sequence = notes.log.len() as u64 + 1;
            notes.log.push(StoredEvent { sequence, event: event.clone() });
        }
    }

    async fn descendants(&self, ancestor: TokenId) -> Vec<TokenRecord> {
        let (mut found, mut parents) = (Vec::new(), HashSet::from([ancestor]));
        for row in self.rows(Filter::default()).await {
            if row.parent.is_some_and(|parent| parents.contains(&parent)) {
                parents.insert(row.id);
                found.push(row);
            }
        }
        found
    }
}

#[async_trait]
impl TokenStore for Broken {
    fn realm(&self) -> &RealmId {
        static FIRST: LazyLock<RealmId> = LazyLock::new(sample::realm);
        if self.is(Flaw::HandlesForgetTheirRealm) { &FIRST } else { self.inner.realm() }
    }

    async fn insert(&self, mut insert: Insert) -> Result<Inserted, StoreError> {
        let _step = self.step();
        self.keep(&mut insert.record);
        let asked = insert.clone();
        insert.presenter = self.presenter(insert.presenter, insert.record.created_at).await;
        if let Some(answer) = self.before_insert(&mut insert).await {
            return Ok(answer);
        }
        let owner_was_active = self.is(Flaw::OwnersAreCheckedBefore)
            && matches!(
                self.inner.owner(&insert.record.owner).await?,
                OwnerState { standing: OwnerStanding::Active, generation, .. }
                    if generation == insert.record.owner_generation
            );
        if owner_was_active {
            self.pause();
        }
        let number = match self.flaw {
            Flaw::NumbersStartAgain => {
                self.rows(Filter::default()).await.iter().map(|row| row.number).max()
            }
            _ => None,
        };
        let event = insert.event.clone();
        let answer = self.inner.insert(insert).await?;
        if owner_was_active && matches!(answer, Inserted::OwnerNotActive) {
            self.notes().overlay.insert(asked.record.id, asked.record.clone());
            return Ok(Inserted::Stored(Box::new(asked.record), Epoch(0)));
        }
        if let Inserted::Stored(record, _) = &answer {
            if self.is(Flaw::NumbersStartAgain) {
                self.notes().numbers.insert(record.id, number.unwrap_or(0) + 1);
            }
            self.note_event(&event);
        }
        Ok(self.after_insert(&asked, answer).await)
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let _step = self.step();
        let mut key = key.clone();
        match (self.flaw, &mut key) {
            (Flaw::DigestsAreFoundByBytes, Lookup::Digest { digest, .. }) => {
                let known = self.notes().digests.get(digest.as_bytes()).copied();
                key = known.map_or(key, Lookup::Id);
            }
            (Flaw::NumbersAreNotFound, Lookup::Number(_)) => return Ok(None),
            (Flaw::NumbersShrink, Lookup::Number(number)) => *number = MANY - *number,
            _ => {}
        }
        let mut found = self.inner.find(&key).await?;
        if let (Flaw::ReplacedDigestsAreFound, None, Lookup::Digest { digest, .. }) =
            (self.flaw, &found, &key)
        {
            let known = self.notes().digests.get(digest.as_bytes()).copied();
            if let Some(id) = known {
                found = self.inner.find(&Lookup::Id(id)).await?;
                found = found.filter(|found| !found.record.digest.digest.matches(*digest));
            }
        }
        if let (None, Some(other)) = (&found, self.elsewhere(Flaw::FindingReachesOtherRealms)) {
            found = other.find(&key).await?;
        }
        if let (Lookup::Id(id), true) = (&key, found.is_none() && self.has_ghosts()) {
            let record = self.notes().overlay.get(id).cloned();
            found = record.map(|record| Found::new(record, OwnerState::unheard_of(), Epoch(0)));
        }
        let Some(mut found) = found else {
            return Ok(None);
        };
        if self.notes().hidden.contains(&found.record.id) {
            return Ok(None);
        }
        match self.flaw {
            Flaw::EpochsAreReadAfterwards => {
                self.pause();
                found.epoch = self.inner.invalidations(Epoch(0)).await?.epoch;
            }
            Flaw::EpochsOfFindingLag => found.epoch = Epoch(found.epoch.0.saturating_sub(1)),
            Flaw::OwnersAreNotFound => found.owner = OwnerState::unheard_of(),
            Flaw::OwnersAreReadAfterwards => {
                self.pause();
                found.owner = self.inner.owner(&found.record.owner).await?;
            }
            Flaw::FindingIsStale => {
                found = self.seen.lock().unwrap().entry(found.record.id).or_insert(found).clone();
            }
            _ => {}
        }
        self.show(&mut found.record);
        self.show_owner(&mut found.owner);
        found.epoch = self.show_epoch(found.epoch);
        Ok(Some(found))
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let _step = self.step();
        let mut query = query.clone();
        let filter = &mut query.filter;
        match self.flaw {
            Flaw::EmptyFiltersSelectTheUnrevoked if filter.states.is_none() => {
                *filter = mem::take(filter).unrevoked();
            }
            Flaw::EmptyListsSelectAll => {
                filter.owners = filter.owners.take().filter(|owners| !owners.is_empty());
                filter.states = filter.states.take().filter(|states| !states.is_empty());
            }
            Flaw::FilterIgnoresBeginning => filter.created_from = None,
            Flaw::FilterIgnoresEnd => filter.created_before = None,
            Flaw::FilterIgnoresExceptions => filter.except_owners.clear(),
            Flaw::FilterIgnoresExpired => filter.expired_at = None,
            Flaw::FilterIgnoresKind => filter.kind = None,
            Flaw::FilterIgnoresName => filter.name = None,
            Flaw::FilterIgnoresOutlives => filter.outlives = None,
            Flaw::FilterIgnoresOwner => filter.owner = None,
            Flaw::FilterIgnoresOwners => filter.owners = None,
            Flaw::FilterIgnoresParent => filter.parent = None,
            Flaw::FilterIgnoresStates => filter.states = None,
            Flaw::OutlivesIsStrict => {
                filter.outlives = filter.outlives.map(|at| at + TimeDelta::microseconds(1));
            }
            Flaw::ExpiredIsStrict => {
                filter.expired_at = filter.expired_at.map(|at| at - TimeDelta::microseconds(1));
            }
            Flaw::BeginningIsStrict => {
                filter.created_from = filter.created_from.map(|at| at + TimeDelta::microseconds(1));
            }
            Flaw::EndIsInclusive => {
                filter.created_before =
                    filter.created_before.map(|at| at + TimeDelta::microseconds(1));
            }
            Flaw::ChangedIsUnordered if query.order == Order::Changed => {
                query.order = Order::Number
            }
            Flaw::CreatedIsUnordered if query.order == Order::Created => {
                query.order = Order::Number
            }
            Flaw::ExpiresIsUnordered if query.order == Order::Expires => {
                query.order = Order::Number
            }
            Flaw::OwnerIsUnordered if query.order == Order::Owner => query.order = Order::Number,
            Flaw::NumberIsOfTheLastChange if query.order == Order::Number => {
                query.order = Order::Changed
            }
            Flaw::PagesOfZeroAreEmpty if query.limit == 0 => {
                return Ok(Page::new(Vec::new(), None, None));
            }
            Flaw::OffsetsCountPages => {
                if let Start::Offset(offset) = &mut query.start {
                    *offset = offset.saturating_mul(query.limit);
                }
            }
            _ => {}
        }
        let place = format!("{:?} {}", query.order, query.descending);
        match (self.flaw, query.start.clone()) {
            (Flaw::CursorsAreOffsets, Start::After(Cursor(text))) => {
                let offset = text.strip_prefix(&place).and_then(|text| text.trim().parse().ok());
                query.start = Start::Offset(offset.ok_or(StoreError::InvalidCursor)?);
            }
            (Flaw::TheLastPageIsEmpty, Start::After(Cursor(text))) if text == "end" => {
                return Ok(Page::new(Vec::new(), None, None));
            }
            _ => {}
        }
        let total = if self.is(Flaw::TotalsAreCountedBefore) {
            let all = Query::new(query.filter.clone(), 1000);
            let total = self.inner.query(&all).await?.records.len();
            self.pause();
            Some(total as u64)
        } else {
            None
        };
        let mut page = match self.inner.query(&query).await {
            Err(StoreError::InvalidCursor) if self.is(Flaw::ForgedCursorsBegin) => {
                query.start = Start::Beginning;
                self.inner.query(&query).await?
            }
            page => page?,
        };
        let full = page.records.len() == query.limit as usize;
        match self.flaw {
            Flaw::CursorsAreOffsets => {
                let offset = match query.start {
                    Start::Offset(offset) => offset,
                    _ => 0,
                };
                let next = offset as usize + page.records.len();
                page.next = page.next.map(|_| Cursor(format!("{place} {next}")));
            }
            Flaw::PagesSkipARow
                if matches!(query.start, Start::After(_)) && !page.records.is_empty() =>
            {
                page.records.remove(0);
            }
            Flaw::TheLastPageIsEmpty if full && page.next.is_none() => {
                page.next = Some(Cursor("end".into()))
            }
            Flaw::TiesAscend if query.descending && page.next.is_none() => {
                let order = query.order;
                let key = move |row: &TokenRecord| match order {
                    Order::Changed => row.changed_at.to_string(),
                    Order::Created => row.created_at.to_string(),
                    Order::Expires => format!("{:?}", row.validity.expires_at),
                    Order::Owner => row.owner.to_string(),
                    _ => String::new(),
                };
                if order != Order::Number {
                    page.records = page
                        .records
                        .chunk_by(|a, b| key(a) == key(b))
                        .flat_map(|ties| ties.iter().rev().cloned())
                        .collect();
                }
            }
            Flaw::TotalsAreOfThePage => page.total = page.total.map(|_| page.records.len() as u64),
            _ => {}
        }
        if let Some(other) = self.elsewhere(Flaw::QueriesReachOtherRealms) {
            page.records.extend(other.query(&query).await?.records);
        }
        if let (Some(total), Some(shown)) = (total, &mut page.total) {
            *shown = total;
        }
        let hidden = self.notes().hidden.clone();
        page.records.retain(|row| !hidden.contains(&row.id));
        if self.has_ghosts() {
            let overlay: Vec<_> = self.notes().overlay.values().cloned().collect();
            page.records.extend(overlay.into_iter().filter(|row| query.filter.selects(row)));
        }
        page.records.iter_mut().for_each(|row| self.show(row));
        Ok(page)
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let _step = self.step();
        let asked = change;
        let mut change = change.clone();
        change.expects = change.expects.map(|version| self.inner_version(version));
        change.presenter = self.presenter(change.presenter, change.event.at).await;
        let before = self.row(change.token).await;
        let owner = before.as_ref().map(|row| row.owner.clone());
        let mut sequence = None;
        let mut kept = Vec::new();
        match self.flaw {
            Flaw::CascadesEndAtChildren if change.cascade && change.is_revocation() => {
                kept = self.descendants(change.token).await;
                kept.retain(|row| row.parent != Some(change.token));
            }
            Flaw::CascadesEndAtTheRevoked if change.cascade && change.is_revocation() => {
                let all = self.descendants(change.token).await;
                let revoked: HashSet<_> = all
                    .iter()
                    .filter(|row| matches!(row.state, State::Revoked(_)))
                    .map(|row| row.id)
                    .collect();
                kept = all
                    .into_iter()
                    .filter(|row| row.parent.is_some_and(|p| revoked.contains(&p)))
                    .collect();
            }
            Flaw::EditsForgetNotes => change.patch.note = None,
            Flaw::EveryRevocationCascades => change.cascade = true,
            Flaw::PresentersComeFirst => {
                if let Some(presenter) = change.presenter
                    && !self.was_live(presenter).await
                {
                    return Ok(Applied::PresenterChanged);
                }
            }
            Flaw::PresentersAreCheckedBefore => {
                if let Some(presenter) = change.presenter.take() {
                    if !self.was_live(presenter).await {
                        change.presenter = Some(presenter);
                    }
                    self.pause();
                }
            }
            Flaw::ReasonsAreLost => {
                if let Some(state) = &mut change.patch.state {
                    forget_why(state);
                }
            }
            Flaw::RevocationsExpectAVersion
                if change.is_revocation() && change.expects.is_none() =>
            {
                change.expects = before.as_ref().map(|row| row.version);
                self.pause();
            }
            Flaw::SequencesAreTakenBefore => {
                if let Some(owner) = &owner {
                    let stored = self.inner.owner(owner).await?.sequence;
                    let mut notes = self.notes();
                    let last = notes.sequences.entry(owner.clone()).or_default();
                    *last = stored.max(*last) + 1;
                    sequence = Some(*last);
                    drop(notes);
                    self.pause();
                }
            }
            Flaw::VersionsAreComparedBefore => {
                let version = before.as_ref().map(|row| row.version);
                if change.expects == version {
                    change.expects = None;
                }
                self.pause();
            }
            Flaw::VersionsAreIgnored => change.expects = None,
            _ => {}
        }
        if let (None, Some(other)) = (&before, self.elsewhere(Flaw::ChangesReachOtherRealms)) {
            return other.apply(&change).await;
        }
        let answer = self.inner.apply(&change).await?;
        if matches!(answer, Applied::Done { .. }) {
            self.note_event(&change.event);
            if let (Flaw::DigestsAreFoundByBytes, Some(_), Some(before)) =
                (self.flaw, &change.patch.secret, &before)
            {
                self.notes().digests.remove(before.digest.digest.as_bytes());
            }
        }
        match answer {
            Applied::Done { mut record, epoch, mut cascaded } => {
                if self.is(Flaw::ChangesTakeTheTimeOfTheirEvents) {
                    self.notes().changed_at.insert(record.id, asked.event.at);
                }
                if let (Flaw::CascadesTakeSiblings, Some(parent), true) =
                    (self.flaw, record.parent, change.cascade)
                {
                    let mut siblings = Filter::default();
                    siblings.parent = Some(parent);
                    let end = MassRevocation::new(siblings, sample::ended(1), change.event.clone());
                    cascaded.extend(self.inner.revoke_all(&end).await?.tokens);
                }
                cascaded.retain(|id| kept.iter().all(|row| row.id != *id));
                self.notes().overlay.extend(kept.into_iter().map(|row| (row.id, row)));
                record.changed_sequence = sequence.unwrap_or(record.changed_sequence);
                self.show(&mut record);
                Ok(Applied::Done { record, epoch: self.show_epoch(epoch), cascaded })
            }
            Applied::Revoked(mut record) if self.is(Flaw::RevokedTokensAreChanged) => {
                change.patch.apply(&mut record, change.event.at);
                Ok(Applied::Done { record, epoch: Epoch(0), cascaded: Vec::new() })
            }
            refusal => {
                if let Some(owner) = owner {
                    self.notes().sequences.remove(&owner);
                }
                if self.is(Flaw::RefusedChangesAreEvents) {
                    self.noise().await;
                }
                Ok(match refusal {
                    Applied::Conflict(record) => Applied::Conflict(Box::new(self.shown(*record))),
                    Applied::Revoked(record) => Applied::Revoked(Box::new(self.shown(*record))),
                    Applied::Missing if self.is(Flaw::MissingIsNotTold) => {
                        Applied::PresenterChanged
                    }
                    other => other,
                })
            }
        }
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let _step = self.step();
        let mut revocation = revocation.clone();
        let before = self.rows(revocation.filter.clone().unrevoked()).await;
        match self.flaw {
            Flaw::MassRevocationsCollectFirst => {
                self.pause();
                let mut tokens = Vec::new();
                for row in before.iter().filter(|row| revocation.except != Some(row.id)) {
                    let mut patch = keyfob::core::change::Patch::default();
                    patch.state = Some(State::Revoked(revocation.end.clone()));
                    let change = Change::new(row.id, patch, revocation.event.clone());
                    if let Applied::Done { record, .. } = self.inner.apply(&change).await? {
                        tokens.push(record.id);
                    }
                }
                return Ok(Revoked::new(tokens, self.noise().await));
            }
            Flaw::MassRevocationsIgnoreExceptions => revocation.except = None,
            Flaw::MassRevocationsIgnoreKinds => revocation.filter.kind = None,
            Flaw::ReasonsAreLost => revocation.end.why = None,
            _ => {}
        }
        if let Some(other) = self.elsewhere(Flaw::RevocationsReachOtherRealms) {
            other.revoke_all(&revocation).await?;
        }
        let mut revoked = self.inner.revoke_all(&revocation).await?;
        match self.flaw {
            Flaw::MassRevocationsAreTwoSteps => revoked.epoch = self.noise().await,
            Flaw::MassRevocationsKeepVersions => {
                for mut row in before.into_iter().filter(|row| revoked.tokens.contains(&row.id)) {
                    row.state = State::Revoked(revocation.end.clone());
                    row.changed_at = revocation.end.at;
                    self.notes().overlay.insert(row.id, row);
                }
            }
            Flaw::MassRevocationsTellNothing => revoked.tokens.clear(),
            _ => {}
        }
        self.note_event(&revocation.event);
        revoked.epoch = self.show_epoch(revoked.epoch);
        Ok(revoked)
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        let _step = self.step();
        let mut told = Vec::new();
        for one in uses {
            let known = self.row(one.token).await;
            if known.is_none() && self.is(Flaw::UsesEndAtTheUnknown) {
                break;
            }
            if let (None, Some(other)) = (&known, self.elsewhere(Flaw::UsesReachOtherRealms)) {
                other.mark_used(std::slice::from_ref(one)).await?;
            }
            let before = self.notes().usage.get(&one.token).copied();
            if self.is(Flaw::UsesAreReadThenWritten) {
                self.pause();
            }
            let mut usage = one.usage;
            if self.is(Flaw::UsesAreReadThenWritten) {
                usage.count += before.map_or(0, |before| before.count);
            }
            usage.last_at = usage.last_at.or_else(|| before?.last_at);
            self.notes().usage.insert(one.token, usage);
            told.extend(self.mark(one.clone()).await?);
        }
        if self.is(Flaw::UsesAreMutations) {
            self.noise().await;
        }
        Ok(told)
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        let _step = self.step();
        let spent = self.row(token).await.map(|row| row.spent);
        if self.is(Flaw::SpendingIsReadThenWritten) {
            self.pause();
        }
        match self.flaw {
            Flaw::SpendingHasNoEnd => {
                self.inner.spend(token, NonZeroU32::MAX).await?;
                return Ok(true);
            }
            Flaw::SpendingIsAMutation => {
                self.noise().await;
            }
            Flaw::SpendingIsReadThenWritten if spent.is_some_and(|spent| spent < uses.get()) => {
                return self.inner.spend(token, NonZeroU32::MAX).await;
            }
            Flaw::SpendingTakesWhatIsBlocked if spent.is_some_and(|spent| spent < uses.get()) => {
                self.inner.spend(token, uses).await?;
                return Ok(true);
            }
            _ => {}
        }
        self.inner.spend(token, uses).await
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        let _step = self.step();
        let mut state = self.inner.owner(owner).await?;
        if let Some(other) = self.elsewhere(Flaw::OwnersAreSharedByRealms) {
            state = other.owner(owner).await?;
        }
        self.show_owner(&mut state);
        Ok(state)
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        let _step = self.step();
        let mut change = change.clone();
        change.presenter = self.presenter(change.presenter, change.at).await;
        let all = Filter::of_owner(change.owner.clone()).unrevoked();
        let rows = self.rows(all).await;
        let OwnerSet::Done(mut changed) = self.inner.set_owner(&change).await? else {
            return Ok(OwnerSet::PresenterChanged);
        };
        match (self.flaw, change.standing) {
            (Flaw::DeactivationsReachTokens, OwnerStanding::Deactivated) if changed.changed => {
                for row in rows.iter().filter(|row| row.state == State::Active) {
                    let mut patch = keyfob::core::change::Patch::default();
                    patch.state = Some(State::Deactivated(sample::ended(1)));
                    let event = sample::event(EventKind::TokenDeactivated, row, change.at);
                    self.inner.apply(&Change::new(row.id, patch, event)).await?;
                }
            }
            (Flaw::DeletionsKeepTokens, OwnerStanding::Deleted) => {
                self.notes().overlay.extend(rows.into_iter().map(|row| (row.id, row)));
            }
            (Flaw::StandingsAreSetAgain, _) if !changed.changed => {
                changed.epoch = self.noise().await;
                changed.changed = true;
            }
            _ => {}
        }
        if changed.changed {
            self.note_event(&change.event);
        }
        self.show_owner(&mut changed.state);
        changed.epoch = self.show_epoch(changed.epoch);
        Ok(OwnerSet::Done(changed))
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        let _step = self.step();
        let asked = match self.flaw {
            Flaw::ChangesSinceIncludeTheFirst => Epoch(since.0.saturating_sub(1)),
            Flaw::EpochsGoByTwo => Epoch(since.0.div_ceil(2)),
            _ => since,
        };
        let mut listed = self.inner.invalidations(asked).await?;
        if let Some(other) = self.elsewhere(Flaw::EpochsAreSharedByRealms) {
            listed = other.invalidations(asked).await?;
        }
        if let Some(changes) = &mut listed.changes {
            match self.flaw {
                Flaw::OwnersAreNotInvalidated => {
                    changes.retain(|(_, touched)| !matches!(touched, Touched::Owner(_)));
                }
                Flaw::CascadesInvalidateOneToken => {
                    changes.retain(|(_, touched)| *touched != Touched::Everything);
                }
                _ => {}
            }
            changes.iter_mut().for_each(|(epoch, _)| *epoch = self.show_epoch(*epoch));
        }
        if self.is(Flaw::EpochsToComeAreKnown) {
            listed.changes = listed.changes.or(Some(Vec::new()));
        }
        listed.epoch = self.show_epoch(listed.epoch);
        Ok(listed)
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        let _step = self.step();
        match self.flaw {
            Flaw::FirstReportsStay => {
                let known = self.inner.nodes().await?;
                if known.iter().any(|known| known.node == report.node) {
                    return Ok(());
                }
            }
            Flaw::NodesAreForgottenEarly => {
                for known in self.inner.nodes().await? {
                    if report.at - known.at > TimeDelta::minutes(1) {
                        self.inner.forget_node(known.node).await?;
                    }
                }
            }
            Flaw::ReportsAreChanges => {
                let mut record = sample::record(&sample::owner(9), 9);
                record.realm = self.inner.realm().clone();
                self.inner.insert(sample::insert(record)).await?;
            }
            _ => {}
        }
        self.elsewhere(Flaw::NodesAreSharedByRealms)
            .unwrap_or_else(|| self.inner.clone())
            .report_node(report)
            .await
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        let elsewhere = self.elsewhere(Flaw::NodesAreSharedByRealms);
        elsewhere.unwrap_or_else(|| self.inner.clone()).nodes().await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        if self.is(Flaw::NodesThatHaveGoneStay) {
            return Ok(());
        }
        let elsewhere = self.elsewhere(Flaw::NodesAreSharedByRealms);
        elsewhere.unwrap_or_else(|| self.inner.clone()).forget_node(node).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let _step = self.step();
        let mut query = query.clone();
        match self.flaw {
            Flaw::EventsAfterIncludeTheFirst => query.after = query.after.saturating_sub(1),
            Flaw::EventsAreNotFilteredByOwner => query.owner = None,
            Flaw::EventsAreNotFilteredByToken => query.token = None,
            Flaw::ListsOfZeroEventsAreEmpty if query.limit == 0 => return Ok(Vec::new()),
            Flaw::EventsFollowLater => {
                let log = self.notes().log.clone();
                let chosen = log.into_iter().filter(|stored| stored.sequence > query.after);
                let chosen = chosen
                    .filter(|stored| query.token.is_none() || stored.event.token == query.token)
                    .filter(|stored| query.owner.is_none() || stored.event.owner == query.owner);
                return Ok(chosen.take(query.limit.clamp(1, 1000) as usize).collect());
            }
            _ => {}
        }
        if let Some(other) = self.elsewhere(Flaw::EventsAreSharedByRealms) {
            return other.events(&query).await;
        }
        let mut events = self.inner.events(&query).await?;
        match self.flaw {
            Flaw::EditsAreNoEvents => {
                events.retain(|stored| stored.event.kind != EventKind::TokenEdited)
            }
            Flaw::EventsForgetWhy => events.iter_mut().for_each(|stored| stored.event.why = None),
            Flaw::EventsArePrunedWithTokens => {
                let rows = self.rows(Filter::default()).await;
                let is_there = |id: TokenId| rows.iter().any(|row| row.id == id);
                events.retain(|stored| stored.event.token.is_none_or(is_there));
            }
            _ => {}
        }
        Ok(events)
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let _step = self.step();
        let (mut before, mut limit) = (dead_before, limit);
        match self.flaw {
            Flaw::PruningIgnoresItsLimit => limit = u32::MAX,
            Flaw::PruningTakesTheInstantToo => before += TimeDelta::microseconds(1),
            Flaw::PruningWaitsForTheLaterEnd => {
                let later = |row: &TokenRecord| {
                    row.validity.expires_at < Expiry::At(dead_before)
                        && matches!(&row.state, State::Revoked(end) if end.at >= dead_before)
                };
                let mut kept = self.rows(Filter::default()).await;
                kept.retain(later);
                let count = kept.len() as u64;
                self.notes().overlay.extend(kept.into_iter().map(|row| (row.id, row)));
                return Ok(self.inner.prune(before, limit).await? - count);
            }
            Flaw::PruningTakesParents => {
                for row in self.rows(Filter::default()).await {
                    let mut children = Filter::default();
                    children.parent = Some(row.id);
                    let dead = matches!(&row.state, State::Revoked(end) if end.at < dead_before);
                    if dead && !self.rows(children).await.is_empty() {
                        self.notes().hidden.insert(row.id);
                    }
                }
            }
            _ => {}
        }
        if let Some(other) = self.elsewhere(Flaw::PruningReachesOtherRealms) {
            return other.prune(before, limit).await;
        }
        self.inner.prune(before, limit).await
    }
}

fn forget_why(state: &mut State) {
    if let State::Deactivated(Ended { why, .. }) | State::Revoked(Ended { why, .. }) = state {
        *why = None;
    }
}

/// More than any law inserts.
const MANY: u64 = 1_000_000;
