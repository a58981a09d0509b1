//! Sums over all terms of a Hermite series from a few of them.
//!
//! A function with poles on the imaginary axis only has, beside a constant or a straight line, coefficients
//! aₙ(q) of one parity, and products aₙ(q)·aₙ(q') that fall smoothly with n: sums of geometric sequences. What adds up
//! every geometric sequence adds them up too. So Σ xᵐ is replaced by Σ w·xᵐ over 30 of the m, exponents and
//! weights chosen so that both 1/(1 − x) and its derivative are met for 0 ≤ x < 1, the less exactly near 1 the less
//! a function within reach has there (docs/decisions/009).

use super::Span;
use crate::kernel::level::{Work, mul_add};
use std::f64::consts::PI;

/// How many terms are left.
pub(super) const TERMS: usize = 30;

/// The largest q/d², d being the distance of the poles from the real line, for which the weights hold. Within it the
/// error of a sum is 8e-14 of it, and that of its derivative 4e-12.
pub(super) const REACH: f64 = 4.0;

/// The exponents m.
const EXPONENTS: [usize; TERMS] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 19, 25, 27, 29, 41, 44, 52, 68, 80, 92, 116, 140, 164, 212, 276, 372,
];

/// Their weights.
const WEIGHTS: [f64; TERMS] = [
    1.0000000000000069,
    0.999999999967904,
    1.0000000053987206,
    0.9999996859309196,
    1.000009052248565,
    0.9998487077583453,
    1.0015914695838661,
    0.9890289090506404,
    1.0498694271309648,
    0.8570666538737596,
    1.2089671750742321,
    1.0851629840004084,
    2.787398912744055,
    2.906967396516199,
    3.7188911082499034,
    15.040053752931398,
    -20.895271427600996,
    19.45628989176113,
    16.738053484805185,
    -7.318791180240534,
    15.63436230095371,
    16.33459165019016,
    6.9106826114297855,
    19.83852943926696,
    26.836920382927335,
    18.537090655193943,
    36.36505556790739,
    57.31440757719161,
    71.95528553509143,
    135.96837622578022,
];

/// Powers by which neighbouring exponents are apart; each is a product of two before it, or of one with itself.
const GAPS: [usize; 13] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96];

/// From an exponent to the next: a place in [`GAPS`].
const STEPS: [usize; TERMS - 1] = {
    let mut steps = [0; TERMS - 1];
    let mut m = 0;
    while m + 1 < TERMS {
        while GAPS[steps[m]] != EXPONENTS[m + 1] - EXPONENTS[m] {
            steps[m] += 1;
        }
        m += 1;
    }
    steps
};

/// Whether a series has the terms 1, 3, 5, … or 2, 4, 6, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parity {
    Odd,
    Even,
}

impl Parity {
    /// The terms n that are left.
    fn terms(self) -> [usize; TERMS] {
        let first = if self == Parity::Odd { 1 } else { 2 };
        EXPONENTS.map(|m| 2 * m + first)
    }
}

/// A node of a trapezoid rule for even functions with Gaussian weight.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) z: f64,
    pub(super) weight: f64,
}

/// The nodes z ≥ 0 with step `h`: E[g(z)] is Σ weight·g(z).
pub(super) fn nodes(h: f64) -> impl Iterator<Item = Node> {
    /// Where exp(−z²/4), by which the integrands fall, is below 1e-17.
    const END: f64 = 12.6;
    (0..=(END / h).ceil() as usize).map(move |node| {
        let z = node as f64 * h;
        let twice = if node == 0 { 1.0 } else { 2.0 };
        Node { z, weight: twice * h * libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt() }
    })
}

/// Nodes, and the normalised Hermite polynomials of the terms there, times the weight.
#[derive(Debug)]
pub(super) struct Grid {
    pub(super) nodes: Vec<Node>,
    pub(super) polynomials: Vec<[f64; TERMS]>,
}

impl Grid {
    pub(super) fn new(parity: Parity) -> Grid {
        /// The last polynomial turns 28 times in a unit.
        const STEP: f64 = 0.05;
        let nodes: Vec<Node> = nodes(STEP).collect();
        let polynomials = nodes.iter().map(|node| hermite(node, parity)).collect();
        Grid { nodes, polynomials }
    }
}

fn hermite(node: &Node, parity: Parity) -> [f64; TERMS] {
    // Half of the weight goes with the polynomials, which keeps them bounded.
    let half = libm::exp(-0.25 * node.z * node.z);
    let (mut before, mut here, mut n) = (0.0, half, 0);
    parity.terms().map(|term| {
        while n < term {
            let next = (node.z * here - (n as f64).sqrt() * before) / ((n + 1) as f64).sqrt();
            (before, here) = (here, next);
            n += 1;
        }
        node.weight / half * here
    })
}

