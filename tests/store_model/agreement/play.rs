//! One sequence, played to the model and to a store side by side.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::mem::discriminant;

use chrono::{DateTime, Utc};
use keyfob::core::digest::StoredDigest;
use keyfob::core::token::TokenRecord;
use keyfob::ports::store::{
    Applied, Epoch, EventQuery, Inserted, Lookup, Order, OwnerSet, Query, Start, StoreError,
    StoredEvent, Touched,
};
use keyfob::testing::sample;
use keyfob::{KeyId, OwnerId, TokenId, TokenStore};

use super::model::{Model, everything, ids};
use super::place::Place;
use super::step::{OWNERS, Step};
use super::tally::Tally;

/// What the store says, and what it should.
#[derive(Debug)]
pub(crate) struct Difference(pub(crate) String);

type Agreed = Result<(), Difference>;

impl From<StoreError> for Difference {
    fn from(error: StoreError) -> Self {
        Self(format!("no answer: {error:?}"))
    }
}

pub(crate) async fn play(store: &dyn TokenStore, steps: &[Step], tally: &mut Tally) -> Agreed {
    let start = store.invalidations(Epoch(0)).await?.epoch;
    let model = Model::new(start);
    let mut play = Play { store, model, last_number: 0, held: None, tally };
    for step in steps {
        play.take(step).await?;
    }
    play.compare_all().await
}

struct Play<'p> {
    store: &'p dyn TokenStore,
    model: Model,
    last_number: u64,
    /// A list of which a page was read.
    held: Option<(Query, Place)>,
    tally: &'p mut Tally,
}

