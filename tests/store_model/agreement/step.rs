//! What may be asked of a store, drawn at random from little, so that everything meets everything.
//!
//! A step says "the present version" and not "3": it means something whichever steps before it
//! are left out.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use keyfob::core::change::{Change, Patch, Presenter, SecretPatch};
use keyfob::core::constraints::Constraints;
use keyfob::core::digest::{Digest, DigestScheme, StoredDigest};
use keyfob::core::event::{Actor, Event, EventKind};
use keyfob::core::owner::OwnerStanding;
use keyfob::core::rate::Rate;
use keyfob::core::rotation::{Rotation, rotate};
use keyfob::core::token::{Ended, Expiry, Previous, State, TokenRecord, Usage, Validity};
use keyfob::ports::store::{
    EventQuery, Filter, Insert, Lookup, MassRevocation, Order, OwnerChange, Query, Start,
    StateName, Use,
};
use keyfob::testing::{SeededRandomness, sample};
use keyfob::{Grant, IdempotencyKey, Kind, Note, OwnerId, ReadWrite, RealmId, TokenId, TokenName};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::model::Model;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Insert(Box<Draft>),
    Find(Key),
    Apply(Box<Turn>),
    RevokeAll(Box<MassRevocation>),
    MarkUsed(Vec<Use>),
    Spend(TokenId, NonZeroU32),
    Owner(OwnerId),
    SetOwner {
        change: Box<OwnerChange>,
        presenter: Option<Presenting>,
    },
    Prune {
        dead_before: i64,
        limit: u32,
    },
    /// All pages of a query.
    Query(Box<Query>),
    /// The first page; [`Step::Resume`] asks for the others, whatever has happened meanwhile.
    Begin(Box<Query>),
    Resume,
    /// Those after the event in this place.
    Events {
        query: Box<EventQuery>,
        after: usize,
    },
    /// Since so many epochs ago; since one to come if that is negative.
    Invalidations {
        back: i64,
    },
}

/// A token to insert.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    record: TokenRecord,
    parent: Option<TokenId>,
    /// The one that has this digest already, if it is there.
    digest_of: Option<TokenId>,
    former_generation: bool,
    quota: Option<u32>,
    unique_name: bool,
    presenter: Option<Presenting>,
    key: Option<IdempotencyKey>,
    other_realm: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Key {
    Id(TokenId),
    /// By the number that this token has.
    NumberOf(TokenId),
    Number(u64),
    /// By the digest that this token has.
    DigestOf(TokenId),
    Digest(Digest),
}

#[derive(Clone, Debug)]
pub(crate) struct Turn {
    change: Change,
    expects: Expects,
    presenter: Option<Presenting>,
}

#[derive(Clone, Copy, Debug)]
enum Expects {
    Nothing,
    Present,
    Former,
}

/// A token that asks for something, as it is or as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presenting {
    token: TokenId,
    is_former: bool,
}

impl Draft {
    pub(crate) fn insert(&self, model: &Model, realm: &RealmId) -> Insert {
        let mut record = self.record.clone();
        record.realm = if self.other_realm { sample::realm() } else { realm.clone() };
        let generation = model.owner(&record.owner).generation;
        record.owner_generation =
            if self.former_generation { generation.saturating_sub(1) } else { generation };
        // Nothing is minted by what is not there.
        record.parent = self.parent.filter(|parent| model.row(*parent).is_some());
        if let Some(other) = self.digest_of.and_then(|other| model.row(other)) {
            record.digest = other.digest.clone();
        }
        // The documentation does not say whether a quota counts a token that is dead on arrival.
        let is_live = record.state == State::Active
            && record.validity.expires_at > Expiry::At(record.created_at);
        // Nor whether a key is known whose token has been forgotten.
        let is_forgotten = |key: &IdempotencyKey| {
            let issued = model.keys.get(&(record.owner.clone(), key.clone()));
            issued.is_some_and(|id| model.row(*id).is_none())
        };
        let event = about(EventKind::TokenIssued, &record, record.created_at);
        let key = self.key.clone().filter(|key| !is_forgotten(key));
        let mut insert = Insert::new(record, event);
        insert.quota = self.quota.filter(|_| is_live);
        insert.unique_name = self.unique_name;
        insert.presenter = self.presenter.map(|presenting| presenting.as_of(model));
        insert.idempotency_key = key;
        insert
    }
}

