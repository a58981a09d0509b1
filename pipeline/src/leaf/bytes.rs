//! Scalar products of rows of bytes: sums of whole numbers, exact in every order.
//!
//! With the byte products of AVX-512 (VNNI: four to a lane and instruction) they cost an eighth of those of f64. The
//! loops are those of [`super::panels`]: 48 × 8 sums stay in registers. Elsewhere the product of f64 makes the same sums,
//! which are exact there too.

use super::product::{Into, Operand, Part, Product};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_pd, _mm512_castsi512_si256, _mm512_cvtepi32_pd, _mm512_dpbusd_epi32,
    _mm512_extracti64x4_epi64, _mm512_loadu_pd, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_pd,
};

/// Bytes of a row that are multiplied together.
const GROUP: usize = 4;
/// Rows of a line: the lanes of a vector.
const LANES: usize = 16;
/// Lines abreast, so that the kernel reads one stream.
const ABREAST: usize = 3;
/// Rows of a sliver.
const SLIVER: usize = LANES * ABREAST;
/// Columns at once.
const COLUMNS: usize = 8;
/// The most terms of a product: their sum fits 32 bits.
pub const TERMS_MAX: usize = 1024;

/// Four bytes of sixteen rows, in one line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([[u8; GROUP]; LANES]);

/// Which factor of a product rows of bytes are. The instruction takes bytes without a sign and bytes with one, so those of
/// the right factor have 128 taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// The rows of the result.
    #[default]
    Left,
    /// Its columns.
    Right,
}

/// A block of rows of bytes, laid out in slivers.
#[derive(Debug, Clone, Default)]
pub struct Bytes {
    side: Side,
    rows: usize,
    groups: usize,
    lines: Vec<Line>,
    /// 128 times the sum of each row's bytes, in the lanes of whole slivers.
    excess: Vec<i32>,
    /// A sliver of f64, where that is the product.
    wide: Vec<f64>,
}

impl Bytes {
    /// Makes room for `rows` rows of `terms` ≤ [`TERMS_MAX`] bytes, all to be set by [`Bytes::set`].
    pub fn start(&mut self, side: Side, rows: usize, terms: usize) {
        assert!(terms <= TERMS_MAX);
        (self.side, self.rows, self.groups) = (side, rows, terms.div_ceil(GROUP));
        let slivers = rows.div_ceil(SLIVER);
        self.lines.resize(slivers * self.groups * ABREAST, Line([[0; GROUP]; LANES]));
        self.excess.resize(slivers * SLIVER, 0);
    }

    /// Sets a row; bytes beyond those that are given are zero.
    pub fn set(&mut self, row: usize, bytes: &[u8]) {
        let flip = if self.side == Side::Right { 0x80 } else { 0 };
        let (sliver, line, lane) = (row / SLIVER, row % SLIVER / LANES, row % LANES);
        let lines = &mut self.lines[sliver * self.groups * ABREAST..][..self.groups * ABREAST];
        let (whole, rest) = bytes.as_chunks::<GROUP>();
        for (lines, group) in lines.chunks_exact_mut(ABREAST).zip(whole) {
            lines[line].0[lane] = group.map(|byte| byte ^ flip);
        }
        for (group, lines) in lines.chunks_exact_mut(ABREAST).enumerate().skip(whole.len()) {
            let mut last = [0; GROUP];
            if group == whole.len() {
                last[..rest.len()].copy_from_slice(rest);
            }
            lines[line].0[lane] = last.map(|byte| byte ^ flip);
        }
        self.excess[row] = 128 * bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>();
    }

    /// Bytes of memory of two factors with this many rows of so many terms, which are multiplied in parts of
    /// [`TERMS_MAX`].
    pub fn memory(rows: usize, terms: usize) -> usize {
        let (rows, terms) = (rows.next_multiple_of(SLIVER), terms.min(TERMS_MAX).next_multiple_of(GROUP));
        let wide = if has_instructions() { 0 } else { SLIVER * terms * size_of::<f64>() };
        2 * (rows * (terms + size_of::<i32>()) + wide)
    }

