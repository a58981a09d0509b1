//! Matrix products.

use super::blas::blas;
use cblas_sys::{CblasColMajor, CblasNoTrans, CblasTrans, cblas_dgemm};

/// `C ← C − A·Bᵀ`: the update of an off-diagonal tile by one step of the left-looking sweep.
///
/// `c`, `a`: rows × side; `b`: side × side; column-major.
pub fn gemm_nt(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(a.len(), rows * side);
    debug_assert_eq!(b.len(), side * side);
    if rows == 0 || side == 0 {
        return;
    }
    blas();
    let (m, n) = (rows as i32, side as i32);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dgemm(
            CblasColMajor,
            CblasNoTrans,
            CblasTrans,
            m,
            n,
            n,
            -1.0,
            a.as_ptr(),
            m,
            b.as_ptr(),
            n,
            1.0,
            c.as_mut_ptr(),
            m,
        );
    }
}

/// `C ← C − A·B`: the update of a tile by one step of the backward sweep.
///
/// `c`, `a`: rows × side; `b`: side × side; column-major.
pub fn gemm_nn(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(a.len(), rows * side);
    debug_assert_eq!(b.len(), side * side);
    if rows == 0 || side == 0 {
        return;
    }
    blas();
    let (m, n) = (rows as i32, side as i32);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dgemm(
            CblasColMajor,
            CblasNoTrans,
            CblasNoTrans,
            m,
            n,
            n,
            -1.0,
            a.as_ptr(),
            m,
            b.as_ptr(),
            n,
            1.0,
            c.as_mut_ptr(),
            m,
        );
    }
}

/// `C ← C + A·B` of any shape: `c` m × n, `a` m × k, `b` k × n, column-major.
pub fn gemm_acc(c: &mut [f64], a: &[f64], b: &[f64], m: usize, n: usize, k: usize) {
    debug_assert_eq!(c.len(), m * n);
    debug_assert_eq!(a.len(), m * k);
    debug_assert_eq!(b.len(), k * n);
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    blas();
    let (m, n, k) = (m as i32, n as i32, k as i32);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dgemm(
            CblasColMajor,
            CblasNoTrans,
            CblasNoTrans,
            m,
            n,
            k,
            1.0,
            a.as_ptr(),
            m,
            b.as_ptr(),
            k,
            1.0,
            c.as_mut_ptr(),
            m,
        );
    }
}

/// `out ← X·Yᵀ`, all scalar products of two blocks of data rows.
///
/// `x`, `y`: rows × d, **row-major**, as data rows are stored; `out`: rows × rows, column-major, so
/// `out[i + j·rows] = x_i · y_j`. What `out` held is not read.
pub fn rows_gram(x: &[f64], y: &[f64], rows: usize, d: usize, out: &mut [f64]) {
    debug_assert_eq!(x.len(), rows * d);
    debug_assert_eq!(y.len(), rows * d);
    debug_assert_eq!(out.len(), rows * rows);
    if d == 0 {
        out.fill(0.0);
    }
    if rows == 0 || d == 0 {
        return;
    }
    blas();
    let (n, k) = (rows as i32, d as i32);
    // SAFETY: the lengths above are what the shapes and leading dimensions read and write.
    unsafe {
        cblas_dgemm(
            CblasColMajor,
            CblasTrans,
            CblasNoTrans,
            n,
            n,
            k,
            1.0,
            x.as_ptr(),
            k,
            y.as_ptr(),
            k,
            0.0,
            out.as_mut_ptr(),
            n,
        );
    }
}
