//! A compiled network: the diagonal map of a block of rows, and the kernel on a tile.

use super::activation::{Activation, Terms};
use super::level::{Affine, AffineNtk, Level, affine};
use super::spec::{Dense, KernelSpec, Layer, Output, Parameterization, SpecError};
use crate::leaf;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[cfg(test)]
mod levels;

/// Rows of a column that go through all steps before the next: they stay in the first-level cache, and
/// so do the steps' numbers for these rows while the columns pass.
const STRIP: usize = 128;

/// Rows whose scalar products with each other are taken at once for the diagonal.
const DIAGONAL: usize = 32;

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

/// A layer, compiled.
#[derive(Debug, Clone)]
enum Step {
    Affine(Affine),
    Activation(Arc<dyn Activation>),
}

/// A compiled network for inputs of one width. Cheap to clone and shared between threads.
#[derive(Debug, Clone)]
pub struct Network {
    input_dim: usize,
    outputs: Vec<OutputKind>,
    steps: Vec<Step>,
    level: Level,
}

/// What a network keeps of a block of rows: per activation the variances that enter it and what it makes
/// of them, and the diagonal of the kernels.
#[derive(Debug, Clone)]
pub struct RowState {
    terms: Vec<Terms>,
    nngp: Vec<f64>,
    ntk: Vec<f64>,
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
#[derive(Debug, Clone)]
pub struct Scratch {
    k: [f64; STRIP],
    t: [f64; STRIP],
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { k: [0.0; STRIP], t: [0.0; STRIP] }
    }
}

impl Network {
    /// Compiles a network for rows of `input_dim` numbers.
    pub fn compile(spec: &KernelSpec, input_dim: usize) -> Result<Network, SpecError> {
        if input_dim == 0 {
            return Err(SpecError::new("kernel", "the rows of the data have no columns"));
        }
        let mut steps = Vec::new();
        let mut gaussian = false;
        let mut width = Some(input_dim as u64);
        for (index, layer) in spec.layers.iter().enumerate() {
            let path = format!("kernel.layers[{index}]");
            match layer {
                Layer::Dense(dense) => {
                    steps.push(Step::Affine(compile_dense(dense, width, &path)?));
                    width = dense.out_dim;
                    gaussian = true;
                }
                Layer::Activation(activation) => {
                    if !gaussian {
                        let message = format!(
                            "{:?} needs a dense layer before it: only its output is Gaussian",
                            activation.name()
                        );
                        return Err(SpecError::new(path, message));
                    }
                    let built = (activation.entry.build)(&activation.arguments)
                        .map_err(|message| SpecError::new(path, message))?;
                    steps.push(Step::Activation(Arc::from(built)));
                    gaussian = false;
                }
            }
        }
        let outputs = match spec.output {
            Output::Nngp => vec![OutputKind::Nngp],
            Output::Ntk => vec![OutputKind::Ntk],
            Output::Both => vec![OutputKind::Nngp, OutputKind::Ntk],
        };
        Ok(Network { input_dim, outputs, steps, level: Level::detect() })
    }

    /// The kernels that are stored, in the order in which they are.
    pub fn outputs(&self) -> &[OutputKind] {
        &self.outputs
    }

