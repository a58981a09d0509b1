//! The sign of x; 0 at 0.

use super::{Activation, Closed, ClosedForm, Dual, is_zero, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::{asin_over_pi, sine_of};

/// F = (2/π)·asin ρ with the correlation ρ. The derivative is zero almost everywhere, so F' = 0 (as in
/// neural-tangents).
#[derive(Debug, Clone, Copy)]
struct Sign;

pub(crate) fn sign(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(Box::new(Closed(Sign)))
}

impl ClosedForm<2> for Sign {
    const FLOPS: u64 = 48;

    fn row(&self, q: f64) -> ([f64; 2], Dual) {
        let f = if is_zero(q) { 0.0 } else { 1.0 };
        ([q, norms(q)[1]], Dual { f, slope: 0.0 })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 2], column: [f64; 2]) -> Dual {
        let inverse = row[1] * column[1];
        // Each layer takes the root of the angle between nearly parallel rows, so it must be good.
        let s = sine_of(k, row[0], column[0], inverse);
        Dual { f: 2.0 * asin_over_pi::<FMA>(k * inverse, s), slope: 0.0 }
    }
}
