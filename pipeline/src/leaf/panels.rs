//! Products in panels of rows, by vectors of either width.

mod cache;
mod lay;
mod width;

use super::laid::{LINE, Line, grow};
use super::product::{Into, Operand, Part, Product};
use cache::tall;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use width::{ABREAST, Avx2, Avx512, Next, PANEL_MAX, Width};

/// The vectors with which products are made. No bit depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vectors {
    Avx512,
    Avx2,
}

impl Vectors {
    /// Makes a product.
    ///
    /// # Safety
    /// As for [`Product::make`]; k > 0, and the processor has the instructions.
    pub(super) unsafe fn make(self, product: &Product) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Vectors::Avx512 => make::<Avx512>(product),
                Vectors::Avx2 => make::<Avx2>(product),
            }
        }
    }

    /// Lays out `rows` rows of `k` terms for [`Vectors::make_laid`]: a block of terms after the other.
    ///
    /// # Safety
    /// The operand is rows × k, `to` has [`Vectors::lines_of`] them, and the processor has the instructions.
    pub(super) unsafe fn lay(self, from: Operand, shape: [usize; 2], to: *mut Line) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Vectors::Avx512 => lay_whole::<Avx512>(from, shape, to),
                Vectors::Avx2 => lay_whole::<Avx2>(from, shape, to),
            }
        }
    }

    /// A product of two operands that are laid out, `m` × `k` and `n` × `k`: that of [`Vectors::make`], bit for bit.
    ///
    /// # Safety
    /// As for [`Vectors::make`]; the operands are what [`Vectors::lay`] made with the same vectors.
    pub(super) unsafe fn make_laid(
        self,
        operands: [*const Line; 2],
        c: (*mut f64, usize),
        shape: [usize; 3],
        how: (Into, Part),
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Vectors::Avx512 => make_laid::<Avx512>(operands, c, shape, how),
                Vectors::Avx2 => make_laid::<Avx2>(operands, c, shape, how),
            }
        }
    }

    /// Lines of `rows` rows of `k` terms that are laid out.
    pub(super) fn lines_of(self, rows: usize, k: usize) -> usize {
        match self {
            Vectors::Avx512 => lines_of::<Avx512>(rows, k),
            Vectors::Avx2 => lines_of::<Avx2>(rows, k),
        }
    }

    /// Bytes of the buffers of a thread, if no operand has more than `side` rows or columns.
    pub(super) fn bytes_at(self, side: usize) -> usize {
        match self {
            Vectors::Avx512 => bytes_at::<Avx512>(side),
            Vectors::Avx2 => bytes_at::<Avx2>(side),
        }
    }
}

/// The most terms between two visits to C.
const DEEP: usize = 512;
/// Rows of a block of B.
const WIDE: usize = 2048;

#[derive(Default)]
struct Buffers {
    a: Vec<Line>,
    b: Vec<Line>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

fn bytes_at<W: Width>(side: usize) -> usize {
    let (deep, tall, wide) = (side.min(DEEP), side.min(tall::<W>()), side.min(WIDE));
    size_of::<Line>() * (lines_of::<W>(tall, deep) + room_b::<W>(wide, deep))
}

/// Lines of `rows` rows of `k` terms, laid out in slivers.
fn lines_of<W: Width>(rows: usize, k: usize) -> usize {
    numbers_of::<W>(rows, k).div_ceil(LINE)
}

/// Numbers of so many.
fn numbers_of<W: Width>(rows: usize, k: usize) -> usize {
    rows.next_multiple_of(W::SLIVER) * k
}

/// Lines of `rows` rows of B, laid out in single panels.
fn room_b<W: Width>(rows: usize, k: usize) -> usize {
    (rows.next_multiple_of(W::PANEL) * k).div_ceil(LINE)
}

/// The terms of a block, of k: as many blocks as must be, of equal depth but for the last.
fn depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEEP))
}

