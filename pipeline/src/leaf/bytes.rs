//! Scalar products of rows of bytes: sums of whole numbers, exact in every order.
//!
//! With the byte products of AVX-512 (VNNI: four to a lane and instruction) they cost an eighth of those of f64, with the
//! products of words of AVX2 (two to a lane and instruction) a third or half. Elsewhere the product of f64 makes the same
//! sums, which are exact there too.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod vnni;

use super::product::{Into, Operand, Part, Product};

/// Bytes of a row that are multiplied together.
const GROUP: usize = 4;
/// Rows of a line: the lanes of a vector.
const LANES: usize = 16;
/// Lines abreast, so that the kernel reads one stream.
const ABREAST: usize = 3;
/// Rows of a sliver.
const SLIVER: usize = LANES * ABREAST;
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
        let wide = if Way::all().next().is_some() { 0 } else { SLIVER * terms * size_of::<f64>() };
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
    by(Way::all().next(), x, y, out, (more, lower));
}

fn by(way: Option<Way>, x: &mut Bytes, y: &mut Bytes, out: &mut [f64], (more, lower): (bool, bool)) {
    match way {
        // SAFETY: the processor has the instructions; the lengths are those of the shapes.
        #[cfg(target_arch = "x86_64")]
        Some(Way::Vnni) => unsafe { vnni::slivers(x, y, out.as_mut_ptr(), (more, lower)) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Some(Way::Avx2) => unsafe { avx2::slivers(x, y, out.as_mut_ptr(), (more, lower)) },
        None => by_f64(x, y, out, (more, lower)),
    }
}

/// How this processor may multiply whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Way {
    /// All ways of this processor, the best first.
    fn all() -> impl Iterator<Item = Way> {
        #[cfg(target_arch = "x86_64")]
        let all = [
            (Way::Vnni, is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")),
            (Way::Avx2, is_x86_feature_detected!("avx2")),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let all: [(Way, bool); 0] = [];
        all.into_iter().filter(|(_, has)| *has).map(|(way, _)| way)
    }
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
        for (rows, terms) in [(1, 1), (7, 3), (16, 4), (48, 64), (50, 65), (300, 784), (33, TERMS_MAX)] {
            let (x, y) = (bytes(rows, terms, 1), bytes(rows, terms, 2));
            let (mut a, mut b) = (laid(Side::Left, &x), laid(Side::Right, &y));
            for lower in [false, true] {
                let ways = Way::all().map(Some).chain([None]).map(|way| {
                    let mut out = vec![f64::NAN; rows * rows];
                    for more in [false, true] {
                        by(way, &mut a, &mut b, &mut out, (more, lower));
                    }
                    (way, out)
                });
                let ways: Vec<_> = ways.collect();
                for (j, y) in y.iter().enumerate() {
                    for (i, x) in x.iter().enumerate().skip(if lower { j } else { 0 }) {
                        let sum: u64 = x.iter().zip(y).map(|(x, y)| u64::from(*x) * u64::from(*y)).sum();
                        for (way, out) in &ways {
                            assert_eq!(out[i + j * rows], (2 * sum) as f64, "{way:?} {rows} {terms}: {i}, {j}");
                        }
                    }
                }
            }
        }
    }
}
