//! The loader's side of the desk: slots, blocks that arrive, tasks laid out.

use std::sync::Arc;

use super::{Desk, Entry, QUEUE_MAX, Queued, State, Value};
use crate::error::Result;
use crate::pages;
use crate::schedule::{Name, Task};

impl Desk {
    /// Waits until `ready` says so; `false` if the pass has failed.
    pub(super) fn wait(&self, state: &mut parking_lot::MutexGuard<'_, State>, ready: impl Fn(&State) -> bool) -> bool {
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
        let len = self.pass.classes()[class].len;
        if values.capacity() == 0 {
            values = pages::zeros(len);
        } else if !load {
            values.clear();
            values.resize(len, 0.0);
        }
        if load {
            state.under_way += 1;
            state.entries.insert(name, Entry { value: Value::Loading, pins: 0, queued: 0, done: 0 });
            return Some(values);
        }
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
}
