//! A compiled network: the diagonal map of a block of rows, and the kernel on a tile.

mod compile;
mod flat;
mod profile;
mod sweep;

pub use compile::Inputs;

use super::layer::{Chain, GlobalPool, learn_mask};
use super::level::Level;
use super::monte_carlo::{Ensemble, Features, MonteCarlo, StandardError};
use super::stepped::Steps;
use super::sweep::{At, Geometry, Kept, Lanes, Pool, Shape, Slot, State, WIDE};
use crate::leaf::Bytes;
use flat::Pair;
use profile::{Profile, Units};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

#[cfg(test)]
mod levels;

/// A kernel that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// K, the covariance.
    Nngp,
    /// Θ, the neural tangent kernel.
    Ntk,
}

impl OutputKind {
    /// Its name in files: `nngp` or `ntk`.
    pub fn name(self) -> &'static str {
        match self {
            OutputKind::Nngp => "nngp",
            OutputKind::Ntk => "ntk",
        }
    }
}

/// Which pairs of positions go through the network together.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// Rows without positions: their scalar products are one matrix product.
    Flat,
    /// All pairs that the network needs at once.
    Whole(Geometry),
    /// A network of convolutions that ends in global pooling: one band after the other up to the pooling, step
    /// `split` of the chain, whose input has this shape and lies behind these strides.
    Bands { start: Shape, split: usize, pool: GlobalPool, shape: Shape, stride: [usize; 2], wrapped: bool },
}

/// A compiled network for inputs of one width. Cheap to clone and shared between threads.
#[derive(Debug, Clone)]
pub struct Network {
    inputs: Inputs,
    /// Numbers of one position.
    channels: usize,
    outputs: Vec<OutputKind>,
    chain: Chain,
    slots: Vec<Slot>,
    /// The slot of the input's mask.
    mask: Option<usize>,
    plan: Plan,
    /// Shape of the output: 1 × 1 unless the network ends with positions.
    ends: Shape,
    /// Rows that go through the network together, and numbers of all buffers of a sweep.
    lanes: usize,
    buffers: usize,
    level: Level,
    /// Finite networks in place of the limit.
    ensemble: Option<Arc<Ensemble>>,
    /// All layers in one, for rows of unit norm; made when there are such rows.
    profile: Arc<OnceLock<Option<Profile>>>,
}

/// What a network keeps of a block of rows: what its layers need of each, and the diagonal of the kernels.
#[derive(Debug, Clone)]
pub struct RowState {
    kept: Kept,
    nngp: Vec<f64>,
    ntk: Vec<f64>,
    /// What finite networks make of the rows, for each output.
    features: [Features; 2],
    /// The steps on which rows without positions lie.
    steps: Option<Steps>,
    /// Which are of unit norm, where the network has a profile.
    units: Option<Units>,
}

impl RowState {
    /// K(x, x) for each row.
    pub fn nngp(&self) -> &[f64] {
        &self.nngp
    }

    /// Θ(x, x) for each row; empty if Θ is not an output.
    pub fn ntk(&self) -> &[f64] {
        &self.ntk
    }

    /// The diagonal of an output; empty if it is not one of the network's.
    pub fn diagonal(&self, output: OutputKind) -> &[f64] {
        match output {
            OutputKind::Nngp => &self.nngp,
            OutputKind::Ntk => &self.ntk,
        }
    }

    /// How many rows it is of.
    pub fn rows(&self) -> usize {
        self.nngp.len()
    }
}

/// Where a tile goes: side × side, column-major. An output that is `None` is not stored.
#[derive(Debug)]
pub struct KernelOut<'a> {
    /// K.
    pub nngp: Option<&'a mut [f64]>,
    /// Θ; only for networks with this output.
    pub ntk: Option<&'a mut [f64]>,
}

/// Buffers of one worker for [`Network::tile`].
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    x: Lanes,
    pool: Pool,
    bytes: [Bytes; 2],
}

/// K and Θ of two rows at every pair of positions, `nngp[p · positions + q]`; positions row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions {
    /// Height and width; a sequence has width 1.
    pub shape: [usize; 2],
    /// K.
    pub nngp: Vec<f64>,
    /// Θ; empty if it is not an output.
    pub ntk: Vec<f64>,
}

impl Network {
    /// The kernels that are stored, in the order in which they are.
    pub fn outputs(&self) -> &[OutputKind] {
        &self.outputs
    }

    /// How many numbers a row has.
    pub fn input_dim(&self) -> usize {
        self.inputs.width
    }

    /// The inputs that it was compiled for. Their shape and mask are those that matter: a network without
    /// positions has neither.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The finite networks that stand in for the limit.
    pub fn monte_carlo(&self) -> Option<&MonteCarlo> {
        self.ensemble.as_deref().map(|ensemble| &ensemble.settings)
    }

    /// The standard error of an output over the pairs of the first rows of a block. `None` in the limit, which has
    /// none, and for one sample, which cannot tell.
    pub fn standard_error(&self, rows: &RowState, output: OutputKind) -> Option<StandardError> {
        let samples = self.monte_carlo()?.samples;
        rows.features[place(output)].standard_error(samples)
    }

