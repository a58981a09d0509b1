//! Kernels of finite random networks, against the limit's closed forms.
//!
//! All seeds are fixed, so nothing here is left to chance. A wrong law of some weights, a wrong derivative or numbers
//! shared between networks show as an error that does not fall as 1/√samples.

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{Kernels, block, difference, kernels, noise, tile};
use megagram_pipeline::kernel::{Inputs, KernelSpec, Network, OutputKind};
use serde_json::{Value, json};

/// A network with inputs it fits.
struct Case {
    name: &'static str,
    layers: Value,
    inputs: Inputs,
}

fn dense() -> Value {
    json!({ "type": "dense", "w_var": 1.5, "b_var": 0.1 })
}

fn conv(padding: &str) -> Value {
    json!({ "type": "conv", "filter_shape": [3, 3], "padding": padding, "w_var": 1.5, "b_var": 0.1 })
}

fn sequence(mask: Option<f64>) -> Inputs {
    Inputs { width: 18, shape: Some(vec![6, 3]), mask }
}

fn image() -> Inputs {
    Inputs { width: 32, shape: Some(vec![4, 4, 2]), mask: None }
}

fn attention(mechanism: &str) -> Value {
    json!({ "type": "global_self_attention", "attention_mechanism": mechanism, "w_key_std": 1.1, "w_value_std": 1.2,
            "b_var": 0.1 })
}

fn cases() -> Vec<Case> {
    let relu = json!({ "type": "relu" });
    let case = |name, layers, inputs| Case { name, layers, inputs };
    vec![
        case("fc", json!([dense(), relu, dense(), { "type": "erf" }, dense()]), 7.into()),
        case(
            "cnn flatten",
            json!([conv("same"), relu, conv("circular"), relu, { "type": "flatten" }, dense()]),
            image(),
        ),
        case("cnn pooled", json!([conv("same"), relu, conv("valid"), { "type": "global_avg_pool" }]), image()),
        case(
            "attention",
            json!([dense(), relu, attention("softmax"), relu, { "type": "global_avg_pool" }, dense()]),
            sequence(None),
        ),
        case(
            "attention mask",
            json!([dense(), relu, attention("softmax"), relu, { "type": "global_avg_pool" }, dense()]),
            sequence(Some(100.0)),
        ),
    ]
}

/// Rows of a case; with a mask the later rows end in padding.
fn rows(case: &Case, n: usize) -> Vec<f64> {
    let d = case.inputs.width;
    let mut x = noise(n * d, 11);
    if let (Some(mask), Some(shape)) = (case.inputs.mask, &case.inputs.shape) {
        for row in 0..n {
            let padding = row % shape[0];
            x[(row + 1) * d - padding * shape[1]..(row + 1) * d].fill(mask);
        }
    }
    x
}

fn compile(layers: &Value, inputs: &Inputs, monte_carlo: Option<Value>) -> Network {
    let mut kernel = json!({ "output": "both", "layers": layers });
    if let Some(monte_carlo) = monte_carlo {
        if monte_carlo["init"] == "delta-orthogonal" {
            kernel["output"] = "nngp".into();
        }
        kernel["monte_carlo"] = monte_carlo;
    }
    let spec = KernelSpec::from_value(&kernel).unwrap();
    assert_eq!(KernelSpec::from_value(&spec.canonical()).unwrap(), spec);
    Network::compile(&spec, inputs.clone()).unwrap_or_else(|e| panic!("{e}"))
}

fn all(network: &Network, x: &[f64]) -> Kernels {
    let d = network.input_dim();
    kernels(network, x, None, d, x.len() / d)
}

/// Root mean square of the differences, relative to that of what is wanted.
fn error(got: &[f64], want: &[f64]) -> f64 {
    let squares: f64 = got.iter().zip(want).map(|(g, w)| (g - w).powi(2)).sum();
    (squares / want.iter().map(|w| w * w).sum::<f64>()).sqrt()
}