    /// A sliver as f64, row-major.
    fn widen(&mut self, sliver: usize) -> *const f64 {
        let flip = if self.side == Side::Right { 0x80 } else { 0 };
        let terms = self.groups * GROUP;
        self.wide.resize(SLIVER * terms, 0.0);
        let lines = &self.lines[sliver * self.groups * ABREAST..][..self.groups * ABREAST];
        for (at, line) in lines.iter().enumerate() {
            for (lane, group) in line.0.iter().enumerate() {
                let place = (at % ABREAST * LANES + lane) * terms + at / ABREAST * GROUP;
                self.wide[place..][..GROUP].copy_from_slice(&group.map(|byte| f64::from(byte ^ flip)));
            }
        }
        self.wide.as_ptr()
    }
}

/// `out ← X·Yᵀ` of rows of bytes, or with `more` `out + X·Yᵀ`: `out[i + j·rows]`, column-major. With `lower` only entries with
/// i ≥ j are sure to be made. The sums are exact while they are below 2⁵³.
///
/// `x` is a [`Side::Left`] and `y` a [`Side::Right`] of as many rows and terms; `out` is rows × rows.
pub fn byte_products(x: &mut Bytes, y: &mut Bytes, out: &mut [f64], (more, lower): (bool, bool)) {
    assert!(x.side == Side::Left && y.side == Side::Right && x.rows == y.rows && x.groups == y.groups);
    assert_eq!(out.len(), x.rows * y.rows);
    #[cfg(target_arch = "x86_64")]
    if has_instructions() {
        // SAFETY: the processor has the instructions; the lengths are those of the shapes.
        return unsafe { slivers(x, y, out.as_mut_ptr(), (more, lower)) };
    }
    by_f64(x, y, out, (more, lower));
}

/// Whether the processor multiplies bytes.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The same as products of f64.
fn by_f64(x: &mut Bytes, y: &mut Bytes, out: &mut [f64], (more, lower): (bool, bool)) {
    let (rows, terms) = (x.rows, x.groups * GROUP);
    let into = if more { Into::More } else { Into::Set };
    for j in (0..rows).step_by(SLIVER) {
        let b = Operand::rows(y.widen(j / SLIVER), terms);
        for i in (if lower { j } else { 0 }..rows).step_by(SLIVER) {
            let a = Operand::rows(x.widen(i / SLIVER), terms);
            let (c, shape) = (out[i + j * rows..].as_mut_ptr(), [SLIVER.min(rows - i), SLIVER.min(rows - j), terms]);
            // SAFETY: the slivers have rows for this part of `out`, which is rows × rows.
            unsafe { Product { a, b, c, ldc: rows, shape, into, part: Part::All }.make() }
        }
    }
}

/// # Safety
/// `out` is rows × rows; the processor has AVX-512 F and VNNI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn slivers(x: &Bytes, y: &Bytes, out: *mut f64, (more, lower): (bool, bool)) {
    let (rows, groups) = (x.rows, x.groups);
    for j in (0..rows).step_by(COLUMNS) {
        for i in (if lower { j / SLIVER * SLIVER } else { 0 }..rows).step_by(SLIVER) {
            let (tall, wide) = (SLIVER.min(rows - i), COLUMNS.min(rows - j));
            // SAFETY: the slivers are there, and the part lies in `out`; `beside` has room for all sums.
            unsafe {
                let a = x.lines.as_ptr().add(i / SLIVER * groups * ABREAST);
                let b = y.lines.as_ptr().add(j / SLIVER * groups * ABREAST).cast::<i32>().add(j % SLIVER);
                let (excess, c) = (x.excess.as_ptr().add(i), out.add(i + j * rows));
                let sums = match tall.div_ceil(LANES) {
                    1 => kernel::<1>,
                    2 => kernel::<2>,
                    _ => kernel::<ABREAST>,
                };
                if tall.is_multiple_of(LANES) && wide == COLUMNS {
                    sums(a, b, groups, excess, (c, rows), more);
                    continue;
                }
                let mut beside = [[0.0; SLIVER]; COLUMNS];
                sums(a, b, groups, excess, (beside.as_mut_ptr().cast(), SLIVER), false);
                for (j, sums) in beside.iter().enumerate().take(wide) {
                    for (i, sum) in sums.iter().enumerate().take(tall) {
                        let c = c.add(i + j * rows);
                        *c = if more { *c + sum } else { *sum };
                    }
                }
            }
        }
    }
}

