//! A matrix product with its sums in registers, for the positions of a few rows.

use super::WIDE;
use crate::kernel::{level, single};

/// What a product is made of: f64, or f32 where a layer asks for it.
pub(crate) trait Number: Copy + Default {
    /// `a·b + c`, fused or not.
    fn mul_add<const FMA: bool>(a: Self, b: Self, c: Self) -> Self;
}

impl Number for f64 {
    #[inline(always)]
    fn mul_add<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
        level::mul_add::<FMA>(a, b, c)
    }
}

impl Number for f32 {
    #[inline(always)]
    fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
        single::mul_add::<FMA>(a, b, c)
    }
}

/// Sums that are held in registers at once: of so many positions, each a vector of lanes.
pub(crate) const SIDE: usize = 4;

/// H = A·Gᵀ for A of `keys` columns, each `run` vectors long, and weights G of `queries` rows: the keys in order.
#[inline(always)]
pub(crate) fn columns<T: Number, const FMA: bool>(
    weights: &[T],
    (keys, queries): (usize, usize),
    run: usize,
    values: &[T],
    half: &mut [T],
) {
    /// Vectors of A that pass by at once: with all keys they stay in the first-level cache.
    const ACROSS: usize = 2;
    let (values, half) = (values.as_chunks().0, half.as_chunks_mut().0);
    for v in (0..run - run % ACROSS).step_by(ACROSS) {
        for q in (0..queries - queries % SIDE).step_by(SIDE) {
            product::<T, FMA, SIDE, ACROSS>(weights, keys, run, (q, v), values, half);
        }
        for q in queries - queries % SIDE..queries {
            product::<T, FMA, 1, ACROSS>(weights, keys, run, (q, v), values, half);
        }
    }
    for v in run - run % ACROSS..run {
        for q in 0..queries {
            product::<T, FMA, 1, 1>(weights, keys, run, (q, v), values, half);
        }
    }
}

/// `QUERIES` × `ACROSS` vectors of a product.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "an iterator over several arrays would hide what is in step")]
fn product<T: Number, const FMA: bool, const QUERIES: usize, const ACROSS: usize>(
    weights: &[T],
    keys: usize,
    run: usize,
    (q, v): (usize, usize),
    values: &[[T; WIDE]],
    half: &mut [[T; WIDE]],
) {
    let mut sums = [[[T::default(); WIDE]; ACROSS]; QUERIES];
    // No closures here: they would not be compiled for the level.
    let mut rows: [&[T]; QUERIES] = [&[]; QUERIES];
    for query in 0..QUERIES {
        rows[query] = &weights[(q + query) * keys..][..keys];
    }
    for a in 0..keys {
        let from = &values[a * run + v..][..ACROSS];
        for query in 0..QUERIES {
            let weight = rows[query][a];
            for across in 0..ACROSS {
                for lane in 0..WIDE {
                    sums[query][across][lane] =
                        T::mul_add::<FMA>(from[across][lane], weight, sums[query][across][lane]);
                }
            }
        }
    }
    for query in 0..QUERIES {
        half[(q + query) * run + v..][..ACROSS].copy_from_slice(&sums[query]);
    }
}
