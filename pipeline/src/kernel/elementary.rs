//! Elementary functions that the compiler can vectorise: no branches, no tables, no calls.

use super::level::mul_add;
use std::f64::consts::{FRAC_1_PI, LOG2_E};

/// Minimax coefficients of `(asin(√z)/√z − 1)/(π·z)` on 0 ≤ z ≤ ½; the relative error is 1e-17.
const ASIN: [f64; 19] = [
    0.05305164769729845,
    0.023873241463779248,
    0.014210262777271181,
    0.009670873163736864,
    0.007121285116637817,
    0.0055233836631790505,
    0.004448613082998375,
    0.0036284927015630564,
    0.003600379194938225,
    -0.001048574115503144,
    0.023482814871779348,
    -0.08944342065049375,
    0.3031154976386579,
    -0.74915179831921,
    1.3956971583285094,
    -1.8726913593576326,
    1.730454919451958,
    -0.9851228665764749,
    0.2669879587972875,
];

/// Sines below this are those of parallel rows: correlations carry a rounding error of 6 half-ulps, so
/// nothing smaller can be told from zero.
const SINE_SQUARED_MIN: f64 = 1.34e-15;

/// `sin θ` of the angle whose cosine is `c`. Exactly zero when c is within rounding of ±1 or beyond it.
#[inline(always)]
pub(crate) fn sine(c: f64) -> f64 {
    let square = (1.0 - c) * (1.0 + c);
    let square = if square < SINE_SQUARED_MIN { 0.0 } else { square };
    square.sqrt()
}

/// `sin θ` from the covariance, the variances and 1/√(qq'): qq' − k² without cancellation (Kahan), which
/// near 0 is worth some digits over [`sine`].
#[inline(always)]
pub(crate) fn sine_of(k: f64, q: f64, q2: f64, inverse: f64) -> f64 {
    let product = q * q2;
    let rest = q.mul_add(q2, -product);
    let square = ((-k).mul_add(k, product) + rest) * inverse * inverse;
    let square = if square < SINE_SQUARED_MIN { 0.0 } else { square };
    if inverse > 0.0 { square.sqrt() } else { 1.0 }
}

/// `asin(c)/π`, in [−½, ½], from `c` and `s = √(1 − c²)`.
#[inline(always)]
pub(crate) fn asin_over_pi<const FMA: bool>(c: f64, s: f64) -> f64 {
    let a = c.abs();
    let steep = a > s;
    let u = if steep { s } else { a };
    let z = u * u;
    // Four interleaved chains: one long one would wait for itself.
    let (z2, z4) = (z * z, (z * z) * (z * z));
    let mut chains = [ASIN[16], ASIN[17], ASIN[18], 0.0];
    for from in [12, 8, 4, 0] {
        for (part, chain) in chains.iter_mut().enumerate() {
            *chain = mul_add::<FMA>(*chain, z4, ASIN[from + part]);
        }
    }
    let [p0, p1, p2, p3] = chains;
    let p = mul_add::<FMA>(mul_add::<FMA>(p3, z, p2), z2, mul_add::<FMA>(p1, z, p0));
    let p = u * mul_add::<FMA>(p, z, FRAC_1_PI);
    let p = if steep { 0.5 - p } else { p };
    p.copysign(c)
}

/// Minimax coefficients of `(asin(√z)/√z − 1)/(π·z)` on 0 ≤ z ≤ sin²(π/8), for an absolute error of 3e-18.
const TURN: [f64; 10] = [
    0.05305164769729841,
    0.02387324146383868,
    0.014210262763848522,
    0.009670874339044464,
    0.007121232786897558,
    0.005524727746251126,
    0.004427367714694808,
    0.0038420360616058667,
    0.0022043911674588072,
    0.0052417586686644485,
];

/// `1 − θ/π`, in [0, 1], of the angle θ with cosine `c` and sine `s` as [`sine`] has it. Shorter than
/// [`asin_over_pi`], whose relative error it does not have near a right angle: the absolute one is an ulp of 1.
/// Exact for parallel, opposite and perpendicular rows.
#[inline(always)]
pub(crate) fn turned<const FMA: bool>(c: f64, s: f64) -> f64 {
    const COS: f64 = 0.9238795325112867;
    const SIN: f64 = 0.3826834323650898;
    let a = c.abs();
    let steep = a > s;
    let (u, w) = if steep { (s, a) } else { (a, s) };
    let w = if s == 0.0 { 1.0 } else { w };
    // The angle with sine u and cosine w is at most π/4: less π/8, its series is short.
    let v = mul_add::<FMA>(u, COS, -(w * SIN));
    let z = v * v;
    let (z2, z4) = (z * z, (z * z) * (z * z));
    let mut pairs = [0.0; TURN.len() / 2];
    for (at, pair) in pairs.iter_mut().enumerate() {
        *pair = mul_add::<FMA>(TURN[2 * at + 1], z, TURN[2 * at]);
    }
    let low = mul_add::<FMA>(pairs[1], z2, pairs[0]);
    let high = mul_add::<FMA>(pairs[3], z2, pairs[2]);
    let p = mul_add::<FMA>(mul_add::<FMA>(pairs[4], z4, high), z4, low);
    let p = v * mul_add::<FMA>(p, z, FRAC_1_PI);
    let p = if steep { 0.375 - p } else { 0.125 + p };
    0.5 + p.copysign(c)
}

