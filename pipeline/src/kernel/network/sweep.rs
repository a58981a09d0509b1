//! Taking a block of pairs through the network.

use super::{Network, Plan, Positions, Scratch};
use crate::kernel::layer::GlobalPool;
use crate::kernel::sweep::{At, Geometry, Kept, Lanes, Pairing, Pool, Shape, State, multiply, run};

/// The offsets of all bands of a shape.
fn offsets(shape: Shape, wrapped: bool) -> impl Iterator<Item = [isize; 2]> {
    let range = move |n: usize| if wrapped { 0..n as isize } else { 1 - n as isize..n as isize };
    range(shape[0]).flat_map(move |h| range(shape[1]).map(move |w| [h, w]))
}

impl Network {
    /// All pairs of positions with which the network starts.
    pub(super) fn start(&self) -> Geometry {
        match self.plan {
            Plan::Flat => Geometry::POINT,
            Plan::Whole(geometry) => geometry,
            Plan::Bands { start, .. } => Geometry { shape: start, pairing: Pairing::Full },
        }
    }

    /// The covariance of the inputs at some pairs of positions.
    fn inputs_at(
        &self,
        at: &At<'_>,
        geometry: Geometry,
        (x, y): ((&Lanes, usize), Option<&[f64]>),
        (lanes, ntk): (usize, bool),
        pool: &mut Pool,
    ) -> State {
        let mut state = State::new(geometry, lanes, ntk, pool);
        multiply(at.level, &mut state, x, y, self.channels);
        state
    }

    /// The sum over all pairs of positions of what reaches the global pooling, divided as it says.
    fn pooled(
        &self,
        at: &At<'_>,
        (x, y): ((&Lanes, usize), Option<&[f64]>),
        (lanes, ntk): (usize, bool),
        pool: &mut Pool,
    ) -> Option<(State, usize)> {
        let Plan::Bands { start, split, pool: pooling, shape, stride, wrapped } = self.plan else {
            return None;
        };
        let mut sums = State::new(Geometry::POINT, lanes, ntk, pool);
        sums.k.fill(0.0);
        sums.t.fill(0.0);
        for offset in offsets(shape, wrapped) {
            let offset = [0, 1].map(|axis| offset[axis] * stride[axis] as isize);
            let geometry = Geometry { shape: start, pairing: Pairing::Band { offset, wrapped } };
            let mut state = self.inputs_at(at, geometry, (x, y), (lanes, ntk), pool);
            run(&self.chain[..split], at, &mut state, pool);
            GlobalPool::add(at.level, &state, &mut sums.k, &mut sums.t);
            state.release(pool);
        }
        pooling.finish(at, &mut sums.k, &mut sums.t);
        Some((sums, split))
    }

    /// Some rows of x with one row of y, or with themselves, through the whole network.
    pub(super) fn sweep(
        &self,
        at: &At<'_>,
        x: (&Lanes, usize),
        y: Option<&[f64]>,
        lanes: usize,
        ntk: bool,
        pool: &mut Pool,
    ) -> State {
        let (mut state, done) = match self.pooled(at, (x, y), (lanes, ntk), pool) {
            Some((sums, split)) => (sums, split + 1),
            None => (self.inputs_at(at, self.start(), (x, y), (lanes, ntk), pool), 0),
        };
        run(&self.chain[done..], at, &mut state, pool);
        state
    }

    /// Rows with themselves through the whole network; learns what pairs will need.
    pub(super) fn learn(
        &self,
        x: &[f64],
        first: usize,
        lanes: usize,
        squares: &[f64],
        kept: &mut Kept,
        scratch: &mut Scratch,
    ) -> State {
        let (d, ntk, level) = (self.inputs.width, self.has_ntk(), self.level);
        let Scratch { x: lanes_of_x, pool, .. } = scratch;
        let mut state;
        let mut done = 0;
        if let Plan::Flat = self.plan {
            state = State::new(Geometry::POINT, lanes, ntk, pool);
            state.k.copy_from_slice(&squares[first..first + lanes]);
            state.t.fill(0.0);
        } else {
            lanes_of_x.load(&x[first * d..(first * d + lanes * d).min(x.len())], (d, self.channels), lanes);
            let x = ((&*lanes_of_x, 0), None);
            let geometry = match self.plan {
                // The variances are those of the band p' = p.
                Plan::Bands { start, wrapped, .. } => {
                    Geometry { shape: start, pairing: Pairing::Band { offset: [0, 0], wrapped } }
                }
                _ => self.start(),
            };
            state = self.inputs_at(&At::each(level, kept, first), geometry, x, (lanes, ntk), pool);
            if let Plan::Bands { split, .. } = self.plan {
                self.chain[..split].iter().for_each(|step| step.rows(level, kept, first, &mut state, pool));
            }
            if let Some((sums, split)) = self.pooled(&At::each(level, kept, first), x, (lanes, ntk), pool) {
                std::mem::replace(&mut state, sums).release(pool);
                done = split + 1;
            }
        }
        self.chain[done..].iter().for_each(|step| step.rows(level, kept, first, &mut state, pool));
        state
    }

    /// K and Θ of two rows at every pair of positions, for a network compiled with
    /// [`Network::compile_positions`]; else of the one pair that there is.
    pub fn positions(&self, x: &[f64], y: &[f64]) -> Positions {
        let (xs, ys) = (self.rows(x, 1), self.rows(y, 1));
        let at = At { level: self.level, xs: &xs.kept, first: 0, ys: &ys.kept, column: 0, each: x == y };
        let mut scratch = Scratch::default();
        let lanes = xs.kept.lanes();
        scratch.x.load(x, (self.inputs.width, self.channels), lanes);
        let other = (x != y).then_some(y);
        let state = self.sweep(&at, (&scratch.x, 0), other, lanes, self.has_ntk(), &mut scratch.pool);
        let pixels = state.geometry().pixels();
        let by_x = |values: &[f64]| -> Vec<f64> {
            let entries = values.len() / lanes;
            (0..entries).map(|e| values[((e % pixels) * pixels + e / pixels) * lanes]).collect()
        };
        Positions { shape: self.ends, nngp: by_x(&state.k), ntk: by_x(&state.t) }
    }
}
