//! Smooth activations without a closed form, by their Hermite series.
//!
//! For unit variances and correlation c, E[φ(√q·u)·φ(√q'·v)] = Σₙ aₙ(q)·aₙ(q')·cⁿ with the coefficients
//! aₙ(q) = E[φ(√q·u)·hₙ(u)] of φ in normalised Hermite polynomials (Mehler), so that all quadrature is
//! done once a row. Each φ is an odd or even part and a straight line, and the series of the part is summed from few
//! of its terms (`sparse`). Pairs with a variance beyond the reach of that are integrated in two dimensions
//! by the trapezoid rule, which converges geometrically here.

use super::sparse::{CONSTANT, Grid, INVERSE, LIMITS, Parity, REACH, SERIES, Strip, TERMS, cuts, nodes};
use super::{Activation, Dual, Span, equal_rows, norms, trigonometric};
use crate::kernel::arguments::Arguments;
use crate::kernel::level::Level;
use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, PI, SQRT_2};
use std::sync::OnceLock;

/// The functions by name.
pub(crate) const NAMES: &[&str] = &["tanh", "sigmoid", "softplus", "silu", "erf", "gelu", "atan", "sin", "cos"];

/// φ(x) = constant + line·x + part(x).
#[derive(Debug, Clone, Copy)]
struct Function {
    constant: f64,
    line: f64,
    parity: Parity,
    part: fn(f64) -> f64,
    /// The derivative of the part.
    slope: fn(f64) -> f64,
    /// How far from the real line φ is analytic (or tame).
    strip: f64,
    /// The largest variance at which the thinned series holds.
    reach: f64,
}

#[derive(Debug)]
struct Elementwise {
    function: Function,
}

/// φ and φ' at a number.
pub(crate) type Pointwise = Box<dyn Fn(f64) -> (f64, f64) + Send + Sync>;

/// φ and φ' of a function by its name.
pub(crate) fn pointwise(name: &str) -> Option<Pointwise> {
    Some(match name {
        "sin" => Box::new(|x| (libm::sin(x), libm::cos(x))),
        "cos" => Box::new(|x| (libm::cos(x), -libm::sin(x))),
        name => {
            let Function { constant, line, part, slope, .. } = function(name).ok()?;
            Box::new(move |x| (constant + line * x + part(x), line + slope(x)))
        }
    })
}

pub(crate) fn elementwise(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    Ok(match arguments.word("fn") {
        "sin" => trigonometric::wave(1.0),
        "cos" => trigonometric::wave(-1.0),
        name => Box::new(Elementwise { function: function(name)? }),
    })
}

/// A function by its name.
fn function(name: &str) -> Result<Function, String> {
    type Real = fn(f64) -> f64;
    use Parity::{Even, Odd};
    let part = |parity, part: Real, slope: Real, strip: f64| Function {
        constant: 0.0,
        line: 0.0,
        parity,
        part,
        slope,
        strip,
        reach: REACH * strip * strip,
    };
    Ok(match name {
        "tanh" => part(Odd, libm::tanh, |x| 1.0 - libm::tanh(x).powi(2), 0.5 * PI),
        "sigmoid" => Function { constant: 0.5, ..part(Odd, |x| 0.5 * libm::tanh(0.5 * x), swell, PI) },
        "softplus" => Function { line: 0.5, ..part(Even, bowl, |x| 0.5 * libm::tanh(0.5 * x), PI) },
        "silu" => Function {
            line: 0.5,
            ..part(Even, |x| 0.5 * x * libm::tanh(0.5 * x), |x| 0.5 * libm::tanh(0.5 * x) + x * swell(x), PI)
        },
        "erf" => part(Odd, libm::erf, |x| 2.0 * FRAC_1_PI.sqrt() * libm::exp(-x * x), 1.0),
        "gelu" => Function { line: 0.5, ..part(Even, |x| x * half_erf(x), |x| half_erf(x) + x * bell(x), SQRT_2) },
        "atan" => part(Odd, libm::atan, |x| 1.0 / (1.0 + x * x), 1.0),
        other => return Err(format!("the function {other:?} is not known")),
    })
}

/// The derivative of the sigmoid.
fn swell(x: f64) -> f64 {
    0.25 * (1.0 - libm::tanh(0.5 * x).powi(2))
}

