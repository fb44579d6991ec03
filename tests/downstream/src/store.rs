//! A store as simple as one can be: lists, and one lock over all of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use keyfob::core::change::{Change, Presenter};
use keyfob::core::event::Event;
use keyfob::core::owner::{OwnerStanding, OwnerState};
use keyfob::core::token::Ended;
use keyfob::ports::store::{
    Applied, Cursor, Epoch, EventQuery, Filter, Found, Insert, Inserted, Invalidations, Lookup,
    MassRevocation, Order, NodeId, NodeReport, OwnerChange, OwnerChanged, OwnerSet, Page, Query, Revoked, Start, StoredEvent,
    Touched, Use,
};
use keyfob::{Expiry, OwnerId, RealmId, State, StoreError, TokenId, TokenRecord, TokenStore};

use crate::row::{self, Row};

/// A handle on the lists, bound to one realm.
#[derive(Clone, Debug)]
pub struct ListStore {
    realm: RealmId,
    lists: Arc<Mutex<Lists>>,
}

impl ListStore {
    pub fn new(realm: RealmId) -> Self {
        Self { realm, lists: Arc::default() }
    }

    pub fn in_realm(&self, realm: RealmId) -> Self {
        Self { realm, lists: Arc::clone(&self.lists) }
    }

    fn open(&self) -> Open<'_> {
        Open { realm: &self.realm, lists: self.lists.lock().expect("no call panics") }
    }
}

#[derive(Debug, Default)]
struct Lists {
    rows: Vec<Row>,
    owners: Vec<(RealmId, OwnerId, OwnerState)>,
    keys: Vec<(RealmId, OwnerId, String, TokenId)>,
    /// Each event, with what the mutation touched that it tells of, if there was one; that one's place
    /// among those of its realm is its epoch.
    log: Vec<(RealmId, Option<Touched>, Event)>,
    places: HashMap<TokenId, Vec<IpAddr>>,
    nodes: Vec<(RealmId, NodeReport)>,
    last_number: u64,
}

/// The lists while they are locked, as one realm sees them.
struct Open<'s> {
    realm: &'s RealmId,
    lists: MutexGuard<'s, Lists>,
}

impl Open<'_> {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.lists.rows.iter().filter(|row| row.realm == self.realm.as_str())
    }

    fn row(&self, id: TokenId) -> Option<&Row> {
        self.rows().find(|row| row.id == *id.as_bytes())
    }

    fn select(&self, filter: &Filter) -> Result<Vec<TokenRecord>, StoreError> {
        let mut records = self.rows().map(Row::record).collect::<Result<Vec<_>, _>>()?;
        records.retain(|record| filter.selects(record));
        Ok(records)
    }

    fn log(&self) -> impl Iterator<Item = &(RealmId, Option<Touched>, Event)> {
        self.lists.log.iter().filter(|(realm, ..)| realm == self.realm)
    }

    fn changes(&self) -> impl Iterator<Item = (u64, &Touched)> {
        (1..).zip(self.log().filter_map(|(_, touched, _)| touched.as_ref()))
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.changes().count() as u64)
    }

    fn advance(&mut self, touched: Touched, event: &Event) -> Epoch {
        self.lists.log.push((self.realm.clone(), Some(touched), event.clone()));
        self.epoch()
    }

    /// Whether an address is new among those that a token was used from.
    fn meet(&mut self, token: TokenId, address: IpAddr) -> bool {
        let known = self.lists.places.entry(token).or_default();
        if known.contains(&address) {
            return false;
        }
        known.push(address);
        known.drain(..known.len().saturating_sub(Use::KNOWN_ADDRESSES));
        known.len() > 1
    }

    fn owner(&self, owner: &OwnerId) -> OwnerState {
        let mut mine = self.lists.owners.iter().filter(|(realm, ..)| realm == self.realm);
        mine.find(|(_, id, _)| id == owner).map_or(OwnerState::unheard_of(), |(.., state)| *state)
    }

    fn set_owner(&mut self, owner: &OwnerId, state: OwnerState) {
        self.lists.owners.retain(|(realm, id, _)| realm != self.realm || id != owner);
        self.lists.owners.push((self.realm.clone(), owner.clone(), state));
    }

    fn next_sequence(&mut self, owner: &OwnerId) -> u64 {
        let mut state = self.owner(owner);
        state.sequence += 1;
        self.set_owner(owner, state);
        state.sequence
    }

    /// Writes a changed row in the place of the one it was.
    fn put(&mut self, mut record: TokenRecord) -> TokenRecord {
        record.version += 1;
        record.changed_sequence = self.next_sequence(&record.owner);
        let row = Row::of(&record);
        for old in self.lists.rows.iter_mut().filter(|old| old.number == row.number) {
            *old = row.clone();
        }
        record
    }

    fn revoke(&mut self, records: Vec<TokenRecord>, end: &Ended) -> Vec<TokenId> {
        let revoke = |mut record: TokenRecord| {
            record.state = State::Revoked(end.clone());
            record.changed_at = record.changed_at.max(end.at);
            self.put(record).id
        };
        records.into_iter().map(revoke).collect()
    }

    fn is_presented(
        &self,
        presenter: Option<Presenter>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Some(presenter) = presenter else {
            return Ok(true);
        };
        let Some(row) = self.row(presenter.token) else {
            return Ok(false);
        };
        let (token, owner) = (row.record()?, self.owner(&row.record()?.owner));
        Ok(token.version == presenter.version
            && token.state == State::Active
            && token.validity.not_before.is_none_or(|from| from <= now)
            && token.validity.expires_at > Expiry::At(now)
            && owner.standing == OwnerStanding::Active
            && owner.generation == token.owner_generation)
    }

    fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        let is_it = |row: &&Row| match key {
            Lookup::Digest { scheme, key, digest } => {
                let key = key.as_ref().map(ToString::to_string);
                row.digest == (*scheme, key, *digest.as_bytes())
            }
            Lookup::Id(id) => row.id == *id.as_bytes(),
            Lookup::Number(number) => row.number == *number,
            _ => false,
        };
        let record = self.rows().find(is_it).map(Row::record).transpose()?;
        Ok(record.map(|record| {
            let owner = self.owner(&record.owner);
            Found::new(record, owner, self.epoch())
        }))
    }
}

