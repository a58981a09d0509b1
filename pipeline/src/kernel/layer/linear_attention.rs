//! Attention with 1/d scaling: the weights are deterministic, and K' = OV²·G(x)·K·G(x')ᵀ + b ([`attention`](super::attention)).

use super::attention::Mixed;
use super::sandwich::Sandwich;
use crate::kernel::level::{Level, Work};
use crate::kernel::sweep::{At, Geometry, Kept, Pool, State, Step, WIDE};

/// ζ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Softmax,
    Identity,
    Abs,
    Relu,
}

/// What a row keeps for products in f32: a factor for its values, one for its weights, and the way back from both.
pub(super) const SCALES: usize = 3;
const VALUES: usize = 0;
const WEIGHTS: usize = 1;
const BACK: usize = 2;

/// 1/d scaling.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) mechanism: Mechanism,
    pub(super) qk: f64,
    /// Variance.
    pub(super) ov: f64,
    pub(super) b_var: f64,
    pub(super) mixed: Mixed,
    pub(super) values: bool,
    /// G: the weight of key a for query p is number p·pixels + a.
    pub(super) slot: usize,
    /// Products are in f32; the [`SCALES`] of each row.
    pub(super) scales: Option<usize>,
}

impl Linear {
    /// ζ of one query's scores, in place; `counts` says which keys there are.
    fn weigh(&self, scores: &mut [f64], counts: &[bool]) {
        let masked = |value: f64, counts: bool| if counts { value } else { 0.0 };
        match self.mechanism {
            Mechanism::Identity => scores.iter_mut().zip(counts).for_each(|(s, c)| *s = masked(*s, *c)),
            Mechanism::Abs => scores.iter_mut().zip(counts).for_each(|(s, c)| *s = masked(s.abs(), *c)),
            Mechanism::Relu => scores.iter_mut().zip(counts).for_each(|(s, c)| *s = masked(s.max(0.0), *c)),
            Mechanism::Softmax => {
                let largest =
                    scores.iter().zip(counts).filter(|(_, c)| **c).fold(f64::NEG_INFINITY, |m, (s, _)| m.max(*s));
                let mut sum = 0.0;
                for (score, counts) in scores.iter_mut().zip(counts) {
                    *score = if *counts { libm::exp(*score - largest) } else { 0.0 };
                    sum += *score;
                }
                if sum > 0.0 {
                    scores.iter_mut().for_each(|score| *score /= sum);
                }
            }
        }
    }

    /// K ← G(x)·K·G(x')ᵀ, and Θ.
    fn sandwich(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        let (pixels, lanes) = (state.geometry().pixels(), state.lanes);
        let of_x = at.x_all(self.slot, pixels * pixels, lanes);
        let mut weights = pool.take(pixels * pixels);
        for (number, weight) in weights.iter_mut().enumerate() {
            *weight = at.y(self.slot, number, lanes)[0];
        }
        let of_y = (!at.each).then_some(&weights[..]);
        let mut half = pool.take(state.k.len());
        for values in [&mut state.k, &mut state.t] {
            if !values.is_empty() {
                at.level.run(Sandwich { pixels, lanes, of_x, of_y, values, half: &mut half });
            }
        }
        pool.give(half);
        pool.give(weights);
    }

    /// The same in f32.
    fn single(&self, at: &At<'_>, scales: usize, state: &mut State, pool: &mut Pool) {
        let (pixels, lanes) = (state.geometry().pixels(), state.lanes);
        // Two f32 in the room of one f64.
        let lens = [state.k.len(), pixels * pixels, state.k.len(), state.k.len()];
        let mut buffers = lens.map(|len| pool.take(len.div_ceil(2)));
        let [x, y, values, half] = buffers.each_mut().map(|buffer| bytemuck::cast_slice_mut::<f64, f32>(buffer));
        let (x, y, values, half) = (&mut x[..lens[0]], &mut y[..lens[1]], &mut values[..lens[2]], &mut half[..lens[3]]);
        let from = at.x_all(self.slot, pixels * pixels, lanes);
        at.level.run(Shrink { from, factors: at.x(scales, WEIGHTS, lanes), to: x });
        let (weights, stride) = at.ys.all(self.slot, pixels * pixels, at.column, 1);
        let factor = at.y(scales, WEIGHTS, 1)[0];
        for (number, weight) in y.iter_mut().enumerate() {
            *weight = (weights[number * stride] * factor) as f32;
        }
        let of_y = (!at.each).then_some(&*y);
        let (shrink, grow) = (factors(at, scales, VALUES, lanes), factors(at, scales, BACK, lanes));
        for all in [&mut state.k, &mut state.t] {
            if !all.is_empty() {
                at.level.run(Shrink { from: (all, lanes), factors: &shrink, to: values });
                at.level.run(Sandwich { pixels, lanes, of_x: (x, lanes), of_y, values, half });
                at.level.run(Grow { from: values, factors: &grow, to: all });
            }
        }
        buffers.into_iter().for_each(|buffer| pool.give(buffer));
    }

