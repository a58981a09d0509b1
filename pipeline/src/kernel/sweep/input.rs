//! The covariance of the inputs: scalar products over the channels.

use super::{Buffer, Parts, State, WIDE};
use crate::kernel::level::{Level, Work, mul_add};

/// Rows of data, transposed: `values[number · lanes + lane]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes {
    lanes: usize,
    values: Buffer,
}

impl Lanes {
    /// Takes in rows of `width` numbers, row-major; the lanes that they leave are rows of zeros.
    pub(crate) fn load(&mut self, rows: &[f64], width: usize, lanes: usize) {
        self.lanes = lanes;
        self.values.resize(width * lanes);
        self.values.fill(0.0);
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (number, value) in row.iter().enumerate() {
                self.values[number * self.lanes + lane] = *value;
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
        x: &'a Lanes,
        from: usize,
        y: Option<&'a [f64]>,
        channels: usize,
    }
    impl Work for Products<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Products { parts, x, from, y, channels } = self;
            let lanes = parts.lanes;
            let scale = 1.0 / channels as f64;
            let places = parts.x.iter().zip(parts.y);
            for (k, (p, q)) in parts.k.chunks_exact_mut(lanes).zip(places) {
                let (p, q) = (*p as usize * channels, *q as usize * channels);
                for (wide, k) in k.chunks_exact_mut(WIDE).enumerate() {
                    let of_x = |number: usize| &x.values[number * x.lanes + from + wide * WIDE..][..WIDE];
                    let mut sums = [0.0; WIDE];
                    for c in 0..channels {
                        let xs = of_x(p + c);
                        match y {
                            Some(y) => {
                                let y = y[q + c];
                                for lane in 0..WIDE {
                                    sums[lane] = mul_add::<FMA>(xs[lane], y, sums[lane]);
                                }
                            }
                            None => {
                                let ys = of_x(q + c);
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
    level.run(Products { parts: state.parts(), x, from, y, channels });
    state.t.fill(0.0);
}