/// All sums of `N` lines of rows with eight columns, in registers.
///
/// # Safety
/// `a` and `b` lie in slivers of `groups` groups; there is excess for `N` lines, and `c` has room for 16·`N` × 8.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
#[allow(clippy::needless_range_loop, reason = "iterators are not inlined with the instructions")]
unsafe fn kernel<const N: usize>(
    a: *const Line,
    b: *const i32,
    groups: usize,
    excess: *const i32,
    (c, ldc): (*mut f64, usize),
    more: bool,
) {
    let mut sums: [[__m512i; N]; COLUMNS] = [[_mm512_setzero_si512(); N]; COLUMNS];
    // SAFETY: as the caller vouches.
    unsafe {
        for g in 0..groups {
            let mut lines = [_mm512_setzero_si512(); N];
            for i in 0..N {
                lines[i] = _mm512_loadu_si512(a.add(g * ABREAST + i).cast());
            }
            for j in 0..COLUMNS {
                let column = _mm512_set1_epi32(*b.add(g * SLIVER + j));
                for i in 0..N {
                    sums[j][i] = _mm512_dpbusd_epi32(sums[j][i], lines[i], column);
                }
            }
        }
        for i in 0..N {
            let excess = _mm512_loadu_si512(excess.add(i * LANES).cast());
            for j in 0..COLUMNS {
                let sum = _mm512_add_epi32(sums[j][i], excess);
                let (low, high) = (_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
                for (at, half) in [(0, low), (LANES / 2, high)] {
                    let c = c.add(j * ldc + i * LANES + at);
                    let mut sum = _mm512_cvtepi32_pd(half);
                    if more {
                        sum = _mm512_add_pd(_mm512_loadu_pd(c), sum);
                    }
                    _mm512_storeu_pd(c, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of some rows, the largest and the least among them.
    fn bytes(rows: usize, terms: usize, seed: u32) -> Vec<Vec<u8>> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..rows).map(|row| (0..terms).map(|_| if row == 1 { 255 } else { next() }).collect()).collect()
    }

    fn laid(side: Side, rows: &[Vec<u8>]) -> Bytes {
        let mut laid = Bytes::default();
        // What an earlier block left behind must not count.
        laid.start(side, rows.len() + 3, TERMS_MAX);
        (0..rows.len() + 3).for_each(|row| laid.set(row, &[77; TERMS_MAX]));
        laid.start(side, rows.len(), rows[0].len());
        rows.iter().enumerate().for_each(|(row, bytes)| laid.set(row, bytes));
        laid
    }

    #[test]
    fn sums_are_those_of_whole_numbers() {
        for (rows, terms) in [(1, 1), (7, 3), (16, 4), (48, 64), (50, 65), (100, 784), (33, TERMS_MAX)] {
            let (x, y) = (bytes(rows, terms, 1), bytes(rows, terms, 2));
            let (mut a, mut b) = (laid(Side::Left, &x), laid(Side::Right, &y));
            for lower in [false, true] {
                let (mut out, mut twin) = (vec![f64::NAN; rows * rows], vec![f64::NAN; rows * rows]);
                for more in [false, true] {
                    byte_products(&mut a, &mut b, &mut out, (more, lower));
                    by_f64(&mut a, &mut b, &mut twin, (more, lower));
                }
                for (j, y) in y.iter().enumerate() {
                    for (i, x) in x.iter().enumerate().skip(if lower { j } else { 0 }) {
                        let sum: u64 = x.iter().zip(y).map(|(x, y)| u64::from(*x) * u64::from(*y)).sum();
                        let want = (2 * sum) as f64;
                        assert_eq!([out[i + j * rows], twin[i + j * rows]], [want; 2], "{rows} {terms}: {i}, {j}");
                    }
                }
            }
        }
    }
}