    /// How many numbers a row has.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    fn has_ntk(&self) -> bool {
        self.outputs.contains(&OutputKind::Ntk)
    }

    fn activations(&self) -> impl Iterator<Item = &Arc<dyn Activation>> {
        self.steps.iter().filter_map(|step| match step {
            Step::Activation(activation) => Some(activation),
            Step::Affine(_) => None,
        })
    }

    /// The diagonal map of `rows` rows of `x`, row-major: computed once for a block of rows.
    ///
    /// For a tile the block must have as many rows as the tile's side, the missing ones being zeros.
    pub fn rows(&self, x: &[f64], rows: usize) -> RowState {
        debug_assert_eq!(x.len(), rows * self.input_dim);
        let mut k = self.squares(x, rows);
        let mut t = vec![0.0; if self.has_ntk() { rows } else { 0 }];
        let mut terms = Vec::new();
        for step in &self.steps {
            match step {
                Step::Affine(layer) => affine(self.level, layer, &mut k, &mut t),
                Step::Activation(activation) => terms.push(Terms::of(activation.as_ref(), &mut k, &mut t)),
            }
        }
        RowState { terms, nngp: k, ntk: t }
    }

    /// x·x/d for each row, by the same kernel of the BLAS that makes the tiles: only then do equal rows
    /// have the same bits off the diagonal as on it.
    fn squares(&self, x: &[f64], rows: usize) -> Vec<f64> {
        let d = self.input_dim;
        let scale = 1.0 / d as f64;
        let mut gram = vec![0.0; DIAGONAL * DIAGONAL];
        let mut squares = Vec::with_capacity(rows);
        for block in x.chunks(DIAGONAL * d) {
            let n = block.len() / d;
            leaf::rows_gram(block, block, n, d, &mut gram[..n * n]);
            squares.extend((0..n).map(|i| gram[i + i * n] * scale));
        }
        squares
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
        let (mut nngp, mut ntk) = (out.nngp.as_deref_mut(), out.ntk.as_deref_mut());
        debug_assert!(nngp.as_ref().is_none_or(|k| k.len() == side * side));
        debug_assert!(ntk.as_ref().is_none_or(|t| t.len() == side * side && self.has_ntk()));
        let wants_ntk = ntk.is_some() && self.has_ntk();
        // The scalar products are made where the first output will be.
        let products = match (&mut nngp, &mut ntk) {
            (Some(k), _) => &mut **k,
            (None, Some(t)) => &mut **t,
            (None, None) => return,
        };
        leaf::rows_gram(x, y, side, self.input_dim, products);
        let scale = 1.0 / self.input_dim as f64;
        for start in (0..side).step_by(STRIP) {
            let columns = if diagonal { side.min(start + STRIP) } else { side };
            for column in 0..columns {
                let first = if diagonal { start.max(column) } else { start };
                let len = (start + STRIP).min(side) - first;
                let at = first + column * side;
                let k = &mut scratch.k[..len];
                let t = &mut scratch.t[..if wants_ntk { len } else { 0 }];
                let products = match (&nngp, &ntk) {
                    (Some(k), _) => &**k,
                    (None, Some(t)) => &**t,
                    (None, None) => return,
                };
                for (k, product) in k.iter_mut().zip(&products[at..at + len]) {
                    *k = product * scale;
                }
                t.fill(0.0);
                self.strip(xs, ys, first, column, k, t);
                if let Some(nngp) = &mut nngp {
                    nngp[at..at + len].copy_from_slice(k);
                }
                if let Some(ntk) = &mut ntk {
                    ntk[at..at + t.len()].copy_from_slice(t);
                }
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

    /// A piece of a column through all steps.
    fn strip(&self, xs: &RowState, ys: &RowState, first: usize, column: usize, k: &mut [f64], t: &mut [f64]) {
        let mut terms = xs.terms.iter().zip(&ys.terms);
        for step in &self.steps {
            match step {
                Step::Affine(layer) => affine(self.level, layer, k, t),
                Step::Activation(activation) => {
                    if let Some((x, y)) = terms.next() {
                        activation.strip(self.level, x.span(first, k.len()), y.span(column, 1), k, t);
                    }
                }
            }
        }
    }

    /// Bytes of a worker's [`Scratch`], whatever the side.
    pub fn scratch_bytes(&self, _side: usize) -> usize {
        size_of::<Scratch>()
    }

    /// Bytes of the [`RowState`] of a block of `rows` rows.
    pub fn row_bytes(&self, rows: usize) -> usize {
        let terms: usize = self.activations().map(|a| Terms::bytes(rows, a.planes())).sum();
        terms + 2 * rows * size_of::<f64>()
    }

    /// Floating-point operations of `rows` × `cols` entries: 2·d for the scalar product, and for each layer
    /// about as many as its formula has.
    pub fn flops(&self, rows: u64, cols: u64) -> u64 {
        let layers: u64 = self
            .steps
            .iter()
            .map(|step| match step {
                Step::Affine(_) => 4,
                Step::Activation(activation) => activation.flops(),
            })
            .sum();
        rows * cols * (2 * self.input_dim as u64 + 1 + layers)
    }
}

fn compile_dense(dense: &Dense, width: Option<u64>, path: &str) -> Result<Affine, SpecError> {
    let ntk = match dense.parameterization {
        Parameterization::Ntk => AffineNtk::Ntk,
        Parameterization::Standard => {
            let width = width.ok_or_else(|| {
                let message = "parameterization \"standard\" needs the width of the input: give the dense layer \
                               before this one an out_dim";
                SpecError::new(path, message)
            })?;
            let bias = if dense.b_var.is_some() { 1.0 } else { 0.0 };
            AffineNtk::Standard { width: width as f64, bias }
        }
    };
    Ok(Affine { w_var: dense.w_var, b_var: dense.b_var.unwrap_or(0.0), ntk })
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
