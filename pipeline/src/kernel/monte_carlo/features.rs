//! What finite networks make of a block of rows, and the products of two blocks.

use crate::kernel::level::{Level, Work, mul_add};
use serde::{Deserialize, Serialize};

/// The outputs of all networks for a block of rows, or their derivatives: `values[feature · rows + row]`, the
/// features of one network together. The kernel of two rows is the mean of the products of their features.
#[derive(Debug, Clone, Default)]
pub(crate) struct Features {
    pub(super) rows: usize,
    /// Features of one network.
    pub(super) each: usize,
    pub(super) values: Vec<f64>,
}

/// An estimate's standard error, over the pairs of some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StandardError {
    /// Root mean square of the entries' standard errors.
    pub rms: f64,
    /// The same over the root mean square of the entries.
    pub relative: f64,
}

impl Features {
    /// How many there are of each row.
    fn count(&self) -> usize {
        self.values.len() / self.rows.max(1)
    }

    /// The kernel of each row with itself, with the bits that [`Features::products`] gives it.
    pub(crate) fn diagonal(&self, level: Level) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows];
        level.run(Squares { values: &self.values, sums: &mut sums });
        let scale = 1.0 / self.count() as f64;
        sums.iter_mut().for_each(|sum| *sum *= scale);
        sums
    }

    /// `out[r + c·rows]`: the kernel of row r of this block and row c of `other`. Every sum is over the features in
    /// order, so that an entry's bits depend on its two rows alone.
    pub(crate) fn products(&self, other: &Features, level: Level, out: &mut [f64]) {
        out.fill(0.0);
        level.run(Products { x: self, y: other, out });
        let scale = 1.0 / self.count() as f64;
        out.iter_mut().for_each(|value| *value *= scale);
    }

    /// The standard error of the mean over `samples` networks, from how far they differ on the pairs of the first
    /// rows. `None` for one network, which cannot tell.
    pub(crate) fn standard_error(&self, samples: usize) -> Option<StandardError> {
        /// Rows whose pairs are looked at.
        const PROBED: usize = 32;
        if samples < 2 {
            return None;
        }
        let rows = self.rows.min(PROBED);
        let (mut squares, mut variances, mut pairs) = (0.0, 0.0, 0.0);
        for r in 0..rows {
            for c in 0..=r {
                let of = |sample: usize| {
                    let network = &self.values[sample * self.each * self.rows..][..self.each * self.rows];
                    network.chunks_exact(self.rows).map(|feature| feature[r] * feature[c]).sum::<f64>()
                        / self.each as f64
                };
                let (mut mean, mut spread) = (0.0, 0.0);
                for sample in 0..samples {
                    // Welford's recurrence: no cancellation.
                    let value = of(sample);
                    let before = value - mean;
                    mean += before / (sample + 1) as f64;
                    spread += before * (value - mean);
                }
                squares += mean * mean;
                variances += spread / (samples - 1) as f64 / samples as f64;
                pairs += 1.0;
            }
        }
        let rms = (variances / f64::max(pairs, 1.0)).sqrt();
        let size = (squares / f64::max(pairs, 1.0)).sqrt();
        Some(StandardError { rms, relative: if size > 0.0 { rms / size } else { 0.0 } })
    }
}

struct Squares<'a> {
    values: &'a [f64],
    sums: &'a mut [f64],
}

impl Work for Squares<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for feature in self.values.chunks_exact(self.sums.len().max(1)) {
            for (sum, value) in self.sums.iter_mut().zip(feature) {
                *sum = mul_add::<FMA>(*value, *value, *sum);
            }
        }
    }
}

struct Products<'a> {
    x: &'a Features,
    y: &'a Features,
    out: &'a mut [f64],
}

/// Features that pass over a tile together, and the part of it that is in registers.
const DEPTH: usize = 256;
const TALL: usize = 16;
const WIDE: usize = 4;

impl Work for Products<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Products { x, y, out } = self;
        let (n, m) = (x.rows, y.rows);
        for (x, y) in x.values.chunks(DEPTH * n).zip(y.values.chunks(DEPTH * m)) {
            for r in (0..n).step_by(TALL) {
                for c in (0..m).step_by(WIDE) {
                    let (tall, wide) = (TALL.min(n - r), WIDE.min(m - c));
                    let mut sums = [[0.0; TALL]; WIDE];
                    for (at, sums) in sums.iter_mut().enumerate().take(wide) {
                        sums[..tall].copy_from_slice(&out[r + (c + at) * n..][..tall]);
                    }
                    if (tall, wide) == (TALL, WIDE) {
                        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact(m)) {
                            let (x, y) = (&x[r..][..TALL], &y[c..][..WIDE]);
                            for (sums, y) in sums.iter_mut().zip(y) {
                                for (sum, x) in sums.iter_mut().zip(x) {
                                    *sum = mul_add::<FMA>(*x, *y, *sum);
                                }
                            }
                        }
                    } else {
                        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact(m)) {
                            for (sums, y) in sums.iter_mut().zip(&y[c..c + wide]) {
                                for (sum, x) in sums.iter_mut().zip(&x[r..r + tall]) {
                                    *sum = mul_add::<FMA>(*x, *y, *sum);
                                }
                            }
                        }
                    }
                    for (at, sums) in sums.iter().enumerate().take(wide) {
                        out[r + (c + at) * n..][..tall].copy_from_slice(&sums[..tall]);
                    }
                }
            }
        }
    }
}
