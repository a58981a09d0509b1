//! The properties that every kernel has, whatever its activation.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{block, difference, fc, kernels, network, noise, tile};
use megagram_pipeline::kernel::{KernelOut, OutputKind, Scratch};
use megagram_pipeline::leaf;
use serde_json::{Value, json};

/// Every activation, with arguments that are not the defaults.
fn activations() -> Vec<Value> {
    [
        r#"{"type":"relu"}"#,
        r#"{"type":"leaky_relu","alpha":0.15}"#,
        r#"{"type":"ab_relu","a":-0.4,"b":1.2}"#,
        r#"{"type":"abs"}"#,
        r#"{"type":"erf","a":1.2,"b":0.7,"c":0.3}"#,
        r#"{"type":"sigmoid_like"}"#,
        r#"{"type":"gelu"}"#,
        r#"{"type":"sin","a":1.2,"b":0.8,"c":0.4}"#,
        r#"{"type":"cos","a":1.2,"b":0.8,"c":0.4}"#,
        r#"{"type":"rbf","gamma":0.6}"#,
        r#"{"type":"exp","a":0.5,"b":0.4}"#,
        r#"{"type":"exp_normalized","gamma":0.7,"shift":-0.5}"#,
        r#"{"type":"gaussian","a":1.1,"b":-0.6}"#,
        r#"{"type":"gabor"}"#,
        r#"{"type":"sign"}"#,
        r#"{"type":"monomial","degree":3}"#,
        r#"{"type":"rectified_monomial","degree":0}"#,
        r#"{"type":"rectified_monomial","degree":2}"#,
        r#"{"type":"rectified_monomial","degree":3}"#,
        r#"{"type":"polynomial","coef":[0.3,1.0,-0.2,0.1,0.05]}"#,
        r#"{"type":"hermite","degree":3}"#,
        r#"{"type":"identity"}"#,
        r#"{"type":"elementwise","fn":"tanh"}"#,
        r#"{"type":"elementwise","fn":"sigmoid"}"#,
        r#"{"type":"elementwise","fn":"softplus"}"#,
        r#"{"type":"elementwise","fn":"silu","deg":25}"#,
        r#"{"type":"elementwise","fn":"erf"}"#,
        r#"{"type":"elementwise","fn":"gelu"}"#,
        r#"{"type":"elementwise","fn":"atan"}"#,
        r#"{"type":"elementwise","fn":"sin"}"#,
        r#"{"type":"elementwise","fn":"cos"}"#,
    ]
    .iter()
    .map(|text| serde_json::from_str(text).unwrap())
    .collect()
}

fn layers(activation: &Value, depth: usize) -> Value {
    let mut layers = Vec::new();
    for _ in 0..depth {
        layers.push(json!({ "type": "dense", "w_var": 1.3, "b_var": 0.2 }));
        layers.push(activation.clone());
    }
    layers.push(json!({ "type": "dense", "w_std": 1.1 }));
    json!({ "output": "both", "layers": layers })
}

/// Rows of noise with duplicates, opposites, a zero row and near duplicates among them.
fn difficult(rows: usize, d: usize, seed: u64) -> Vec<f64> {
    let mut x = noise(rows * d, seed);
    for i in (9..rows).step_by(10) {
        for l in 0..d {
            x[i * d + l] = match i / 10 % 4 {
                0 => x[(i - 9) * d + l],
                1 => -x[(i - 7) * d + l],
                2 => 0.0,
                _ => x[(i - 5) * d + l] * (1.0 + 1e-9 * l as f64),
            };
        }
    }
    x
}

