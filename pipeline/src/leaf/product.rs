//! The product that all leaf operations are made of: `C ← C − A·Bᵀ`, `C + A·Bᵀ` or `A·Bᵀ`.
//!
//! With AVX-512 and with AVX2 the loops are ours: blocks of A and B are laid out in panels of as many rows as a vector has lanes,
//! so that one kernel of 24 × 8 or 12 × 4 sums in registers reads them in order (Goto and van de Geijn 2008, Anatomy of
//! high-performance matrix multiplication, §4). Elsewhere the BLAS makes the product. Docs: `docs/decisions/013-own-product.md`,
//! `docs/decisions/017-own-product-with-avx2.md`.
//!
//! The sum of an entry is taken in blocks of k that follow from k alone, each in order, so its bits depend on its own
//! row of A and row of B and on nothing else: not on the shape, its place, or which of the two is called A.

use super::blas::{Maker, maker};
use cblas_sys::{CblasColMajor, CblasNoTrans, CblasTrans, cblas_dgemm};

/// Rows of numbers that are not copied: entry (i, p) lies at `at + i·row + p·col`, and one of the two strides is 1.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) at: *const f64,
    pub(super) row: usize,
    pub(super) col: usize,
}

impl Operand {
    /// A column-major matrix with leading dimension `ld`.
    pub(super) fn columns(at: *const f64, ld: usize) -> Self {
        Self { at, row: 1, col: ld }
    }

    /// A row-major matrix, or the transpose of a column-major one, with leading dimension `ld`.
    pub(super) fn rows(at: *const f64, ld: usize) -> Self {
        Self { at, row: ld, col: 1 }
    }
}

/// What becomes of C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// `C ← C − A·Bᵀ`.
    Less,
    /// `C ← C + A·Bᵀ`.
    More,
    /// `C ← A·Bᵀ`; C is not read.
    Set,
}

/// Which entries of C are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// Those with row ≥ column; the others stay as they are.
    Lower,
}

/// A product of rows of A with rows of B.
pub(super) struct Product {
    /// m × k.
    pub(super) a: Operand,
    /// n × k.
    pub(super) b: Operand,
    /// m × n, column-major, with leading dimension `ldc`.
    pub(super) c: *mut f64,
    pub(super) ldc: usize,
    /// m, n, k.
    pub(super) shape: [usize; 3],
    pub(super) into: Into,
    pub(super) part: Part,
}

impl Product {
    /// Makes it.
    ///
    /// # Safety
    /// The operands are of the shapes that are told, and C overlaps neither.
    pub(super) unsafe fn make(&self) {
        let [m, n, k] = self.shape;
        if m == 0 || n == 0 {
            return;
        }
        // SAFETY: as the caller vouches.
        unsafe {
            if k == 0 {
                return self.without_terms();
            }
            match maker() {
                #[cfg(target_arch = "x86_64")]
                Maker::Panels(vectors) => vectors.make(self),
                Maker::Blas => self.by_blas(),
            }
        }
    }

    /// An empty sum is zero.
    ///
    /// # Safety
    /// As for [`Product::make`].
    unsafe fn without_terms(&self) {
        let [m, n, _] = self.shape;
        if self.into == Into::Set {
            for j in 0..n {
                let from = if self.part == Part::Lower { j.min(m) } else { 0 };
                // SAFETY: the rows of column j that are made.
                unsafe { std::slice::from_raw_parts_mut(self.c.add(from + j * self.ldc), m - from) }.fill(0.0);
            }
        }
    }

    /// # Safety
    /// As for [`Product::make`].
    unsafe fn by_blas(&self) {
        let [m, n, k] = self.shape;
        if self.part == Part::Lower && m > SQUARE + 1 {
            // What lies below both halves of a square is one product.
            let n1 = (m / 2).next_multiple_of(SQUARE).min(m - 1);
            let skip = |o: Operand| Operand { at: o.at.wrapping_add(n1 * o.row), ..o };
            let (a, b) = (skip(self.a), skip(self.b));
            // SAFETY: the parts lie in what the caller vouches for.
            unsafe {
                let (below, right) = (self.c.add(n1), self.c.add(n1 + n1 * self.ldc));
                Self { shape: [n1, n1, k], ..*self }.by_blas();
                Self { a, c: below, shape: [m - n1, n1, k], part: Part::All, ..*self }.by_blas();
                Self { a, b, c: right, shape: [m - n1, n - n1, k], ..*self }.by_blas();
            }
            return;
        }
        if self.part == Part::Lower {
            // SAFETY: as the caller vouches.
            return unsafe { self.small_square() };
        }
        let alpha = if self.into == Into::Less { -1.0 } else { 1.0 };
        let beta = if self.into == Into::Set { 0.0 } else { 1.0 };
        let (ta, lda) = if self.a.row == 1 { (CblasNoTrans, self.a.col) } else { (CblasTrans, self.a.row) };
        let (tb, ldb) = if self.b.row == 1 { (CblasTrans, self.b.col) } else { (CblasNoTrans, self.b.row) };
        let [m, n, k, lda, ldb, ldc] = [m, n, k, lda, ldb, self.ldc].map(|v| v as i32);
        // SAFETY: as the caller vouches.
        unsafe { cblas_dgemm(CblasColMajor, ta, tb, m, n, k, alpha, self.a.at, lda, self.b.at, ldb, beta, self.c, ldc) }
    }

    /// A square of the diagonal: made whole beside C, so that what is above the diagonal stays.
    ///
    /// # Safety
    /// As for [`Product::make`]; n = m ≤ [`SQUARE`] + 1.
    unsafe fn small_square(&self) {
        let [m, n, _] = self.shape;
        let mut whole = vec![0.0; m * n];
        // SAFETY: `whole` is m × n, and of C only what the caller vouches for is reached.
        unsafe {
            let beside = Self { c: whole.as_mut_ptr(), ldc: m, into: Into::Set, part: Part::All, ..*self };
            beside.by_blas();
            for j in 0..n {
                for i in j..m {
                    let (c, sum) = (self.c.add(i + j * self.ldc), whole[i + j * m]);
                    *c = match self.into {
                        Into::Less => *c - sum,
                        Into::More => *c + sum,
                        Into::Set => sum,
                    };
                }
            }
        }
    }
}

/// Squares of the diagonal up to this side are made whole by the BLAS, and one larger by a row: for a single row BLIS
/// adds in another order.
const SQUARE: usize = 128;
