//! What a run is asked to do: the job file, resolved and typed (DESIGN: the job file).

use megagram_storage::dataset::{Prepare, Source, Targets};
use serde::{Deserialize, Serialize};

use crate::kernel::Inputs;

/// A job. Paths are resolved; every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name its results are kept under.
    pub name: String,
    /// Folder or URL of the store.
    pub store: String,
    /// Rows and targets.
    pub data: Data,
    /// The `[kernel]` section as it stands; `KernelSpec::from_value` gives it meaning.
    pub kernel: serde_json::Value,
    /// The Gaussian process.
    pub gp: Gp,
    /// Tiles, memory, workers.
    pub compute: Compute,
}

/// The `[data]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Training rows and their targets.
    pub train: Pair,
    /// Test sets, each with a name of its own.
    pub test: Vec<TestSet>,
    /// The first n training rows only.
    pub limit: Option<u64>,
    /// What targets mean.
    pub targets: Targets,
    /// Number of classes; by default the largest training label + 1.
    pub classes: Option<u32>,
    /// Per-row or per-column preparation.
    pub prepare: Prepare,
    /// `[H, W, C]` or `[L, C]` for kernels with positions.
    pub shape: Option<Vec<usize>>,
    /// Multiplies x before `prepare`.
    pub scale: f64,
    /// Marks padding tokens.
    pub mask: Option<f64>,
}

impl Data {
    /// What a network needs to know of rows of `width` numbers. The mask is scaled as the rows are.
    pub fn inputs(&self, width: usize) -> Inputs {
        Inputs { width, shape: self.shape.clone(), mask: self.mask.map(|mask| mask * self.scale) }
    }
}

/// Inputs and, where known, targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Inputs, `(N, d)`.
    pub x: Source,
    /// Targets, `(N,)` or `(N, C)`.
    pub y: Option<Source>,
}

/// A named test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSet {
    /// Its name, used in file names.
    pub name: String,
    /// Inputs and, where known, targets.
    pub rows: Pair,
}

/// Which kernel is the covariance: the network's NNGP kernel K, or its neural tangent kernel Θ taken as one.
pub type Covariance = crate::kernel::OutputKind;

/// The noise on the diagonal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// As a variance.
    Absolute(f64),
    /// As a multiple of trace/N of the run's own rows.
    Relative(f64),
}

/// Sizes at which the learning curve is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// No curve.
    None,
    /// These sizes, each at most N.
    Sizes(Vec<u64>),
    /// N, N/2, N/4 … ≥ 64.
    Octaves,
}

/// The `[gp]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gp {
    /// Which stored output is the covariance; by default the one that is stored.
    pub kernel: Option<Covariance>,
    /// Noise of the first try.
    pub noise: Noise,
    /// Factor between tries after a bad pivot; 1 means one try.
    pub noise_ladder: f64,
    /// Caps the ladder, in the unit of `noise`.
    pub noise_max: f64,
    /// Whether to compute posterior variances.
    pub variance: bool,
    /// Whether to write the full test covariance.
    pub covariance: bool,
    /// The learning curve.
    pub curve: Curve,
}

/// The `[compute]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// Tile side.
    pub tile: u32,
    /// Bytes of all buffers of one process.
    pub memory: u64,
    /// Timely workers in each process.
    pub workers: usize,
    /// Whether K is stored.
    pub keep_gram: bool,
    /// Whether a resume may go on with another BLAS kernel.
    pub allow_mixed_bits: bool,
}
