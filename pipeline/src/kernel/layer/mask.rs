//! Masks: positions that hold padding. They are zeroed in the input and after every layer that could
//! make them something else; pooling does not count them.

use super::Build;
use crate::kernel::level::Level;
use crate::kernel::sweep::{At, Entrywise, Geometry, Kept, Parts, Pool, Slot, State, Step};

/// Zeroes every pair with a masked position. The slot has 1 for a position that counts, 0 for one that does
/// not.
#[derive(Debug)]
pub(super) struct Remask {
    pub(super) slot: usize,
}

impl Step for Remask {
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        Some(self)
    }

    fn flops(&self, _: Geometry) -> u64 {
        2
    }
}

impl Entrywise for Remask {
    fn entries(&self, at: &At<'_>, parts: Parts<'_>) {
        let Parts { k, t, x, y, lanes } = parts;
        for (e, (p, q)) in x.iter().zip(y).enumerate() {
            let xs = at.x(self.slot, *p as usize, lanes);
            let ys = at.y(self.slot, *q as usize, lanes);
            for lane in 0..lanes {
                let counts = xs[lane] * ys[if at.each { lane } else { 0 }] > 0.0;
                if !counts {
                    k[e * lanes + lane] = 0.0;
                    if let Some(t) = t.get_mut(e * lanes + lane) {
                        *t = 0.0;
                    }
                }
            }
        }
    }
}

/// The slot of the input's mask; the first step zeroes what is masked.
pub(crate) fn initial_mask(build: &mut Build) -> usize {
    let slot = build.slot(Slot::Numbers(build.pixels()));
    build.signal.mask = Some(slot);
    build.remask();
    slot
}

/// Learns which positions of row `row` count: those with a channel that is not `mask`.
pub(crate) fn learn_mask(kept: &mut Kept, slot: usize, row: usize, values: &[f64], channels: usize, mask: f64) {
    for (pixel, position) in values.chunks_exact(channels).enumerate() {
        let counts = position.iter().any(|value| *value != mask);
        kept.numbers_mut(slot, pixel, row, 1)[0] = if counts { 1.0 } else { 0.0 };
    }
}

/// The mask behind a window: that of the position at its centre.
#[derive(Debug)]
pub(super) struct Centres {
    pub(super) from: usize,
    pub(super) to: usize,
    /// For each position the one at its centre.
    pub(super) centres: Vec<usize>,
}

impl Entrywise for Centres {
    fn entries(&self, _: &At<'_>, _: Parts<'_>) {}
}

impl Step for Centres {
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        Some(self)
    }

    fn rows(&self, _: Level, kept: &mut Kept, first: usize, state: &mut State, _: &mut Pool) {
        for (pixel, centre) in self.centres.iter().enumerate() {
            let counts = kept.numbers(self.from, *centre, first, state.lanes).to_vec();
            kept.numbers_mut(self.to, pixel, first, state.lanes).copy_from_slice(&counts);
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        0
    }
}
