//! Smooth activations without a closed form, by their Hermite series.
//!
//! For unit variances and correlation c, E[φ(√q·u)·φ(√q'·v)] = Σₙ aₙ(q)·aₙ(q')·cⁿ with the coefficients
//! aₙ(q) = E[φ(√q·u)·hₙ(u)] of φ in normalised Hermite polynomials (Mehler), so that all quadrature is
//! done once a row and an entry is a short sum; likewise the slope, with φ'. What the cut series leaves
//! out is known for every row; the few pairs (large variances, nearly parallel) for which it is too much
//! are integrated in two dimensions by the trapezoid rule, which converges geometrically here.

use super::polynomial::PIECE;
use super::{Activation, Dual, Span, equal_rows, norms};
use crate::kernel::arguments::Arguments;
use crate::kernel::level::{Level, Work, mul_add};
use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, PI};
use std::sync::OnceLock;

/// The functions by name.
pub(crate) const NAMES: &[&str] = &["tanh", "sigmoid", "softplus", "silu", "erf", "gelu", "atan", "sin", "cos"];

/// Terms of the series.
const TERMS: usize = 128;

/// What the cut series may leave out, relative to E[φ²].
const TOLERANCE: f64 = 1e-12;

/// Where each kind of number is kept: √q, 1/√q, the left-out parts, then the two series.
const TAIL: usize = 2;
const SERIES: usize = 4;

/// φ, φ', and how far from the real line φ is analytic (or tame).
#[derive(Debug, Clone, Copy)]
struct Function {
    value: fn(f64) -> f64,
    slope: fn(f64) -> f64,
    strip: f64,
    parity: Parity,
}

/// Whether φ is odd or even: every other coefficient is then zero, and those of φ' the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parity {
    Neither,
    Odd,
    Even,
}

/// Nodes of a trapezoid rule with Gaussian weights, and the normalised Hermite polynomials there, times
/// the weight.
#[derive(Debug)]
struct Grid {
    nodes: Vec<Node>,
    polynomials: Vec<f64>,
}

#[derive(Debug)]
struct Node {
    z: f64,
    weight: f64,
}

/// The step of the grid that most rows share: the polynomials turn about √TERMS times in a unit.
const COARSE: f64 = 0.06;

impl Grid {
    fn new(h: f64) -> Grid {
        /// Where exp(−z²/4), by which the integrands fall, is below 1e-17.
        const REACH: f64 = 12.6;
        let count = (REACH / h).ceil() as i64;
        let mut nodes = Vec::new();
        let mut polynomials = Vec::new();
        for node in -count..=count {
            let z = node as f64 * h;
            // Half of the weight goes with the polynomials, which keeps them bounded.
            let half = libm::exp(-0.25 * z * z) / (2.0 * PI).sqrt().sqrt();
            nodes.push(Node { z, weight: h * half * half });
            let (mut before, mut here) = (0.0, half);
            for n in 0..TERMS {
                polynomials.push(h * half * here);
                let next = (z * here - (n as f64).sqrt() * before) / ((n + 1) as f64).sqrt();
                before = here;
                here = next;
            }
        }
        Grid { nodes, polynomials }
    }
}

#[derive(Debug)]
struct Elementwise {
    function: Function,
}

type Real = fn(f64) -> f64;

/// φ and φ' by name.
pub(crate) fn pointwise(name: &str) -> Option<(Real, Real)> {
    function(name).map(|function| (function.value, function.slope))
}

pub(crate) fn elementwise(arguments: &Arguments) -> Result<Box<dyn Activation>, String> {
    let name = arguments.word("fn");
    let function = function(name).ok_or_else(|| format!("the function {name:?} is not known"))?;
    Ok(Box::new(Elementwise { function }))
}