#[async_trait]
impl TokenStore for ListStore {
    fn realm(&self) -> &RealmId {
        &self.realm
    }

    async fn insert(&self, insert: Insert) -> Result<Inserted, StoreError> {
        let mut open = self.open();
        let (mut record, now) = (insert.record.clone(), insert.record.created_at);
        if record.realm != self.realm {
            return Err(StoreError::Corrupt("a row of another realm".into()));
        }
        let key = insert
            .idempotency_key
            .map(|key| (self.realm.clone(), record.owner.clone(), key.to_string()));
        let known = |(realm, owner, key): &(_, _, _)| {
            let mut keys = open.lists.keys.iter();
            keys.find(|(r, o, k, _)| (r, o, k) == (realm, owner, key)).map(|(.., id)| *id)
        };
        if let Some(id) = key.as_ref().and_then(known) {
            return Ok(Inserted::AlreadyIssued(id));
        }
        if !open.is_presented(insert.presenter, now)? {
            return Ok(Inserted::PresenterChanged);
        }
        let owner = open.owner(&record.owner);
        if owner.standing != OwnerStanding::Active || owner.generation != record.owner_generation {
            return Ok(Inserted::OwnerNotActive);
        }
        let siblings = || {
            let mine =
                |row: &&Row| row.owner == record.owner.as_str() && row.kind == record.kind.as_str();
            open.rows().filter(mine).filter(|row| row.state != "revoked")
        };
        if insert.unique_name && siblings().any(|row| row.name == record.name.as_str()) {
            return Ok(Inserted::NameTaken);
        }
        let live =
            siblings().filter(|row| row.expires_at.is_none_or(|end| end > now.timestamp_micros()));
        if insert.quota.is_some_and(|quota| live.count() >= quota as usize) {
            return Ok(Inserted::QuotaReached);
        }
        let digest = row::digest(&record.digest);
        if open.rows().any(|row| row.id == *record.id.as_bytes() || row.digest == digest) {
            return Ok(Inserted::Duplicate);
        }
        open.lists.last_number += 1;
        record.number = open.lists.last_number;
        record.changed_sequence = open.next_sequence(&record.owner);
        record.version = 1;
        open.lists.rows.push(Row::of(&record));
        open.lists.keys.extend(key.map(|(realm, owner, key)| (realm, owner, key, record.id)));
        let epoch = open.advance(Touched::Token(record.id), &insert.event);
        Ok(Inserted::Stored(Box::new(record), epoch))
    }

