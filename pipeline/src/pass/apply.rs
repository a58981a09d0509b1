//! The apply pass: `K* α` with kernel tiles made on the way, for means without variances.

use std::sync::Arc;

use megagram_storage::table::{Column, Table};
use megagram_storage::{Id, Key, TileGrid};
use parking_lot::Mutex;

use super::ledger::Ledger;
use super::source::Source;
use super::{Class, Leaf, Origin, Pass};
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::leaf;
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Create, Name, Op, Space, Step, Task};

/// Makes the means of the missing strips of a test set.
pub struct ApplyPass {
    id: Id,
    test: TileGrid,
    train: TileGrid,
    source: Arc<Source>,
    output: Covariance,
    alpha: Vec<Vec<f64>>,
    shares: Vec<Vec<u32>>,
    classes: Vec<Class>,
    memory_bytes: u64,
    tiles: Mutex<Vec<Vec<f64>>>,
}

const THIN: usize = 0;
const ROWS: usize = 1;

impl ApplyPass {
    /// A pass over the strips `missing` of the border `id`, shared out among `processes`.
    ///
    /// # Errors
    /// [`Error::Memory`] if a tile for each worker and three blocks of rows do not fit.
    #[allow(clippy::too_many_arguments, reason = "each is a different thing the pass reads")]
    pub fn new(
        id: Id,
        (test, train): (TileGrid, TileGrid),
        source: Arc<Source>,
        output: Covariance,
        alpha: Vec<Vec<f64>>,
        missing: &[u32],
        (processes, workers): (usize, usize),
        mut ledger: Ledger,
    ) -> Result<Self> {
        let (side, count) = (source.side, alpha.len());
        ledger.charge("alpha", 8 * count as u64 * train.n);
        ledger.charge("kernel tiles", (8 * side * side * workers) as u64);
        let strips = workers + 1;
        ledger.charge("means", (8 * side * count * strips) as u64);
        let rows_bytes = 8 * source.rows_len() as u64;
        ledger.require("the means: three blocks of rows", 3 * rows_bytes)?;
        // The strips of one group share each block of training rows.
        let rows = ledger.slots(rows_bytes).min(strips + train.blocks() as usize + 1);
        ledger.charge("rows", rows as u64 * rows_bytes);
        let processes = processes.max(1);
        Ok(Self {
            shares: (0..processes).map(|p| missing.iter().copied().skip(p).step_by(processes).collect()).collect(),
            classes: vec![
                Class { len: side * count, room: Room { slots: strips } },
                Class { len: source.rows_len(), room: Room { slots: rows } },
            ],
            memory_bytes: ledger.spent(),
            id,
            test,
            train,
            source,
            output,
            alpha,
            tiles: Mutex::default(),
        })
    }

    /// How many strips are done side by side.
    fn abreast(&self) -> usize {
        let rows = self.classes[ROWS].room.slots;
        (self.classes[THIN].room.slots - 1).min(rows - 2).max(1)
    }
}

impl Blocks for ApplyPass {
    fn class(&self, name: Name) -> usize {
        if name.space == Space::Thin { THIN } else { ROWS }
    }

    fn memory_only(&self, _: Name) -> bool {
        false
    }
}

impl Pass for ApplyPass {
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
        let mean = |s| Name::new(Space::Thin, 0, s);
        let share = self.shares.get(process).map_or(&[][..], Vec::as_slice);
        Box::new(share.chunks(self.abreast()).zip(0..).flat_map(move |(strips, group)| {
            let updates = (0..self.train.blocks()).map(move |k| {
                let rows = Some(Name::new(Space::Rows, k, 0));
                let task = |&s: &u32| Task::new(Op::Update, mean(s), rows, Some(Name::new(Space::TestRows, s, 0)));
                let create = |&s: &u32| Create { name: mean(s), load: false };
                let creates = if k == 0 { strips.iter().map(create).collect() } else { vec![] };
                Step::of(group, creates, strips.iter().map(task).collect())
            });
            let finish = strips.iter().map(|&s| Task::new(Op::Finish, mean(s), None, None)).collect();
            updates.chain(std::iter::once(Step::of(group, vec![], finish)))
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
        let (side, count) = (self.source.side, self.alpha.len());
        if leaf.task.op == Op::Finish {
            return Ok(());
        }
        let (Some(a), Some(b), Some(at), Some(bt)) = (leaf.a, leaf.b, leaf.task.a, leaf.task.b) else {
            return Err(Error::Defect("means without rows".into()));
        };
        let mut tile = self.tiles.lock().pop().unwrap_or_default();
        self.source.tile(&[self.output], (at, a), (bt, b), &mut tile)?;
        let start = self.train.start(at.row) as usize;
        let mut alpha = vec![0.0; count * side];
        for (c, column) in self.alpha.iter().enumerate() {
            for r in 0..self.train.rows(at.row) {
                alpha[r * count + c] = column[start + r];
            }
        }
        // means (C × test rows) += α (C × train rows) · K(train rows, test rows)
        leaf::gemm_acc(leaf.target, &alpha, &tile, count, side, side);
        self.tiles.lock().push(tile);
        Ok(())
    }

    fn finished(&self, name: Name, values: &[f64]) -> Result<Vec<(Key, bytes::Bytes)>> {
        let (count, rows) = (self.alpha.len(), self.test.rows(name.col));
        let mut table = Table::default();
        for c in 0..count {
            let mean = (0..rows).map(|r| values[r * count + c]).collect();
            table.columns.push((format!("mean_{}_{c}", self.train.n), Column::F64(mean)));
        }
        Ok(vec![(Key::strip(&self.id, name.col), table.encode()?)])
    }

    fn flops(&self, name: Name) -> f64 {
        let rows = self.test.rows(name.col) as u64;
        let products = 2 * self.alpha.len() as u64 * rows * self.train.n;
        (self.source.network.flops(rows, self.train.n) + products) as f64
    }

    fn work(&self, task: &Task) -> f64 {
        let side = self.source.side;
        let products = 2 * self.alpha.len() * side * side;
        if task.op == Op::Update { self.source.work(side, side) + products as f64 } else { 0.0 }
    }

    fn counts(&self, _: Name) -> bool {
        true
    }
}
