//! Schedules: which task on which tile in which order. Pure: no I/O, no threads, no Timely.
//!
//! A pass over tiles is a list of [`Step`]s in one global order that respects every dependency. Each
//! process walks its own share of it. [`residency`] adds what must be fetched and evicted, so a plan can
//! be simulated, predicted and then followed to the letter.

pub mod blocks;
pub mod owners;
pub mod panels;
pub mod residency;
pub mod strips;

use serde::{Deserialize, Serialize};

/// What kind of block a [`Name`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Space {
    /// A tile of the Gram.
    Gram,
    /// A tile of the factor.
    Factor,
    /// A tile of the border; `row` is a block of test rows.
    Border,
    /// A tile of the posterior test covariance.
    Covariance,
    /// Training rows of block `row`.
    Rows,
    /// Test rows of block `row`.
    TestRows,
    /// A few rows: z or alpha of block column `col`, or means of test block `col`.
    Thin,
}

/// The name of a block within a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// Its kind.
    pub space: Space,
    /// Block row.
    pub row: u32,
    /// Block column.
    pub col: u32,
}

impl Name {
    /// A block.
    pub fn new(space: Space, row: u32, col: u32) -> Self {
        Self { space, row, col }
    }
}

/// What a task does to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Fills it, instead of loading it.
    Init,
    /// Subtracts a product of finished blocks.
    Update,
    /// Makes it final: it can be read, and is stored if the pass stores it.
    Finish,
}

/// One leaf call on one target. Tasks on one target run in the order of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// What is done.
    pub op: Op,
    /// The block that changes.
    pub target: Name,
    /// First block read.
    pub a: Option<Name>,
    /// Second block read.
    pub b: Option<Name>,
}

impl Task {
    /// A task on `target`.
    pub fn new(op: Op, target: Name, a: Option<Name>, b: Option<Name>) -> Self {
        Self { op, target, a, b }
    }
}

/// A target that a step takes into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Create {
    /// The target.
    pub name: Name,
    /// Whether its first value is loaded; otherwise its first task is [`Op::Init`] or [`Op::Finish`].
    pub load: bool,
}

/// Tasks that share inputs. All of `needs`, and all targets created and not yet let go, are in memory at
/// once; a block finished in this step is needed by later steps only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// The resident set this step belongs to, ascending.
    pub group: u32,
    /// Targets taken into memory.
    pub creates: Vec<Create>,
    /// Blocks read, each once, in the order of first use.
    pub needs: Vec<Name>,
    /// Tasks in order.
    pub tasks: Vec<Task>,
}

impl Step {
    /// A step of `group` with `tasks`; `needs` are the blocks that they read.
    pub fn of(group: u32, creates: Vec<Create>, tasks: Vec<Task>) -> Self {
        let mut seen = std::collections::HashSet::new();
        let needs = tasks.iter().flat_map(|t| [t.a, t.b]).flatten().filter(|n| seen.insert(*n)).collect();
        Self { group, creates, needs, tasks }
    }
}
