//! Dual activations: what a nonlinearity does to covariances.
//!
//! For φ and a pair of Gaussians (u, v) with variances q, q' and covariance k, an activation maps k to
//! `F = E[φ(u)φ(v)]` and Θ to `Θ·F'` with the slope `F' = E[φ'(u)φ'(v)] = ∂F/∂k`.
//! (Lee et al. 2018, eqs 4–10; Lee, Xiao et al. 2019, eqs S13–S17.)
//!
//! One file a family and one line a name in [`TABLE`].

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
mod trigonometric;

use super::arguments::{Entry, Param};
use super::level::{Level, Work};
use super::sweep::Parts;
use std::fmt::Debug;

/// Every activation by its name, its arguments, and what builds it.
pub(crate) static TABLE: &[Entry] = &[
    Entry::new("relu", &[], rectifier::relu),
    Entry::new("leaky_relu", &[Param::number("alpha")], rectifier::leaky_relu),
    Entry::new("ab_relu", &[Param::number("a"), Param::number("b")], rectifier::ab_relu),
    Entry::new("abs", &[], rectifier::abs),
    Entry::new("erf", &[Param::default("a", 1.0), Param::default("b", 1.0), Param::default("c", 0.0)], erf::erf),
    Entry::new("sigmoid_like", &[], erf::sigmoid_like),
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
                let rows = xs.at(*p as usize, first + lane, each_lane);
                self.strip(level, rows, ys.at(*q as usize, column + lane, 1), k, t);
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

/// What an activation keeps for each position of each row of a block, position by position.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    rows: usize,
    total: usize,
    planes: usize,
    /// The variances that enter.
    q: Vec<f64>,
    /// The diagonal, F(q, q) and F'(q, q).
    f: Vec<f64>,
    slope: Vec<f64>,
    /// The activation's numbers, one plane after the other.
    kept: Vec<f64>,
}

impl Terms {
    /// Room for `pixels` positions of `rows` rows.
    pub(crate) fn empty(pixels: usize, rows: usize, planes: usize) -> Terms {
        let total = pixels * rows;
        let zeros = || vec![0.0; total];
        Terms { rows, total, planes, q: zeros(), f: zeros(), slope: zeros(), kept: vec![0.0; planes * total] }
    }

    /// Learns the variances `q` of a position of the rows from `first` on.
    pub(crate) fn learn(&mut self, activation: &dyn Activation, pixel: usize, first: usize, q: &[f64]) {
        let mut one = vec![0.0; self.planes];
        for (i, q) in q.iter().enumerate() {
            let at = pixel * self.rows + first + i;
            let q = q.max(0.0);
            let dual = activation.row(q, &mut one);
            (self.q[at], self.f[at], self.slope[at]) = (q, dual.f, dual.slope);
            for (plane, value) in one.iter().enumerate() {
                self.kept[plane * self.total + at] = *value;
            }
        }
    }

    /// `len` rows from row `first` on at a position.
    #[inline(always)]
    pub(crate) fn at(&self, pixel: usize, first: usize, len: usize) -> Span<'_> {
        self.span(pixel * self.rows + first, len)
    }

    #[inline(always)]
    fn span(&self, at: usize, len: usize) -> Span<'_> {
        Span { terms: self, at, len }
    }

    /// Bytes held by the terms of `rows` rows of an activation with this many planes.
    pub(crate) fn bytes(rows: usize, planes: usize) -> usize {
        rows * (3 + planes) * size_of::<f64>()
    }
}

/// Some rows of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    terms: &'a Terms,
    at: usize,
    len: usize,
}