impl Key {
    pub(crate) fn look_up(&self, model: &Model) -> Lookup {
        match self {
            Self::Id(id) => Lookup::Id(*id),
            Self::Number(number) => Lookup::Number(*number),
            Self::NumberOf(id) => Lookup::Number(model.row(*id).map_or(0, |row| row.number)),
            Self::DigestOf(id) => {
                let digest =
                    model.row(*id).map_or_else(|| digest(u64::MAX), |row| row.digest.clone());
                by_digest(digest)
            }
            Self::Digest(digest) => {
                by_digest(StoredDigest::new(DigestScheme::Native, None, *digest))
            }
        }
    }
}

impl Turn {
    pub(crate) fn change(&self, model: &Model) -> Change {
        let mut change = self.change.clone();
        let version = model.row(change.token).map_or(1, |row| row.version);
        change.expects = match self.expects {
            Expects::Nothing => None,
            Expects::Present => Some(version),
            Expects::Former => Some(version - 1),
        };
        change.presented_by(self.presenter.map(|presenting| presenting.as_of(model)))
    }
}

impl Presenting {
    pub(crate) fn as_of(self, model: &Model) -> Presenter {
        let version = model.row(self.token).map_or(1, |row| row.version);
        Presenter { token: self.token, version: version - u64::from(self.is_former) }
    }
}

/// Draws the steps of one sequence.
#[derive(Debug)]
pub(crate) struct Dice {
    rng: StdRng,
    /// How many tokens it has tried to insert.
    tokens: u8,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), tokens: 0 }
    }

    pub(crate) fn sequence(mut self) -> Vec<Step> {
        let many = self.rng.random_range(12..=18);
        (0..many).map(|place| draw(&mut self, place)).collect()
    }
}

/// The step in this place of a sequence.
fn draw(dice: &mut Dice, place: u64) -> Step {
    // So that there is something to begin with.
    match if place < 3 { 0 } else { dice.rng.random_range(0..44) } {
        0..13 => Step::Insert(Box::new(draft(dice, place))),
        13..15 => Step::Find(key(dice)),
        15..24 => Step::Apply(Box::new(turn(dice, place))),
        24..26 => Step::RevokeAll(Box::new(mass_revocation(dice))),
        26..28 => Step::MarkUsed((0..dice.rng.random_range(1..4)).map(|_| used(dice)).collect()),
        41..43 => {
            let uses = NonZeroU32::new(dice.rng.random_range(1..4)).unwrap_or(NonZeroU32::MIN);
            Step::Spend(token(dice), uses)
        }
        28 => Step::Owner(owner(dice)),
        29..33 => Step::SetOwner {
            change: Box::new(owner_change(dice)),
            presenter: sometimes(dice, 3).map(|()| presenting(dice)),
        },
        33..35 => Step::Prune {
            dead_before: dice.rng.random_range(5..25),
            limit: *[0, 1, 1, 2, 1000].choose(&mut dice.rng).unwrap(),
        },
        35..37 => Step::Query(Box::new(query(dice))),
        37 => Step::Begin(Box::new(query(dice))),
        38 => Step::Resume,
        39..41 => {
            Step::Events { query: Box::new(event_query(dice)), after: dice.rng.random_range(0..8) }
        }
        _ => Step::Invalidations { back: dice.rng.random_range(-2..10) },
    }
}

