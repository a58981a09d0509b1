//! The sign of x; 0 at 0.

use super::{Activation, Closed, ClosedForm, Dual, is_zero, norms};
use crate::kernel::elementary::{asin_over_pi, sine};
use crate::kernel::layer::Arguments;

/// F = (2/π)·asin ρ with the correlation ρ. The derivative is zero almost everywhere, so F' = 0 (as in
/// neural-tangents).
#[derive(Debug)]
struct Sign;

pub(crate) fn sign(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(Box::new(Closed(Sign)))
}

impl ClosedForm<1> for Sign {
    const FLOPS: u64 = 48;

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        let f = if is_zero(q) { 0.0 } else { 1.0 };
        ([norms(q)[1]], Dual { f, slope: 0.0 })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let c = k * (row[0] * column[0]);
        Dual { f: 2.0 * asin_over_pi::<FMA>(c, sine(c)), slope: 0.0 }
    }
}
