//! Windows that slide over positions: where they lie, and sums over them.

use super::Build;
use super::mask::Centres;
use crate::kernel::level::Level;
use crate::kernel::monte_carlo::OUTSIDE;
use crate::kernel::read::{known_word, sizes, word};
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{Geometry, PART, Pairing, Parts, Pass, Pool, Shape, Slot, State};
use serde_json::{Map, Value};

/// What is beyond the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    Circular,
    Same,
    Valid,
}

const PADDINGS: [(&str, Padding); 3] =
    [("circular", Padding::Circular), ("same", Padding::Same), ("valid", Padding::Valid)];

/// The arguments of a window; lists have one number an axis.
#[derive(Debug, Clone)]
pub(super) struct Window {
    size: Vec<u64>,
    strides: Vec<u64>,
    dilation: Vec<u64>,
    pub(super) padding: Padding,
}

impl Window {
    /// `key` is the name of the window's size.
    pub(super) fn read(table: &Map<String, Value>, path: &str, key: &str) -> Result<Window, SpecError> {
        let size =
            sizes(table, key, path)?.ok_or_else(|| SpecError::new(format!("{path}.{key}"), "it must be given"))?;
        let axes = size.len();
        if axes > 2 {
            let message = format!("{axes} axes; only 1 and 2 are built in this version");
            return Err(SpecError::new(format!("{path}.{key}"), message));
        }
        let of = |name: &str| -> Result<Vec<u64>, SpecError> {
            match sizes(table, name, path)? {
                Some(given) if given.len() != axes => {
                    let message = format!("{} numbers, but {key} has {axes}", given.len());
                    Err(SpecError::new(format!("{path}.{name}"), message))
                }
                given => Ok(given.unwrap_or_else(|| vec![1; axes])),
            }
        };
        let (strides, dilation) = (of("strides")?, of("dilation")?);
        let given = word(table, "padding", path)?.unwrap_or("valid");
        let words = PADDINGS.map(|(name, _)| name);
        let name = known_word(given, &words).map_err(|m| SpecError::new(format!("{path}.padding"), m))?;
        let padding = PADDINGS.iter().find(|(known, _)| *known == name).map_or(Padding::Valid, |(_, padding)| *padding);
        Ok(Window { size, strides, dilation, padding })
    }

    pub(super) fn canonical(&self, table: &mut Map<String, Value>, key: &str) {
        table.insert(key.into(), self.size.clone().into());
        table.insert("strides".into(), self.strides.clone().into());
        if self.dilation.iter().any(|d| *d != 1) {
            table.insert("dilation".into(), self.dilation.clone().into());
        }
        let name = PADDINGS.iter().find(|(_, padding)| *padding == self.padding).map_or("", |(name, _)| name);
        table.insert("padding".into(), name.into());
    }

    /// Inputs of one output.
    pub(super) fn taps(&self) -> usize {
        self.size.iter().map(|n| *n as usize).product()
    }

    /// The tap at the centre.
    pub(super) fn centre(&self) -> usize {
        self.size.iter().fold(0, |at, n| at * *n as usize + (*n as usize - 1) / 2)
    }

    /// Whether it moves in steps larger than 1.
    pub(super) fn is_strided(&self) -> bool {
        self.strides.iter().any(|stride| *stride > 1)
    }

    /// Whether it is dilated.
    pub(super) fn is_dilated(&self) -> bool {
        self.dilation.iter().any(|dilation| *dilation > 1)
    }

    /// The window on positions of this shape.
    pub(super) fn axes(&self, build: &Build, transposed: bool, path: &str) -> Result<[Axis; 2], SpecError> {
        if self.size.len() != build.signal.rank {
            let message =
                format!("a window with {} axes does not fit an input with {}", self.size.len(), build.signal.rank);
            return Err(SpecError::new(path, message));
        }
        let of = |axis: usize, list: &[u64]| list.get(axis).map_or(1, |n| *n as usize);
        let mut axes = [Axis::default(); 2];
        for (at, axis) in axes.iter_mut().enumerate() {
            let n = build.signal.shape[at];
            let (size, stride) = (of(at, &self.size), of(at, &self.strides));
            let span = (size - 1) * of(at, &self.dilation) + 1;
            let (out, pad) = match (transposed, self.padding) {
                (false, Padding::Valid) if span > n => {
                    let message = format!("a window of {span} does not fit into {n} positions");
                    return Err(SpecError::new(path, message));
                }
                (false, Padding::Valid) => ((n - span) / stride + 1, 0),
                (false, _) => {
                    let out = n.div_ceil(stride);
                    (out, ((out - 1) * stride + span).saturating_sub(n) / 2)
                }
                (true, Padding::Valid) => (n * stride + size.saturating_sub(stride), size - 1),
                (true, _) if stride > size - 1 => (n * stride, size - 1),
                (true, _) => (n * stride, (size + stride - 2).div_ceil(2)),
            };
            let wrap = self.padding == Padding::Circular;
            *axis = Axis { n, out, size, stride, dilation: of(at, &self.dilation), pad, wrap, transposed };
        }
        Ok(axes)
    }

