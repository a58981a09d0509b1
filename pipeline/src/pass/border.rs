//! The border pass: `V = K* L⁻ᵀ` strip by strip, with running prefix sums of the posterior.
//!
//! Since the leading block of L is the factor of the leading block of K, the first n columns of V and z
//! give the exact posterior of the first n training rows: the sums are kept at each size of the curve.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use megagram_storage::bridge::{Load, Save};
use megagram_storage::codec::Stamp;
use megagram_storage::table::{Column, Table};
use megagram_storage::{Id, Key, Kind, TileGrid, TileId, Traffic};
use parking_lot::Mutex;

use super::costs::Costs;
use super::factor::FactorPlace;
use super::ledger::Ledger;
use super::shelf::Shelf;
use super::source::Source;
use super::{Class, Leaf, Origin, Pass, tile_of};
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::leaf;
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::strips::border_steps;
use crate::schedule::{Name, Op, Space, Step, Task};

/// A stored border: its place and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct BorderPlace {
    /// Its id.
    pub id: Id,
    /// Blocks of test rows.
    pub test: TileGrid,
    /// Blocks of training rows.
    pub train: TileGrid,
}

impl BorderPlace {
    fn stamp(&self, tile: TileId) -> Stamp {
        let (rows, cols) = (self.test.rows(tile.row), self.train.rows(tile.col));
        Stamp { id: self.id.clone(), i: tile.row, j: tile.col, rows, cols }
    }

    /// How a tile of V is read.
    pub fn load(&self, tile: TileId) -> Load {
        let (key, stamp) = (Key::tile(Kind::Border, &self.id, tile), self.stamp(tile));
        Load { key, stamp, column: "v", among_others: false, ld: self.train.tile as usize }
    }
}

/// What the border is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The covariance function.
    pub output: Covariance,
    /// Sizes at which the sums are kept, ascending; the last is n.
    pub cuts: Vec<u64>,
    /// Whether V is to be stored.
    pub store_v: bool,
}

/// Running sums of one strip.
struct Sums {
    mean: Vec<f64>,
    variance: Vec<f64>,
    table: Table,
}

/// Makes the missing strips of a border.
pub struct BorderPass {
    place: BorderPlace,
    factor: FactorPlace,
    source: Arc<Source>,
    ask: Ask,
    z: Vec<Vec<f64>>,
    groups: Vec<Vec<(Range<u32>, Range<u32>)>>,
    spills: bool,
    classes: Vec<Class>,
    memory_bytes: u64,
    shelf: Shelf,
    sums: Mutex<HashMap<u32, Sums>>,
    factor_costs: Costs,
    costs: Costs,
}

const TILES: usize = 0;
const ROWS: usize = 1;

/// Strips whose tiles of a column are laid out together, at most.
const STRIPS_LAID_OUT: u64 = 16;

