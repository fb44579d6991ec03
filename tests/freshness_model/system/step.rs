//! What each step does.

use std::time::Duration;

use keyfob::core::epoch::{Epoch, Invalidations, Touched};
use keyfob::core::freshness::Effect;

use super::{
    Action, BOUND, Broken, Change, Cluster, Mistake, Seen, Standing, System, UnderWay, Verify,
    other, owner, token,
};

impl System {
    pub(crate) fn step(&self, before: &Cluster, action: Action) -> Option<Cluster> {
        let mut after = before.clone();
        match action {
            Action::Tick => {
                after.now += 1;
                for node in after.nodes.iter_mut().filter(|node| node.sleeps) {
                    node.slept += 1;
                }
            }
            Action::Poll(node) => self.poll(&mut after, node),
            Action::Snapshot(node) => self.snapshot(&mut after, node),
            Action::SecondStatement(node) => {
                // The rows were read before, the epoch is read now.
                let epoch = after.store.epoch;
                let answer = after.nodes[node].poll.as_mut()?.1.as_mut()?;
                let seen = answer.epoch.0;
                if let Some(changes) = &mut answer.changes {
                    changes.extend((seen + 1..=epoch).map(|epoch| (Epoch(epoch), other())));
                }
                answer.epoch = Epoch(epoch);
                self.apply(&mut after, node)?;
            }
            Action::Lost(node) => after.nodes[node].poll = None,
            Action::Apply(node) => self.apply(&mut after, node)?,
            Action::Carry(node) => self.carry(&mut after, node)?,
            Action::Report(node) => {
                let applied = after.nodes[node].machine.applied()?;
                after.store.reports[node] = Some(applied.0);
            }
            Action::Read(node) => {
                let ticket = after.nodes[node].machine.ticket();
                let row = (after.store.epoch, after.store.is_live());
                after.nodes[node].fill = Some((ticket, Some(row)));
            }
            Action::Fill(node) => self.fill(&mut after, node)?,
            Action::Begin(node) => {
                let (begun, after_fence) = (after.now, after.is_fenced);
                let node = &mut after.nodes[node];
                node.verify = Some(Verify {
                    begun,
                    after_own: node.has_narrowed,
                    after_fence,
                    after_refusal: node.has_refused,
                    holds: None,
                    found: None,
                });
            }
            Action::Look(node) => self.look(&mut after, node)?,
            Action::Decide(node) => self.decide(&mut after, node)?,
            Action::Change(node) => {
                let change = *self.setting.changes.get(after.under_way.len())?;
                after.store.given += 1;
                let number = after.store.given;
                after.under_way.push(UnderWay {
                    node,
                    change,
                    number,
                    is_made: false,
                    fenced_since: None,
                    is_over: false,
                });
            }
            Action::Commit(place) => self.commit(&mut after, place)?,
            Action::Return(place) => self.end(&mut after, place),
            Action::Fence(place) => self.fence(&mut after, place)?,
            Action::Mint(node) => {
                let may = if self.is(Mistake::MintViaIndex) {
                    after.nodes[node].is_indexed
                        && after.nodes[node].lease.holds(self.reading(&after, node))
                } else {
                    after.store.is_live()
                };
                if !may {
                    return None;
                }
                self.see(Seen::Minted);
                if after.store.standing == Standing::Revoked {
                    after.broken = Some(Broken::Minted);
                }
            }
            Action::Cut(node) => {
                after.left.cuts -= 1;
                after.nodes[node].is_cut ^= true;
            }
            Action::Crash(node) => {
                after.left.crashes -= 1;
                let dead = &after.nodes[node];
                let mut born = self.node();
                born.is_cut = dead.is_cut;
                born.date_ahead = dead.date_ahead;
                born.slept = dead.slept;
                // The process is another one, the node is not: what it refused it still must.
                born.has_refused = dead.has_refused;
                if self.is(Mistake::RestartKeeps) {
                    born.lease = dead.lease;
                    born.is_indexed = dead.is_indexed;
                    // It takes itself for well informed.
                    let reading = self.reading(&after, node);
                    born.machine.registered(reading, LASTS);
                    let poll = born.machine.poll(reading);
                    let last = Invalidations::new(Epoch(after.store.epoch), None, None);
                    born.machine.answered(poll, reading, &last);
                }
                after.nodes[node] = born;
                // Who was waiting in it waits no more. What was not made yet may never be.
                for under_way in &mut after.under_way {
                    if under_way.node == node && !under_way.is_over {
                        under_way.is_over = true;
                    }
                }
            }
            Action::Sleep(node) => {
                after.left.sleeps -= 1;
                after.nodes[node].sleeps = true;
            }
            Action::Wake(node) => {
                after.nodes[node].sleeps = false;
                if !after.nodes[node].lease.holds(self.reading(&after, node)) {
                    self.see(Seen::WokenWithoutLease);
                }
            }
            Action::Date(node, is_ahead) => {
                after.left.date_steps -= 1;
                let step = if is_ahead { 4 } else { -4 };
                after.nodes[node].date_ahead += step;
            }
            Action::LoseHistory => {
                after.left.loses = false;
                after.store.changes.pop()?;
                after.store.epoch -= 1;
                (after.store.standing, after.store.owner_is_active) = after.store.before;
                // A reader that was out at that moment may bring back a row of the lost time, which the
                // next poll notices: that is one bound more, and left out here.
                for node in &mut after.nodes {
                    node.fill = None;
                }
                // What was live and is not so any more was taken by the loss; what is live again must
                // not be promised to be dead.
                if after.store.is_live() {
                    after.undo();
                } else {
                    after.narrowed_at = Some(after.now);
                }
            }
            Action::DropHint(node) => after.nodes[node].is_hinted = false,
        }
        Some(after)
    }