impl Play<'_> {
    async fn take(&mut self, step: &Step) -> Agreed {
        match step {
            Step::Insert(draft) => {
                let insert = draft.insert(&self.model, self.store.realm());
                if insert.record.realm != *self.store.realm() {
                    let answer = self.store.insert(insert).await;
                    self.tally.count("insert: other realm");
                    return holds(matches!(answer, Err(StoreError::Corrupt(_))), || {
                        format!("a row of another realm was answered with {answer:?}")
                    });
                }
                let expected = self.model.insert(&insert);
                let answer = self.store.insert(insert).await?;
                self.inserted(&expected, &answer)
            }
            Step::Find(key) => {
                let key = key.look_up(&self.model);
                let expected = self.model.find(&key);
                let answer = self.store.find(&key).await?;
                self.tally.count(if expected.is_some() { "find: found" } else { "find: nothing" });
                match (&expected, &answer) {
                    (Some(model), Some(store)) => {
                        same_row(&model.record, &store.record)?;
                        same(
                            "owner and epoch",
                            &(model.owner, model.epoch),
                            &(store.owner, store.epoch),
                        )
                    }
                    _ => same("found by this key", &expected.is_some(), &answer.is_some()),
                }
            }
            Step::Apply(turn) => {
                let change = turn.change(&self.model);
                let expected = self.model.apply(&change);
                let answer = self.store.apply(&change).await?;
                self.applied(&expected, &answer).await
            }
            Step::RevokeAll(revocation) => {
                let expected = self.model.revoke_all(revocation);
                let answer = self.store.revoke_all(revocation).await?;
                self.tally.count(match expected.tokens.len() {
                    0 => "revoke_all: none",
                    1 => "revoke_all: one",
                    _ => "revoke_all: several",
                });
                same("epoch", &expected.epoch, &answer.epoch)?;
                same_set(&expected.tokens, &answer.tokens)?;
                self.adopt_sequences(&expected.tokens).await
            }
            Step::MarkUsed(uses) => {
                let expected = self.model.mark_used(uses);
                let told = self.store.mark_used(uses).await?;
                if !expected.is_empty() {
                    self.tally.count("mark_used: new address");
                }
                same_set(&expected, &told)?;
                for used in uses {
                    let known = self.model.row(used.token).map(|row| row.usage);
                    let found = self.store.find(&Lookup::Id(used.token)).await?;
                    self.tally.count(if known.is_some() {
                        "mark_used"
                    } else {
                        "mark_used: unknown"
                    });
                    same("usage", &known, &found.map(|found| found.record.usage))?;
                }
                Ok(())
            }
            Step::Spend(token, uses) => {
                let expected = self.model.spend(*token, *uses);
                self.tally.count(if expected { "spend" } else { "spend: none left" });
                same("spend", &expected, &self.store.spend(*token, *uses).await?)?;
                let spent = |row: &TokenRecord| row.spent;
                let found = self.store.find(&Lookup::Id(*token)).await?;
                let found = found.map(|found| spent(&found.record));
                same("spent", &self.model.row(*token).map(spent), &found)
            }
            Step::Owner(owner) => {
                same("owner", &self.model.owner(owner), &self.store.owner(owner).await?)
            }
            Step::SetOwner { change, presenter } => {
                let mut change = change.as_ref().clone();
                change.presenter = presenter.map(|presenting| presenting.as_of(&self.model));
                let expected = self.model.set_owner(&change);
                let answer = self.store.set_owner(&change).await?;
                self.tally.count(match expected {
                    OwnerSet::Done(done) if done.changed => "set_owner: changed",
                    OwnerSet::Done(_) => "set_owner: the same",
                    _ => "set_owner: presenter changed",
                });
                same("answer", &expected, &answer)?;
                let ended = self.model.rows.iter().filter(|row| row.owner == change.owner);
                let ended: Vec<_> = ended.map(|row| row.id).collect();
                self.adopt_sequences(&ended).await
            }
            Step::Prune { dead_before, limit } => self.prune(*dead_before, *limit).await,
            Step::Query(query) => {
                let mut query = query.as_ref().clone();
                while let Some(next) = self.page(&query).await? {
                    query.start = next;
                }
                Ok(())
            }
            Step::Begin(query) => self.page(query).await.map(drop),
            Step::Resume => {
                let Some((query, _)) = self.held.clone() else {
                    return Ok(());
                };
                self.tally.count("query: resumed");
                self.page(&query).await.map(drop)
            }
            Step::Events { query, after } => self.events(query, *after).await,
            Step::Invalidations { back } => {
                let Epoch(now) = self.model.epoch();
                let since = now.saturating_add_signed(-back).max(self.model.start.0);
                self.invalidations(Epoch(since)).await
            }
        }
    }

    fn inserted(&mut self, expected: &Inserted, answer: &Inserted) -> Agreed {
        self.tally.count(match expected {
            Inserted::AlreadyIssued(_) => "insert: already issued",
            Inserted::Duplicate => "insert: duplicate",
            Inserted::NameTaken => "insert: name taken",
            Inserted::OwnerNotActive => "insert: owner not active",
            Inserted::PresenterChanged => "insert: presenter changed",
            Inserted::QuotaReached => "insert: quota reached",
            Inserted::Stored(..) => "insert: stored",
            _ => "insert: another",
        });
        match (expected, answer) {
            (Inserted::Stored(model, at), Inserted::Stored(store, epoch)) => {
                holds(store.number > self.last_number, || {
                    format!("number {} came after {}", store.number, self.last_number)
                })?;
                self.last_number = store.number;
                self.model.rows.last_mut().unwrap().number = store.number;
                let mut model = model.as_ref().clone();
                model.number = store.number;
                same_row(&model, store)?;
                same("epoch", at, epoch)
            }
            (Inserted::AlreadyIssued(model), Inserted::AlreadyIssued(store)) => {
                same("token of the key", model, store)
            }
            _ => same_variant(expected, answer),
        }
    }

    async fn applied(&mut self, expected: &Applied, answer: &Applied) -> Agreed {
        self.tally.count(match expected {
            Applied::Done { cascaded, .. } if cascaded.is_empty() => "apply: done",
            Applied::Done { .. } => "apply: done with cascade",
            Applied::Conflict(_) => "apply: conflict",
            Applied::Missing => "apply: missing",
            Applied::PresenterChanged => "apply: presenter changed",
            Applied::Revoked(_) => "apply: revoked",
            _ => "apply: another",
        });
        match (expected, answer) {
            (
                Applied::Done { record: model, epoch: at, cascaded: ended },
                Applied::Done { record: store, epoch, cascaded },
            ) => {
                same("epoch", at, epoch)?;
                same_set(ended, cascaded)?;
                let mut touched = ended.clone();
                touched.push(model.id);
                self.adopt_sequences(&touched).await?;
                same_row(self.model.row(model.id).unwrap(), store)
            }
            (Applied::Conflict(model), Applied::Conflict(store))
            | (Applied::Revoked(model), Applied::Revoked(store)) => same_row(model, store),
            _ => same_variant(expected, answer),
        }
    }

    /// Takes over in which order the tokens of one step got their sequence, if they got the same
    /// ones.
    async fn adopt_sequences(&mut self, ended: &[TokenId]) -> Agreed {
        let (mut model, mut store): (Sequences, Sequences) = Default::default();
        for id in ended {
            let Some(found) = self.store.find(&Lookup::Id(*id)).await? else {
                return Err(Difference(format!("{id} is gone")));
            };
            let row = self.model.rows.iter_mut().find(|row| row.id == *id).unwrap();
            model.entry(row.owner.clone()).or_default().push(row.changed_sequence);
            store.entry(found.record.owner).or_default().push(found.record.changed_sequence);
            row.changed_sequence = found.record.changed_sequence;
        }
        model
            .values_mut()
            .chain(store.values_mut())
            .for_each(|sequences| sequences.sort_unstable());
        same("sequences", &model, &store)
    }

    async fn prune(&mut self, dead_before: i64, limit: u32) -> Agreed {
        let dead = self.model.dead_before(sample::after(dead_before));
        let childless = dead.iter().filter(|id| !self.model.has_minted(**id)).count();
        let answer = self.store.prune(sample::after(dead_before), limit).await?;
        let left = ids(&self.store.query(&everything()).await?.records);
        let before = self.model.rows.len();
        let forgotten: Vec<_> =
            ids(&self.model.rows).into_iter().filter(|id| !left.contains(id)).collect();
        self.model.rows.retain(|row| left.contains(&row.id));
        self.tally.count(match () {
            () if childless == 0 && !dead.is_empty() => "prune: parents only",
            () if childless > limit as usize => "prune: up to the limit",
            () if childless > 0 => "prune: all",
            () => "prune: nothing",
        });
        same("tokens forgotten", &((before - self.model.rows.len()) as u64), &answer)?;
        holds(forgotten.iter().all(|id| dead.contains(id)), || {
            format!("{forgotten:?} were forgotten, and only {dead:?} were dead")
        })?;
        holds(!forgotten.iter().any(|id| self.model.has_minted(*id)), || {
            format!("{forgotten:?} were forgotten before what they minted")
        })?;
        // Parents may go in the same call or in the next one.
        let least = childless.min(limit as usize) as u64;
        holds((least..=limit.into()).contains(&answer), || {
            format!("{answer} were forgotten of {childless}, with a limit of {limit}")
        })
    }

    /// Compares one page, and yields where the next one begins.
    async fn page(&mut self, query: &Query) -> Result<Option<Start>, Difference> {
        let all = self.model.list(query);
        let place = |row: &TokenRecord| Place::of(row, query.order);
        let is_past = |row: &&TokenRecord| match (&query.start, &self.held) {
            (Start::After(_), Some((_, last))) if query.descending => place(row) < *last,
            (Start::After(_), Some((_, last))) => place(row) > *last,
            _ => true,
        };
        let skipped = match query.start {
            Start::Offset(rows) => rows as usize,
            _ => 0,
        };
        let mut rest = all.iter().filter(is_past).skip(skipped).peekable();
        let expected: Vec<_> = rest.by_ref().take(query.limit as usize).collect();
        let has_next = rest.peek().is_some() && !expected.is_empty();
        let page = self.store.query(query).await?;
        let listed: Vec<_> = page.records.iter().map(|row| row.id).collect();
        same("page", &expected.iter().map(|row| row.id).collect::<Vec<_>>(), &listed)?;
        for (model, store) in expected.iter().zip(&page.records) {
            same_row(model, store)?;
        }
        same("total", &query.with_total.then_some(all.len() as u64), &page.total)?;
        same("whether there is a next page", &has_next, &page.next.is_some())?;
        self.tally.count(if has_next { "query: more" } else { "query: last page" });
        let Some(cursor) = page.next else {
            return Ok(None);
        };
        let start = Start::After(cursor);
        let mut next = query.clone();
        next.start = start.clone();
        self.held = Some((next.clone(), place(expected[expected.len() - 1])));
        next.order = if query.order == Order::Owner { Order::Created } else { Order::Owner };
        let answer = self.store.query(&next).await;
        holds(matches!(answer, Err(StoreError::InvalidCursor)), || {
            format!("the cursor of another order was answered with {answer:?}")
        })?;
        Ok(Some(start))
    }

    async fn events(&mut self, query: &EventQuery, after: usize) -> Agreed {
        let all = self.all_events().await?;
        let mut query = query.clone();
        query.after = all.get(after).map_or(0, |stored| stored.sequence);
        let is_meant = |stored: &&StoredEvent| {
            stored.sequence > query.after
                && (query.token.is_none() || stored.event.token == query.token)
                && (query.owner.is_none() || stored.event.owner == query.owner)
        };
        let expected: Vec<_> =
            all.iter().filter(is_meant).take(query.limit as usize).cloned().collect();
        self.tally.count(if expected.is_empty() { "events: none" } else { "events: some" });
        same("events", &expected, &self.store.events(&query).await?)
    }

    async fn all_events(&self) -> Result<Vec<StoredEvent>, Difference> {
        let all = self.store.events(&EventQuery::after(0, Query::LARGEST_PAGE)).await?;
        let events: Vec<_> = all.iter().map(|stored| stored.event.clone()).collect();
        same("events", &self.model.events, &events)?;
        let grows = all.windows(2).all(|pair| pair[0].sequence < pair[1].sequence);
        holds(grows, || format!("the numbers of the events do not grow: {all:?}"))?;
        Ok(all)
    }

    /// Whether everything that changed since is named, at its epoch; what else is named costs a
    /// reader time, and is no lie.
    async fn invalidations(&mut self, since: Epoch) -> Agreed {
        let answer = self.store.invalidations(since).await?;
        let now = self.model.epoch();
        same("epoch", &now, &answer.epoch)?;
        let Some(changes) = answer.changes else {
            self.tally.count("invalidations: unknown");
            return holds(since > now, || format!("nothing is known since {since:?}"));
        };
        self.tally.count(if since == now { "invalidations: none" } else { "invalidations: some" });
        holds(since <= now, || format!("{changes:?} since {since:?}, which is to come"))?;
        holds(changes.is_sorted_by_key(|(epoch, _)| *epoch), || format!("no order: {changes:?}"))?;
        holds(changes.iter().all(|(epoch, _)| (since.0 + 1..=now.0).contains(&epoch.0)), || {
            format!("{changes:?} are not all since {since:?}")
        })?;
        for (epoch, touched) in (self.model.start.0 + 1..).map(Epoch).zip(&self.model.touched) {
            for (what, owner) in touched.iter().filter(|_| epoch > since) {
                let names = |(at, named): &(Epoch, Touched)| {
                    let all_of_owner = Touched::Owner(owner.clone());
                    *at == epoch && [what, &all_of_owner, &Touched::Everything].contains(&named)
                };
                holds(changes.iter().any(names), || {
                    format!("{what:?} at {epoch:?} is missing in {changes:?}")
                })?;
            }
        }
        Ok(())
    }

    async fn compare_all(&mut self) -> Agreed {
        let rows = self.store.query(&everything()).await?.records;
        same("tokens", &ids(&self.model.rows), &ids(&rows))?;
        for (model, store) in self.model.rows.iter().zip(&rows) {
            same_row(model, store)?;
        }
        for owner in (0..OWNERS).map(sample::owner) {
            same("owner", &self.model.owner(&owner), &self.store.owner(&owner).await?)?;
        }
        self.all_events().await?;
        self.invalidations(self.model.start).await
    }
}

