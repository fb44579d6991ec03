//! One realm's tokens, owners, events and factors, changed one step at a time.

mod uses;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::factors::Factors;
use super::nodes::Nodes;
use crate::core::change::{Change, Presenter};
use crate::core::digest::{DigestScheme, StoredDigest};
use crate::core::event::Event;
use crate::core::id::{IdempotencyKey, KeyId, OwnerId, TokenId};
use crate::core::owner::{OwnerStanding, OwnerState};
use crate::core::token::{Ended, Expiry, State, TokenRecord};
use crate::ports::store::{
    Applied, Epoch, EventQuery, Filter, Found, Insert, Inserted, Invalidations, Lookup,
    MassRevocation, OwnerChange, OwnerChanged, OwnerSet, Query, Revoked, StoredEvent, Touched,
};

#[derive(Default)]
pub(super) struct Realm {
    rows: BTreeMap<u64, TokenRecord>,
    by_id: HashMap<TokenId, u64>,
    by_digest: HashMap<DigestKey, u64>,
    by_owner: HashMap<OwnerId, BTreeSet<u64>>,
    owners: HashMap<OwnerId, OwnerState>,
    issued: HashMap<(OwnerId, IdempotencyKey), TokenId>,
    /// Where each token was used from, by its number, the oldest first.
    known_addresses: HashMap<u64, VecDeque<IpAddr>>,
    events: VecDeque<StoredEvent>,
    changes: VecDeque<(Epoch, Touched, DateTime<Utc>)>,
    last_number: u64,
    last_event: u64,
    pub(super) epoch: Epoch,
    pub(super) factors: Factors,
    pub(super) nodes: Nodes,
}

type DigestKey = (DigestScheme, Option<KeyId>, [u8; 32]);

impl Realm {
    pub(super) fn insert(&mut self, insert: Insert) -> Inserted {
        let mut record = insert.record;
        let now = record.created_at;
        let issued = insert.idempotency_key.map(|key| (record.owner.clone(), key));
        if let Some(id) = issued.as_ref().and_then(|issued| self.issued.get(issued)) {
            return Inserted::AlreadyIssued(*id);
        }
        if !self.is_presented(insert.presenter, now) {
            return Inserted::PresenterChanged;
        }
        let owner = self.owner(&record.owner);
        if owner.standing != OwnerStanding::Active || owner.generation != record.owner_generation {
            return Inserted::OwnerNotActive;
        }
        let same_kind =
            Filter::of_owner(record.owner.clone()).of_kind(record.kind.clone()).unrevoked();
        if insert.unique_name && self.select(&same_kind).iter().any(|row| row.name == record.name) {
            return Inserted::NameTaken;
        }
        if let Some(quota) = insert.quota {
            let siblings = self.select(&same_kind).into_iter();
            let live = siblings.filter(|row| row.validity.expires_at > Expiry::At(now)).count();
            if live >= usize::try_from(quota).unwrap_or(usize::MAX) {
                return Inserted::QuotaReached;
            }
        }
        let digest = digest_key(&record.digest);
        if self.by_id.contains_key(&record.id) || self.by_digest.contains_key(&digest) {
            return Inserted::Duplicate;
        }
        self.last_number = self.last_number.saturating_add(1);
        record.number = self.last_number;
        record.changed_sequence = self.next_sequence(&record.owner);
        record.version = 1;
        self.by_id.insert(record.id, record.number);
        self.by_digest.insert(digest, record.number);
        self.by_owner.entry(record.owner.clone()).or_default().insert(record.number);
        if let Some(issued) = issued {
            self.issued.insert(issued, record.id);
        }
        self.rows.insert(record.number, record.clone());
        let epoch = self.advance(Touched::Token(record.id), insert.event);
        Inserted::Stored(Box::new(record), epoch)
    }

    pub(super) fn find(&self, key: &Lookup) -> Option<Found> {
        let number = match key {
            Lookup::Digest { scheme, key, digest } => {
                self.by_digest.get(&(*scheme, key.clone(), *digest.as_bytes()))
            }
            Lookup::Id(id) => self.by_id.get(id),
            Lookup::Number(number) => Some(number),
        }?;
        let record = self.rows.get(number)?.clone();
        let owner = self.owner(&record.owner);
        Some(Found::new(record, owner, self.epoch))
    }