    async fn find(&self, key: &Lookup) -> Result<Option<Found>, StoreError> {
        self.open().find(key)
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let mut all: Vec<_> = self
            .open()
            .select(&query.filter)?
            .into_iter()
            .map(|row| (place(query.order, &row), row))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        if query.descending {
            all.sort_by_key(|(place, _)| Reverse(place.clone()));
        }
        let total = query.with_total.then_some(all.len() as u64);
        // A cursor names the list and the place of the last row in it.
        let list = format!("{:?}/{}", query.order, query.descending);
        let skipped = match &query.start {
            Start::Beginning => 0,
            Start::Offset(rows) => *rows as usize,
            Start::After(Cursor(text)) => {
                let after = text.strip_prefix(&list).and_then(|text| text.strip_prefix('/'));
                let after = after.ok_or(StoreError::InvalidCursor)?;
                all.partition_point(|(place, _)| {
                    if query.descending { place.as_str() >= after } else { place.as_str() <= after }
                })
            }
            _ => return Err(StoreError::InvalidCursor),
        };
        let limit = query.limit.clamp(1, Query::LARGEST_PAGE) as usize;
        let rest = all.get(skipped..).unwrap_or_default();
        let page = rest.get(..limit).unwrap_or(rest);
        let next = page.last().filter(|_| rest.len() > limit);
        let next = next.map(|(place, _)| Cursor(format!("{list}/{place}")));
        Ok(Page::new(page.iter().map(|(_, row)| row.clone()).collect(), next, total))
    }

    async fn apply(&self, change: &Change) -> Result<Applied, StoreError> {
        let mut open = self.open();
        let Some(mut record) = open.row(change.token).map(Row::record).transpose()? else {
            return Ok(Applied::Missing);
        };
        if let State::Revoked(_) = record.state {
            return Ok(Applied::Revoked(Box::new(record)));
        }
        if change.expects.is_some_and(|version| version != record.version) {
            return Ok(Applied::Conflict(Box::new(record)));
        }
        if !open.is_presented(change.presenter, change.event.at)? {
            return Ok(Applied::PresenterChanged);
        }
        let mut family = Vec::new();
        if change.cascade && change.is_revocation() {
            // Whoever minted a token was there before it.
            let mut parents = vec![change.token];
            for row in open.select(&Filter::default())? {
                if row.parent.is_some_and(|parent| parents.contains(&parent)) {
                    parents.push(row.id);
                    family.push(row);
                }
            }
            family.retain(|row| !matches!(row.state, State::Revoked(_)));
        }
        change.patch.apply(&mut record, change.event.at);
        let record = open.put(record);
        let mut cascaded = Vec::new();
        if let State::Revoked(end) = &record.state {
            cascaded = open.revoke(family, end);
        }
        let touched =
            if cascaded.is_empty() { Touched::Token(record.id) } else { Touched::Everything };
        let epoch = open.advance(touched, &change.event);
        Ok(Applied::Done { record: Box::new(record), epoch, cascaded })
    }

    async fn revoke_all(&self, revocation: &MassRevocation) -> Result<Revoked, StoreError> {
        let mut open = self.open();
        let mut rows = open.select(&revocation.filter)?;
        rows.retain(|row| {
            !matches!(row.state, State::Revoked(_)) && Some(row.id) != revocation.except
        });
        let tokens = open.revoke(rows, &revocation.end);
        let epoch = open.advance(Touched::Everything, &revocation.event);
        Ok(Revoked::new(tokens, epoch))
    }

    async fn mark_used(&self, uses: &[Use]) -> Result<Vec<TokenId>, StoreError> {
        let mut open = self.open();
        let mut told = Vec::new();
        for Use { token, usage, if_new, .. } in uses {
            let Some(mut record) = open.row(*token).map(Row::record).transpose()? else {
                continue;
            };
            if usage.last_at > record.usage.last_at {
                (record.usage.last_at, record.usage.last_from) = (usage.last_at, usage.last_from);
            }
            record.usage.count += usage.count;
            let row = Row::of(&record);
            for old in open.lists.rows.iter_mut().filter(|old| old.number == row.number) {
                *old = row.clone();
            }
            let is_new = usage.last_from.is_some_and(|address| open.meet(*token, address));
            if let Some(event) = if_new.as_ref().filter(|_| is_new) {
                told.push(*token);
                open.lists.log.push((self.realm.clone(), None, event.clone()));
            }
        }
        Ok(told)
    }

    async fn spend(&self, token: TokenId, uses: NonZeroU32) -> Result<bool, StoreError> {
        let mut open = self.open();
        let mut rows = open.lists.rows.iter_mut();
        let row = rows.find(|row| row.id == *token.as_bytes() && row.state == "active");
        let row = row.filter(|row| row.spent < uses.get());
        Ok(row.map(|row| row.spent += 1).is_some())
    }

