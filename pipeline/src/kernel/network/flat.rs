//! Rows without positions: their scalar products are one matrix product, of bytes where both rows lie on steps.

use super::profile::Strip;
use super::{Network, RowState};
use crate::kernel::stepped::Steps;
use crate::kernel::sweep::{At, Geometry, Pool, State, run};
use crate::leaf::{self, BYTE_TERMS_MAX, ByteSide, Bytes};

/// Rows whose scalar products with each other are taken at once for the diagonal, and rows on no steps that are taken at once.
const SOME: usize = 32;

/// Two blocks of `side` rows, row-major, and what is known of them.
pub(super) struct Pair<'a> {
    pub(super) x: (&'a [f64], &'a RowState),
    pub(super) y: (&'a [f64], &'a RowState),
    pub(super) side: usize,
    /// Whether the two are the same: only the lower triangle is wanted.
    pub(super) diagonal: bool,
}

impl Pair<'_> {
    /// The steps of both, if any row of either lies on some.
    fn steps(&self) -> Option<(&Steps, &Steps)> {
        self.x.1.steps.as_ref().zip(self.y.1.steps.as_ref())
    }
}

impl Network {
    /// x·x/d for each row, by the same product that makes the tiles: only then do equal rows have the same bits off the
    /// diagonal as on it.
    pub(super) fn squares(&self, x: &[f64], rows: usize, steps: Option<&Steps>) -> Vec<f64> {
        let d = self.inputs.width;
        let scale = 1.0 / d as f64;
        let mut gram = vec![0.0; SOME * SOME];
        let mut squares = Vec::with_capacity(rows);
        for (block, at) in x.chunks(SOME * d).zip((0..).step_by(SOME)) {
            let n = block.len() / d;
            let on_steps = |i: usize| steps.and_then(|steps| steps.square(at + i));
            if (0..n).any(|i| on_steps(i).is_none()) {
                leaf::rows_gram(block, block, n, d, &mut gram[..n * n]);
            }
            squares.extend((0..n).map(|i| on_steps(i).unwrap_or(gram[i + i * n] * scale)));
        }
        squares
    }

    /// What [`Network::enter`] needs of all pairs, `out[i + j·side]`: scalar products, or Σmm' where both rows lie on
    /// steps. What is above the diagonal of the same block is left open.
    pub(super) fn products(&self, pair: &Pair<'_>, out: &mut [f64], [left, right]: &mut [Bytes; 2]) {
        let ((x, _), (y, _), side, d) = (pair.x, pair.y, pair.side, self.inputs.width);
        let Some((of_x, of_y)) = pair.steps() else {
            if pair.diagonal {
                leaf::rows_gram_lower(x, side, d, out);
            } else {
                leaf::rows_gram(x, y, side, d, out);
            }
            return;
        };
        for from in (0..d).step_by(BYTE_TERMS_MAX) {
            of_x.lay(self.level, x, from, ByteSide::Left, left);
            of_y.lay(self.level, y, from, ByteSide::Right, right);
            leaf::byte_products(left, right, out, (from > 0, pair.diagonal));
        }
        for rows in of_x.loose().chunks(SOME) {
            let mut products = vec![0.0; rows.len() * side];
            leaf::rows_products(&gathered(x, d, rows), y, [rows.len(), side], d, &mut products);
            for (column, products) in out.chunks_exact_mut(side).zip(products.chunks_exact(rows.len())) {
                rows.iter().zip(products).for_each(|(row, product)| column[*row] = *product);
            }
        }
        for columns in of_y.loose().chunks(SOME) {
            let mut products = vec![0.0; columns.len() * side];
            leaf::rows_products(x, &gathered(y, d, columns), [side, columns.len()], d, &mut products);
            for (column, products) in columns.iter().zip(products.chunks_exact(side)) {
                out[column * side..][..side].copy_from_slice(products);
            }
        }
    }

    /// The covariances x·x'/d of the rows of x from `first` on with one row of y, from what [`Network::products`] made.
    fn enter(&self, pair: &Pair<'_>, first: usize, column: usize, products: &[f64], k: &mut [f64]) {
        let scale = 1.0 / self.inputs.width as f64;
        let products = &products[first + column * pair.side..][..k.len()];
        let Some((of_x, of_y)) = pair.steps().filter(|(_, of_y)| !of_y.is_loose(column)) else {
            for (k, product) in k.iter_mut().zip(products) {
                *k = product * scale;
            }
            return;
        };
        k.copy_from_slice(products);
        of_x.covariances(self.level, first, of_y, column, k);
        let rows = first..first + k.len();
        for row in of_x.loose().iter().filter(|row| rows.contains(*row)) {
            k[row - first] = products[row - first] * scale;
        }
    }

    /// Some rows of x with one row of y through the whole network, from what [`Network::products`] made.
    pub(super) fn flat(&self, pair: &Pair<'_>, at: &At<'_>, products: &[f64], state: &mut State, pool: &mut Pool) {
        let (At { first, column, .. }, lanes) = (*at, state.lanes);
        self.enter(pair, first, column, products, &mut state.k);
        let by_layers = |state: &mut State, pool: &mut Pool| {
            state.t.fill(0.0);
            run(&self.chain, at, state, pool);
        };
        let (xs, ys) = (pair.x.1, pair.y.1);
        let (Some(of_x), Some(of_y)) = (&xs.units, &ys.units) else { return by_layers(state, pool) };
        let Some(profile) = self.profile().filter(|_| of_y.has(column)) else { return by_layers(state, pool) };
        let others = (0..lanes).any(|lane| !of_x.has(first + lane)).then(|| {
            let mut others = State::new(Geometry::POINT, lanes, state.has_ntk(), pool);
            others.k.copy_from_slice(&state.k);
            by_layers(&mut others, pool);
            others
        });
        let diagonal = [&xs.nngp, &xs.ntk].map(|diagonal| diagonal.get(first..).unwrap_or_default());
        let strip = Strip { rows: (of_x, first), column: (of_y, column), diagonal };
        profile.apply(self.level, &strip, &mut state.k, &mut state.t);
        if let Some(others) = others {
            for lane in (0..lanes).filter(|lane| !of_x.has(first + lane)) {
                state.k[lane] = others.k[lane];
                if let (Some(t), Some(other)) = (state.t.get_mut(lane), others.t.get(lane)) {
                    *t = *other;
                }
            }
            others.release(pool);
        }
    }

    /// Bytes of memory that [`Network::products`] needs for a tile.
    pub(super) fn flat_bytes(&self, side: usize) -> usize {
        let d = self.inputs.width;
        if !Steps::may_be(d) {
            return 0;
        }
        let loose = SOME.min(side).saturating_mul(d + side).saturating_mul(size_of::<f64>());
        Bytes::memory(side, d).saturating_add(loose)
    }
}

/// Some rows, one after the other.
fn gathered(x: &[f64], d: usize, rows: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|row| &x[row * d..][..d]).copied().collect()
}
