//! Simulation: how long a pass takes on a machine described by a few numbers, event by event.
//!
//! It follows the loader, the desk and the bridge: the same plan, the same order of tasks, the same limits on
//! what is in flight. Whoever changes one of them changes this. It computes nothing and reads nothing, so
//! ownership of tiles can be chosen by it, and `plan` can tell times for stores and clusters that are not there.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use crate::dataflow::{QUEUE_MAX, window};
use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::schedule::residency::{Acquire, Planned, Replay, Room};
use crate::schedule::{Name, Op, Task};

/// What a pass runs on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Floating-point operations a worker does in a second.
    pub flops: f64,
    /// Seconds from a request to its first byte, and from the last byte of a write to its acknowledgement.
    pub latency: f64,
    /// Bytes a process reads in a second, and as many that it writes.
    pub bandwidth: f64,
    /// Reads in flight at most, for each process.
    pub loads: usize,
    /// Writes in flight at most, for each process.
    pub saves: usize,
}

impl Machine {
    /// A worker of 50 GF/s beside a folder, or beside a store over the network. What must be the same in every process is
    /// chosen with these, not with what each measures.
    pub fn nominal(folder: bool, loads: usize, saves: usize) -> Self {
        let (latency, bandwidth) = if folder { (0.005, 1e9) } else { (0.03, 2e8) };
        Self { flops: 5e10, latency, bandwidth, loads, saves }
    }
}

/// How a pass went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// Seconds until the last tile is stored.
    pub seconds: f64,
    /// Of all workers' time, the part spent on tasks.
    pub busy: f64,
}

/// Runs a pass in thought.
///
/// # Errors
/// [`Error::Defect`] if the plan does not fit its room, or cannot come to its end.
pub fn simulate(pass: &dyn Pass, (processes, workers): (usize, usize), machine: &Machine) -> Result<Simulated> {
    let mut world = World { now: 0, events: BinaryHeap::new(), count: 0, stored: HashSet::new(), working: 0.0 };
    let mut desks: Vec<Desk<'_>> = (0..processes).map(|p| Desk::new(pass, p, workers, machine)).collect();
    for desk in &mut desks {
        desk.advance(&mut world)?;
    }
    while let Some(Reverse((at, _, process, event))) = world.events.pop() {
        world.now = at;
        if let Event::Saved(name) = event {
            world.stored.insert(name);
            for desk in desks.iter_mut().filter(|d| d.process != process && d.waits_for == Some(name)) {
                desk.advance(&mut world)?;
            }
        }
        if let Some(desk) = desks.get_mut(process) {
            desk.happened(event);
            desk.advance(&mut world)?;
        }
    }
    if desks.iter().any(|d| !d.at_end()) {
        return Err(Error::Defect(format!("the {} plan cannot come to its end", pass.stage())));
    }
    let seconds = world.now as f64 / 1e9;
    let all = seconds * (processes * workers) as f64;
    Ok(Simulated { seconds, busy: if all > 0.0 { world.working / all } else { 1.0 } })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done { target: Name, a: Option<Name>, b: Option<Name>, finish: bool },
    Loaded(Name),
    Saved(Name),
}

/// Time in nanoseconds, what is to come, and what everybody knows.
struct World {
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    count: u64,
    stored: HashSet<Name>,
    working: f64,
}

impl World {
    fn after(&mut self, seconds: f64, process: usize, event: Event) {
        let at = self.now + (seconds * 1e9).round() as u64;
        self.count += 1;
        self.events.push(Reverse((at, self.count, process, event)));
    }
}

#[derive(Default)]
struct Entry {
    target: bool,
    ready: bool,
    open: bool,
    pins: u32,
    queued: u32,
    done: u32,
}

/// One direction of a process's way to the store.
struct Way {
    free: usize,
    waiting: VecDeque<(Name, u64)>,
    idle_at: f64,
}

impl Way {
    /// Seconds from now until each request that can start now is through; the bytes of all share the way.
    fn start(&mut self, now: u64, machine: &Machine) -> Vec<(Name, f64)> {
        let now = now as f64 / 1e9;
        let mut started = Vec::new();
        while self.free > 0
            && let Some((name, bytes)) = self.waiting.pop_front()
        {
            self.free -= 1;
            self.idle_at = self.idle_at.max(now) + bytes as f64 / machine.bandwidth;
            started.push((name, self.idle_at - now + machine.latency));
        }
        started
    }
}

/// A process.
struct Desk<'a> {
    pass: &'a dyn Pass,
    process: usize,
    machine: Machine,
    plan: Replay<'a>,
    at_hand: Option<(Planned, usize)>,
    ended: bool,
    waits_for: Option<Name>,
    entries: HashMap<Name, Entry>,
    queue: VecDeque<(Task, u32)>,
    window: usize,
    idle: usize,
    loads: Way,
    saves: Way,
}