impl BorderPass {
    /// A pass over the strips `missing`, shared out among `processes`.
    ///
    /// # Errors
    /// [`Error::Memory`] if not even one strip of one block column fits.
    #[allow(clippy::too_many_arguments, reason = "each is a different thing the pass reads")]
    pub fn new(
        place: BorderPlace,
        factor: FactorPlace,
        source: Arc<Source>,
        ask: Ask,
        z: Vec<Vec<f64>>,
        missing: &[u32],
        (processes, workers): (usize, usize),
        mut ledger: Ledger,
    ) -> Result<Self> {
        let side = factor.grid.tile as usize;
        let blocks = factor.grid.blocks();
        let (tile_bytes, rows_bytes) = (8 * (side * side) as u64, 8 * source.rows_len() as u64);
        let sums_bytes = 8 * (side * (z.len() + 1) * (ask.cuts.len() + 1)) as u64;
        ledger.charge("z", 8 * (z.len() as u64) * factor.grid.n);
        let share = missing.len().div_ceil(processes.max(1)).max(1) as u64;
        let shelf = Shelf::of(&mut ledger, side, &[share.min(STRIPS_LAID_OUT) as usize], workers);
        // A tile for each worker, one that arrives and one that is next: more strips are worth more than
        // more prefetch.
        let slack = (workers + 2) as u64;
        let whole = u64::from(blocks) * tile_bytes + rows_bytes + sums_bytes;
        let fixed = slack * tile_bytes + 2 * rows_bytes;
        let most = ledger.left().saturating_sub(fixed) / whole;
        let spills = most == 0;
        // More strips at once pass L by fewer times; fewer leave room to keep some of L in between.
        let triangle = factor.grid.lower_len();
        let reads = |strips: u64| {
            let kept = ((ledger.left() - fixed - (strips - 1) * whole) / tile_bytes).saturating_sub(u64::from(blocks));
            triangle + (share.div_ceil(strips) - 1) * (triangle - kept.min(triangle))
        };
        let strips = (1..=most.min(share)).rev().min_by_key(|s| reads(*s)).unwrap_or(0);
        let (strips, width) = if spills {
            // Not one whole strip fits: a few block columns at a time, V goes through the store.
            let least = 3 * tile_bytes + 3 * rows_bytes + sums_bytes;
            ledger.require("the border: a strip of one block column", least)?;
            let room = (ledger.left() - 3 * rows_bytes - sums_bytes) / tile_bytes;
            // Beside the resident columns at least a tile of V and one of L.
            let streamed = slack.min(room / 2).max(2);
            (1, room.saturating_sub(streamed).clamp(1, u64::from(blocks)) as u32)
        } else {
            (strips as u32, blocks)
        };
        ledger.charge("sums", u64::from(strips) * sums_bytes);
        let rows = strips as usize + 2;
        ledger.charge("rows", rows as u64 * rows_bytes);
        let useful = u64::from(strips) * u64::from(width) + 2 * slack + triangle;
        let tiles = ledger.slots(tile_bytes).min(useful as usize);
        ledger.charge("tiles", tiles as u64 * tile_bytes);
        let groups = (0..processes.max(1))
            .map(|process| {
                let mine: Vec<u32> = missing.iter().copied().skip(process).step_by(processes.max(1)).collect();
                runs(&mine, strips)
                    .into_iter()
                    .flat_map(|run| {
                        let cuts = (0..blocks.div_ceil(width)).map(move |c| c * width..((c + 1) * width).min(blocks));
                        cuts.map(move |cols| (run.clone(), cols))
                    })
                    .collect()
            })
            .collect();
        Ok(Self {
            groups,
            spills,
            classes: vec![
                Class { len: side * side, room: Room { slots: tiles } },
                Class { len: source.rows_len(), room: Room { slots: rows } },
            ],
            memory_bytes: ledger.spent(),
            shelf,
            place,
            factor,
            source,
            ask,
            z,
            sums: Mutex::default(),
            factor_costs: Costs::new(&["l"]),
            costs: Costs::new(&["v"]),
        })
    }

    /// Adds the block column `k` of a finished strip to its sums, keeping them at each cut.
    fn accumulate(&self, strip: u32, k: u32, v: &[f64]) -> Result<()> {
        let side = self.factor.grid.tile as usize;
        let count = self.z.len();
        let mut all = self.sums.lock();
        let mut sums = match all.remove(&strip) {
            Some(sums) => sums,
            None => {
                let name = Name::new(Space::TestRows, strip, 0);
                let variance = self.source.diagonal(name, self.ask.output)?;
                Sums { mean: vec![0.0; side * count], variance, table: Table::default() }
            }
        };
        drop(all);
        let start = self.factor.grid.start(k);
        let end = start + self.factor.grid.rows(k) as u64;
        let mut from = start;
        let cuts = self.ask.cuts.iter().copied().filter(|c| (start + 1..=end).contains(c));
        for to in cuts.chain((!self.ask.cuts.contains(&end)).then_some(end)) {
            let len = (to - from) as usize;
            let part = &v[(from - start) as usize * side..][..len * side];
            let z: Vec<f64> = self.z.iter().flat_map(|c| &c[from as usize..to as usize]).copied().collect();
            leaf::gemm_acc(&mut sums.mean, part, &z, side, count, len);
            for column in part.chunks_exact(side) {
                for (variance, v) in sums.variance.iter_mut().zip(column) {
                    *variance -= v * v;
                }
            }
            if self.ask.cuts.contains(&to) {
                sums.keep(to, self.place.test.rows(strip), side);
            }
            from = to;
        }
        self.sums.lock().insert(strip, sums);
        Ok(())
    }
}

impl Sums {
    fn keep(&mut self, n: u64, rows: usize, side: usize) {
        for (c, mean) in self.mean.chunks_exact(side).enumerate() {
            self.table.columns.push((format!("mean_{n}_{c}"), Column::F64(mean[..rows].to_vec())));
        }
        // Rounding may take a variance of zero a little below it.
        let variance = self.variance[..rows].iter().map(|v| v.max(0.0)).collect();
        self.table.columns.push((format!("variance_{n}"), Column::F64(variance)));
    }
}

/// Consecutive numbers of a sorted list, in runs of at most `longest`.
fn runs(list: &[u32], longest: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for &s in list {
        match runs.last_mut() {
            Some(run) if run.end == s && run.end - run.start < longest => run.end += 1,
            _ => runs.push(s..s + 1),
        }
    }
    runs
}