type Sequences = BTreeMap<OwnerId, Vec<u64>>;

fn holds(is_so: bool, otherwise: impl FnOnce() -> String) -> Agreed {
    if is_so { Ok(()) } else { Err(Difference(otherwise())) }
}

fn same<T: PartialEq + Debug>(what: &str, model: &T, store: &T) -> Agreed {
    holds(model == store, || format!("{what}: {store:?}, and not {model:?}"))
}

fn same_variant<T: Debug>(model: &T, store: &T) -> Agreed {
    let is_same = discriminant(model) == discriminant(store);
    holds(is_same, || format!("the answer is {store:?}, and not {model:?}"))
}

fn same_set(model: &[TokenId], store: &[TokenId]) -> Agreed {
    let sorted = |ids: &[TokenId]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    same("tokens", &sorted(model), &sorted(store))
}

macro_rules! fields {
    ($($field:ident)+) => {
        /// Compares every field.
        fn same_row(model: &TokenRecord, store: &TokenRecord) -> Agreed {
            let id = model.id;
            $(holds(model.$field == store.$field, || {
                let (model, store) = (&model.$field, &store.$field);
                format!("{} of {id}: {store:?}, and not {model:?}", stringify!($field))
            })?;)+
            same("digest", &bits(&model.digest), &bits(&store.digest))?;
            same("binding", model.binding.as_bytes(), store.binding.as_bytes())?;
            same("previous", &previous(model), &previous(store))
        }

        const COMPARED: &[&str] =
            &[$(stringify!($field),)+ "digest", "binding", "previous"];
    };
}
fields! {
    id number realm owner owner_generation creator parent kind prefix name note grant state validity
    created_at changed_at changed_sequence generation secret_issued_at bypasses_two_factor constraints
    spent hint usage version
}

type Bits<'r> = (&'static str, Option<&'r KeyId>, [u8; 32]);

fn bits(stored: &StoredDigest) -> Bits<'_> {
    (stored.scheme.code(), stored.key.as_ref(), *stored.digest.as_bytes())
}

fn previous(row: &TokenRecord) -> Option<(Bits<'_>, DateTime<Utc>)> {
    row.previous.as_ref().map(|previous| (bits(&previous.digest), previous.ends_at))
}

#[test]
fn every_field_of_a_row_is_compared() {
    let row = format!("{:#?}", sample::record(&sample::owner(1), 1));
    let fields = row.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("    ")?.split_once(": ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(name)
    });
    let unseen: Vec<_> = fields.filter(|name| !COMPARED.contains(name)).collect();
    assert!(unseen.is_empty(), "{unseen:?} are not compared");
}
