//! G·K·G'ᵀ over all pairs of positions, the weights of both rows being kept.

use crate::kernel::level::{Work, mul_add};
use crate::kernel::sweep::At;

/// A ← G(x)·A·G(x')ᵀ.
pub(super) struct Sandwich<'a> {
    pub(super) at: &'a At<'a>,
    pub(super) slot: usize,
    pub(super) pixels: usize,
    pub(super) lanes: usize,
    pub(super) values: &'a mut [f64],
    pub(super) half: &'a mut [f64],
}

/// Lanes, and keys, that are taken together.
const WIDE: usize = 8;
const KEYS_AT_ONCE: usize = 4;

impl Work for Sandwich<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sandwich { at, slot, pixels, lanes, values, half } = self;
        let run = pixels * lanes;
        for (q, half) in half.chunks_exact_mut(run).enumerate() {
            half.fill(0.0);
            if at.each {
                for (a, values) in values.chunks_exact(run).enumerate() {
                    let weights = at.y(slot, q * pixels + a, lanes);
                    for (half, values) in half.chunks_exact_mut(lanes).zip(values.chunks_exact(lanes)) {
                        for lane in 0..lanes {
                            half[lane] = mul_add::<FMA>(values[lane], weights[lane], half[lane]);
                        }
                    }
                }
                continue;
            }
            let weight = |a: usize| at.y(slot, q * pixels + a, lanes)[0];
            let whole = pixels - pixels % KEYS_AT_ONCE;
            for a in (0..whole).step_by(KEYS_AT_ONCE) {
                let weights = [weight(a), weight(a + 1), weight(a + 2), weight(a + 3)];
                let (v0, v1) = (&values[a * run..][..run], &values[(a + 1) * run..][..run]);
                let (v2, v3) = (&values[(a + 2) * run..][..run], &values[(a + 3) * run..][..run]);
                let half = &mut half[..run];
                for e in 0..run {
                    let sum = mul_add::<FMA>(v1[e], weights[1], mul_add::<FMA>(v0[e], weights[0], half[e]));
                    half[e] = mul_add::<FMA>(v3[e], weights[3], mul_add::<FMA>(v2[e], weights[2], sum));
                }
            }
            for a in whole..pixels {
                let weight = weight(a);
                for (half, value) in half.iter_mut().zip(&values[a * run..][..run]) {
                    *half = mul_add::<FMA>(*value, weight, *half);
                }
            }
        }
        for (values, half) in values.chunks_exact_mut(run).zip(half.chunks_exact(run)) {
            for (p, values) in values.chunks_exact_mut(lanes).enumerate() {
                values.fill(0.0);
                // A macro, for a closure would not be compiled for the level.
                macro_rules! key {
                    ($a:expr) => {
                        (&half[$a * lanes..][..lanes], at.x(slot, p * pixels + $a, lanes))
                    };
                }
                let whole = pixels - pixels % KEYS_AT_ONCE;
                for a in (0..whole).step_by(KEYS_AT_ONCE) {
                    queries::<FMA>(values, [key!(a), key!(a + 1), key!(a + 2), key!(a + 3)]);
                }
                for a in whole..pixels {
                    let (half, weights) = key!(a);
                    for lane in 0..lanes {
                        values[lane] = mul_add::<FMA>(half[lane], weights[lane], values[lane]);
                    }
                }
            }
        }
    }
}

/// Adds some keys, one after the other, to the sums of all lanes.
#[inline(always)]
fn queries<const FMA: bool>(values: &mut [f64], keys: [(&[f64], &[f64]); KEYS_AT_ONCE]) {
    let whole = values.len() - values.len() % WIDE;
    for from in (0..whole).step_by(WIDE) {
        let mut sums = load(values, from);
        for (half, weights) in keys {
            let (half, weights) = (load(half, from), load(weights, from));
            for lane in 0..WIDE {
                sums[lane] = mul_add::<FMA>(half[lane], weights[lane], sums[lane]);
            }
        }
        values[from..from + WIDE].copy_from_slice(&sums);
    }
    for lane in whole..values.len() {
        for (half, weights) in keys {
            values[lane] = mul_add::<FMA>(half[lane], weights[lane], values[lane]);
        }
    }
}

#[inline(always)]
fn load(values: &[f64], from: usize) -> [f64; WIDE] {
    values[from..].first_chunk().copied().unwrap_or([0.0; WIDE])
}