    pub(super) fn select(&self, filter: &Filter) -> Vec<&TokenRecord> {
        let candidates: Box<dyn Iterator<Item = &TokenRecord>> = match &filter.owner {
            Some(owner) => {
                let numbers = self.by_owner.get(owner).into_iter().flatten();
                Box::new(numbers.filter_map(|number| self.rows.get(number)))
            }
            None => Box::new(self.rows.values()),
        };
        candidates.filter(|record| filter.selects(record)).collect()
    }

    pub(super) fn apply(&mut self, change: &Change) -> Applied {
        let Some(number) = self.by_id.get(&change.token).copied() else {
            return Applied::Missing;
        };
        let Some(record) = self.rows.get(&number) else {
            return Applied::Missing;
        };
        if let State::Revoked(_) = record.state {
            return Applied::Revoked(Box::new(record.clone()));
        }
        if change.expects.is_some_and(|version| version != record.version) {
            return Applied::Conflict(Box::new(record.clone()));
        }
        if !self.is_presented(change.presenter, change.event.at) {
            return Applied::PresenterChanged;
        }
        let mut record = record.clone();
        self.by_digest.remove(&digest_key(&record.digest));
        change.patch.apply(&mut record, change.event.at);
        self.by_digest.insert(digest_key(&record.digest), number);
        let record = self.put(record);
        let mut cascaded = Vec::new();
        if let (true, Some(State::Revoked(end))) = (change.cascade, &change.patch.state) {
            cascaded = self.descendants(change.token);
            self.revoke(&cascaded, end);
        }
        let touched =
            if cascaded.is_empty() { Touched::Token(change.token) } else { Touched::Everything };
        let epoch = self.advance(touched, change.event.clone());
        Applied::Done { record: Box::new(record), epoch, cascaded }
    }

    pub(super) fn revoke_all(&mut self, revocation: &MassRevocation) -> Revoked {
        let tokens: Vec<TokenId> = self
            .select(&revocation.filter)
            .into_iter()
            .filter(|record| !matches!(record.state, State::Revoked(_)))
            .map(|record| record.id)
            .filter(|id| Some(*id) != revocation.except)
            .collect();
        self.revoke(&tokens, &revocation.end);
        let touched = match &revocation.filter.owner {
            Some(owner) => Touched::Owner(owner.clone()),
            None => Touched::Everything,
        };
        let epoch = self.advance(touched, revocation.event.clone());
        Revoked::new(tokens, epoch)
    }

    pub(super) fn owner(&self, owner: &OwnerId) -> OwnerState {
        self.owners.get(owner).copied().unwrap_or(OwnerState::unheard_of())
    }

    pub(super) fn set_owner(&mut self, change: &OwnerChange) -> OwnerSet {
        if !self.is_presented(change.presenter, change.at) {
            return OwnerSet::PresenterChanged;
        }
        let before = self.owner(&change.owner);
        if before.standing == change.standing {
            return OwnerSet::Done(OwnerChanged::new(before, self.epoch, false));
        }
        self.owners.insert(change.owner.clone(), before.becoming(change.standing, change.at));
        if change.standing == OwnerStanding::Deleted {
            let end = Ended::new(change.event.by.clone(), change.event.why.clone(), change.at);
            let all = self.select(&Filter::of_owner(change.owner.clone()).unrevoked());
            let tokens: Vec<TokenId> = all.into_iter().map(|record| record.id).collect();
            self.revoke(&tokens, &end);
        }
        let epoch = self.advance(Touched::Owner(change.owner.clone()), change.event.clone());
        OwnerSet::Done(OwnerChanged::new(self.owner(&change.owner), epoch, true))
    }

    pub(super) fn invalidations(&self, since: Epoch) -> Invalidations {
        let oldest =
            self.changes.front().map_or(self.epoch.0, |(epoch, ..)| epoch.0.saturating_sub(1));
        if since.0 < oldest || since > self.epoch {
            return Invalidations::new(self.epoch, None, None);
        }
        let news = self.changes.partition_point(|(epoch, ..)| *epoch <= since);
        let first_at = self.changes.get(news).map(|(.., at)| *at);
        let changes =
            self.changes.range(news..).map(|(epoch, touched, _)| (*epoch, touched.clone()));
        Invalidations::new(self.epoch, Some(changes.collect()), None).first_at(first_at)
    }

