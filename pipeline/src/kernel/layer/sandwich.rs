//! G·K·G'ᵀ over all pairs of positions, the weights of both rows being kept.

use crate::kernel::level::Work;
use crate::kernel::sweep::{Number, SIDE, WIDE, columns};

/// A ← G(x)·A·G(x')ᵀ.
pub(super) struct Sandwich<'a, T> {
    pub(super) pixels: usize,
    pub(super) lanes: usize,
    /// G(x): the numbers of all lanes, and how far apart two numbers of a lane are.
    pub(super) of_x: (&'a [T], usize),
    /// G(x'), one row for all lanes; `None` if it is G(x).
    pub(super) of_y: Option<&'a [T]>,
    pub(super) values: &'a mut [T],
    /// As many numbers as `values`.
    pub(super) half: &'a mut [T],
}

impl<T: Number> Work for Sandwich<'_, T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sandwich { pixels, lanes, of_x, of_y, values, half } = self;
        match of_y {
            Some(weights) => columns::<T, FMA>(weights, (pixels, pixels), lanes * pixels / WIDE, values, half),
            None => each::<T, FMA>(of_x, (pixels, lanes), values, half),
        }
        for wide in (0..lanes).step_by(WIDE) {
            rows::<T, FMA>(of_x, (pixels, lanes, wide), half, values);
        }
    }
}

/// A·G'ᵀ where every lane has a row of y of its own.
#[inline(always)]
fn each<T: Number, const FMA: bool>(
    (weights, stride): (&[T], usize),
    (pixels, lanes): (usize, usize),
    values: &[T],
    half: &mut [T],
) {
    let run = pixels * lanes;
    for (q, half) in half.chunks_exact_mut(run).enumerate() {
        half.fill(T::default());
        for (a, values) in values.chunks_exact(run).enumerate() {
            let weights = &weights[(q * pixels + a) * stride..][..lanes];
            for (half, values) in half.chunks_exact_mut(lanes).zip(values.chunks_exact(lanes)) {
                for lane in 0..lanes {
                    half[lane] = T::mul_add::<FMA>(values[lane], weights[lane], half[lane]);
                }
            }
        }
    }
}

/// G·(A·G'ᵀ) for a vector of lanes, each with weights of its own.
#[inline(always)]
fn rows<T: Number, const FMA: bool>(
    (weights, stride): (&[T], usize),
    (pixels, lanes, wide): (usize, usize, usize),
    half: &[T],
    values: &mut [T],
) {
    let whole = pixels - pixels % SIDE;
    let weights = (weights.as_chunks().0, stride / WIDE);
    let (half, values) = (half.as_chunks().0, values.as_chunks_mut().0);
    let shape = (pixels, lanes / WIDE, wide / WIDE);
    for p in (0..whole).step_by(SIDE) {
        for q in (0..whole).step_by(SIDE) {
            queries::<T, FMA, SIDE, SIDE>(weights, shape, (p, q), half, values);
        }
        for q in whole..pixels {
            queries::<T, FMA, SIDE, 1>(weights, shape, (p, q), half, values);
        }
    }
    for p in whole..pixels {
        for q in (0..whole).step_by(SIDE) {
            queries::<T, FMA, 1, SIDE>(weights, shape, (p, q), half, values);
        }
        for q in whole..pixels {
            queries::<T, FMA, 1, 1>(weights, shape, (p, q), half, values);
        }
    }
}

/// `P` queries of x with `Q` of y, the keys in order. Shapes are in vectors.
#[inline(always)]
#[allow(clippy::type_complexity, reason = "two arrays of slices of vectors")]
fn queries<T: Number, const FMA: bool, const P: usize, const Q: usize>(
    (weights, stride): (&[[T; WIDE]], usize),
    (pixels, vectors, vector): (usize, usize, usize),
    (p, q): (usize, usize),
    half: &[[T; WIDE]],
    values: &mut [[T; WIDE]],
) {
    let mut sums = [[[T::default(); WIDE]; Q]; P];
    let (mut of_x, mut of_y): ([&[[T; WIDE]]; P], [&[[T; WIDE]]; Q]) = ([&[]; P], [&[]; Q]);
    for query in 0..P {
        of_x[query] = &weights[(p + query) * pixels * stride + vector..][..(pixels - 1) * stride + 1];
    }
    for other in 0..Q {
        of_y[other] = &half[(q + other) * pixels * vectors + vector..][..(pixels - 1) * vectors + 1];
    }
    for a in 0..pixels {
        let mut from = [[T::default(); WIDE]; Q];
        for other in 0..Q {
            from[other] = of_y[other][a * vectors];
        }
        for query in 0..P {
            let weight = of_x[query][a * stride];
            for other in 0..Q {
                for lane in 0..WIDE {
                    sums[query][other][lane] =
                        T::mul_add::<FMA>(from[other][lane], weight[lane], sums[query][other][lane]);
                }
            }
        }
    }
    for query in 0..P {
        for other in 0..Q {
            values[((q + other) * pixels + p + query) * vectors + vector] = sums[query][other];
        }
    }
}