fn function(name: &str) -> Option<Function> {
    let function = |value: Real, slope: Real, strip, parity| Function { value, slope, strip, parity };
    use Parity::{Even, Neither, Odd};
    Some(match name {
        "tanh" => function(libm::tanh, |x| 1.0 - libm::tanh(x).powi(2), 0.5 * PI, Odd),
        "sigmoid" => function(sigmoid, |x| sigmoid(x) * sigmoid(-x), PI, Neither),
        "softplus" => function(softplus, sigmoid, PI, Neither),
        "silu" => function(|x| x * sigmoid(x), |x| sigmoid(x) * (1.0 + x * sigmoid(-x)), PI, Neither),
        "erf" => function(libm::erf, |x| 2.0 * FRAC_1_PI.sqrt() * libm::exp(-x * x), 1.0, Odd),
        "gelu" => {
            function(|x| x * normal(x), |x| normal(x) + x * libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt(), 1.5, Neither)
        }
        "atan" => function(libm::atan, |x| 1.0 / (1.0 + x * x), 1.0, Odd),
        "sin" => function(libm::sin, libm::cos, 3.0, Odd),
        "cos" => function(libm::cos, |x| -libm::sin(x), 3.0, Even),
        _ => return None,
    })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// The normal distribution function.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The step of a trapezoid rule that is exact to about 1e-13 for a function with this strip.
fn step(strip: f64, root: f64) -> f64 {
    (0.2 * strip / root).clamp(0.01, 0.4)
}

impl Function {
    /// The diagonal: E[φ²] and E[φ'²], and the coefficients of both series.
    fn expand(&self, q: f64, f: &mut [f64], slope: &mut [f64]) -> Dual {
        let root = q.sqrt();
        let h = step(self.strip, root);
        // Rows of a usual variance share one grid and its polynomials.
        let own;
        let grid = if h < COARSE {
            own = Grid::new(h);
            &own
        } else {
            static SHARED: OnceLock<Grid> = OnceLock::new();
            SHARED.get_or_init(|| Grid::new(COARSE))
        };
        let mut diagonal = Dual { f: 0.0, slope: 0.0 };
        f.fill(0.0);
        slope.fill(0.0);
        for (node, polynomials) in grid.nodes.iter().zip(grid.polynomials.chunks_exact(TERMS)) {
            let (value, bend) = ((self.value)(root * node.z), (self.slope)(root * node.z));
            diagonal.f += node.weight * value * value;
            diagonal.slope += node.weight * bend * bend;
            for ((f, slope), p) in f.iter_mut().zip(slope.iter_mut()).zip(polynomials) {
                *f += value * p;
                *slope += bend * p;
            }
        }
        diagonal
    }

    /// F and F' of a pair in two dimensions: v = c·u + √(1−c²)·w with u, w independent.
    fn integrate(&self, roots: [f64; 2], c: f64) -> Dual {
        /// Where the weight is below 1e-19.
        const REACH: f64 = 9.5;
        let s = ((1.0 - c) * (1.0 + c)).max(0.0).sqrt();
        let h = step(self.strip, roots[0].max(roots[1]));
        let nodes = (REACH / h).ceil() as i64;
        let weights: Vec<f64> = (-nodes..=nodes)
            .map(|node| {
                let z = node as f64 * h;
                h * libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt()
            })
            .collect();
        let mut dual = Dual { f: 0.0, slope: 0.0 };
        for (node, weight) in (-nodes..=nodes).zip(&weights) {
            let u = node as f64 * h;
            let mut inner = Dual { f: 0.0, slope: 0.0 };
            for (node, weight) in (-nodes..=nodes).zip(&weights) {
                let v = roots[1] * (c * u + s * node as f64 * h);
                inner.f += weight * (self.value)(v);
                inner.slope += weight * (self.slope)(v);
            }
            dual.f += weight * (self.value)(roots[0] * u) * inner.f;
            dual.slope += weight * (self.slope)(roots[0] * u) * inner.slope;
        }
        dual
    }
}

impl Activation for Elementwise {
    fn planes(&self) -> usize {
        SERIES + 2 * TERMS
    }

    fn row(&self, q: f64, kept: &mut [f64]) -> Dual {
        let (head, series) = kept.split_at_mut(SERIES);
        let (f, slope) = series.split_at_mut(TERMS);
        let diagonal = self.function.expand(q, f, slope);
        let [root, inverse] = norms(q);
        let tail = |whole: f64, series: &[f64]| {
            let kept: f64 = series.iter().map(|a| a * a).sum();
            ((whole - kept) / whole.max(f64::MIN_POSITIVE)).max(0.0)
        };
        head.copy_from_slice(&[root, inverse, tail(diagonal.f, f), tail(diagonal.slope, slope)]);
        diagonal
    }

    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        let mut at = 0;
        while at < k.len() {
            let len = PIECE.min(k.len() - at);
            let rows = rows.part(at, len);
            let before: [f64; PIECE] = std::array::from_fn(|i| k.get(at + i).copied().unwrap_or(0.0));
            let mut piece = Piece::new(&before[..len], &rows, &column);
            let parity = self.function.parity;
            let (rows, piece) = (rows, &mut piece);
            level.run(Series { parity, rows, column, piece });
            self.mend(&rows, &column, piece);
            equal_rows(&rows, &column, &before[..len], &mut piece.f, &mut piece.slope);
            k[at..at + len].copy_from_slice(&piece.f[..len]);
            for (t, slope) in t.iter_mut().skip(at).zip(&piece.slope[..len]) {
                *t *= slope;
            }
            at += len;
        }
    }

    fn flops(&self) -> u64 {
        8 * TERMS as u64
    }
}

