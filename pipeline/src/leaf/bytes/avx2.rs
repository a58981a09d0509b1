//! Words times words, by AVX2. Of four bytes the first and third make one pair of words, the second and fourth another: 16 × 4
//! sums stay in registers.

use super::{ABREAST, Bytes, GROUP, LANES, Line, SLIVER, TERMS_MAX};
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_add_pd, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi32_pd,
    _mm256_extracti128_si256, _mm256_loadu_pd, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_srli_epi16, _mm256_storeu_pd,
};

/// Columns at once.
const COLUMNS: usize = 4;
/// Rows that columns pass by at once: with a thousand terms they take half of a second-level cache of 512 KiB.
const TALL: usize = 5 * SLIVER;
/// Lanes of a vector, and vectors of a line.
const HALF: usize = LANES / 2;
const HALVES: usize = 2;

/// A column's four bytes as two pairs of words.
type Pairs = [i32; 2];

/// # Safety
/// `out` is rows × rows; the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn slivers(x: &Bytes, y: &Bytes, out: *mut f64, (more, lower): (bool, bool)) {
    let (rows, groups) = (x.rows, x.groups);
    let mut columns = [[[0; 2]; COLUMNS]; TERMS_MAX / GROUP];
    for top in (0..rows).step_by(TALL) {
        let end = rows.min(top + TALL);
        for j in (0..if lower { end } else { rows }).step_by(COLUMNS) {
            widen(y, j, &mut columns[..groups]);
            let from = if lower { top.max(j / LANES * LANES) } else { top };
            for i in (from..end).step_by(LANES) {
                let (tall, wide) = (LANES.min(rows - i), COLUMNS.min(rows - j));
                // SAFETY: the line is there, and the part lies in `out`; `beside` has room for all sums.
                unsafe {
                    let line = x.lines.as_ptr().add(i / SLIVER * groups * ABREAST + i % SLIVER / LANES);
                    let c = out.add(i + j * rows);
                    if tall == LANES && wide == COLUMNS {
                        kernel(line, &columns[..groups], (c, rows), more);
                        continue;
                    }
                    let mut beside = [[0.0; LANES]; COLUMNS];
                    kernel(line, &columns[..groups], (beside.as_mut_ptr().cast(), LANES), false);
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
}

/// The columns from `j` on, which lie in one sliver.
fn widen(y: &Bytes, j: usize, columns: &mut [[Pairs; COLUMNS]]) {
    let lines = &y.lines[j / SLIVER * y.groups * ABREAST..][..y.groups * ABREAST];
    let (line, lane) = (j % SLIVER / LANES, j % LANES);
    for (lines, columns) in lines.chunks_exact(ABREAST).zip(columns) {
        for (pairs, group) in columns.iter_mut().zip(&lines[line].0[lane..]) {
            // The sign that the other product needs is taken off.
            let bytes = i32::from_le_bytes(*group) ^ 0x8080_8080_u32 as i32;
            *pairs = [bytes & 0x00ff_00ff, (bytes >> 8) & 0x00ff_00ff];
        }
    }
}

/// All sums of a line of rows with some columns, in registers.
///
/// # Safety
/// `a` lies in a sliver of as many groups as `columns`; `c` has room for 16 × 4.
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop, reason = "iterators are not inlined with the instructions")]
unsafe fn kernel(a: *const Line, columns: &[[Pairs; COLUMNS]], (c, ldc): (*mut f64, usize), more: bool) {
    let low = _mm256_set1_epi16(0xff);
    let mut sums: [[__m256i; HALVES]; COLUMNS] = [[_mm256_setzero_si256(); HALVES]; COLUMNS];
    // SAFETY: as the caller vouches.
    unsafe {
        for (g, columns) in columns.iter().enumerate() {
            let mut words = [[_mm256_setzero_si256(); 2]; HALVES];
            for half in 0..HALVES {
                let bytes = _mm256_loadu_si256(a.add(g * ABREAST).cast::<__m256i>().add(half));
                words[half] = [_mm256_and_si256(bytes, low), _mm256_srli_epi16::<8>(bytes)];
            }
            for j in 0..COLUMNS {
                for pair in 0..2 {
                    let column = _mm256_set1_epi32(columns[j][pair]);
                    for half in 0..HALVES {
                        let products = _mm256_madd_epi16(words[half][pair], column);
                        sums[j][half] = _mm256_add_epi32(sums[j][half], products);
                    }
                }
            }
        }
        for j in 0..COLUMNS {
            for half in 0..HALVES {
                let sum = sums[j][half];
                let quarters = [_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum)];
                for quarter in 0..2 {
                    let c = c.add(j * ldc + half * HALF + quarter * HALF / 2);
                    let mut sum = _mm256_cvtepi32_pd(quarters[quarter]);
                    if more {
                        sum = _mm256_add_pd(_mm256_loadu_pd(c), sum);
                    }
                    _mm256_storeu_pd(c, sum);
                }
            }
        }
    }
}