    fn poll(&self, after: &mut Cluster, node: usize) {
        let reading = self.reading(after, node);
        if after.store.reports[node].is_none() || !after.nodes[node].is_known() {
            // Written down before it is told anything.
            after.store.reports[node] = Some(0);
            after.nodes[node].machine.registered(reading, LASTS);
        }
        let of = &mut after.nodes[node];
        of.is_hinted = false;
        of.poll = Some((of.machine.poll(reading), None));
    }

    fn snapshot(&self, after: &mut Cluster, node: usize) {
        let store = &after.store;
        let Some((poll, answer)) = &mut after.nodes[node].poll else {
            return;
        };
        let Epoch(since) = poll.since();
        let upto = store.epoch;
        let changes = (since <= upto).then(|| store.since(since, upto));
        *answer = Some(Invalidations::new(Epoch(upto), changes, None));
    }

    fn apply(&self, after: &mut Cluster, node: usize) -> Option<()> {
        let reading = self.reading(after, node);
        let of = &mut after.nodes[node];
        let (mut poll, answer) = of.poll.take()?;
        if self.is(Mistake::LeaseFromReply) {
            poll = of.machine.poll(reading);
        }
        let mut effects = of.machine.answered(poll, reading, &answer?);
        let published = effects.iter().any(|effect| matches!(effect, Effect::Publish(_)));
        if !published {
            self.see(Seen::LateAnswer);
        }
        let has_lost = effects.iter().any(|effect| matches!(effect, Effect::HistoryLost { .. }));
        if has_lost {
            self.see(Seen::HistoryLost);
            if self.is(Mistake::NoFlushOnLoss) {
                effects.retain(|effect| !matches!(effect, Effect::Forget(_)));
            }
        }
        if self.is(Mistake::PublishFirst) {
            effects.reverse();
        }
        of.effects.extend(effects);
        Some(())
    }

    fn carry(&self, after: &mut Cluster, node: usize) -> Option<()> {
        let of = &mut after.nodes[node];
        match of.effects.pop_front()? {
            Effect::Forget(touched) if touched.covers(token(), &owner()) => of.is_indexed = false,
            Effect::Publish(lease) => of.lease = lease,
            _ => {}
        }
        Some(())
    }

    fn fill(&self, after: &mut Cluster, node: usize) -> Option<()> {
        let of = &mut after.nodes[node];
        let (ticket, row) = of.fill.take()?;
        let (mut read, is_live) = row?;
        if self.is(Mistake::RingOneShort) {
            read += 1;
        }
        let may = of.machine.may_keep(ticket, Epoch(read), token(), &owner());
        if is_live && !may {
            self.see(Seen::StaleFillRefused);
        }
        of.is_indexed |= is_live && (may || self.is(Mistake::NoFence));
        Some(())
    }

    /// Reads the lease, then the index.
    fn look(&self, after: &mut Cluster, node: usize) -> Option<()> {
        let reading = self.reading(after, node);
        let is_late = self.is(Mistake::LeaseAfterSlot);
        let of = &mut after.nodes[node];
        let holds = of.lease.holds(reading) || (self.is(Mistake::HintOnly) && of.is_known());
        let verify = of.verify.as_mut()?;
        if verify.holds.is_none() && (!is_late || verify.found.is_some()) {
            verify.holds = Some(holds);
        } else {
            verify.found = Some(of.is_indexed);
        }
        Some(())
    }

