//! x·Φ(x), the Gaussian error linear unit.

use super::erf::cosine;
use super::{Activation, Closed, ClosedForm, Dual};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::asin_over_pi;
use crate::kernel::level::mul_add;
use std::f64::consts::FRAC_1_PI;

/// With e = 1/√(1 + q), w = ee', ρ = k·w and s = √(1 − ρ²) (Tsuchida, Pearce et al. 2021):
/// F = k/4 + k·asin(ρ)/2π + w·(ρ² + qq'·s²)/(2π·s),
/// F' = 1/4 + asin(ρ)/2π + ρ·(1 + w²/s² + w²·(1 − qq'))/(2π·s).
#[derive(Debug, Clone, Copy)]
struct Gelu;

pub(crate) fn gelu(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(Box::new(Closed(Gelu)))
}

#[inline(always)]
fn form<const FMA: bool>(k: f64, product: f64, w: f64, rho: f64, s: f64) -> Dual {
    let angle = mul_add::<FMA>(0.5, asin_over_pi::<FMA>(rho, s), 0.25);
    let scale = 0.5 * FRAC_1_PI / s;
    let bend = mul_add::<FMA>(product, s * s, rho * rho);
    let f = mul_add::<FMA>(k, angle, scale * w * bend);
    let ratio = w / s;
    let steep = 1.0 + mul_add::<FMA>(ratio, ratio, w * w * (1.0 - product));
    Dual { f, slope: mul_add::<FMA>(scale * rho, steep, angle) }
}

impl ClosedForm<2> for Gelu {
    const FLOPS: u64 = 72;

    fn row(&self, q: f64) -> ([f64; 2], Dual) {
        let w = 1.0 / (1.0 + q);
        let s = (1.0 + 2.0 * q).sqrt() * w;
        ([q, w.sqrt()], form::<false>(q, q * q, w, q * w, s))
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 2], column: [f64; 2]) -> Dual {
        let w = row[1] * column[1];
        let rho = k * w;
        let s = cosine::<FMA>(rho, row[1], column[1], w);
        form::<FMA>(k, row[0] * column[0], w, rho, s)
    }
}