/// The even part of softplus.
fn bowl(x: f64) -> f64 {
    0.5 * x.abs() + libm::log1p(libm::exp(-x.abs()))
}

fn half_erf(x: f64) -> f64 {
    0.5 * libm::erf(x * FRAC_1_SQRT_2)
}

/// The normal density.
fn bell(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt()
}

/// The step of a trapezoid rule that is exact to rounding for a function with this strip, its slope, and with `power`
/// 2 for their squares, the poles of which are of higher order.
fn step(strip: f64, root: f64, power: f64) -> f64 {
    (0.15 / power * strip / root).clamp(0.005, 0.4)
}

impl Function {
    /// F and F' of a constant and a straight line; what the part adds is to come.
    fn straight(&self, k: f64) -> Dual {
        Dual { f: self.constant * self.constant + self.line * self.line * k, slope: self.line * self.line }
    }

    /// The diagonal: E[φ²] and E[φ'²].
    fn diagonal(&self, q: f64) -> Dual {
        let root = q.sqrt();
        let mut dual = self.straight(q);
        for node in nodes(step(self.strip, root, 2.0)) {
            dual.f += node.weight * (self.part)(root * node.z).powi(2);
            dual.slope += node.weight * (self.slope)(root * node.z).powi(2);
        }
        dual
    }

    /// The mean of the part, and its coefficients.
    fn expand(&self, q: f64, series: &mut [f64]) -> f64 {
        static GRIDS: [OnceLock<Grid>; 2] = [OnceLock::new(), OnceLock::new()];
        let grid = GRIDS[usize::from(self.parity == Parity::Odd)].get_or_init(|| Grid::new(self.parity));
        let root = q.sqrt();
        let mut mean = 0.0;
        series.fill(0.0);
        for (node, polynomials) in grid.nodes.iter().zip(&grid.polynomials) {
            let value = (self.part)(root * node.z);
            mean += node.weight * value;
            for (a, p) in series.iter_mut().zip(polynomials) {
                *a += value * p;
            }
        }
        if self.parity == Parity::Odd { 0.0 } else { mean }
    }

    /// F and F' of a pair in two dimensions: v = c·u + √(1−c²)·w with u, w independent.
    fn integrate(&self, k: f64, roots: [f64; 2], c: f64) -> Dual {
        let s = ((1.0 - c) * (1.0 + c)).max(0.0).sqrt();
        let nodes: Vec<_> = nodes(step(self.strip, roots[0].max(roots[1]), 1.0)).collect();
        let mut dual = self.straight(k);
        // The integrand is even in (u, w): u ≥ 0 with its double weight, and w of either sign.
        for u in &nodes {
            let mut inner = Dual { f: 0.0, slope: 0.0 };
            for w in &nodes {
                for side in [-s, s] {
                    let v = roots[1] * (c * u.z + side * w.z);
                    inner.f += 0.5 * w.weight * (self.part)(v);
                    inner.slope += 0.5 * w.weight * (self.slope)(v);
                }
            }
            dual.f += u.weight * (self.part)(roots[0] * u.z) * inner.f;
            dual.slope += u.weight * (self.slope)(roots[0] * u.z) * inner.slope;
        }
        dual
    }
}

impl Activation for Elementwise {
    fn planes(&self) -> usize {
        SERIES + TERMS
    }

