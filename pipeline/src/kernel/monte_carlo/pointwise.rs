//! Activations of finite networks: φ and φ', number by number.

use super::Step;
use super::draft::Draft;
use super::signal::Signal;
use crate::kernel::activation::{Pointwise as Function, pointwise};
use crate::kernel::arguments::Arguments;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI, SQRT_2};
use std::fmt;

struct Pointwise {
    name: &'static str,
    function: Function,
}

impl fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Draft {
    /// Adds an activation.
    pub(crate) fn activation(&mut self, name: &'static str, arguments: &Arguments) -> Result<(), String> {
        let function = function(name, arguments)
            .ok_or_else(|| format!("{name:?} is known by its kernel alone, not by a function"))?;
        self.push(Pointwise { name, function });
        Ok(())
    }
}

impl Step for Pointwise {
    fn apply(&self, _: &[Vec<f64>], signal: &mut Signal) {
        for (at, value) in signal.values.iter_mut().enumerate() {
            let slope;
            (*value, slope) = (self.function)(*value);
            if let Some(tangent) = signal.tangents.get_mut(at) {
                *tangent *= slope;
            }
        }
    }
}

/// a·min(x, 0) + b·max(x, 0).
fn rectifier(a: f64, b: f64) -> Function {
    Box::new(move |x| if x > 0.0 { (b * x, b) } else { (a * x, a) })
}

/// Σ cₙ·xⁿ.
fn polynomial(coefficients: Vec<f64>) -> Function {
    Box::new(move |x| {
        coefficients.iter().rev().fold((0.0, 0.0), |(value, slope), c| (value * x + c, slope * x + value))
    })
}

/// φ and φ' of an activation; `None` if only its kernel is known.
fn function(name: &str, arguments: &Arguments) -> Option<Function> {
    let number = |key: &str| arguments.number(key);
    let (a, b, c) = (number("a"), number("b"), number("c"));
    let degree = arguments.count("degree") as i32;
    Some(match name {
        "relu" => rectifier(0.0, 1.0),
        "abs" => rectifier(-1.0, 1.0),
        "leaky_relu" => rectifier(number("alpha"), 1.0),
        "ab_relu" => rectifier(a, b),
        "erf" => Box::new(move |x| (a * libm::erf(b * x) + c, a * b * erf_slope(b * x))),
        "sigmoid_like" => {
            // The erf nearest to the logistic function, as in neural-tangents.
            const STRETCH: f64 = 2.402_056_353_171_979_6;
            Box::new(|x| (0.5 * libm::erf(x / STRETCH) + 0.5, 0.5 / STRETCH * erf_slope(x / STRETCH)))
        }
        "gelu" => Box::new(|x| {
            let normal = 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
            (x * normal, normal + x * libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt())
        }),
        "sin" => Box::new(move |x| (a * libm::sin(b * x + c), a * b * libm::cos(b * x + c))),
        "cos" => Box::new(move |x| (a * libm::cos(b * x + c), -a * b * libm::sin(b * x + c))),
        "rbf" => {
            let rate = (2.0 * number("gamma")).sqrt();
            Box::new(move |x| {
                let (sin, cos) = libm::sincos(rate * x + FRAC_PI_4);
                (SQRT_2 * sin, SQRT_2 * rate * cos)
            })
        }
        "exp" => Box::new(move |x| (a * libm::exp(b * x), a * b * libm::exp(b * x))),
        "gaussian" => Box::new(move |x| {
            let value = a * libm::exp(b * x * x);
            (value, 2.0 * b * x * value)
        }),
        "gabor" => Box::new(|x| {
            let (bell, (sin, cos)) = (libm::exp(-x * x), libm::sincos(x));
            (bell * sin, bell * (cos - 2.0 * x * sin))
        }),
        "sign" => Box::new(|x| (f64::from(x > 0.0) - f64::from(x < 0.0), 0.0)),
        "monomial" => polynomial((0..=degree).map(|n| f64::from(n == degree)).collect()),
        "rectified_monomial" => Box::new(move |x| match (x > 0.0, degree) {
            (false, _) => (0.0, 0.0),
            (true, 0) => (1.0, 0.0),
            (true, n) => (x.powi(n), f64::from(n) * x.powi(n - 1)),
        }),
        "polynomial" => polynomial(arguments.numbers("coef").to_vec()),
        "elementwise" => pointwise(arguments.word("fn"))?,
        _ => return None,
    })
}

fn erf_slope(x: f64) -> f64 {
    2.0 / PI.sqrt() * libm::exp(-x * x)
}