impl<'a> Span<'a> {
    /// One of the activation's numbers, for all rows of the span.
    #[inline(always)]
    pub(crate) fn plane(&self, plane: usize) -> &'a [f64] {
        &self.terms.kept[plane * self.terms.total + self.at..][..self.len]
    }

    /// `len` rows of the span, from its row `at` on.
    #[inline(always)]
    pub(crate) fn part(&self, at: usize, len: usize) -> Span<'a> {
        Span { terms: self.terms, at: self.at + at, len }
    }

    /// The variances.
    #[inline(always)]
    pub(crate) fn q(&self) -> &'a [f64] {
        &self.terms.q[self.at..][..self.len]
    }

    /// The diagonal values and slopes.
    #[inline(always)]
    pub(crate) fn diagonal(&self) -> (&'a [f64], &'a [f64]) {
        (&self.terms.f[self.at..][..self.len], &self.terms.slope[self.at..][..self.len])
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

/// A closed form in k and at most a few numbers for each row.
pub(crate) trait ClosedForm<const PLANES: usize>: Debug + Copy + Send + Sync {
    /// Operations for each entry, roughly.
    const FLOPS: u64;

    /// The diagonal and the numbers of a row of variance `q`.
    fn row(&self, q: f64) -> ([f64; PLANES], Dual);

    /// An entry with covariance `k`. Must be `#[inline(always)]` and without branches.
    fn entry<const FMA: bool>(&self, k: f64, row: [f64; PLANES], column: [f64; PLANES]) -> Dual;
}

/// A closed form as an activation.
#[derive(Debug)]
pub(crate) struct Closed<T, const PLANES: usize>(pub(crate) T);

impl<T: ClosedForm<PLANES>, const PLANES: usize> Activation for Closed<T, PLANES> {
    fn planes(&self) -> usize {
        PLANES
    }

    fn row(&self, q: f64, kept: &mut [f64]) -> Dual {
        let (numbers, dual) = self.0.row(q);
        kept.copy_from_slice(&numbers);
        dual
    }

    fn strip(&self, level: Level, rows: Span<'_>, column: Span<'_>, k: &mut [f64], t: &mut [f64]) {
        level.run(Strip { form: &self.0, rows, column, k, t });
    }

    fn block(&self, level: Level, block: Block<'_>) {
        level.run(Whole { form: &self.0, block });
    }

    fn flops(&self) -> u64 {
        T::FLOPS
    }
}

struct Strip<'a, T, const PLANES: usize> {
    form: &'a T,
    rows: Span<'a>,
    column: Span<'a>,
    k: &'a mut [f64],
    t: &'a mut [f64],
}

impl<T: ClosedForm<PLANES>, const PLANES: usize> Work for Strip<'_, T, PLANES> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Strip { form, rows, column, k, t } = self;
        if t.is_empty() {
            entries::<T, PLANES, FMA, false, false>(form, rows, column, k, t);
        } else {
            entries::<T, PLANES, FMA, true, false>(form, rows, column, k, t);
        }
    }
}

struct Whole<'a, T, const PLANES: usize> {
    form: &'a T,
    block: Block<'a>,
}

impl<T: ClosedForm<PLANES>, const PLANES: usize> Work for Whole<'_, T, PLANES> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        match (self.block.parts.t.is_empty(), self.block.each) {
            (true, false) => self.all::<FMA, false, false>(),
            (true, true) => self.all::<FMA, false, true>(),
            (false, false) => self.all::<FMA, true, false>(),
            (false, true) => self.all::<FMA, true, true>(),
        }
    }
}

impl<T: ClosedForm<PLANES>, const PLANES: usize> Whole<'_, T, PLANES> {
    #[inline(always)]
    fn all<const FMA: bool, const NTK: bool, const EACH: bool>(self) {
        let Block { xs, first, ys, column, parts, .. } = self.block;
        let lanes = parts.lanes;
        for (e, (p, q)) in parts.x.iter().zip(parts.y).enumerate() {
            let k = &mut parts.k[e * lanes..][..lanes];
            let t = if NTK { &mut parts.t[e * lanes..][..lanes] } else { &mut [] };
            let rows = xs.at(*p as usize, first, lanes);
            let column = ys.at(*q as usize, column, if EACH { lanes } else { 1 });
            entries::<T, PLANES, FMA, NTK, EACH>(self.form, rows, column, k, t);
        }
    }
}

