//! Solves with a small triangle, many rows at once, in registers.
//!
//! A row of the right-hand side does not feel the others, so rows lie across the lanes of vectors. A strip of rows is
//! copied together; it is solved eight columns at a time, first a product of the earlier columns in
//! registers, then the eight among themselves; and copied back. The operations of an entry follow from its column
//! alone. They are those of the triple loop, but for a product with the inverse of the diagonal instead of a division.

#[cfg(target_arch = "x86_64")]
use super::twelve;
use super::vector::{Portable, Vector};
use crate::kernel::level::Level;
use std::cell::RefCell;

/// The largest triangle.
pub(super) const SIDE: usize = 128;
/// Vectors abreast. With eight columns they are 24 sums, which fit the registers of AVX-512; with four columns those of AVX2.
const VECTORS: usize = 3;
/// Columns whose factors are laid out together: the most at once.
const COLUMNS: usize = 8;
/// Rows of a strip: three vectors of eight, or twice three of four.
const ROWS: usize = 24;

/// Bytes of the buffers of a thread.
pub(super) const BYTES: usize = size_of::<Buffers>();

/// A column of a strip, where no vector lies across two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Column([f64; ROWS]);

const ZEROS: Column = Column([0.0; ROWS]);

type Strip = [Column; SIDE];

struct Buffers {
    triangle: Triangle,
    strip: Strip,
}

thread_local! {
    static BUFFERS: RefCell<Box<Buffers>> = RefCell::new(Box::new(Buffers {
        triangle: Triangle {
            factors: [[[0.0; COLUMNS]; SIDE]; SIDE / COLUMNS],
            inverses: [0.0; SIDE],
            side: 0,
            forward: true,
        },
        strip: [ZEROS; SIDE],
    }));
}

/// A triangle laid out for the solve, its unknowns in the order in which they are found.
struct Triangle {
    /// `factors[b][k][c]`: what unknown 8·b + c takes of unknown k before it.
    factors: [[[f64; COLUMNS]; SIDE]; SIDE / COLUMNS],
    /// Those of the diagonal.
    inverses: [f64; SIDE],
    side: usize,
    forward: bool,
}

impl Triangle {
    /// Lays out the lower triangle `l` of side `n` ≤ [`SIDE`]: for `C·L⁻ᵀ` if `forward`, else for `C·L⁻¹`.
    ///
    /// # Safety
    /// `l` is n × n with leading dimension `ldl`.
    unsafe fn load(&mut self, l: *const f64, ldl: usize, n: usize, forward: bool) {
        (self.side, self.forward) = (n, forward);
        for column in 0..n {
            // SAFETY: the places are below n, in both directions.
            let at = |row: usize| unsafe { *l.add(row + column * ldl) };
            self.inverses[self.unknown(column)] = 1.0 / at(column);
            for row in column + 1..n {
                let (one, other) = (self.unknown(row), self.unknown(column));
                let (earlier, later) = (one.min(other), one.max(other));
                self.factors[later / COLUMNS][earlier][later % COLUMNS] = at(row);
            }
        }
    }

    /// The place of a column in the order in which they are found, and the column of a place.
    fn unknown(&self, column: usize) -> usize {
        if self.forward { column } else { self.side - 1 - column }
    }
}

/// `C ← C·L⁻ᵀ` if `forward`, else `C ← C·L⁻¹`, for a triangle of side `n` ≤ [`SIDE`].
///
/// # Safety
/// `c` is rows × n with leading dimension `ldc`, `l` n × n with `ldl`, and they do not overlap.
pub(super) unsafe fn solve(c: *mut f64, ldc: usize, l: *const f64, ldl: usize, [rows, n]: [usize; 2], forward: bool) {
    if rows == 0 || n == 0 {
        return;
    }
    BUFFERS.with_borrow_mut(|buffers| {
        // SAFETY: as the caller vouches.
        unsafe { buffers.triangle.load(l, ldl, n, forward) };
        let rows = Rows { buffers, c, ldc, rows };
        match Level::detect() {
            // SAFETY: the level was detected on this processor.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512(rows) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Fma => unsafe { avx2(rows) },
            Level::Baseline => rows.all::<Portable, COLUMNS>(),
        }
    });
}

