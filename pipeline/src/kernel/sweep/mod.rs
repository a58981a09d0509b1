//! One sweep takes a block of pairs of rows through a network.
//!
//! The pairs are some rows of x (the lanes, which are contiguous and vectorised over) with one row of y,
//! or with themselves. Between two layers there is a [`State`]: K and Θ at pairs of positions; which pairs
//! is its [`Geometry`]. What a layer needs of a single row it keeps once for a block of rows ([`Kept`]).

mod buffer;
mod geometry;
mod input;
mod kept;
mod pass;
mod product;
mod state;

pub(crate) use buffer::Buffer;
pub(crate) use geometry::{Geometry, Pairing, Shape};
pub(crate) use input::{Lanes, multiply};
pub(crate) use kept::{Kept, Slot};
pub(crate) use pass::Pass;
pub(crate) use product::{Number, SIDE, columns};
pub(crate) use state::{Parts, Pool, State};

use super::level::Level;
use std::fmt::Debug;
use std::sync::Arc;

/// Rows in a vector: the lanes of a network with positions are a multiple of it.
pub(crate) const WIDE: usize = 8;

/// Which rows a sweep is of: the rows of x from `first` on, and one row of y; or, with `each`, every lane's
/// row of y is its row of x.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) level: Level,
    pub(crate) xs: &'a Kept,
    pub(crate) first: usize,
    pub(crate) ys: &'a Kept,
    pub(crate) column: usize,
    pub(crate) each: bool,
}

impl<'a> At<'a> {
    /// Rows with themselves.
    pub(crate) fn each(level: Level, kept: &'a Kept, first: usize) -> At<'a> {
        At { level, xs: kept, first, ys: kept, column: first, each: true }
    }

    /// A number of the lanes' rows of x.
    #[inline(always)]
    pub(crate) fn x(&self, slot: usize, number: usize, lanes: usize) -> &'a [f64] {
        self.xs.numbers(slot, number, self.first, lanes)
    }

    /// All `count` numbers of the lanes' rows of x, and how far apart two numbers of a row are.
    #[inline(always)]
    pub(crate) fn x_all(&self, slot: usize, count: usize, lanes: usize) -> (&'a [f64], usize) {
        self.xs.all(slot, count, self.first, lanes)
    }

    /// The same of y: one number, or one for each lane.
    #[inline(always)]
    pub(crate) fn y(&self, slot: usize, number: usize, lanes: usize) -> &'a [f64] {
        self.ys.numbers(slot, number, self.column, if self.each { lanes } else { 1 })
    }
}

/// A compiled layer.
pub(crate) trait Step: Debug + Send + Sync {
    /// Takes pairs through the layer. To be written unless the layer is [`Entrywise`].
    fn pairs(&self, at: &At<'_>, state: &mut State, _: &mut Pool) {
        let layer = self.entrywise();
        debug_assert!(layer.is_some(), "{self:?} has neither pairs nor entries");
        if let Some(layer) = layer {
            layer.entries(at, state.parts());
        }
    }

    /// Takes rows with themselves through the layer and keeps what pairs will need. The state holds at
    /// least the pairs (p, p); by it, and by [`Step::pairs`] on the same rows, an entry has the same bits.
    fn rows(&self, level: Level, kept: &mut Kept, first: usize, state: &mut State, pool: &mut Pool) {
        self.pairs(&At::each(level, kept, first), state, pool);
    }

    /// Takes pairs through the layer and through the entrywise ones `behind` it: through those a part at a time, while
    /// it is in the first-level cache.
    fn pairs_then(&self, at: &At<'_>, state: &mut State, pool: &mut Pool, behind: &[Arc<dyn Step>]) {
        self.pairs(at, state, pool);
        in_parts(behind, at, state);
    }

    /// The layer, if it takes every pair of positions by itself.
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        None
    }

    /// Operations for each entry, both outputs, roughly; `geometry` is that of the input.
    fn flops(&self, geometry: Geometry) -> u64;

    /// The geometry of the output.
    fn output(&self, geometry: Geometry) -> Geometry {
        geometry
    }
}

/// A layer that takes every pair of positions by itself.
pub(crate) trait Entrywise {
    /// Takes some of the pairs through the layer.
    fn entries(&self, at: &At<'_>, parts: Parts<'_>);
}

/// Numbers of K, and of Θ, that go through several layers together: both are in the first-level cache.
pub(crate) const PART: usize = 1 << 10;

/// Takes some pairs through entrywise layers.
pub(crate) fn through(layers: &[Arc<dyn Step>], at: &At<'_>, mut parts: Parts<'_>) {
    let entries = parts.x.len();
    for layer in layers.iter().filter_map(|layer| layer.entrywise()) {
        layer.entries(at, parts.part(0..entries));
    }
}

/// Takes a state through entrywise layers, a part after the other.
pub(crate) fn in_parts(layers: &[Arc<dyn Step>], at: &At<'_>, state: &mut State) {
    if layers.is_empty() {
        return;
    }
    let mut parts = state.parts();
    let entries = parts.x.len();
    let step = (PART / parts.lanes.max(1)).max(1);
    for first in (0..entries).step_by(step) {
        through(layers, at, parts.part(first..entries.min(first + step)));
    }
}

/// Takes pairs through a chain of layers.
pub(crate) fn run(chain: &[Arc<dyn Step>], at: &At<'_>, state: &mut State, pool: &mut Pool) {
    let entrywise = |chain: &[Arc<dyn Step>]| chain.iter().take_while(|step| step.entrywise().is_some()).count();
    let (first, mut rest) = chain.split_at(entrywise(chain));
    in_parts(first, at, state);
    while let Some((step, after)) = rest.split_first() {
        let (behind, later) = after.split_at(entrywise(after));
        step.pairs_then(at, state, pool, behind);
        rest = later;
    }
}
