//! The thinned series of a strip of entries.

use super::{CONSTANT, CUTS, GAPS, INVERSE, LIMITS, Parity, SERIES, STEPS, TERMS, WEIGHTS};
use crate::kernel::activation::Span;
use crate::kernel::level::{Work, mul_add};

/// A strip of entries: F = A·A' + l·k + k·[c]·S and F' = l + [c]·T with S = Σ w·aₙa'ₙ/√(qq')·zᵐ, T likewise with
/// another factor n, z = c²; the c in brackets only if the series is even. T is n₀·S + 2z·dS/dz.
pub(in crate::kernel::activation) struct Strip<'a> {
    pub(in crate::kernel::activation) parity: Parity,
    /// l, the square of the straight line's slope.
    pub(in crate::kernel::activation) line: f64,
    pub(in crate::kernel::activation) rows: Span<'a>,
    pub(in crate::kernel::activation) column: Span<'a>,
    pub(in crate::kernel::activation) k: &'a mut [f64],
    pub(in crate::kernel::activation) t: &'a mut [f64],
}

/// Entries that are computed at once: two vectors, so that one's sum does not wait for itself alone.
const WIDE: usize = 16;

impl Work for Strip<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        if self.t.is_empty() { self.pieces::<FMA, false>() } else { self.pieces::<FMA, true>() }
    }
}

impl Strip<'_> {
    #[inline(always)]
    fn pieces<const FMA: bool, const NTK: bool>(self) {
        let Strip { parity, line, rows, column, k, t } = self;
        let column = Column::new(parity, line, column);
        let n = k.len();
        let mut at = 0;
        while at + WIDE <= n {
            piece::<FMA, NTK, WIDE>(&column, rows, at, k, t);
            at += WIDE;
        }
        while at + HALF <= n {
            piece::<FMA, NTK, HALF>(&column, rows, at, k, t);
            at += HALF;
        }
        if at < n {
            rest::<FMA, NTK>(&column, rows.part(at, n - at), &mut k[at..], if NTK { &mut t[at..] } else { t });
        }
    }
}

/// One vector.
const HALF: usize = WIDE / 2;

/// A column's numbers.
struct Column {
    /// w·aₙ/√q'.
    b: [f64; TERMS],
    inverse: f64,
    constant: f64,
    limits: [f64; CUTS.len()],
    q: f64,
    line: f64,
    odd: bool,
}

impl Column {
    #[inline(always)]
    fn new(parity: Parity, line: f64, column: Span<'_>) -> Column {
        let mut b = [0.0; TERMS];
        let (planes, stride) = column.planes(SERIES);
        for m in 0..TERMS {
            b[m] = WEIGHTS[m] * planes[m * stride];
        }
        let (inverse, constant) = (column.plane(INVERSE)[0], column.plane(CONSTANT)[0]);
        let limits = [column.plane(LIMITS)[0], column.plane(LIMITS + 1)[0]];
        Column { b, inverse, constant, limits, q: column.q()[0], line, odd: parity == Parity::Odd }
    }
}

/// The numbers of `W` rows, but for the series.
struct Row<const W: usize> {
    inverse: [f64; W],
    constant: [f64; W],
    limits: [[f64; W]; CUTS.len()],
    q: [f64; W],
    f: [f64; W],
    slope: [f64; W],
}

/// `W` entries, from row `at` on.
#[inline(always)]
fn piece<const FMA: bool, const NTK: bool, const W: usize>(
    column: &Column,
    rows: Span<'_>,
    at: usize,
    k: &mut [f64],
    t: &mut [f64],
) {
    let (f, slope) = rows.diagonal();
    let row = Row {
        inverse: whole(rows.plane(INVERSE), at),
        constant: whole(rows.plane(CONSTANT), at),
        limits: [whole(rows.plane(LIMITS), at), whole(rows.plane(LIMITS + 1), at)],
        q: whole(rows.q(), at),
        f: whole(f, at),
        slope: whole(slope, at),
    };
    let (planes, stride) = rows.planes(SERIES);
    let (f, slope) = entries::<FMA, NTK, W>(column, &row, (&planes[at..], stride), &whole(k, at));
    k[at..at + W].copy_from_slice(&f);
    if NTK {
        let mut theta = whole::<W>(t, at);
        for i in 0..W {
            theta[i] *= slope[i];
        }
        t[at..at + W].copy_from_slice(&theta);
    }
}

/// Fewer entries than a vector has: filled up with zeros.
#[inline(always)]
fn rest<const FMA: bool, const NTK: bool>(column: &Column, rows: Span<'_>, k: &mut [f64], t: &mut [f64]) {
    let mut series = [0.0; TERMS * HALF];
    for (m, filled) in series.chunks_exact_mut(HALF).enumerate() {
        filled.copy_from_slice(&part(rows.plane(SERIES + m)));
    }
    let (f, slope) = rows.diagonal();
    let row = Row {
        inverse: part(rows.plane(INVERSE)),
        constant: part(rows.plane(CONSTANT)),
        limits: [part(rows.plane(LIMITS)), part(rows.plane(LIMITS + 1))],
        q: part(rows.q()),
        f: part(f),
        slope: part(slope),
    };
    let (f, slope) = entries::<FMA, NTK, HALF>(column, &row, (&series, HALF), &part(k));
    k.copy_from_slice(&f[..k.len()]);
    if NTK {
        t.iter_mut().zip(&slope).for_each(|(t, slope)| *t *= slope);
    }
}

