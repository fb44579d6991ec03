//! Whether what was read from a store may still be used: the machine behind the revocation bound.
//!
//! Whoever remembers what it read asks the store every now and then what changed. From before the
//! question was sent, and for one bound, it may use what it remembers and the answer did not touch.
//! This is that reasoning and nothing else: what happened goes in, what is to be done comes out, and
//! time is an argument. The guide's page on revocation has the proof.

mod lease;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use self::lease::micros;
pub use self::lease::{Lease, Reading};
use super::epoch::{Epoch, Invalidations, Touched};
use super::id::{OwnerId, TokenId};

/// What a node knows of how fresh its memory is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Freshness {
    lease_nanos: u64,
    remembered: usize,
    /// Everything up to this epoch has been forgotten; `None` before the first answer.
    applied: Option<Epoch>,
    /// The last epoch that anything read here was as new as.
    seen: Epoch,
    /// What was touched lately, by epoch.
    ring: VecDeque<(Epoch, Touched)>,
    /// What was touched up to this epoch may be missing in the ring.
    floor: Epoch,
    /// Changes of this node that no answer has told of yet, and that it has applied.
    own: BTreeSet<Epoch>,
    /// How often the store's history turned out to be another one.
    history: u64,
    /// Until when the node is registered, so that a fence waits for it.
    registered_until: u64,
    lease: Lease,
    /// The latest time that the store ever told.
    held_micros: i64,
}

/// A question that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a question that is not asked brings no lease"]
pub struct Poll {
    since: Option<Epoch>,
    seen: Epoch,
    begun: Reading,
    history: u64,
}

impl Poll {
    /// Which epoch to ask from: at first one to come, since only the last one's number is of use.
    #[must_use]
    pub fn since(&self) -> Epoch {
        self.since.unwrap_or(Epoch(u64::MAX))
    }
}

/// When a reader began to read. What the store was then may be another history by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    history: u64,
}

/// What is to be done, in this order, one before the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Forget what is remembered of this.
    Forget(Touched),
    /// From now on what is remembered may be used under this lease.
    Publish(Lease),
    /// The store has lost changes that it had acknowledged: tell whoever operates it.
    HistoryLost {
        /// What this node has seen.
        seen: Epoch,
        /// What the store has now.
        now: Epoch,
    },
}

impl Freshness {
    /// A node that knows nothing. What it remembers is usable for `bound`, less what the clocks may
    /// be wrong by: a thousandth, and one `tick` by which a coarse reading may lag.
    #[must_use]
    pub fn new(bound: Duration, tick: Duration) -> Self {
        Self {
            lease_nanos: nanos(at_least(bound).saturating_sub(tick)),
            remembered: REMEMBERED,
            applied: None,
            seen: Epoch(0),
            ring: VecDeque::new(),
            floor: Epoch(0),
            own: BTreeSet::new(),
            history: 0,
            registered_until: 0,
            lease: Lease::default(),
            held_micros: i64::MIN,
        }
    }

    /// The same, which remembers what so many changes touched. A reader that is out while more are
    /// made has read in vain.
    #[must_use]
    pub const fn remembering(mut self, changes: usize) -> Self {
        self.remembered = changes;
        self
    }

    /// Everything up to this epoch has been forgotten where it was touched.
    #[must_use]
    pub const fn applied(&self) -> Option<Epoch> {
        self.applied
    }

    /// The lease that was published last.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// The store knows of this node for so long, counted from before it was told.
    pub fn registered(&mut self, begun: Reading, lasts: Duration) {
        let until = begun.steady_nanos.saturating_add(nanos(at_least(lasts)));
        self.registered_until = self.registered_until.max(until);
    }

    /// For how much longer the store knows of this node.
    #[must_use]
    pub const fn registered_for(&self, at: Reading) -> Duration {
        Duration::from_nanos(self.registered_until.saturating_sub(at.steady_nanos))
    }

    /// Begins to ask the store what changed. `at` must be read before the question is sent.
    pub const fn poll(&self, at: Reading) -> Poll {
        Poll { since: self.applied, seen: self.seen, begun: at, history: self.history }
    }

    /// The store has answered. Answers may come in another order than they were asked for.
    pub fn answered(&mut self, poll: Poll, at: Reading, answer: &Invalidations) -> Vec<Effect> {
        let mut effects = Vec::new();
        if poll.history != self.history {
            return effects;
        }
        match poll.since {
            // It was as far when something was read before the question was sent.
            Some(_) if answer.epoch < poll.seen => {
                self.history = self.history.saturating_add(1);
                self.applied = None;
                self.seen = Epoch(0);
                self.floor = Epoch(0);
                self.ring.clear();
                self.own.clear();
                effects.push(self.start_at(answer.epoch));
                effects.push(Effect::HistoryLost { seen: poll.seen, now: answer.epoch });
            }
            Some(seen) => match &answer.changes {
                Some(changes) if are_whole(changes, seen, answer.epoch) => {
                    effects.extend(self.apply(changes, answer.epoch));
                }
                // It no longer remembers, or an epoch is missing, which a store must not do.
                _ => effects.push(self.start_at(answer.epoch)),
            },
            None => effects.push(self.start_at(answer.epoch)),
        }
        self.seen = self.seen.max(answer.epoch);
        let told = answer.now.map_or(poll.begun.date_micros, |now| now.timestamp_micros());
        self.held_micros = self.held_micros.max(told);
        let lease = self.lease_from(poll, told);
        let is_later = poll.begun.steady_nanos.saturating_add(self.lease_nanos)
            >= self.lease.until_nanos
            || !self.lease.holds(at);
        if lease.holds(at) && is_later {
            self.lease = lease;
            effects.push(Effect::Publish(lease));
        }
        effects
    }

