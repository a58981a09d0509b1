//! Rows of bytes, whose scalar products are sums of whole numbers, among rows that are not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{fc, network, noise};
use megagram_pipeline::kernel::{KernelOut, Network, Scratch};

const D: usize = 100;

/// Bytes as preparations leave them, noise, equal numbers, zeros, and some of them twice.
fn rows(count: usize) -> Vec<f64> {
    let noise = noise(D, 5);
    let bytes = |row: usize, i: usize| ((i * i * (row + 3) + row * 11) % 256) as f64;
    let number = |row: usize, i: usize| match row % 7 {
        0 => bytes(row, i),
        1 => (bytes(row, i) - 101.3) / 77.7,
        2 => bytes(row, i) / 255.0,
        3 => noise[i] * (row + i) as f64,
        4 => 0.25 + row as f64,
        5 => 0.0,
        _ => bytes(row - 6, i),
    };
    (0..count).flat_map(|row| (0..D).map(move |i| (row, i))).map(|(row, i)| number(row, i)).collect()
}

/// K of a block of rows with another, or with itself.
fn tile(network: &Network, x: &[f64], y: &[f64], diagonal: bool) -> Vec<f64> {
    let side = x.len() / D;
    let (xs, ys) = (network.rows(x, side), network.rows(y, side));
    let mut k = vec![f64::NAN; side * side];
    let mut out = KernelOut { nngp: Some(&mut k), ntk: None };
    network.tile(x, &xs, y, &ys, side, diagonal, &mut out, &mut Scratch::default());
    k
}

#[test]
fn an_entry_turns_on_its_own_two_rows() {
    let network = network(&fc("relu".into(), 1, 1.3, 0.2), D);
    let side = 61;
    let (x, y) = (rows(side), rows(side + 4)[4 * D..].to_vec());
    let (all, same) = (tile(&network, &x, &y, false), tile(&network, &x, &x, true));
    for i in 0..side {
        let of = |rows: &[f64], row: usize| rows[row * D..][..D].to_vec();
        for j in 0..side {
            let pair = tile(&network, &of(&x, i), &of(&y, j), false);
            assert_eq!(all[i + j * side].to_bits(), pair[0].to_bits(), "{i}, {j}");
            let pair = tile(&network, &of(&x, i), &of(&x, j), i == j);
            assert_eq!(same[i + j * side].to_bits(), pair[0].to_bits(), "the same block: {i}, {j}");
            assert_eq!(same[i + j * side].to_bits(), same[j + i * side].to_bits(), "symmetry: {i}, {j}");
        }
    }
    // Equal rows, off the diagonal.
    for (one, other) in [(0, 6), (5, 12), (7, 13)] {
        assert_eq!(same[one + other * side].to_bits(), same[one + one * side].to_bits(), "{one}, {other}");
    }
}

#[test]
fn covariances_of_bytes_are_those_of_the_rows() {
    let spec = serde_json::json!({ "output": "nngp", "layers": [{ "type": "dense", "w_var": 1.0 }] });
    let network = network(&spec, D);
    let side = 50;
    let (x, y) = (rows(side), rows(side + 4)[4 * D..].to_vec());
    let k = tile(&network, &x, &y, false);
    for (i, x) in x.chunks_exact(D).enumerate() {
        for (j, y) in y.chunks_exact(D).enumerate() {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / D as f64;
            let bound = 4e-15 * (dot(x, x) * dot(y, y)).sqrt();
            assert!((k[i + j * side] - dot(x, y)).abs() <= bound, "{i}, {j}");
        }
    }
}
