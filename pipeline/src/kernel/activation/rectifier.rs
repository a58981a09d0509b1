//! a·min(x, 0) + b·max(x, 0): relu, leaky relu, abs. The arc-cosine kernel of order 1 (Cho & Saul 2009).

use super::{Activation, Closed, ClosedForm, Dual, is_zero, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::{sine, turned};
use crate::kernel::level::mul_add;
use crate::kernel::precision::Precision;
use crate::kernel::single;
use std::f64::consts::FRAC_1_PI;

/// With the angle θ between the rows: F' = ab + (a−b)²/2 · (π−θ)/π and
/// F = (a−b)²/(2π)·√(qq')·sin θ + F'·k.
#[derive(Debug, Clone, Copy)]
struct Rectifier<const SINGLE: bool> {
    /// ab, the slope of opposite rows.
    opposite: f64,
    /// (a−b)²/2; together with `opposite` it is the slope of equal rows, (a²+b²)/2.
    turn: f64,
    /// |a−b|/√(2π).
    side: f64,
}

pub(crate) fn relu(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(0.0, 1.0, arguments))
}

pub(crate) fn leaky_relu(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(arguments.number("alpha"), 1.0, arguments))
}

pub(crate) fn abs(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(-1.0, 1.0, arguments))
}

pub(crate) fn ab_relu(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(rectifier(arguments.number("a"), arguments.number("b"), arguments))
}

fn rectifier(a: f64, b: f64, arguments: &Arguments) -> Box<dyn Activation> {
    match arguments.precision() {
        Precision::F64 => Box::new(Closed(Rectifier::<false>::new(a, b))),
        Precision::F32 => Box::new(Closed(Rectifier::<true>::new(a, b))),
    }
}

impl<const SINGLE: bool> Rectifier<SINGLE> {
    fn new(a: f64, b: f64) -> Self {
        let turn = 0.5 * (a - b) * (a - b);
        Rectifier { opposite: a * b, turn, side: (turn * FRAC_1_PI).sqrt() }
    }
}

impl<const SINGLE: bool> ClosedForm<2> for Rectifier<SINGLE> {
    const FLOPS: u64 = if SINGLE { 20 } else { 44 };

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
        let side = row[0] * column[0];
        if SINGLE {
            // F = F'(±1)·k + (a−b)²/(2π)·√(qq')·(sin θ − θ·cos θ) with the angle θ ≤ π/2 from the nearer end: what is
            // small near it is small by itself, and no error of f32 outweighs the angle.
            let (angle, swell) = single::angle::<FMA>(c);
            let near = c > 0.0;
            let end = if near { self.opposite + self.turn } else { self.opposite };
            let end = if c == 0.0 { self.opposite + 0.5 * self.turn } else { end };
            let slope = mul_add::<FMA>(self.turn, if near { 1.0 - angle } else { angle }, self.opposite);
            return Dual { f: mul_add::<FMA>(end, k, side * swell), slope };
        }
        let s = sine(c);
        let slope = mul_add::<FMA>(self.turn, turned::<FMA>(c, s), self.opposite);
        let f = mul_add::<FMA>(slope, k, side * s);
        Dual { f, slope }
    }
}
