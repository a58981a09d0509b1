//! a·min(x, 0) + b·max(x, 0): relu, leaky relu, abs. The arc-cosine kernel of order 1 (Cho & Saul 2009).

use super::{Activation, Closed, ClosedForm, Dual, is_zero, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::{sine, turned};
use crate::kernel::level::mul_add;
use std::f64::consts::FRAC_1_PI;

/// With the angle θ between the rows: F' = ab + (a−b)²/2 · (π−θ)/π and
/// F = (a−b)²/(2π)·√(qq')·sin θ + F'·k.
#[derive(Debug, Clone, Copy)]
struct Rectifier {
    /// ab, the slope of opposite rows.
    opposite: f64,
    /// (a−b)²/2; together with `opposite` it is the slope of equal rows, (a²+b²)/2.
    turn: f64,
    /// |a−b|/√(2π).
    side: f64,
}

pub(crate) fn relu(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(0.0, 1.0))
}

pub(crate) fn leaky_relu(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(arguments.number("alpha"), 1.0))
}

pub(crate) fn abs(_: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(-1.0, 1.0))
}

pub(crate) fn ab_relu(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(arguments.number("a"), arguments.number("b")))
}

fn rectifier(a: f64, b: f64) -> Box<dyn Activation> {
    let turn = 0.5 * (a - b) * (a - b);
    Box::new(Closed(Rectifier { opposite: a * b, turn, side: (turn * FRAC_1_PI).sqrt() }))
}

impl ClosedForm<2> for Rectifier {
    const FLOPS: u64 = 44;

    /// The sine of equal rows is exactly 0, and the roots of zero rows are.
    const EXACT: bool = true;

    fn row(&self, q: f64) -> ([f64; 2], Dual) {
        // The angle of a zero row with itself is π/2 too (neural-tangents' convention).
        let zero = is_zero(q);
        let [root, inverse] = norms(q);
        let slope = if zero { self.opposite + 0.5 * self.turn } else { self.opposite + self.turn };
        ([if zero { 0.0 } else { self.side * root }, inverse], Dual { f: slope * q, slope })
    }

    #[inline(always)]
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; 2], column: [f64; 2]) -> Dual {
        let c = k * (row[1] * column[1]);
        let s = sine(c);
        let slope = mul_add::<FMA>(self.turn, turned::<FMA>(c, s), self.opposite);
        let f = mul_add::<FMA>(slope, k, row[0] * column[0] * s);
        Dual { f, slope }
    }
}
