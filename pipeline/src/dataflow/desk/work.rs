//! The workers' side of the desk: take a task, do it, send what is finished to the store.

use std::sync::Arc;

use super::{Desk, Event, Queued, State, Value, Work};
use crate::error::{Error, Result};
use crate::pass::Leaf;
use crate::schedule::{Name, Op, Task};

impl Desk {
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
