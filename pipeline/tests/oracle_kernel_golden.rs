//! Every golden kernel of a fully connected network (golden/README.md).

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;

use kernels_of::{difference, kernels, network};
use serde_json::{Map, Value, json};
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

/// stax's name of a layer and its arguments, as in a job file.
fn layer(stax: &Value) -> Value {
    let name = match stax["op"].as_str().unwrap() {
        "ABRelu" => "ab_relu".to_string(),
        "ElementwiseNumerical" => "elementwise".to_string(),
        op => {
            let mut name = String::new();
            for (at, letter) in op.char_indices() {
                if at > 0 && letter.is_uppercase() {
                    name.push('_');
                }
                name.extend(letter.to_lowercase());
            }
            name
        }
    };
    let mut layer = Map::new();
    layer.insert("type".into(), name.into());
    for (key, value) in stax.as_object().unwrap() {
        match key.as_str() {
            "op" | "do_stabilize" => {}
            "W_std" => drop(layer.insert("w_std".into(), value.clone())),
            "b_std" if value.is_null() => {}
            _ => drop(layer.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(layer)
}

fn spec(stax: &Value) -> Value {
    let layers: Vec<Value> = stax.as_array().unwrap().iter().map(layer).collect();
    json!({ "output": "both", "layers": layers })
}

/// Cases in which neural-tangents' own rounding is the larger part: the entries that are wrong there.
/// Returns the tolerances for NNGP and NTK against neural-tangents, `None` where it is no measure.
fn against_neural_tangents(name: &str) -> [Option<f64>; 2] {
    // Θ on the diagonal: its arctan of a rounding error.
    if name.contains("RectifiedMonomial") {
        return [Some(2e-8), None];
    }
    // The row scaled by 1e-6 is parallel to the first: 1 is right, 0.999999988817439 is given, and the
    // error grows from layer to layer.
    if name.starts_with("fc_edge/Sign/L1/W1_b0") {
        return [Some(2e-8), Some(2e-7)];
    }
    if name.starts_with("fc_edge/Sign/L3/W1_b0") {
        return [Some(1e-2), Some(2e-7)];
    }
    [Some(1e-9), Some(2e-7)]
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
        let mut check = |what: &str, got: &[f64], want: &Value, tolerance: f64| {
            let difference = difference(got, &floats(want));
            if difference > tolerance {
                failures.push(format!("{name} {what}: {difference:.1e} > {tolerance:.0e}"));
            }
        };
        let numerical = case["activation"] == "ElementwiseNumerical";
        let xx = kernels(&network, &x, None, d, x.len() / d);
        if let Some(truth) = case.get("xx_hp") {
            let tolerances = if numerical { [1e-9, 1e-9] } else { [1e-12, 1e-9] };
            check("xx_hp nngp", &xx.nngp, &truth["nngp"], tolerances[0]);
            check("xx_hp ntk", &xx.ntk, &truth["ntk"], tolerances[1]);
        }
        let [nngp, ntk] = if numerical { [Some(2e-2), Some(1e-1)] } else { against_neural_tangents(name) };
        for (what, got, key) in
            [("xx", Some(xx), "xx"), ("xy", input("x2").map(|y| kernels(&network, &x, Some(&floats(y)), d, 7)), "xy")]
        {
            let (Some(got), Some(want)) = (got, case.get(key)) else {
                continue;
            };
            if let Some(tolerance) = nngp {
                check(&format!("{what} nngp"), &got.nngp, &want["nngp"], tolerance);
            }
            if let Some(tolerance) = ntk {
                check(&format!("{what} ntk"), &got.ntk, &want["ntk"], tolerance);
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
