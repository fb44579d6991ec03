//! A store as the documentation of `TokenStore` has it, without any thought of speed.
//!
//! What the documentation leaves to the store is given by hand: numbers, and in which order the
//! tokens of one owner get their sequence when one step ends several of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use keyfob::core::change::{Change, Presenter};
use keyfob::core::digest::StoredDigest;
use keyfob::core::event::Event;
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::core::token::{Ended, Expiry, State, TokenRecord};
use keyfob::ports::store::{
    Applied, Epoch, Filter, Found, Insert, Inserted, Lookup, MassRevocation, OwnerChange,
    OwnerChanged, OwnerSet, Query, Revoked, Touched, Use,
};
use keyfob::{IdempotencyKey, OwnerId, TokenId};

use super::place::Place;

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// In the order of insertion.
    pub(crate) rows: Vec<TokenRecord>,
    pub(crate) events: Vec<Event>,
    /// What each epoch touched, tokens with their owners.
    pub(crate) touched: Vec<Vec<(Touched, OwnerId)>>,
    /// Where each token was used from, by its number, in the order in which that was met.
    places: BTreeMap<u64, Vec<IpAddr>>,
    pub(crate) keys: BTreeMap<(OwnerId, IdempotencyKey), TokenId>,
    owners: BTreeMap<OwnerId, OwnerState>,
    /// The epoch of the store before the first change.
    pub(crate) start: Epoch,
}

impl Model {
    /// Of a realm without tokens.
    pub(crate) fn new(start: Epoch) -> Self {
        Self { start, ..Self::default() }
    }