/// Some rows with one column, or with `EACH` of them with a column of its own.
#[inline(always)]
fn entries<T: ClosedForm<PLANES>, const PLANES: usize, const FMA: bool, const NTK: bool, const EACH: bool>(
    form: &T,
    rows: Span<'_>,
    column: Span<'_>,
    k: &mut [f64],
    t: &mut [f64],
) {
    // A copy, so that its numbers are in registers.
    let form = *form;
    let n = k.len();
    let whole = n - n % WIDE;
    for from in (0..whole).step_by(WIDE) {
        piece::<T, PLANES, FMA, NTK, EACH, true>(&form, (rows, column), k, t, from);
    }
    if whole < n {
        piece::<T, PLANES, FMA, NTK, EACH, false>(&form, (rows, column), k, t, whole);
    }
}

/// Entries that are computed at once. Arrays of this length, the last one filled up with zeros, leave the
/// compiler neither remainders nor doubts about overlaps, which would cost more than the entries themselves.
const WIDE: usize = 8;

/// `WIDE` entries, or with `WHOLE` false the fewer that are left.
#[inline(always)]
fn piece<
    T: ClosedForm<PLANES>,
    const PLANES: usize,
    const FMA: bool,
    const NTK: bool,
    const EACH: bool,
    const WHOLE: bool,
>(
    form: &T,
    (rows, column): (Span<'_>, Span<'_>),
    k: &mut [f64],
    t: &mut [f64],
    from: usize,
) {
    let (mut planes, mut columns) = ([[0.0; WIDE]; PLANES], [[0.0; WIDE]; PLANES]);
    for p in 0..PLANES {
        planes[p] = load::<WHOLE>(rows.plane(p), from);
        columns[p] = if EACH { load::<WHOLE>(column.plane(p), from) } else { [column.plane(p)[0]; WIDE] };
    }
    let (f, slope) = rows.diagonal();
    let (q, f, slope) = (load::<WHOLE>(rows.q(), from), load::<WHOLE>(f, from), load::<WHOLE>(slope, from));
    let qc = if EACH { load::<WHOLE>(column.q(), from) } else { [column.q()[0]; WIDE] };
    let before = load::<WHOLE>(k, from);
    let (mut value, mut bend) = ([0.0; WIDE], [0.0; WIDE]);
    for i in 0..WIDE {
        let (mut row, mut column) = ([0.0; PLANES], [0.0; PLANES]);
        for p in 0..PLANES {
            (row[p], column[p]) = (planes[p][i], columns[p][i]);
        }
        let dual = form.entry::<FMA>(before[i], row, column);
        // Equal rows have exactly the values of the diagonal.
        let equal = (before[i] == q[i]) & (q[i] == qc[i]);
        value[i] = if equal { f[i] } else { dual.f };
        bend[i] = if equal { slope[i] } else { dual.slope };
    }
    store::<WHOLE>(&value, k, from);
    if NTK {
        let mut theta = load::<WHOLE>(t, from);
        for i in 0..WIDE {
            theta[i] *= bend[i];
        }
        store::<WHOLE>(&theta, t, from);
    }
}

#[inline(always)]
fn load<const WHOLE: bool>(values: &[f64], from: usize) -> [f64; WIDE] {
    let values = &values[from..];
    if WHOLE {
        return values.first_chunk().copied().unwrap_or_default();
    }
    let mut wide = [0.0; WIDE];
    wide.iter_mut().zip(values).for_each(|(wide, value)| *wide = *value);
    wide
}

#[inline(always)]
fn store<const WHOLE: bool>(wide: &[f64; WIDE], values: &mut [f64], from: usize) {
    let values = &mut values[from..];
    match values.first_chunk_mut() {
        Some(whole) if WHOLE => *whole = *wide,
        _ => values.iter_mut().zip(wide).for_each(|(value, wide)| *value = *wide),
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
