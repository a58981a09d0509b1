//! The desk of a process: blocks in memory, the one ordered queue of tasks, and what is under way.
//!
//! The loader lays blocks and tasks on it in the order of the plan; workers take the first ready task
//! among the next few; I/O threads bring and carry blocks. Nothing here waits for a store or computes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use megagram_storage::bridge::Bridge;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use timely::scheduling::SyncActivator;

use crate::error::{Error, Result};
use crate::pass::{Leaf, Pass};
use crate::progress::Progress;
use crate::schedule::{Name, Op, Task};

/// Tasks laid out ahead of the workers, at most.
const QUEUE_MAX: usize = 4096;

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
            window: (2 * workers).max(8),
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

    // The loader's side.

    /// Waits until `ready` says so; `false` if the pass has failed.
    fn wait(&self, state: &mut parking_lot::MutexGuard<'_, State>, ready: impl Fn(&State) -> bool) -> bool {
        while state.errors.is_empty() && !ready(state) {
            self.changed.wait(state);
        }
        state.errors.is_empty()
    }

    /// Waits until a block that the pass makes is stored; `false` if the pass has failed.
    pub fn wait_stored(&self, name: Name) -> bool {
        let mut state = self.state.lock();
        self.wait(&mut state, |s| s.stored.contains(&name))
    }

    /// Takes a slot for `name`: the one of `evict` once nobody uses it, or a free one. `None` if the pass
    /// has failed. A target that is not loaded is open at once.
    pub fn take_slot(&self, name: Name, evict: Option<Name>, load: bool) -> Option<Vec<f64>> {
        let class = self.pass.class(name);
        let mut state = self.state.lock();
        let mut values = match evict {
            None => state.free[class].pop().unwrap_or_default(),
            Some(victim) => {
                let idle = |s: &State| {
                    s.entries.get(&victim).is_none_or(|e| e.pins == 0 && matches!(e.value, Value::Ready(_)))
                };
                if !self.wait(&mut state, idle) {
                    return None;
                }
                match state.entries.remove(&victim).map(|e| e.value) {
                    // Pins fall only after the last reader has let go, so this is the only owner.
                    Some(Value::Ready(values)) => Arc::try_unwrap(values).unwrap_or_default(),
                    _ => Vec::new(),
                }
            }
        };
        if load {
            state.under_way += 1;
            state.entries.insert(name, Entry { value: Value::Loading, pins: 0, queued: 0, done: 0 });
            return Some(values);
        }
        let len = self.pass.classes()[class].len;
        values.clear();
        values.resize(len, 0.0);
        state.entries.insert(name, Entry { value: Value::Open(values), pins: 0, queued: 0, done: 0 });
        Some(Vec::new())
    }

    /// A block has been read.
    pub fn loaded(&self, name: Name, target: bool, values: Vec<f64>, result: Result<()>) {
        let mut state = self.state.lock();
        state.under_way -= 1;
        if let Some(entry) = state.entries.get_mut(&name) {
            entry.value = if target { Value::Open(values) } else { Value::Ready(Arc::new(values)) };
        }
        drop(state);
        match result {
            Ok(()) => self.wake(),
            Err(error) => self.fail(error),
        }
    }

    /// Lays tasks at the end of the queue; `false` if the pass has failed.
    pub fn lay(&self, group: u32, tasks: &[Task]) -> bool {
        let mut state = self.state.lock();
        if !self.wait(&mut state, |s| s.queue.len() < QUEUE_MAX) {
            return false;
        }
        state.loader_group = group;
        state.open_groups.retain(|g, left| *left > 0 || *g == group);
        *state.open_groups.entry(group).or_default() += tasks.len();
        for task in tasks {
            for name in [task.a, task.b].into_iter().flatten() {
                if let Some(entry) = state.entries.get_mut(&name) {
                    entry.pins += 1;
                }
            }
            let turn = state.entries.get_mut(&task.target).map_or(0, |entry| {
                entry.queued += 1;
                entry.queued - 1
            });
            state.queue.push_back(Queued { task: *task, turn, group });
        }
        drop(state);
        self.wake();
        true
    }

    /// The loader has laid out everything, or stopped.
    pub fn loader_done(&self) {
        let mut state = self.state.lock();
        state.loader_done = true;
        state.open_groups.retain(|_, left| *left > 0);
        if state.open_groups.is_empty() {
            state.loader_group = u32::MAX;
        }
        drop(state);
        self.wake();
    }

    // The workers' side.

    /// The first ready task among the next few, if there is one.
    pub fn take(&self) -> Option<Work> {
        let mut state = self.state.lock();
        let State { entries, queue, errors, under_way, .. } = &mut *state;
        if !errors.is_empty() {
            return None;
        }
        let readable = |name: Option<Name>| match name {
            None => true,
            Some(name) => entries.get(&name).is_some_and(|e| matches!(e.value, Value::Ready(_))),
        };
        let at = queue.iter().take(self.window).position(|q| {
            let target = entries.get(&q.task.target);
            let open = target.is_some_and(|e| e.done == q.turn && matches!(e.value, Value::Open(_)));
            open && readable(q.task.a) && readable(q.task.b)
        })?;
        let Queued { task, group, .. } = queue.remove(at)?;
        let read = |name: Option<Name>| {
            name.and_then(|n| match &entries.get(&n)?.value {
                Value::Ready(values) => Some(Arc::clone(values)),
                _ => None,
            })
        };
        let (a, b) = (read(task.a), read(task.b));
        let entry = entries.get_mut(&task.target)?;
        let Value::Open(values) = std::mem::replace(&mut entry.value, Value::Busy) else { return None };
        *under_way += 1;
        Some(Work { task, group, values, a, b })
    }

    /// Does a task and lays its result back.
    pub fn run(self: &Arc<Self>, work: Work) {
        let Work { task, group, mut values, a, b } = work;
        let leaf = Leaf {
            task: &task,
            target: &mut values,
            a: a.as_ref().map(|v| v.as_slice()),
            b: b.as_ref().map(|v| v.as_slice()),
        };
        let result = self.pass.leaf(leaf);
        // Pins must not fall before the last reader has let go.
        drop((a, b));
        let finished = task.op == Op::Finish && result.is_ok();
        let result = if finished { self.finish(&task, group, values) } else { self.reopen(&task, values, result) };
        let mut state = self.state.lock();
        for name in [task.a, task.b].into_iter().flatten() {
            if let Some(entry) = state.entries.get_mut(&name) {
                entry.pins -= 1;
            }
        }
        state.close(group, 1);
        state.under_way -= 1;
        drop(state);
        self.settle(result);
    }

    fn reopen(&self, task: &Task, values: Vec<f64>, result: Result<()>) -> Result<()> {
        if let Some(entry) = self.state.lock().entries.get_mut(&task.target) {
            entry.value = Value::Open(values);
            entry.done += 1;
        }
        result
    }

    /// Makes a block readable and sends it, and what goes beside it, to the store. Each save counts as
    /// under way, and holds its group open, until it is durable.
    fn finish(self: &Arc<Self>, task: &Task, group: u32, values: Vec<f64>) -> Result<()> {
        let name = task.target;
        let beside = self.pass.finished(name, &values)?;
        let save = self.pass.save(name);
        let values = Arc::new(values);
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.get_mut(&name) {
            entry.value = Value::Ready(Arc::clone(&values));
            entry.done += 1;
            entry.pins += u32::from(save.is_some());
        }
        let saves = usize::from(save.is_some()) + beside.len();
        state.flops += self.pass.flops(name);
        state.under_way += saves;
        *state.open_groups.entry(group).or_default() += saves;
        drop(state);
        match save {
            Some(save) => {
                let desk = Arc::clone(self);
                self.bridge.save(save, values, move |result| desk.saved(Some(name), group, result));
            }
            None => {
                drop(values);
                if self.pass.counts(name) {
                    self.count_tile();
                }
            }
        }
        for (key, bytes) in beside {
            let desk = Arc::clone(self);
            self.bridge.put(key, bytes, move |result| desk.saved(None, group, result));
        }
        Ok(())
    }

    fn settle(&self, result: Result<()>) {
        match result {
            Ok(()) => self.wake(),
            Err(error) => self.fail(error),
        }
    }

    fn count_tile(&self) {
        self.state.lock().tiles_done += 1;
        self.progress.advance(1);
    }

    fn saved(&self, name: Option<Name>, group: u32, result: megagram_storage::Result<()>) {
        let mut state = self.state.lock();
        if let Some(name) = name {
            if let Some(entry) = state.entries.get_mut(&name) {
                entry.pins -= 1;
            }
            if result.is_ok() {
                state.stored.insert(name);
                state.outbox.push(Event::Stored(name));
            }
        }
        state.close(group, 1);
        state.under_way -= 1;
        drop(state);
        if result.is_ok() && name.is_some_and(|n| self.pass.counts(n)) {
            self.count_tile();
        }
        self.settle(result.map_err(Error::from));
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
