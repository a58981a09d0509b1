//! The vectors of our own product, in the two widths that processors have.
//!
//! Both make every sum with fused multiply-adds in the order of its terms, so no bit depends on the width.

use super::lay;
use crate::leaf::laid::LINE;
use crate::leaf::product::{Into, Operand};
use crate::leaf::twelve;
use crate::leaf::vector::Vector;
use std::arch::x86_64::{__m256d, __m512d, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

/// Panels of A whose sums with a panel of B are in registers at once: 24 × 8 sums of 32 registers with AVX-512, 12 × 4 of
/// sixteen with AVX2.
pub(super) const ABREAST: usize = 3;
/// The rows of the widest panel.
pub(super) const PANEL_MAX: usize = 8;
/// Terms by which the kernel asks for its operands ahead.
const AHEAD: usize = 32;
/// Terms that the kernel makes before it looks whether there are more: where two threads share a core, each instruction counts.
const TOGETHER: usize = 4;
/// Terms after which the kernel asks for some more of the next panel.
const TURN: usize = 16;

/// Part of the panel of B that comes next, for the second-level cache. It is asked for a few lines at a time: a processor waits
/// for a dozen at once, and while they come from afar nothing else comes.
#[derive(Clone, Copy)]
pub(super) struct Next {
    at: *const f64,
    /// Terms asked for at each turn.
    each: usize,
}

impl Next {
    /// None to ask for.
    pub(super) const NONE: Self = Self { at: std::ptr::null(), each: 0 };

    /// Asks for what is due at a turn, of panels that lie `apart` numbers from term to term.
    #[inline(always)]
    fn ask(&mut self, apart: usize) {
        for _ in 0..self.each {
            // SAFETY: a prefetch may name any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.at.cast()) };
            self.at = self.at.wrapping_add(apart);
        }
    }

    /// The terms of panel `at`, `deep` of them, that are asked for while one of `slivers` slivers passes by the panel before.
    pub(super) fn panel(at: *const f64, deep: usize, slivers: usize) -> Self {
        Self { at, each: deep.div_ceil(slivers).div_ceil(deep.div_ceil(TURN)) }
    }

    /// What is asked for while sliver `number` passes, of panels that lie `apart` numbers from term to term.
    pub(super) fn share(self, number: usize, deep: usize, apart: usize) -> Self {
        Self { at: self.at.wrapping_add(number * self.each * deep.div_ceil(TURN) * apart), ..self }
    }
}

/// A vector width, and the two loops that turn on it.
pub(super) trait Width {
    /// Rows of a panel: the lanes of a vector.
    const PANEL: usize;
    /// Rows of a sliver of A, whose panels lie abreast column by column, so that the kernel reads one stream. A tile that is
    /// to be either operand is laid out so too; a block of B is laid out in single panels, which is a little faster.
    const SLIVER: usize = Self::PANEL * ABREAST;
    /// Whether a last-level cache that is near can feed the kernel.
    const STREAMS: bool;
    /// Whether a panel of B that lies abreast of others is copied together before slivers pass by it. One of four rows would
    /// take two lines a term of a first-level cache, and slivers would push it out.
    const NEAR: bool;

    /// Lays rows out in panels, `N` abreast: of these the first column, then the second, …; what is missing of a panel is
    /// zero.
    ///
    /// # Safety
    /// The operand has `rows` rows from `i` on and `cols` columns from `p` on; `to` has room for whole panels, `N` abreast;
    /// the processor has the instructions.
    unsafe fn lay<const N: usize>(from: Operand, at: [usize; 2], shape: [usize; 2], to: *mut f64);

    /// Copies a panel together that lies abreast of others.
    ///
    /// # Safety
    /// The panel is `deep` columns deep, [`ABREAST`], and `to` has room for them; the processor has the instructions.
    unsafe fn near(from: *const f64, deep: usize, to: *mut f64);

    /// All sums of the first `N` panels of a sliver of A and one panel of B, in registers.
    ///
    /// # Safety
    /// The panels are `deep` columns deep, those of B `B` abreast; `c` has `N` panels of rows and a panel of columns, with
    /// leading dimension `ldc`; the processor has the instructions. Panels of the tile of `next` lie [`ABREAST`].
    unsafe fn kernel<const N: usize, const B: usize>(
        operands: [*const f64; 2],
        deep: usize,
        c: *mut f64,
        ldc: usize,
        into: Into,
        next: Next,
    );
}

macro_rules! width {
    ($(#[$doc:meta])* $name:ident, $register:ty, $lanes:literal, [$streams:literal, $near:literal], $instructions:literal, $terms:ident) => {
        $(#[$doc])*
        pub(super) enum $name {}

        impl Width for $name {
            const PANEL: usize = $lanes;
            const STREAMS: bool = $streams;
            const NEAR: bool = $near;

            #[target_feature(enable = $instructions)]
            unsafe fn lay<const N: usize>(from: Operand, at: [usize; 2], shape: [usize; 2], to: *mut f64) {
                // SAFETY: as the caller vouches.
                unsafe { lay::panels::<$register, N, $lanes>(from, at, shape, to) }
            }

            #[target_feature(enable = $instructions)]
            unsafe fn near(from: *const f64, deep: usize, to: *mut f64) {
                // SAFETY: as the caller vouches.
                unsafe {
                    for p in 0..deep {
                        <$register>::load(from.add(p * Self::SLIVER)).store(to.add(p * $lanes));
                    }
                }
            }

            #[target_feature(enable = $instructions)]
            unsafe fn kernel<const N: usize, const B: usize>(
                operands: [*const f64; 2],
                deep: usize,
                c: *mut f64,
                ldc: usize,
                into: Into,
                next: Next,
            ) {
                // SAFETY: as the caller vouches.
                unsafe {
                    let mut sums = [[<$register>::splat(0.0); N]; $lanes];
                    ask::<N, $lanes>(c, ldc);
                    $terms::<N, B>(&mut sums, operands, deep, next);
                    store::<$register, N, $lanes>(&sums, c, ldc, into);
                }
            }
        }
    };
}

width!(
    /// Eight numbers a vector.
    Avx512,
    __m512d,
    8,
    [true, false],
    "avx512f",
    wide
);
width!(
    /// Four numbers a vector.
    Avx2,
    __m256d,
    4,
    [false, true],
    "avx2,fma",
    narrow
);

/// One term of all sums.
///
/// # Safety
/// As for [`Width::kernel`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the sums stay in registers")]
unsafe fn term<V: Vector, const N: usize, const B: usize, const PANEL: usize>(
    sums: &mut [[V; N]; PANEL],
    [a, b]: [*const f64; 2],
    p: usize,
) {
    let sliver = ABREAST * PANEL;
    // SAFETY: as the caller vouches; a prefetch may name any address.
    unsafe {
        for i in (0..N * PANEL).step_by(LINE) {
            _mm_prefetch::<_MM_HINT_T0>(a.wrapping_add((p + AHEAD) * sliver + i).cast());
        }
        let mut column = [V::splat(0.0); N];
        for i in 0..N {
            column[i] = V::load(a.add(p * sliver + i * PANEL));
        }
        for j in 0..PANEL {
            let factor = V::splat(*b.add(p * B * PANEL + j));
            for i in 0..N {
                sums[j][i] = sums[j][i].plus_product(column[i], factor);
            }
        }
    }
}

/// The terms of [`Width::kernel`] with AVX-512.
///
/// # Safety
/// As there. To be inlined where the instructions are enabled, as all below.
#[inline(always)]
unsafe fn wide<const N: usize, const B: usize>(
    sums: &mut [[__m512d; N]; Avx512::PANEL],
    operands: [*const f64; 2],
    deep: usize,
    mut next: Next,
) {
    // SAFETY: as the caller vouches; a prefetch may name any address.
    unsafe {
        let mut from = 0;
        while from < deep {
            let to = if B > 1 { deep.min(from + TURN) } else { deep };
            if B > 1 {
                next.ask(Avx512::SLIVER);
                while from + TOGETHER <= to {
                    for p in from..from + TOGETHER {
                        term::<__m512d, N, B, { Avx512::PANEL }>(sums, operands, p);
                    }
                    from += TOGETHER;
                }
            }
            for p in from..to {
                term::<__m512d, N, B, { Avx512::PANEL }>(sums, operands, p);
            }
            from = to;
        }
    }
}

/// The terms of [`Width::kernel`] with AVX2, where panels of B are together ([`Width::NEAR`]).
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn narrow<const N: usize, const B: usize>(
    sums: &mut [[__m256d; N]; Avx2::PANEL],
    operands: [*const f64; 2],
    deep: usize,
    mut next: Next,
) {
    debug_assert_eq!(B, 1);
    const { assert!(Avx2::PANEL == twelve::COLUMNS && Avx2::SLIVER == twelve::ROWS) }
    let mut from = 0;
    // SAFETY: as the caller vouches; the sums are what they are called where there are so many.
    unsafe {
        if N == ABREAST {
            let sums = &mut *std::ptr::from_mut(sums).cast::<twelve::Sums>();
            for _ in 0..deep.div_ceil(TURN) {
                next.ask(Avx2::SLIVER);
            }
            from = deep - deep % twelve::TOGETHER;
            if from > 0 {
                twelve::plus::<{ twelve::ROWS }, { twelve::COLUMNS }>(sums, operands, from / twelve::TOGETHER);
            }
        }
        for p in from..deep {
            term::<__m256d, N, 1, { Avx2::PANEL }>(sums, operands, p);
        }
    }
}

/// Asks for `N` panels of rows of C and a panel of columns.
#[inline(always)]
fn ask<const N: usize, const PANEL: usize>(c: *const f64, ldc: usize) {
    // SAFETY: a prefetch may name any address.
    unsafe {
        for j in 0..PANEL {
            for i in (0..N * PANEL).step_by(LINE) {
                _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(j * ldc + i).cast());
            }
            _mm_prefetch::<_MM_HINT_T0>(c.wrapping_add(j * ldc + N * PANEL - 1).cast());
        }
    }
}

/// Puts the sums into C.
///
/// # Safety
/// C has so many panels of rows and a panel of columns.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "the sums stay in registers")]
unsafe fn store<V: Vector, const N: usize, const PANEL: usize>(
    sums: &[[V; N]; PANEL],
    c: *mut f64,
    ldc: usize,
    into: Into,
) {
    for j in 0..PANEL {
        for i in 0..N {
            // SAFETY: as the caller vouches.
            unsafe {
                let c = c.add(j * ldc + i * PANEL);
                let sum = match into {
                    Into::Less => V::load(c).minus(sums[j][i]),
                    Into::More => V::load(c).plus(sums[j][i]),
                    Into::Set => sums[j][i],
                };
                sum.store(c);
            }
        }
    }
}
