//! The symmetric update of a diagonal tile.

use super::product::{Into, Operand, Part, Product};

/// Lower triangle of `C ← C − A·Aᵀ`; what is above the diagonal stays as it is.
///
/// `c`, `a`: side × side, column-major.
pub fn syrk(c: &mut [f64], a: &[f64], side: usize) {
    debug_assert_eq!(c.len(), side * side);
    debug_assert_eq!(a.len(), side * side);
    // SAFETY: the lengths above are what the shape reads and writes.
    unsafe { update(c.as_mut_ptr(), side, a.as_ptr(), side, [side, side]) }
}

/// Lower triangle of `C ← C − A·Aᵀ` for parts of tiles: `c` n × n, `a` n × k.
///
/// # Safety
/// The parts are as stated, with these leading dimensions, and do not overlap.
pub(super) unsafe fn update(c: *mut f64, ldc: usize, a: *const f64, lda: usize, [n, k]: [usize; 2]) {
    let a = Operand::columns(a, lda);
    // SAFETY: as the caller vouches.
    unsafe { Product { a, b: a, c, ldc, shape: [n, n, k], into: Into::Less, part: Part::Lower }.make() }
}
