//! The slow, obvious twins of the leaf operations: triple loops, one entry at a time. Tests compare.

use super::potrf::{BadPivot, Pivots};

/// Twin of [`super::gemm_nt`].
pub fn gemm_nt(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    for j in 0..side {
        for i in 0..rows {
            let sum: f64 = (0..side).map(|k| a[i + k * rows] * b[j + k * side]).sum();
            c[i + j * rows] -= sum;
        }
    }
}

/// Twin of [`super::gemm_nn`].
pub fn gemm_nn(c: &mut [f64], a: &[f64], b: &[f64], rows: usize, side: usize) {
    for j in 0..side {
        for i in 0..rows {
            let sum: f64 = (0..side).map(|k| a[i + k * rows] * b[k + j * side]).sum();
            c[i + j * rows] -= sum;
        }
    }
}

/// Twin of [`super::gemm_acc`].
pub fn gemm_acc(c: &mut [f64], a: &[f64], b: &[f64], m: usize, n: usize, k: usize) {
    for j in 0..n {
        for i in 0..m {
            c[i + j * m] += (0..k).map(|l| a[i + l * m] * b[l + j * k]).sum::<f64>();
        }
    }
}

/// Twin of [`super::rows_gram`].
pub fn rows_gram(x: &[f64], y: &[f64], rows: usize, d: usize, out: &mut [f64]) {
    for j in 0..rows {
        for i in 0..rows {
            out[i + j * rows] = (0..d).map(|l| x[i * d + l] * y[j * d + l]).sum();
        }
    }
}

/// Twin of [`super::syrk`].
pub fn syrk(c: &mut [f64], a: &[f64], side: usize) {
    for j in 0..side {
        for i in j..side {
            let sum: f64 = (0..side).map(|k| a[i + k * side] * a[j + k * side]).sum();
            c[i + j * side] -= sum;
        }
    }
}

/// Twin of [`super::trsm`].
pub fn trsm(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    for i in 0..rows {
        for j in 0..side {
            let sum: f64 = (0..j).map(|k| c[i + k * rows] * l[j + k * side]).sum();
            c[i + j * rows] = (c[i + j * rows] - sum) / l[j + j * side];
        }
    }
}

/// Twin of [`super::trsm_back`].
pub fn trsm_back(c: &mut [f64], l: &[f64], rows: usize, side: usize) {
    for i in 0..rows {
        for j in (0..side).rev() {
            let sum: f64 = (j + 1..side).map(|k| c[i + k * rows] * l[k + j * side]).sum();
            c[i + j * rows] = (c[i + j * rows] - sum) / l[j + j * side];
        }
    }
}

/// Twin of [`super::potrf`].
pub fn potrf(c: &mut [f64], side: usize, real: usize) -> Result<Pivots, BadPivot> {
    let mut pivots = Pivots { smallest: f64::INFINITY, at: 0 };
    for j in 0..side {
        for i in j..side {
            let sum: f64 = (0..j).map(|k| c[i + k * side] * c[j + k * side]).sum();
            c[i + j * side] -= sum;
        }
        let value = c[j + j * side];
        if !(value > 0.0 && value.is_finite()) {
            return Err(BadPivot { at: j, value });
        }
        if j < real && value < pivots.smallest {
            pivots = Pivots { smallest: value, at: j };
        }
        let root = value.sqrt();
        c[j + j * side] = root;
        for i in j + 1..side {
            c[i + j * side] /= root;
        }
        for i in 0..j {
            c[i + j * side] = 0.0;
        }
    }
    Ok(pivots)
}
