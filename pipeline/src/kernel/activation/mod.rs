//! Dual activations: what a nonlinearity does to covariances.
//!
//! For φ and a pair of Gaussians (u, v) with variances q, q' and covariance k, an activation maps k to
//! `F = E[φ(u)φ(v)]` and Θ to `Θ·F'` with the slope `F' = E[φ'(u)φ'(v)] = ∂F/∂k`.
//! (Lee et al. 2018, eqs 4–10; Lee, Xiao et al. 2019, eqs S13–S17.)
//!
//! One file a family and one line a name in [`TABLE`].

mod closed;
mod elementwise;
mod erf;
mod exponential;
mod gabor;
mod gaussian;
mod gelu;
mod polynomial;
mod rectified_monomial;
mod rectifier;
mod sign;
mod sparse;
mod trigonometric;

#[cfg(test)]
mod tests;

pub(crate) use closed::{Closed, ClosedForm};
pub(crate) use elementwise::{Pointwise, pointwise};

use super::arguments::{Entry, Param};
use super::level::Level;
use super::sweep::{Buffer, Parts};
use std::fmt::Debug;

/// Of those whose inner part can be computed in f32.
const PRECISION: Param = Param::precision();

/// Every activation by its name, its arguments, and what builds it.
pub(crate) static TABLE: &[Entry] = &[
    Entry::new("relu", &[PRECISION], rectifier::relu),
    Entry::new("leaky_relu", &[Param::number("alpha"), PRECISION], rectifier::leaky_relu),
    Entry::new("ab_relu", &[Param::number("a"), Param::number("b"), PRECISION], rectifier::ab_relu),
    Entry::new("abs", &[PRECISION], rectifier::abs),
    Entry::new(
        "erf",
        &[Param::default("a", 1.0), Param::default("b", 1.0), Param::default("c", 0.0), PRECISION],
        erf::erf,
    ),
    Entry::new("sigmoid_like", &[PRECISION], erf::sigmoid_like),
    Entry::new("gelu", &[], gelu::gelu),
    Entry::new(
        "sin",
        &[Param::default("a", 1.0), Param::default("b", 1.0), Param::default("c", 0.0)],
        trigonometric::sin,
    ),
    Entry::new(
        "cos",
        &[Param::default("a", 1.0), Param::default("b", 1.0), Param::default("c", 0.0)],
        trigonometric::cos,
    ),
    Entry::new("rbf", &[Param::default("gamma", 1.0)], exponential::rbf),
    Entry::new("exp", &[Param::default("a", 1.0), Param::default("b", 1.0)], exponential::exp),
    Entry::new(
        "exp_normalized",
        &[Param::default("gamma", 1.0), Param::default("shift", -1.0)],
        exponential::exp_normalized,
    ),
    Entry::new("gaussian", &[Param::default("a", 1.0), Param::default("b", -1.0)], gaussian::gaussian),
    Entry::new("gabor", &[], gabor::gabor),
    Entry::new("sign", &[], sign::sign),
    Entry::new("monomial", &[Param::count("degree")], polynomial::monomial),
    Entry::new("rectified_monomial", &[Param::count("degree")], rectified_monomial::rectified_monomial),
    Entry::new("polynomial", &[Param::numbers("coef")], polynomial::polynomial),
    Entry::new("hermite", &[Param::count("degree")], polynomial::hermite),
    Entry::new(
        "elementwise",
        &[Param::word("fn", elementwise::NAMES), Param::ignored("deg")],
        elementwise::elementwise,
    ),
];

/// A dual activation.
pub(crate) trait Activation: Debug + Send + Sync {
    /// How many numbers it keeps for each row.
    fn planes(&self) -> usize;

    /// The diagonal: F(q, q) and its slope, for a row of variance `q` ≥ 0. Fills the row's numbers.
    fn row(&self, q: f64, kept: &mut [f64]) -> Dual;

    /// A strip of one column: `k ← F`, and `t ← t·F'` (`t` is empty without an NTK).
    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]);

    /// All entries of a block of pairs. With `each` the column of an entry is that of its own lane.
    fn block(&self, level: Level, block: Block<'_>) {
        let Block { xs, first, ys, column, each, parts } = block;
        let lanes = parts.lanes;
        let each_lane = if each { 1 } else { lanes };
        for (e, (p, q)) in parts.x.iter().zip(parts.y).enumerate() {
            for lane in (0..lanes).step_by(each_lane) {
                let at = e * lanes + lane;
                let k = &mut parts.k[at..at + each_lane];
                let t = if parts.t.is_empty() { &mut [] } else { &mut parts.t[at..at + each_lane] };
                let rows = xs.from(first + lane).at(*p as usize, each_lane);
                self.strip(level, rows, ys.from(column + lane).at(*q as usize, 1), k, t);
            }
        }
    }

    /// Operations for each entry, both outputs, roughly.
    fn flops(&self) -> u64;
}

/// A block of pairs that goes through an activation.
pub(crate) struct Block<'a> {
    pub(crate) xs: &'a Terms,
    pub(crate) first: usize,
    pub(crate) ys: &'a Terms,
    pub(crate) column: usize,
    pub(crate) each: bool,
    pub(crate) parts: Parts<'a>,
}

/// F and its slope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dual {
    pub(crate) f: f64,
    pub(crate) slope: f64,
}

