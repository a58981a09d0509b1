//! Steps of finite networks without weights: padding, pooling, read-outs, norms.

use super::Step;
use super::affine::OUTSIDE;
use super::draft::Draft;
use super::signal::Signal;

impl Draft {
    /// Zeroes padding.
    pub(crate) fn zero_padding(&mut self) {
        self.push(ZeroPadding);
    }

    /// The mask behind a window: that of the position at its centre.
    pub(crate) fn centres(&mut self, centres: &[usize]) {
        self.push(Centres(centres.to_vec()));
    }

    /// Sums over windows, each times its factor.
    pub(crate) fn pool(&mut self, table: Vec<u32>, factors: Vec<f64>) {
        self.advance(factors.len(), self.channels);
        self.push(Pool { table, factors });
    }

    /// Positions become channels.
    pub(crate) fn flatten(&mut self) {
        self.advance(1, self.pixels.saturating_mul(self.channels));
        self.push(Flatten);
    }

    /// The sum over positions, or the mean over those that count.
    pub(crate) fn global_pool(&mut self, mean: bool) {
        self.advance(1, self.channels);
        self.push(GlobalPool { mean });
    }

    /// The norm over the channels of each position.
    pub(crate) fn layer_norm(&mut self, eps: f64) {
        self.push(LayerNorm { eps });
    }
}

#[derive(Debug)]
struct ZeroPadding;

impl Step for ZeroPadding {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        signal.zero_padding();
    }
}

#[derive(Debug)]
struct Centres(Vec<usize>);

impl Step for Centres {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        if let Some(mask) = &mut signal.mask {
            let before = mask.len() / signal.rows.max(1);
            *mask = mask.chunks_exact(before.max(1)).flat_map(|row| self.0.iter().map(|c| row[*c])).collect();
        }
    }
}

#[derive(Debug)]
struct Pool {
    table: Vec<u32>,
    factors: Vec<f64>,
}

impl Step for Pool {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        let (channels, before, after) = (signal.channels, signal.pixels, self.factors.len());
        let taps = self.table.len() / after.max(1);
        for values in signal.both() {
            let mut sums = vec![0.0; values.len() / (before * channels) * after * channels];
            for (at, sums) in sums.chunks_exact_mut(channels).enumerate() {
                let (row, pixel) = (at / after, at % after);
                for input in self.table[pixel * taps..][..taps].iter().filter(|input| **input != OUTSIDE) {
                    let from = &values[(row * before + *input as usize) * channels..][..channels];
                    sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
                }
                sums.iter_mut().for_each(|sum| *sum *= self.factors[pixel]);
            }
            *values = sums;
        }
        signal.pixels = after;
    }
}

#[derive(Debug)]
struct Flatten;

impl Step for Flatten {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        signal.channels *= signal.pixels;
        signal.pixels = 1;
        signal.mask = None;
    }
}

#[derive(Debug)]
struct GlobalPool {
    mean: bool,
}

impl Step for GlobalPool {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        let (rows, pixels, channels) = (signal.rows, signal.pixels, signal.channels);
        let factors: Vec<f64> = (0..rows)
            .map(|row| {
                let count = (0..pixels).filter(|pixel| signal.counts(row * pixels + pixel)).count();
                if self.mean { 1.0 / count.max(1) as f64 } else { 1.0 }
            })
            .collect();
        for values in signal.both() {
            let mut sums = vec![0.0; rows * channels];
            for (at, position) in values.chunks_exact(channels).enumerate() {
                let sums = &mut sums[at / pixels * channels..][..channels];
                sums.iter_mut().zip(position).for_each(|(sum, value)| *sum += value);
            }
            for (sums, factor) in sums.chunks_exact_mut(channels).zip(&factors) {
                sums.iter_mut().for_each(|sum| *sum *= factor);
            }
            *values = sums;
        }
        signal.pixels = 1;
        signal.mask = None;
    }
}

#[derive(Debug)]
struct LayerNorm {
    eps: f64,
}

impl Step for LayerNorm {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        let channels = signal.channels;
        let n = channels as f64;
        for (at, values) in signal.values.chunks_exact_mut(channels).enumerate() {
            let mean = values.iter().sum::<f64>() / n;
            values.iter_mut().for_each(|value| *value -= mean);
            let variance = values.iter().map(|value| value * value).sum::<f64>() / n + self.eps;
            // A position that is zero, with eps = 0, stays zero.
            let scale = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
            values.iter_mut().for_each(|value| *value *= scale);
            if let Some(tangents) = signal.tangents.get_mut(at * channels..(at + 1) * channels) {
                let mean = tangents.iter().sum::<f64>() / n;
                let along = tangents.iter().zip(&*values).map(|(t, v)| t * v).sum::<f64>() / n;
                for (tangent, value) in tangents.iter_mut().zip(&*values) {
                    *tangent = (*tangent - mean - value * along) * scale;
                }
            }
        }
    }
}