/// F and F' of entries with covariance `k`; the series of the rows, and how far apart two of its terms are.
#[inline(always)]
fn entries<const FMA: bool, const NTK: bool, const W: usize>(
    column: &Column,
    row: &Row<W>,
    series: (&[f64], usize),
    k: &[f64; W],
) -> ([f64; W], [f64; W]) {
    let mut c = [0.0; W];
    for i in 0..W {
        c[i] = (k[i] * (row.inverse[i] * column.inverse)).clamp(-1.0, 1.0);
    }
    let (mut f, mut slope) = sums::<FMA, NTK, W>(column, row, series, &c);
    for i in 0..W {
        let odd = if column.odd { 1.0 } else { c[i] };
        // Σ n·pₘ·zᵐ with n = 2m + 1 or 2m + 2.
        slope[i] = mul_add::<FMA>(2.0, slope[i], if column.odd { f[i] } else { 2.0 * f[i] });
        f[i] = mul_add::<FMA>(k[i], mul_add::<FMA>(odd, f[i], column.line), row.constant[i] * column.constant);
        slope[i] = mul_add::<FMA>(odd, slope[i], column.line);
        // Equal rows have exactly the values of the diagonal. By masks: of two conditions the compiler makes branches.
        let mask = (u64::from(k[i] == row.q[i]) & u64::from(row.q[i] == column.q)).wrapping_neg();
        f[i] = f64::from_bits(row.f[i].to_bits() & mask | f[i].to_bits() & !mask);
        slope[i] = f64::from_bits(row.slope[i].to_bits() & mask | slope[i].to_bits() & !mask);
    }
    (f, slope)
}

/// S and z·dS/dz.
#[inline(always)]
fn sums<const FMA: bool, const NTK: bool, const W: usize>(
    column: &Column,
    row: &Row<W>,
    (planes, stride): (&[f64], usize),
    c: &[f64; W],
) -> ([f64; W], [f64; W]) {
    let mut powers = [[0.0; W]; GAPS.len()];
    let (mut near, mut any) = ([[0u64; W]; CUTS.len()], [0; CUTS.len()]);
    for i in 0..W {
        powers[0][i] = c[i] * c[i];
        powers[1][i] = powers[0][i] * powers[0][i];
        powers[2][i] = powers[1][i] * powers[0][i];
    }
    for cut in 0..CUTS.len() {
        for i in 0..W {
            let limit = row.limits[cut][i] * column.limits[cut];
            near[cut][i] = u64::from(powers[0][i] >= limit).wrapping_neg();
            any[cut] |= near[cut][i];
        }
    }
    let (mut f, mut slope) = ([0.0; W], [0.0; W]);
    // Horner's scheme for S and its derivative, term by term in the source, so that the powers stay in registers.
    macro_rules! terms {
        ($($m:literal)*) => {
            $({
                const STEP: usize = STEPS[$m];
                let (a, power) = (whole::<W>(planes, $m * stride), &powers[STEP]);
                for i in 0..W {
                    if NTK {
                        let bent = if STEP == 0 {
                            slope[i] + f[i]
                        } else {
                            mul_add::<FMA>(GAPS[STEP] as f64, f[i], slope[i])
                        };
                        slope[i] = bent * power[i];
                    }
                    f[i] = mul_add::<FMA>(f[i], power[i], a[i] * column.b[$m]);
                }
            })*
        };
    }
    // Each power is the square of one before it.
    macro_rules! powers {
        ($($gap:literal)*) => {
            $(for i in 0..W {
                powers[$gap][i] = powers[$gap - 2][i] * powers[$gap - 2][i];
            })*
        };
    }
    // An entry has the same bits whatever the others are: what is behind a cut it has only if it needs it itself.
    macro_rules! leave {
        ($cut:literal) => {
            for i in 0..W {
                f[i] = f64::from_bits(f[i].to_bits() & near[$cut][i]);
                slope[i] = f64::from_bits(slope[i].to_bits() & near[$cut][i]);
            }
        };
    }
    powers!(3 4);
    if any[0] != 0 {
        powers!(5 6 7 8);
        if any[1] != 0 {
            powers!(9 10 11 12);
            terms!(29 28 27 26 25 24);
            leave!(1);
        }
        terms!(23 22 21 20 19 18);
        leave!(0);
    }
    terms!(17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0);
    (f, slope)
}

/// `W` values, from `at` on.
#[inline(always)]
fn whole<const W: usize>(values: &[f64], at: usize) -> [f64; W] {
    let mut whole = [0.0; W];
    whole.copy_from_slice(&values[at..at + W]);
    whole
}

/// The values, filled up with zeros.
#[inline(always)]
fn part(values: &[f64]) -> [f64; HALF] {
    let mut wide = [0.0; HALF];
    wide[..values.len()].copy_from_slice(values);
    wide
}
