//! Rows laid out in panels.

use crate::leaf::product::Operand;
use crate::leaf::vector::Vector;
use std::arch::x86_64::{
    __m256d, __m512d, _mm256_permute2f128_pd, _mm256_unpackhi_pd, _mm256_unpacklo_pd, _mm512_permutex2var_pd,
    _mm512_set_epi64, _mm512_shuffle_f64x2, _mm512_unpackhi_pd, _mm512_unpacklo_pd,
};

/// Panels that are laid out together.
const TOGETHER: usize = 12;

/// [`super::width::Width::lay`] for panels of `PANEL` rows.
///
/// # Safety
/// As there. To be inlined where the instructions are enabled.
#[inline(always)]
pub(super) unsafe fn panels<V: Transpose, const N: usize, const PANEL: usize>(
    from: Operand,
    [i, p]: [usize; 2],
    [rows, cols]: [usize; 2],
    to: *mut f64,
) {
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
                        V::load(column.add(panel * PANEL)).store(to.add(start(panel) + p * N * PANEL));
                    }
                }
            }
        } else {
            let even = cols - cols % PANEL;
            for panel in 0..whole {
                let (rows, to) = (at.add(panel * PANEL * from.row), to.add(start(panel)));
                for p in (0..even).step_by(PANEL) {
                    V::transpose(rows.add(p), from.row, to.add(p * N * PANEL), N * PANEL);
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

/// Rows of a square that become its columns.
pub(super) trait Transpose: Vector {
    /// As many rows as lanes, of as many numbers.
    ///
    /// # Safety
    /// The rows are there, with leading dimension `ld`; `to` has room for the columns, `apart` numbers from one to the next.
    unsafe fn transpose(rows: *const f64, ld: usize, to: *mut f64, apart: usize);
}

impl Transpose for __m512d {
    #[inline(always)]
    unsafe fn transpose(rows: *const f64, ld: usize, to: *mut f64, apart: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut pairs = [[Self::splat(0.0); 2]; 4];
            for (i, pair) in pairs.iter_mut().enumerate() {
                let (even, odd) = (Self::load(rows.add(2 * i * ld)), Self::load(rows.add((2 * i + 1) * ld)));
                *pair = [_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd)];
            }
            let [p0, p1, p2, p3] = pairs;
            let first = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
            let second = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
            for odd in 0..2 {
                // Columns odd, odd + 4 of the four upper rows side by side, then odd + 2, odd + 6; so of the lower.
                for (half, take) in [first, second].into_iter().enumerate() {
                    let upper = _mm512_permutex2var_pd(p0[odd], take, p1[odd]);
                    let lower = _mm512_permutex2var_pd(p2[odd], take, p3[odd]);
                    let low = _mm512_shuffle_f64x2::<0b01_00_01_00>(upper, lower);
                    let high = _mm512_shuffle_f64x2::<0b11_10_11_10>(upper, lower);
                    low.store(to.add((2 * half + odd) * apart));
                    high.store(to.add((2 * half + odd + 4) * apart));
                }
            }
        }
    }
}

impl Transpose for __m256d {
    #[inline(always)]
    unsafe fn transpose(rows: *const f64, ld: usize, to: *mut f64, apart: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|i| Self::load(rows.add(i * ld)));
            let (even, odd) = (_mm256_unpacklo_pd(r0, r1), _mm256_unpackhi_pd(r0, r1));
            let (even2, odd2) = (_mm256_unpacklo_pd(r2, r3), _mm256_unpackhi_pd(r2, r3));
            _mm256_permute2f128_pd::<0x20>(even, even2).store(to);
            _mm256_permute2f128_pd::<0x20>(odd, odd2).store(to.add(apart));
            _mm256_permute2f128_pd::<0x31>(even, even2).store(to.add(2 * apart));
            _mm256_permute2f128_pd::<0x31>(odd, odd2).store(to.add(3 * apart));
        }
    }
}
