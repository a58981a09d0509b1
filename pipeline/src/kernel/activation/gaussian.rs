//! a·exp(b·x²) with b ≤ 0.

use super::erf::cosine;
use super::{Activation, Closed, ClosedForm, Dual};
use crate::kernel::arguments::Arguments;

/// With D = (1 − 2bq)(1 − 2bq') − 4b²k²: F = a²/√D and F' = 4a²b²k/√D³.
#[derive(Debug, Clone, Copy)]
struct Gaussian {
    /// −2b.
    rate: f64,
    /// a².
    scale: f64,
}

pub(crate) fn gaussian(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let (a, b) = (arguments.number("a"), arguments.number("b"));
    if b > 0.0 {
        return Err(format!("b is {b}: it must not be positive, or the expectation is infinite for large inputs"));
    }
    Ok(Box::new(Closed(Gaussian { rate: -2.0 * b, scale: a * a })))
}

impl Gaussian {
    /// From k and 1/√D.
    #[inline(always)]
    fn form(&self, k: f64, r: f64) -> Dual {
        Dual { f: self.scale * r, slope: self.scale * self.rate * self.rate * k * (r * r * r) }
    }
}

impl ClosedForm<1> for Gaussian {
    const FLOPS: u64 = 22;

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        let r = 1.0 / (1.0 + 2.0 * self.rate * q).sqrt();
        ([1.0 / (1.0 + self.rate * q).sqrt()], self.form(q, r))
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let product = row[0] * column[0];
        let s = cosine::<FMA>(self.rate * k * product, row[0], column[0], product);
        self.form(k, product / s)
    }
}
