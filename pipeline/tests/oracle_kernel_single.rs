//! Attention with products in f32 beside weights and sums made here in f64.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;
mod random;

use kernels_of::{block, network, tile};
use megagram_pipeline::kernel::{Inputs, KernelSpec, Network, Positions};
use serde_json::{Value, json};

const SHAPE: [usize; 2] = [11, 3];
const WIDTH: usize = SHAPE[0] * SHAPE[1];

/// What rounds in f32: a sum of as many terms as there are positions, twice, and what enters.
const BOUND: f64 = (2 * SHAPE[0] + 3) as f64 * 6e-8;

fn inputs() -> Inputs {
    Inputs { width: WIDTH, shape: Some(SHAPE.to_vec()), mask: None }
}

fn before() -> Vec<Value> {
    let conv = json!({ "type": "conv", "filter_shape": [1], "padding": "same", "w_var": 1.7, "b_var": 0.04 });
    vec![conv, json!({ "type": "relu" })]
}

fn attention(mechanism: &str, precision: &str) -> Value {
    json!({ "type": "global_self_attention", "attention_mechanism": mechanism, "w_query_std": 1.2, "w_value_std": 0.9,
        "b_var": 0.09, "precision": precision })
}

fn positions(layers: &[Value]) -> Network {
    let kernel = json!({ "output": "both", "layers": layers });
    Network::compile_positions(&KernelSpec::from_value(&kernel).unwrap(), inputs()).unwrap()
}

fn pooled(mechanism: &str, precision: &str) -> Network {
    let mut layers = before();
    layers.extend([attention(mechanism, precision), json!({ "type": "global_avg_pool" })]);
    network(&json!({ "output": "both", "layers": layers }), inputs())
}

/// G of a row, from its variances before attention.
fn weights(mechanism: &str, own: &Positions) -> Vec<f64> {
    let m = SHAPE[0];
    let mut weights: Vec<f64> = own.nngp.iter().map(|k| 1.2 * k).collect();
    for scores in weights.chunks_exact_mut(m) {
        match mechanism {
            "softmax" => {
                let largest = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
                scores.iter_mut().for_each(|s| *s = (*s - largest).exp());
                let sum: f64 = scores.iter().sum();
                scores.iter_mut().for_each(|s| *s /= sum);
            }
            "abs" => scores.iter_mut().for_each(|s| *s = s.abs()),
            "relu" => scores.iter_mut().for_each(|s| *s = s.max(0.0)),
            _ => {}
        }
    }
    weights
}

/// G·A·G'ᵀ, or the same of absolute values.
fn sandwich(of_x: &[f64], values: &[f64], of_y: &[f64], absolute: bool) -> Vec<f64> {
    let m = SHAPE[0];
    let sign = |value: f64| if absolute { value.abs() } else { value };
    let entry = |p: usize, q: usize| -> f64 {
        let pairs = (0..m).flat_map(|a| (0..m).map(move |b| (a, b)));
        pairs.map(|(a, b)| sign(of_x[p * m + a]) * sign(values[a * m + b]) * sign(of_y[q * m + b])).sum()
    };
    (0..m * m).map(|at| entry(at / m, at % m)).collect()
}

#[test]
fn products_in_f32_are_within_the_bound() {
    let x = random::Random(3).vec(4 * WIDTH);
    let of = |row: usize| &x[row * WIDTH..][..WIDTH];
    let (plain, ov, b_var) = (positions(&before()), 0.81, 0.09);
    for mechanism in ["softmax", "identity", "abs", "relu"] {
        let mut layers = before();
        layers.push(attention(mechanism, "f32"));
        let single = positions(&layers);
        let mut inexact = 0.0f64;
        for (a, b) in [(0, 1), (2, 3), (1, 1), (3, 0)] {
            let [g, h] = [a, b].map(|row| weights(mechanism, &plain.positions(of(row), of(row))));
            let (entered, got) = (plain.positions(of(a), of(b)), single.positions(of(a), of(b)));
            let exact = sandwich(&g, &entered.nngp, &h, false);
            let room = sandwich(&g, &entered.nngp, &h, true);
            let room_of_t = sandwich(&g, &entered.ntk, &h, true);
            let tangent = sandwich(&g, &entered.ntk, &h, false);
            for e in 0..exact.len() {
                let (k, t) = (ov * exact[e] + b_var, ov * tangent[e] + b_var + 2.0 * ov * exact[e]);
                let (off, off_t) = ((got.nngp[e] - k).abs(), (got.ntk[e] - t).abs());
                let (most, most_of_t) = (ov * BOUND * room[e], ov * BOUND * (room_of_t[e] + 2.0 * room[e]));
                assert!(off <= most, "{mechanism} {a} {b} {e}: {off:e} > {most:e}");
                assert!(off_t <= most_of_t, "{mechanism} {a} {b} {e}: {off_t:e} > {most_of_t:e}");
                inexact = inexact.max(off / (ov * room[e]));
            }
        }
        assert!(inexact > 1e-9, "{mechanism}: nothing was in f32");
    }
}

