//! A world in which time passes only when all have done what they can: tasks, what happens when, and
//! the chance that decides between things. One thread, one seed, one course of events.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::Nanos;

pub(crate) const MILLI: Nanos = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    state: Mutex<State>,
    /// Apart, since whoever is woken may be woken while something looks at the rest.
    ready: Arc<Mutex<Vec<usize>>>,
}

struct State {
    now: Nanos,
    random: StdRng,
    events: BTreeMap<(Nanos, u64), Event>,
    numbered: u64,
    tasks: Vec<Task>,
    processes: usize,
    /// Processes that stand still.
    stopped: Vec<usize>,
}

struct Task {
    process: usize,
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    waker: Waker,
}

enum Event {
    Wake(Waker),
    Do(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("now", &self.now).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            now: 0,
            random: StdRng::seed_from_u64(seed),
            events: BTreeMap::new(),
            numbered: 0,
            tasks: Vec::new(),
            processes: 0,
            stopped: Vec::new(),
        };
        Self(Arc::new(Parts { state: Mutex::new(state), ready: Arc::default() }))
    }

    /// The time, which shows whoever asks that something has happened since it was last asked.
    pub(crate) fn tick(&self) -> Nanos {
        let mut state = self.state();
        state.now += 1;
        state.now
    }

    /// The time, which stands still.
    pub(crate) fn now(&self) -> Nanos {
        self.state().now
    }

    pub(crate) fn between(&self, range: Range<u64>) -> u64 {
        self.state().random.random_range(range)
    }

    pub(crate) fn below(&self, many: usize) -> usize {
        self.state().random.random_range(0..many)
    }

    /// Whether something happens that does so this often in a hundred.
    pub(crate) fn percent(&self, often: u64) -> bool {
        self.between(0..100) < often
    }

    pub(crate) fn after(&self, delay: Nanos, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        let at = state.now + delay;
        state.schedule(at, Event::Do(Box::new(action)));
    }

    pub(crate) async fn sleep(&self, delay: Nanos) {
        let until = self.now() + delay;
        let mut is_scheduled = false;
        poll_fn(|context| {
            let mut state = self.state();
            if state.now >= until {
                return Poll::Ready(());
            }
            // A task has one waker all its life.
            if !std::mem::replace(&mut is_scheduled, true) {
                state.schedule(until, Event::Wake(context.waker().clone()));
            }
            Poll::Pending
        })
        .await;
    }

    /// What comes of it, unless that takes too long.
    pub(crate) async fn within<T>(
        &self,
        delay: Nanos,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let (mut future, mut sleep) = (pin!(future), pin!(self.sleep(delay)));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    pub(crate) fn spawn(&self, process: usize, future: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        let number = state.tasks.len();
        let waker = Waker::from(Arc::new(Alarm { number, ready: Arc::clone(&self.0.ready) }));
        state.tasks.push(Task { process, future: Some(Box::pin(future)), waker });
        self.0.ready.lock().unwrap().push(number);
    }

    /// A process, by a number that no other has.
    pub(crate) fn process(&self) -> usize {
        let mut state = self.state();
        state.processes += 1;
        state.processes
    }

    pub(crate) fn is_stopped(&self, process: usize) -> bool {
        self.state().stopped.contains(&process)
    }

    /// The process takes no step until it is told to go on.
    pub(crate) fn stop(&self, process: usize) {
        self.state().stopped.push(process);
    }

    pub(crate) fn go_on(&self, process: usize) {
        self.state().stopped.retain(|stopped| *stopped != process);
    }

    /// The process is gone, in the middle of whatever it did.
    pub(crate) fn kill(&self, process: usize) {
        let mut dead = Vec::new();
        for task in &mut self.state().tasks {
            if task.process == process {
                dead.extend(task.future.take());
            }
        }
        // Whoever is dropped may look at the world once more.
        drop(dead);
    }

    /// Lets everything happen that happens until then.
    pub(crate) fn run(&self, until: Nanos) {
        loop {
            if let Some((number, mut future, waker)) = self.runnable() {
                if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    self.state().tasks[number].future = Some(future);
                }
                continue;
            }
            let mut state = self.state();
            let next = state.events.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = next.filter(|at| *at <= until) else {
                state.now = until.max(state.now);
                return;
            };
            state.now = at.max(state.now);
            let (_, event) = state.events.pop_first().unwrap();
            drop(state);
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Do(action) => action(),
            }
        }
    }

    /// One of the tasks that can go on, by chance.
    #[expect(clippy::type_complexity, reason = "the parts of a task")]
    fn runnable(&self) -> Option<(usize, Pin<Box<dyn Future<Output = ()> + Send>>, Waker)> {
        let mut state = self.state();
        let mut ready = self.0.ready.lock().unwrap();
        ready.retain(|number| state.tasks[*number].future.is_some());
        let able: Vec<usize> = (0..ready.len())
            .filter(|place| !state.stopped.contains(&state.tasks[ready[*place]].process))
            .collect();
        let place = match able.len() {
            0 => return None,
            1 => able[0],
            many => able[state.random.random_range(0..many)],
        };
        let number = ready.remove(place);
        let task = &mut state.tasks[number];
        Some((number, task.future.take()?, task.waker.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl State {
    fn schedule(&mut self, at: Nanos, event: Event) {
        self.numbered += 1;
        self.events.insert((at, self.numbered), event);
    }
}

#[derive(Debug)]
struct Alarm {
    number: usize,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap();
        if !ready.contains(&self.number) {
            ready.push(self.number);
        }
    }
}
