//! `layer_norm`: K and Θ divided by √((q + eps)(q' + eps)), q being the variance of a position, or its mean over
//! positions. Over channels the mean of the signal is 0 in the limit (Hron et al. 2020, supplement).

use super::{Build, LayerSpec, typed};
use crate::kernel::arguments::number;
use crate::kernel::level::{Level, Work};
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Entrywise, Geometry, Kept, Parts, Pool, Slot, State, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const KEYS: &[&str] = &["type", "axis", "eps"];

const EPS: f64 = 1e-12;

#[derive(Debug)]
struct LayerNorm {
    /// Axes as given; 0 is that of the rows, the last that of the channels.
    axis: Vec<i64>,
    eps: f64,
}

pub(super) fn read(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let at = |key: &str| format!("{path}.{key}");
    let axis = match table.get("axis") {
        None => vec![-1],
        Some(Value::Array(list)) => list
            .iter()
            .map(|value| value.as_i64().ok_or_else(|| SpecError::new(at("axis"), "whole numbers were expected")))
            .collect::<Result<_, _>>()?,
        Some(value) => {
            let axis = value.as_i64().ok_or_else(|| SpecError::new(at("axis"), "a whole number was expected"))?;
            vec![axis]
        }
    };
    let eps = table.get("eps").map(number).transpose().map_err(|m| SpecError::new(at("eps"), m))?.unwrap_or(EPS);
    if eps < 0.0 {
        return Err(SpecError::new(at("eps"), format!("it is {eps}, and must not be negative")));
    }
    Ok(Arc::new(LayerNorm { axis, eps }))
}

impl LayerNorm {
    /// Which axes of positions are averaged over.
    fn over(&self, build: &Build, path: &str) -> Result<[bool; 2], SpecError> {
        let told = |message: String| SpecError::new(format!("{path}.axis"), message);
        let channels = build.signal.rank as i64 + 1;
        let (mut over, mut has_channels) = ([false; 2], false);
        for axis in &self.axis {
            let positive = if *axis < 0 { axis + channels + 1 } else { *axis };
            match positive {
                0 => return Err(told("axis 0 is that of the rows: K would depend on the batch".into())),
                at if at == channels => has_channels = true,
                at if at > 0 && at < channels => over[at as usize - 1] = true,
                _ => return Err(told(format!("there is no axis {axis} among {}", channels + 1))),
            }
        }
        if has_channels {
            return Ok(over);
        }
        Err(told(format!("the axis of the channels ({channels}, or −1) must be among them: there is no limit without")))
    }
}

impl LayerSpec for LayerNorm {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        let mut table = typed("layer_norm");
        table.insert("axis".into(), self.axis.clone().into());
        table.insert("eps".into(), self.eps.into());
        table
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        if !build.signal.gaussian {
            let message = "\"layer_norm\" needs a dense, convolutional or attention layer before it: only its output is \
                           Gaussian";
            return Err(SpecError::new(path, message));
        }
        let over = self.over(build, path)?;
        let slot = build.slot(Slot::Numbers(build.pixels()));
        build.draft(path, |draft| {
            if over != [false; 2] {
                return Err("monte_carlo is built for layer_norm over the channels alone".into());
            }
            draft.layer_norm(self.eps);
            Ok(())
        })?;
        build.push(Normalised { over, eps: self.eps, slot, mask: build.signal.mask });
        Ok(())
    }
}

#[derive(Debug)]
struct Normalised {
    over: [bool; 2],
    eps: f64,
    /// 1/√(q + eps) for each position.
    slot: usize,
    mask: Option<usize>,
}

impl Normalised {
    /// The factors of one lane from its variances.
    fn factors(&self, shape: [usize; 2], q: &[f64], counts: &[f64]) -> Vec<f64> {
        let group = |p: usize| {
            let (h, w) = (p / shape[1], p % shape[1]);
            (if self.over[0] { 0 } else { h }) * shape[1] + if self.over[1] { 0 } else { w }
        };
        let (mut sums, mut sizes) = (vec![0.0; q.len()], vec![0.0; q.len()]);
        for (p, (q, counts)) in q.iter().zip(counts).enumerate() {
            sums[group(p)] += q * counts;
            sizes[group(p)] += counts;
        }
        (0..q.len())
            .map(|p| {
                let size: f64 = sizes[group(p)];
                let q: f64 = sums[group(p)] / size.max(1.0) + self.eps;
                // A row that is zero, with eps = 0, stays zero.
                if q > 0.0 { 1.0 / q.sqrt() } else { 0.0 }
            })
            .collect()
    }
}

impl Entrywise for Normalised {
    fn entries(&self, at: &At<'_>, parts: Parts<'_>) {
        at.level.run(Scale { at, slot: self.slot, parts });
    }
}

impl Step for Normalised {
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        Some(self)
    }

    fn rows(&self, level: Level, kept: &mut Kept, first: usize, state: &mut State, pool: &mut Pool) {
        let (geometry, lanes) = (state.geometry(), state.lanes);
        let pixels = geometry.pixels();
        for lane in 0..lanes {
            let (mut q, mut counts) = (vec![0.0; pixels], vec![1.0; pixels]);
            for pixel in 0..pixels {
                if let Some(entry) = geometry.diagonal(pixel) {
                    q[pixel] = state.k[entry * lanes + lane].max(0.0);
                }
                if let Some(mask) = self.mask {
                    counts[pixel] = kept.numbers(mask, pixel, first + lane, 1)[0];
                }
            }
            for (pixel, factor) in self.factors(geometry.shape, &q, &counts).into_iter().enumerate() {
                kept.numbers_mut(self.slot, pixel, first + lane, 1)[0] = factor;
            }
        }
        self.pairs(&At::each(level, kept, first), state, pool);
    }

    fn flops(&self, _: Geometry) -> u64 {
        4
    }
}

/// k and t of every entry times the numbers of both rows.
struct Scale<'a> {
    at: &'a At<'a>,
    slot: usize,
    parts: Parts<'a>,
}

impl Work for Scale<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Scale { at, slot, parts } = self;
        let lanes = parts.lanes;
        for (e, (p, q)) in parts.x.iter().zip(parts.y).enumerate() {
            let xs = at.x(slot, *p as usize, lanes);
            let ys = at.y(slot, *q as usize, lanes);
            let scale = |values: &mut [f64]| {
                for (lane, value) in values[e * lanes..][..lanes].iter_mut().enumerate() {
                    *value *= xs[lane] * ys[if at.each { lane } else { 0 }];
                }
            };
            scale(parts.k);
            if !parts.t.is_empty() {
                scale(parts.t);
            }
        }
    }
}
