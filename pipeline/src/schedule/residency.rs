//! What is in memory when: Belady's rule over a known future.
//!
//! [`Replay`] walks a process's steps twice: once to learn when each block is needed next, once to
//! decide. When room is short the block needed furthest in the future goes; of those that are needed no
//! more, the one let go first, which has had the most time to reach the store; a while after its last use
//! it goes though room is not short. The same walk predicts a pass and steers it, so measured loads equal
//! predicted loads.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Name, Op, Step};

const NEVER: u32 = u32::MAX;

/// Of the blocks let go, the last few stay while others can go: their readers may still be at work, and
/// what comes in their place would wait for them. One in eight slots, and no more than this.
const RECENT: usize = 8;

/// A block that is needed no more gives its slot away, though others are free, once so many have been let
/// go after it: a slot in use costs nothing, and the first touch of a free one more than its read. Until
/// then its readers may be at work, and reading ahead would wait for them.
const SPENT: u64 = 32;

/// A size class of blocks, and how many of them fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Blocks of this class that memory holds.
    pub slots: usize,
}

/// What the replay must know of a block.
pub trait Blocks {
    /// Its size class, an index into the rooms.
    fn class(&self, name: Name) -> usize;
    /// Whether it can be had from memory only, and so stays until its last use.
    fn memory_only(&self, name: Name) -> bool;
}

/// One move of memory before a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquire {
    /// The block taken in.
    pub name: Name,
    /// Whether it is read from the store (a target that starts empty is not).
    pub load: bool,
    /// Whether it is a target.
    pub target: bool,
    /// The block that makes room; `None` takes a free slot.
    pub evict: Option<Name>,
}

/// A step with the moves that come before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Moves in order.
    pub acquire: Vec<Acquire>,
    /// The step.
    pub step: Step,
}

/// A pass that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// The class that ran out of slots.
    pub class: usize,
}

struct Resident {
    turn: Turn,
    evictable: bool,
}

/// The order in which blocks go, the last one first: when they are needed next, when they were let go.
type Turn = (u32, Reverse<u64>);

/// The steps of a process with their moves of memory.
pub struct Replay<'a> {
    blocks: &'a dyn Blocks,
    steps: Box<dyn Iterator<Item = Step> + 'a>,
    future: std::vec::IntoIter<u32>,
    resident: HashMap<Name, Resident>,
    by_turn: Vec<BTreeSet<(Turn, Name)>>,
    recent: Vec<VecDeque<(Turn, Name)>>,
    let_go: u64,
    used: Vec<usize>,
    rooms: Vec<Room>,
}

impl<'a> Replay<'a> {
    /// A replay of `steps` (called twice, with the same result) in `rooms`.
    pub fn new<I: Iterator<Item = Step> + 'a>(blocks: &'a dyn Blocks, rooms: &[Room], steps: impl Fn() -> I) -> Self {
        Self {
            blocks,
            future: future(steps()).into_iter(),
            steps: Box::new(steps()),
            resident: HashMap::new(),
            by_turn: vec![BTreeSet::new(); rooms.len()],
            recent: vec![VecDeque::new(); rooms.len()],
            let_go: 0,
            used: vec![0; rooms.len()],
            rooms: rooms.to_vec(),
        }
    }

    fn make_room(&mut self, class: usize) -> Result<Option<Name>, TooSmall> {
        let spent = |&((next, Reverse(turn)), _): &(Turn, Name)| next == NEVER && self.let_go - turn >= SPENT;
        if self.used[class] < self.rooms[class].slots && !self.by_turn[class].last().is_some_and(spent) {
            self.used[class] += 1;
            return Ok(None);
        }
        let last_choice = || self.recent[class].pop_front();
        let Some((_, victim)) = self.by_turn[class].pop_last().or_else(last_choice) else {
            return Err(TooSmall { class });
        };
        self.resident.remove(&victim);
        Ok(Some(victim))
    }

    /// Puts a block's next use on record and lets it go when the rules allow.
    fn release(&mut self, name: Name, next: u32) {
        let evictable = next == NEVER || !self.blocks.memory_only(name);
        if let Some(entry) = self.resident.get_mut(&name) {
            self.let_go += 1;
            let turn = (next, Reverse(self.let_go));
            *entry = Resident { turn, evictable };
            if evictable {
                let class = self.blocks.class(name);
                let recent = &mut self.recent[class];
                recent.push_back((turn, name));
                if recent.len() > RECENT.min(self.rooms[class].slots / 8) {
                    self.by_turn[class].extend(recent.pop_front());
                }
            }
        }
    }

    fn plan(&mut self, step: Step) -> Result<Planned, TooSmall> {
        let mut acquire = Vec::new();
        for name in &step.needs {
            if let Some(entry) = self.resident.get_mut(name)
                && std::mem::replace(&mut entry.evictable, false)
            {
                let (class, key) = (self.blocks.class(*name), (entry.turn, *name));
                if !self.by_turn[class].remove(&key) {
                    self.recent[class].retain(|k| *k != key);
                }
            }
        }
        let creates = step.creates.iter().map(|c| (c.name, c.load, true));
        let needs = step.needs.iter().map(|n| (*n, true, false));
        for (name, load, target) in creates.chain(needs) {
            if !self.resident.contains_key(&name) {
                let evict = self.make_room(self.blocks.class(name))?;
                acquire.push(Acquire { name, load, target, evict });
                self.resident.insert(name, Resident { turn: (NEVER, Reverse(0)), evictable: false });
            }
        }
        for name in &step.needs {
            let next = self.future.next().unwrap_or(NEVER);
            self.release(*name, next);
        }
        for task in step.tasks.iter().filter(|t| t.op == Op::Finish) {
            let next = self.future.next().unwrap_or(NEVER);
            self.release(task.target, next);
        }
        Ok(Planned { acquire, step })
    }
}

