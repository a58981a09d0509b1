//! The Cholesky factor of one tile.
//!
//! BLIS has no LAPACK, so this is ours. The square is halved until a block is small, and everything
//! between the small blocks is one trsm and one syrk. The splits depend on the side alone, so the
//! sequence of operations is fixed.

use super::{syrk, trsm};
use crate::kernel::level::{Level, Work, mul_add};
use std::ops::Range;

/// Blocks up to this side are factored column by column.
const SMALL: usize = 32;

/// What the pivots of a factored tile were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pivots {
    /// The smallest pivot, before its square root was taken: how near the tile is to singular.
    /// Infinite when no row counts.
    pub smallest: f64,
    /// Its row in the tile.
    pub at: usize,
}

/// A pivot that is not positive, or not finite: the matrix is not positive definite.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the pivot of row {at} of the tile is {value}: not positive definite")]
pub struct BadPivot {
    /// Its row in the tile.
    pub at: usize,
    /// The pivot.
    pub value: f64,
}

/// `C = L·Lᵀ` in place, zeros above the diagonal.
///
/// `c`: side × side, column-major; only its lower triangle is read. The smallest pivot is sought among
/// the `real` leading rows, the others being padding. At a bad pivot it stops at once: the columns
/// before it hold the factor, the rest is partly updated, and nothing was divided by the pivot.
pub fn potrf(c: &mut [f64], side: usize, real: usize) -> Result<Pivots, BadPivot> {
    debug_assert_eq!(c.len(), side * side);
    let mut pivots = Pivots { smallest: f64::INFINITY, at: 0 };
    halve(c, side, 0..side, real, &mut pivots)?;
    for j in 1..side {
        c[j * side..j * side + j].fill(0.0);
    }
    Ok(pivots)
}

/// Factors the diagonal block of these rows.
fn halve(c: &mut [f64], side: usize, rows: Range<usize>, real: usize, pivots: &mut Pivots) -> Result<(), BadPivot> {
    let n = rows.len();
    if n <= SMALL {
        return small(c, side, rows, real, pivots);
    }
    let n1 = (n / 2).next_multiple_of(SMALL).min(n - 1);
    let (start, middle, end) = (rows.start, rows.start + n1, rows.end);
    halve(c, side, start..middle, real, pivots)?;
    below(c, side, start, middle, end);
    halve(c, side, middle..end, real, pivots)
}

/// With the block `start..middle` factored: the block below it, and the update of the next diagonal block.
fn below(c: &mut [f64], side: usize, start: usize, middle: usize, end: usize) {
    let (n1, n2) = (middle - start, end - middle);
    let base = c.as_mut_ptr();
    // SAFETY: start < middle < end ≤ side, so the three blocks lie in the side × side tile and do not
    // overlap; the leading dimension is the tile's.
    unsafe {
        let l11 = base.add(start + start * side);
        let l21 = base.add(middle + start * side);
        let c22 = base.add(middle + middle * side);
        trsm::halve(l21, side, l11, side, n2, n1);
        syrk::update(c22, side, l21, side, [n2, n1]);
    }
}

/// A small diagonal block: copied together, factored, copied back.
fn small(c: &mut [f64], side: usize, rows: Range<usize>, real: usize, pivots: &mut Pivots) -> Result<(), BadPivot> {
    let (n, first) = (rows.len(), rows.start);
    let mut block = [[0.0; SMALL]; SMALL];
    for (j, column) in block.iter_mut().enumerate().take(n) {
        let at = (first + j) * side + first;
        column[j..n].copy_from_slice(&c[at + j..at + n]);
    }
    let mut result = Ok(());
    let real = real.saturating_sub(first);
    Level::detect().run(Columns { block: &mut block, n, real, first, pivots, result: &mut result });
    for (j, column) in block.iter().enumerate().take(n) {
        let at = (first + j) * side + first;
        c[at + j..at + n].copy_from_slice(&column[j..n]);
    }
    result
}

/// A block of side `n`, column by column, left-looking. Its row 0 is row `first` of the tile.
struct Columns<'a> {
    block: &'a mut [[f64; SMALL]; SMALL],
    n: usize,
    real: usize,
    first: usize,
    pivots: &'a mut Pivots,
    result: &'a mut Result<(), BadPivot>,
}

impl Work for Columns<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for j in 0..self.n {
            let (before, from_j) = self.block.split_at_mut(j);
            let column = &mut from_j[0];
            for earlier in before.iter() {
                let factor = -earlier[j];
                // What lies above the diagonal is not used; whole columns make whole vectors.
                for (entry, l) in column.iter_mut().zip(earlier) {
                    *entry = mul_add::<FMA>(*l, factor, *entry);
                }
            }
            let pivot = column[j];
            if !(pivot > 0.0 && pivot.is_finite()) {
                *self.result = Err(BadPivot { at: self.first + j, value: pivot });
                return;
            }
            if j < self.real && pivot < self.pivots.smallest {
                *self.pivots = Pivots { smallest: pivot, at: self.first + j };
            }
            let root = pivot.sqrt();
            column[j] = root;
            for entry in &mut column[j + 1..] {
                *entry /= root;
            }
        }
    }
}
