//! Numbers in a register. What must stay in registers is written on these: what the compiler makes of plain loops
//! turns on what stands around them.

use std::array;

/// As many numbers as [`Vector::LANES`]. Only code that runs where its instructions are may use one, and only code that is
/// inlined there is fast.
pub(super) trait Vector: Copy {
    const LANES: usize;
    /// # Safety
    /// The numbers are there.
    unsafe fn load(at: *const f64) -> Self;
    /// # Safety
    /// There is room for them.
    unsafe fn store(self, at: *mut f64);
    fn splat(value: f64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `self + a·b`, fused where the vector fuses.
    fn plus_product(self, a: Self, b: Self) -> Self;
    /// `self − a·b`, fused where the vector fuses.
    fn minus_product(self, a: Self, b: Self) -> Self;
}

/// As the compiler makes them for every processor; not fused.
#[derive(Clone, Copy)]
pub(super) struct Portable([f64; 8]);

impl Vector for Portable {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn load(at: *const f64) -> Self {
        // SAFETY: as the caller vouches.
        Self(unsafe { at.cast::<[f64; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f64) {
        // SAFETY: as the caller vouches.
        unsafe { at.cast::<[f64; 8]>().write(self.0) }
    }

    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    fn plus_product(self, a: Self, b: Self) -> Self {
        self.plus(a.times(b))
    }

    #[inline(always)]
    fn minus_product(self, a: Self, b: Self) -> Self {
        self.minus(a.times(b))
    }
}

/// Registers of AVX-512 and of AVX2 with FMA.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($register:ty, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident,
         $fmadd:ident, $fnmadd:ident) => {
            impl Vector for $register {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn load(at: *const f64) -> Self {
                    // SAFETY: as the caller vouches.
                    unsafe { $load(at) }
                }

                #[inline(always)]
                unsafe fn store(self, at: *mut f64) {
                    // SAFETY: as the caller vouches.
                    unsafe { $store(at, self) }
                }

                #[inline(always)]
                fn splat(value: f64) -> Self {
                    // SAFETY: the processor has the instructions, as for all below.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $add(self, other) }
                }

                #[inline(always)]
                fn minus(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $sub(self, other) }
                }

                #[inline(always)]
                fn times(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $mul(self, other) }
                }

                #[inline(always)]
                fn plus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $fmadd(a, b, self) }
                }

                #[inline(always)]
                fn minus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $fnmadd(a, b, self) }
                }
            }
        };
    }

    vector!(
        __m512d,
        8,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_set1_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd,
        _mm512_fmadd_pd,
        _mm512_fnmadd_pd
    );
    vector!(
        __m256d,
        4,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_set1_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd,
        _mm256_fmadd_pd,
        _mm256_fnmadd_pd
    );
}