/// The slope of a line through the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let n = logs.len() as f64;
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let above: f64 = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    above / logs.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>()
}

/// Errors at 1 to 16 samples, each the root mean square over seeds of their own.
fn errors(case: &Case, want: &[&[f64]; 2], init: &str, width: usize) -> [Vec<(f64, f64)>; 2] {
    const SEEDS: u64 = 24;
    let x = rows(case, 4);
    let mut errors = [Vec::new(), Vec::new()];
    for samples in [1u32, 2, 4, 8, 16] {
        let mut squares = [0.0; 2];
        for seed in 0..SEEDS {
            let seed = u64::from(samples) * 1000 + seed;
            let monte_carlo = json!({ "samples": samples, "width": width, "seed": seed, "init": init });
            let network = compile(&case.layers, &case.inputs, Some(monte_carlo));
            let got = if init == "gaussian" { all(&network, &x) } else { nngp(&network, &x) };
            squares[0] += error(&got.nngp, want[0]).powi(2) / SEEDS as f64;
            squares[1] += error(&got.ntk, want[1]).powi(2) / SEEDS as f64;
        }
        for (errors, square) in errors.iter_mut().zip(squares) {
            errors.push((f64::from(samples), square.sqrt()));
        }
    }
    errors
}

/// K alone.
fn nngp(network: &Network, x: &[f64]) -> Kernels {
    let side = x.len() / network.input_dim();
    let rows = network.rows(x, side);
    let mut nngp = vec![f64::NAN; side * side];
    let mut out = megagram_pipeline::kernel::KernelOut { nngp: Some(&mut nngp), ntk: None };
    network.tile(x, &rows, x, &rows, side, true, &mut out, &mut Default::default());
    Kernels { ntk: nngp.clone(), nngp }
}

#[test]
fn the_error_falls_as_the_root_of_the_samples() {
    // Padding changes no law: `every_layer_has_its_limit` has it.
    for case in cases().into_iter().filter(|case| case.inputs.mask.is_none()) {
        let limit = all(&compile(&case.layers, &case.inputs, None), &rows(&case, 4));
        let width = if case.name.starts_with("cnn") { 96 } else { 192 };
        let errors = errors(&case, &[&limit.nngp, &limit.ntk], "gaussian", width);
        for (output, points) in ["nngp", "ntk"].iter().zip(&errors) {
            let slope = slope(points);
            println!("{} {output}: slope {slope:.3}, errors {points:.3?}", case.name);
            assert!((slope + 0.5).abs() < 0.1, "{} {output}: slope {slope}, {points:?}", case.name);
        }
    }
}

/// A filter that is zero but for its centre is a dense layer at each position.
#[test]
fn delta_orthogonal_filters_have_their_limit() {
    let of = |size: usize| {
        let conv =
            json!({ "type": "conv", "filter_shape": [size, size], "padding": "same", "w_var": 1.5, "b_var": 0.1 });
        json!([conv, { "type": "relu" }, conv, { "type": "relu" }, { "type": "flatten" }, dense()])
    };
    let case = Case { name: "delta-orthogonal", layers: of(3), inputs: image() };
    let limit = all(&compile(&of(1), &case.inputs, None), &rows(&case, 4));
    let [points, _] = errors(&case, &[&limit.nngp, &limit.nngp], "delta-orthogonal", 64);
    let slope = slope(&points);
    println!("delta-orthogonal: slope {slope:.3}, errors {points:.3?}");
    assert!((slope + 0.5).abs() < 0.1, "slope {slope}, {points:?}");
}

