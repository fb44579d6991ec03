//! A store, a few nodes, and all that can happen between them.

mod step;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keyfob::core::epoch::{Epoch, Invalidations, Touched};
use keyfob::core::freshness::{Effect, Freshness, Lease, Poll, Reading, Ticket};
use keyfob::{OwnerId, TokenId};

use crate::mistake::Mistake;

/// One tick is a second. A lease is a little less than the bound, and so ends with the third tick.
pub(crate) const BOUND: u64 = 3;

/// What a run is about: everything else is left out of it, or there would be no end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) nodes: usize,
    pub(crate) ticks: u64,
    /// What is done to the token, or beside it, each by any node, in this order at the earliest.
    pub(crate) changes: &'static [Change],
    /// How often the way between a node and the store may be cut or mended.
    pub(crate) cuts: u8,
    pub(crate) crashes: u8,
    pub(crate) sleeps: u8,
    pub(crate) date_steps: u8,
    /// Whether the store may lose its last change, once.
    pub(crate) loses: bool,
    pub(crate) mints: bool,
    pub(crate) hints: bool,
    /// How many changes the nodes remember to keep stale reads out.
    pub(crate) remembered: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Deactivate,
    /// Of the owner.
    DeactivateOwner,
    Reactivate,
    /// Of another token, which is of no concern here.
    Rename,
    Revoke,
    /// It returns once no node goes by what was.
    RevokeFenced,
}

impl Change {
    const fn narrows(self) -> bool {
        matches!(self, Self::Deactivate | Self::DeactivateOwner | Self::Revoke | Self::RevokeFenced)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    Active,
    Deactivated,
    Revoked,
}

/// How the contract was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    Bounded,
    Fenced,
    Honest,
    Local,
    Minted,
    Resurrected,
    /// A change failed because nobody could be told of it.
    Vetoed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    pub(crate) now: u64,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    /// What is under way, in the order of the setting.
    pub(crate) under_way: Vec<UnderWay>,
    /// When a narrowing returned that nothing has undone since.
    pub(crate) narrowed_at: Option<u64>,
    pub(crate) is_fenced: bool,
    pub(crate) broken: Option<Broken>,
    pub(crate) left: Left,
}

/// How much may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    cuts: u8,
    crashes: u8,
    sleeps: u8,
    date_steps: u8,
    loses: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    standing: Standing,
    owner_is_active: bool,
    changes: Vec<(u64, Touched)>,
    /// The last change's number, and the last that was given out, which is the same but for a mistake.
    epoch: u64,
    given: u64,
    /// What each node has reported; `None` is a node that the store does not know.
    reports: Vec<Option<u64>>,
    /// The token's standing before its last change.
    before: (Standing, bool),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    machine: Freshness,
    lease: Lease,
    /// Whether the token is in the index.
    is_indexed: bool,
    poll: Option<(Poll, Option<Invalidations>)>,
    /// What is still to be done of what the machine said.
    effects: VecDeque<Effect>,
    fill: Option<(Ticket, Option<(u64, bool)>)>,
    verify: Option<Verify>,
    is_cut: bool,
    sleeps: bool,
    slept: u64,
    date_ahead: i64,
    /// Whether a narrowing of this node has returned that nothing has undone since.
    has_narrowed: bool,
    has_refused: bool,
    is_hinted: bool,
}

/// A verification: begun, then with the lease read, then done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Verify {
    begun: u64,
    after_own: bool,
    after_fence: bool,
    after_refusal: bool,
    holds: Option<bool>,
    found: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UnderWay {
    node: usize,
    change: Change,
    number: u64,
    is_made: bool,
    /// It has returned to its node, and waits for the others.
    fenced_since: Option<u64>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Tick,
    Poll(usize),
    Snapshot(usize),
    SecondStatement(usize),
    Lost(usize),
    Apply(usize),
    Carry(usize),
    Report(usize),
    Read(usize),
    Fill(usize),
    Begin(usize),
    Look(usize),
    Decide(usize),
    Change(usize),
    Commit(usize),
    Return(usize),
    Fence(usize),
    Mint(usize),
    Cut(usize),
    Crash(usize),
    Sleep(usize),
    Wake(usize),
    Date(usize, bool),
    LoseHistory,
    DropHint(usize),
}