fn draft(dice: &mut Dice, place: u64) -> Draft {
    let (parent, digest_of) = (token(dice), token(dice));
    let id = if dice.rng.random_bool(0.1) { token(dice) } else { next_token(dice) };
    let at = sample::after(dice.rng.random_range(0..8));
    let mut record =
        TokenRecord::new(id, sample::realm(), owner(dice), grant(dice), digest(place), at);
    record.binding = record.digest.digest;
    record.creator = actor(dice);
    record.kind = kind(dice);
    record.prefix = "sample".into();
    record.name = name(dice);
    record.note = note(dice).unwrap_or_default();
    record.state = match dice.rng.random_range(0..10) {
        0 => State::Deactivated(ended(dice)),
        1 => State::Revoked(ended(dice)),
        _ => State::Active,
    };
    let not_before = sometimes(dice, 6).map(|()| instant(dice));
    record.validity = Validity::new(not_before, expiry(dice));
    record.bypasses_two_factor = dice.rng.random_bool(0.2);
    record.constraints = constraints(dice);
    record.hint = "abcdef".into();
    if dice.rng.random_bool(0.2) {
        record.usage = used(dice).usage;
    }
    Draft {
        record,
        parent: sometimes(dice, 2).map(|()| parent),
        digest_of: sometimes(dice, 12).map(|()| digest_of),
        former_generation: dice.rng.random_bool(0.05),
        quota: sometimes(dice, 4).map(|()| dice.rng.random_range(0..4)),
        unique_name: dice.rng.random_bool(0.3),
        presenter: sometimes(dice, 8).map(|()| presenting(dice)),
        key: sometimes(dice, 4).map(|()| idempotency_key(dice)),
        other_realm: dice.rng.random_bool(0.02),
    }
}

fn key(dice: &mut Dice) -> Key {
    let id = token(dice);
    match dice.rng.random_range(0..5) {
        0 => Key::Id(id),
        1 => Key::NumberOf(id),
        2 => Key::DigestOf(id),
        // One that a token of this sequence has, or had until it was rotated or forgotten.
        3 => Key::Digest(digest(dice.rng.random_range(0..20)).digest),
        _ => Key::Number(dice.rng.random_range(0..20)),
    }
}

fn turn(dice: &mut Dice, place: u64) -> Turn {
    let (id, at) = (token(dice), instant(dice));
    let mut patch = Patch::default();
    let (mut cascade, mut expects) = (false, Expects::Nothing);
    let kind = match dice.rng.random_range(0..12) {
        0..4 => {
            patch.state = Some(State::Revoked(ended(dice)));
            cascade = dice.rng.random_bool(0.8);
            EventKind::TokenRevoked
        }
        4 => {
            patch.state = Some(State::Deactivated(ended(dice)));
            EventKind::TokenDeactivated
        }
        5..7 => {
            patch.state = Some(State::Active);
            EventKind::TokenReactivated
        }
        7..9 => {
            patch.secret = Some(secret(place));
            EventKind::TokenRotated
        }
        9..11 => {
            patch.grant = sometimes(dice, 2).map(|()| grant(dice));
            patch.validity = sometimes(dice, 2).map(|()| Validity::new(None, expiry(dice)));
            patch.constraints = sometimes(dice, 2).map(|()| constraints(dice));
            patch.bypasses_two_factor = sometimes(dice, 2).map(|()| false);
            EventKind::TokenNarrowed
        }
        _ => {
            patch.name = sometimes(dice, 2).map(|()| name(dice));
            patch.note = note(dice);
            EventKind::TokenEdited
        }
    };
    if kind != EventKind::TokenRevoked || dice.rng.random_bool(0.2) {
        expects = [Expects::Nothing, Expects::Present, Expects::Present, Expects::Former]
            [dice.rng.random_range(0..4)];
    }
    let event = Event::new(kind, actor(dice), at).about(id, owner(dice)).because(note(dice));
    let mut change = Change::new(id, patch, event);
    change.cascade = cascade;
    Turn { change, expects, presenter: sometimes(dice, 5).map(|()| presenting(dice)) }
}

fn mass_revocation(dice: &mut Dice) -> MassRevocation {
    let (end, mut filter) = (ended(dice), Filter::default());
    match dice.rng.random_range(0..3) {
        0 => filter = Filter::of_owner(owner(dice)),
        1 => filter.parent = Some(token(dice)),
        _ => filter = self::filter(dice),
    }
    let event = Event::new(EventKind::TokenRevoked, end.by.clone(), end.at);
    let mut revocation = MassRevocation::new(filter, end, event);
    revocation.except = sometimes(dice, 2).map(|()| token(dice));
    revocation
}

