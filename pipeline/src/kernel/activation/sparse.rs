//! Sums over all terms of a Hermite series from a few of them.
//!
//! A function with poles on the imaginary axis only has, beside a constant or a straight line, coefficients
//! aₙ(q) of one parity, and products aₙ(q)·aₙ(q') that fall smoothly with n: sums of geometric sequences. What adds up
//! every geometric sequence adds them up too. So Σ xᵐ is replaced by Σ w·xᵐ over 30 of the m, exponents and
//! weights chosen so that both 1/(1 − x) and its derivative are met for 0 ≤ x < 1, the less exactly near 1 the less
//! a function within reach has there (docs/decisions/009).

mod strip;

pub(super) use strip::Strip;

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

/// From an exponent to the next: a place in [`GAPS`]. There is none from the last.
const STEPS: [usize; TERMS] = {
    let mut steps = [0; TERMS];
    let mut m = 0;
    while m + 1 < TERMS {
        while GAPS[steps[m]] != EXPONENTS[m + 1] - EXPONENTS[m] {
            steps[m] += 1;
        }
        m += 1;
    }
    steps
};

/// Where the series is cut: terms behind it matter to nearly parallel rows alone.
struct Cut {
    /// The exponent from which on the terms behind the cut stand for all.
    exponent: f64,
    /// As many times the first of these at most is their sum.
    tail: f64,
}

/// Before the exponents 41 and 116.
const CUTS: [Cut; 2] = [Cut { exponent: 30.0, tail: 10.0 }, Cut { exponent: 100.0, tail: 30.0 }];

/// A row's or a column's number for each cut, `s` being q/d²: where c² is below the product of the two, the terms
/// behind the cut add up to less than 1e-13 of the slope and 1e-15 of F.
///
/// aₙ(q) falls like exp(−√(n/s)) at least.
pub(super) fn cuts(s: f64) -> [f64; CUTS.len()] {
    const SLOPE: f64 = 1e-13;
    CUTS.map(|cut| {
        let n = 2.0 * cut.exponent;
        let logarithm = (0.5 * libm::log(SLOPE / (n * cut.tail)) + (n / s).sqrt()) / cut.exponent;
        // Above one, and infinite for a row of zeros, says no more than one.
        libm::exp(logarithm.min(0.0))
    })
}

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

/// Where each kind of number of a row is kept: 1/√q, the constant, the cuts, then aₙ/√q.
pub(super) const INVERSE: usize = 0;
pub(super) const CONSTANT: usize = 1;
pub(super) const LIMITS: usize = 2;
pub(super) const SERIES: usize = LIMITS + CUTS.len();
