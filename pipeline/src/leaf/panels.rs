//! Products with AVX-512, in panels of eight rows.

use super::laid::{Line, PANEL};
use super::product::{Into, Operand, Part, Product};
use std::arch::x86_64::{
    __cpuid_count, __m512d, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_pd, _mm512_fmadd_pd, _mm512_loadu_pd,
    _mm512_permutex2var_pd, _mm512_set_epi64, _mm512_set1_pd, _mm512_setzero_pd, _mm512_shuffle_f64x2,
    _mm512_storeu_pd, _mm512_sub_pd, _mm512_unpackhi_pd, _mm512_unpacklo_pd,
};
use std::cell::RefCell;
use std::sync::OnceLock;

/// Panels of A whose sums with a panel of B are in registers at once: 24 sums of eight, of 32 registers.
const ABREAST: usize = 3;
/// Rows of a sliver of A, whose panels lie abreast column by column, so that the kernel reads one stream. A tile that is to be
/// either operand is laid out so too; a block of B is laid out in single panels, which is a little faster.
const SLIVER: usize = PANEL * ABREAST;
/// The most terms between two visits to C.
const DEEP: usize = 512;
/// Terms by which the kernel asks for a sliver ahead.
const AHEAD: usize = 32;
/// Rows of a block of B.
const WIDE: usize = 2048;
/// Panels that are laid out together.
const TOGETHER: usize = 12;

/// Rows of a block of A, of whole slivers; no bit depends on it.
///
/// AMD's last-level cache feeds the kernel: the slivers of a whole tile of 1024 stream from there past a panel of B, which is
/// the faster the fewer the blocks. Elsewhere that cache is too far, and a block takes half of the second-level cache.
fn tall() -> usize {
    static TALL: OnceLock<usize> = OnceLock::new();
    *TALL.get_or_init(|| match second_level() {
        Some(bytes) => (bytes / 2 / (DEEP * size_of::<f64>()) / SLIVER).clamp(2, 44) * SLIVER,
        None => 44 * SLIVER,
    })
}

/// Bytes of the second-level cache, if slivers are to lie there. It is told as Intel's processors tell it (Intel SDM, vol. 2A, CPUID
/// leaf 4); AMD's leave that leaf empty.
#[allow(unused_unsafe, reason = "reading CPUID is unsafe for Rust before 1.94")]
fn second_level() -> Option<usize> {
    // SAFETY: every 64-bit x86 processor has CPUID.
    let leaf = |leaf, index| unsafe { __cpuid_count(leaf, index) };
    let caches = (0..8).filter(|_| leaf(0, 0).eax >= 4).map(|i| leaf(4, i)).take_while(|cache| cache.eax & 31 != 0);
    let second = caches.filter(|cache| (cache.eax >> 5) & 7 == 2).last()?;
    let field = |from: u32, bits: u32| ((second.ebx >> from) & ((1 << bits) - 1)) as usize + 1;
    Some(field(22, 10) * field(12, 10) * field(0, 12) * (second.ecx as usize + 1))
}

#[derive(Default)]
struct Buffers {
    a: Vec<Line>,
    b: Vec<Line>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Bytes of the buffers of a thread, if no operand has more than `side` rows or columns.
pub(super) fn bytes_at(side: usize) -> usize {
    size_of::<Line>() * side.min(DEEP) * (slivers(side.min(tall())) + side.min(WIDE).div_ceil(PANEL))
}

/// Panels of slivers that hold so many rows.
fn slivers(rows: usize) -> usize {
    rows.div_ceil(SLIVER) * ABREAST
}

/// The terms of a block, of k: as many blocks as must be, of equal depth but for the last.
fn depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEEP))
}

