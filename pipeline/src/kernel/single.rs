//! Elementary functions with an inner part in f32, for layers with `precision = "f32"`.
//!
//! What would cancel is done in f64 before: 1 − |c| of a correlation. What is left loses only the last digits of
//! f32, and nothing at all where rows are parallel, for the roundings there are relative to the small angle.

use std::f64::consts::FRAC_1_PI;

/// The error of an entry of a layer in f32, as a share of √(F(q, q)·F(q', q')), and that of its slope, as a share of
/// √(F'(q, q)·F'(q', q')). The diagonal and equal rows have none.
pub const SINGLE_ERROR: f64 = 2e-7;

/// Minimax coefficients of `θ/(π·√b)` with b = 1 − cos θ on 0 ≤ b ≤ 1, and ½ at b = 1; the error of θ/π is 3.2e-8.
const ANGLE: [f32; 7] =
    [0.450_158_6, 0.037_497_696, 0.008_594_074, 0.001_849_668_6, 0.002_280_037_9, -0.001_232_969_3, 0.000_852_897];

/// Minimax coefficients of `(sin θ − θ·cos θ)/(b·√b)`; the error of (sin θ − θ·cos θ)/π is 8e-9.
const SWELL: [f32; 6] =
    [0.942_804_34, 0.047_209_98, 0.007_214_254_7, 0.002_633_307, -0.000_564_445_04, 0.000_702_557_97];

/// Minimax coefficients of `(asin(√z)/√z − 1)/(π·z)` on 0 ≤ z ≤ ½; the relative error of asin is 1.7e-8.
const ASIN: [f32; 7] =
    [0.053_052_44, 0.023_835_32, 0.014_818_268, 0.005_122_028_7, 0.024_783_07, -0.029_894_532, 0.035_669_68];

/// Half of the least sin² that is not that of parallel rows (as for f64).
const LEAST: f32 = 6.7e-16;

/// `a·b + c`, fused or not.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for at in (0..N - 1).rev() {
        sum = mul_add::<FMA>(sum, x, coefficients[at]);
    }
    sum
}

/// `θ/π` and `sin θ − θ·cos θ` of the angle θ ≤ π/2 whose cosine is |c|, to some of the last digits of f32. Exact for
/// parallel, opposite and perpendicular rows, and for c beyond ±1.
#[inline(always)]
pub(crate) fn angle<const FMA: bool>(c: f64) -> (f64, f64) {
    let b = (1.0 - c.abs()) as f32;
    let b = if b > LEAST { b } else { 0.0 };
    let root = b.sqrt();
    let angle = root * polynomial::<FMA, 7>(&ANGLE, b);
    let swell = (root * b) * polynomial::<FMA, 6>(&SWELL, b);
    (f64::from(angle), f64::from(swell))
}

/// `asin(c)/π` and 1/√(1 − c²), where 1 − c² is known to be at least `least`. The relative errors are some of the last
/// digits of f32, whatever c is.
#[inline(always)]
pub(crate) fn asin_over_pi<const FMA: bool>(c: f64, least: f32) -> (f64, f64) {
    let a = c.abs();
    let b = (1.0 - a) as f32;
    let square = mul_add::<FMA>(-b, b, b + b);
    let s = (if square > least { square } else { least }).sqrt();
    let half = 1.0 - b;
    let steep = half > s;
    let u = if steep { s } else { half };
    let z = u * u;
    let more = f64::from(z * polynomial::<FMA, 7>(&ASIN, z));
    // The small angle itself, so that nothing but the last digits is lost of the smallest.
    let p = (if steep { f64::from(s) } else { a }) * (FRAC_1_PI + more);
    let p = if steep { 0.5 - p } else { p };
    (p.copysign(c), f64::from(1.0 / s))
}

/// The least 1 − ρ² for ρ = 2b²k·ee' and k² ≤ qq': e² + e'² − e²e'². Above zero, even for variances beyond any use.
#[inline(always)]
pub(crate) fn least<const FMA: bool>(e: f64, e2: f64) -> f32 {
    let (e, e2) = (e as f32, e2 as f32);
    let product = e * e2;
    let least = mul_add::<FMA>(e, e, mul_add::<FMA>(e2, e2, -(product * product)));
    if least > f32::MIN_POSITIVE { least } else { f32::MIN_POSITIVE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// From 1 by less than rounding to 0, and both signs.
    fn cosines() -> impl Iterator<Item = f64> {
        let small = (0..200_000).map(|step| 10f64.powf(-16.5 * f64::from(step) / 200_000.0));
        let even = (0..=100_000).map(|step| f64::from(step) / 100_000.0);
        small.chain(even).flat_map(|b| [1.0 - b, b - 1.0])
    }

    fn angles<const FMA: bool>() {
        let mut worst = [0.0f64; 4];
        for c in cosines() {
            let b = 1.0 - c.abs();
            let theta = 2.0 * libm::asin((0.5 * b).sqrt());
            let swell = libm::sin(theta) - theta * libm::cos(theta);
            let got = angle::<FMA>(c);
            if b < 6.7e-16 {
                assert_eq!(got, (0.0, 0.0));
                continue;
            }
            let errors = [(got.0 - theta / PI).abs(), (got.1 - swell).abs() / PI];
            worst[0] = worst[0].max(errors[0]);
            worst[1] = worst[1].max(errors[1]);
            if theta < 0.05 {
                // The series, where the difference above is of no use: small angles have small errors.
                let swell = theta.powi(3) / 3.0 * (1.0 - 0.1 * theta * theta);
                worst[2] = worst[2].max(errors[0] / theta);
                worst[3] = worst[3].max((got.1 - swell).abs() / swell);
            }
        }
        assert!(worst[0] < 9e-8 && worst[1] < 6e-8 && worst[2] < 5e-7 && worst[3] < 6e-6, "{worst:?}");
        for (c, want) in [(1.0, 0.0), (1.0 + 1e-9, 0.0), (-1.0, 0.0), (-1.0 - 1e-9, 0.0), (0.0, 0.5), (-0.0, 0.5)] {
            assert_eq!(angle::<FMA>(c).0, want, "{c}");
        }
    }

    #[test]
    fn angles_are_accurate_and_exact_at_the_ends() {
        angles::<true>();
        angles::<false>();
    }

    fn asins<const FMA: bool>() {
        let mut worst = [0.0f64; 2];
        let tiny = (0..3000).map(|step| 10f64.powf(-0.1 * f64::from(step)));
        for c in cosines().filter(|c| *c != 0.0).chain(tiny) {
            let square = (1.0 - c.abs()) * (1.0 + c.abs());
            if square < 1e-15 {
                continue;
            }
            let (asin, inverse) = asin_over_pi::<FMA>(c, f32::MIN_POSITIVE);
            let want = libm::asin(c) * FRAC_1_PI;
            worst[0] = worst[0].max((asin - want).abs() / want.abs());
            worst[1] = worst[1].max((inverse * square.sqrt() - 1.0).abs());
        }
        assert!(worst[0] < 1.2e-7 && worst[1] < 1.8e-7, "{worst:?}");
        assert_eq!(asin_over_pi::<FMA>(0.0, f32::MIN_POSITIVE), (0.0, 1.0));
        assert!(asin_over_pi::<FMA>(1.0, least::<FMA>(1e-60, 1e-90)).1.is_finite());
    }

    #[test]
    fn asin_is_accurate() {
        asins::<true>();
        asins::<false>();
    }
}