    pub(crate) fn insert(&mut self, insert: &Insert) -> Inserted {
        let mut record = insert.record.clone();
        let key = insert.idempotency_key.clone().map(|key| (record.owner.clone(), key));
        if let Some(id) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return Inserted::AlreadyIssued(*id);
        }
        if !self.is_presented(insert.presenter, record.created_at) {
            return Inserted::PresenterChanged;
        }
        let owner = self.owner(&record.owner);
        if owner.standing != OwnerStanding::Active || owner.generation != record.owner_generation {
            return Inserted::OwnerNotActive;
        }
        let siblings = || {
            let same = |row: &&TokenRecord| row.owner == record.owner && row.kind == record.kind;
            self.rows.iter().filter(same).filter(|row| !is_revoked(row))
        };
        if insert.unique_name && siblings().any(|row| row.name == record.name) {
            return Inserted::NameTaken;
        }
        let is_live = |row: &&TokenRecord| row.validity.expires_at > Expiry::At(record.created_at);
        let live = siblings().filter(is_live).count();
        if insert.quota.is_some_and(|quota| live >= quota as usize) {
            return Inserted::QuotaReached;
        }
        let is_there =
            |row: &TokenRecord| row.id == record.id || is_same(&row.digest, &record.digest);
        if self.rows.iter().any(is_there) {
            return Inserted::Duplicate;
        }
        record.version = 1;
        record.changed_sequence = self.next_sequence(&record.owner);
        self.keys.extend(key.map(|key| (key, record.id)));
        self.rows.push(record.clone());
        let epoch = self.advance(vec![touched(&record)], &insert.event);
        Inserted::Stored(Box::new(record), epoch)
    }

    pub(crate) fn find(&self, key: &Lookup) -> Option<Found> {
        let is_meant = |row: &&TokenRecord| match key {
            Lookup::Digest { scheme, key, digest } => {
                is_same(&row.digest, &StoredDigest::new(*scheme, key.clone(), *digest))
            }
            Lookup::Id(id) => row.id == *id,
            Lookup::Number(number) => row.number == *number,
            _ => unreachable!("no other key is drawn"),
        };
        let row = self.rows.iter().find(is_meant)?;
        Some(Found::new(row.clone(), self.owner(&row.owner), self.epoch()))
    }

    /// All rows that the query means, in its order; where its pages begin is not looked at.
    pub(crate) fn list(&self, query: &Query) -> Vec<TokenRecord> {
        let mut rows: Vec<_> =
            self.rows.iter().filter(|row| query.filter.selects(row)).cloned().collect();
        rows.sort_by_key(|row| Place::of(row, query.order));
        if query.descending {
            rows.reverse();
        }
        rows
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Applied {
        let Some(row) = self.row(change.token).cloned() else {
            return Applied::Missing;
        };
        if is_revoked(&row) {
            return Applied::Revoked(Box::new(row));
        }
        if change.expects.is_some_and(|version| version != row.version) {
            return Applied::Conflict(Box::new(row));
        }
        if !self.is_presented(change.presenter, change.event.at) {
            return Applied::PresenterChanged;
        }
        let record = self.change(row.id, |row| change.patch.apply(row, change.event.at));
        let mut cascaded = Vec::new();
        if let (true, Some(State::Revoked(end))) = (change.cascade, &change.patch.state) {
            cascaded = self.revoke(end, |model, row| model.descends(row, change.token));
        }
        let ended: Vec<_> = cascaded.iter().chain([&record]).map(touched).collect();
        let epoch = self.advance(ended, &change.event);
        let cascaded = ids(&cascaded);
        Applied::Done { record: Box::new(record), epoch, cascaded }
    }

    pub(crate) fn revoke_all(&mut self, revocation: &MassRevocation) -> Revoked {
        let ended = self.revoke(&revocation.end, |_, row| {
            revocation.filter.selects(row) && Some(row.id) != revocation.except
        });
        let epoch = self.advance(ended.iter().map(touched).collect(), &revocation.event);
        Revoked::new(ids(&ended), epoch)
    }

    pub(crate) fn mark_used(&mut self, uses: &[Use]) -> Vec<TokenId> {
        let mut told = Vec::new();
        for used in uses {
            for row in self.rows.iter_mut().filter(|row| row.id == used.token) {
                if used.usage.last_at > row.usage.last_at {
                    row.usage.last_at = used.usage.last_at;
                    row.usage.last_from = used.usage.last_from;
                }
                row.usage.count += used.usage.count;
                let Some(address) = used.usage.last_from else { continue };
                let known = self.places.entry(row.number).or_default();
                if known.iter().rev().take(Use::KNOWN_ADDRESSES).all(|known| *known != address) {
                    known.push(address);
                    if let Some(event) = used.if_new.clone().filter(|_| known.len() > 1) {
                        told.push(used.token);
                        self.events.push(event);
                    }
                }
            }
        }
        told
    }

    pub(crate) fn spend(&mut self, token: TokenId, uses: NonZeroU32) -> bool {
        let mut rows = self.rows.iter_mut();
        match rows.find(|row| row.id == token && row.state == State::Active) {
            Some(row) if row.spent < uses.get() => {
                row.spent += 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn owner(&self, owner: &OwnerId) -> OwnerState {
        self.owners.get(owner).copied().unwrap_or(OwnerState::unheard_of())
    }

    pub(crate) fn set_owner(&mut self, change: &OwnerChange) -> OwnerSet {
        if !self.is_presented(change.presenter, change.at) {
            return OwnerSet::PresenterChanged;
        }
        let mut state = self.owner(&change.owner);
        if state.standing == change.standing {
            return OwnerSet::Done(OwnerChanged::new(state, self.epoch(), false));
        }
        // Whoever leaves the grave is somebody else.
        state.generation += u32::from(state.standing == OwnerStanding::Deleted);
        state.standing = change.standing;
        state.sequence += 1;
        state.changed_at = Some(change.at);
        self.owners.insert(change.owner.clone(), state);
        if change.standing == OwnerStanding::Deleted {
            let end = Ended::new(change.event.by.clone(), change.event.why.clone(), change.at);
            self.revoke(&end, |_, row| row.owner == change.owner);
        }
        let owner = change.owner.clone();
        let epoch = self.advance(vec![(Touched::Owner(owner.clone()), owner)], &change.event);
        OwnerSet::Done(OwnerChanged::new(self.owner(&change.owner), epoch, true))
    }

    /// Which tokens may be forgotten, once what they minted is.
    pub(crate) fn dead_before(&self, at: chrono::DateTime<chrono::Utc>) -> Vec<TokenId> {
        let is_dead = |row: &&TokenRecord| {
            let revoked = matches!(&row.state, State::Revoked(end) if end.at < at);
            revoked || row.validity.expires_at < Expiry::At(at)
        };
        self.rows.iter().filter(is_dead).map(|row| row.id).collect()
    }

    pub(crate) fn has_minted(&self, parent: TokenId) -> bool {
        self.rows.iter().any(|row| row.parent == Some(parent))
    }

    pub(crate) fn row(&self, id: TokenId) -> Option<&TokenRecord> {
        self.rows.iter().find(|row| row.id == id)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.start.0 + self.touched.len() as u64)
    }

    fn is_presented(
        &self,
        presenter: Option<Presenter>,
        at: chrono::DateTime<chrono::Utc>,
    ) -> bool {
        presenter.is_none_or(|presenter| {
            self.row(presenter.token).is_some_and(|row| {
                let owner = self.owner(&row.owner);
                row.version == presenter.version
                    && row.state == State::Active
                    && row.validity.not_before.is_none_or(|from| from <= at)
                    && row.validity.expires_at > Expiry::At(at)
                    && owner.standing == OwnerStanding::Active
                    && owner.generation == row.owner_generation
            })
        })
    }

    fn descends(&self, row: &TokenRecord, ancestor: TokenId) -> bool {
        row.parent.is_some_and(|parent| {
            parent == ancestor
                || self.row(parent).is_some_and(|parent| self.descends(parent, ancestor))
        })
    }

    /// Ends all that are chosen and not ended already; yields the rows as they are then.
    fn revoke(
        &mut self,
        end: &Ended,
        is_meant: impl Fn(&Self, &TokenRecord) -> bool,
    ) -> Vec<TokenRecord> {
        let is_meant = |row: &&TokenRecord| !is_revoked(row) && is_meant(self, row);
        let meant: Vec<_> = self.rows.iter().filter(is_meant).map(|row| row.id).collect();
        meant.into_iter().map(|id| self.change(id, |row| row.end(end))).collect()
    }

    fn change(&mut self, id: TokenId, change: impl Fn(&mut TokenRecord)) -> TokenRecord {
        let place = self.rows.iter().position(|row| row.id == id).unwrap();
        let owner = self.rows[place].owner.clone();
        let sequence = self.next_sequence(&owner);
        let row = &mut self.rows[place];
        change(row);
        row.version += 1;
        row.changed_sequence = sequence;
        row.clone()
    }

    fn next_sequence(&mut self, owner: &OwnerId) -> u64 {
        let state = self.owners.entry(owner.clone()).or_insert(OwnerState::unheard_of());
        state.sequence += 1;
        state.sequence
    }

    fn advance(&mut self, touched: Vec<(Touched, OwnerId)>, event: &Event) -> Epoch {
        self.touched.push(touched);
        self.events.push(event.clone());
        self.epoch()
    }
}

/// All of a realm, oldest first.
pub(crate) fn everything() -> Query {
    Query::new(Filter::default(), Query::LARGEST_PAGE)
}

pub(crate) fn ids(rows: &[TokenRecord]) -> Vec<TokenId> {
    rows.iter().map(|row| row.id).collect()
}

pub(crate) fn is_revoked(row: &TokenRecord) -> bool {
    matches!(row.state, State::Revoked(_))
}

fn touched(row: &TokenRecord) -> (Touched, OwnerId) {
    (Touched::Token(row.id), row.owner.clone())
}

fn is_same(left: &StoredDigest, right: &StoredDigest) -> bool {
    left.scheme == right.scheme
        && left.key == right.key
        && left.digest.as_bytes() == right.digest.as_bytes()
}