/// Makes a product.
///
/// # Safety
/// As for [`Product::make`]; k > 0, and the processor has AVX-512 F.
pub(super) unsafe fn make(product: &Product) {
    BUFFERS.with_borrow_mut(|Buffers { a, b }| {
        let [m, n, k] = product.shape;
        let depth = depth(k);
        grow(a, depth * slivers(m.min(tall())));
        grow(b, depth * n.min(WIDE).div_ceil(PANEL));
        // SAFETY: as the caller vouches; the buffers hold a block of either.
        unsafe { blocks(product, depth, a.as_mut_ptr().cast(), b.as_mut_ptr().cast()) }
    });
}

fn grow(lines: &mut Vec<Line>, len: usize) {
    if lines.len() < len {
        lines.resize(len, Line([0.0; PANEL]));
    }
}

/// # Safety
/// As for [`make`]; `a` and `b` have room for a block of A and of B of this depth.
#[target_feature(enable = "avx512f")]
unsafe fn blocks(product: &Product, depth: usize, a: *mut f64, b: *mut f64) {
    let [m, n, k] = product.shape;
    let most = tall();
    for j in (0..n).step_by(WIDE) {
        let wide = WIDE.min(n - j);
        for p in (0..k).step_by(depth) {
            let deep = depth.min(k - p);
            let into = if p == 0 { product.into } else { next(product.into) };
            // SAFETY: the blocks lie in the operands.
            unsafe { lay::<1>(product.b, [j, p], [wide, deep], b) }
            for i in (0..m).step_by(most) {
                let tall = most.min(m - i);
                if product.part == Part::Lower && i + tall <= j {
                    continue;
                }
                // SAFETY: as above; the block of C lies in C.
                unsafe {
                    lay::<ABREAST>(product.a, [i, p], [tall, deep], a);
                    let c = product.c.add(i + j * product.ldc);
                    let above = if product.part == Part::Lower { Some(j as isize - i as isize) } else { None };
                    Block { a, b, c, ldc: product.ldc, shape: [tall, wide, deep], into, above }.make::<1>();
                }
            }
        }
    }
}

/// Lines of `rows` rows of `k` terms, laid out whole.
pub(super) fn lines_of(rows: usize, k: usize) -> usize {
    slivers(rows) * k
}

/// Lays out `rows` rows of `k` terms for [`make_laid`]: a block of terms after the other.
///
/// # Safety
/// The operand is rows × k, `to` has [`lines_of`] them, and the processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn lay_whole(from: Operand, [rows, k]: [usize; 2], to: *mut Line) {
    let depth = depth(k);
    for p in (0..k).step_by(depth) {
        // SAFETY: the block lies in the operand, and its lines follow those of the blocks before.
        unsafe { lay::<ABREAST>(from, [0, p], [rows, depth.min(k - p)], to.add(lines_of(rows, p)).cast()) }
    }
}

/// A product of two operands that are laid out, `m` × `k` and `n` × `k`: that of [`make`], bit for bit.
///
/// # Safety
/// As for [`make`]; `a` and `b` are what [`lay_whole`] made.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn make_laid(
    [a, b]: [*const Line; 2],
    (c, ldc): (*mut f64, usize),
    shape: [usize; 3],
    how: (Into, Part),
) {
    let ([m, n, k], (into, part)) = (shape, how);
    let (depth, most) = (depth(k), tall());
    for p in (0..k).step_by(depth) {
        let deep = depth.min(k - p);
        let into = if p == 0 { into } else { next(into) };
        for i in (0..m).step_by(most) {
            let tall = most.min(m - i);
            let above = if part == Part::Lower { Some(-(i as isize)) } else { None };
            // SAFETY: whole slivers of either, and a block that lies in C.
            unsafe {
                let a = a.add(lines_of(m, p)).cast::<f64>().add(i * deep);
                let b = b.add(lines_of(n, p)).cast();
                Block { a, b, c: c.add(i), ldc, shape: [tall, n, deep], into, above }.make::<ABREAST>();
            }
        }
    }
}

/// What becomes of C with the terms after the first block.
fn next(into: Into) -> Into {
    if into == Into::Less { Into::Less } else { Into::More }
}

