//! The symmetric update of a diagonal tile.

use super::blas::blas;
use cblas_sys::{CblasColMajor, CblasLower, CblasNoTrans, cblas_dsyrk};

/// Lower triangle of `C ← C − A·Aᵀ`; what is above the diagonal stays as it is.
///
/// `c`, `a`: side × side, column-major.
pub fn syrk(c: &mut [f64], a: &[f64], side: usize) {
    debug_assert_eq!(c.len(), side * side);
    debug_assert_eq!(a.len(), side * side);
    if side == 0 {
        return;
    }
    blas();
    let n = side as i32;
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, n, n, -1.0, a.as_ptr(), n, 1.0, c.as_mut_ptr(), n);
    }
}
