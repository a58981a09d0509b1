//! Triangular solves from the right.

use super::blas::blas;
use cblas_sys::{
    CBLAS_TRANSPOSE, CblasColMajor, CblasLower, CblasNoTrans, CblasNonUnit, CblasRight, CblasTrans,
    cblas_dtrsm,
};

/// `C ← C·L⁻ᵀ`: the last step of an off-diagonal tile of the factor.
///
/// `c`: rows × side; `l`: side × side, lower triangular (the upper triangle is not read); column-major.
pub fn trsm(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    solve(c, l, rows, side, CblasTrans);
}

/// `C ← C·L⁻¹`: the last step of a tile of the backward sweep.
///
/// `c`: rows × side; `l`: side × side, lower triangular (the upper triangle is not read); column-major.
pub fn trsm_back(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    solve(c, l, rows, side, CblasNoTrans);
}

fn solve(c: &mut [f64], l: &[f64], rows: usize, side: usize, transpose: CBLAS_TRANSPOSE) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(l.len(), side * side);
    if rows == 0 || side == 0 {
        return;
    }
    blas();
    let (m, n) = (rows as i32, side as i32);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dtrsm(
            CblasColMajor,
            CblasRight,
            CblasLower,
            transpose,
            CblasNonUnit,
            m,
            n,
            1.0,
            l.as_ptr(),
            n,
            c.as_mut_ptr(),
            m,
        );
    }
}