fn owner_change(dice: &mut Dice) -> OwnerChange {
    let (owner, at) = (owner(dice), instant(dice));
    let standing = match dice.rng.random_range(0..5) {
        0..3 => OwnerStanding::Active,
        3 => OwnerStanding::Deactivated,
        _ => OwnerStanding::Deleted,
    };
    let kind = match standing {
        OwnerStanding::Active => EventKind::OwnerReactivated,
        OwnerStanding::Deactivated => EventKind::OwnerDeactivated,
        OwnerStanding::Deleted => EventKind::OwnerDeleted,
    };
    let event = Event::new(kind, actor(dice), at).about_owner(owner.clone()).because(note(dice));
    OwnerChange::new(owner, standing, at, event)
}

fn query(dice: &mut Dice) -> Query {
    let filter = if dice.rng.random() { filter(dice) } else { Filter::default() };
    let mut query = Query::new(filter, dice.rng.random_range(1..4));
    let orders = [Order::Changed, Order::Created, Order::Expires, Order::Number, Order::Owner];
    query.order = orders[dice.rng.random_range(0..5)];
    query.descending = dice.rng.random();
    query.with_total = dice.rng.random();
    if dice.rng.random_bool(0.3) {
        query.start = Start::Offset(dice.rng.random_range(0..4));
    }
    query
}

fn filter(dice: &mut Dice) -> Filter {
    let mut filter = Filter::default();
    for _ in 0..dice.rng.random_range(1..3) {
        match dice.rng.random_range(0..11) {
            0 => filter.owner = Some(owner(dice)),
            1 => {
                filter.owners =
                    Some((0..dice.rng.random_range(0..3)).map(|_| owner(dice)).collect())
            }
            2 => filter.except_owners = vec![owner(dice)],
            3 => filter.kind = Some(kind(dice)),
            4 => filter.name = Some(name(dice)),
            5 => filter.parent = Some(token(dice)),
            6 => {
                let names = [StateName::Active, StateName::Deactivated, StateName::Revoked];
                filter.states = Some(names.into_iter().filter(|_| dice.rng.random()).collect());
            }
            7 => filter.outlives = Some(instant(dice)),
            8 => filter.expired_at = Some(instant(dice)),
            9 => filter.created_from = Some(sample::after(dice.rng.random_range(0..8))),
            _ => filter.created_before = Some(sample::after(dice.rng.random_range(0..8))),
        }
    }
    filter
}

fn event_query(dice: &mut Dice) -> EventQuery {
    let mut query = EventQuery::after(0, dice.rng.random_range(1..10));
    query.token = sometimes(dice, 3).map(|()| token(dice));
    query.owner = sometimes(dice, 3).map(|()| owner(dice));
    query
}

fn used(dice: &mut Dice) -> Use {
    // The address tells of the instant: which of two goes with the same one is nobody's business.
    let second = dice.rng.random_range(0..20_u8);
    let address = (second % 4 > 0).then(|| IpAddr::from([192, 0, 2, second]));
    let usage = if dice.rng.random_bool(0.1) {
        Usage::new(None, None, 1)
    } else {
        Usage::new(Some(sample::after(second.into())), address, dice.rng.random_range(1..5))
    };
    let token = token(dice);
    let new = Use::new(token, usage);
    match usage.last_at {
        Some(at) if dice.rng.random_bool(0.9) => {
            let event = Event::new(EventKind::TokenNewAddress, Actor::host(), at);
            new.telling(event.about(token, owner(dice)))
        }
        _ => new,
    }
}

fn presenting(dice: &mut Dice) -> Presenting {
    Presenting { token: token(dice), is_former: dice.rng.random_bool(0.3) }
}

/// Mostly one that is there, unless its insertion was refused or it was forgotten.
fn token(dice: &mut Dice) -> TokenId {
    TokenId::from_bytes([dice.rng.random_range(0..dice.tokens + 1); 16])
}