/// # Safety
/// As for [`Vectors::make`].
unsafe fn make<W: Width>(product: &Product) {
    BUFFERS.with_borrow_mut(|Buffers { a, b }| {
        let [m, n, k] = product.shape;
        let depth = depth(k);
        grow(a, lines_of::<W>(m.min(tall::<W>()), depth));
        grow(b, room_b::<W>(n.min(WIDE), depth));
        // SAFETY: as the caller vouches; the buffers hold a block of either.
        unsafe { blocks::<W>(product, depth, a.as_mut_ptr().cast(), b.as_mut_ptr().cast()) }
    });
}

/// # Safety
/// As for [`make`]; `a` and `b` have room for a block of A and of B of this depth.
unsafe fn blocks<W: Width>(product: &Product, depth: usize, a: *mut f64, b: *mut f64) {
    let [m, n, k] = product.shape;
    let most = tall::<W>();
    for j in (0..n).step_by(WIDE) {
        let wide = WIDE.min(n - j);
        for p in (0..k).step_by(depth) {
            let deep = depth.min(k - p);
            let into = if p == 0 { product.into } else { next(product.into) };
            // SAFETY: the blocks lie in the operands.
            unsafe { W::lay::<1>(product.b, [j, p], [wide, deep], b) }
            for i in (0..m).step_by(most) {
                let tall = most.min(m - i);
                if product.part == Part::Lower && i + tall <= j {
                    continue;
                }
                // SAFETY: as above; the block of C lies in C.
                unsafe {
                    W::lay::<ABREAST>(product.a, [i, p], [tall, deep], a);
                    let c = product.c.add(i + j * product.ldc);
                    let above = if product.part == Part::Lower { Some(j as isize - i as isize) } else { None };
                    Block { a, b, c, ldc: product.ldc, shape: [tall, wide, deep], into, above }.make::<W, 1>();
                }
            }
        }
    }
}

/// # Safety
/// As for [`Vectors::lay`].
unsafe fn lay_whole<W: Width>(from: Operand, [rows, k]: [usize; 2], to: *mut Line) {
    let depth = depth(k);
    for p in (0..k).step_by(depth) {
        // SAFETY: the block lies in the operand, and its numbers follow those of the blocks before.
        unsafe {
            let to = to.cast::<f64>().add(numbers_of::<W>(rows, p));
            W::lay::<ABREAST>(from, [0, p], [rows, depth.min(k - p)], to)
        }
    }
}

/// # Safety
/// As for [`Vectors::make_laid`].
unsafe fn make_laid<W: Width>(
    [a, b]: [*const Line; 2],
    (c, ldc): (*mut f64, usize),
    shape: [usize; 3],
    how: (Into, Part),
) {
    let ([m, n, k], (into, part)) = (shape, how);
    let (depth, most) = (depth(k), tall::<W>());
    for p in (0..k).step_by(depth) {
        let deep = depth.min(k - p);
        let into = if p == 0 { into } else { next(into) };
        for i in (0..m).step_by(most) {
            let tall = most.min(m - i);
            let above = if part == Part::Lower { Some(-(i as isize)) } else { None };
            // SAFETY: whole slivers of either, and a block that lies in C.
            unsafe {
                let a = a.cast::<f64>().add(numbers_of::<W>(m, p) + i * deep);
                let b = b.cast::<f64>().add(numbers_of::<W>(n, p));
                Block { a, b, c: c.add(i), ldc, shape: [tall, n, deep], into, above }.make::<W, ABREAST>();
            }
        }
    }
}

/// What becomes of C with the terms after the first block.
fn next(into: Into) -> Into {
    if into == Into::Less { Into::Less } else { Into::More }
}

/// Room for a panel of B.
type Near = [Line; DEEP * PANEL_MAX / LINE];