    fn has_ntk(&self) -> bool {
        self.outputs.contains(&OutputKind::Ntk)
    }

    /// The diagonal map of `rows` rows of `x`, row-major: computed once for a block of rows.
    ///
    /// For a tile the block must have as many rows as the tile's side, the missing ones being zeros.
    pub fn rows(&self, x: &[f64], rows: usize) -> RowState {
        let d = self.inputs.width;
        debug_assert_eq!(x.len(), rows * d);
        if let Some(ensemble) = &self.ensemble {
            let features = ensemble.rows(self.level, x, rows, self.inputs.mask);
            let [nngp, ntk] = [0, 1].map(|output| features[output].diagonal(self.level));
            let ntk = if self.has_ntk() { ntk } else { Vec::new() };
            return RowState { kept: Kept::new(&[], rows, WIDE), nngp, ntk, features, steps: None, units: None };
        }
        let group = self.group(rows);
        let (kept, features) = (Kept::new(&self.slots, rows, group), Default::default());
        let flat = matches!(self.plan, Plan::Flat);
        let steps = if flat { Steps::of(self.level, x, rows) } else { None };
        let mut state = RowState { kept, nngp: Vec::new(), ntk: Vec::new(), features, steps, units: None };
        if let (Some(slot), Some(mask)) = (self.mask, self.inputs.mask) {
            let filled = std::iter::repeat_n(vec![0.0; d], self.whole(rows) - rows);
            let given = x.chunks_exact(d).map(<[f64]>::to_vec);
            for (row, values) in given.chain(filled).enumerate() {
                learn_mask(&mut state.kept, slot, row, &values, self.channels, mask);
            }
        }
        let squares = if flat { self.squares(x, rows, state.steps.as_ref()) } else { Vec::new() };
        let mut scratch = Scratch::default();
        for first in (0..rows).step_by(group) {
            let lanes = group.min(self.whole(rows) - first);
            let done = self.learn(x, first, lanes, &squares, &mut state.kept, &mut scratch);
            state.nngp.extend_from_slice(&done.k);
            state.ntk.extend_from_slice(&done.t);
            done.release(&mut scratch.pool);
        }
        state.units = if self.may_have_profile() { Units::of(&squares) } else { None };
        state.nngp.truncate(rows);
        state.ntk.truncate(rows);
        state
    }

    /// How many of `rows` rows go through the network together.
    fn group(&self, rows: usize) -> usize {
        self.lanes.min(rows.next_multiple_of(WIDE))
    }

    /// The rows that go through the network for `rows` rows. With positions rows of zeros fill the last vector: a
    /// layer then has whole vectors alone.
    fn whole(&self, rows: usize) -> usize {
        if matches!(self.plan, Plan::Flat) { rows } else { rows.next_multiple_of(WIDE) }
    }

    /// One tile: `out[r + c·side]` is the kernel of row r of `x` and row c of `y`.
    ///
    /// `x` and `y` are blocks of `side` rows, row-major, padded with zero rows; `xs` and `ys` are what
    /// [`Network::rows`] made of them. An entry's bits depend on nothing but its own two rows and its place in
    /// the tile; entries of padding rows are the kernels of zero rows. With `diagonal` the two blocks are
    /// the same: the lower triangle is computed and mirrored, and the diagonal is that of `xs`.
    #[allow(clippy::too_many_arguments)]
    pub fn tile(
        &self,
        x: &[f64],
        xs: &RowState,
        y: &[f64],
        ys: &RowState,
        side: usize,
        diagonal: bool,
        out: &mut KernelOut<'_>,
        scratch: &mut Scratch,
    ) {
        debug_assert_eq!(xs.rows(), side);
        debug_assert_eq!(ys.rows(), side);
        if self.ensemble.is_some() {
            let outputs = [(OutputKind::Nngp, out.nngp.as_deref_mut()), (OutputKind::Ntk, out.ntk.as_deref_mut())];
            for (output, values) in outputs {
                if let Some(values) = values {
                    xs.features[place(output)].products(&ys.features[place(output)], self.level, values);
                }
            }
            return;
        }
        let d = self.inputs.width;
        let (mut nngp, mut ntk) = (out.nngp.as_deref_mut(), out.ntk.as_deref_mut());
        debug_assert!(nngp.as_ref().is_none_or(|k| k.len() == side * side));
        debug_assert!(ntk.as_ref().is_none_or(|t| t.len() == side * side && self.has_ntk()));
        let wants_ntk = ntk.is_some() && self.has_ntk();
        let flat = matches!(self.plan, Plan::Flat);
        // The scalar products are made where the first output will be.
        let products = match (&mut nngp, &mut ntk) {
            (Some(k), _) => &mut **k,
            (None, Some(t)) => &mut **t,
            (None, None) => return,
        };
        let Scratch { x: lanes_of_x, pool, bytes } = scratch;
        let pair = Pair { x: (x, xs), y: (y, ys), side, diagonal };
        if flat {
            self.products(&pair, products, bytes);
        }
        let group = xs.kept.lanes();
        for start in (0..side).step_by(group) {
            let end = self.whole(side).min(start + group);
            if !flat {
                lanes_of_x.load(&x[start * d..end.min(side) * d], (d, self.channels), end - start);
            }
            for column in 0..if diagonal { end.min(side) } else { side } {
                let first = match (diagonal, flat) {
                    (false, _) => start,
                    (true, true) => start.max(column),
                    (true, false) => start.max(column / WIDE * WIDE),
                };
                let lanes = end - first;
                let at = At { level: self.level, xs: &xs.kept, first, ys: &ys.kept, column, each: false };
                let place = first + column * side;
                let done = if flat {
                    let mut state = State::new(Geometry::POINT, lanes, wants_ntk, pool);
                    let products = match (&nngp, &ntk) {
                        (Some(k), _) => &**k,
                        (None, Some(t)) => &**t,
                        (None, None) => return,
                    };
                    self.flat(&pair, &at, products, &mut state, pool);
                    state
                } else {
                    let y = &y[column * d..][..d];
                    self.sweep(&at, (&*lanes_of_x, first - start), Some(y), lanes, wants_ntk, pool)
                };
                let rows = lanes.min(side - first);
                for (tile, values) in [(&mut nngp, &done.k), (&mut ntk, &done.t)] {
                    if let (Some(tile), false) = (tile, values.is_empty()) {
                        tile[place..place + rows].copy_from_slice(&values[..rows]);
                    }
                }
                done.release(pool);
            }
        }
        if diagonal {
            if let Some(nngp) = nngp {
                mirror(nngp, side, &xs.nngp);
            }
            if let Some(ntk) = ntk {
                mirror(ntk, side, &xs.ntk);
            }
        }
    }

