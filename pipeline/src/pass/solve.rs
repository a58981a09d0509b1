//! The solve passes: a few right-hand sides through the factor, forwards and backwards.
//!
//! `zᵀ = Yᵀ L⁻ᵀ` and `αᵀ = zᵀ L⁻¹`, as rows below the matrix: the same tile operations as the factor's,
//! with C rows instead of a tile's side. L streams past once; the right-hand sides stay.

use megagram_storage::Traffic;
use parking_lot::Mutex;

use super::costs::Costs;
use super::factor::FactorPlace;
use super::ledger::Ledger;
use super::{Class, Leaf, Origin, Pass, tile_of};
use crate::error::{Error, Result};
use crate::leaf;
use crate::schedule::residency::{Blocks, Room};
use crate::schedule::{Create, Name, Op, Space, Step, Task};

/// Which triangular solve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `zᵀ = Yᵀ L⁻ᵀ`, block columns ascending.
    Forward,
    /// `αᵀ = zᵀ L⁻¹`, block columns descending.
    Backward,
}

/// The outcome of a solve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Solved {
    /// `columns[c][row]`, C columns of n values.
    pub columns: Vec<Vec<f64>>,
    /// The diagonal of L, n values (forward only).
    pub l_diag: Vec<f64>,
}

/// Solves for C right-hand sides.
pub struct SolvePass {
    factor: FactorPlace,
    direction: Direction,
    given: Vec<Vec<f64>>,
    solved: Mutex<Solved>,
    classes: Vec<Class>,
    memory_bytes: u64,
    costs: Costs,
}

const TILES: usize = 0;
const THIN: usize = 1;

impl SolvePass {
    /// A solve for `given[c][row]`. Process 0 does it all: L is read once, and the work is its reading.
    ///
    /// # Errors
    /// [`Error::Memory`] if two tiles and the right-hand sides do not fit.
    pub fn new(
        factor: FactorPlace,
        direction: Direction,
        given: Vec<Vec<f64>>,
        workers: usize,
        mut ledger: Ledger,
    ) -> Result<Self> {
        let side = factor.grid.tile as usize;
        let blocks = factor.grid.blocks() as usize;
        let thin_len = given.len() * side;
        let (tile_bytes, thin_bytes) = (8 * (side * side) as u64, 8 * thin_len as u64);
        // Given, solved and in blocks.
        let thin_all = 3 * blocks as u64 * thin_bytes;
        ledger.require("the solve: one tile and the right-hand sides", 2 * tile_bytes + thin_all)?;
        ledger.charge("right-hand sides", thin_all);
        // More tiles than workers and reads can use would only be memory spent.
        let tiles = ledger.slots(tile_bytes).clamp(2, 2 * workers + 6);
        ledger.charge("tiles", tiles as u64 * tile_bytes);
        let solved = Solved {
            columns: vec![vec![0.0; factor.grid.n as usize]; given.len()],
            l_diag: vec![0.0; factor.grid.n as usize],
        };
        Ok(Self {
            classes: vec![
                Class { len: side * side, room: Room { slots: tiles } },
                Class { len: thin_len, room: Room { slots: blocks } },
            ],
            memory_bytes: ledger.spent(),
            factor,
            direction,
            given,
            solved: Mutex::new(solved),
            costs: Costs::new(&["l"]),
        })
    }

    /// The solution, once the pass is over.
    pub fn take(&self) -> Solved {
        std::mem::take(&mut self.solved.lock())
    }

    fn thin(k: u32) -> Name {
        Name::new(Space::Thin, 0, k)
    }

    /// The tile of L that block column `j` has in block column `k`'s update.
    fn tile(&self, j: u32, k: u32) -> Name {
        match self.direction {
            Direction::Forward => Name::new(Space::Factor, k, j),
            Direction::Backward => Name::new(Space::Factor, j, k),
        }
    }

    fn rows_of(&self, k: u32) -> std::ops::Range<usize> {
        let start = self.factor.grid.start(k) as usize;
        start..start + self.factor.grid.rows(k)
    }
}

impl Blocks for SolvePass {
    fn class(&self, name: Name) -> usize {
        if name.space == Space::Factor { TILES } else { THIN }
    }

    fn memory_only(&self, name: Name) -> bool {
        name.space == Space::Thin
    }
}

impl Pass for SolvePass {
    fn stage(&self) -> &'static str {
        "solve"
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
        let blocks = self.factor.grid.blocks();
        let order = move |at: u32| match self.direction {
            Direction::Forward => at,
            Direction::Backward => blocks - 1 - at,
        };
        let begins = (0..blocks).map(|k| {
            let create = vec![Create { name: Self::thin(k), load: false }];
            Step::of(0, create, vec![Task::new(Op::Init, Self::thin(k), None, None)])
        });
        let columns = (0..blocks).flat_map(move |at| {
            let j = order(at);
            let finish = Task::new(Op::Finish, Self::thin(j), None, Some(self.tile(j, j)));
            let updates = (at + 1..blocks).map(move |next| {
                let k = order(next);
                let task = Task::new(Op::Update, Self::thin(k), Some(Self::thin(j)), Some(self.tile(j, k)));
                Step::of(at, vec![], vec![task])
            });
            std::iter::once(Step::of(at, vec![], vec![finish])).chain(updates)
        });
        Box::new(begins.chain(columns))
    }

    fn origin(&self, name: Name, _: bool) -> Result<Origin> {
        Ok(Origin::Tile(self.factor.load(tile_of(name))))
    }

    fn loaded(&self, name: Name, _: bool, values: &mut Vec<f64>) -> Result<()> {
        self.factor.pad(tile_of(name), values);
        Ok(())
    }

    fn leaf(&self, leaf: Leaf<'_>) -> Result<()> {
        let side = self.factor.grid.tile as usize;
        let count = self.given.len();
        let k = leaf.task.target.col;
        match (leaf.task.op, leaf.a, leaf.b) {
            (Op::Init, _, _) => {
                for (c, column) in self.given.iter().enumerate() {
                    for (r, row) in self.rows_of(k).enumerate() {
                        leaf.target[r * count + c] = column[row];
                    }
                }
            }
            (Op::Update, Some(a), Some(l)) => match self.direction {
                Direction::Forward => leaf::gemm_nt(leaf.target, a, l, count, side),
                Direction::Backward => leaf::gemm_nn(leaf.target, a, l, count, side),
            },
            (Op::Finish, _, Some(l)) => {
                match self.direction {
                    Direction::Forward => leaf::trsm(leaf.target, l, count, side),
                    Direction::Backward => leaf::trsm_back(leaf.target, l, count, side),
                }
                let mut solved = self.solved.lock();
                for (r, row) in self.rows_of(k).enumerate() {
                    for (c, column) in solved.columns.iter_mut().enumerate() {
                        column[row] = leaf.target[r * count + c];
                    }
                    solved.l_diag[row] = l[r * side + r];
                }
            }
            _ => return Err(Error::Defect("a solve task without its inputs".into())),
        }
        Ok(())
    }

    fn read_cost(&self, name: Name, _: bool) -> Result<Traffic> {
        self.costs.read(self.factor.grid.rows(name.row), self.factor.grid.rows(name.col), "l")
    }

    fn flops(&self, _: Name) -> f64 {
        // O(n²) beside the factor's O(n³): not told.
        0.0
    }

    fn counts(&self, _: Name) -> bool {
        false
    }
}