/// Lays rows out in panels, `N` abreast: of these the first column, then the second, …; what is missing of a panel is zero.
///
/// # Safety
/// The operand has `rows` rows from `i` on and `cols` columns from `p` on, and `to` has room for whole panels, `N` abreast.
#[target_feature(enable = "avx512f")]
unsafe fn lay<const N: usize>(from: Operand, [i, p]: [usize; 2], [rows, cols]: [usize; 2], to: *mut f64) {
    let whole = rows / PANEL;
    let start = |panel: usize| (panel / N * cols * N + panel % N) * PANEL;
    // SAFETY: what is read lies below rows and cols, what is written in whole panels.
    unsafe {
        let at = from.at.add(i * from.row + p * from.col);
        if from.row == 1 {
            // Columns in few pages at a time on either side.
            for first in (0..whole).step_by(TOGETHER) {
                for p in 0..cols {
                    let column = at.add(p * from.col);
                    for panel in first..whole.min(first + TOGETHER) {
                        let eight = _mm512_loadu_pd(column.add(panel * PANEL));
                        _mm512_storeu_pd(to.add(start(panel) + p * N * PANEL), eight);
                    }
                }
            }
        } else {
            let even = cols - cols % PANEL;
            for panel in 0..whole {
                let (rows, to) = (at.add(panel * PANEL * from.row), to.add(start(panel)));
                for p in (0..even).step_by(PANEL) {
                    transpose::<N>(rows.add(p), from.row, to.add(p * N * PANEL));
                }
                for p in even..cols {
                    for row in 0..PANEL {
                        *to.add(p * N * PANEL + row) = *rows.add(row * from.row + p);
                    }
                }
            }
        }
        if whole * PANEL < rows {
            for p in 0..cols {
                for row in 0..PANEL {
                    let i = whole * PANEL + row;
                    let value = if i < rows { *at.add(i * from.row + p * from.col) } else { 0.0 };
                    *to.add(start(whole) + p * N * PANEL + row) = value;
                }
            }
        }
    }
}

