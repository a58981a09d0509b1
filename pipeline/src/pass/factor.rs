//! The factor pass: `L[i,k] = (K[i,k] − Σ_{j<k} L[i,j] L[k,j]ᵀ) L[k,k]⁻ᵀ`, each tile stored once.

use std::collections::HashSet;
use std::sync::Arc;

use megagram_storage::bridge::{Load, Save};
use megagram_storage::codec::Stamp;
use megagram_storage::{Id, Key, Kind, TileGrid, TileId, Traffic};

use super::costs::Costs;
use super::gram::GramPlace;
use super::ledger::Ledger;
use super::shelf::Shelf;
use super::source::{Source, pad};
use super::{Class, Leaf, Origin, Pass, tile_of};
use crate::error::{BadPivot, Error, Result};
use crate::job::Covariance;
use crate::leaf;
use crate::plan::foresee;
use crate::schedule::blocks::{Begin, Resident, factor_steps, square};
use crate::schedule::owners::Owners;
use crate::schedule::panels::{self, choose, resident_sets};
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Name, Op, Space, Step, Task};
use crate::simulate::{Machine, simulate};

/// A stored factor: its place and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorPlace {
    /// Its id.
    pub id: Id,
    /// Its tiles.
    pub grid: TileGrid,
}

impl FactorPlace {
    /// What the file of a tile says it is.
    pub fn stamp(&self, tile: TileId) -> Stamp {
        let (rows, cols) = (self.grid.rows(tile.row), self.grid.rows(tile.col));
        Stamp { id: self.id.clone(), i: tile.row, j: tile.col, rows, cols }
    }

    /// How a tile is read.
    pub fn load(&self, tile: TileId) -> Load {
        let (key, stamp) = (Key::tile(Kind::Factor, &self.id, tile), self.stamp(tile));
        Load { key, stamp, column: "l", among_others: false, ld: self.grid.tile as usize }
    }

    /// Fills a tile just read up to side×side.
    pub fn pad(&self, tile: TileId, values: &mut Vec<f64>) {
        pad(values, self.grid.tile as usize, self.grid.rows(tile.row), tile.is_diagonal());
    }
}

/// Where K comes from.
pub enum Given {
    /// A stored Gram and the output to take.
    Stored(GramPlace, Covariance),
    /// The rows; K is never stored.
    Computed(Arc<Source>, Covariance),
}

/// Makes the missing tiles of a factor.
pub struct FactorPass {
    place: FactorPlace,
    given: Given,
    noise_var: f64,
    missing: HashSet<TileId>,
    owners: Owners,
    sets: Vec<Resident>,
    abreast: u32,
    classes: Vec<Class>,
    memory_bytes: u64,
    shelf: Shelf,
    given_costs: Costs,
    costs: Costs,
}

const TILES: usize = 0;
const ROWS: usize = 1;

/// Tiles of a column that are laid out together, at most, where memory is plenty.
const COLUMN_LAID_OUT: u32 = 24;

/// How many times the rows of a strip that keep the workers busy are tried, several processes sharing it.
const FLIGHTS: [u32; 3] = [1, 2, 4];

/// Tiles that one process needs for a resident block of one tile: the target, its two inputs, one more
/// that is on its way.
const LEAST_SLOTS: usize = 4;

/// The resident sets, and the rows abreast, of the cheapest plan that leaves room for prefetch; with
/// little memory, of one that leaves less.
fn resident(blocks: u32, slots: usize, owners: Owners, workers: usize, flight: u32) -> (Vec<Resident>, u32) {
    for (workers, slack) in [(workers, 4 * workers), (workers, 2), (1, 1), (1, 0)] {
        let space = panels::Space { slots, owners, workers, slack, flight };
        if let Some(panels) = choose(blocks, space) {
            return (resident_sets(&panels, blocks), space.rows_abreast());
        }
    }
    (square(blocks, 1), 1)
}

