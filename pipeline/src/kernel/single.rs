//! Elementary functions with an inner part in f32, for layers with `precision = "f32"`.
//!
//! What would cancel is done in f64 before: 1 − |c| of a correlation. What is left loses only the last digits of
//! f32, and nothing at all where rows are parallel, for the roundings there are relative to the small angle.

/// The error of an entry of a layer in f32, as a share of √(F(q, q)·F(q', q')), and that of its slope, as a share of
/// √(F'(q, q)·F'(q', q')). The diagonal and equal rows have none.
pub const SINGLE_ERROR: f64 = 2e-7;

/// Minimax coefficients of `(θ/sin θ − 1)/(π·b)` with b = 1 − cos θ on 0 ≤ b ≤ 1; the error of θ/π is 2.3e-8.
const TURN: [f32; 8] = [
    0.106_096_93,
    0.042_597_644,
    0.016_787_362,
    0.014_336_653,
    -0.011_820_691,
    0.023_625_596,
    -0.016_121_942,
    0.006_188_542,
];

/// Minimax coefficients of `(asin(√z)/√z − 1)/(π·z)` on 0 ≤ z ≤ ½; the relative error of asin is 1.7e-8.
const ASIN: [f32; 7] =
    [0.053_052_44, 0.023_835_32, 0.014_818_268, 0.005_122_028_7, 0.024_783_069, -0.029_894_532, 0.035_669_68];

/// Half of the least sin² that is not that of parallel rows (as for f64).
const LEAST: f32 = 6.7e-16;

/// `a·b + c`, fused or not.
#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn horner<const FMA: bool, const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for at in (0..N - 1).rev() {
        sum = mul_add::<FMA>(sum, x, coefficients[at]);
    }
    sum
}

/// `sin θ` and `1 − θ/π` of the angle whose cosine is `c`. Exact for parallel, opposite and perpendicular rows, and
/// for c beyond ±1.
#[inline(always)]
pub(crate) fn turned<const FMA: bool>(c: f64) -> (f64, f64) {
    let b = (1.0 - c.abs()) as f32;
    let b = if b > LEAST { b } else { 0.0 };
    let s = mul_add::<FMA>(-b, b, b + b).sqrt();
    let more = b * horner::<FMA, 8>(&TURN, b);
    let (s, more) = (f64::from(s), f64::from(more));
    let lean = 0.5 - s * (std::f64::consts::FRAC_1_PI + more);
    let lean = if c == 0.0 { 0.0 } else { lean };
    (s, 0.5 + lean.copysign(c))
}

/// `asin(c)/π` and 1/√(1 − c²), from `c` and `square` = 1 − c². The relative errors are some of the last digits of
/// f32, whatever c is.
#[inline(always)]
pub(crate) fn asin_over_pi<const FMA: bool>(c: f64, square: f64) -> (f64, f64) {
    let (a, square) = (c.abs(), square as f32);
    // Variances so large that this rounds to zero are beyond any use; but nothing is divided by zero.
    let s = (if square > f32::MIN_POSITIVE { square } else { f32::MIN_POSITIVE }).sqrt();
    let half = a as f32;
    let steep = half > s;
    let u = if steep { s } else { half };
    let z = u * u;
    let more = f64::from(z * horner::<FMA, 7>(&ASIN, z));
    let p = (if steep { f64::from(s) } else { a }) * (std::f64::consts::FRAC_1_PI + more);
    let p = if steep { 0.5 - p } else { p };
    (p.copysign(c), f64::from(1.0 / s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_1_PI;

    /// 1 − |c| from rounding to 1, and both signs.
    fn cosines() -> impl Iterator<Item = (f64, f64)> {
        let small = (0..200_000).map(|step| 10f64.powf(-15.5 * f64::from(step) / 200_000.0));
        let even = (0..=100_000).map(|step| f64::from(step) / 100_000.0);
        small.chain(even).flat_map(|b| [(b, 1.0 - b), (b, b - 1.0)])
    }

    fn turns<const FMA: bool>() {
        let mut worst = [0.0f64; 3];
        for (_, c) in cosines() {
            // 1 − |c| as it was rounded, without cancellation.
            let b = 1.0 - c.abs();
            let sin = (b * (2.0 - b)).sqrt();
            let opening = 2.0 * libm::asin((0.5 * b).sqrt()) * FRAC_1_PI;
            let (s, turned) = turned::<FMA>(c);
            if b < 6.7e-16 {
                assert_eq!((s, turned), (0.0, if c > 0.0 { 1.0 } else { 0.0 }));
                continue;
            }
            let want = if c < 0.0 { opening } else { 1.0 - opening };
            worst[0] = worst[0].max((turned - want).abs());
            worst[1] = worst[1].max((s - sin).abs() / sin);
            if opening > 1e-6 {
                worst[2] = worst[2].max((turned - want).abs() / opening);
            }
        }
        assert!(worst[0] < 8e-8 && worst[1] < 1.3e-7 && worst[2] < 5e-7, "{worst:?}");
        for (c, want) in [(1.0, 1.0), (1.0 + 1e-9, 1.0), (-1.0, 0.0), (-1.0 - 1e-9, 0.0), (0.0, 0.5), (-0.0, 0.5)] {
            assert_eq!(super::turned::<FMA>(c).1, want, "{c}");
        }
    }

    #[test]
    fn turns_are_accurate_and_exact_at_the_ends() {
        turns::<true>();
        turns::<false>();
    }

    fn asins<const FMA: bool>() {
        let mut worst = [0.0f64; 2];
        let tiny = (0..3000).map(|step| 10f64.powf(-0.1 * f64::from(step)));
        for c in cosines().map(|(_, c)| c).filter(|c| *c != 0.0).chain(tiny) {
            let b = 1.0 - c.abs();
            let square = b * (1.0 + c.abs());
            if square < 1e-15 {
                continue;
            }
            let (asin, inverse) = asin_over_pi::<FMA>(c, square);
            let want = libm::asin(c) * FRAC_1_PI;
            worst[0] = worst[0].max((asin - want).abs() / want.abs());
            worst[1] = worst[1].max((inverse * square.sqrt() - 1.0).abs());
        }
        assert!(worst[0] < 1.2e-7 && worst[1] < 1.6e-7, "{worst:?}");
        let (asin, inverse) = asin_over_pi::<FMA>(0.0, 1.0);
        assert_eq!((asin, inverse), (0.0, 1.0));
        assert!(asin_over_pi::<FMA>(1.0, 0.0).1.is_finite());
    }

    #[test]
    fn asin_is_accurate() {
        asins::<true>();
        asins::<false>();
    }
}