/// Every layer that can be drawn, with few samples: within some standard errors of the limit.
#[test]
fn every_layer_has_its_limit() {
    let activations = json!([
        { "type": "relu" }, { "type": "leaky_relu", "alpha": 0.2 }, { "type": "ab_relu", "a": -0.5, "b": 0.8 },
        { "type": "abs" }, { "type": "erf", "a": 1.2, "b": 0.7, "c": 0.1 }, { "type": "sigmoid_like" }, { "type": "gelu" },
        { "type": "sin", "a": 1.1, "b": 0.9, "c": 0.3 }, { "type": "cos", "c": 0.2 }, { "type": "rbf", "gamma": 0.4 },
        { "type": "exp", "a": 0.8, "b": 0.3 }, { "type": "gaussian" }, { "type": "gabor" },
        { "type": "monomial", "degree": 2 }, { "type": "rectified_monomial", "degree": 2 },
        { "type": "polynomial", "coef": [0.1, 0.5, 0.2] }, { "type": "elementwise", "fn": "tanh" },
        { "type": "elementwise", "fn": "softplus" },
    ]);
    let mut cases = Vec::new();
    for activation in activations.as_array().unwrap() {
        cases.push((json!([dense(), activation, dense()]), Inputs::from(7)));
    }
    let relu = json!({ "type": "relu" });
    let wide = |width: u64| json!({ "type": "dense", "w_var": 1.2, "b_var": 0.1, "out_dim": width });
    let pool = |kind: &str| json!({ "type": kind, "window_shape": [2, 2], "strides": [2, 1], "padding": "same" });
    let image_layers = [
        json!([conv("valid"), relu, pool("avg_pool"), { "type": "flatten" }]),
        json!([conv("same"), relu, pool("sum_pool"), { "type": "global_avg_pool" }]),
        json!([
            { "type": "conv_local", "filter_shape": [3, 2], "padding": "same", "w_var": 1.4, "b_var": 0.2 },
            { "type": "global_sum_pool" }
        ]),
        json!([
            { "type": "conv_transpose", "filter_shape": [3, 3], "strides": [2, 2], "padding": "same", "w_var": 1.4 },
            { "type": "relu" }, { "type": "flatten" }
        ]),
        json!([
            { "type": "conv", "filter_shape": [2, 2], "strides": [2, 2], "dilation": [2, 1], "padding": "same", "w_var": 1.4 },
            { "type": "residual", "layers": [{ "type": "relu" }, conv("same")] }, { "type": "global_avg_pool" }
        ]),
    ];
    cases.extend(image_layers.map(|layers| (layers, image())));
    let branches =
        |join: &str| json!({ "type": "parallel", "join": join, "branches": [[wide(2)], [wide(6), relu, wide(6)]] });
    let flat_layers = [
        json!([dense(), { "type": "layer_norm" }, relu, dense()]),
        json!([branches("concat"), dense()]),
        json!([
            { "type": "parallel", "join": "prod", "branches": [[dense()], [dense(), relu, dense()]] }, dense()
        ]),
        json!([
            { "type": "dense", "w_var": 1.5, "b_var": 0.1, "out_dim": 5, "parameterization": "standard" }, relu,
            { "type": "dense", "w_var": 1.5, "b_var": 0.1, "out_dim": 1, "parameterization": "standard" }
        ]),
    ];
    cases.extend(flat_layers.map(|layers| (layers, Inputs::from(7))));
    for mechanism in ["identity", "abs", "relu"] {
        let layers = json!([dense(), relu, attention(mechanism), { "type": "flatten" }]);
        cases.push((layers, sequence(Some(100.0))));
    }
    for (layers, inputs) in cases {
        // Attention is of the third degree in the covariances: at a small width its bias is what one would see.
        let width = if layers.to_string().contains("attention") { 768 } else { 128 };
        let case = Case { name: "", layers, inputs };
        let x = rows(&case, 3);
        let limit = all(&compile(&case.layers, &case.inputs, None), &x);
        let network = compile(&case.layers, &case.inputs, Some(json!({ "samples": 24, "width": width })));
        let got = all(&network, &x);
        let rows = network.rows(&x, 3);
        for (output, got, want) in [(OutputKind::Nngp, got.nngp, limit.nngp), (OutputKind::Ntk, got.ntk, limit.ntk)] {
            let told = network.standard_error(&rows, output).unwrap().relative;
            let error = error(&got, &want);
            println!("{} {error:.4} of {told:.4}: {}", output.name(), case.layers);
            assert!(error < 3.0 * told + 0.01, "{} {error} of {told}: {}", output.name(), case.layers);
        }
    }
}

