//! Kernel tiles from rows: the network, the rows' states, and padding.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use megagram_storage::TileGrid;
use megagram_storage::dataset::Prepared;
use parking_lot::RwLock;

use super::Origin;
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::kernel::{KernelOut, Network, RowState, Scratch};
use crate::schedule::{Name, Space};

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Rows of a data set and what the network knows of each.
pub struct Rows {
    /// The prepared rows.
    pub data: Arc<Prepared>,
    /// Their blocks.
    pub grid: TileGrid,
    states: RwLock<HashMap<u32, Arc<RowState>>>,
}

impl Rows {
    /// Rows in blocks of `tile`.
    pub fn new(data: Arc<Prepared>, tile: u32) -> Self {
        Self { grid: TileGrid::new(data.n, tile), data, states: RwLock::default() }
    }

    fn state(&self, block: u32) -> Result<Arc<RowState>> {
        let state = self.states.read().get(&block).cloned();
        state.ok_or_else(|| Error::Defect(format!("rows of block {block} are used before they are loaded")))
    }
}

/// Computes kernel tiles from the rows of the training set and of one test set.
pub struct Source {
    /// The network.
    pub network: Network,
    /// Training rows.
    pub train: Arc<Rows>,
    /// Test rows; the training rows where there is no test set.
    pub test: Arc<Rows>,
    /// Tile side.
    pub side: usize,
    /// How many times longer an operation of the network takes than one of a product of tiles: 1 unless times are told.
    pub slowness: f64,
}

impl Source {
    /// The rows that a name of [`Space::Rows`] or [`Space::TestRows`] means.
    fn rows(&self, name: Name) -> &Arc<Rows> {
        if name.space == Space::TestRows { &self.test } else { &self.train }
    }

    /// Operations of the kernel of `rows` × `cols` entries, for the simulation: as many of a product take as long.
    pub fn work(&self, rows: usize, cols: usize) -> f64 {
        self.network.flops(rows as u64, cols as u64) as f64 * self.slowness
    }

    /// Values of a block of rows in memory.
    pub fn rows_len(&self) -> usize {
        self.side * self.train.data.width
    }

    /// Where a block of rows is read from.
    pub fn origin(&self, name: Name) -> Origin {
        Origin::Rows { data: Arc::clone(&self.rows(name).data), block: name.row, side: self.side }
    }

    /// Learns what the network needs to know of rows just read.
    pub fn learn(&self, name: Name, values: &[f64]) {
        let rows = self.rows(name);
        if !rows.states.read().contains_key(&name.row) {
            let state = Arc::new(self.network.rows(values, self.side));
            rows.states.write().insert(name.row, state);
        }
    }

    /// The exact prior variances k(x, x) of a block of rows.
    ///
    /// # Errors
    /// A defect if the block was not read.
    pub fn diagonal(&self, name: Name, output: Covariance) -> Result<Vec<f64>> {
        let state = self.rows(name).state(name.row)?;
        Ok(state.diagonal(output).to_vec())
    }

    /// One kernel tile between the rows `at` and `bt`, for each output in turn; `out` holds
    /// `outputs.len()` blocks of side×side. Values outside the data are zero.
    ///
    /// # Errors
    /// A defect if a block was not read.
    pub fn tile(
        &self,
        outputs: &[Covariance],
        (at, a): (Name, &[f64]),
        (bt, b): (Name, &[f64]),
        out: &mut Vec<f64>,
    ) -> Result<()> {
        let (rows, cols) = (self.rows(at), self.rows(bt));
        let (xs, ys) = (rows.state(at.row)?, cols.state(bt.row)?);
        let block = self.side * self.side;
        out.resize(outputs.len() * block, 0.0);
        let mut nngp = None;
        let mut ntk = None;
        for (output, chunk) in outputs.iter().zip(out.chunks_exact_mut(block)) {
            match output {
                Covariance::Nngp => nngp = Some(chunk),
                Covariance::Ntk => ntk = Some(chunk),
            }
        }
        let diagonal = at == bt;
        SCRATCH.with_borrow_mut(|scratch| {
            self.network.tile(a, &xs, b, &ys, self.side, diagonal, &mut KernelOut { nngp, ntk }, scratch);
        });
        for chunk in out.chunks_exact_mut(block) {
            clear_padding(chunk, self.side, rows.grid.rows(at.row), cols.grid.rows(bt.row));
        }
        Ok(())
    }
}

/// Sets everything outside the leading `rows`×`cols` to zero.
pub fn clear_padding(values: &mut [f64], side: usize, rows: usize, cols: usize) {
    if rows < side {
        for column in values.chunks_exact_mut(side) {
            column[rows..].fill(0.0);
        }
    }
    values[cols * side..].fill(0.0);
}

/// Fills a tile just read up to side×side: zeros, and ones on the diagonal of a diagonal tile.
pub fn pad(values: &mut Vec<f64>, side: usize, rows: usize, diagonal: bool) {
    values.resize(side * side, 0.0);
    if diagonal {
        for i in rows..side {
            values[i * side + i] = 1.0;
        }
    }
}