/// A block of C, with the slivers of A and B that it takes.
#[derive(Clone, Copy)]
struct Block {
    a: *const f64,
    b: *const f64,
    c: *mut f64,
    ldc: usize,
    /// Rows, columns, terms.
    shape: [usize; 3],
    into: Into,
    /// Entry (i, j) of the block is made only if i ≥ j + this, if there is a number.
    above: Option<isize>,
}

impl Block {
    /// `B`: how many panels of B lie abreast.
    ///
    /// # Safety
    /// The panels and the block of C are of this shape.
    unsafe fn make<W: Width, const B: usize>(&self) {
        let [tall, wide, deep] = self.shape;
        let apart = B * W::PANEL;
        let panel = |j: usize| self.b.wrapping_add(j / apart * apart * deep + j % apart);
        let slivers = tall.div_ceil(W::SLIVER);
        let mut near = MaybeUninit::<Near>::uninit();
        for j in (0..wide).step_by(W::PANEL) {
            let mut b = panel(j);
            let mut next = Next::NONE;
            if B > 1 {
                next = Next::panel(panel(j + W::PANEL), deep, slivers);
            }
            if B > 1 && W::NEAR {
                let to = near.as_mut_ptr().cast();
                // SAFETY: the panel is of this depth, at most DEEP.
                unsafe { W::near(b, deep, to) }
                b = to;
            }
            for i in (0..tall).step_by(W::SLIVER) {
                let rows = W::SLIVER.min(tall - i);
                if self.above.is_some_and(|above| (i + rows) as isize <= j as isize + above) {
                    continue;
                }
                // SAFETY: the part lies in the block.
                unsafe {
                    let part = Self {
                        a: self.a.add(i * deep),
                        b,
                        c: self.c.add(i + j * self.ldc),
                        shape: [rows, W::PANEL.min(wide - j), deep],
                        above: self.above.map(|above| above + j as isize - i as isize),
                        ..*self
                    };
                    let next = next.share(i / W::SLIVER, deep, apart);
                    if W::NEAR { part.some::<W, 1>(next) } else { part.some::<W, B>(next) }
                }
            }
        }
    }

