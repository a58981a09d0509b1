//! The covariance pass: `K** − V Vᵀ` between all test rows, from stored V.

use std::sync::Arc;

use megagram_storage::Traffic;
use parking_lot::Mutex;

use super::border::BorderPlace;
use super::costs::Costs;
use super::ledger::Ledger;
use super::source::Source;
use super::{Class, Leaf, Origin, Pass, tile_of};
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::leaf;
use crate::schedule::blocks::{Resident, square};
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Create, Name, Op, Space, Step, Task};

/// Makes the m×m posterior covariance in memory, on process 0.
pub struct CovariancePass {
    border: BorderPlace,
    source: Arc<Source>,
    output: Covariance,
    matrix: Mutex<Vec<f64>>,
    sets: Vec<Resident>,
    classes: Vec<Class>,
    memory_bytes: u64,
    costs: Costs,
}

const TILES: usize = 0;
const ROWS: usize = 1;

impl CovariancePass {
    /// A pass over all pairs of test blocks.
    ///
    /// # Errors
    /// [`Error::Memory`] if the m×m matrix and a few tiles do not fit.
    pub fn new(border: BorderPlace, source: Arc<Source>, output: Covariance, mut ledger: Ledger) -> Result<Self> {
        let (side, m) = (source.side, border.test.n);
        let (tile_bytes, rows_bytes) = (8 * (side * side) as u64, 8 * source.rows_len() as u64);
        // Once as values, once as the file.
        let matrix_bytes = 2 * 8 * m * m;
        let what = "the test covariance: the whole matrix, three tiles and two blocks of rows";
        ledger.require(what, matrix_bytes + 3 * tile_bytes + 2 * rows_bytes)?;
        ledger.charge("the test covariance", matrix_bytes);
        ledger.charge("rows", 2 * rows_bytes);
        let blocks = border.test.blocks();
        let p = (1..=blocks).rev().find(|p| (p * p + 2 * p) as usize <= ledger.slots(tile_bytes)).unwrap_or(1);
        let slots = ledger.slots(tile_bytes).min((p * p + 4 * p) as usize);
        ledger.charge("tiles", slots as u64 * tile_bytes);
        Ok(Self {
            sets: square(blocks, p),
            classes: vec![
                Class { len: side * side, room: Room { slots } },
                Class { len: source.rows_len(), room: Room { slots: 2 } },
            ],
            memory_bytes: ledger.spent(),
            matrix: Mutex::new(vec![0.0; (m * m) as usize]),
            border,
            source,
            output,
            costs: Costs::new(&["v"]),
        })
    }

    /// The m×m matrix, row-major and symmetric, once the pass is over.
    pub fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.matrix.lock())
    }

    fn place(&self, name: Name, values: &[f64]) {
        let (grid, side, m) = (self.border.test, self.source.side, self.border.test.n as usize);
        let (top, left) = (grid.start(name.row) as usize, grid.start(name.col) as usize);
        let mut matrix = self.matrix.lock();
        for c in 0..grid.rows(name.col) {
            for r in 0..grid.rows(name.row) {
                let (row, col) = (top + r, left + c);
                if row >= col {
                    // A variance may round to a little below zero; off the diagonal any sign is right.
                    let value = if row == col { values[c * side + r].max(0.0) } else { values[c * side + r] };
                    matrix[row * m + col] = value;
                    matrix[col * m + row] = value;
                }
            }
        }
    }
}

impl Blocks for CovariancePass {
    fn class(&self, name: Name) -> usize {
        if name.space == Space::TestRows { ROWS } else { TILES }
    }

    fn memory_only(&self, _: Name) -> bool {
        false
    }
}

impl Pass for CovariancePass {
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
        if process != 0 {
            return Box::new(std::iter::empty());
        }
        let v = |s, k| Name::new(Space::Border, s, k);
        let x = |s| Some(Name::new(Space::TestRows, s, 0));
        let target = |s, t| Name::new(Space::Covariance, s, t);
        let blocks = self.border.train.blocks();
        Box::new(self.sets.iter().zip(0..).flat_map(move |(set, group)| {
            let targets: Arc<[_]> = set.targets().collect();
            let all = Arc::clone(&targets);
            let begins = (0..targets.len()).map(move |at| {
                let (s, t) = all[at];
                let create = vec![Create { name: target(s, t), load: false }];
                Step::of(group, create, vec![Task::new(Op::Init, target(s, t), x(s), x(t))])
            });
            let all = Arc::clone(&targets);
            let updates = (0..blocks).map(move |j| {
                let task = |&(s, t): &(u32, u32)| Task::new(Op::Update, target(s, t), Some(v(s, j)), Some(v(t, j)));
                Step::of(group, vec![], all.iter().map(task).collect())
            });
            let finish = targets.iter().map(|&(s, t)| Task::new(Op::Finish, target(s, t), None, None)).collect();
            begins.chain(updates).chain(std::iter::once(Step::of(group, vec![], finish)))
        }))
    }

    fn origin(&self, name: Name, _: bool) -> Result<Origin> {
        Ok(match name.space {
            Space::Border => Origin::Tile(self.border.load(tile_of(name))),
            _ => self.source.origin(name),
        })
    }

    fn loaded(&self, name: Name, _: bool, values: &mut Vec<f64>) -> Result<()> {
        match name.space {
            Space::Border => values.resize(self.classes[TILES].len, 0.0),
            _ => self.source.learn(name, values),
        }
        Ok(())
    }

    fn leaf(&self, leaf: Leaf<'_>) -> Result<()> {
        let side = self.source.side;
        let name = leaf.task.target;
        match (leaf.task.op, leaf.a, leaf.b) {
            (Op::Init, Some(a), Some(b)) => {
                let (Some(at), Some(bt)) = (leaf.task.a, leaf.task.b) else {
                    return Err(Error::Defect("a covariance tile without rows".into()));
                };
                self.source.tile(&[self.output], (at, a), (bt, b), leaf.target)?;
            }
            (Op::Update, Some(a), Some(_)) if name.row == name.col => leaf::syrk(leaf.target, a, side),
            (Op::Update, Some(a), Some(b)) => leaf::gemm_nt(leaf.target, a, b, side, side),
            (Op::Finish, _, _) => self.place(name, leaf.target),
            _ => return Err(Error::Defect("a covariance task without its inputs".into())),
        }
        Ok(())
    }

    fn read_cost(&self, name: Name, _: bool) -> Result<Traffic> {
        match name.space {
            Space::Border => self.costs.read(self.border.test.rows(name.row), self.border.train.rows(name.col), "v"),
            _ => Ok(Traffic::default()),
        }
    }

    fn flops(&self, name: Name) -> f64 {
        let pair = self.border.test.rows(name.row) * self.border.test.rows(name.col);
        let all = 2.0 * pair as f64 * self.border.train.n as f64;
        if name.row == name.col { all / 2.0 } else { all }
    }

    fn counts(&self, _: Name) -> bool {
        false
    }
}