/// With one hidden layer and weights of variance 1, Θ = F + F'·k: F' can be read off, and must be ∂F/∂k.
#[test]
fn slopes_are_derivatives() {
    for activation in activations() {
        if activation["type"] == "sign" || activation["degree"] == 0 || activation["type"] == "exp_normalized" {
            continue;
        }
        // Two rows with variances q, q' and covariance k after the first layer.
        let layers = json!({ "output": "both", "layers": [
            { "type": "dense", "w_var": 2.0 }, activation, { "type": "dense", "w_var": 1.0 } ] });
        let network = network(&layers, 2);
        let at = |angle: f64| {
            let x = [1.1, 0.0, 0.9 * angle.cos(), 0.9 * angle.sin()];
            let k = kernels(&network, &x, None, 2, 2);
            (1.1 * 0.9 * angle.cos(), k.nngp[1], k.ntk[1])
        };
        for angle in [0.3, 1.0, 1.9, 2.8] {
            let h = 1e-4;
            let (_, f, theta) = at(angle);
            let (k0, f0, _) = at(angle - h);
            let (k1, f1, _) = at(angle + h);
            let k = 1.1 * 0.9 * angle.cos();
            let want = (f1 - f0) / (k1 - k0);
            let got = (theta - f) / k;
            assert!((got - want).abs() < 1e-6 * (1.0 + want.abs()), "{activation} at {angle}: {got} is not {want}");
        }
    }
}

/// Closed forms against the Hermite series, where there are both.
#[test]
fn closed_forms_equal_series() {
    let x = noise(12 * 6, 5);
    for (closed, name) in [(json!({ "type": "erf" }), "erf"), (json!({ "type": "gelu" }), "gelu")] {
        let series = json!({ "type": "elementwise", "fn": name });
        let a = kernels(&network(&layers(&closed, 2), 6), &x, None, 6, 12);
        let b = kernels(&network(&layers(&series, 2), 6), &x, None, 6, 12);
        assert!(difference(&b.nngp, &a.nngp) < 1e-10, "{name} {:e}", difference(&b.nngp, &a.nngp));
        assert!(difference(&b.ntk, &a.ntk) < 1e-9, "{name} {:e}", difference(&b.ntk, &a.ntk));
    }
}

/// Large variances and small angles, for which the series is not enough.
#[test]
fn pairs_that_the_series_cannot_do_are_integrated() {
    let d = 3;
    let mut x = vec![5.0, 1.0, -7.0];
    for turn in [1e-4, 1e-2, 0.1, 0.3, 2.9] {
        let (s, c) = f64::sin_cos(turn);
        x.extend([5.0 * c - s, c + 5.0 * s, -7.0]);
    }
    for (closed, name) in [("erf", "erf"), ("gelu", "gelu")] {
        let two = |layer: Value| json!({ "output": "both", "layers": [{ "type": "dense", "w_var": 1.2 }, layer] });
        let a = kernels(&network(&two(json!({ "type": closed })), d), &x, None, d, 6);
        let series = two(json!({ "type": "elementwise", "fn": name }));
        let b = kernels(&network(&series, d), &x, None, d, 6);
        let (k, t) = (difference(&b.nngp, &a.nngp), difference(&b.ntk, &a.ntk));
        assert!(k < 1e-9 && t < 1e-9, "{name} {k:e} {t:e}");
    }
}

#[test]
fn tiles_are_symmetric_exact_on_the_diagonal_and_finite() {
    let wide = [json!({ "type": "relu" }), json!({ "type": "erf" })].map(|a| (a, 129, 700));
    for (activation, side, d) in activations().into_iter().map(|a| (a, 45, 13)).chain(wide) {
        let x = difficult(side, d, 99);
        let network = network(&layers(&activation, 3), d);
        let (diagonal, state) = tile(&network, &x, &x, side, true);
        let (general, _) = tile(&network, &x, &x, side, false);
        for (k, g, on) in
            [(&diagonal.nngp, &general.nngp, OutputKind::Nngp), (&diagonal.ntk, &general.ntk, OutputKind::Ntk)]
        {
            let exact = state.diagonal(on);
            for j in 0..side {
                assert_eq!(k[j + j * side].to_bits(), exact[j].to_bits());
                for i in 0..side {
                    assert!(k[i + j * side].is_finite() && g[i + j * side].is_finite(), "{activation}");
                    assert_eq!(k[i + j * side].to_bits(), k[j + i * side].to_bits());
                    if i > j {
                        assert_eq!(k[i + j * side].to_bits(), g[i + j * side].to_bits());
                    }
                    if x[i * d..][..d] == x[j * d..][..d] {
                        assert_eq!(g[i + j * side].to_bits(), exact[i].to_bits(), "{activation}: equal rows {i}, {j}");
                    }
                }
            }
            assert!(difference(g, k) < 1e-7, "{activation}");
        }
    }
}