fn next_token(dice: &mut Dice) -> TokenId {
    dice.tokens += 1;
    TokenId::from_bytes([dice.tokens - 1; 16])
}

fn owner(dice: &mut Dice) -> OwnerId {
    sample::owner(dice.rng.random_range(0..OWNERS))
}

fn kind(dice: &mut Dice) -> Kind {
    if dice.rng.random_bool(0.7) { Kind::personal() } else { Kind::session() }
}

fn name(dice: &mut Dice) -> TokenName {
    TokenName::new(if dice.rng.random() { "backup" } else { "" }).unwrap()
}

fn note(dice: &mut Dice) -> Option<Note> {
    sometimes(dice, 3).map(|()| Note::new("because").unwrap())
}

fn grant(dice: &mut Dice) -> Grant<keyfob::ScopeName> {
    if dice.rng.random() {
        return Grant::<ReadWrite>::Full.names();
    }
    let scope = if dice.rng.random() { ReadWrite::Read } else { ReadWrite::Write };
    Grant::only([scope]).unwrap().names()
}

fn constraints(dice: &mut Dice) -> Constraints {
    let addresses = sometimes(dice, 4).map(|()| "192.0.2.0/24".parse().unwrap());
    let mut constraints = Constraints::from_addresses(addresses.into_iter().collect());
    constraints.rate = sometimes(dice, 4).map(|()| Rate::new(60, 3_600).unwrap());
    constraints.uses = sometimes(dice, 4).map(|()| NonZeroU32::MIN);
    constraints
}

fn actor(dice: &mut Dice) -> Actor {
    match dice.rng.random_range(0..3) {
        0 => Actor::host(),
        1 => Actor::account(owner(dice)),
        _ => Actor::with_token(owner(dice), token(dice)),
    }
}

fn ended(dice: &mut Dice) -> Ended {
    Ended::new(actor(dice), note(dice), instant(dice))
}

fn instant(dice: &mut Dice) -> DateTime<Utc> {
    sample::after(dice.rng.random_range(0..16))
}

fn expiry(dice: &mut Dice) -> Expiry {
    let end = dice.rng.random_range(4..30);
    if end < 24 { Expiry::At(sample::after(end)) } else { Expiry::Never }
}

fn idempotency_key(dice: &mut Dice) -> IdempotencyKey {
    IdempotencyKey::new(if dice.rng.random() { "first" } else { "second" }).unwrap()
}

/// The digest of the secret that is drawn in this place of a sequence.
fn digest(place: u64) -> StoredDigest {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&place.to_be_bytes());
    StoredDigest::new(DigestScheme::Native, None, Digest::from_bytes(bytes))
}

fn secret(place: u64) -> SecretPatch {
    static DRAWN: LazyLock<SecretPatch> = LazyLock::new(|| {
        let row = sample::record(&sample::owner(0), 0);
        let mut rng = SeededRandomness::new(0);
        let now = sample::start();
        let (rotation, by) = (Rotation::at_once(), Actor::host());
        let rotated = rotate(&row, rotation, by, &sample::rules(), now, &mut rng).unwrap();
        rotated.change.patch.secret.unwrap()
    });
    let mut secret = DRAWN.clone();
    let former = digest(place + 1000);
    secret.digest = digest(place);
    secret.binding = secret.digest.digest;
    secret.generation = u32::try_from(place).unwrap();
    secret.previous = Some(Previous::new(former, sample::after(9)));
    secret
}

fn by_digest(stored: StoredDigest) -> Lookup {
    let StoredDigest { scheme, key, digest, .. } = stored;
    Lookup::Digest { scheme, key, digest }
}

fn about(kind: EventKind, record: &TokenRecord, at: DateTime<Utc>) -> Event {
    Event::new(kind, record.creator.clone(), at).about(record.id, record.owner.clone())
}

/// One time in so many.
fn sometimes(dice: &mut Dice, many: u32) -> Option<()> {
    (dice.rng.random_range(0..many) == 0).then_some(())
}

/// Few enough that quotas, names and cascades meet each other's tokens.
pub(crate) const OWNERS: u32 = 3;