/// For each need and each finish, in order: the step that needs the block next.
fn future(steps: impl Iterator<Item = Step>) -> Vec<u32> {
    let mut future: Vec<u32> = Vec::new();
    let mut last: HashMap<Name, usize> = HashMap::new();
    for (index, step) in steps.enumerate() {
        for name in &step.needs {
            if let Some(at) = last.insert(*name, future.len()) {
                future[at] = index as u32;
            }
            future.push(NEVER);
        }
        for task in step.tasks.iter().filter(|t| t.op == Op::Finish) {
            last.insert(task.target, future.len());
            future.push(NEVER);
        }
    }
    future
}

impl Iterator for Replay<'_> {
    type Item = Result<Planned, TooSmall>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.steps.next()?;
        Some(self.plan(step))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Space;
    use super::*;

    struct Plain;
    impl Blocks for Plain {
        fn class(&self, _: Name) -> usize {
            0
        }
        fn memory_only(&self, _: Name) -> bool {
            false
        }
    }

    fn read(col: u32) -> Step {
        Step { needs: vec![Name::new(Space::Factor, 0, col)], ..Step::default() }
    }

    fn loads(slots: usize, order: &[u32]) -> usize {
        let steps = || order.iter().map(|c| read(*c));
        Replay::new(&Plain, &[Room { slots }], steps).map(|p| p.unwrap().acquire.len()).sum()
    }

    /// The slow twin: the fewest loads of any policy, by trying every victim.
    fn fewest(slots: usize, order: &[u32], held: &mut Vec<u32>) -> usize {
        let Some((first, rest)) = order.split_first() else { return 0 };
        if held.contains(first) {
            return fewest(slots, rest, held);
        }
        if held.len() < slots {
            held.push(*first);
            let best = 1 + fewest(slots, rest, held);
            held.pop();
            return best;
        }
        (0..held.len())
            .map(|v| {
                let old = std::mem::replace(&mut held[v], *first);
                let cost = 1 + fewest(slots, rest, held);
                held[v] = old;
                cost
            })
            .min()
            .unwrap_or(usize::MAX / 2)
    }

    #[test]
    fn no_policy_loads_less() {
        let mut seed = 1u32;
        for _ in 0..200 {
            let order: Vec<u32> = (0..12)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 16) % 5
                })
                .collect();
            assert_eq!(loads(3, &order), fewest(3, &order, &mut Vec::new()), "{order:?}");
        }
    }

    #[test]
    fn of_blocks_needed_no_more_the_first_let_go_is_the_first_to_go() {
        let steps = || (0..5).map(read);
        let moves = Replay::new(&Plain, &[Room { slots: 3 }], steps).flat_map(|p| p.unwrap().acquire);
        let gone: Vec<u32> = moves.filter_map(|a| a.evict).map(|n| n.col).collect();
        assert_eq!(gone, [0, 1]);
    }

    #[test]
    fn what_passes_by_once_takes_few_slots_though_all_are_free() {
        // Block 0 is needed again at the end, and stays.
        let order: Vec<u32> = (0..200).chain([0]).collect();
        let steps = || order.iter().map(|c| read(*c));
        let moves: Vec<_> =
            Replay::new(&Plain, &[Room { slots: 1000 }], steps).flat_map(|p| p.unwrap().acquire).collect();
        assert_eq!(moves.len(), 200);
        assert!(moves.iter().all(|m| m.evict.is_none_or(|gone| gone.col != 0)));
        let slots = moves.iter().filter(|m| m.evict.is_none()).count();
        assert!((SPENT as usize..SPENT as usize + RECENT + 3).contains(&slots), "{slots} slots");
    }

    #[test]
    fn too_little_room_is_told() {
        let step = Step { needs: vec![Name::new(Space::Rows, 0, 0), Name::new(Space::Rows, 1, 0)], ..Step::default() };
        let mut replay = Replay::new(&Plain, &[Room { slots: 1 }], || std::iter::once(step.clone()));
        assert_eq!(replay.next(), Some(Err(TooSmall { class: 0 })));
    }
}