/// K + a little noise has a Cholesky factor.
#[test]
fn kernels_are_positive_semidefinite() {
    let (side, d) = (60, 9);
    let x = difficult(side, d, 7);
    for activation in activations() {
        // Only for unit variances, as its inputs are promised to be.
        if activation["type"] == "hermite" {
            continue;
        }
        let network = network(&layers(&activation, 2), d);
        let (kernels, _) = tile(&network, &x, &x, side, true);
        for mut k in [kernels.nngp, kernels.ntk] {
            let largest = (0..side).map(|i| k[i + i * side]).fold(0.0, f64::max);
            (0..side).for_each(|i| k[i + i * side] += 1e-6 * largest);
            leaf::potrf(&mut k, side, side).unwrap_or_else(|e| panic!("{activation}: {e}"));
        }
    }
}

#[test]
fn entries_depend_on_their_rows_only() {
    let d = 17;
    for side in [1, 2, 3, 17, 64, 129, 200, 256] {
        let (x, y) = (difficult(side, d, 3), difficult(side, d, 4));
        for activation in activations() {
            if side > 64 && activation["type"] == "elementwise" && activation["fn"] != "tanh" {
                continue;
            }
            let network = network(&layers(&activation, 2), d);
            for n in [1, side / 2, side - 1] {
                let (a, b) = (block(&x[..n * d], d, 0, side), block(&y[..n * d], d, 0, side));
                let (full, _) = tile(&network, &x, &y, side, false);
                let (edge, _) = tile(&network, &a, &b, side, false);
                let (full_diagonal, _) = tile(&network, &x, &x, side, true);
                let (edge_diagonal, _) = tile(&network, &a, &a, side, true);
                for c in 0..n {
                    for r in 0..n {
                        let e = r + c * side;
                        assert_eq!(full.nngp[e].to_bits(), edge.nngp[e].to_bits());
                        assert_eq!(full.ntk[e].to_bits(), edge.ntk[e].to_bits());
                        assert_eq!(full_diagonal.nngp[e].to_bits(), edge_diagonal.nngp[e].to_bits());
                        assert_eq!(full_diagonal.ntk[e].to_bits(), edge_diagonal.ntk[e].to_bits());
                    }
                }
                // Padding is the kernel of zero rows: finite.
                assert!(edge.nngp.iter().chain(&edge.ntk).all(|v| v.is_finite()));
            }
        }
    }
}

#[test]
fn one_output_alone_has_the_same_bits() {
    let (side, d) = (150, 6);
    let (x, y) = (difficult(side, d, 8), difficult(side, d, 9));
    let mut kernel = fc("relu".into(), 3, 1.7, 0.1);
    let (both, _) = tile(&network(&kernel, d), &x, &y, side, false);
    for (name, want) in [("nngp", &both.nngp), ("ntk", &both.ntk)] {
        kernel["output"] = name.into();
        let network = network(&kernel, d);
        let (xs, ys) = (network.rows(&x, side), network.rows(&y, side));
        let mut got = vec![f64::NAN; side * side];
        let mut out = match name {
            "nngp" => KernelOut { nngp: Some(&mut got), ntk: None },
            _ => KernelOut { nngp: None, ntk: Some(&mut got) },
        };
        network.tile(&x, &xs, &y, &ys, side, false, &mut out, &mut Scratch::default());
        assert!(got.iter().zip(want).all(|(g, w)| g.to_bits() == w.to_bits()), "{name}");
    }
}
