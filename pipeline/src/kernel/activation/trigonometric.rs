//! a·sin(b·x + c) and a·cos(b·x + c).

use super::{Activation, Closed, ClosedForm, Dual};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::exp;
use crate::kernel::level::mul_add;

/// With E± = exp(−b²·((q + q')/2 ∓ k)): F = a²/2·(E₊ − cos(2c)·E₋) and F' = a²b²/2·(E₊ + cos(2c)·E₋).
#[derive(Debug, Clone, Copy)]
struct Sine {
    /// b².
    rate: f64,
    /// a²/2.
    half: f64,
    /// cos(2c), of the phase of a sine.
    phase: f64,
}

pub(crate) fn sin(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(new(arguments, 1.0))
}

/// A cosine is a sine with another quarter turn of phase, so cos(2c) changes its sign.
pub(crate) fn cos(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(new(arguments, -1.0))
}

/// sin(x), or with the other sign cos(x).
pub(super) fn wave(sign: f64) -> Box<dyn Activation> {
    Box::new(Closed(Sine { rate: 1.0, half: 0.5, phase: sign }))
}

fn new(arguments: &Arguments, sign: f64) -> Box<dyn Activation> {
    let (a, b, c) = (arguments.number("a"), arguments.number("b"), arguments.number("c"));
    Box::new(Closed(Sine { rate: b * b, half: 0.5 * a * a, phase: sign * libm::cos(2.0 * c) }))
}

impl Sine {
    #[inline(always)]
    fn form(&self, near: f64, far: f64) -> Dual {
        Dual { f: self.half * (near - far), slope: self.half * self.rate * (near + far) }
    }
}

impl ClosedForm<1> for Sine {
    const FLOPS: u64 = 52;

    fn row(&self, q: f64) -> ([f64; 1], Dual) {
        let far = self.phase * exp::<false>(-2.0 * self.rate * q);
        ([0.5 * q], self.form(1.0, far))
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 1], column: [f64; 1]) -> Dual {
        let mean = row[0] + column[0];
        let (near, far) = (mean - k, mean + k);
        let near = exp::<FMA>(-self.rate * if near < 0.0 { 0.0 } else { near });
        let far = exp::<FMA>(-self.rate * if far < 0.0 { 0.0 } else { far });
        let phased = self.phase * far;
        Dual { f: self.half * (near - phased), slope: self.half * self.rate * mul_add::<FMA>(self.phase, far, near) }
    }
}