impl Blocks for BorderPass {
    fn class(&self, name: Name) -> usize {
        if matches!(name.space, Space::Factor | Space::Border) { TILES } else { ROWS }
    }

    fn memory_only(&self, name: Name) -> bool {
        name.space == Space::Border && !self.spills
    }
}

impl Pass for BorderPass {
    fn stage(&self) -> &'static str {
        "border"
    }

    fn classes(&self) -> Vec<Class> {
        self.classes.clone()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn steps(&self, process: usize) -> Box<dyn Iterator<Item = Step> + '_> {
        let groups = self.groups.get(process).into_iter().flatten().zip(0..);
        Box::new(groups.flat_map(|((strips, cols), group)| border_steps(strips.clone(), cols.clone(), group)))
    }

    fn origin(&self, name: Name, _: bool) -> Result<Origin> {
        Ok(match name.space {
            Space::Factor => Origin::Tile(self.factor.load(tile_of(name))),
            Space::Border => Origin::Tile(self.place.load(tile_of(name))),
            _ => self.source.origin(name),
        })
    }

    fn makes(&self, name: Name) -> bool {
        name.space == Space::Border
    }

    fn loaded(&self, name: Name, _: bool, values: &mut Vec<f64>) -> Result<()> {
        match name.space {
            Space::Factor => self.factor.pad(tile_of(name), values),
            Space::Border => values.resize(self.classes[TILES].len, 0.0),
            _ => self.source.learn(name, values),
        }
        Ok(())
    }

    fn leaf(&self, leaf: Leaf<'_>) -> Result<()> {
        let side = self.factor.grid.tile as usize;
        let Name { row: strip, col: k, .. } = leaf.task.target;
        match (leaf.task.op, leaf.a, leaf.b) {
            (Op::Init, Some(a), Some(b)) => {
                let (Some(at), Some(bt)) = (leaf.task.a, leaf.task.b) else {
                    return Err(Error::Defect("a border tile without rows".into()));
                };
                self.source.tile(&[self.ask.output], (at, a), (bt, b), leaf.target)
            }
            (Op::Update, ..) => self.shelf.update(leaf),
            (Op::Finish, _, Some(l)) => {
                leaf::trsm(leaf.target, l, side, side);
                self.accumulate(strip, k, leaf.target)
            }
            _ => Err(Error::Defect("a border task without its inputs".into())),
        }
    }

    fn save(&self, name: Name) -> Option<Save> {
        if !self.ask.store_v && !self.spills {
            return None;
        }
        let (tile, side) = (tile_of(name), self.source.side);
        let key = Key::tile(Kind::Border, &self.place.id, tile);
        Some(Save { key, stamp: self.place.stamp(tile), columns: vec!["v"], ld: side, stride: side * side })
    }

    fn finished(&self, name: Name, _: &[f64]) -> Result<Vec<(Key, bytes::Bytes)>> {
        if name.col + 1 < self.factor.grid.blocks() {
            return Ok(Vec::new());
        }
        let Some(sums) = self.sums.lock().remove(&name.row) else { return Ok(Vec::new()) };
        Ok(vec![(Key::strip(&self.place.id, name.row), sums.table.encode()?)])
    }

    fn read_cost(&self, name: Name, _: bool) -> Result<Traffic> {
        let col_rows = self.factor.grid.rows(name.col);
        match name.space {
            Space::Factor => self.factor_costs.read(self.factor.grid.rows(name.row), col_rows, "l"),
            Space::Border => self.costs.read(self.place.test.rows(name.row), col_rows, "v"),
            _ => Ok(Traffic::default()),
        }
    }

    fn write_cost(&self, name: Name) -> Result<Traffic> {
        if self.save(name).is_none() {
            return Ok(Traffic::default());
        }
        self.costs.write(self.place.test.rows(name.row), self.factor.grid.rows(name.col))
    }

    fn flops(&self, name: Name) -> f64 {
        let rows = self.place.test.rows(name.row) as f64;
        let (cols, before) = (self.factor.grid.rows(name.col) as f64, self.factor.grid.start(name.col) as f64);
        rows * (2.0 * cols * before + cols * cols)
    }

    fn work(&self, task: &Task) -> f64 {
        let side = self.source.side;
        let cube = (side as f64).powi(3);
        match task.op {
            Op::Init => self.source.work(side, side),
            Op::Update => 2.0 * cube,
            Op::Finish => cube,
        }
    }

    fn counts(&self, _: Name) -> bool {
        true
    }
}