/// `exp(x)` to about one ulp; 0 below −745.1, infinite above 709.78.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f64) -> f64 {
    const LN2_HI: f64 = 6.931_471_803_691_238_e-1;
    const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
    /// Adding it rounds to an integer, which then sits in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let low = if x < -745.2 { -745.2 } else { x };
    let y = if low > 709.79 { 709.79 } else { low };
    let shifted = mul_add::<FMA>(y, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<FMA>(-n, LN2_LO, mul_add::<FMA>(-n, LN2_HI, y));
    // Taylor to degree 13: the next term is below 5e-18 on |r| ≤ ln(2)/2.
    let mut p = 1.0 / 6_227_020_800.0;
    p = mul_add::<FMA>(p, r, 1.0 / 479_001_600.0);
    p = mul_add::<FMA>(p, r, 1.0 / 39_916_800.0);
    p = mul_add::<FMA>(p, r, 1.0 / 3_628_800.0);
    p = mul_add::<FMA>(p, r, 1.0 / 362_880.0);
    p = mul_add::<FMA>(p, r, 1.0 / 40_320.0);
    p = mul_add::<FMA>(p, r, 1.0 / 5_040.0);
    p = mul_add::<FMA>(p, r, 1.0 / 720.0);
    p = mul_add::<FMA>(p, r, 1.0 / 120.0);
    p = mul_add::<FMA>(p, r, 1.0 / 24.0);
    p = mul_add::<FMA>(p, r, 1.0 / 6.0);
    p = mul_add::<FMA>(p, r, 0.5);
    let p = 1.0 + mul_add::<FMA>(p, r * r, r);
    // Two factors, so that neither overflows where the result does not.
    let n = (shifted.to_bits() as i64).wrapping_sub(ROUND.to_bits() as i64);
    let half = n >> 1;
    let scale = |n: i64| f64::from_bits(((n + 1023) << 52) as u64);
    let value = p * scale(half) * scale(n - half);
    if x > 709.78 { if x > 709.782_712_893_384 { f64::INFINITY } else { value } } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(got: f64, want: f64) -> f64 {
        (got - want).abs() / (want.abs() * f64::EPSILON).max(f64::MIN_POSITIVE)
    }

    #[test]
    fn asin_is_accurate() {
        let mut worst = 0.0f64;
        for step in -100_000..=100_000 {
            let c = f64::from(step) / 100_000.0;
            let s = ((1.0 - c) * (1.0 + c)).sqrt();
            let want = libm::asin(c) * FRAC_1_PI;
            worst = worst.max(ulps(asin_over_pi::<true>(c, s), want));
            worst = worst.max(ulps(asin_over_pi::<false>(c, s), want));
        }
        assert!(worst < 4.0, "{worst} ulps");
        assert_eq!(asin_over_pi::<true>(1.0, sine(1.0)), 0.5);
        assert_eq!(asin_over_pi::<true>(-1.0, sine(-1.0)), -0.5);
        assert_eq!(asin_over_pi::<false>(1.0 + 1e-15, sine(1.0 + 1e-15)), 0.5);
    }

    fn turns<const FMA: bool>() {
        let mut worst = 0.0f64;
        for step in -100_000..=100_000 {
            let c = f64::from(step) / 100_000.0;
            let want = 0.5 + libm::asin(c) * FRAC_1_PI;
            worst = worst.max((turned::<FMA>(c, sine(c)) - want).abs());
        }
        assert!(worst < 3e-16, "{worst}");
        for (c, want) in [(1.0, 1.0), (1.0 - 5e-16, 1.0), (1.0 + 5e-16, 1.0), (-1.0, 0.0), (0.0, 0.5)] {
            assert_eq!(turned::<FMA>(c, sine(c)), want, "{c}");
        }
    }

    #[test]
    fn turns_are_accurate_and_exact_at_the_ends() {
        turns::<true>();
        turns::<false>();
    }

    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for step in -140_000..=140_000 {
            let x = f64::from(step) / 200.0 * 0.999_3;
            let want = libm::exp(x);
            worst = worst.max(ulps(exp::<true>(x), want)).max(ulps(exp::<false>(x), want));
        }
        assert!(worst < 3.0, "{worst} ulps");
        assert_eq!(exp::<true>(0.0), 1.0);
        assert_eq!(exp::<true>(-1e9), 0.0);
        assert_eq!(exp::<true>(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp::<false>(710.0), f64::INFINITY);
    }
}