/// What must have been seen somewhere, or nothing was shown.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Seen {
    Hit,
    HitAfterLostHint,
    Unavailable,
    Minted,
    StaleFillRefused,
    LateAnswer,
    HistoryLost,
    FenceReported,
    FenceWaited,
    Returned,
    WokenWithoutLease,
    WellAgain,
}

impl Seen {
    pub(crate) const ALL: [Self; 12] = [
        Self::Hit,
        Self::HitAfterLostHint,
        Self::Unavailable,
        Self::Minted,
        Self::StaleFillRefused,
        Self::LateAnswer,
        Self::HistoryLost,
        Self::FenceReported,
        Self::FenceWaited,
        Self::Returned,
        Self::WokenWithoutLease,
        Self::WellAgain,
    ];
}

pub(crate) struct System {
    pub(crate) setting: Setting,
    pub(crate) mistake: Option<Mistake>,
    pub(crate) seen: AtomicU32,
}

pub(crate) fn token() -> TokenId {
    TokenId::from_bytes([1; 16])
}

fn other() -> Touched {
    Touched::Token(TokenId::from_bytes([2; 16]))
}

fn owner() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

const SECOND: u64 = 1_000_000_000;

impl System {
    pub(crate) fn new(setting: Setting, mistake: Option<Mistake>) -> Self {
        Self { setting, mistake, seen: AtomicU32::new(0) }
    }

    pub(crate) fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn see(&self, seen: Seen) {
        self.seen.fetch_or(1 << seen as u8, Ordering::Relaxed);
    }

    pub(crate) fn has_seen(&self, seen: Seen) -> bool {
        self.seen.load(Ordering::Relaxed) & (1 << seen as u8) != 0
    }

    fn machine(&self) -> Freshness {
        Freshness::new(Duration::from_secs(BOUND), Duration::ZERO)
            .remembering(self.setting.remembered)
    }

    fn node(&self) -> Node {
        Node {
            machine: self.machine(),
            lease: Lease::default(),
            is_indexed: false,
            poll: None,
            effects: VecDeque::new(),
            fill: None,
            verify: None,
            is_cut: false,
            sleeps: false,
            slept: 0,
            date_ahead: 0,
            has_narrowed: false,
            has_refused: false,
            is_hinted: false,
        }
    }

    pub(crate) fn start(&self) -> Cluster {
        let Setting { cuts, crashes, sleeps, date_steps, loses, nodes, .. } = self.setting;
        Cluster {
            now: 0,
            store: Store {
                standing: Standing::Active,
                owner_is_active: true,
                changes: Vec::new(),
                epoch: 0,
                given: 0,
                reports: vec![None; nodes],
                before: (Standing::Active, true),
            },
            nodes: vec![self.node(); nodes],
            under_way: Vec::new(),
            narrowed_at: None,
            is_fenced: false,
            broken: None,
            left: Left { cuts, crashes, sleeps, date_steps, loses },
        }
    }

    fn reading(&self, cluster: &Cluster, node: usize) -> Reading {
        let node = &cluster.nodes[node];
        let date = 100 + cluster.now.cast_signed() + node.date_ahead;
        let steady = if self.is(Mistake::WallClock) {
            date.cast_unsigned()
        } else {
            cluster.now - node.slept
        };
        Reading { steady_nanos: steady * SECOND, date_micros: date * 1_000_000 }
    }

