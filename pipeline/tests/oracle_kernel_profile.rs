//! Rows of unit norm, for which depth costs nothing, beside the same pairs layer by layer.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{fc, network, noise, tile};
use megagram_pipeline::kernel::Network;
use serde_json::{Value, json};

const D: usize = 12;

/// Rows with x·x/d = 1 at all angles: noise, opposites, nearly parallel ones, right angles, two that are equal; and two
/// rows of other norms.
fn rows(count: usize) -> Vec<f64> {
    let noise = noise(count * D, 7);
    let mut x = Vec::new();
    for row in 0..count {
        let own = &noise[row * D..][..D];
        let mut values: Vec<f64> = match row % 9 {
            1 => noise[..D].iter().map(|v| -v).collect(),
            2 => noise[..D].iter().zip(own).map(|(v, n)| v + n * 10f64.powi(-(row as i32 / 9))).collect(),
            3 => (0..D).map(|i| f64::from(u8::from(i == row % D))).collect(),
            5 => noise[..D].to_vec(),
            7 if row == 7 => vec![0.0; D],
            _ => own.to_vec(),
        };
        let norm = (values.iter().map(|v| v * v).sum::<f64>() / D as f64).sqrt();
        if norm > 0.0 && row != 8 {
            values.iter_mut().for_each(|v| *v /= norm);
        }
        x.extend(values);
    }
    x
}

fn row(x: &[f64], i: usize) -> &[f64] {
    &x[i * D..][..D]
}

/// The largest errors beside the layers, relative to the diagonal: of K, and of Θ times the angle.
fn errors(network: &Network, x: &[f64], side: usize) -> [f64; 2] {
    let (kernels, state) = tile(network, x, x, side, true);
    let mut worst = [0.0f64; 2];
    for i in 0..side {
        for j in 0..i {
            // Positions go layer by layer.
            let told = network.positions(row(x, i), row(x, j));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (a, b) = (row(x, i), row(x, j));
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-300);
            let angle = (1.0 - cosine.abs()).max(0.0).sqrt().min(1.0);
            let error = (kernels.nngp[i + j * side] - told.nngp[0]).abs() / state.nngp()[0].abs();
            worst[0] = worst[0].max(error);
            let error = (kernels.ntk[i + j * side] - told.ntk[0]).abs() / state.ntk()[0].abs();
            worst[1] = worst[1].max(error * angle);
        }
    }
    worst
}

#[test]
fn deep_networks_are_those_of_their_layers() {
    let activations = [
        json!("relu"),
        json!("erf"),
        json!("abs"),
        json!("gelu"),
        json!("sin"),
        json!({ "type": "leaky_relu", "alpha": 0.1 }),
        json!({ "type": "elementwise", "fn": "tanh" }),
        json!({ "type": "elementwise", "fn": "softplus" }),
    ];
    let side = 70;
    let x = rows(side);
    for activation in activations {
        for (depth, w_var, b_var) in [(5, 1.6, 0.3), (9, 2.0, 0.0), (30, 1.4, 0.1)] {
            let network = network(&fc(activation.clone(), depth, w_var, b_var), D);
            let [k, t] = errors(&network, &x, side);
            println!("{activation} {depth}: {k:.1e} {t:.1e}");
            assert!(k < 2e-14 && t < 1e-11, "{activation}, depth {depth}: K {k:.1e}, Θ {t:.1e}");
        }
    }
}

#[test]
fn other_layers_go_along() {
    let dense = json!({ "type": "dense", "w_var": 1.5, "b_var": 0.2 });
    let relu = json!({ "type": "relu" });
    let residual = json!({ "type": "residual", "layers": [relu, dense] });
    let layers: Vec<Value> =
        vec![dense.clone(), relu.clone(), dense.clone(), residual.clone(), residual.clone(), residual, relu, dense];
    let network = network(&json!({ "output": "both", "layers": layers }), D);
    let [k, t] = errors(&network, &rows(40), 40);
    assert!(k < 2e-14 && t < 1e-11, "K {k:.1e}, Θ {t:.1e}");
}

#[test]
fn an_entry_turns_on_its_own_two_rows_and_equal_rows_have_the_diagonal() {
    let network = network(&fc("relu".into(), 6, 1.6, 0.3), D);
    let side = 41;
    let x = rows(side);
    let (all, state) = tile(&network, &x, &x, side, true);
    for i in 0..side {
        for j in 0..=i {
            let (pair, _) = tile(&network, row(&x, i), row(&x, j), 1, i == j);
            let at = i + j * side;
            assert_eq!(all.nngp[at].to_bits(), pair.nngp[0].to_bits(), "{i}, {j}");
            assert_eq!(all.ntk[at].to_bits(), pair.ntk[0].to_bits(), "{i}, {j}");
            if row(&x, i) == row(&x, j) {
                assert_eq!(all.nngp[at], state.nngp()[i], "{i}, {j}");
                assert_eq!(all.ntk[at], state.ntk()[i], "{i}, {j}");
            }
        }
    }
}
