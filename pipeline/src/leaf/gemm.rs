//! Matrix products.

use super::product::{Into, Operand, Part, Product};

/// `C ← C − A·Bᵀ`: the update of an off-diagonal tile by one step of the left-looking sweep.
///
/// `c`, `a`: rows × side; `b`: side × side; column-major.
pub fn gemm_nt(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(a.len(), rows * side);
    debug_assert_eq!(b.len(), side * side);
    let (a, b) = (Operand::columns(a.as_ptr(), rows), Operand::columns(b.as_ptr(), side));
    let (c, shape) = (c.as_mut_ptr(), [rows, side, side]);
    // SAFETY: the lengths above are what the shape reads and writes.
    unsafe { Product { a, b, c, ldc: rows, shape, into: Into::Less, part: Part::All }.make() }
}

/// `C ← C − A·B`: the update of a tile by one step of the backward sweep.
///
/// `c`, `a`: rows × side; `b`: side × side; column-major.
pub fn gemm_nn(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    debug_assert_eq!(c.len(), rows * side);
    debug_assert_eq!(a.len(), rows * side);
    debug_assert_eq!(b.len(), side * side);
    let (a, b) = (Operand::columns(a.as_ptr(), rows), Operand::rows(b.as_ptr(), side));
    let (c, shape) = (c.as_mut_ptr(), [rows, side, side]);
    // SAFETY: the lengths above are what the shape reads and writes.
    unsafe { Product { a, b, c, ldc: rows, shape, into: Into::Less, part: Part::All }.make() }
}

/// `C ← C + A·B` of any shape: `c` m × n, `a` m × k, `b` k × n, column-major.
pub fn gemm_acc(c: &mut [f64], a: &[f64], b: &[f64], m: usize, n: usize, k: usize) {
    debug_assert_eq!(c.len(), m * n);
    debug_assert_eq!(a.len(), m * k);
    debug_assert_eq!(b.len(), k * n);
    let (a, b) = (Operand::columns(a.as_ptr(), m), Operand::rows(b.as_ptr(), k));
    let (c, shape) = (c.as_mut_ptr(), [m, n, k]);
    // SAFETY: the lengths above are what the shape reads and writes.
    unsafe { Product { a, b, c, ldc: m, shape, into: Into::More, part: Part::All }.make() }
}

/// `out ← X·Yᵀ`, all scalar products of two blocks of data rows.
///
/// `x`, `y`: rows × d, **row-major**, as data rows are stored; `out`: rows × rows, column-major, so
/// `out[i + j·rows] = x_i · y_j`. What `out` held is not read.
pub fn rows_gram(x: &[f64], y: &[f64], rows: usize, d: usize, out: &mut [f64]) {
    rows_part(x, y, [rows, rows, d], out, Part::All);
}

/// The same of blocks with different numbers of rows: `x` m × d, `y` n × d, `out` m × n. With our own product an entry has
/// the bits that [`rows_gram`] gives it.
pub fn rows_products(x: &[f64], y: &[f64], [m, n]: [usize; 2], d: usize, out: &mut [f64]) {
    rows_part(x, y, [m, n, d], out, Part::All);
}

/// Lower triangle of `out ← X·Xᵀ`; what is above the diagonal stays as it is. With our own product every entry has the
/// bits that [`rows_gram`] gives it; so with BLIS's kernels for AVX-512. Its others take small products another way,
/// which shows in the last bits.
///
/// `x`: rows × d, row-major; `out`: rows × rows, column-major.
pub fn rows_gram_lower(x: &[f64], rows: usize, d: usize, out: &mut [f64]) {
    rows_part(x, x, [rows, rows, d], out, Part::Lower);
}

fn rows_part(x: &[f64], y: &[f64], shape: [usize; 3], out: &mut [f64], part: Part) {
    let [m, n, d] = shape;
    debug_assert_eq!(x.len(), m * d);
    debug_assert_eq!(y.len(), n * d);
    debug_assert_eq!(out.len(), m * n);
    let (a, b) = (Operand::rows(x.as_ptr(), d), Operand::rows(y.as_ptr(), d));
    // SAFETY: the lengths above are what the shape reads and writes.
    unsafe { Product { a, b, c: out.as_mut_ptr(), ldc: m, shape, into: Into::Set, part }.make() }
}
