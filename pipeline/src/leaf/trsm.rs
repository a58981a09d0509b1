//! Triangular solves from the right.
//!
//! The triangle is halved until it is small, and what is between the small triangles is products; the small ones
//! are solved by [`solve`]. The splits depend on the side alone.

use super::product::{Into, Operand, Part, Product};
use super::solve::{SIDE as SMALL, solve};

/// `C ← C·L⁻ᵀ`: the last step of an off-diagonal tile of the factor.
///
/// `c`: rows × side; `l`: side × side, lower triangular (the upper triangle is not read); column-major.
pub fn trsm(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(l.len(), side * side);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe { halve(c.as_mut_ptr(), rows, l.as_ptr(), side, rows, side) }
}

/// `C ← C·L⁻¹`: the last step of a tile of the backward sweep.
///
/// `c`: rows × side; `l`: side × side, lower triangular (the upper triangle is not read); column-major.
pub fn trsm_back(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(l.len(), side * side);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe { halve_back(c.as_mut_ptr(), rows, l.as_ptr(), side, rows, side) }
}

/// `C ← C·L⁻ᵀ` for a part of a tile.
///
/// # Safety
/// `c` is rows × n with leading dimension `ldc`, `l` n × n with `ldl`, and they do not overlap.
pub(super) unsafe fn halve(c: *mut f64, ldc: usize, l: *const f64, ldl: usize, rows: usize, n: usize) {
    // SAFETY: the parts lie in the matrices that the caller vouches for.
    unsafe {
        if n <= SMALL {
            return solve(c, ldc, l, ldl, [rows, n], true);
        }
        let n1 = split(n);
        halve(c, ldc, l, ldl, rows, n1);
        let right = c.add(n1 * ldc);
        update(right, c, ldc, Operand::columns(l.add(n1), ldl), [rows, n - n1, n1]);
        halve(right, ldc, l.add(n1 + n1 * ldl), ldl, rows, n - n1);
    }
}

/// `C ← C·L⁻¹` for a part of a tile.
///
/// # Safety
/// As for [`halve`].
unsafe fn halve_back(c: *mut f64, ldc: usize, l: *const f64, ldl: usize, rows: usize, n: usize) {
    // SAFETY: the parts lie in the matrices that the caller vouches for.
    unsafe {
        if n <= SMALL {
            return solve(c, ldc, l, ldl, [rows, n], false);
        }
        let n1 = split(n);
        let right = c.add(n1 * ldc);
        halve_back(right, ldc, l.add(n1 + n1 * ldl), ldl, rows, n - n1);
        update(c, right, ldc, Operand::rows(l.add(n1), ldl), [rows, n1, n - n1]);
        halve_back(c, ldc, l, ldl, rows, n1);
    }
}

/// Where a triangle of side `n` > [`SMALL`] is cut.
fn split(n: usize) -> usize {
    (n / 2).next_multiple_of(SMALL).min(n - 1)
}

/// `C ← C − A·Bᵀ` for parts of one tile: `c` m × n, `a` m × k, both with leading dimension `ldc`.
///
/// # Safety
/// The three parts are as stated and `c` overlaps neither of the others.
unsafe fn update(c: *mut f64, a: *const f64, ldc: usize, b: Operand, shape: [usize; 3]) {
    let a = Operand::columns(a, ldc);
    // SAFETY: as the caller vouches.
    unsafe { Product { a, b, c, ldc, shape, into: Into::Less, part: Part::All }.make() }
}
