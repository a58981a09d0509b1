//! Eight numbers at once. What must stay in registers is written on these: what the compiler makes of plain loops
//! turns on what stands around them.

use crate::kernel::level::mul_add;

/// Numbers of a vector.
pub(super) const LANES: usize = 8;

/// Eight numbers.
pub(super) trait Vector: Copy {
    fn splat(value: f64) -> Self;
    fn load(values: &[f64; LANES]) -> Self;
    fn store(self) -> [f64; LANES];
    fn times(self, other: Self) -> Self;
    /// `self − a·b`, fused where the level fuses.
    fn minus(self, a: Self, b: Self) -> Self;
}

/// As the compiler makes them.
#[derive(Clone, Copy)]
pub(super) struct Portable<const FMA: bool>([f64; LANES]);

impl<const FMA: bool> Vector for Portable<FMA> {
    #[inline(always)]
    fn splat(value: f64) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(values: &[f64; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn store(self) -> [f64; LANES] {
        self.0
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    fn minus(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| mul_add::<FMA>(-a.0[i], b.0[i], self.0[i])))
    }
}

/// A register of AVX-512. Only code that runs where these instructions are may use it.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{LANES, Vector};
    use std::arch::x86_64::{
        __m512d, _mm512_fnmadd_pd, _mm512_loadu_pd, _mm512_mul_pd, _mm512_set1_pd, _mm512_storeu_pd,
    };

    impl Vector for __m512d {
        #[inline(always)]
        fn splat(value: f64) -> Self {
            // SAFETY: the processor has the instructions.
            unsafe { _mm512_set1_pd(value) }
        }

        #[inline(always)]
        fn load(values: &[f64; LANES]) -> Self {
            // SAFETY: as above; eight numbers are read.
            unsafe { _mm512_loadu_pd(values.as_ptr()) }
        }

        #[inline(always)]
        fn store(self) -> [f64; LANES] {
            let mut values = [0.0; LANES];
            // SAFETY: as above; eight numbers are written.
            unsafe { _mm512_storeu_pd(values.as_mut_ptr(), self) };
            values
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_mul_pd(self, other) }
        }

        #[inline(always)]
        fn minus(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fnmadd_pd(a, b, self) }
        }
    }
}
