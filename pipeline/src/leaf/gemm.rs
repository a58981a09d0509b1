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
    debug_assert_eq!(y.len(), rows * d);
    if begin(x, rows, d, out) {
        // SAFETY: the lengths asserted are what the shape reads and writes.
        unsafe { products(x.as_ptr(), y.as_ptr(), [rows, rows, d], out.as_mut_ptr(), rows) }
    }
}

/// Whether there is a product to make; without columns it is zero.
fn begin(x: &[f64], rows: usize, d: usize, out: &mut [f64]) -> bool {
    debug_assert_eq!(x.len(), rows * d);
    debug_assert_eq!(out.len(), rows * rows);
    blas();
    if d == 0 {
        out.fill(0.0);
    }
    rows > 0 && d > 0
}

/// Squares of the diagonal up to this side are made whole, and one larger by a row: for a single row BLIS adds in
/// another order.
const SQUARE: usize = 128;

/// Lower triangle of `out ← X·Xᵀ`. With BLIS's kernels for AVX-512 every entry has the bits that [`rows_gram`] gives
/// it; other kernels take small products another way, which shows in the last bits.
///
/// `x`: rows × d, row-major; `out`: rows × rows, column-major. Some of what is above the diagonal is written too,
/// the rest stays as it is.
pub fn rows_gram_lower(x: &[f64], rows: usize, d: usize, out: &mut [f64]) {
    if begin(x, rows, d, out) {
        // SAFETY: the lengths asserted are what the halves read and write.
        unsafe { lower(x.as_ptr(), rows, d, out.as_mut_ptr(), rows) }
    }
}

/// Halves a square of the diagonal: what lies below both halves is one product.
///
/// # Safety
/// `x` is rows × d, row-major; `out` is rows × rows with leading dimension `ld`.
unsafe fn lower(x: *const f64, rows: usize, d: usize, out: *mut f64, ld: usize) {
    // SAFETY: the parts lie in what the caller vouches for.
    unsafe {
        if rows <= SQUARE + 1 {
            return products(x, x, [rows, rows, d], out, ld);
        }
        let n1 = (rows / 2).next_multiple_of(SQUARE).min(rows - 1);
        let below = x.add(n1 * d);
        lower(x, n1, d, out, ld);
        products(below, x, [rows - n1, n1, d], out.add(n1), ld);
        lower(below, rows - n1, d, out.add(n1 + n1 * ld), ld);
    }
}

/// `out ← X·Yᵀ` for `m` rows of x and `n` rows of y.
///
/// # Safety
/// `x` is m × d and `y` n × d, row-major; `out` is m × n with leading dimension `ld`.
unsafe fn products(x: *const f64, y: *const f64, [m, n, d]: [usize; 3], out: *mut f64, ld: usize) {
    let (m, n, k) = (m as i32, n as i32, d as i32);
    // SAFETY: as the caller vouches.
    unsafe {
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, n, k, 1.0, x, k, y, k, 0.0, out, ld as i32);
    }
}
