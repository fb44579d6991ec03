//! A few nodes on one store, and what befalls them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;

use crate::book::Book;
use crate::history::{Nanos, Operation, Terms};
use crate::machine::Machine;
use crate::node::Node;
use crate::store::{Centre, Way};
use crate::world::{MILLI, World};
use crate::wrong::Wrong;

/// What became of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) history: Vec<Operation>,
    pub(crate) bound: Nanos,
    /// What befell it how often.
    pub(crate) mischief: BTreeMap<Mischief, u64>,
}

impl Course {
    /// The store's time is known to a node as well as it is told quickly.
    pub(crate) const fn terms(&self) -> Terms {
        Terms { bound: self.bound, expiry_allowance: self.bound }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mischief {
    AnswersCut,
    Cut,
    Crash,
    DateSet,
    HintsCut,
    Mended,
    Refused,
    Slow,
    StoreDown,
    Stop,
    Suspension,
}

impl Mischief {
    pub(crate) const ALL: [Self; 11] = [
        Self::AnswersCut,
        Self::Cut,
        Self::Crash,
        Self::DateSet,
        Self::HintsCut,
        Self::Mended,
        Self::Refused,
        Self::Slow,
        Self::StoreDown,
        Self::Stop,
        Self::Suspension,
    ];
}

/// The whole course of things that follows from a seed.
pub(crate) fn run(seed: u64, wrong: Option<Wrong>) -> Course {
    let world = World::new(seed);
    let bound = world.between(200..1000) * MILLI;
    let nodes = usize::try_from(world.between(2..5)).unwrap();
    let machines: Vec<_> = (0..nodes).map(|_| Machine::new(&world, wrong)).collect();
    let cluster = Cluster {
        centre: Centre::new(&world, machines.clone(), wrong),
        book: Book::new(&world),
        bound,
        machines,
        mischief: Arc::default(),
        processes: Arc::new(Mutex::new(vec![None; nodes])),
        world: world.clone(),
    };
    for number in 0..nodes {
        cluster.start(number);
    }
    let trouble_ends = TROUBLE * bound;
    cluster.clone().befall(trouble_ends);
    world.run(trouble_ends);
    cluster.mend();
    // Questions of the time before may come to the store until then.
    world.run(trouble_ends + 4 * bound + 1_500 * MILLI);
    for number in 0..nodes {
        cluster.finish(number);
    }
    world.run(world.now() + 1_000 * MILLI);
    let mischief = cluster.mischief.lock().unwrap().clone();
    Course { history: cluster.book.history(), bound, mischief }
}

/// What runs on a machine, if something does.
type Running = Option<(usize, Node)>;

#[derive(Clone)]
struct Cluster {
    world: World,
    centre: Centre,
    machines: Vec<Machine>,
    book: Book,
    bound: Nanos,
    /// The process of each machine, by a number that no other has had.
    processes: Arc<Mutex<Vec<Running>>>,
    mischief: Arc<Mutex<BTreeMap<Mischief, u64>>>,
}

impl Cluster {
    fn start(&self, number: usize) {
        let way = Way::new(&self.centre, number);
        let machine = &self.machines[number];
        let name = u16::try_from(number).unwrap();
        let node = Node::new(&self.world, machine, way, &self.book, self.bound, name);
        let process = self.world.process();
        node.start(process);
        self.processes.lock().unwrap()[number] = Some((process, node));
    }

    /// Stops all work, and has everything verified once more.
    fn finish(&self, number: usize) {
        let process = self.processes.lock().unwrap()[number].take();
        if let Some((process, node)) = process {
            self.world.kill(process);
            self.world.spawn(self.world.process(), node.verify_all());
        }
    }

    /// Something happens every now and then.
    fn befall(self, until: Nanos) {
        let delay = self.world.between(1..self.bound);
        if self.world.now() + delay >= until {
            return;
        }
        self.world.clone().after(delay, move || {
            let number = self.world.below(self.machines.len());
            let kind = Mischief::ALL[self.world.below(Mischief::ALL.len())];
            self.suffer(kind, number);
            *self.mischief.lock().unwrap().entry(kind).or_default() += 1;
            self.befall(until);
        });
    }

    fn suffer(&self, kind: Mischief, number: usize) {
        let machine = &self.machines[number];
        match kind {
            Mischief::AnswersCut => machine.rewire(|wire| wire.back_is_cut = true),
            Mischief::Cut => machine.rewire(|wire| {
                wire.there_is_cut = true;
                wire.back_is_cut = true;
            }),
            Mischief::HintsCut => machine.rewire(|wire| wire.hints_are_cut = true),
            Mischief::Refused => machine.rewire(|wire| wire.is_refused = true),
            Mischief::Slow => {
                let slowness = self.world.between(0..self.bound);
                machine.rewire(|wire| wire.slowness = slowness);
            }
            Mischief::Mended => machine.mend(),
            Mischief::StoreDown => {
                self.machines.iter().for_each(|one| one.rewire(|wire| wire.is_refused = true));
                let machines = self.machines.clone();
                self.world.after(self.world.between(1..self.bound), move || {
                    machines.iter().for_each(|one| one.rewire(|wire| wire.is_refused = false));
                });
            }
            Mischief::DateSet => {
                let by = self.world.between(0..7_200_000).cast_signed() - 3_600_000;
                machine.set_date(TimeDelta::milliseconds(by));
            }
            Mischief::Crash => self.crash(number),
            Mischief::Stop => self.stand_still(number, false),
            Mischief::Suspension => self.stand_still(number, true),
        }
    }

    fn crash(&self, number: usize) {
        let Some(process) = self.running(number) else { return };
        self.processes.lock().unwrap()[number] = None;
        self.book.lose_connections(u16::try_from(number).unwrap());
        self.world.kill(process);
        let cluster = self.clone();
        self.world.after(self.world.between(1..self.bound), move || cluster.start(number));
    }

    /// A process that takes no step, or a machine that does not.
    fn stand_still(&self, number: usize, suspended: bool) {
        let Some(process) = self.running(number) else { return };
        self.book.stand_still(u16::try_from(number).unwrap());
        self.world.stop(process);
        let span = self.world.between(1..3 * self.bound);
        let (world, machine) = (self.world.clone(), self.machines[number].clone());
        self.world.after(span, move || {
            if suspended {
                machine.was_suspended(span);
            }
            world.go_on(process);
        });
    }

    /// Its process, if it has one that does not stand still.
    fn running(&self, number: usize) -> Option<usize> {
        let process = self.processes.lock().unwrap()[number].as_ref().map(|(process, _)| *process);
        process.filter(|process| !self.world.is_stopped(*process))
    }

    fn mend(&self) {
        self.machines.iter().for_each(Machine::mend);
    }
}

/// For how many bounds there is trouble.
const TROUBLE: u64 = 8;