    /// Moves the build's signal, and its mask, behind the window.
    pub(super) fn advance(&self, build: &mut Build, axes: &[Axis; 2]) {
        let to = axes.map(|axis| axis.out);
        build.signal.stride = [0, 1].map(|at| build.signal.stride[at] * axes[at].stride);
        let moved = axes.iter().any(|axis| !axis.is_centred());
        build.signal.shape = to;
        if let (Some(from), true) = (build.signal.mask, moved) {
            let centres: Vec<usize> =
                (0..to[0] * to[1]).map(|p| axes[0].centre(p / to[1]) * axes[1].n + axes[1].centre(p % to[1])).collect();
            if let Some(draft) = &mut build.draft {
                draft.centres(&centres);
            }
            let to = build.slot(Slot::Numbers(to[0] * to[1]));
            build.push(Centres { from, to, centres });
            build.signal.mask = Some(to);
        }
    }
}

/// A window along one axis.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Axis {
    pub(super) n: usize,
    pub(super) out: usize,
    pub(super) size: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    wrap: bool,
    transposed: bool,
}

impl Axis {
    /// The input under tap `tap` of the window of output `i`.
    fn tap(&self, i: usize, tap: usize) -> Option<usize> {
        if self.transposed {
            let at = (i + tap).checked_sub(self.pad)?;
            return (at % self.stride == 0 && at / self.stride < self.n).then_some(at / self.stride);
        }
        let at = (i * self.stride + tap * self.dilation) as isize - self.pad as isize;
        if self.wrap {
            return Some(at.rem_euclid(self.n as isize) as usize);
        }
        usize::try_from(at).ok().filter(|at| *at < self.n)
    }

    /// The inputs of output `i`.
    pub(super) fn taps(&self, i: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.size).filter_map(move |tap| self.tap(i, tap))
    }

    /// The pairs of inputs that the same weight takes to the outputs `i` and `j`.
    fn pairs(&self, i: usize, j: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.size).filter_map(move |tap| Some((self.tap(i, tap)?, self.tap(j, tap)?)))
    }

    fn centre(&self, i: usize) -> usize {
        let span = (self.size - 1) * self.dilation;
        (i * self.stride + span / 2).saturating_sub(self.pad).min(self.n - 1)
    }

    fn is_centred(&self) -> bool {
        self.n == self.out && (0..self.n).all(|i| self.centre(i) == i)
    }

    /// Whether output and input are the same.
    pub(super) fn is_identity(&self) -> bool {
        !self.transposed && self.size == 1 && self.stride == 1
    }
}

/// For each output the inputs under its taps, or that there is none.
pub(super) fn table(axes: &[Axis; 2]) -> Vec<u32> {
    let [h, w] = axes;
    let mut table = Vec::with_capacity(h.out * w.out * h.size * w.size);
    for (i, j) in (0..h.out).flat_map(|i| (0..w.out).map(move |j| (i, j))) {
        for (a, b) in (0..h.size).flat_map(|a| (0..w.size).map(move |b| (a, b))) {
            let input = h.tap(i, a).zip(w.tap(j, b));
            table.push(input.map_or(OUTSIDE, |(a, b)| (a * w.n + b) as u32));
        }
    }
    table
}

/// The geometry behind windows.
pub(super) fn output(axes: &[Axis; 2], geometry: Geometry) -> Geometry {
    let shape = axes.map(|axis| axis.out);
    let pairing = match geometry.pairing {
        Pairing::Band { offset, wrapped: false } => {
            let offset = [0, 1].map(|at| offset[at] / axes[at].stride as isize);
            Pairing::Band { offset, wrapped: false }
        }
        other => other,
    };
    Geometry { shape, pairing }
}