impl Elementwise {
    /// Integrates the pairs for which the cut series leaves out too much.
    fn mend(&self, rows: &Span<'_>, column: &Span<'_>, piece: &mut Piece) {
        let root = column.plane(0)[0];
        for i in 0..piece.len {
            let power = piece.power[i].abs();
            let left_out = |tail: usize| (rows.plane(tail)[i] * column.plane(tail)[0]).sqrt() * power;
            if left_out(TAIL).max(left_out(TAIL + 1)) > TOLERANCE {
                let dual = self.function.integrate([rows.plane(0)[i], root], piece.c[i]);
                piece.f[i] = dual.f;
                piece.slope[i] = dual.slope;
            }
        }
    }
}

/// A few entries of a strip: correlations, the two sums, and the power of c at which they were cut.
struct Piece {
    len: usize,
    c: [f64; PIECE],
    f: [f64; PIECE],
    slope: [f64; PIECE],
    power: [f64; PIECE],
}

impl Piece {
    fn new(k: &[f64], rows: &Span<'_>, column: &Span<'_>) -> Piece {
        let mut c = [0.0; PIECE];
        let inverse = column.plane(1)[0];
        for ((c, k), row) in c.iter_mut().zip(k).zip(rows.plane(1)) {
            *c = (k * (row * inverse)).clamp(-1.0, 1.0);
        }
        Piece { len: k.len(), c, f: [0.0; PIECE], slope: [0.0; PIECE], power: [1.0; PIECE] }
    }
}

struct Series<'a> {
    parity: Parity,
    rows: Span<'a>,
    column: Span<'a>,
    piece: &'a mut Piece,
}

impl Work for Series<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        // The terms n = first + stride·m of either sum are c^first times a series in c^stride.
        let (stride, first_f, first_slope) = match self.parity {
            Parity::Neither => (1, 0, 0),
            Parity::Odd => (2, 1, 0),
            Parity::Even => (2, 0, 1),
        };
        let Piece { len, c, f, slope, power } = self.piece;
        let len = *len;
        for n in (0..TERMS).step_by(stride) {
            let (n_f, n_slope) = (SERIES + n + first_f, SERIES + TERMS + n + first_slope);
            let (a, b) = (self.rows.plane(n_f), self.rows.plane(n_slope));
            let (column_a, column_b) = (self.column.plane(n_f)[0], self.column.plane(n_slope)[0]);
            for i in 0..len {
                f[i] = mul_add::<FMA>(a[i] * column_a, power[i], f[i]);
                slope[i] = mul_add::<FMA>(b[i] * column_b, power[i], slope[i]);
                power[i] *= if stride == 2 { c[i] * c[i] } else { c[i] };
            }
        }
        for i in 0..len {
            f[i] *= if first_f == 1 { c[i] } else { 1.0 };
            slope[i] *= if first_slope == 1 { c[i] } else { 1.0 };
        }
    }
}