    pub(crate) fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        if cluster.broken.is_some() {
            return;
        }
        if cluster.now < self.setting.ticks {
            actions.push(Action::Tick);
        }
        let next = cluster.under_way.len();
        for (number, node) in cluster.nodes.iter().enumerate() {
            if node.sleeps {
                actions.push(Action::Wake(number));
                continue;
            }
            // Of several the first changes what the others remember, and nothing else.
            let is_alone = self.setting.nodes == 1;
            if number > 0 || is_alone {
                self.actions_of(cluster, number, node, actions);
            }
            if next < self.setting.changes.len() && !node.is_cut && (number == 0 || is_alone) {
                actions.push(Action::Change(number));
            }
        }
        for (place, under_way) in cluster.under_way.iter().enumerate() {
            if under_way.is_over || cluster.nodes[under_way.node].sleeps {
                continue;
            }
            match under_way.fenced_since {
                Some(_) => actions.push(Action::Fence(place)),
                None if under_way.is_made => actions.push(Action::Return(place)),
                None => actions.push(Action::Commit(place)),
            }
        }
        // It is the last thing that happens to the store: what comes after might hide it.
        if cluster.left.loses && next == self.setting.changes.len() && cluster.is_settled() {
            actions.push(Action::LoseHistory);
        }
    }

    fn actions_of(&self, cluster: &Cluster, number: usize, node: &Node, actions: &mut Vec<Action>) {
        let can_ask = !node.is_cut;
        match &node.poll {
            None if node.effects.is_empty() => {
                let is_told = !self.is(Mistake::HintOnly) || node.is_hinted || !node.is_known();
                if can_ask && is_told {
                    actions.push(Action::Poll(number));
                }
            }
            None => {}
            Some((_, None)) if can_ask => actions.push(Action::Snapshot(number)),
            Some((_, None)) => actions.push(Action::Lost(number)),
            Some((_, Some(_))) if self.is(Mistake::TwoStatements) => {
                actions.push(Action::SecondStatement(number));
            }
            Some((_, Some(_))) => actions.push(Action::Apply(number)),
        }
        if !node.effects.is_empty() {
            actions.push(Action::Carry(number));
        }
        match node.fill {
            None if can_ask && !node.is_indexed && node.is_known() => {
                actions.push(Action::Read(number))
            }
            Some((_, Some(_))) => actions.push(Action::Fill(number)),
            _ => {}
        }
        match &node.verify {
            None => actions.push(Action::Begin(number)),
            Some(verify) if verify.holds.is_none() || verify.found.is_none() => {
                actions.push(Action::Look(number));
            }
            Some(_) => actions.push(Action::Decide(number)),
        }
        let reported = cluster.store.reports[number];
        let applied = node.machine.applied().map(|Epoch(epoch)| epoch);
        let is_waited_for = self.setting.changes.contains(&Change::RevokeFenced);
        // What is reported as forgotten has been.
        let has_carried = node.effects.is_empty();
        if is_waited_for && has_carried && can_ask && reported.is_some() && reported < applied {
            actions.push(Action::Report(number));
        }
        if self.setting.mints && can_ask {
            actions.push(Action::Mint(number));
        }
        if self.setting.hints && node.is_hinted {
            actions.push(Action::DropHint(number));
        }
        let left = &cluster.left;
        if left.cuts > 0 {
            actions.push(Action::Cut(number));
        }
        if left.crashes > 0 {
            actions.push(Action::Crash(number));
        }
        if left.sleeps > 0 {
            actions.push(Action::Sleep(number));
        }
        if left.date_steps > 0 {
            actions.extend([Action::Date(number, false), Action::Date(number, true)]);
        }
    }
}

impl Node {
    /// Whether it has ever been told anything.
    const fn is_known(&self) -> bool {
        self.machine.applied().is_some()
    }
}

impl Cluster {
    /// Whoever accepts from here on is right to.
    fn undo(&mut self) {
        self.narrowed_at = None;
        for node in &mut self.nodes {
            node.has_narrowed = false;
            if let Some(verify) = &mut node.verify {
                verify.after_own = false;
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.under_way.iter().all(|under_way| under_way.is_over)
    }
}

impl Store {
    fn is_live(&self) -> bool {
        self.standing == Standing::Active && self.owner_is_active
    }

    /// What changed after an epoch. A number that is missing in the list is filled with a change that
    /// touches nothing here: the machine would notice a hole, and forget everything.
    fn since(&self, since: u64, upto: u64) -> Vec<(Epoch, Touched)> {
        let of = |epoch: u64| {
            let known = self.changes.iter().find(|(known, _)| *known == epoch);
            (Epoch(epoch), known.map_or_else(other, |(_, touched)| touched.clone()))
        };
        (since + 1..=upto).map(of).collect()
    }
}
