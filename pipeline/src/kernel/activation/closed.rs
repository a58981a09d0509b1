//! Closed forms, vectorised over rows.

use super::{Activation, Block, Dual, Span};
use crate::kernel::level::{Level, Work};
use std::fmt::Debug;
use std::hint::black_box;

/// A closed form in k and at most a few numbers for each row.
pub(crate) trait ClosedForm<const PLANES: usize>: Debug + Copy + Send + Sync {
    /// Operations for each entry, roughly.
    const FLOPS: u64;

    /// Whether `entry` gives equal rows the bits of the diagonal; if not, they are put there.
    const EXACT: bool = false;

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
        let (xs, ys) = (xs.from(first), ys.from(column));
        for (e, (p, q)) in parts.x.iter().zip(parts.y).enumerate() {
            let k = &mut parts.k[e * lanes..][..lanes];
            let t = if NTK { &mut parts.t[e * lanes..][..lanes] } else { &mut [] };
            let rows = xs.at(*p as usize, lanes);
            let column = ys.at(*q as usize, if EACH { lanes } else { 1 });
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
    let numbers = Numbers::<PLANES>::new::<EACH>(rows, column, n);
    let t = if NTK { &mut t[..n] } else { t };
    for at in 0..n / WIDE {
        // The compiler must not know which piece it is: it would take eight together, and shuffle.
        piece::<T, PLANES, FMA, NTK, EACH, true>(&form, &numbers, k, t, black_box(at));
    }
    if !n.is_multiple_of(WIDE) {
        piece::<T, PLANES, FMA, NTK, EACH, false>(&form, &numbers, k, t, 0);
    }
}

/// The activation's numbers of some rows, all cut to one length, so that a piece has its bounds checked once.
struct Numbers<'a, const PLANES: usize> {
    planes: [&'a [f64]; PLANES],
    columns: [&'a [f64]; PLANES],
    q: &'a [f64],
    column_q: &'a [f64],
    f: &'a [f64],
    slope: &'a [f64],
}

impl<'a, const PLANES: usize> Numbers<'a, PLANES> {
    #[inline(always)]
    fn new<const EACH: bool>(rows: Span<'a>, column: Span<'a>, n: usize) -> Self {
        let columns_len = if EACH { n } else { 1 };
        let (mut planes, mut columns) = ([&[][..]; PLANES], [&[][..]; PLANES]);
        for p in 0..PLANES {
            planes[p] = &rows.plane(p)[..n];
            columns[p] = &column.plane(p)[..columns_len];
        }
        let (f, slope) = rows.diagonal();
        let (q, column_q) = (&rows.q()[..n], &column.q()[..columns_len]);
        Numbers { planes, columns, q, column_q, f: &f[..n], slope: &slope[..n] }
    }
}

/// Entries that are computed at once. Arrays of this length, the last one filled up with zeros, leave the
/// compiler neither remainders nor doubts about overlaps, which would cost more than the entries themselves.
const WIDE: usize = 8;

/// The entries of a piece, or with `WHOLE` false the fewer that are left.
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
    numbers: &Numbers<'_, PLANES>,
    k: &mut [f64],
    t: &mut [f64],
    at: usize,
) {
    let (mut planes, mut columns) = ([[0.0; WIDE]; PLANES], [[0.0; WIDE]; PLANES]);
    for p in 0..PLANES {
        planes[p] = load::<WHOLE>(numbers.planes[p], at);
        columns[p] = column_of::<EACH, WHOLE>(numbers.columns[p], at);
    }
    let before = load::<WHOLE>(k, at);
    let (mut value, mut bend) = ([0.0; WIDE], [0.0; WIDE]);
    for i in 0..WIDE {
        let (mut row, mut column) = ([0.0; PLANES], [0.0; PLANES]);
        for p in 0..PLANES {
            (row[p], column[p]) = (planes[p][i], columns[p][i]);
        }
        let dual = form.entry::<FMA>(before[i], row, column);
        (value[i], bend[i]) = (dual.f, dual.slope);
    }
    if !T::EXACT {
        let (q, qc) = (load::<WHOLE>(numbers.q, at), column_of::<EACH, WHOLE>(numbers.column_q, at));
        let (f, slope) = (load::<WHOLE>(numbers.f, at), load::<WHOLE>(numbers.slope, at));
        for i in 0..WIDE {
            // Equal rows have exactly the values of the diagonal. By masks: of two conditions the compiler makes branches.
            let mask = (u64::from(before[i] == q[i]) & u64::from(q[i] == qc[i])).wrapping_neg();
            value[i] = f64::from_bits(f[i].to_bits() & mask | value[i].to_bits() & !mask);
            bend[i] = f64::from_bits(slope[i].to_bits() & mask | bend[i].to_bits() & !mask);
        }
    }
    store::<WHOLE>(&value, k, at);
    if NTK {
        let mut theta = load::<WHOLE>(t, at);
        for i in 0..WIDE {
            theta[i] *= bend[i];
        }
        store::<WHOLE>(&theta, t, at);
    }
}

/// A piece of the values, or with `WHOLE` false the rest behind the last one, filled up with zeros.
#[inline(always)]
fn load<const WHOLE: bool>(values: &[f64], at: usize) -> [f64; WIDE] {
    let (pieces, rest) = values.as_chunks::<WIDE>();
    if WHOLE {
        return pieces[at];
    }
    let mut wide = [0.0; WIDE];
    wide.iter_mut().zip(rest).for_each(|(wide, value)| *wide = *value);
    wide
}

/// The same of columns: one for each row, or one for all.
#[inline(always)]
fn column_of<const EACH: bool, const WHOLE: bool>(values: &[f64], at: usize) -> [f64; WIDE] {
    if EACH { load::<WHOLE>(values, at) } else { [values[0]; WIDE] }
}

#[inline(always)]
fn store<const WHOLE: bool>(wide: &[f64; WIDE], values: &mut [f64], at: usize) {
    let (pieces, rest) = values.as_chunks_mut::<WIDE>();
    if WHOLE {
        pieces[at] = *wide;
    } else {
        rest.iter_mut().zip(wide).for_each(|(value, wide)| *value = *wide);
    }
}