/// What is told of the error is what it is: over seeds, the spread of the estimates.
#[test]
fn the_standard_error_is_that_of_the_estimates() {
    let case = &cases()[0];
    let x = rows(case, 4);
    let limit = all(&compile(&case.layers, &case.inputs, None), &x);
    let (mut squares, mut told) = ([0.0; 2], [0.0; 2]);
    const SEEDS: u64 = 24;
    for seed in 100..100 + SEEDS {
        let network = compile(&case.layers, &case.inputs, Some(json!({ "samples": 8, "width": 128, "seed": seed })));
        let (got, rows) = (all(&network, &x), network.rows(&x, 4));
        for (at, (output, got, want)) in
            [(OutputKind::Nngp, &got.nngp, &limit.nngp), (OutputKind::Ntk, &got.ntk, &limit.ntk)]
                .into_iter()
                .enumerate()
        {
            squares[at] += error(got, want).powi(2) / SEEDS as f64;
            told[at] += network.standard_error(&rows, output).unwrap().relative / SEEDS as f64;
        }
    }
    for (square, told) in squares.iter().zip(told) {
        let ratio = square.sqrt() / told;
        assert!((0.75..1.35).contains(&ratio), "{ratio}: {} of {told}", square.sqrt());
    }
    let one = compile(&case.layers, &case.inputs, Some(json!({ "samples": 1 })));
    assert_eq!(one.standard_error(&one.rows(&x, 4), OutputKind::Nngp), None);
}

/// An entry has the same bits in every tile, on and off the diagonal, from whatever block its rows came.
#[test]
fn bits_do_not_depend_on_tiles() {
    for case in cases() {
        let (n, d) = (21, case.inputs.width);
        let x = rows(&case, n);
        let network = compile(&case.layers, &case.inputs, Some(json!({ "samples": 3, "width": 20, "seed": 5 })));
        let whole = kernels(&network, &x, None, d, n);
        for side in [1, 4, 9, 32] {
            let tiled = kernels(&network, &x, None, d, side);
            assert_eq!(tiled.nngp, whole.nngp, "{} {side}", case.name);
            assert_eq!(tiled.ntk, whole.ntk, "{} {side}", case.name);
        }
        let (_, state) = tile(&network, &block(&x, d, 0, 32), &block(&x, d, 0, 32), 32, true);
        for row in 0..n {
            assert_eq!(state.nngp()[row], whole.nngp[row * (n + 1)]);
            assert_eq!(state.ntk()[row], whole.ntk[row * (n + 1)]);
        }
        for (r, c) in (0..n).flat_map(|r| (0..n).map(move |c| (r, c))) {
            assert_eq!(whole.nngp[r * n + c], whole.nngp[c * n + r]);
        }
    }
}

/// K = ΦΦᵀ: no direction in which it is negative beyond rounding, with rank at most samples × width.
#[test]
fn it_is_positive_semi_definite() {
    for case in cases() {
        let n = 40;
        let x = rows(&case, n);
        let network = compile(&case.layers, &case.inputs, Some(json!({ "samples": 2, "width": 8 })));
        let got = all(&network, &x);
        for values in [got.nngp, got.ntk] {
            let trace: f64 = (0..n).map(|i| values[i * (n + 1)]).sum();
            let mut rest = values;
            let mut rank = 0;
            // Cholesky with the largest pivot first: what is left after the rank is rounding, and never negative.
            loop {
                let pivot = (0..n).max_by(|a, b| rest[a * (n + 1)].total_cmp(&rest[b * (n + 1)])).unwrap();
                let value = rest[pivot * (n + 1)];
                let least = (0..n).map(|i| rest[i * (n + 1)]).fold(f64::INFINITY, f64::min);
                assert!(least > -1e-11 * trace, "{}: {least}", case.name);
                if value < 1e-11 * trace {
                    break;
                }
                rank += 1;
                let column: Vec<f64> = (0..n).map(|i| rest[i * n + pivot]).collect();
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    rest[i * n + j] -= column[i] * column[j] / value;
                }
            }
            assert!(rank <= 16, "{}: rank {rank}", case.name);
        }
    }
}