struct Rows<'a> {
    buffers: &'a mut Buffers,
    c: *mut f64,
    ldc: usize,
    rows: usize,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(rows: Rows<'_>) {
    rows.all::<std::arch::x86_64::__m512d, COLUMNS>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(rows: Rows<'_>) {
    rows.all::<std::arch::x86_64::__m256d, { COLUMNS / 2 }>();
}

/// How a vector takes what is found from the sums.
trait Solver: Vector {
    /// `sums ← sums − factors·found`, for so many unknowns, in order.
    ///
    /// # Safety
    /// `found` are rows of as many columns of a strip, `factors` those of [`Triangle`] from one on; the processor has the
    /// instructions.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "the sums stay in registers")]
    unsafe fn take_found<const C: usize>(
        sums: &mut [[Self; VECTORS]; C],
        [found, factors]: [*const f64; 2],
        unknowns: usize,
    ) {
        for k in 0..unknowns {
            for c in 0..C {
                // SAFETY: as the caller vouches.
                unsafe {
                    let factor = Self::splat(*factors.add(k * COLUMNS + c));
                    for v in 0..VECTORS {
                        let found = Self::load(found.add(k * ROWS + v * Self::LANES));
                        sums[c][v] = sums[c][v].minus_product(factor, found);
                    }
                }
            }
        }
    }
}

impl Solver for Portable {}
#[cfg(target_arch = "x86_64")]
impl Solver for std::arch::x86_64::__m512d {}
#[cfg(target_arch = "x86_64")]
impl Solver for std::arch::x86_64::__m256d {
    #[inline(always)]
    unsafe fn take_found<const C: usize>(sums: &mut [[Self; VECTORS]; C], operands: [*const f64; 2], unknowns: usize) {
        assert!(C == twelve::COLUMNS && unknowns.is_multiple_of(twelve::TOGETHER));
        const { assert!(VECTORS * Self::LANES == twelve::ROWS) }
        if unknowns > 0 {
            // SAFETY: as the caller vouches; the sums are what they are called where there are so many.
            unsafe {
                let sums = &mut *std::ptr::from_mut(sums).cast::<twelve::Sums>();
                twelve::minus::<ROWS, COLUMNS>(sums, operands, unknowns / twelve::TOGETHER);
            }
        }
    }
}

impl Rows<'_> {
    /// `C` columns at once.
    #[inline(always)]
    fn all<V: Solver, const C: usize>(self) {
        let Buffers { triangle, strip } = self.buffers;
        let n = triangle.side;
        for from in (0..self.rows).step_by(ROWS) {
            // SAFETY: `solve`'s caller vouches for rows × n entries, of which these are some.
            let entries = |unknown| unsafe { self.c.add(from + triangle.unknown(unknown) * self.ldc) };
            for (unknown, column) in strip.iter_mut().take(n).enumerate() {
                // SAFETY: as above.
                unsafe { copy(entries(unknown), column.0.as_mut_ptr(), self.rows - from) }
            }
            for first in (0..n).step_by(C) {
                for row in (0..ROWS).step_by(VECTORS * V::LANES) {
                    some::<V, C>(strip, triangle, first, row);
                }
            }
            for (unknown, column) in strip.iter().take(n).enumerate() {
                // SAFETY: as above.
                unsafe { copy(column.0.as_ptr(), entries(unknown), self.rows - from) }
            }
        }
    }
}

/// Copies a column of a strip, or the fewer `rows` that are left; a whole one without a call.
///
/// # Safety
/// There are as many numbers at either place, and they do not overlap.
#[inline(always)]
unsafe fn copy(from: *const f64, to: *mut f64, rows: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        if rows >= ROWS {
            std::ptr::copy_nonoverlapping(from, to, ROWS);
        } else {
            std::ptr::copy_nonoverlapping(from, to, rows);
        }
    }
}

