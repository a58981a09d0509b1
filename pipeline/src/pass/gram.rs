//! The Gram pass: `K[i,j] = k(X_i, X_j)` for the tiles that are missing, each stored as it is made.

use std::collections::HashSet;
use std::sync::Arc;

use megagram_storage::bridge::{Load, Save};
use megagram_storage::codec::Stamp;
use megagram_storage::{Id, Key, Kind, TileGrid, TileId, Traffic};

use super::costs::Costs;
use super::ledger::Ledger;
use super::source::Source;
use super::{Class, Leaf, Origin, Pass, tile_of};
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::schedule::blocks::{Resident, square};
use crate::schedule::owners::Owners;
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Create, Name, Op, Space, Step, Task};

/// A stored Gram: its place and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct GramPlace {
    /// Its id.
    pub id: Id,
    /// Its tiles.
    pub grid: TileGrid,
    /// Its outputs, in the order of the columns.
    pub outputs: Vec<Covariance>,
}

impl GramPlace {
    /// Column names of its tiles.
    pub fn columns(&self) -> Vec<&'static str> {
        self.outputs.iter().map(|o| o.name()).collect()
    }

    /// What the file of a tile says it is.
    pub fn stamp(&self, tile: TileId) -> Stamp {
        let (rows, cols) = (self.grid.rows(tile.row), self.grid.rows(tile.col));
        Stamp { id: self.id.clone(), i: tile.row, j: tile.col, rows, cols }
    }

    /// Where a tile is kept.
    pub fn key(&self, tile: TileId) -> Key {
        Key::tile(Kind::Gram, &self.id, tile)
    }

    /// How a column of a tile is read.
    pub fn load(&self, tile: TileId, column: &'static str) -> Load {
        let among_others = self.outputs.len() > 1;
        Load { key: self.key(tile), stamp: self.stamp(tile), column, among_others, ld: self.grid.tile as usize }
    }
}

/// Makes the missing tiles of a Gram.
pub struct GramPass {
    place: GramPlace,
    source: Arc<Source>,
    missing: HashSet<TileId>,
    owners: Owners,
    sets: Vec<Resident>,
    classes: Vec<Class>,
    memory_bytes: u64,
    costs: Costs,
}

const TILES: usize = 0;
const ROWS: usize = 1;

impl GramPass {
    /// A pass over `missing`. `writes` tiles may be on their way to the store at once.
    ///
    /// # Errors
    /// [`Error::Memory`] if not even one tile and its rows fit.
    pub fn new(
        place: GramPlace,
        source: Arc<Source>,
        missing: HashSet<TileId>,
        processes: usize,
        (workers, writes): (usize, usize),
        mut ledger: Ledger,
    ) -> Result<Self> {
        let side = source.side;
        let (tile_len, rows_len) = (side * side * place.outputs.len(), source.rows_len());
        let (tile_bytes, rows_bytes) = (8 * tile_len as u64, 8 * rows_len as u64);
        ledger.require("the gram: one tile and two blocks of rows", tile_bytes + 2 * rows_bytes)?;
        // Enough tiles that no worker waits for a write, unless rows would not fit beside them.
        let wanted = workers + writes + 1;
        let tiles = (1..=wanted).rev().find(|t| *t as u64 * tile_bytes + 2 * rows_bytes <= ledger.left()).unwrap_or(1);
        ledger.charge("gram tiles", tiles as u64 * tile_bytes);
        let blocks = place.grid.blocks();
        let rows = ledger.slots(rows_bytes).min(blocks as usize + workers).max(2);
        ledger.charge("rows", rows as u64 * rows_bytes);
        let p = (rows as u32 / 2).clamp(1, blocks.max(1));
        let p = if rows >= blocks as usize { blocks } else { p };
        Ok(Self {
            sets: square(blocks, p),
            classes: vec![
                Class { len: tile_len, room: Room { slots: tiles } },
                Class { len: rows_len, room: Room { slots: rows } },
            ],
            memory_bytes: ledger.spent(),
            costs: Costs::new(&place.columns()),
            place,
            source,
            missing,
            owners: Owners::skewed(processes),
        })
    }
}

impl Blocks for GramPass {
    fn class(&self, name: Name) -> usize {
        if name.space == Space::Gram { TILES } else { ROWS }
    }

    fn memory_only(&self, _: Name) -> bool {
        false
    }
}

impl Pass for GramPass {
    fn stage(&self) -> &'static str {
        "gram"
    }

    fn classes(&self) -> Vec<Class> {
        self.classes.clone()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn steps(&self, process: usize) -> Box<dyn Iterator<Item = Step> + '_> {
        let mine =
            move |&(i, j): &(u32, u32)| self.owners.of(i, j) == process && self.missing.contains(&TileId::new(i, j));
        Box::new(self.sets.iter().zip(0..).flat_map(move |(set, group)| {
            set.targets().filter(mine).map(move |(i, j)| {
                let target = Name::new(Space::Gram, i, j);
                let x = |block| Some(Name::new(Space::Rows, block, 0));
                let create = vec![Create { name: target, load: false }];
                Step::of(group, create, vec![Task::new(Op::Finish, target, x(i), x(j))])
            })
        }))
    }

    fn origin(&self, name: Name, _: bool) -> Result<Origin> {
        Ok(self.source.origin(name))
    }

    fn loaded(&self, name: Name, _: bool, values: &mut Vec<f64>) -> Result<()> {
        self.source.learn(name, values);
        Ok(())
    }

    fn leaf(&self, leaf: Leaf<'_>) -> Result<()> {
        let (Some(a), Some(b), Some(at), Some(bt)) = (leaf.a, leaf.b, leaf.task.a, leaf.task.b) else {
            return Err(Error::Defect("a gram tile without rows".into()));
        };
        self.source.tile(&self.place.outputs, (at, a), (bt, b), leaf.target)
    }

    fn save(&self, name: Name) -> Option<Save> {
        let tile = tile_of(name);
        let side = self.source.side;
        let (key, stamp) = (self.place.key(tile), self.place.stamp(tile));
        Some(Save { key, stamp, columns: self.place.columns(), ld: side, stride: side * side })
    }

    fn write_cost(&self, name: Name) -> Result<Traffic> {
        self.costs.write(self.place.grid.rows(name.row), self.place.grid.rows(name.col))
    }

    fn flops(&self, name: Name) -> f64 {
        let (rows, cols) = (self.place.grid.rows(name.row) as u64, self.place.grid.rows(name.col) as u64);
        let all = self.source.network.flops(rows, cols) as f64;
        if name.row == name.col { all / 2.0 } else { all }
    }

    fn work(&self, task: &Task) -> f64 {
        self.flops(task.target) * self.source.slowness
    }

    fn counts(&self, _: Name) -> bool {
        true
    }
}
