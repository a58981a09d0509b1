//! Polynomials: F = Σⱼ Aⱼ(q)·Aⱼ(q')·kʲ, from the expansion of φ in Hermite polynomials.

use super::{Activation, Dual, Span, equal_rows};
use crate::kernel::arguments::Arguments;
use crate::kernel::level::{Level, Work, mul_add};

/// Strips are worked on in pieces of this many entries, on the stack.
pub(super) const PIECE: usize = 64;

/// Σ cₙ·xⁿ: Aⱼ(q) = √j!·Σₙ cₙ·n!/(j!·m!·2ᵐ)·qᵐ over n = j + 2m, and F' = Σⱼ j·AⱼAⱼ'·kʲ⁻¹.
#[derive(Debug)]
struct Polynomial {
    coefficients: Vec<f64>,
}

/// The normalised Hermite polynomial of inputs of unit variance: F = kⁿ, whatever the variances are (as in
/// neural-tangents).
#[derive(Debug)]
struct Hermite {
    degree: u32,
}

pub(crate) fn polynomial(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let coefficients = arguments.numbers("coef").to_vec();
    Ok(Box::new(Polynomial { coefficients }))
}

pub(crate) fn monomial(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let mut coefficients = vec![0.0; arguments.count("degree") as usize + 1];
    if let Some(last) = coefficients.last_mut() {
        *last = 1.0;
    }
    Ok(Box::new(Polynomial { coefficients }))
}

pub(crate) fn hermite(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(Box::new(Hermite { degree: arguments.count("degree") }))
}

fn factorial(n: usize) -> f64 {
    (1..=n).map(|i| i as f64).product()
}

impl Activation for Polynomial {
    fn planes(&self) -> usize {
        self.coefficients.len()
    }

    fn row(&self, q: f64, kept: &mut [f64]) -> Dual {
        for (j, value) in kept.iter_mut().enumerate() {
            let terms = (j..self.coefficients.len()).step_by(2).map(|n| {
                let m = (n - j) / 2;
                let ways = factorial(n) / (factorial(m) * 2.0f64.powi(m as i32));
                self.coefficients[n] * ways * q.powi(m as i32)
            });
            *value = terms.sum::<f64>() / factorial(j).sqrt();
        }
        let mut dual = Dual { f: 0.0, slope: 0.0 };
        let mut power = 1.0;
        for (j, a) in kept.iter().enumerate() {
            dual.f += a * a * power;
            if let Some(next) = kept.get(j + 1) {
                dual.slope += (j + 1) as f64 * next * next * power;
            }
            power *= q;
        }
        dual
    }

    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        let terms = self.coefficients.len();
        level.run(Series { rows, column, terms, k, t });
    }

    fn flops(&self) -> u64 {
        8 * self.coefficients.len() as u64
    }
}

struct Series<'a> {
    rows: Span<'a>,
    column: Span<'a>,
    terms: usize,
    k: &'a mut [f64],
    t: &'a mut [f64],
}

impl Work for Series<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let n = self.k.len();
        let mut at = 0;
        while at < n {
            let len = PIECE.min(n - at);
            let rows = self.rows.part(at, len);
            let k = &mut self.k[at..at + len];
            let mut before = [0.0; PIECE];
            before[..len].copy_from_slice(k);
            let (mut f, mut slope, mut power) = ([0.0; PIECE], [0.0; PIECE], [1.0; PIECE]);
            for j in 0..self.terms {
                let (row, column) = (rows.plane(j), self.column.plane(j)[0]);
                for i in 0..len {
                    f[i] = mul_add::<FMA>(row[i] * column, power[i], f[i]);
                }
                if j + 1 < self.terms {
                    let (row, column) = (rows.plane(j + 1), self.column.plane(j + 1)[0]);
                    let scale = (j + 1) as f64 * column;
                    for i in 0..len {
                        slope[i] = mul_add::<FMA>(row[i] * scale, power[i], slope[i]);
                        power[i] *= before[i];
                    }
                }
            }
            equal_rows(&rows, &self.column, &before[..len], &mut f, &mut slope);
            k.copy_from_slice(&f[..len]);
            for (t, slope) in self.t.iter_mut().skip(at).zip(&slope[..len]) {
                *t *= slope;
            }
            at += len;
        }
    }
}

impl Hermite {
    fn dual(&self, k: f64) -> Dual {
        let lower = (1..self.degree).fold(1.0, |power, _| power * k);
        match self.degree {
            0 => Dual { f: 1.0, slope: 0.0 },
            degree => Dual { f: lower * k, slope: f64::from(degree) * lower },
        }
    }
}

impl Activation for Hermite {
    fn planes(&self) -> usize {
        0
    }

    fn row(&self, q: f64, _: &mut [f64]) -> Dual {
        self.dual(q)
    }

    fn strip(&self, _: Level, _: Span<'_>, _: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        for (t, k) in t.iter_mut().zip(k.iter()) {
            *t *= self.dual(*k).slope;
        }
        for k in k {
            *k = self.dual(*k).f;
        }
    }

    fn flops(&self) -> u64 {
        2 * u64::from(self.degree)
    }
}
