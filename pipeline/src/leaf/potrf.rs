//! The Cholesky factor of one tile.
//!
//! BLIS has no LAPACK, so this is ours: the square is halved until a block is small, and everything
//! between the small blocks is one trsm and one syrk. The splits depend on the side alone, so the
//! sequence of operations is fixed.

use super::blas::blas;
use super::trsm;
use cblas_sys::{CblasColMajor, CblasLower, CblasNoTrans, cblas_dsyrk};
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
    blas();
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
        return columns(c, side, rows, real, pivots);
    }
    let n1 = (n / 2).next_multiple_of(SMALL).min(n - 1);
    let (start, middle, end) = (rows.start, rows.start + n1, rows.end);
    halve(c, side, start..middle, real, pivots)?;
    below(c, side, start, middle, end);
    halve(c, side, middle..end, real, pivots)
}

/// With the block `start..middle` factored: the block below it, and the update of the next diagonal block.
fn below(c: &mut [f64], side: usize, start: usize, middle: usize, end: usize) {
    let (n1, n2, ld) = ((middle - start) as i32, (end - middle) as i32, side as i32);
    let base = c.as_mut_ptr();
    // SAFETY: start < middle < end ≤ side, so the three blocks lie in the side × side tile and do not
    // overlap; the leading dimension is the tile's.
    unsafe {
        let l11 = base.add(start + start * side);
        let l21 = base.add(middle + start * side);
        let c22 = base.add(middle + middle * side);
        trsm::halve(l21, side, l11, side, end - middle, middle - start);
        cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, n2, n1, -1.0, l21, ld, 1.0, c22, ld);
    }
}

/// A small diagonal block, column by column, left-looking.
fn columns(c: &mut [f64], side: usize, rows: Range<usize>, real: usize, pivots: &mut Pivots) -> Result<(), BadPivot> {
    for j in rows.clone() {
        let (before, from_j) = c.split_at_mut(j * side);
        let column = &mut from_j[j..rows.end];
        for k in rows.start..j {
            let earlier = &before[k * side + j..k * side + rows.end];
            let factor = earlier[0];
            for (entry, l) in column.iter_mut().zip(earlier) {
                *entry -= l * factor;
            }
        }
        let pivot = column[0];
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(BadPivot { at: j, value: pivot });
        }
        if j < real && pivot < pivots.smallest {
            *pivots = Pivots { smallest: pivot, at: j };
        }
        let root = pivot.sqrt();
        column[0] = root;
        for entry in &mut column[1..] {
            *entry /= root;
        }
    }
    Ok(())
}