#[test]
fn equal_rows_have_the_bits_of_the_diagonal_whatever_the_tile() {
    let mut x = random::Random(5).vec(12 * WIDTH);
    x.copy_within(0..WIDTH, 10 * WIDTH);
    for mechanism in ["softmax", "relu"] {
        let network = pooled(mechanism, "f32");
        let (whole, _) = tile(&network, &x, &x, 12, true);
        for values in [&whole.nngp, &whole.ntk] {
            assert_eq!(values[10].to_bits(), values[0].to_bits());
            assert_eq!(values[10].to_bits(), values[10 * 13].to_bits());
        }
        let (far, _) = tile(&network, &block(&x, WIDTH, 8, 4), &block(&x, WIDTH, 0, 4), 4, false);
        for row in 0..4 {
            for column in 0..4 {
                assert_eq!(far.nngp[row + column * 4].to_bits(), whole.nngp[8 + row + column * 12].to_bits());
                assert_eq!(far.ntk[row + column * 4].to_bits(), whole.ntk[8 + row + column * 12].to_bits());
            }
        }
    }
}

#[test]
fn rows_beyond_what_f32_holds_are_as_exact() {
    let x = random::Random(7).vec(8 * WIDTH);
    for scale in [1e-40, 1e-20, 1e20, 1e40] {
        // Without a bias, and with weights of the order of the variances.
        let layers = |precision| {
            json!([{ "type": "dense", "w_var": 1.3 }, { "type": "relu" },
                { "type": "global_self_attention", "attention_mechanism": "relu", "precision": precision },
                { "type": "global_avg_pool" }])
        };
        let scaled: Vec<f64> = x.iter().map(|v| v * scale).collect();
        let of = |precision| {
            let network = network(&json!({ "output": "both", "layers": layers(precision) }), inputs());
            tile(&network, &scaled, &scaled, 8, true).0
        };
        let (single, double) = (of("f32"), of("f64"));
        for (got, want) in single.nngp.iter().zip(&double.nngp).chain(single.ntk.iter().zip(&double.ntk)) {
            assert!(
                got.is_finite() && (got - want).abs() <= 3.0 * BOUND * want.abs(),
                "{scale:e}: {got:e} is not {want:e}"
            );
        }
    }
    // Where f64 itself has room, and no more.
    let far: Vec<f64> = x.iter().map(|v| v * 1e73).collect();
    let softmax = |precision| {
        let layers = json!([{ "type": "dense", "w_var": 1.3 }, { "type": "relu" },
            { "type": "global_self_attention", "precision": precision }, { "type": "global_avg_pool" }]);
        tile(&network(&json!({ "output": "both", "layers": layers }), inputs()), &far, &far, 8, true).0
    };
    let (single, double) = (softmax("f32"), softmax("f64"));
    for (got, want) in single.nngp.iter().zip(&double.nngp) {
        assert!(got.is_finite() && (got - want).abs() <= 3.0 * BOUND * want.abs(), "{got:e} is not {want:e}");
    }
    let zeros = tile(&pooled("softmax", "f32"), &[0.0; 2 * WIDTH], &[0.0; 2 * WIDTH], 2, true).0;
    assert!(zeros.nngp.iter().chain(&zeros.ntk).all(|v| v.is_finite()));
}

#[test]
fn where_f32_has_no_meaning_it_is_refused_by_path() {
    let refused = |kernel: Value| {
        let spec = KernelSpec::from_value(&kernel).and_then(|spec| Network::compile(&spec, inputs()).map(|_| spec));
        spec.unwrap_err().to_string()
    };
    let layers = |layer: Value| json!({ "layers": [{ "type": "dense", "w_var": 1.0 }, layer, { "type": "flatten" }] });
    let root = json!({ "type": "global_self_attention", "linear_scaling": false, "attention_mechanism": "identity",
        "precision": "f32" });
    let message = refused(layers(root));
    assert!(message.contains("layers[1].precision") && message.contains("1/√d"), "{message}");
    let message = refused(layers(attention("softmax", "f16")));
    assert!(message.contains("layers[1].precision") && message.contains("f16"), "{message}");
    let mut finite = layers(attention("softmax", "f32"));
    finite["monte_carlo"] = json!({ "samples": 4, "width": 8, "seed": 1 });
    let message = refused(finite);
    assert!(message.contains("f32") && message.contains("monte_carlo"), "{message}");
}