impl<'a> Desk<'a> {
    fn new(pass: &'a dyn Pass, process: usize, workers: usize, machine: &Machine) -> Self {
        let rooms: Vec<Room> = pass.classes().iter().map(|c| c.room).collect();
        let way = |free| Way { free, waiting: VecDeque::new(), idle_at: 0.0 };
        Self {
            pass,
            process,
            machine: *machine,
            plan: Replay::new(pass, &rooms, || pass.steps(process)),
            at_hand: None,
            ended: false,
            waits_for: None,
            entries: HashMap::new(),
            queue: VecDeque::new(),
            window: window(workers),
            idle: workers,
            loads: way(machine.loads.max(1)),
            saves: way(machine.saves.max(1)),
        }
    }

    fn at_end(&self) -> bool {
        self.ended && self.queue.is_empty()
    }

    fn entry(&mut self, name: Name) -> &mut Entry {
        self.entries.entry(name).or_default()
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Loaded(name) => {
                self.loads.free += 1;
                let entry = self.entry(name);
                (entry.open, entry.ready) = (entry.target, !entry.target);
            }
            Event::Saved(name) => {
                self.saves.free += 1;
                self.entry(name).pins -= 1;
            }
            Event::Done { target, a, b, finish } => {
                self.idle += 1;
                for name in [a, b].into_iter().flatten() {
                    self.entry(name).pins -= 1;
                }
                let saved = finish && self.pass.save(target).is_some();
                let entry = self.entry(target);
                entry.done += 1;
                (entry.open, entry.ready) = (!finish, finish);
                entry.pins += u32::from(saved);
                if saved {
                    let bytes = self.pass.write_cost(target).map_or(0, |t| t.bytes_written);
                    self.saves.waiting.push_back((target, bytes));
                }
            }
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, world: &mut World) -> Result<()> {
        loop {
            let laid = self.load(world)?;
            let began = self.work(world);
            for (name, seconds) in self.loads.start(world.now, &self.machine) {
                world.after(seconds, self.process, Event::Loaded(name));
            }
            for (name, seconds) in self.saves.start(world.now, &self.machine) {
                world.after(seconds, self.process, Event::Saved(name));
            }
            if !laid && !began {
                return Ok(());
            }
        }
    }

    /// One step of the plan as far as it goes; whether it was laid out.
    fn load(&mut self, world: &mut World) -> Result<bool> {
        let (planned, mut at) = match self.at_hand.take() {
            Some(at_hand) => at_hand,
            None if self.ended => return Ok(false),
            None => match self.plan.next() {
                None => {
                    self.ended = true;
                    return Ok(false);
                }
                Some(Ok(planned)) => (planned, 0),
                Some(Err(_)) => {
                    return Err(Error::Defect(format!("the {} plan does not fit its own room", self.pass.stage())));
                }
            },
        };
        self.waits_for = None;
        while let Some(acquire) = planned.acquire.get(at) {
            if !self.bring(*acquire, world)? {
                self.at_hand = Some((planned, at));
                return Ok(false);
            }
            at += 1;
        }
        if self.queue.len() >= QUEUE_MAX {
            self.at_hand = Some((planned, at));
            return Ok(false);
        }
        for task in planned.step.tasks {
            for name in [task.a, task.b].into_iter().flatten() {
                self.entry(name).pins += 1;
            }
            let entry = self.entry(task.target);
            entry.queued += 1;
            let turn = entry.queued - 1;
            self.queue.push_back((task, turn));
        }
        Ok(true)
    }

    fn bring(&mut self, Acquire { name, load, target, evict }: Acquire, world: &mut World) -> Result<bool> {
        if load && !target && self.pass.makes(name) && !world.stored.contains(&name) {
            self.waits_for = Some(name);
            return Ok(false);
        }
        if let Some(victim) = evict {
            if self.entries.get(&victim).is_some_and(|e| e.pins > 0 || !e.ready) {
                return Ok(false);
            }
            self.entries.remove(&victim);
        }
        self.entries.insert(name, Entry { target, open: target && !load, ..Entry::default() });
        if load {
            let bytes = self.pass.read_cost(name, target)?.bytes_read;
            self.loads.waiting.push_back((name, bytes));
        }
        Ok(true)
    }

    /// Starts what idle workers find; whether any did.
    fn work(&mut self, world: &mut World) -> bool {
        let mut began = false;
        while self.idle > 0 {
            let entries = &self.entries;
            let readable = |name: Option<Name>| name.is_none_or(|n| entries.get(&n).is_some_and(|e| e.ready));
            let next = self.queue.iter().take(self.window).position(|(task, turn)| {
                let target = entries.get(&task.target);
                target.is_some_and(|e| e.open && e.done == *turn) && readable(task.a) && readable(task.b)
            });
            let Some((task, _)) = next.and_then(|at| self.queue.remove(at)) else { break };
            self.idle -= 1;
            self.entry(task.target).open = false;
            let seconds = self.pass.work(&task) / self.machine.flops;
            world.working += seconds;
            let done = Event::Done { target: task.target, a: task.a, b: task.b, finish: task.op == Op::Finish };
            world.after(seconds, self.process, done);
            began = true;
        }
        began
    }
}

#[cfg(test)]
mod tests;
