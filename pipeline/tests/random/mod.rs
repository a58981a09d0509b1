//! Matrices of pseudo-random numbers for the tests of the leaf operations.

#![allow(dead_code)]

use megagram_pipeline::leaf::reference;

/// Uniform numbers in [-1, 1), the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn vec(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.next()).collect()
    }

    /// A lower triangular matrix that is well conditioned, with rubbish above the diagonal.
    pub fn lower(&mut self, n: usize) -> Vec<f64> {
        let mut l = self.vec(n * n);
        for (e, v) in l.iter_mut().enumerate() {
            let (i, j) = (e % n, e / n);
            *v = match i.cmp(&j) {
                std::cmp::Ordering::Less => f64::NAN,
                std::cmp::Ordering::Equal => 1.5 + v.abs(),
                std::cmp::Ordering::Greater => *v / n as f64,
            };
        }
        l
    }

    /// A positive definite matrix, with rubbish above the diagonal.
    pub fn definite(&mut self, n: usize) -> Vec<f64> {
        let a = self.vec(n * n);
        let mut c = vec![0.0; n * n];
        reference::syrk(&mut c, &a, n);
        for (e, v) in c.iter_mut().enumerate() {
            let (i, j) = (e % n, e / n);
            *v = if i < j { f64::NAN } else { -*v + if i == j { 1.0 } else { 0.0 } };
        }
        c
    }
}

/// `full` with rows and columns from `n` on replaced by those of the identity (or by zeros).
pub fn padded(full: &[f64], rows: usize, real_rows: usize, real_columns: usize, unit: bool) -> Vec<f64> {
    full.iter()
        .enumerate()
        .map(|(e, v)| {
            let (i, j) = (e % rows, e / rows);
            if i < real_rows && j < real_columns {
                *v
            } else if unit && i == j {
                1.0
            } else {
                0.0
            }
        })
        .collect()
}
