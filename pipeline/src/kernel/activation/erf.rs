//! a·erf(b·x) + c (Williams 1997), and the sigmoid that it resembles.

use super::{Activation, Closed, ClosedForm, Dual};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::asin_over_pi;
use crate::kernel::level::mul_add;
use crate::kernel::precision::Precision;
use crate::kernel::single;
use std::f64::consts::FRAC_1_PI;

/// With e = 1/√(1 + 2b²q) and ρ = 2b²k·ee': F = a²·(2/π)·asin ρ + c² and F' = a²·(4b²/π)·ee'/√(1 − ρ²).
#[derive(Debug, Clone, Copy)]
struct Erf<const SINGLE: bool> {
    /// 2b².
    twice: f64,
    /// 2a².
    scale: f64,
    /// c².
    shift: f64,
    /// 4a²b²/π.
    slope: f64,
}

pub(crate) fn erf(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(new(arguments.number("a"), arguments.number("b"), arguments.number("c"), arguments))
}

/// ½·erf(x/2.402…) + ½, within 0.02 of the logistic sigmoid.
pub(crate) fn sigmoid_like(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(new(0.5, 1.0 / 2.402_056_353_171_979_6, 0.5, arguments))
}

fn new(a: f64, b: f64, c: f64, arguments: &Arguments) -> Box<dyn Activation> {
    match arguments.precision() {
        Precision::F64 => Box::new(Closed(Erf::<false>::new(a, b, c))),
        Precision::F32 => Box::new(Closed(Erf::<true>::new(a, b, c))),
    }
}

impl<const SINGLE: bool> Erf<SINGLE> {
    fn new(a: f64, b: f64, c: f64) -> Self {
        Erf { twice: 2.0 * b * b, scale: 2.0 * a * a, shift: c * c, slope: 4.0 * a * a * b * b * FRAC_1_PI }
    }
}

/// √(1 − ρ²) for ρ = 2b²k·ee', `product` = ee'. Since k² ≤ qq' it is at least √(e² + e'² − e²e'²), which
/// holds when ρ has rounded to 1.
#[inline(always)]
pub(super) fn cosine<const FMA: bool>(rho: f64, e: f64, e2: f64, product: f64) -> f64 {
    let square = (1.0 - rho) * (1.0 + rho);
    let least = mul_add::<FMA>(e, e, mul_add::<FMA>(e2, e2, -(product * product)));
    (if square < least { least } else { square }).sqrt()
}

impl<const SINGLE: bool> ClosedForm<1> for Erf<SINGLE> {
    const FLOPS: u64 = if SINGLE { 26 } else { 58 };

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        let sum = 1.0 + self.twice * q;
        // 1 − ρ² = (1 + 4b²q)/(1 + 2b²q)² on the diagonal, without cancellation.
        let wide = (1.0 + 2.0 * self.twice * q).sqrt();
        let (rho, s) = (self.twice * q / sum, wide / sum);
        let f = self.scale * asin_over_pi::<false>(rho, s) + self.shift;
        ([1.0 / sum.sqrt()], Dual { f, slope: self.slope / wide })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let product = row[0] * column[0];
        let rho = self.twice * k * product;
        if SINGLE {
            let least = single::least::<FMA>(row[0], column[0]);
            let (asin, inverse) = single::asin_over_pi::<FMA>(rho, least);
            return Dual { f: mul_add::<FMA>(self.scale, asin, self.shift), slope: self.slope * product * inverse };
        }
        let s = cosine::<FMA>(rho, row[0], column[0], product);
        let f = mul_add::<FMA>(self.scale, asin_over_pi::<FMA>(rho, s), self.shift);
        Dual { f, slope: self.slope * product / s }
    }
}