    /// Bytes of a worker's [`Scratch`] for tiles of this side.
    pub fn scratch_bytes(&self, side: usize) -> usize {
        if let Some(ensemble) = &self.ensemble {
            return ensemble.working().saturating_mul(size_of::<f64>());
        }
        let x = match self.plan {
            Plan::Flat => self.flat_bytes(side),
            _ => (self.inputs.width * self.lanes).saturating_mul(size_of::<f64>()),
        };
        self.buffers.saturating_mul(size_of::<f64>()).saturating_add(x).saturating_add(size_of::<Scratch>())
    }

    /// Bytes of the [`RowState`] of a block of `rows` rows.
    pub fn row_bytes(&self, rows: usize) -> usize {
        let features = self.ensemble.as_ref().map_or(0, |ensemble| {
            let each = if self.has_ntk() { 2 } else { 1 };
            ensemble.features().saturating_mul(each * size_of::<f64>()).saturating_mul(rows)
        });
        let slots = if features > 0 {
            0
        } else {
            self.slots.iter().map(|slot| slot.bytes(rows, self.group(rows))).sum::<usize>()
        };
        let on_steps = matches!(self.plan, Plan::Flat) && Steps::may_be(self.inputs.width);
        let steps = if on_steps { Steps::memory(rows) } else { 0 };
        let units = if self.may_have_profile() { Units::memory(rows) } else { 0 };
        features
            .saturating_add(slots)
            .saturating_add(steps)
            .saturating_add(units)
            .saturating_add(2 * rows * size_of::<f64>())
    }

    /// Floating-point operations of `rows` × `cols` entries: for each pair of positions 2 a channel for the scalar
    /// product, and for each layer about as many as its formula has.
    pub fn flops(&self, rows: u64, cols: u64) -> u64 {
        if let Some(ensemble) = &self.ensemble {
            let each = 2 * (ensemble.features() as u64).saturating_mul(self.outputs.len() as u64);
            return rows.saturating_mul(cols).saturating_mul(each);
        }
        let mut geometry = self.start();
        let mut sum = (geometry.entries() as u64).saturating_mul(2 * self.channels as u64 + 1);
        for step in &self.chain {
            sum = sum.saturating_add((geometry.entries() as u64).saturating_mul(step.flops(geometry)));
            geometry = step.output(geometry);
        }
        rows.saturating_mul(cols).saturating_mul(sum)
    }
}

/// The place of an output among the features.
fn place(output: OutputKind) -> usize {
    match output {
        OutputKind::Nngp => 0,
        OutputKind::Ntk => 1,
    }
}

/// Copies the lower triangle of a tile to the upper and sets the diagonal.
fn mirror(tile: &mut [f64], side: usize, diagonal: &[f64]) {
    /// Squares of this side are copied at a time, so that neither side leaves the cache.
    const SQUARE: usize = 32;
    for (j, value) in diagonal.iter().enumerate() {
        tile[j + j * side] = *value;
    }
    for j0 in (0..side).step_by(SQUARE) {
        for i0 in (j0..side).step_by(SQUARE) {
            for j in j0..(j0 + SQUARE).min(side) {
                for i in i0.max(j + 1)..(i0 + SQUARE).min(side) {
                    tile[j + i * side] = tile[i + j * side];
                }
            }
        }
    }
}
