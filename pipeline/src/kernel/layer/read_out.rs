//! Read-outs, which end positions: `flatten`, `global_avg_pool`, `global_sum_pool`.

use super::{Build, LayerSpec, typed};
use crate::kernel::level::{Level, Work};
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Geometry, Pool, State, Step, WIDE};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Every position is a feature of its own: the mean of the pairs (p, p).
#[derive(Debug)]
struct Flatten;

/// The mean, or the sum, over all pairs of positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlobalPool {
    mean: bool,
    /// Positions.
    pixels: usize,
    mask: Option<usize>,
}

#[derive(Debug)]
struct Global {
    mean: bool,
}

pub(super) fn flatten(_: &Map<String, Value>, _: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    Ok(Arc::new(Flatten))
}

pub(super) fn global_avg_pool(_: &Map<String, Value>, _: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    Ok(Arc::new(Global { mean: true }))
}

pub(super) fn global_sum_pool(_: &Map<String, Value>, _: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    Ok(Arc::new(Global { mean: false }))
}

/// The signal behind a read-out.
fn end_positions(build: &mut Build) {
    build.signal.shape = [1, 1];
    build.signal.rank = 0;
    build.signal.mask = None;
    build.signal.stride = [1, 1];
}

impl LayerSpec for Flatten {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        typed("flatten")
    }

    fn is_spatial(&self) -> bool {
        true
    }

    fn is_flatten(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        build.draft(path, |draft| {
            draft.flatten();
            Ok(())
        })?;
        let pixels = build.pixels();
        build.signal.channels = build.signal.channels.map(|channels| channels.saturating_mul(pixels as u64));
        // Rows that are flat already have nothing to lose, not even their Gaussian law.
        if build.signal.rank > 0 {
            build.signal.gaussian = false;
            build.facts.flattens += 1;
            end_positions(build);
            build.push(Trace);
        }
        Ok(())
    }
}

impl LayerSpec for Global {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        typed(if self.mean { "global_avg_pool" } else { "global_sum_pool" })
    }

    fn is_spatial(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        build.needs_positions("global pooling", path)?;
        build.draft(path, |draft| {
            draft.global_pool(self.mean);
            Ok(())
        })?;
        let pool = GlobalPool { mean: self.mean, pixels: build.pixels(), mask: build.signal.mask };
        build.facts.globals += 1;
        if build.depth == 0 {
            build.global = Some((build.steps.len(), pool, build.signal.clone()));
        }
        end_positions(build);
        build.push(pool);
        Ok(())
    }
}

#[derive(Debug)]
struct Trace;

impl Step for Trace {
    fn pairs(&self, at: &At<'_>, state: &mut State, _: &mut Pool) {
        let (geometry, lanes) = (state.geometry(), state.lanes);
        let pixels = geometry.pixels();
        let scale = 1.0 / pixels as f64;
        for values in [&mut state.k, &mut state.t] {
            if values.is_empty() {
                continue;
            }
            let stride = geometry.diagonal(1).unwrap_or(1);
            let mut sums = vec![0.0; lanes];
            at.level.run(Sums { values, lanes, stride, sums: &mut sums });
            values.resize(lanes);
            values.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum * scale);
        }
        state.set_geometry(Geometry::POINT);
    }

    fn flops(&self, _: Geometry) -> u64 {
        2
    }

    fn output(&self, _: Geometry) -> Geometry {
        Geometry::POINT
    }
}

impl GlobalPool {
    /// Adds all entries of a state, lane by lane.
    pub(crate) fn add(level: Level, state: &State, k: &mut [f64], t: &mut [f64]) {
        for (sums, values) in [(k, &state.k), (t, &state.t)] {
            level.run(Sums { values, lanes: state.lanes, stride: 1, sums });
        }
    }

    /// Divides sums by the number of pairs of positions that count; a row of padding alone has the kernel 0.
    pub(crate) fn finish(&self, at: &At<'_>, k: &mut [f64], t: &mut [f64]) {
        if !self.mean {
            return;
        }
        let lanes = k.len();
        let whole = 1.0 / (self.pixels as f64 * self.pixels as f64);
        let mut scale = vec![whole; lanes];
        if let Some(slot) = self.mask {
            let (mut xs, mut ys) = (vec![0.0; lanes], vec![0.0; if at.each { lanes } else { 1 }]);
            for pixel in 0..self.pixels {
                xs.iter_mut().zip(at.x(slot, pixel, lanes)).for_each(|(sum, counts)| *sum += counts);
                ys.iter_mut().zip(at.y(slot, pixel, lanes)).for_each(|(sum, counts)| *sum += counts);
            }
            for (lane, scale) in scale.iter_mut().enumerate() {
                let pairs = xs[lane] * ys[if at.each { lane } else { 0 }];
                *scale = if pairs > 0.0 { 1.0 / pairs } else { 0.0 };
            }
        }
        for values in [k, t] {
            values.iter_mut().zip(&scale).for_each(|(value, scale)| *value *= scale);
        }
    }
}

impl Step for GlobalPool {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        let (lanes, ntk) = (state.lanes, state.has_ntk());
        let mut sums = State::new(Geometry::POINT, lanes, ntk, pool);
        sums.k.fill(0.0);
        sums.t.fill(0.0);
        GlobalPool::add(at.level, state, &mut sums.k, &mut sums.t);
        self.finish(at, &mut sums.k, &mut sums.t);
        std::mem::replace(state, sums).release(pool);
    }

    fn flops(&self, _: Geometry) -> u64 {
        2
    }

    fn output(&self, _: Geometry) -> Geometry {
        Geometry::POINT
    }
}

/// Adds every `stride`-th entry, lane by lane.
struct Sums<'a> {
    values: &'a [f64],
    lanes: usize,
    stride: usize,
    sums: &'a mut [f64],
}

impl Work for Sums<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sums { values, lanes, stride, sums } = self;
        for (wide, sums) in sums.chunks_mut(WIDE).enumerate() {
            let mut sum = [0.0; WIDE];
            for entry in values.chunks_exact(lanes).step_by(stride) {
                let entry = &entry[wide * WIDE..];
                match entry.first_chunk::<WIDE>() {
                    Some(entry) => (0..WIDE).for_each(|lane| sum[lane] += entry[lane]),
                    None => sum.iter_mut().zip(entry).for_each(|(sum, value)| *sum += value),
                }
            }
            sums.iter_mut().zip(sum).for_each(|(sums, sum)| *sums += sum);
        }
    }
}

/// The read-outs named in errors, for a network that lacks one.
pub(crate) const READ_OUTS: &str = "flatten, global_avg_pool or global_sum_pool";