/// The `C` unknowns from `first` on, those before being found, in the rows from `row` on. Loops over indices and arrays of
/// known lengths: with iterators the compiler keeps the sums in memory, at half the speed.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the sums stay in registers")]
fn some<V: Solver, const C: usize>(x: &mut Strip, triangle: &Triangle, first: usize, row: usize) {
    let (found, unknown) = x.split_at_mut(first);
    let Some(unknown) = unknown.first_chunk_mut::<C>() else { return };
    assert!(row + VECTORS * V::LANES <= ROWS);
    let mut sums = [[V::splat(0.0); VECTORS]; C];
    for c in 0..C {
        for v in 0..VECTORS {
            // SAFETY: the vectors lie in the column, as asserted.
            sums[c][v] = unsafe { V::load(unknown[c].0.as_ptr().add(row + v * V::LANES)) };
        }
    }
    let (factors, at) = (&triangle.factors[first / COLUMNS], first % COLUMNS);
    // SAFETY: as above; of the factors, too, there are as many as of what is found.
    unsafe {
        let operands = [found.as_ptr().cast::<f64>().add(row), factors.as_ptr().cast::<f64>().add(at)];
        V::take_found(&mut sums, operands, first);
    }
    let (factors, inverses) = (&factors[first..first + C], &triangle.inverses[first..first + C]);
    one::<V, C, 0>(&mut sums, factors, at, inverses);
    one::<V, C, 1>(&mut sums, factors, at, inverses);
    one::<V, C, 2>(&mut sums, factors, at, inverses);
    one::<V, C, 3>(&mut sums, factors, at, inverses);
    one::<V, C, 4>(&mut sums, factors, at, inverses);
    one::<V, C, 5>(&mut sums, factors, at, inverses);
    one::<V, C, 6>(&mut sums, factors, at, inverses);
    one::<V, C, 7>(&mut sums, factors, at, inverses);
    for c in 0..C {
        for v in 0..VECTORS {
            // SAFETY: as above.
            unsafe { sums[c][v].store(unknown[c].0.as_mut_ptr().add(row + v * V::LANES)) };
        }
    }
}

/// Unknown `I` of `C`, and what the later ones take of it. Written out, so that all stay in registers.
#[inline(always)]
fn one<V: Vector, const C: usize, const I: usize>(
    sums: &mut [[V; VECTORS]; C],
    factors: &[[f64; COLUMNS]],
    at: usize,
    inverses: &[f64],
) {
    if I >= C {
        return;
    }
    let (inverse, factors) = (V::splat(inverses[I]), &factors[I][at..at + C]);
    for sum in &mut sums[I] {
        *sum = sum.times(inverse);
    }
    let found = sums[I];
    if I < 1 && 1 < C {
        take(&mut sums[1], &found, factors[1]);
    }
    if I < 2 && 2 < C {
        take(&mut sums[2], &found, factors[2]);
    }
    if I < 3 && 3 < C {
        take(&mut sums[3], &found, factors[3]);
    }
    if I < 4 && 4 < C {
        take(&mut sums[4], &found, factors[4]);
    }
    if I < 5 && 5 < C {
        take(&mut sums[5], &found, factors[5]);
    }
    if I < 6 && 6 < C {
        take(&mut sums[6], &found, factors[6]);
    }
    if I < 7 && 7 < C {
        take(&mut sums[7], &found, factors[7]);
    }
}

/// `sum ← sum − factor·found`.
#[inline(always)]
fn take<V: Vector>(sum: &mut [V; VECTORS], found: &[V; VECTORS], factor: f64) {
    let factor = V::splat(factor);
    for (sum, found) in sum.iter_mut().zip(found) {
        *sum = sum.minus_product(factor, *found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The triple loop, fused where the level fuses: what no vector and no strip may change.
    fn by_hand(c: &[f64], l: &[f64], [rows, n]: [usize; 2], forward: bool) -> Vec<f64> {
        let order = |unknown: usize| if forward { unknown } else { n - 1 - unknown };
        let mut x = c.to_vec();
        for row in 0..rows {
            for column in (0..n).map(order) {
                let mut sum = x[row + column * rows];
                for earlier in (0..n).map(order).take_while(|earlier| *earlier != column) {
                    let factor = l[column.max(earlier) + column.min(earlier) * n];
                    let found = x[row + earlier * rows];
                    sum = match Level::detect() {
                        Level::Baseline => sum - factor * found,
                        _ => (-factor).mul_add(found, sum),
                    };
                }
                x[row + column * rows] = sum * (1.0 / l[column + column * n]);
            }
        }
        x
    }

    #[test]
    fn vectors_make_the_bits_of_the_triple_loop() {
        for ([rows, n], forward) in [[1, 1], [3, 5], [12, 4], [25, 8], [47, 9], [24, 33], [30, SIDE]]
            .into_iter()
            .flat_map(|shape| [(shape, true), (shape, false)])
        {
            let c: Vec<f64> = (0..rows * n).map(|e| libm::sin(e as f64)).collect();
            let l: Vec<f64> =
                (0..n * n).map(|e| libm::cos(e as f64) + if e % (n + 1) == 0 { n as f64 } else { 0.0 }).collect();
            let mut x = c.clone();
            // SAFETY: both are of the shapes.
            unsafe { solve(x.as_mut_ptr(), rows, l.as_ptr(), n, [rows, n], forward) };
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&x) == bits(&by_hand(&c, &l, [rows, n], forward)), "{rows} {n} {forward}");
        }
    }
}