#[test]
fn the_seed_decides() {
    let case = &cases()[1];
    let x = rows(case, 3);
    let of = |monte_carlo: Value| all(&compile(&case.layers, &case.inputs, Some(monte_carlo)), &x).nngp;
    let first = of(json!({ "samples": 2, "width": 16, "seed": 1 }));
    assert_eq!(first, of(json!({ "samples": 2, "width": 16, "seed": 1, "init": "gaussian" })));
    assert!(difference(&first, &of(json!({ "samples": 2, "width": 16, "seed": 2 }))) > 1e-3);
    assert!(difference(&first, &of(json!({ "samples": 3, "width": 16, "seed": 1 }))) > 1e-3);
}

#[test]
fn mistakes_are_named() {
    let error = |monte_carlo: Value, output: &str, layers: Value, inputs: Inputs| {
        let kernel = json!({ "output": output, "layers": layers, "monte_carlo": monte_carlo });
        let spec = match KernelSpec::from_value(&kernel) {
            Ok(spec) => spec,
            Err(error) => return error,
        };
        Network::compile(&spec, inputs).unwrap_err()
    };
    for (monte_carlo, path) in [
        (json!({}), "kernel.monte_carlo.samples"),
        (json!({ "samples": 0 }), "kernel.monte_carlo.samples"),
        (json!({ "samples": 1.5 }), "kernel.monte_carlo.samples"),
        (json!({ "samples": 4, "width": 0 }), "kernel.monte_carlo.width"),
        (json!({ "samples": 4, "width": 1 << 20 }), "kernel.monte_carlo.width"),
        (json!({ "samples": 4, "seed": -1 }), "kernel.monte_carlo.seed"),
        (json!({ "samples": 4, "init": "delta" }), "kernel.monte_carlo.init"),
        (json!({ "samples": 4, "init": "delta-orthogonal" }), "kernel.monte_carlo.init"),
        (json!({ "samples": 4, "sample": 4 }), "kernel.monte_carlo.sample"),
        (json!(4), "kernel.monte_carlo"),
    ] {
        assert_eq!(error(monte_carlo.clone(), "both", json!([dense()]), 3.into()).path, path, "{monte_carlo}");
    }
    let few = json!({ "samples": 2 });
    for (layers, inputs, path) in [
        (json!([dense(), { "type": "hermite", "degree": 2 }]), 3.into(), "kernel.layers[1]"),
        (json!([dense(), { "type": "dropout", "rate": 0.5 }]), 3.into(), "kernel.layers[1]"),
        (
            json!([
                dense(),
                { "type": "residual", "layers": [dense(), { "type": "exp_normalized" }, dense()] }
            ]),
            3.into(),
            "kernel.layers[1].layers[1]",
        ),
        (
            json!([
                dense(),
                { "type": "global_self_attention", "linear_scaling": false, "attention_mechanism": "identity" },
                { "type": "flatten" }
            ]),
            sequence(None),
            "kernel.layers[1]",
        ),
    ] {
        let error = error(few.clone(), "nngp", layers.clone(), inputs);
        assert_eq!(error.path, path, "{layers}: {error}");
    }
    let local = json!([{ "type": "conv_local", "filter_shape": [3, 3], "w_var": 1.0 }, { "type": "flatten" }]);
    let init = json!({ "samples": 2, "init": "delta-orthogonal" });
    assert_eq!(error(init, "nngp", local, image()).path, "kernel.layers[0]");
}
