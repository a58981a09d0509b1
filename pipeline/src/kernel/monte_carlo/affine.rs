//! Dense layers and convolutions of finite networks.

use super::Step;
use super::draft::Draft;
use super::random::Law;
use super::settings::Init;
use super::signal::{Signal, multiply};

/// Stands for an input beyond the edge.
pub(crate) const OUTSIDE: u32 = u32::MAX;

/// A layer with weights, as the limit knows it.
#[derive(Debug, Clone)]
pub(crate) struct AffineLayer {
    /// Variances of weights (times the inputs of an output) and of biases.
    pub(crate) w_var: f64,
    pub(crate) b_var: f64,
    /// What Θ weighs the parameters by: of weights as `w_var`, of biases as `b_var`.
    pub(crate) w_tangent: f64,
    pub(crate) b_tangent: f64,
    /// Of a convolution.
    pub(crate) window: Option<WindowLayer>,
}

/// A window of a convolution.
#[derive(Debug, Clone)]
pub(crate) struct WindowLayer {
    /// For each output position its inputs, tap by tap.
    pub(crate) table: Vec<u32>,
    pub(crate) taps: usize,
    /// The tap at the centre, where there is one that means something.
    pub(crate) centre: Option<usize>,
    /// Whether each position has weights of its own.
    pub(crate) local: bool,
}

/// The places of a layer's arrays among those drawn.
#[derive(Debug, Clone, Copy)]
struct Arrays {
    weights: usize,
    biases: usize,
}

#[derive(Debug)]
struct Affine {
    window: Option<WindowLayer>,
    out: usize,
    values: Arrays,
    tangents: Option<Arrays>,
}

impl Draft {
    /// Adds a dense layer or a convolution.
    pub(crate) fn affine(&mut self, layer: AffineLayer) -> Result<(), String> {
        let AffineLayer { w_var, b_var, w_tangent, b_tangent, mut window } = layer;
        let delta = self.settings.init == Init::DeltaOrthogonal;
        if let (true, Some(window)) = (delta, &mut window) {
            let centre = window.centre.ok_or("monte_carlo.init = \"delta-orthogonal\" is built for conv alone")?;
            window.table = window.table.chunks_exact(window.taps).map(|taps| taps[centre]).collect();
            window.taps = 1;
        }
        let (taps, positions) = match &window {
            Some(window) => (window.taps, window.table.len() / window.taps),
            None => (1, self.pixels),
        };
        let copies = if window.as_ref().is_some_and(|window| window.local) { positions } else { 1 };
        let (inputs, out) = (taps * self.channels, self.settings.width);
        let law = if delta { Law::Orthogonal { rows: inputs, columns: out } } else { Law::Gaussian };
        let (count, fan_in) = (copies.saturating_mul(inputs).saturating_mul(out), inputs as f64);
        let arrays = |draft: &mut Draft, w: f64, b: f64, law: Law| Arrays {
            weights: draft.array(count, (w / fan_in).sqrt(), law),
            biases: draft.array(copies * out, b.sqrt(), Law::Gaussian),
        };
        let values = arrays(self, w_var, b_var, law);
        let tangents = self.ntk.then(|| arrays(self, w_tangent, b_tangent, Law::Gaussian));
        self.advance(positions, out);
        self.push(Affine { window, out, values, tangents });
        Ok(())
    }
}

/// Outputs that are computed together.
const ITEMS: usize = 32;

impl Affine {
    /// `out += x·w`, position by position.
    fn apply(&self, signal: &Signal, from: &[f64], weights: &[f64], out: &mut [f64]) {
        let (channels, pixels) = (signal.channels, signal.pixels);
        let Some(window) = &self.window else {
            return multiply(signal.level, from, weights, self.out, out);
        };
        let positions = window.table.len() / window.taps;
        let inputs = window.taps * channels;
        let mut patches = vec![0.0; ITEMS * inputs];
        let mut sums = vec![0.0; ITEMS * self.out];
        let items = signal.rows * positions;
        // With weights of its own a position goes alone, all rows together.
        let (groups, of_group) = if window.local { (positions, signal.rows) } else { (1, items) };
        let weights_of_group = inputs * self.out;
        for group in 0..groups {
            let weights = &weights[group * weights_of_group..][..weights_of_group];
            let item = |at: usize| if window.local { at * positions + group } else { at };
            for first in (0..of_group).step_by(ITEMS) {
                let count = ITEMS.min(of_group - first);
                for (at, patch) in patches.chunks_exact_mut(inputs).enumerate().take(count) {
                    let (row, position) = (item(first + at) / positions, item(first + at) % positions);
                    let taps = &window.table[position * window.taps..][..window.taps];
                    for (input, patch) in taps.iter().zip(patch.chunks_exact_mut(channels)) {
                        match *input {
                            OUTSIDE => patch.fill(0.0),
                            pixel => {
                                let at = (row * pixels + pixel as usize) * channels;
                                patch.copy_from_slice(&from[at..at + channels]);
                            }
                        }
                    }
                }
                let sums = &mut sums[..count * self.out];
                sums.fill(0.0);
                multiply(signal.level, &patches[..count * inputs], weights, self.out, sums);
                for (at, sums) in sums.chunks_exact(self.out).enumerate() {
                    let out = &mut out[item(first + at) * self.out..][..self.out];
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                }
            }
        }
    }

    /// Adds the biases.
    fn bias(&self, positions: usize, biases: &[f64], out: &mut [f64]) {
        let local = biases.len() > self.out;
        for (at, out) in out.chunks_exact_mut(self.out).enumerate() {
            let from = if local { at % positions * self.out } else { 0 };
            out.iter_mut().zip(&biases[from..]).for_each(|(out, bias)| *out += bias);
        }
    }
}

impl Step for Affine {
    fn apply(&self, drawn: &[Vec<f64>], signal: &mut Signal) {
        let positions = self.window.as_ref().map_or(signal.pixels, |window| window.table.len() / window.taps);
        let mut values = vec![0.0; signal.rows * positions * self.out];
        Affine::apply(self, signal, &signal.values, &drawn[self.values.weights], &mut values);
        self.bias(positions, &drawn[self.values.biases], &mut values);
        let mut tangents = Vec::new();
        if let Some(arrays) = self.tangents {
            tangents.resize(values.len(), 0.0);
            Affine::apply(self, signal, &signal.tangents, &drawn[self.values.weights], &mut tangents);
            Affine::apply(self, signal, &signal.values, &drawn[arrays.weights], &mut tangents);
            self.bias(positions, &drawn[arrays.biases], &mut tangents);
        }
        (signal.pixels, signal.channels) = (positions, self.out);
        (signal.values, signal.tangents) = (values, tangents);
    }
}
