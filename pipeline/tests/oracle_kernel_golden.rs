//! Every golden kernel of a fully connected network (golden/README.md).

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;
mod stax;

use kernels_of::{difference, kernels, network};
use serde_json::{Value, json};
use std::io::Read;

fn golden() -> Value {
    let bytes = include_bytes!("golden/dense.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn spec(stax: &Value) -> Value {
    json!({ "output": "both", "layers": stax::layers(stax) })
}

/// Whether neural-tangents' own rounding is the larger part of an entry of K(x, x). Of `sign`, `rbf` and
/// `rectified_monomial` it is the diagonal (an arctan of a rounding error; q + q − 2q at q = 10⁶), and
/// of `sign` every pair of rows that are parallel to 1e-7: the covariance tells angles below 1e-8 from
/// nothing, the kernel grows with the angle, and each further layer takes its root (1 is right for rows
/// 0 and 5, which differ in scale; there it has 0.99999999 after one layer and 0.991 after three).
fn wrong_there(name: &str, i: usize, j: usize) -> bool {
    let imprecise = ["Sign/", "Rbf/", "RectifiedMonomial/"];
    let diagonal = i == j && imprecise.iter().any(|op| name.contains(op));
    let parallel = |row: usize| ![4, 8, 9].contains(&row);
    diagonal || (name.starts_with("fc_edge/Sign/") && parallel(i) && parallel(j))
}

/// What the diagonal is there instead: rbf has F(q, q) = 1, and sign too but for the zero row.
fn exact_diagonal(name: &str, i: usize, stax: &Value) -> Option<f64> {
    let last = stax.as_array().unwrap().last().unwrap();
    let square = |key: &str| last[key].as_f64().unwrap_or(0.0).powi(2);
    let sign = name.contains("Sign/") && !(name.starts_with("fc_edge") && i == 4);
    (name.contains("Rbf/") || sign).then(|| square("W_std") + square("b_std"))
}

#[test]
fn every_case() {
    let golden = golden();
    let mut failures = Vec::new();
    let cases = golden["kernels"].as_array().unwrap();
    assert_eq!(cases.len(), 300);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let input = |key: &str| case[key].as_str().map(|id| &golden["inputs"][id]);
        let x = floats(input("x1").unwrap());
        let d = input("x1").unwrap()["shape"][1].as_u64().unwrap() as usize;
        let network = network(&spec(&case["spec"]), d);
        let mut check = |what: &str, got: &[f64], want: &[f64], tolerance: f64| {
            let difference = difference(got, want);
            if difference > tolerance {
                failures.push(format!("{name} {what}: {difference:.1e} > {tolerance:.0e}"));
            }
        };
        let numerical = case["activation"] == "ElementwiseNumerical";
        let n = x.len() / d;
        let xx = kernels(&network, &x, None, d, n);
        if let Some(truth) = case.get("xx_hp") {
            let nngp = if numerical { 1e-9 } else { 1e-12 };
            check("xx_hp nngp", &xx.nngp, &floats(&truth["nngp"]), nngp);
            check("xx_hp ntk", &xx.ntk, &floats(&truth["ntk"]), 1e-9);
        }
        for i in 0..n {
            if let Some(want) = exact_diagonal(name, i, &case["spec"]) {
                check("diagonal", &xx.nngp[i * n + i..][..1], &[want], 1e-15);
            }
        }
        let xy = input("x2").map(|y| kernels(&network, &x, Some(&floats(y)), d, 7));
        let tolerances = if numerical { [2e-2, 1e-1] } else { [1e-9, 2e-7] };
        for (key, got) in [("xx", Some(xx)), ("xy", xy)] {
            let (Some(got), Some(want)) = (got, case.get(key)) else {
                continue;
            };
            for (output, got, tolerance) in [("nngp", &got.nngp, tolerances[0]), ("ntk", &got.ntk, tolerances[1])] {
                let mut want = floats(&want[output]);
                let m = want.len() / n;
                for (e, value) in want.iter_mut().enumerate() {
                    if key == "xx" && wrong_there(name, e / m, e % m) {
                        *value = f64::NAN;
                    }
                }
                check(&format!("{key} {output}"), got, &want, tolerance);
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Where neural-tangents gives no number on the diagonal, max(x, 0)¹ must be relu.
#[test]
fn a_rectified_line_is_relu() {
    let golden = golden();
    let input = &golden["inputs"]["fc_edge"];
    let (x, d) = (floats(input), 7);
    let dense = json!({ "type": "dense", "w_var": 1.7, "b_var": 0.2 });
    let build = |layer: Value| network(&json!({ "output": "both", "layers": [dense, layer, dense] }), d);
    let relu = kernels(&build(json!({ "type": "relu" })), &x, None, d, 11);
    let line = kernels(&build(json!({ "type": "rectified_monomial", "degree": 1 })), &x, None, d, 11);
    assert!(difference(&line.nngp, &relu.nngp) < 1e-14);
    assert!(difference(&line.ntk, &relu.ntk) < 1e-14);
}

#[test]
fn prediction_sets() {
    let golden = golden();
    let sets = golden["predict"].as_array().unwrap();
    assert_eq!(sets.len(), 5);
    for set in sets {
        let input = |key: &str| floats(&golden["inputs"][set[key].as_str().unwrap()]);
        let (train, test, d) = (input("x_train"), input("x_test"), 7);
        let network = network(&spec(&set["spec"]), d);
        for (want, got) in [
            ("k_train_train", kernels(&network, &train, None, d, 5)),
            ("k_test_train", kernels(&network, &test, Some(&train), d, 12)),
            ("k_test_test", kernels(&network, &test, None, d, 5)),
        ] {
            let want = &set[want];
            assert!(difference(&got.nngp, &floats(&want["nngp"])) < 1e-9);
            assert!(difference(&got.ntk, &floats(&want["ntk"])) < 2e-7);
        }
    }
}