/// Eight rows of eight numbers become eight columns of a panel, `N` abreast.
///
/// # Safety
/// `rows` has eight rows of eight with leading dimension `ld`; `to` is in such a panel.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn transpose<const N: usize>(rows: *const f64, ld: usize, to: *mut f64) {
    // SAFETY: as the caller vouches.
    let row = |i: usize| unsafe { _mm512_loadu_pd(rows.add(i * ld)) };
    let pairs = |i: usize| {
        let (even, odd) = (row(i), row(i + 1));
        [_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd)]
    };
    let [p0, p1, p2, p3] = [pairs(0), pairs(2), pairs(4), pairs(6)];
    let first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    for odd in 0..2 {
        // Columns odd, odd + 4 of the four upper rows side by side, then odd + 2, odd + 6; so of the lower.
        let upper = [first, second].map(|take| _mm512_permutex2var_pd(p0[odd], take, p1[odd]));
        let lower = [first, second].map(|take| _mm512_permutex2var_pd(p2[odd], take, p3[odd]));
        for half in 0..2 {
            let low = _mm512_shuffle_f64x2::<0b01_00_01_00>(upper[half], lower[half]);
            let high = _mm512_shuffle_f64x2::<0b11_10_11_10>(upper[half], lower[half]);
            // SAFETY: as the caller vouches.
            unsafe {
                _mm512_storeu_pd(to.add((2 * half + odd) * N * PANEL), low);
                _mm512_storeu_pd(to.add((2 * half + odd + 4) * N * PANEL), high);
            }
        }
    }
}

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
    #[target_feature(enable = "avx512f")]
    unsafe fn make<const B: usize>(&self) {
        let [tall, wide, deep] = self.shape;
        let panel = |j: usize| self.b.wrapping_add(j / (B * PANEL) * B * PANEL * deep + j % (B * PANEL));
        // Of panels that lie apart the next is fetched while slivers of A pass by one, some of it with each.
        let each = deep.div_ceil(tall.div_ceil(SLIVER));
        for j in (0..wide).step_by(PANEL) {
            let next = panel(j + PANEL);
            for i in (0..tall).step_by(SLIVER) {
                if B > 1 {
                    for p in i / SLIVER * each..(i / SLIVER + 1) * each {
                        _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(p * B * PANEL).cast());
                    }
                }
                let rows = SLIVER.min(tall - i);
                if self.above.is_some_and(|above| (i + rows) as isize <= j as isize + above) {
                    continue;
                }
                // SAFETY: the part lies in the block.
                unsafe {
                    let (a, b) = (self.a.add(i * deep), panel(j));
                    let part = Self {
                        a,
                        b,
                        c: self.c.add(i + j * self.ldc),
                        shape: [rows, PANEL.min(wide - j), deep],
                        above: self.above.map(|above| above + j as isize - i as isize),
                        ..*self
                    };
                    match rows.div_ceil(PANEL) {
                        1 => part.sums::<1, B>(),
                        2 => part.sums::<2, B>(),
                        _ => part.sums::<ABREAST, B>(),
                    }
                }
            }
        }
    }

    /// At most eight columns of `N` panels: into C at once, or where some are not to be made one by one.
    ///
    /// # Safety
    /// As for [`Block::make`].
    #[target_feature(enable = "avx512f")]
    unsafe fn sums<const N: usize, const B: usize>(self) {
        let [rows, cols, deep] = self.shape;
        let whole = rows == N * PANEL && cols == PANEL && self.above.is_none_or(|above| above + PANEL as isize <= 1);
        // SAFETY: as the caller vouches; `beside` has room for all sums.
        unsafe {
            if whole {
                return kernel::<N, B>(self.a, self.b, deep, self.c, self.ldc, self.into);
            }
            let mut beside = [[0.0; SLIVER]; PANEL];
            kernel::<N, B>(self.a, self.b, deep, beside.as_mut_ptr().cast(), SLIVER, Into::Set);
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

/// All sums of the first `N` panels of a sliver of A and one panel of B, in registers.
///
/// # Safety
/// The panels are `deep` columns deep, those of B `B` abreast; `c` is 8·N × 8 with leading dimension `ldc`.
#[target_feature(enable = "avx512f")]
#[allow(clippy::needless_range_loop, reason = "iterators are not inlined with the instructions")]
unsafe fn kernel<const N: usize, const B: usize>(
    a: *const f64,
    b: *const f64,
    deep: usize,
    c: *mut f64,
    ldc: usize,
    into: Into,
) {
    let mut sums = [[_mm512_setzero_pd(); N]; PANEL];
    // SAFETY: as the caller vouches; a prefetch may name any address.
    unsafe {
        for j in 0..PANEL {
            for i in 0..N {
                _mm_prefetch::<_MM_HINT_T0>(c.add(j * ldc + i * PANEL).cast());
            }
            _mm_prefetch::<_MM_HINT_T0>(c.add(j * ldc + N * PANEL - 1).cast());
        }
        for p in 0..deep {
            for i in 0..N {
                _mm_prefetch::<_MM_HINT_T0>(a.wrapping_add((p + AHEAD) * SLIVER + i * PANEL).cast());
            }
            let mut column = [_mm512_setzero_pd(); N];
            for i in 0..N {
                column[i] = _mm512_loadu_pd(a.add(p * SLIVER + i * PANEL));
            }
            for j in 0..PANEL {
                let factor = _mm512_set1_pd(*b.add(p * B * PANEL + j));
                for i in 0..N {
                    sums[j][i] = _mm512_fmadd_pd(column[i], factor, sums[j][i]);
                }
            }
        }
        for j in 0..PANEL {
            for i in 0..N {
                let c = c.add(j * ldc + i * PANEL);
                let sum: __m512d = match into {
                    Into::Less => _mm512_sub_pd(_mm512_loadu_pd(c), sums[j][i]),
                    Into::More => _mm512_add_pd(_mm512_loadu_pd(c), sums[j][i]),
                    Into::Set => sums[j][i],
                };
                _mm512_storeu_pd(c, sum);
            }
        }
    }
}