    /// At most a sliver of rows and a panel of columns.
    ///
    /// # Safety
    /// As for [`Block::make`].
    #[inline(always)]
    unsafe fn some<W: Width, const B: usize>(self, next: Next) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.shape[0].div_ceil(W::PANEL) {
                1 => self.sums::<W, 1, B>(next),
                2 => self.sums::<W, 2, B>(next),
                _ => self.sums::<W, ABREAST, B>(next),
            }
        }
    }

    /// At most a panel of columns of `N` panels: into C at once, or where some are not to be made one by one.
    ///
    /// # Safety
    /// As for [`Block::make`].
    unsafe fn sums<W: Width, const N: usize, const B: usize>(self, next: Next) {
        let [rows, cols, deep] = self.shape;
        let full = rows == N * W::PANEL && cols == W::PANEL;
        let operands = [self.a, self.b];
        // SAFETY: as the caller vouches; `beside` has room for all sums.
        unsafe {
            if full && self.above.is_none_or(|above| above + W::PANEL as isize <= 1) {
                return W::kernel::<N, B>(operands, deep, self.c, self.ldc, self.into, next);
            }
            let mut beside = [[0.0; ABREAST * PANEL_MAX]; PANEL_MAX];
            W::kernel::<N, B>(operands, deep, beside.as_mut_ptr().cast(), ABREAST * PANEL_MAX, Into::Set, next);
            for (j, sums) in beside.iter().enumerate().take(cols) {
                let from = self.above.map_or(0, |above| (j as isize + above).clamp(0, rows as isize) as usize);
                for (i, sum) in sums.iter().enumerate().take(rows).skip(from) {
                    let c = self.c.add(i + j * self.ldc);
                    *c = match self.into {
                        Into::Less => *c - sum,
                        Into::More => *c + sum,
                        Into::Set => *sum,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::level::Level;

    /// Every sum by fused multiply-adds in order, in blocks of terms: what no width may change.
    fn by_hand(product: &Product, [x, y]: [&[f64]; 2], c: &[f64]) -> Vec<f64> {
        let [m, n, k] = product.shape;
        let mut out = c.to_vec();
        for j in 0..n {
            for i in if product.part == Part::Lower { j } else { 0 }..m {
                for from in (0..k).step_by(depth(k)) {
                    let terms = from..k.min(from + depth(k));
                    let sum = terms.fold(0.0, |sum: f64, p| x[i + p * m].mul_add(y[j + p * n], sum));
                    let entry = &mut out[i + j * m];
                    *entry = match product.into {
                        Into::Less => *entry - sum,
                        Into::Set if from == 0 => sum,
                        Into::More | Into::Set => *entry + sum,
                    };
                }
            }
        }
        out
    }

    /// As column-major rows × k and the transpose of it.
    fn operands(seed: f64, rows: usize, k: usize) -> [Vec<f64>; 2] {
        let value = |i: usize, p: usize| libm::sin(seed + (i * k + p) as f64);
        let columns = (0..rows * k).map(|e| value(e % rows, e / rows)).collect();
        [columns, (0..rows * k).map(|e| value(e / k, e % k)).collect()]
    }

    #[test]
    fn all_vectors_make_the_same_bits() {
        let all = Level::all().into_iter().filter_map(|level| match level {
            Level::Avx512 => Some(Vectors::Avx512),
            Level::Fma => Some(Vectors::Avx2),
            Level::Baseline => None,
        });
        let shapes = [[1, 1, 1], [4, 4, 3], [12, 8, 40], [24, 24, 513], [25, 9, 17], [130, 130, 1030], [63, 63, 7]];
        for (vectors, [m, n, k]) in all.flat_map(|vectors| shapes.map(|shape| (vectors, shape))) {
            let ([x, x_rows], [y, y_rows]) = (operands(0.5, m, k), operands(1.5, n, k));
            let start: Vec<f64> = (0..m * n).map(|e| libm::cos(e as f64)).collect();
            for (into, part) in [(Into::Less, Part::All), (Into::More, Part::Lower), (Into::Set, Part::Lower)] {
                if part == Part::Lower && m != n {
                    continue;
                }
                let [mut by_columns, mut by_rows, mut by_lines] = [(); 3].map(|()| start.clone());
                let shape = [m, n, k];
                let (a, b) = (Operand::columns(x.as_ptr(), m), Operand::columns(y.as_ptr(), n));
                let product = Product { a, b, c: by_columns.as_mut_ptr(), ldc: m, shape, into, part };
                let (a_rows, b_rows) = (Operand::rows(x_rows.as_ptr(), k), Operand::rows(y_rows.as_ptr(), k));
                let [lines_a, lines_b] = [(a, m), (b, n)].map(|(operand, rows)| {
                    let mut lines = vec![Line([0.0; LINE]); vectors.lines_of(rows, k)];
                    // SAFETY: the operand has the shape, and the lines are as many as it takes.
                    unsafe { vectors.lay(operand, [rows, k], lines.as_mut_ptr()) };
                    lines
                });
                // SAFETY: the operands and C have the shapes; the level was detected.
                unsafe {
                    vectors.make(&product);
                    vectors.make(&Product { a: a_rows, b: b_rows, c: by_rows.as_mut_ptr(), ..product });
                    let lines = [lines_a.as_ptr(), lines_b.as_ptr()];
                    vectors.make_laid(lines, (by_lines.as_mut_ptr(), m), shape, (into, part));
                }
                let want = by_hand(&product, [&x, &y], &start);
                let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                for got in [by_columns, by_rows, by_lines] {
                    assert!(bits(&got) == bits(&want), "{vectors:?} {m} {n} {k}");
                }
            }
        }
    }
}