/// A ← the mean over the window of A shifted along both positions: what a convolution with shared weights does
/// to covariances (Novak et al. 2019). What is beyond the edge counts as zero. Of a band, some rows at a
/// time, and each through `then` while it is in the first-level cache.
pub(super) fn average_band(
    level: Level,
    axes: &[Axis; 2],
    state: &mut State,
    pool: &mut Pool,
    mut then: impl FnMut(Parts<'_>),
) {
    let (before, after) = (state.geometry(), output(axes, state.geometry()));
    let (Some([h, w]), Some([ho, wo])) = (before.bands(), after.bands()) else {
        return;
    };
    let lanes = state.lanes;
    let (run, out) = (w.len * lanes, wo.len * lanes);
    let factor = [0, 1].map(|at| 1.0 / axes[at].size as f64);
    let once = [(1, 0, 0), (1, 0, 0)];
    let (mut down, mut along) =
        (Pass::new(run, once, ho.len, axes[0].size), Pass::new(lanes, once, wo.len, axes[1].size));
    for e in 0..ho.len {
        let (i, j) = ho.pair(e);
        let from = axes[0].pairs(i, j).filter_map(|(a, _)| a.checked_sub(h.first).filter(|e| *e < h.len));
        down.item(e * run, factor[0], from.map(|e| e * run));
    }
    for e in 0..wo.len {
        let (i, j) = wo.pair(e);
        let from = axes[1].pairs(i, j).filter_map(|(a, _)| a.checked_sub(w.first).filter(|e| *e < w.len));
        along.joined(e * lanes, factor[1], from.map(|e| e * lanes));
    }
    let rows = (PART / run.max(out).max(1)).clamp(1, ho.len.max(1));
    let mut sums = pool.take(rows * run);
    let len = |values: &[f64]| if values.is_empty() { 0 } else { ho.len * out };
    let (k, t) = (pool.take(len(&state.k)), pool.take(len(&state.t)));
    let from = [std::mem::replace(&mut state.k, k), std::mem::replace(&mut state.t, t)];
    state.set_geometry(after);
    let mut parts = state.parts();
    for e in (0..ho.len).step_by(rows) {
        let end = ho.len.min(e + rows);
        let part = parts.part(e * wo.len..end * wo.len);
        for (from, to) in from.iter().zip([&mut *part.k, &mut *part.t]).filter(|(_, to)| !to.is_empty()) {
            down.some(level, e..end, from, &mut sums, e * run);
            along.repeated(level, [end - e, run, out], &sums, to);
        }
        then(part);
    }
    pool.give(sums);
    from.into_iter().for_each(|values| pool.give(values));
}

/// The same of all pairs of positions.
pub(super) fn average_all(level: Level, axes: &[Axis; 2], state: &mut State, pool: &mut Pool) {
    let lanes = state.lanes;
    let mut apply = |pass: Pass, state: &mut State, len: usize| {
        pass.apply(level, &mut state.k, len, pool);
        pass.apply(level, &mut state.t, len, pool);
    };
    let before = state.geometry();
    let after = output(axes, before);
    let factor = [0, 1].map(|at| 1.0 / axes[at].size as f64);
    let ([h, w], [ho, wo]) = (before.shape, after.shape);
    let run = w * lanes;
    if !axes[0].is_identity() {
        let mut pass = Pass::new(run, [(w, h * run, ho * run), (1, 0, 0)], ho * ho, axes[0].size);
        for q in 0..ho {
            for p in 0..ho {
                let from = axes[0].pairs(p, q).map(|(a, b)| (b * w * h + a) * run);
                pass.joined((q * w * ho + p) * run, factor[0], from);
            }
        }
        apply(pass, state, ho * ho * w * run);
    }
    if !axes[1].is_identity() {
        let outer = [(ho, w * ho * run, wo * ho * wo * lanes), (ho, run, wo * lanes)];
        let mut pass = Pass::new(lanes, outer, wo * wo, axes[1].size);
        for q in 0..wo {
            for p in 0..wo {
                let from = axes[1].pairs(p, q).map(|(a, b)| (b * ho * w + a) * lanes);
                pass.joined((q * ho * wo + p) * lanes, factor[1], from);
            }
        }
        apply(pass, state, ho * ho * wo * wo * lanes);
    }
    state.set_geometry(after);
}

/// A ← the sum over the windows of either position, times `factor(axis, output)` on either side: what pooling
/// does to the covariances of all pairs.
pub(super) fn sum(
    level: Level,
    axes: &[Axis; 2],
    factor: impl Fn(&Axis, usize) -> f64,
    state: &mut State,
    pool: &mut Pool,
) {
    let before = state.geometry().shape;
    let ([h, w], [ho, wo]) = (before, axes.map(|axis| axis.out));
    // The four axes in memory are those of y, then those of x.
    let mut sizes = [h, w, h, w];
    for (at, out) in [(2, ho), (3, wo), (0, ho), (1, wo)] {
        let axis = &axes[at % 2];
        let run = sizes[at + 1..].iter().product::<usize>() * state.lanes;
        let outer = (sizes[..at].iter().product(), sizes[at] * run, out * run);
        if !axis.is_identity() {
            let mut pass = Pass::new(run, [outer, (1, 0, 0)], out, axis.size);
            for i in 0..out {
                pass.joined(i * run, factor(axis, i), axis.taps(i).map(|a| a * run));
            }
            sizes[at] = out;
            let len = sizes.iter().product::<usize>() * state.lanes;
            pass.apply(level, &mut state.k, len, pool);
            pass.apply(level, &mut state.t, len, pool);
        }
    }
    state.set_geometry(Geometry { shape: [ho, wo], pairing: Pairing::Full });
}

/// Whether positions of this shape are more than one.
pub(super) fn is_plural(shape: Shape) -> bool {
    shape[0] * shape[1] > 1
}