    /// Powers of two that take the largest variance, and the largest weight, of a row to near 1: f32 has no room for all
    /// that f64 holds, and a power of two costs no digit.
    fn learn_scales(&self, scales: usize, kept: &mut Kept, first: usize, state: &State) {
        let (geometry, lanes) = (state.geometry(), state.lanes);
        let pixels = geometry.pixels();
        for lane in 0..lanes {
            let variances = (0..pixels).filter_map(|p| geometry.diagonal(p)).map(|e| state.k[e * lanes + lane]);
            let values = shrinking(variances.fold(0.0, f64::max).sqrt());
            let weights = (0..pixels * pixels).map(|number| kept.numbers(self.slot, number, first + lane, 1)[0].abs());
            let weights = shrinking(weights.fold(0.0, f64::max));
            for (number, factor) in [(VALUES, values), (WEIGHTS, weights), (BACK, 1.0 / (values * weights))] {
                kept.numbers_mut(scales, number, first + lane, 1)[0] = factor;
            }
        }
    }
}

/// One of the [`SCALES`] of the row of x times that of the row of y, for each lane.
fn factors(at: &At<'_>, scales: usize, number: usize, lanes: usize) -> Vec<f64> {
    let (x, y) = (at.x(scales, number, lanes), at.y(scales, number, lanes));
    x.iter().enumerate().map(|(lane, x)| x * y[if at.each { lane } else { 0 }]).collect()
}

/// A power of two that takes a number ≥ 0 to between 1 and 2, or nearer to it where that is beyond any use.
fn shrinking(largest: f64) -> f64 {
    if largest > 0.0 { (-largest.clamp(1e-140, 1e140).log2().floor()).exp2() } else { 1.0 }
}

impl Step for Linear {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        if self.values {
            self.mixed.apply(at, state);
        }
        match self.scales {
            None => self.sandwich(at, state, pool),
            Some(scales) => self.single(at, scales, state, pool),
        }
        at.level.run(Outward { ov: self.ov, b_var: self.b_var, state });
    }

    fn rows(&self, level: Level, kept: &mut Kept, first: usize, state: &mut State, pool: &mut Pool) {
        let lanes = state.lanes;
        let pixels = state.geometry().pixels();
        let mut mixed = state.copy(pool);
        self.mixed.apply(&At::each(level, kept, first), &mut mixed);
        let (mut scores, mut counts) = (vec![0.0; pixels], vec![true; pixels]);
        for lane in 0..lanes {
            if let Some(mask) = self.mixed.mask {
                for (pixel, counts) in counts.iter_mut().enumerate() {
                    *counts = kept.numbers(mask, pixel, first + lane, 1)[0] > 0.0;
                }
            }
            for p in 0..pixels {
                for (a, score) in scores.iter_mut().enumerate() {
                    *score = self.qk * mixed.k[(a * pixels + p) * lanes + lane];
                }
                self.weigh(&mut scores, &counts);
                for (a, weight) in scores.iter().enumerate() {
                    kept.numbers_mut(self.slot, p * pixels + a, first + lane, 1)[0] = *weight;
                }
            }
        }
        if let Some(scales) = self.scales {
            self.learn_scales(scales, kept, first, if self.values { &mixed } else { state });
        }
        mixed.release(pool);
        self.pairs(&At::each(level, kept, first), state, pool);
    }

    fn flops(&self, geometry: Geometry) -> u64 {
        8 * geometry.pixels() as u64 + 8
    }
}

/// The values' variance and the bias, of K and of Θ.
struct Outward<'a> {
    ov: f64,
    b_var: f64,
    state: &'a mut State,
}

impl Work for Outward<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Outward { ov, b_var, state: State { k, t, .. } } = self;
        k.iter_mut().for_each(|k| *k = ov * *k + b_var);
        t.iter_mut().zip(k.iter()).for_each(|(t, k)| *t = ov * *t + b_var + 2.0 * (*k - b_var));
    }
}

/// Numbers times a factor for each lane, rounded to f32.
struct Shrink<'a> {
    /// And how far apart two numbers of a lane are.
    from: (&'a [f64], usize),
    factors: &'a [f64],
    to: &'a mut [f32],
}

impl Work for Shrink<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Shrink { from: (from, stride), factors, to } = self;
        let (factors, to) = (factors.as_chunks::<WIDE>().0, to.as_chunks_mut::<WIDE>().0);
        for (number, to) in to.chunks_exact_mut(factors.len()).enumerate() {
            let from = from[number * stride..].as_chunks::<WIDE>().0;
            for ((to, from), factors) in to.iter_mut().zip(from).zip(factors) {
                for lane in 0..WIDE {
                    to[lane] = (from[lane] * factors[lane]) as f32;
                }
            }
        }
    }
}

/// The way back.
struct Grow<'a> {
    from: &'a [f32],
    factors: &'a [f64],
    to: &'a mut [f64],
}

impl Work for Grow<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Grow { from, factors, to } = self;
        let (from, factors) = (from.as_chunks::<WIDE>().0, factors.as_chunks::<WIDE>().0);
        let to = to.as_chunks_mut::<WIDE>().0.chunks_exact_mut(factors.len());
        for (to, from) in to.zip(from.chunks_exact(factors.len())) {
            for ((to, from), factors) in to.iter_mut().zip(from).zip(factors) {
                for lane in 0..WIDE {
                    to[lane] = f64::from(from[lane]) * factors[lane];
                }
            }
        }
    }
}