/// Where each kind of number of a row is kept: 1/√q, the constant, then aₙ/√q.
pub(super) const INVERSE: usize = 0;
pub(super) const CONSTANT: usize = 1;
pub(super) const SERIES: usize = 2;

/// A strip of entries: F = A·A' + l·k + k·[c]·S and F' = l + [c]·T with S = Σ w·aₙa'ₙ/√(qq')·zᵐ, T likewise with
/// another factor n, z = c²; the c in brackets only if the series is even.
pub(super) struct Strip<'a> {
    pub(super) parity: Parity,
    /// l, the square of the straight line's slope.
    pub(super) line: f64,
    pub(super) rows: Span<'a>,
    pub(super) column: Span<'a>,
    pub(super) k: &'a mut [f64],
    pub(super) t: &'a mut [f64],
}

/// Entries that are computed at once.
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
        let (mut b, mut nb) = ([0.0; TERMS], [0.0; TERMS]);
        for (m, n) in parity.terms().into_iter().enumerate() {
            b[m] = WEIGHTS[m] * column.plane(SERIES + m)[0];
            nb[m] = n as f64 * b[m];
        }
        let column =
            Column { b, nb, inverse: column.plane(INVERSE)[0], constant: column.plane(CONSTANT)[0], q: column.q()[0] };
        for from in (0..k.len()).step_by(WIDE) {
            let len = WIDE.min(k.len() - from);
            let rows = rows.part(from, len);
            let k = &mut k[from..from + len];
            let before = wide(k);
            let inverses = wide(rows.plane(INVERSE));
            let mut c = [0.0; WIDE];
            for i in 0..WIDE {
                c[i] = (before[i] * (inverses[i] * column.inverse)).clamp(-1.0, 1.0);
            }
            let (sum, bent) = sums::<FMA, NTK>(&rows, &column, &c);
            let constants = wide(rows.plane(CONSTANT));
            let (mut f, mut slope) = ([0.0; WIDE], [0.0; WIDE]);
            for i in 0..WIDE {
                let odd = if parity == Parity::Odd { 1.0 } else { c[i] };
                f[i] = mul_add::<FMA>(before[i], mul_add::<FMA>(odd, sum[i], line), constants[i] * column.constant);
                slope[i] = mul_add::<FMA>(odd, bent[i], line);
            }
            let (diagonal, steep) = rows.diagonal();
            let (q, diagonal, steep) = (wide(rows.q()), wide(diagonal), wide(steep));
            for i in 0..WIDE {
                // Equal rows have exactly the values of the diagonal.
                let equal = (before[i] == q[i]) & (q[i] == column.q);
                f[i] = if equal { diagonal[i] } else { f[i] };
                slope[i] = if equal { steep[i] } else { slope[i] };
            }
            k.copy_from_slice(&f[..len]);
            if NTK {
                for (t, slope) in t[from..from + len].iter_mut().zip(&slope) {
                    *t *= slope;
                }
            }
        }
    }
}

/// A column's numbers.
struct Column {
    /// w·aₙ/√q', and n times that.
    b: [f64; TERMS],
    nb: [f64; TERMS],
    inverse: f64,
    constant: f64,
    q: f64,
}

/// S and T of a piece.
#[inline(always)]
fn sums<const FMA: bool, const NTK: bool>(
    rows: &Span<'_>,
    column: &Column,
    c: &[f64; WIDE],
) -> ([f64; WIDE], [f64; WIDE]) {
    let mut powers = [[0.0; WIDE]; GAPS.len()];
    for i in 0..WIDE {
        powers[0][i] = c[i] * c[i];
        powers[1][i] = powers[0][i] * powers[0][i];
        powers[2][i] = powers[1][i] * powers[0][i];
    }
    // 4 = 2·2, 6 = 3·3, 8 = 4·4, 12 = 6·6 and so on.
    for gap in 3..GAPS.len() {
        let root = powers[gap - 2];
        for (power, root) in powers[gap].iter_mut().zip(&root) {
            *power = root * root;
        }
    }
    let (mut f, mut slope) = ([0.0; WIDE], [0.0; WIDE]);
    let (planes, stride) = rows.planes(SERIES);
    for m in (0..TERMS).rev() {
        let a = wide(&planes[m * stride..]);
        let power = &powers[if m + 1 < TERMS { STEPS[m] } else { 0 }];
        for i in 0..WIDE {
            f[i] = mul_add::<FMA>(f[i], power[i], a[i] * column.b[m]);
            if NTK {
                slope[i] = mul_add::<FMA>(slope[i], power[i], a[i] * column.nb[m]);
            }
        }
    }
    (f, slope)
}

/// The first values, filled up with zeros.
#[inline(always)]
fn wide(values: &[f64]) -> [f64; WIDE] {
    match values.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut wide = [0.0; WIDE];
            wide.iter_mut().zip(values).for_each(|(wide, value)| *wide = *value);
            wide
        }
    }
}
