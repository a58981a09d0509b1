//! Solves with a small triangle, many rows at once, in registers.
//!
//! A row of the right-hand side does not feel the others, so rows lie across the lanes of vectors. A strip of rows is
//! copied together; it is solved eight columns at a time, first a product of the earlier columns in
//! registers, then the eight among themselves; and copied back. The operations of an entry follow from its column
//! alone. They are those of the triple loop, but for a product with the inverse of the diagonal instead of a division.

use super::vector::{LANES, Portable, Vector};
use crate::kernel::level::{Level, Work};
use std::cell::RefCell;

/// The largest triangle.
pub(super) const SIDE: usize = 128;
/// Lanes of a vector, vectors of a strip, and columns at once: 24 sums, which fit the registers of AVX-512.
const VECTORS: usize = 3;
const COLUMNS: usize = 8;
/// Rows of a strip.
const ROWS: usize = LANES * VECTORS;

/// Bytes of the buffers of a thread.
pub(super) const BYTES: usize = size_of::<Buffers>();

/// A column of a strip, where no vector lies across two cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Column([[f64; LANES]; VECTORS]);

const ZEROS: Column = Column([[0.0; LANES]; VECTORS]);

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
            level => level.run(rows),
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
    rows.all::<std::arch::x86_64::__m512d>();
}

impl Work for Rows<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.all::<Portable<FMA>>();
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn all<V: Vector>(self) {
        let Buffers { triangle, strip } = self.buffers;
        let n = triangle.side;
        for from in (0..self.rows).step_by(ROWS) {
            // SAFETY: `solve`'s caller vouches for rows × n entries, of which these are some.
            let entries = |unknown| unsafe { self.c.add(from + triangle.unknown(unknown) * self.ldc) };
            for (unknown, column) in strip.iter_mut().take(n).enumerate() {
                // SAFETY: as above.
                unsafe { copy(entries(unknown), column.0.as_flattened_mut().as_mut_ptr(), self.rows - from) }
            }
            for (b, factors) in triangle.factors.iter().enumerate().take(n.div_ceil(COLUMNS)) {
                eight::<V>(strip, factors, &triangle.inverses, b * COLUMNS);
            }
            for (unknown, column) in strip.iter().take(n).enumerate() {
                // SAFETY: as above.
                unsafe { copy(column.0.as_flattened().as_ptr(), entries(unknown), self.rows - from) }
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

/// The eight unknowns from `first` on, those before being found. Loops over indices and arrays of known lengths: with
/// iterators the compiler keeps the sums in memory, at half the speed.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "the sums stay in registers")]
fn eight<V: Vector>(x: &mut Strip, factors: &[[f64; COLUMNS]; SIDE], inverses: &[f64; SIDE], first: usize) {
    let (found, unknown) = x.split_at_mut(first);
    let Some(unknown) = unknown.first_chunk_mut::<COLUMNS>() else { return };
    let mut sums = [[V::splat(0.0); VECTORS]; COLUMNS];
    for c in 0..COLUMNS {
        for v in 0..VECTORS {
            sums[c][v] = V::load(&unknown[c].0[v]);
        }
    }
    for (found, factors) in found.iter().zip(factors) {
        for c in 0..COLUMNS {
            let factor = V::splat(factors[c]);
            for v in 0..VECTORS {
                sums[c][v] = sums[c][v].minus(factor, V::load(&found.0[v]));
            }
        }
    }
    let (factors, inverses) = (&factors[first..first + COLUMNS], &inverses[first..first + COLUMNS]);
    one::<V, 0>(&mut sums, factors, inverses);
    one::<V, 1>(&mut sums, factors, inverses);
    one::<V, 2>(&mut sums, factors, inverses);
    one::<V, 3>(&mut sums, factors, inverses);
    one::<V, 4>(&mut sums, factors, inverses);
    one::<V, 5>(&mut sums, factors, inverses);
    one::<V, 6>(&mut sums, factors, inverses);
    one::<V, 7>(&mut sums, factors, inverses);
    for c in 0..COLUMNS {
        for v in 0..VECTORS {
            unknown[c].0[v] = sums[c][v].store();
        }
    }
}

/// Unknown `C` of eight, and what the later ones take of it. Written out, so that all stay in registers.
#[inline(always)]
fn one<V: Vector, const C: usize>(sums: &mut [[V; VECTORS]; COLUMNS], factors: &[[f64; COLUMNS]], inverses: &[f64]) {
    let (inverse, factors) = (V::splat(inverses[C]), &factors[C]);
    for sum in &mut sums[C] {
        *sum = sum.times(inverse);
    }
    let found = sums[C];
    if C < 1 {
        take(&mut sums[1], &found, factors[1]);
    }
    if C < 2 {
        take(&mut sums[2], &found, factors[2]);
    }
    if C < 3 {
        take(&mut sums[3], &found, factors[3]);
    }
    if C < 4 {
        take(&mut sums[4], &found, factors[4]);
    }
    if C < 5 {
        take(&mut sums[5], &found, factors[5]);
    }
    if C < 6 {
        take(&mut sums[6], &found, factors[6]);
    }
    if C < 7 {
        take(&mut sums[7], &found, factors[7]);
    }
}

/// `sum ← sum − factor·found`.
#[inline(always)]
fn take<V: Vector>(sum: &mut [V; VECTORS], found: &[V; VECTORS], factor: f64) {
    let factor = V::splat(factor);
    for (sum, found) in sum.iter_mut().zip(found) {
        *sum = sum.minus(factor, *found);
    }
}