/// What an activation keeps for each position of each row of a block. Rows that go through the network together
/// lie together, position by position: all their numbers of a position are one piece of memory, number by number.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pixels: usize,
    /// Rows that lie together.
    lanes: usize,
    /// Numbers of a position of a row: [`OWN`] and the activation's.
    planes: usize,
    numbers: Buffer,
}

/// The numbers that every activation has, before its own: the variance q that enters, and the diagonal,
/// F(q, q) and F'(q, q).
const OWN: usize = 3;

impl Terms {
    /// Room for `pixels` positions of `rows` rows, `lanes` of which go through the network together.
    pub(crate) fn empty(pixels: usize, rows: usize, lanes: usize, planes: usize) -> Terms {
        let planes = OWN + planes;
        Terms { pixels, lanes, planes, numbers: Buffer::zeros(pixels * rows.next_multiple_of(lanes) * planes) }
    }

    /// Learns the variances `q` of a position of the rows from `first` on.
    pub(crate) fn learn(&mut self, activation: &dyn Activation, pixel: usize, first: usize, q: &[f64]) {
        let mut one = vec![0.0; self.planes];
        let from = self.from(first).at(pixel, q.len()).at;
        for (i, q) in q.iter().enumerate() {
            let q = q.max(0.0);
            let (own, kept) = one.split_at_mut(OWN);
            let dual = activation.row(q, kept);
            own.copy_from_slice(&[q, dual.f, dual.slope]);
            for (plane, value) in one.iter().enumerate() {
                self.numbers[from + i + plane * self.lanes] = *value;
            }
        }
    }

    /// The rows from `first` on that go through the network together.
    #[inline(always)]
    pub(crate) fn from(&self, first: usize) -> Rows<'_> {
        let group = first / self.lanes * self.lanes;
        Rows { terms: self, at: group * self.pixels * self.planes + first % self.lanes }
    }

    /// Bytes held by the terms of `rows` rows of an activation with this many planes.
    pub(crate) fn bytes(pixels: usize, rows: usize, lanes: usize, planes: usize) -> usize {
        pixels
            .saturating_mul(rows.next_multiple_of(lanes))
            .saturating_mul(OWN + planes)
            .saturating_mul(size_of::<f64>())
    }
}

/// Rows of a block that go through the network together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    terms: &'a Terms,
    at: usize,
}

impl<'a> Rows<'a> {
    /// `len` of them at a position.
    #[inline(always)]
    pub(crate) fn at(&self, pixel: usize, len: usize) -> Span<'a> {
        Span { terms: self.terms, at: self.at + pixel * self.terms.lanes * self.terms.planes, len }
    }
}

/// Some rows of a block that go through the network together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    terms: &'a Terms,
    at: usize,
    len: usize,
}

impl<'a> Span<'a> {
    #[inline(always)]
    fn number(&self, place: usize) -> &'a [f64] {
        &self.terms.numbers[self.at + place * self.terms.lanes..][..self.len]
    }

    /// One of the activation's numbers, for all rows of the span.
    #[inline(always)]
    pub(crate) fn plane(&self, plane: usize) -> &'a [f64] {
        self.number(OWN + plane)
    }

    /// The activation's numbers from one of them on, and how far apart two of a row are.
    #[inline(always)]
    pub(crate) fn planes(&self, first: usize) -> (&'a [f64], usize) {
        (&self.terms.numbers[self.at + (OWN + first) * self.terms.lanes..], self.terms.lanes)
    }

    /// `len` rows of the span, from its row `at` on.
    #[inline(always)]
    pub(crate) fn part(&self, at: usize, len: usize) -> Span<'a> {
        Span { terms: self.terms, at: self.at + at, len }
    }

    /// The variances.
    #[inline(always)]
    pub(crate) fn q(&self) -> &'a [f64] {
        self.number(0)
    }

    /// The diagonal values and slopes.
    #[inline(always)]
    pub(crate) fn diagonal(&self) -> (&'a [f64], &'a [f64]) {
        (self.number(1), self.number(2))
    }
}

/// Puts the diagonal's values where a covariance equals both variances in every bit: equal rows have
/// exactly the values of the diagonal. `before` are the covariances that entered.
#[inline(always)]
pub(crate) fn equal_rows(rows: &Span<'_>, column: &Span<'_>, before: &[f64], k: &mut [f64], slope: &mut [f64]) {
    let n = before.len();
    let (q, qc) = (&rows.q()[..n], column.q()[0]);
    let (f, s) = rows.diagonal();
    let (f, s) = (&f[..n], &s[..n]);
    let (k, slope) = (&mut k[..n], &mut slope[..n]);
    for i in 0..n {
        let equal = (before[i] == q[i]) & (q[i] == qc);
        k[i] = if equal { f[i] } else { k[i] };
        slope[i] = if equal { s[i] } else { slope[i] };
    }
}

/// √q and 1/√q, the latter 0 for rows that are zero: their angle with anything is then π/2.
pub(crate) fn norms(q: f64) -> [f64; 2] {
    let root = q.sqrt();
    [root, if is_zero(q) { 0.0 } else { 1.0 / root }]
}

/// Whether a variance is that of a zero row, or so small that its inverse is of no use.
pub(crate) fn is_zero(q: f64) -> bool {
    q < 1e-140
}