impl FactorPass {
    /// A pass over `missing`.
    ///
    /// # Errors
    /// [`Error::Memory`] if not even a 1×1 resident block fits.
    pub fn new(
        place: FactorPlace,
        given: Given,
        noise_var: f64,
        missing: HashSet<TileId>,
        (processes, workers): (usize, usize),
        machine: &Machine,
        mut ledger: Ledger,
    ) -> Result<Self> {
        let side = place.grid.tile as usize;
        let tile_bytes = 8 * (side * side) as u64;
        let blocks = place.grid.blocks();
        let least = LEAST_SLOTS + processes.min(2) - 1;
        let mut rows = Class { len: 0, room: Room { slots: 0 } };
        if let Given::Computed(source, _) = &given {
            let bytes = 8 * source.rows_len() as u64;
            let what = "the factor: a resident block of one tile and two blocks of rows";
            ledger.require(what, least as u64 * tile_bytes + 2 * bytes)?;
            // A tenth of memory for rows: each is needed by a whole row and column of targets.
            let spare = ledger.left() - least as u64 * tile_bytes;
            let wanted = (ledger.left() / 10).min(spare) / bytes.max(1);
            let wanted = wanted.clamp(2, u64::from(blocks) + 2);
            ledger.charge("rows", wanted * bytes);
            rows = Class { len: source.rows_len(), room: Room { slots: wanted as usize } };
        }
        ledger.require("the factor: a resident block of one tile", least as u64 * tile_bytes)?;
        // A whole column of tiles, or the rows of it that a step reads.
        let shelf = Shelf::of(&mut ledger, side, &[blocks.min(COLUMN_LAID_OUT) as usize, 2 * workers], workers);
        let slots = ledger.slots(tile_bytes).min(place.grid.lower_len() as usize + least);
        ledger.charge("tiles", slots as u64 * tile_bytes);
        let tiles = Class { len: side * side, room: Room { slots } };
        let classes = vec![tiles, rows];
        let given_columns = match &given {
            Given::Stored(gram, _) => gram.columns(),
            Given::Computed(..) => vec![],
        };
        let mut pass = Self {
            owners: Owners::ALONE,
            sets: Vec::new(),
            abreast: 1,
            given_costs: Costs::new(&given_columns),
            costs: Costs::new(&["l"]),
            place,
            given,
            noise_var,
            missing,
            classes,
            memory_bytes: ledger.spent(),
            shelf,
        };
        pass.share_out((processes, workers), machine)?;
        Ok(pass)
    }

    /// Shares the targets out among the processes: of the rules that are done first, within a
    /// twentieth, the one that reads least.
    fn share_out(&mut self, crew: (usize, usize), machine: &Machine) -> Result<()> {
        let (processes, workers) = crew;
        let mut known: Vec<(f64, u64, Owners, u32)> = Vec::new();
        if processes > 1 {
            for (owners, flight) in Owners::candidates(processes).into_iter().flat_map(|o| FLIGHTS.map(|f| (o, f))) {
                let before = std::mem::take(&mut self.sets);
                self.share(owners, workers, flight);
                if flight == FLIGHTS[0] || self.sets != before {
                    let seconds = simulate(self, crew, machine)?.seconds;
                    let gets = foresee(self, processes)?.iter().map(|f| f.traffic.gets).sum();
                    known.push((seconds, gets, owners, flight));
                }
            }
        }
        let first = known.iter().map(|k| k.0).fold(f64::INFINITY, f64::min);
        let least = known.iter().filter(|k| k.0 <= 1.05 * first).min_by_key(|k| k.1);
        let (owners, flight) = least.map_or((Owners::ALONE, FLIGHTS[0]), |k| (k.2, k.3));
        self.share(owners, workers, flight);
        Ok(())
    }

    /// Shares the targets out by one rule, with `flight` times the rows of a strip under way.
    pub(crate) fn share(&mut self, owners: Owners, workers: usize, flight: u32) {
        let (blocks, slots) = (self.place.grid.blocks(), self.classes[TILES].room.slots);
        (self.sets, self.abreast) = resident(blocks, slots, owners, workers, flight);
        self.owners = owners;
    }

    fn shape(&self, name: Name) -> (usize, usize) {
        (self.place.grid.rows(name.row), self.place.grid.rows(name.col))
    }

    fn add_noise(&self, tile: TileId, values: &mut [f64]) {
        if tile.is_diagonal() {
            let side = self.place.grid.tile as usize;
            for i in 0..self.place.grid.rows(tile.row) {
                values[i * side + i] += self.noise_var;
            }
        }
    }
}

impl Blocks for FactorPass {
    fn class(&self, name: Name) -> usize {
        if name.space == Space::Factor { TILES } else { ROWS }
    }

    fn memory_only(&self, _: Name) -> bool {
        false
    }
}

