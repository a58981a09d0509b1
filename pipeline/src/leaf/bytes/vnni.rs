//! Bytes without a sign times bytes with one, by AVX-512. The loops are those of f64: 48 × 8 sums stay in registers.

use super::{ABREAST, Bytes, LANES, Line, SLIVER};
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_pd, _mm512_castsi512_si256, _mm512_cvtepi32_pd, _mm512_dpbusd_epi32,
    _mm512_extracti64x4_epi64, _mm512_loadu_pd, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_pd,
};

/// Columns at once.
const COLUMNS: usize = 8;

/// # Safety
/// `out` is rows × rows; the processor has AVX-512 F and VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn slivers(x: &Bytes, y: &Bytes, out: *mut f64, (more, lower): (bool, bool)) {
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