    /// This node has made the change of that epoch, which touched no more than this. All of it must
    /// be forgotten before its maker is told that it was made: no answer will have it forgotten again.
    pub fn changed(&mut self, epoch: Epoch, touched: impl IntoIterator<Item = Touched>) {
        self.noticed(epoch, touched);
        let Some(mut applied) = self.applied else {
            return;
        };
        if epoch > applied {
            self.own.insert(epoch);
        }
        // What comes next to what is known need not be told.
        while self.own.remove(&Epoch(applied.0.saturating_add(1))) {
            applied = Epoch(applied.0.saturating_add(1));
        }
        self.applied = Some(applied);
    }

    /// This was touched at that epoch or before, by whomever: older reads of it must not be kept.
    pub fn noticed(&mut self, epoch: Epoch, touched: impl IntoIterator<Item = Touched>) {
        self.seen = self.seen.max(epoch);
        for one in touched {
            self.remember(epoch, one);
        }
    }

    /// The store has refused a token, in a snapshot with that epoch: what was read of it before must
    /// not be kept, even if no answer has told of the change.
    pub fn refused(&mut self, read: Epoch, token: TokenId) {
        self.seen = self.seen.max(read);
        // One entry for each token, or whoever presents dead ones would push out all others.
        let token = Touched::Token(token);
        let newer = |(epoch, touched): &(Epoch, Touched)| *epoch >= read && *touched == token;
        if !self.ring.iter().rev().any(newer) {
            self.ring.retain(|(_, touched)| *touched != token);
            self.remember(read, token);
        }
    }

    /// To be taken before the store is asked for what [`Freshness::may_keep`] is asked about.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        Ticket { history: self.history }
    }

    /// Whether what was read of a token, in a snapshot with this epoch, may be remembered: whether
    /// nothing has touched the token since.
    #[must_use]
    pub fn may_keep(
        &mut self,
        ticket: Ticket,
        read: Epoch,
        token: TokenId,
        owner: &OwnerId,
    ) -> bool {
        if ticket.history == self.history {
            self.seen = self.seen.max(read);
        }
        ticket.history == self.history
            && self.applied.is_some()
            && read >= self.floor
            && self
                .ring
                .iter()
                .rev()
                .take_while(|(epoch, _)| *epoch > read)
                .all(|(_, touched)| !touched.covers(token, owner))
    }

    fn apply(&mut self, changes: &[(Epoch, Touched)], now: Epoch) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Another answer may have told of some of it already.
        let applied = self.applied.unwrap_or_default();
        for (epoch, touched) in changes.iter().filter(|(epoch, _)| *epoch > applied) {
            if !self.own.contains(epoch) {
                self.remember(*epoch, touched.clone());
                effects.push(Effect::Forget(touched.clone()));
            }
        }
        self.applied = Some(applied.max(now));
        self.own = self.own.split_off(&Epoch(now.0.saturating_add(1)));
        effects
    }

    /// Forgets all that it may have read before that epoch, and before what it has applied since.
    fn start_at(&mut self, epoch: Epoch) -> Effect {
        let latest = self.ring.back().map_or(epoch, |(latest, _)| epoch.max(*latest));
        self.applied = self.applied.max(Some(epoch));
        self.floor = self.floor.max(latest);
        self.ring.clear();
        Effect::Forget(Touched::Everything)
    }

    fn remember(&mut self, epoch: Epoch, touched: Touched) {
        // Nearly always at the end: only this node's own changes come before others' of less.
        let place = self.ring.partition_point(|(known, _)| *known <= epoch);
        self.ring.insert(place, (epoch, touched));
        while self.ring.len() > self.remembered {
            if let Some((forgotten, _)) = self.ring.pop_front() {
                self.floor = self.floor.max(forgotten);
            }
        }
    }

    fn lease_from(&self, poll: Poll, told_micros: i64) -> Lease {
        let begun = poll.begun;
        let until = begun.steady_nanos.saturating_add(self.lease_nanos);
        let steady_micros = micros(begun.steady_nanos);
        Lease {
            until_nanos: until.min(self.registered_until),
            date_ahead_micros: begun.date_micros.saturating_sub(steady_micros),
            time_ahead_micros: told_micros.saturating_sub(steady_micros),
            held_micros: self.held_micros,
        }
    }
}

/// Whether every epoch after `seen`, up to `now`, is among the changes.
fn are_whole(changes: &[(Epoch, Touched)], seen: Epoch, now: Epoch) -> bool {
    let mut last = seen;
    for (epoch, _) in changes {
        if *epoch != last && epoch.0 != last.0.saturating_add(1) {
            return false;
        }
        last = *epoch;
    }
    last == now
}

/// The least that passes while a clock counts so much.
fn at_least(counted: Duration) -> Duration {
    counted.saturating_sub(counted.checked_div(CLOCK_RATE).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Clocks may run fast or slow by one part in so many: ten times what quartz does at its worst.
const CLOCK_RATE: u32 = 1000;

/// Covers a reader that is out for seconds while a thousand changes a second are made.
const REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests;