impl Pass for FactorPass {
    fn stage(&self) -> &'static str {
        "factor"
    }

    fn classes(&self) -> Vec<Class> {
        self.classes.clone()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn steps(&self, process: usize) -> Box<dyn Iterator<Item = Step> + '_> {
        let begin = match self.given {
            Given::Stored(..) => Begin::Load,
            Given::Computed(..) => Begin::Compute,
        };
        Box::new(self.sets.iter().zip(0..).flat_map(move |(set, group)| {
            factor_steps(set, group, begin, self.abreast, |i, k| {
                self.owners.of(i, k) == process && self.missing.contains(&TileId::new(i, k))
            })
        }))
    }

    fn origin(&self, name: Name, target: bool) -> Result<Origin> {
        let tile = tile_of(name);
        Ok(match (&self.given, name.space) {
            (Given::Computed(source, _), Space::Rows) => source.origin(name),
            (Given::Stored(gram, output), Space::Factor) if target => Origin::Tile(gram.load(tile, output.name())),
            _ => Origin::Tile(self.place.load(tile)),
        })
    }

    fn makes(&self, name: Name) -> bool {
        name.space == Space::Factor && self.missing.contains(&tile_of(name))
    }

    fn loaded(&self, name: Name, target: bool, values: &mut Vec<f64>) -> Result<()> {
        if let (Given::Computed(source, _), Space::Rows) = (&self.given, name.space) {
            source.learn(name, values);
            return Ok(());
        }
        let tile = tile_of(name);
        self.place.pad(tile, values);
        if target {
            self.add_noise(tile, values);
        }
        Ok(())
    }

    fn leaf(&self, leaf: Leaf<'_>) -> Result<()> {
        let side = self.place.grid.tile as usize;
        let name = leaf.task.target;
        let tile = tile_of(name);
        match (leaf.task.op, leaf.a, leaf.b) {
            // A(i,k) -= L(i,j) L(k,j)ᵀ
            (Op::Update, ..) => self.shelf.update(leaf)?,
            // L(i,k) = A(i,k) L(k,k)⁻ᵀ
            (Op::Finish, _, Some(l)) => leaf::trsm(leaf.target, l, side, side),
            // L(k,k) L(k,k)ᵀ = A(k,k)
            (Op::Finish, _, None) => {
                leaf::potrf(leaf.target, side, self.place.grid.rows(tile.row)).map_err(|bad| {
                    Error::NotPositiveDefinite(Box::new(BadPivot {
                        row: self.place.grid.start(tile.row) + bad.at as u64,
                        pivot: format!("{:e}", bad.value),
                        tile: tile.row,
                        noise_var: self.noise_var,
                        near_row: None,
                        ladder: String::new(),
                    }))
                })?;
            }
            (Op::Init, Some(a), Some(b)) => {
                let (Given::Computed(source, output), Some(at), Some(bt)) = (&self.given, leaf.task.a, leaf.task.b)
                else {
                    return Err(Error::Defect("a factor tile without rows".into()));
                };
                source.tile(&[*output], (at, a), (bt, b), leaf.target)?;
                self.place.pad(tile, leaf.target);
                self.add_noise(tile, leaf.target);
            }
            _ => return Err(Error::Defect("a factor task without its inputs".into())),
        }
        Ok(())
    }

    fn save(&self, name: Name) -> Option<Save> {
        let tile = tile_of(name);
        let side = self.place.grid.tile as usize;
        let (key, stamp) = (Key::tile(Kind::Factor, &self.place.id, tile), self.place.stamp(tile));
        Some(Save { key, stamp, columns: vec!["l"], ld: side, stride: side * side })
    }

    fn read_cost(&self, name: Name, target: bool) -> Result<Traffic> {
        let (rows, cols) = self.shape(name);
        match (&self.given, name.space) {
            (_, Space::Rows) => Ok(Traffic::default()),
            (Given::Stored(_, output), _) if target => self.given_costs.read(rows, cols, output.name()),
            _ => self.costs.read(rows, cols, "l"),
        }
    }

    fn write_cost(&self, name: Name) -> Result<Traffic> {
        let (rows, cols) = self.shape(name);
        self.costs.write(rows, cols)
    }

    fn flops(&self, name: Name) -> f64 {
        // The update with all columns before it, then the triangular solve: telescopes to n³/3.
        let (rows, cols) = self.shape(name);
        let (rows, cols, before) = (rows as f64, cols as f64, self.place.grid.start(name.col) as f64);
        if name.row == name.col {
            rows * rows * before + rows * rows * rows / 3.0
        } else {
            2.0 * rows * cols * before + rows * cols * cols
        }
    }

    fn work(&self, task: &Task) -> f64 {
        let side = self.place.grid.tile as f64;
        let cube = side * side * side;
        match (task.op, task.target.row == task.target.col, &self.given) {
            (Op::Update, false, _) => 2.0 * cube,
            (Op::Update, true, _) | (Op::Finish, false, _) => cube,
            (Op::Finish, true, _) => cube / 3.0,
            (Op::Init, _, Given::Computed(source, _)) => source.work(source.side, source.side),
            (Op::Init, ..) => 0.0,
        }
    }

    fn counts(&self, _: Name) -> bool {
        true
    }
}