    fn decide(&self, after: &mut Cluster, node: usize) -> Option<()> {
        let verify = after.nodes[node].verify.take()?;
        let is_hit = verify.holds? && verify.found?;
        let of = &after.nodes[node];
        let mut broken = None;
        let is_accepted = if is_hit {
            self.see(Seen::Hit);
            if self.setting.hints && !of.is_hinted && !after.under_way.is_empty() {
                self.see(Seen::HitAfterLostHint);
            }
            Some(true)
        } else if !of.is_cut {
            // The store is asked, which is one step of its own.
            Some(after.store.is_live())
        } else if self.is(Mistake::FailOpen) {
            broken = Some(Broken::Honest);
            Some(true)
        } else {
            self.see(Seen::Unavailable);
            None
        };
        match is_accepted {
            Some(true) => {
                let is_late = after.narrowed_at.is_some_and(|at| verify.begun >= at + BOUND);
                let broken_by = [
                    (is_late, Broken::Bounded),
                    (verify.after_own, Broken::Local),
                    (verify.after_fence, Broken::Fenced),
                    (verify.after_refusal, Broken::Resurrected),
                ];
                let found = broken_by.into_iter().find(|(is_broken, _)| *is_broken);
                broken = broken.or_else(|| found.map(|(_, broken)| broken));
                let was_cut = self.setting.cuts > 0 && after.left.cuts == 0;
                if was_cut && !after.nodes[node].is_cut {
                    self.see(Seen::WellAgain);
                }
            }
            Some(false) => {
                let standing = after.store.standing;
                let epoch = Epoch(after.store.epoch);
                let of = &mut after.nodes[node];
                of.has_refused |= standing == Standing::Revoked;
                of.machine.refused(epoch, token());
                of.is_indexed = false;
            }
            None => {}
        }
        after.broken = broken;
        Some(())
    }

    fn commit(&self, after: &mut Cluster, place: usize) -> Option<()> {
        let under_way = &mut after.under_way[place];
        if self.is(Mistake::HintInWrite) && after.nodes.iter().any(|node| node.is_hinted) {
            // The queue is full until everybody has fetched what is in it.
            after.broken = Some(Broken::Vetoed);
            return Some(());
        }
        let store = &mut after.store;
        if !self.is(Mistake::NumberBeforeCommit) {
            under_way.number = store.epoch + 1;
        }
        let (number, change) = (under_way.number, under_way.change);
        store.before = (store.standing, store.owner_is_active);
        store.epoch = store.epoch.max(number);
        let touched = match change {
            Change::Rename => other(),
            Change::DeactivateOwner => {
                store.owner_is_active = false;
                Touched::Owner(owner())
            }
            Change::Deactivate | Change::Reactivate if store.standing == Standing::Revoked => {
                Touched::Token(token())
            }
            Change::Deactivate => {
                store.standing = Standing::Deactivated;
                Touched::Token(token())
            }
            Change::Reactivate => {
                store.standing = Standing::Active;
                after.undo();
                Touched::Token(token())
            }
            Change::Revoke | Change::RevokeFenced => {
                store.standing = Standing::Revoked;
                Touched::Token(token())
            }
        };
        after.store.changes.push((number, touched));
        after.under_way[place].is_made = true;
        Some(())
    }

    /// The change has returned to its node, which forgets what it touched before anybody hears of it.
    fn end(&self, after: &mut Cluster, place: usize) {
        let UnderWay { node, change, number, .. } = after.under_way[place];
        let touched = match change {
            Change::Rename => other(),
            Change::DeactivateOwner => Touched::Owner(owner()),
            _ => Touched::Token(token()),
        };
        let of = &mut after.nodes[node];
        of.machine.changed(Epoch(number), [touched.clone()]);
        if touched.covers(token(), &owner()) {
            of.is_indexed = false;
        }
        if self.setting.hints {
            for (other, of) in after.nodes.iter_mut().enumerate() {
                of.is_hinted |= other != node;
            }
        }
        self.see(Seen::Returned);
        let still_holds = !after.store.is_live();
        if change.narrows() && still_holds {
            after.nodes[node].has_narrowed = true;
            // The earliest is what the others are measured by.
            after.narrowed_at = after.narrowed_at.or(Some(after.now));
        }
        let under_way = &mut after.under_way[place];
        if change == Change::RevokeFenced {
            under_way.fenced_since = Some(after.now);
        } else {
            under_way.is_over = true;
        }
    }

    fn fence(&self, after: &mut Cluster, place: usize) -> Option<()> {
        let UnderWay { node, number, fenced_since, .. } = after.under_way[place];
        let has_come = |(other, report): (usize, &Option<u64>)| {
            other == node || report.is_none_or(|applied| applied >= number)
        };
        let all_have = after.store.reports.iter().enumerate().all(has_come);
        if !all_have && after.now < fenced_since? + BOUND {
            return None;
        }
        self.see(if all_have { Seen::FenceReported } else { Seen::FenceWaited });
        after.is_fenced = true;
        after.under_way[place].is_over = true;
        Some(())
    }
}

/// Longer than any run.
const LASTS: Duration = Duration::from_secs(1000);
