//! Whole kernel matrices through the tile function, for the tests.

#![allow(dead_code)]

use megagram_pipeline::kernel::{Inputs, KernelOut, KernelSpec, Network, RowState, Scratch};
use serde_json::{Value, json};

/// K and Θ of all pairs of rows, row-major, n × m.
pub struct Kernels {
    pub nngp: Vec<f64>,
    pub ntk: Vec<f64>,
}

/// Compiles a `[kernel]` section given as JSON.
pub fn network(kernel: &Value, d: impl Into<Inputs>) -> Network {
    let spec = KernelSpec::from_value(kernel).unwrap_or_else(|e| panic!("{e}"));
    Network::compile(&spec, d).unwrap_or_else(|e| panic!("{e}"))
}

/// Rows `from`.. of `x`, padded to `side` rows with zeros.
pub fn block(x: &[f64], d: usize, from: usize, side: usize) -> Vec<f64> {
    let mut block = vec![0.0; side * d];
    let rows = &x[(from * d).min(x.len())..x.len().min((from + side) * d)];
    block[..rows.len()].copy_from_slice(rows);
    block
}

/// One tile of a network with output "both".
pub fn tile(network: &Network, x: &[f64], y: &[f64], side: usize, diagonal: bool) -> (Kernels, RowState) {
    let (xs, ys) = (network.rows(x, side), network.rows(y, side));
    let (mut nngp, mut ntk) = (vec![f64::NAN; side * side], vec![f64::NAN; side * side]);
    let mut out = KernelOut { nngp: Some(&mut nngp), ntk: Some(&mut ntk) };
    network.tile(x, &xs, y, &ys, side, diagonal, &mut out, &mut Scratch::default());
    (Kernels { nngp, ntk }, xs)
}

/// The kernels of the rows of `x` with those of `y`, by tiles of this side. `None`: of `x` with itself.
pub fn kernels(network: &Network, x: &[f64], y: Option<&[f64]>, d: usize, side: usize) -> Kernels {
    let (n, m) = (x.len() / d, y.unwrap_or(x).len() / d);
    let mut whole = Kernels { nngp: vec![f64::NAN; n * m], ntk: vec![f64::NAN; n * m] };
    for i in (0..n).step_by(side) {
        for j in (0..m).step_by(side) {
            let (a, b) = (block(x, d, i, side), block(y.unwrap_or(x), d, j, side));
            let (part, _) = tile(network, &a, &b, side, y.is_none() && i == j);
            for r in i..n.min(i + side) {
                for c in j..m.min(j + side) {
                    let e = r - i + (c - j) * side;
                    whole.nngp[r * m + c] = part.nngp[e];
                    whole.ntk[r * m + c] = part.ntk[e];
                }
            }
        }
    }
    whole
}

/// The largest difference, relative to the largest entry of `want`; entries without a value (NaN) only
/// have to be finite.
pub fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().filter(|w| w.is_finite()).fold(0.0f64, |m, w| m.max(w.abs()));
    got.iter().zip(want).fold(0.0f64, |worst, (g, w)| {
        if !g.is_finite() {
            return f64::INFINITY;
        }
        if w.is_nan() { worst } else { worst.max((g - w).abs() / largest.max(f64::MIN_POSITIVE)) }
    })
}

/// Noise, roughly Gaussian, the same on every run.
pub fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| next() + next() + next()).collect()
}

/// A fully connected network with output "both".
pub fn fc(activation: Value, depth: u32, w_var: f64, b_var: f64) -> Value {
    json!({ "output": "both",
            "fc": { "depth": depth, "activation": activation, "w_var": w_var, "b_var": b_var } })
}
