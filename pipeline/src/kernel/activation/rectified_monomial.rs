//! max(x, 0)ⁿ: the arc-cosine kernel of order n (Cho & Saul 2009).

use super::{Activation, Dual, Span, equal_rows, is_zero, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::elementary::{sine, turned};
use crate::kernel::level::{Level, Work, mul_add};

/// With the angle θ, c = cos θ and s = sin θ: F = (qq')^{n/2}·Jₙ/(2π), Jₙ = s·Pₙ(c) + (π−θ)·Hₙ(c), where
/// Hₙ(c) = E[uⁿvⁿ] for unit variances; and F' = n²·Fₙ₋₁. Of the step (n = 0) the slope is taken as 0,
/// its derivative almost everywhere.
#[derive(Debug)]
struct RectifiedMonomial {
    degree: u32,
    value: Order,
    slope: Order,
}

/// Pₙ and Hₙ by ascending powers, times a factor.
#[derive(Debug, Clone, Default)]
struct Order {
    sine: Vec<f64>,
    turn: Vec<f64>,
}

pub(crate) fn rectified_monomial(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let degree = arguments.count("degree");
    let orders = orders(degree as usize);
    let n = degree as usize;
    let slope = match n {
        0 => Order::default(),
        _ => orders[n - 1].scaled((n * n) as f64),
    };
    Ok(Box::new(RectifiedMonomial { degree, value: orders[n].clone(), slope }))
}

/// Orders 0 to n. Hₙ' = n²·Hₙ₋₁, and Pₙ solves (1 − c²)·P' − c·P = n²·(1 − c²)·Pₙ₋₁ − Hₙ.
fn orders(n: usize) -> Vec<Order> {
    let mut orders: Vec<Order> = vec![Order { sine: Vec::new(), turn: vec![1.0] }];
    for n in 1..=n {
        let before = &orders[n - 1];
        let square = (n * n) as f64;
        let mut turn = vec![if n % 2 == 0 { odd_factorial(n).powi(2) } else { 0.0 }];
        turn.extend(before.turn.iter().enumerate().map(|(m, h)| square * h / (m + 1) as f64));
        let mut right: Vec<f64> = turn.iter().map(|h| -h).collect();
        for (m, p) in before.sine.iter().enumerate() {
            right[m] += square * p;
            right[m + 2] -= square * p;
        }
        // The coefficient of cᵐ on the left is (m+1)·p[m+1] − m·p[m−1].
        let mut sine = vec![0.0; n + 2];
        for m in (1..=n).rev() {
            sine[m - 1] = ((m + 1) as f64 * sine[m + 1] - right[m]) / m as f64;
        }
        sine.truncate(n);
        orders.push(Order { sine, turn });
    }
    orders
}

/// (n−1)·(n−3)·… = E[xⁿ] for even n.
fn odd_factorial(n: usize) -> f64 {
    (1..n).step_by(2).map(|i| i as f64).product()
}

impl Order {
    fn scaled(&self, factor: f64) -> Order {
        let scale = |p: &Vec<f64>| p.iter().map(|v| v * factor).collect();
        Order { sine: scale(&self.sine), turn: scale(&self.turn) }
    }

    /// J/(2π), `turned` being (π−θ)/π.
    #[inline(always)]
    fn value<const FMA: bool>(&self, c: f64, s: f64, turned: f64) -> f64 {
        let horner = |p: &[f64]| p.iter().rev().fold(0.0, |sum, p| mul_add::<FMA>(sum, c, *p));
        let (p, h) = (horner(&self.sine), horner(&self.turn));
        0.5 * mul_add::<FMA>(turned, h, std::f64::consts::FRAC_1_PI * s * p)
    }
}

impl RectifiedMonomial {
    #[inline(always)]
    fn dual<const FMA: bool>(&self, c: f64, norm: f64) -> Dual {
        let s = sine(c);
        let turned = turned::<FMA>(c, s);
        let c = if c > 1.0 { 1.0 } else { c };
        let c = if c < -1.0 { -1.0 } else { c };
        let lower = (1..self.degree).fold(1.0, |power, _| power * norm);
        let upper = if self.degree == 0 { 1.0 } else { lower * norm };
        Dual { f: upper * self.value.value::<FMA>(c, s, turned), slope: lower * self.slope.value::<FMA>(c, s, turned) }
    }
}

impl Activation for RectifiedMonomial {
    fn planes(&self) -> usize {
        2
    }

    fn row(&self, q: f64, kept: &mut [f64]) -> Dual {
        kept.copy_from_slice(&norms(q));
        // The angle of a zero row with itself is π/2, as everywhere.
        self.dual::<false>(if is_zero(q) { 0.0 } else { 1.0 }, q)
    }

    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        level.run(Strip { form: self, rows, column, k, t });
    }

    fn flops(&self) -> u64 {
        60 + 8 * u64::from(self.degree)
    }
}

struct Strip<'a> {
    form: &'a RectifiedMonomial,
    rows: Span<'a>,
    column: Span<'a>,
    k: &'a mut [f64],
    t: &'a mut [f64],
}

impl Work for Strip<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (roots, inverses) = (self.rows.plane(0), self.rows.plane(1));
        let (root, inverse) = (self.column.plane(0)[0], self.column.plane(1)[0]);
        for i in 0..self.k.len() {
            let before = [self.k[i]];
            let dual = self.form.dual::<FMA>(before[0] * (inverses[i] * inverse), roots[i] * root);
            let (mut f, mut slope) = ([dual.f], [dual.slope]);
            equal_rows(&self.rows.part(i, 1), &self.column, &before, &mut f, &mut slope);
            self.k[i] = f[0];
            if let Some(t) = self.t.get_mut(i) {
                *t *= slope[0];
            }
        }
    }
}
