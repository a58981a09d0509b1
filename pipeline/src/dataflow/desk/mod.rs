//! The desk of a process: blocks in memory, the one ordered queue of tasks, and what is under way.
//!
//! The loader lays blocks and tasks on it in the order of the plan; workers take the first ready task
//! among the next few; I/O threads bring and carry blocks. Nothing here waits for a store or computes.

mod lay;
mod work;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use megagram_storage::bridge::Bridge;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use timely::scheduling::SyncActivator;

use crate::error::Error;
use crate::pass::Pass;
use crate::progress::Progress;
use crate::schedule::{Name, Task};

/// Tasks laid out ahead of the workers, at most.
pub const QUEUE_MAX: usize = 4096;

/// How many of the first tasks in the queue a process of `workers` looks at for one that is ready.
pub fn window(workers: usize) -> usize {
    (2 * workers).max(8)
}

/// What processes tell each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// A block can be read from the store.
    Stored(Name),
    /// The pass cannot go on.
    Failed(Error),
}

enum Value {
    Loading,
    Open(Vec<f64>),
    Busy,
    Ready(Arc<Vec<f64>>),
}

struct Entry {
    value: Value,
    pins: u32,
    queued: u32,
    done: u32,
}

struct Queued {
    task: Task,
    turn: u32,
    group: u32,
}

#[derive(Default)]
struct State {
    entries: HashMap<Name, Entry>,
    free: Vec<Vec<Vec<f64>>>,
    queue: VecDeque<Queued>,
    under_way: usize,
    open_groups: BTreeMap<u32, usize>,
    loader_group: u32,
    loader_done: bool,
    stored: HashSet<Name>,
    outbox: Vec<Event>,
    errors: Vec<Error>,
    tiles_done: u64,
    flops: f64,
}

/// A process's share of a pass, as its threads see it.
pub struct Desk {
    pub(super) pass: Arc<dyn Pass>,
    pub(super) bridge: Bridge,
    pub(super) process: usize,
    progress: Arc<dyn Progress>,
    state: Mutex<State>,
    changed: Condvar,
    workers: Mutex<Vec<SyncActivator>>,
    window: usize,
}

/// A task a worker has taken.
pub struct Work {
    task: Task,
    group: u32,
    values: Vec<f64>,
    a: Option<Arc<Vec<f64>>>,
    b: Option<Arc<Vec<f64>>>,
}

/// What a pass did in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Tiles finished and stored.
    pub tiles: u64,
    /// Nominal floating-point operations of them.
    pub flops: f64,
}

impl Desk {
    /// An empty desk for `process`, whose `workers` take tasks.
    pub fn new(
        pass: Arc<dyn Pass>,
        bridge: Bridge,
        process: usize,
        workers: usize,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let free = pass.classes().iter().map(|_| Vec::new()).collect();
        Self {
            pass,
            bridge,
            process,
            progress,
            state: Mutex::new(State { free, ..State::default() }),
            changed: Condvar::new(),
            workers: Mutex::default(),
            window: window(workers),
        }
    }

    /// Lets a worker be woken when there is something to do.
    pub fn enlist(&self, worker: SyncActivator) {
        self.workers.lock().push(worker);
    }

    fn wake(&self) {
        self.changed.notify_all();
        for worker in self.workers.lock().iter() {
            // A worker that has left needs no waking.
            let _ = worker.activate();
        }
    }

    /// The errors met so far, in an order that is the same in every process.
    pub fn errors(&self) -> Vec<Error> {
        let mut errors = self.state.lock().errors.clone();
        errors.sort_by_key(|e| e.to_string());
        errors.dedup();
        errors
    }

    /// What has been done here.
    pub fn done(&self) -> Done {
        let state = self.state.lock();
        Done { tiles: state.tiles_done, flops: state.flops }
    }

    /// An error met here: it is told to every process.
    pub fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        state.errors.push(error.clone());
        state.outbox.push(Event::Failed(error));
        state.queue.clear();
        drop(state);
        self.wake();
    }

    /// What another process (or this one) told.
    pub fn hear(&self, event: Event) {
        let mut state = self.state.lock();
        match event {
            Event::Stored(name) => {
                state.stored.insert(name);
            }
            Event::Failed(error) => {
                if !state.errors.contains(&error) {
                    state.errors.push(error);
                }
                state.queue.clear();
            }
        }
        drop(state);
        self.wake();
    }

    /// Events to be sent, and the oldest group that is not complete here; `None` when all is.
    pub fn news(&self) -> (Vec<Event>, Option<u64>) {
        let mut state = self.state.lock();
        let events = std::mem::take(&mut state.outbox);
        let stopped = state.loader_done && state.under_way == 0 && (state.queue.is_empty());
        let oldest = state.open_groups.keys().next().copied().unwrap_or(state.loader_group);
        (events, (!stopped).then_some(u64::from(oldest.min(state.loader_group))))
    }
}

impl State {
    fn close(&mut self, group: u32, tasks: usize) {
        if let Some(left) = self.open_groups.get_mut(&group) {
            *left = left.saturating_sub(tasks);
            if *left == 0 && (group < self.loader_group || self.loader_done) {
                self.open_groups.remove(&group);
            }
        }
    }
}
