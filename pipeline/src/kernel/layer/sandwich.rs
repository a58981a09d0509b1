//! G·K·G'ᵀ over all pairs of positions, the weights of both rows being kept.

use crate::kernel::level::{Work, mul_add};
use crate::kernel::sweep::{At, WIDE};

/// A ← G(x)·A·G(x')ᵀ.
pub(super) struct Sandwich<'a> {
    pub(super) at: &'a At<'a>,
    pub(super) slot: usize,
    pub(super) pixels: usize,
    pub(super) lanes: usize,
    pub(super) values: &'a mut [f64],
    /// As many numbers as `values`, and as many as one row has weights.
    pub(super) half: &'a mut [f64],
    pub(super) weights: &'a mut [f64],
}

/// Sums that are held in registers at once: of so many positions of either row, each a vector of lanes.
const SIDE: usize = 4;

impl Work for Sandwich<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sandwich { at, slot, pixels, lanes, values, half, weights } = self;
        if at.each {
            each::<FMA>(at, slot, (pixels, lanes), values, half);
        } else {
            for (number, weight) in weights.iter_mut().enumerate() {
                *weight = at.y(slot, number, lanes)[0];
            }
            columns::<FMA>(weights, (pixels, lanes), values, half);
        }
        for wide in (0..lanes).step_by(WIDE) {
            rows::<FMA>(at, slot, (pixels, lanes, wide), half, values);
        }
    }
}

/// A·G'ᵀ where every lane has a row of y of its own.
#[inline(always)]
fn each<const FMA: bool>(at: &At<'_>, slot: usize, (pixels, lanes): (usize, usize), values: &[f64], half: &mut [f64]) {
    let run = pixels * lanes;
    for (q, half) in half.chunks_exact_mut(run).enumerate() {
        half.fill(0.0);
        for (a, values) in values.chunks_exact(run).enumerate() {
            let weights = at.y(slot, q * pixels + a, lanes);
            for (half, values) in half.chunks_exact_mut(lanes).zip(values.chunks_exact(lanes)) {
                for lane in 0..lanes {
                    half[lane] = mul_add::<FMA>(values[lane], weights[lane], half[lane]);
                }
            }
        }
    }
}

/// A·G'ᵀ: a matrix product, the lanes and positions of x being its rows.
#[inline(always)]
fn columns<const FMA: bool>(weights: &[f64], (pixels, lanes): (usize, usize), values: &[f64], half: &mut [f64]) {
    /// Vectors of A that pass by at once: with all keys they stay in the first-level cache.
    const ACROSS: usize = 2;
    let run = pixels * lanes;
    let vectors = run / WIDE;
    for v in (0..vectors - vectors % ACROSS).step_by(ACROSS) {
        for q in (0..pixels - pixels % SIDE).step_by(SIDE) {
            product::<FMA, SIDE, ACROSS>(weights, pixels, run, (q, v), values, half);
        }
        for q in pixels - pixels % SIDE..pixels {
            product::<FMA, 1, ACROSS>(weights, pixels, run, (q, v), values, half);
        }
    }
    for v in vectors - vectors % ACROSS..vectors {
        for q in 0..pixels {
            product::<FMA, 1, 1>(weights, pixels, run, (q, v), values, half);
        }
    }
}

/// `QUERIES` × `ACROSS` vectors of a product, the keys in order.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "an iterator over several arrays would hide what is in step")]
fn product<const FMA: bool, const QUERIES: usize, const ACROSS: usize>(
    weights: &[f64],
    pixels: usize,
    run: usize,
    (q, v): (usize, usize),
    values: &[f64],
    half: &mut [f64],
) {
    let mut sums = [[[0.0; WIDE]; ACROSS]; QUERIES];
    // No closures here: they would not be compiled for the level.
    let mut rows: [&[f64]; QUERIES] = [&[]; QUERIES];
    for query in 0..QUERIES {
        rows[query] = &weights[(q + query) * pixels..][..pixels];
    }
    for a in 0..pixels {
        let mut from = [[0.0; WIDE]; ACROSS];
        for across in 0..ACROSS {
            from[across] = load(values, a * run + (v + across) * WIDE);
        }
        for query in 0..QUERIES {
            let weight = rows[query][a];
            for across in 0..ACROSS {
                for lane in 0..WIDE {
                    sums[query][across][lane] = mul_add::<FMA>(from[across][lane], weight, sums[query][across][lane]);
                }
            }
        }
    }
    for query in 0..QUERIES {
        for across in 0..ACROSS {
            half[(q + query) * run + (v + across) * WIDE..][..WIDE].copy_from_slice(&sums[query][across]);
        }
    }
}

/// G·(A·G'ᵀ) for a vector of lanes, each with weights of its own.
#[inline(always)]
fn rows<const FMA: bool>(
    at: &At<'_>,
    slot: usize,
    (pixels, lanes, wide): (usize, usize, usize),
    half: &[f64],
    values: &mut [f64],
) {
    let whole = pixels - pixels % SIDE;
    let weights = at.x_all(slot, pixels * pixels, lanes);
    let shape = (pixels, lanes, wide);
    for p in (0..whole).step_by(SIDE) {
        for q in (0..whole).step_by(SIDE) {
            queries::<FMA, SIDE, SIDE>(weights, shape, (p, q), half, values);
        }
        for q in whole..pixels {
            queries::<FMA, SIDE, 1>(weights, shape, (p, q), half, values);
        }
    }
    for p in whole..pixels {
        for q in (0..whole).step_by(SIDE) {
            queries::<FMA, 1, SIDE>(weights, shape, (p, q), half, values);
        }
        for q in whole..pixels {
            queries::<FMA, 1, 1>(weights, shape, (p, q), half, values);
        }
    }
}

/// `P` queries of x with `Q` of y, the keys in order.
#[inline(always)]
fn queries<const FMA: bool, const P: usize, const Q: usize>(
    weights: (&[f64], usize),
    (pixels, lanes, wide): (usize, usize, usize),
    (p, q): (usize, usize),
    half: &[f64],
    values: &mut [f64],
) {
    let (weights, stride) = weights;
    let mut sums = [[[0.0; WIDE]; Q]; P];
    let (mut of_x, mut of_y): ([&[f64]; P], [&[f64]; Q]) = ([&[]; P], [&[]; Q]);
    for query in 0..P {
        of_x[query] = &weights[(p + query) * pixels * stride + wide..][..(pixels - 1) * stride + WIDE];
    }
    for other in 0..Q {
        of_y[other] = &half[(q + other) * pixels * lanes + wide..][..(pixels - 1) * lanes + WIDE];
    }
    for a in 0..pixels {
        let mut from = [[0.0; WIDE]; Q];
        for other in 0..Q {
            from[other] = load(of_y[other], a * lanes);
        }
        for query in 0..P {
            let weight = load(of_x[query], a * stride);
            for other in 0..Q {
                for lane in 0..WIDE {
                    sums[query][other][lane] =
                        mul_add::<FMA>(from[other][lane], weight[lane], sums[query][other][lane]);
                }
            }
        }
    }
    for query in 0..P {
        for other in 0..Q {
            values[((q + other) * pixels + p + query) * lanes + wide..][..WIDE].copy_from_slice(&sums[query][other]);
        }
    }
}

#[inline(always)]
fn load(values: &[f64], from: usize) -> [f64; WIDE] {
    values[from..].first_chunk().copied().unwrap_or([0.0; WIDE])
}