    async fn owner(&self, owner: &OwnerId) -> Result<OwnerState, StoreError> {
        Ok(self.open().owner(owner))
    }

    async fn set_owner(&self, change: &OwnerChange) -> Result<OwnerSet, StoreError> {
        let mut open = self.open();
        if !open.is_presented(change.presenter, change.at)? {
            return Ok(OwnerSet::PresenterChanged);
        }
        let mut state = open.owner(&change.owner);
        if state.standing == change.standing {
            return Ok(OwnerSet::Done(OwnerChanged::new(state, open.epoch(), false)));
        }
        let rows = open.select(&Filter::of_owner(change.owner.clone()).unrevoked())?;
        state.generation += u32::from(state.standing == OwnerStanding::Deleted);
        state.sequence += 1;
        (state.standing, state.changed_at) = (change.standing, Some(change.at));
        open.set_owner(&change.owner, state);
        if change.standing == OwnerStanding::Deleted {
            let end = Ended::new(change.event.by.clone(), change.event.why.clone(), change.at);
            open.revoke(rows, &end);
        }
        let epoch = open.advance(Touched::Owner(change.owner.clone()), &change.event);
        Ok(OwnerSet::Done(OwnerChanged::new(open.owner(&change.owner), epoch, true)))
    }

    async fn invalidations(&self, since: Epoch) -> Result<Invalidations, StoreError> {
        let open = self.open();
        let after = open.changes().filter(|(epoch, _)| *epoch > since.0);
        let after = after.map(|(epoch, touched)| (Epoch(epoch), touched.clone())).collect();
        let changes = Some(after).filter(|_| since <= open.epoch());
        Ok(Invalidations::new(open.epoch(), changes, None))
    }

    async fn report_node(&self, report: &NodeReport) -> Result<(), StoreError> {
        let mut open = self.open();
        let of_others = |(realm, known): &(RealmId, NodeReport)| {
            *realm != self.realm
                || (known.node != report.node && report.at - known.at <= NodeReport::KEPT_FOR)
        };
        open.lists.nodes.retain(of_others);
        open.lists.nodes.push((self.realm.clone(), *report));
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeReport>, StoreError> {
        let open = self.open();
        let mine = open.lists.nodes.iter().filter(|(realm, _)| *realm == self.realm);
        Ok(mine.map(|(_, report)| *report).collect())
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        let is_other = |(realm, known): &(RealmId, NodeReport)| {
            *realm != self.realm || known.node != node
        };
        self.open().lists.nodes.retain(is_other);
        Ok(())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        let open = self.open();
        let chosen = (1..)
            .zip(open.log())
            .filter(|(sequence, (.., event))| {
                *sequence > query.after
                    && (query.token.is_none() || event.token == query.token)
                    && (query.owner.is_none() || event.owner == query.owner)
            })
            .map(|(sequence, (.., event))| StoredEvent { sequence, event: event.clone() });
        Ok(chosen.take(query.limit.clamp(1, Query::LARGEST_PAGE) as usize).collect())
    }

    async fn prune(&self, dead_before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut open = self.open();
        let all = open.select(&Filter::default())?;
        let is_dead = |row: &&TokenRecord| {
            row.validity.expires_at < Expiry::At(dead_before)
                || matches!(&row.state, State::Revoked(end) if end.at < dead_before)
        };
        let is_parent = |row: &&TokenRecord| all.iter().any(|child| child.parent == Some(row.id));
        let dead = all.iter().filter(is_dead).filter(|row| !is_parent(row));
        let dead: Vec<u64> = dead.map(|row| row.number).take(limit as usize).collect();
        open.lists.rows.retain(|row| !dead.contains(&row.number));
        Ok(dead.len() as u64)
    }
}

/// Where a row stands in a list: texts that sort as the rows do.
fn place(order: Order, row: &TokenRecord) -> String {
    let micros = |at: DateTime<Utc>| format!("{:020}", at.timestamp_micros());
    let field = match order {
        Order::Changed => micros(row.changed_at),
        Order::Created => micros(row.created_at),
        Order::Expires => row.validity.expires_at.at().map_or("~".into(), micros),
        // No name holds a control character, so that the shorter of two comes first.
        Order::Owner => format!("{}\0", row.owner),
        _ => String::new(),
    };
    format!("{field}{:020}", row.number)
}
