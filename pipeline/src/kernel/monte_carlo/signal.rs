//! What flows through a finite network: the values of some rows, and with Θ their derivatives.

use crate::kernel::level::{Level, Work, mul_add};

/// Values of a batch of rows, `values[(row · pixels + pixel) · channels + channel]`; `tangents` are their
/// derivatives along one random direction of all parameters, empty without Θ.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) level: Level,
    pub(super) rows: usize,
    pub(super) pixels: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f64>,
    pub(super) tangents: Vec<f64>,
    /// Which positions count, `[row · pixels + pixel]`; `None`: all do.
    pub(super) mask: Option<Vec<bool>>,
}

impl Signal {
    /// Values, and tangents where there are any.
    pub(super) fn both(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        [&mut self.values, &mut self.tangents].into_iter().filter(|values| !values.is_empty())
    }

    /// Whether position `at` (of all rows) counts.
    pub(super) fn counts(&self, at: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask[at])
    }

    /// Zeroes what is padding.
    pub(super) fn zero_padding(&mut self) {
        let Some(mask) = self.mask.take() else {
            return;
        };
        let channels = self.channels;
        for values in self.both() {
            for (position, counts) in values.chunks_exact_mut(channels).zip(&mask) {
                if !counts {
                    position.fill(0.0);
                }
            }
        }
        self.mask = Some(mask);
    }
}

/// `out[i·n + o] += Σₖ x[i·k + k]·w[k·n + o]`, the sum in ascending order for every entry.
pub(super) fn multiply(level: Level, x: &[f64], w: &[f64], n: usize, out: &mut [f64]) {
    level.run(Product { x, w, n, out });
}

struct Product<'a> {
    x: &'a [f64],
    w: &'a [f64],
    n: usize,
    out: &'a mut [f64],
}

/// Rows of x and columns of w whose sums are in registers together.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

impl Work for Product<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Product { x, w, n, out } = self;
        let k = w.len() / n;
        let whole = n / COLUMNS * COLUMNS;
        for (x, out) in x.chunks(ROWS * k).zip(out.chunks_mut(ROWS * n)) {
            let rows = x.len() / k;
            for from in (0..whole).step_by(COLUMNS) {
                let mut sums = [[0.0; COLUMNS]; ROWS];
                for (row, sums) in sums.iter_mut().enumerate().take(rows) {
                    sums.copy_from_slice(&out[row * n + from..][..COLUMNS]);
                }
                if rows == ROWS {
                    for at in 0..k {
                        let w = &w[at * n + from..][..COLUMNS];
                        for row in 0..ROWS {
                            let x = x[row * k + at];
                            for (sum, w) in sums[row].iter_mut().zip(w) {
                                *sum = mul_add::<FMA>(x, *w, *sum);
                            }
                        }
                    }
                } else {
                    for (row, sums) in sums.iter_mut().enumerate().take(rows) {
                        for at in 0..k {
                            let (x, w) = (x[row * k + at], &w[at * n + from..][..COLUMNS]);
                            for (sum, w) in sums.iter_mut().zip(w) {
                                *sum = mul_add::<FMA>(x, *w, *sum);
                            }
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate().take(rows) {
                    out[row * n + from..][..COLUMNS].copy_from_slice(sums);
                }
            }
            for row in 0..rows {
                for at in 0..k {
                    let x = x[row * k + at];
                    for column in whole..n {
                        let sum = &mut out[row * n + column];
                        *sum = mul_add::<FMA>(x, w[at * n + column], *sum);
                    }
                }
            }
        }
    }
}
