//! Exponentials of the covariance: the random features of the RBF kernel, exp, and its normalised form.

use super::{Activation, Closed, ClosedForm, Dual, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary;
use crate::kernel::level::mul_add;

/// √2·sin(√(2γ)·x + π/4): F = exp(−γ·(q + q' − 2k)), F' = 2γ·F.
#[derive(Debug, Clone, Copy)]
struct Rbf {
    gamma: f64,
}

/// a·exp(b·x): F = a²·exp(b²·((q + q')/2 + k)), F' = b²·F.
#[derive(Debug, Clone, Copy)]
struct Exp {
    rate: f64,
    scale: f64,
}

/// F = √(qq')·exp(γ·(ρ + shift)) with the correlation ρ, F' = γ·exp(γ·(ρ + shift)) (Shankar et al. 2020).
#[derive(Debug, Clone, Copy)]
struct ExpNormalized {
    gamma: f64,
    shift: f64,
}

pub(crate) fn rbf(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let gamma = arguments.number("gamma");
    if gamma < 0.0 {
        return Err(format!("gamma is {gamma}: it must not be negative"));
    }
    Ok(Box::new(Closed(Rbf { gamma })))
}

pub(crate) fn exp(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let (a, b) = (arguments.number("a"), arguments.number("b"));
    Ok(Box::new(Closed(Exp { rate: b * b, scale: a * a })))
}

pub(crate) fn exp_normalized(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let (gamma, shift) = (arguments.number("gamma"), arguments.number("shift"));
    Ok(Box::new(Closed(ExpNormalized { gamma, shift })))
}

impl ClosedForm<1> for Rbf {
    const FLOPS: u64 = 28;

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        ([q], Dual { f: 1.0, slope: 2.0 * self.gamma })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let distance = mul_add::<FMA>(-2.0, k, row[0] + column[0]);
        let distance = if distance < 0.0 { 0.0 } else { distance };
        let f = elementary::exp::<FMA>(-self.gamma * distance);
        Dual { f, slope: 2.0 * self.gamma * f }
    }
}

impl ClosedForm<1> for Exp {
    const FLOPS: u64 = 28;

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        let f = self.scale * elementary::exp::<false>(2.0 * self.rate * q);
        ([0.5 * q], Dual { f, slope: self.rate * f })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let f = self.scale * elementary::exp::<FMA>(self.rate * (row[0] + column[0] + k));
        Dual { f, slope: self.rate * f }
    }
}

impl ClosedForm<2> for ExpNormalized {
    const FLOPS: u64 = 30;

    fn row(&self, q: f64) -> ([f64; 2], Dual) {
        let slope = elementary::exp::<false>(self.gamma * (1.0 + self.shift));
        (norms(q), Dual { f: q * slope, slope: self.gamma * slope })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 2], column: [f64; 2]) -> Dual {
        let c = k * (row[1] * column[1]);
        let e = elementary::exp::<FMA>(self.gamma * (c + self.shift));
        Dual { f: row[0] * column[0] * e, slope: self.gamma * e }
    }
}