    fn row(&self, q: f64, kept: &mut [f64]) -> Dual {
        let (head, series) = kept.split_at_mut(SERIES);
        let mean = self.function.expand(q, series);
        let inverse = norms(q)[1];
        series.iter_mut().for_each(|a| *a *= inverse);
        if inverse == 0.0 && self.function.parity == Parity::Odd {
            series[0] = (self.function.slope)(0.0);
        }
        (head[INVERSE], head[CONSTANT]) = (inverse, self.function.constant + mean);
        head[LIMITS..].copy_from_slice(&cuts(q / self.function.strip.powi(2)));
        self.function.diagonal(q)
    }

    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        let reach = self.function.reach;
        let beyond = |q: &f64| *q > reach;
        let far = rows.q().iter().chain(column.q()).any(beyond).then(|| (k.to_vec(), t.to_vec()));
        let (parity, line) = (self.function.parity, self.function.line * self.function.line);
        level.run(Strip { parity, line, rows, column, k, t });
        let Some((before, theta)) = far else {
            return;
        };
        let qc = column.q()[0];
        for (i, q) in rows.q().iter().enumerate().filter(|(_, q)| beyond(q) || beyond(&qc)) {
            let row = rows.part(i, 1);
            let c = before[i] * (row.plane(INVERSE)[0] * column.plane(INVERSE)[0]);
            let dual = self.function.integrate(before[i], [q.sqrt(), qc.sqrt()], c.clamp(-1.0, 1.0));
            let (mut f, mut slope) = ([dual.f], [dual.slope]);
            equal_rows(&row, &column, &before[i..=i], &mut f, &mut slope);
            k[i] = f[0];
            if let (Some(t), Some(theta)) = (t.get_mut(i), theta.get(i)) {
                *t = theta * slope[0];
            }
        }
    }

    fn flops(&self) -> u64 {
        6 * TERMS as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::activation::Terms;

    fn functions() -> impl Iterator<Item = Elementwise> {
        NAMES.iter().filter_map(|name| Some(Elementwise { function: function(name).ok()? }))
    }

    /// F and F' of a pair by the series, whatever the variances.
    fn series(activation: &Elementwise, q: [f64; 2], c: f64) -> [f64; 2] {
        let mut terms = Terms::empty(1, 2, 2, activation.planes());
        terms.learn(activation, 0, 0, &q);
        let (mut k, mut t) = ([c * (q[0] * q[1]).sqrt()], [1.0]);
        activation.strip(Level::detect(), terms.from(0).at(0, 1), terms.from(1).at(0, 1), &mut k, &mut t);
        [k[0], t[0]]
    }

    #[test]
    fn few_terms_are_as_good_as_all() {
        for activation in functions() {
            let function = activation.function;
            let mut worst = [0.0f64; 2];
            for share in [1e-3, 0.1, 0.3, 0.7, 1.0] {
                for other in [1e-2, 0.5, 1.0] {
                    let q = [share * function.reach, other * function.reach];
                    let diagonal = q.map(|q| function.diagonal(q));
                    let near = [0.97, 0.98, 0.99, 0.995, 0.999, 1.0];
                    for c in (0..=38).map(|c| 0.025 * f64::from(c)).chain(near).flat_map(|c| [-c, c]) {
                        let roots = q.map(f64::sqrt);
                        let want = function.integrate(c * (q[0] * q[1]).sqrt(), roots, c);
                        let [f, slope] = series(&activation, q, c);
                        let scale = (diagonal[0].f * diagonal[1].f).sqrt();
                        let steep = (diagonal[0].slope * diagonal[1].slope).sqrt();
                        worst[0] = worst[0].max((f - want.f).abs() / scale);
                        worst[1] = worst[1].max((slope - want.slope).abs() / steep);
                    }
                }
            }
            assert!(worst[0] < 5e-14 && worst[1] < 2e-12, "{worst:?} of {function:?}");
        }
    }

    #[test]
    fn an_entry_does_not_depend_on_its_neighbours() {
        const ROWS: usize = 37;
        for activation in functions() {
            let q: Vec<f64> = (0..=ROWS).map(|row| activation.function.reach * (row as f64 / ROWS as f64)).collect();
            let mut terms = Terms::empty(1, ROWS + 1, ROWS + 1, activation.planes());
            terms.learn(&activation, 0, 0, &q);
            let (rows, column) = (terms.from(0).at(0, ROWS), terms.from(20).at(0, 1));
            // Neighbours on all sides of both cuts.
            let c = |row: usize| [0.1, 0.999, 0.8, -0.95][row % 4];
            let before: Vec<f64> = (0..ROWS).map(|row| c(row) * (q[row] * q[20]).sqrt()).collect();
            for level in Level::all() {
                let (mut k, mut t) = (before.clone(), vec![1.0; ROWS]);
                activation.strip(level, rows, column, &mut k, &mut t);
                for row in 0..ROWS {
                    let (mut alone, mut theta) = ([before[row]], [1.0]);
                    activation.strip(level, rows.part(row, 1), column, &mut alone, &mut theta);
                    assert_eq!((alone[0], theta[0]), (k[row], t[row]), "row {row} of {activation:?} at {level:?}");
                    let mut without = [before[row]];
                    activation.strip(level, rows.part(row, 1), column, &mut without, &mut []);
                    assert_eq!(without, alone);
                }
            }
        }
    }
}
