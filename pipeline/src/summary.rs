//! What a run tells: the JSON of `--json` and of `results/<name>/summary.json`.

use std::collections::BTreeMap;

use megagram_storage::Traffic;
use serde::{Deserialize, Serialize};

use crate::kernel::StandardError;

/// The answer of a run. Absent parts were not asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The job's name.
    pub name: String,
    /// Where everything is.
    pub store: String,
    /// Ids of what the run used: `data`, `gram`, `factor`, `border/<set>`.
    pub ids: BTreeMap<String, String>,
    /// Training rows.
    pub n: u64,
    /// Tile side.
    pub tile: u32,
    /// Name, version and kernel of the BLAS.
    pub blas: String,
    /// Processes and workers in each.
    pub processes: usize,
    /// Timely workers in each process.
    pub workers: usize,
    /// How sure a kernel of finite random networks is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monte_carlo: Option<Sampled>,
    /// How far a kernel with layers in f32 is from that in f64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f32_layers: Option<Rounded>,
    /// The noise variance really used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_var: Option<f64>,
    /// Every noise variance tried, in order.
    pub noise_tried: Vec<f64>,
    /// log p(y) of each target column, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_evidence: Option<Vec<f64>>,
    /// Smallest pivot of the factor and its row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest_pivot: Option<Pivot>,
    /// Tiles found damaged, set aside and computed again.
    pub repaired: u64,
    /// Test sets by name.
    pub sets: BTreeMap<String, SetScores>,
    /// The learning curve, n ascending.
    pub curve: Vec<CurvePoint>,
    /// What each stage did: `gram`, `factor`, `solve` (z and alpha), `border`.
    pub stages: BTreeMap<String, StageReport>,
    /// Things the reader should know, a sentence each.
    pub warnings: Vec<String>,
    /// Files written for the reader, relative to the store.
    pub files: Vec<String>,
}

/// Kernels that are means over random networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Networks.
    pub samples: usize,
    /// Channels of their layers.
    pub width: usize,
    /// By output (`nngp`, `ntk`), over the pairs of the first training rows. Empty for one sample, which cannot tell.
    pub standard_error: BTreeMap<String, StandardError>,
}

/// What layers in f32 do to a kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rounded {
    /// Training rows, spread evenly, whose pairs were computed in f64 too.
    pub rows: u64,
    /// By output (`nngp`, `ntk`): four times the largest difference among them.
    pub error: BTreeMap<String, f64>,
    /// The error that the noise asked for bears, noise_var/(20·√n); absent where nothing is factored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub borne: Option<f64>,
}

/// A pivot (the value before its square root) and the global row it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pivot {
    /// The value.
    pub value: f64,
    /// The row, from 0.
    pub row: u64,
}

/// How good the posterior is on a test set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SetScores {
    /// Test rows.
    pub n: u64,
    /// Mean over points and columns of (mean − target)².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse: Option<f64>,
    /// Share of rows whose largest mean is the label's; classes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean over points and columns of −log N(y; mean, variance + noise_var).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
}

/// The posterior of the first `n` rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Training rows.
    pub n: u64,
    /// log p(y) of each target column.
    pub log_evidence: Vec<f64>,
    /// Test sets by name.
    pub sets: BTreeMap<String, SetScores>,
}

/// Counted work of one stage, summed over processes; `peak_rss_bytes` is the largest of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Wall seconds, reads, digests and writes included.
    pub seconds: f64,
    /// Floating-point operations of the work that was done.
    pub flops: f64,
    /// flops / 1e9 / seconds.
    pub gflops: f64,
    /// Tiles computed by this run.
    pub tiles_done: u64,
    /// Tiles found in the store.
    pub tiles_reused: u64,
    /// Counted payload.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Bytes of tiles that the plan said would be read.
    pub predicted_bytes_read: u64,
    /// Bytes of tiles that the plan said would be written.
    pub predicted_bytes_written: u64,
    /// GET requests that the plan said.
    pub predicted_gets: u64,
    /// PUT requests that the plan said.
    pub predicted_puts: u64,
    /// Peak resident memory of the largest process so far.
    pub peak_rss_bytes: u64,
}
