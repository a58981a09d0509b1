//! The covariance of the inputs: scalar products over the channels.

use super::{Buffer, Pairing, Parts, State, WIDE, columns};
use crate::kernel::level::{Level, Work, mul_add};

/// Rows of data, transposed: `values[(channel · positions + position) · lanes + lane]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes {
    lanes: usize,
    positions: usize,
    values: Buffer,
}

impl Lanes {
    /// Takes in rows of `width` numbers, row-major, position by position; the lanes that they leave are rows of zeros.
    pub(crate) fn load(&mut self, rows: &[f64], (width, channels): (usize, usize), lanes: usize) {
        (self.lanes, self.positions) = (lanes, width / channels);
        self.values.resize(width * lanes);
        self.values.fill(0.0);
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (position, values) in row.chunks_exact(channels).enumerate() {
                for (channel, value) in values.iter().enumerate() {
                    self.values[(channel * self.positions + position) * lanes + lane] = *value;
                }
            }
        }
    }
}

/// Fills a state with the covariances x·y/C of the inputs, C being the number of channels, and Θ = 0. The
/// lanes of the state are those of `x` from `from` on; `y` is one row, or `None` for x itself.
pub(crate) fn multiply(
    level: Level,
    state: &mut State,
    (x, from): (&Lanes, usize),
    y: Option<&[f64]>,
    channels: usize,
) {
    struct Products<'a> {
        parts: Parts<'a>,
        /// Whether the entries are all pairs of positions.
        all: bool,
        x: &'a Lanes,
        from: usize,
        y: Option<&'a [f64]>,
        channels: usize,
    }
    impl Work for Products<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Products { parts, all, x, from, y, channels } = self;
            let lanes = parts.lanes;
            let scale = 1.0 / channels as f64;
            if let (Some(y), true) = (y, all && x.lanes == lanes) {
                // The order of an entry's sum is that of the pairs below, and so are its bits.
                let run = x.positions * lanes / WIDE;
                columns::<f64, FMA>(y, (channels, x.positions), run, &x.values, parts.k);
                parts.k.iter_mut().for_each(|k| *k *= scale);
                return;
            }
            let places = parts.x.iter().zip(parts.y);
            for (k, (p, q)) in parts.k.chunks_exact_mut(lanes).zip(places) {
                let (p, q) = (*p as usize, *q as usize);
                for (wide, k) in k.chunks_exact_mut(WIDE).enumerate() {
                    let of_x = |position: usize, channel: usize| {
                        &x.values[(channel * x.positions + position) * x.lanes + from + wide * WIDE..][..WIDE]
                    };
                    let mut sums = [0.0; WIDE];
                    for c in 0..channels {
                        let xs = of_x(p, c);
                        match y {
                            Some(y) => {
                                let y = y[q * channels + c];
                                for lane in 0..WIDE {
                                    sums[lane] = mul_add::<FMA>(xs[lane], y, sums[lane]);
                                }
                            }
                            None => {
                                let ys = of_x(q, c);
                                for lane in 0..WIDE {
                                    sums[lane] = mul_add::<FMA>(xs[lane], ys[lane], sums[lane]);
                                }
                            }
                        }
                    }
                    for lane in 0..WIDE {
                        k[lane] = sums[lane] * scale;
                    }
                }
            }
        }
    }
    let all = state.geometry().pairing == Pairing::Full;
    level.run(Products { parts: state.parts(), all, x, from, y, channels });
    state.t.fill(0.0);
}
