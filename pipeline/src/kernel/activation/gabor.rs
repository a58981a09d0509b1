//! exp(−x²)·sin x.

use super::erf::cosine;
use super::{Activation, Closed, ClosedForm, Dual};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::exp;

/// With D = (1 + 2q)(1 + 2q') − 4k², S = (q + q' + 4qq' − 4k²)/D and A = k/D:
/// F = (E₋ − E₊)/(2√D), E∓ = exp(−S/2 ± A); F' = ∂F/∂k.
#[derive(Debug, Clone, Copy)]
struct Gabor;

pub(crate) fn gabor(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(Box::new(Closed(Gabor)))
}

/// From k, q + q' and r = 1/√D. S = 1 − (1 + q + q')/D, since D = 1 + 2(q + q') + 4qq' − 4k².
#[inline(always)]
fn form<const FMA: bool>(k: f64, sum: f64, r: f64) -> Dual {
    let d = r * r;
    let a = k * d;
    let half = 0.5 - 0.5 * (1.0 + sum) * d;
    let (minus, plus) = (exp::<FMA>(a - half), exp::<FMA>(-a - half));
    // d(S/2)/dk and dA/dk.
    let bend = -4.0 * a * d * (1.0 + sum);
    let shear = d + 8.0 * a * a;
    Dual {
        f: 0.5 * r * (minus - plus),
        slope: 0.5 * r * (4.0 * a * (minus - plus) + minus * (shear - bend) + plus * (shear + bend)),
    }
}

impl ClosedForm<2> for Gabor {
    const FLOPS: u64 = 84;

    fn row(&self, q: f64) -> ([f64; 2], Dual) {
        let r = 1.0 / (1.0 + 4.0 * q).sqrt();
        ([q, 1.0 / (1.0 + 2.0 * q).sqrt()], form::<false>(q, 2.0 * q, r))
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 2], column: [f64; 2]) -> Dual {
        let product = row[1] * column[1];
        let s = cosine::<FMA>(2.0 * k * product, row[1], column[1], product);
        form::<FMA>(k, row[0] + column[0], product / s)
    }
}