    pub(super) fn events(&self, query: &EventQuery) -> Vec<StoredEvent> {
        let limit =
            usize::try_from(query.limit.clamp(1, Query::LARGEST_PAGE)).unwrap_or(usize::MAX);
        self.events
            .iter()
            .filter(|stored| stored.sequence > query.after)
            .filter(|stored| query.token.is_none() || stored.event.token == query.token)
            .filter(|stored| query.owner.is_none() || stored.event.owner == query.owner)
            .take(limit)
            .cloned()
            .collect()
    }

    pub(super) fn prune(&mut self, dead_before: DateTime<Utc>, limit: u32) -> u64 {
        let parents: HashSet<TokenId> =
            self.rows.values().filter_map(|record| record.parent).collect();
        let is_dead = |record: &&TokenRecord| {
            record.validity.expires_at < Expiry::At(dead_before)
                || matches!(&record.state, State::Revoked(end) if end.at < dead_before)
        };
        let dead: Vec<u64> = self
            .rows
            .values()
            .filter(is_dead)
            .filter(|record| !parents.contains(&record.id))
            .map(|record| record.number)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        for record in dead.iter().filter_map(|number| self.rows.remove(number)).collect::<Vec<_>>()
        {
            self.by_id.remove(&record.id);
            self.known_addresses.remove(&record.number);
            self.by_digest.remove(&digest_key(&record.digest));
            if let Some(numbers) = self.by_owner.get_mut(&record.owner) {
                numbers.remove(&record.number);
            }
        }
        u64::try_from(dead.len()).unwrap_or(u64::MAX)
    }

    /// Whether the presenting token, if there is one, is what the decision took it for.
    fn is_presented(&self, presenter: Option<Presenter>, now: DateTime<Utc>) -> bool {
        let Some(presenter) = presenter else {
            return true;
        };
        let found = self.find(&Lookup::Id(presenter.token));
        found.is_some_and(|found| found.presents(presenter, now))
    }

    /// Everything that was minted by a token, and by what it minted, and is not revoked.
    fn descendants(&self, ancestor: TokenId) -> Vec<TokenId> {
        let mut found = Vec::new();
        let mut parents = HashSet::from([ancestor]);
        // A token is inserted after the one that mints it, so one pass in order finds them all.
        for record in self.rows.values() {
            if record.parent.is_some_and(|parent| parents.contains(&parent)) {
                parents.insert(record.id);
                if !matches!(record.state, State::Revoked(_)) {
                    found.push(record.id);
                }
            }
        }
        found
    }

    fn revoke(&mut self, tokens: &[TokenId], end: &Ended) {
        for id in tokens {
            let row = self.by_id.get(id).and_then(|number| self.rows.get(number)).cloned();
            if let Some(mut record) = row {
                record.end(end);
                self.put(record);
            }
        }
    }

    /// Writes a changed row back as its next version.
    fn put(&mut self, mut record: TokenRecord) -> TokenRecord {
        record.version = record.version.saturating_add(1);
        record.changed_sequence = self.next_sequence(&record.owner);
        self.rows.insert(record.number, record.clone());
        record
    }

    fn next_sequence(&mut self, owner: &OwnerId) -> u64 {
        let state = self.owners.entry(owner.clone()).or_insert(OwnerState::unheard_of());
        state.sequence = state.sequence.saturating_add(1);
        state.sequence
    }

    fn advance(&mut self, touched: Touched, event: Event) -> Epoch {
        self.epoch = Epoch(self.epoch.0.saturating_add(1));
        if self.changes.len() == REMEMBERED_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((self.epoch, touched, event.at));
        self.append(event);
        self.nodes.wake();
        self.epoch
    }

    pub(super) fn append(&mut self, event: Event) {
        self.last_event = self.last_event.saturating_add(1);
        if self.events.len() == REMEMBERED_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(StoredEvent { sequence: self.last_event, event });
    }
}

fn digest_key(stored: &StoredDigest) -> DigestKey {
    (stored.scheme, stored.key.clone(), *stored.digest.as_bytes())
}

/// A reader that is further behind has missed seconds of the fastest writer; it starts anew.
const REMEMBERED_CHANGES: usize = 10_000;

/// Memory is no archive: older events are forgotten.
const REMEMBERED_EVENTS: usize = 100_000;
