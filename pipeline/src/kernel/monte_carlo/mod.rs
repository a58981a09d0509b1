//! Kernels of finite random networks, averaged (Novak et al. 2019, the Monte Carlo estimate of K).
//!
//! Some networks of a given width are drawn from a seed. K is the mean over networks and output channels of the
//! products of two rows' outputs. For Θ each network is also given one random direction in the space of its
//! parameters, Gaussian with the variances by which Θ weighs them: the mean of the products of the outputs'
//! derivatives along it is, in expectation over directions, the sum over all parameters of the products of
//! derivatives, which is the network's tangent kernel. It costs as much as K and holds for every layer.
//!
//! Both are sums of products of features, one list a row: positive semi-definite by construction, of rank at most
//! samples × width. The error falls as 1/√(samples × width), but for a bias that falls as 1/width.

mod affine;
mod attention;
mod branch;
mod draft;
mod features;
mod pointwise;
mod random;
mod settings;
mod signal;
mod spatial;

pub(crate) use affine::{AffineLayer, OUTSIDE, WindowLayer};
pub(crate) use attention::{AttentionLayer, Weighing};
pub(crate) use branch::Joined;
pub(crate) use draft::Draft;
pub(crate) use features::Features;
pub use features::StandardError;
pub use settings::{Init, MonteCarlo};

use super::level::Level;
use random::Draw;
use signal::Signal;
use std::fmt::Debug;
use std::sync::Arc;

/// Steps in the order that data flows.
type Chain = Vec<Arc<dyn Step>>;

/// A layer of a finite network.
trait Step: Debug + Send + Sync {
    /// Takes a batch of rows through the layer, with the arrays of one network.
    fn apply(&self, drawn: &[Vec<f64>], signal: &mut Signal);
}

/// The networks that are drawn.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) settings: MonteCarlo,
    ntk: bool,
    steps: Chain,
    draws: Vec<Draw>,
    /// Positions and channels of a row, and numbers in its widest signal.
    pixels: usize,
    channels: usize,
    largest: usize,
    /// Outputs of a network.
    outputs: usize,
}

/// Numbers of a batch's widest signal, if one row is not more.
const BATCH: usize = 1 << 18;

/// How many signals of a batch are in memory together, with the sums of a layer, at most: those of two levels of
/// branches too.
const SIGNALS: usize = 8;

impl Ensemble {
    /// The networks of a draft whose inputs have this many positions and channels.
    pub(crate) fn new(draft: Draft, pixels: usize, channels: usize) -> Ensemble {
        let Draft { settings, ntk, steps, draws, largest, .. } = draft;
        let outputs = draft.pixels * draft.channels;
        Ensemble { settings, ntk, steps, draws, pixels, channels, largest, outputs }
    }

    /// Features of a row.
    pub(crate) fn features(&self) -> usize {
        self.settings.samples.saturating_mul(self.outputs)
    }

    /// Numbers that [`Ensemble::rows`] works on, besides its results.
    pub(crate) fn working(&self) -> usize {
        let drawn = self.draws.iter().fold(0usize, |sum, draw| sum.saturating_add(draw.count));
        drawn.saturating_add(self.largest.max(BATCH).saturating_mul(SIGNALS))
    }

    /// The features of `rows` rows, of K and of Θ (empty if it is not an output). `mask` marks padding.
    pub(crate) fn rows(&self, level: Level, x: &[f64], rows: usize, mask: Option<f64>) -> [Features; 2] {
        let none = || Features { rows, each: self.outputs, values: Vec::new() };
        let mut both = [none(), none()];
        for features in both.iter_mut().take(if self.ntk { 2 } else { 1 }) {
            features.values.resize(self.features() * rows, 0.0);
        }
        let batch = (BATCH / self.largest.max(1)).clamp(1, rows.max(1));
        let width = self.pixels * self.channels;
        for sample in 0..self.settings.samples {
            let draw = |(index, draw): (usize, &Draw)| draw.draw(self.settings.seed, sample as u64, index as u64);
            let drawn: Vec<Vec<f64>> = self.draws.iter().enumerate().map(draw).collect();
            for (at, x) in x.chunks(batch * width).enumerate() {
                let mut signal = self.input(level, x, mask);
                self.steps.iter().for_each(|step| step.apply(&drawn, &mut signal));
                for (features, values) in both.iter_mut().zip([&signal.values, &signal.tangents]) {
                    for (row, outputs) in values.chunks_exact(self.outputs).enumerate() {
                        for (output, value) in outputs.iter().enumerate() {
                            let feature = sample * self.outputs + output;
                            features.values[feature * rows + at * batch + row] = *value;
                        }
                    }
                }
            }
        }
        both
    }

    fn input(&self, level: Level, x: &[f64], mask: Option<f64>) -> Signal {
        let (pixels, channels) = (self.pixels, self.channels);
        let counts = |mask: f64| x.chunks_exact(channels).map(|p| p.iter().any(|value| *value != mask)).collect();
        Signal {
            level,
            rows: x.len() / (pixels * channels),
            pixels,
            channels,
            values: x.to_vec(),
            tangents: vec![0.0; if self.ntk { x.len() } else { 0 }],
            mask: mask.map(counts),
        }
    }
}
