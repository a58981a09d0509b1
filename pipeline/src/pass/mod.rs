//! Passes: what a sweep computes. A pass says which steps there are, where blocks come from and go to,
//! and what one leaf call does. How they run is `dataflow`'s business; it is the same for all.

pub mod apply;
pub mod border;
pub mod costs;
pub mod covariance;
pub mod factor;
pub mod gram;
pub mod ledger;
pub mod shelf;
pub mod solve;
pub mod source;

use std::sync::Arc;

use megagram_storage::bridge::{Load, Save};
use megagram_storage::dataset::Prepared;
use megagram_storage::{Key, TileId, Traffic};

use crate::error::Result;
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Name, Op, Step, Task};

/// Where a block is read from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A column of a tile.
    Tile(Load),
    /// A block of prepared rows, padded to `side` rows.
    Rows {
        /// The data set.
        data: Arc<Prepared>,
        /// Block of rows.
        block: u32,
        /// Rows in memory.
        side: usize,
    },
}

/// Slots of one size class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Values in a block.
    pub len: usize,
    /// How many blocks memory holds.
    pub room: Room,
}

/// What one leaf call works on.
pub struct Leaf<'a> {
    /// The task.
    pub task: &'a Task,
    /// The target's values.
    pub target: &'a mut Vec<f64>,
    /// The first block read.
    pub a: Option<&'a [f64]>,
    /// The second block read.
    pub b: Option<&'a [f64]>,
}

/// A sweep over tiles.
pub trait Pass: Blocks + Send + Sync {
    /// The stage's name in summaries and progress: `gram`, `factor`, `solve` or `border`.
    fn stage(&self) -> &'static str;
    /// The size classes and their room.
    fn classes(&self) -> Vec<Class>;
    /// All that a process's ledger has for the stage: its slots, what the pass holds beside them, what was charged before.
    fn memory_bytes(&self) -> u64;
    /// The steps of one process, in order; the same at each call.
    fn steps(&self, process: usize) -> Box<dyn Iterator<Item = Step> + '_>;
    /// Where a block is read from; a `target` is read for its first value, any other as finished.
    ///
    /// # Errors
    /// A defect: the block is none that can be read.
    fn origin(&self, name: Name, target: bool) -> Result<Origin>;
    /// Whether this pass makes the block, so that a read waits until it is stored.
    fn makes(&self, name: Name) -> bool {
        let _ = name;
        false
    }
    /// Mends a block just read: padding, noise. On an I/O thread.
    ///
    /// # Errors
    /// What is wrong with the values.
    fn loaded(&self, name: Name, target: bool, values: &mut Vec<f64>) -> Result<()>;
    /// Does a task. Called on workers, one call at a time for each target, in order.
    ///
    /// # Errors
    /// A pivot that is not positive, a value that is not finite.
    fn leaf(&self, leaf: Leaf<'_>) -> Result<()>;
    /// Where a finished block is stored.
    fn save(&self, name: Name) -> Option<Save> {
        let _ = name;
        None
    }
    /// Small objects to be stored once the block is finished.
    ///
    /// # Errors
    /// They cannot be encoded.
    fn finished(&self, name: Name, values: &[f64]) -> Result<Vec<(Key, bytes::Bytes)>> {
        let _ = (name, values);
        Ok(Vec::new())
    }
    /// The tile payload that reading a block costs.
    ///
    /// # Errors
    /// As encoding a tile.
    fn read_cost(&self, name: Name, target: bool) -> Result<Traffic> {
        let _ = (name, target);
        Ok(Traffic::default())
    }
    /// The tile payload that storing a finished block costs.
    ///
    /// # Errors
    /// As encoding a tile.
    fn write_cost(&self, name: Name) -> Result<Traffic> {
        let _ = name;
        Ok(Traffic::default())
    }
    /// Nominal floating-point operations of all tasks of a finished block (padding not counted).
    fn flops(&self, name: Name) -> f64;
    /// Floating-point operations of one task, for the simulation: all of a block's with its finish, unless
    /// the pass knows better.
    fn work(&self, task: &Task) -> f64 {
        if task.op == Op::Finish { self.flops(task.target) } else { 0.0 }
    }
    /// Whether a finished block counts as a tile done.
    fn counts(&self, name: Name) -> bool;
}

/// The tile that a name of a matrix means.
fn tile_of(name: Name) -> TileId {
    TileId::new(name.row, name.col)
}
