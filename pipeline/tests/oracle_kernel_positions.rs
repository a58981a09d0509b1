//! Every golden kernel of a network with positions, norms or branches (golden/README.md).

#![allow(clippy::unwrap_used, clippy::panic)]

mod kernels_of;
mod stax;

use kernels_of::{difference, kernels};
use megagram_pipeline::kernel::{Inputs, KernelSpec, Network, SpecError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

fn golden() -> Value {
    let bytes = include_bytes!("golden/positions.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn shape(value: &Value) -> Vec<usize> {
    value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// A case as a network, or why it is refused.
fn compile(case: &Value, input: &Value) -> Result<Network, SpecError> {
    let kernel = json!({ "output": "both", "layers": stax::layers(&case["spec"]) });
    let shape = shape(input)[1..].to_vec();
    let inputs = Inputs {
        width: shape.iter().product(),
        shape: (shape.len() > 1).then_some(shape),
        mask: case["mask_constant"].as_f64(),
    };
    let spec = KernelSpec::from_value(&kernel)?;
    // The canonical form is the same network.
    assert_eq!(KernelSpec::from_value(&spec.canonical()).unwrap().canonical(), spec.canonical());
    if case["name"].as_str().unwrap().contains("/spatial") {
        assert_eq!(Network::compile(&spec, inputs.clone()).unwrap_err().path, "kernel.layers");
        return Network::compile_positions(&spec, inputs);
    }
    Network::compile(&spec, inputs)
}

/// All pairs of positions of all pairs of rows, in neural-tangents' order (n, n, h, h', w, w').
fn interleaved(network: &Network, x: &[f64], flipped: bool) -> [Vec<f64>; 2] {
    let d = network.input_dim();
    let mut all = [Vec::new(), Vec::new()];
    for a in x.chunks_exact(d) {
        for b in x.chunks_exact(d) {
            let pair = network.positions(a, b);
            let [h, w] = pair.shape;
            let (outer, inner) = if flipped { (w, h) } else { (h, w) };
            for at in 0..outer * outer * inner * inner {
                let (o, i) = (at / (inner * inner), at % (inner * inner));
                let ((o1, o2), (i1, i2)) = ((o / outer, o % outer), (i / inner, i % inner));
                let (p, q) = if flipped { (i1 * w + o1, i2 * w + o2) } else { (o1 * w + i1, o2 * w + i2) };
                all[0].push(pair.nngp[p * h * w + q]);
                all[1].push(pair.ntk[p * h * w + q]);
            }
        }
    }
    all
}

#[test]
fn every_case() {
    let golden = golden();
    let (mut failures, mut worst, mut refused) = (Vec::new(), BTreeMap::<String, (u32, [f64; 2])>::new(), 0);
    let cases = golden["kernels"].as_array().unwrap();
    assert_eq!(cases.len(), 150);
    for case in cases {
        let (name, group) = (case["name"].as_str().unwrap(), case["group"].as_str().unwrap());
        let input = |key: &str| case[key].as_str().map(|id| &golden["inputs"][id]);
        let network = compile(case, input("x1").unwrap());
        if case["xx"].get("error").is_some() {
            let error = network.expect_err(name);
            assert!(error.message.contains("closed form") || error.message.contains("Gaussian"), "{error}");
            refused += 1;
            continue;
        }
        let network = match network {
            Ok(network) => network,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let (x, d) = (floats(input("x1").unwrap()), network.input_dim());
        let group = worst.entry(group.into()).or_default();
        group.0 += 1;
        let mut check = |what: &str, got: &[Vec<f64>; 2], want: &Value| {
            for (at, (output, tolerance)) in [("nngp", 1e-9), ("ntk", 2e-7)].into_iter().enumerate() {
                let difference = difference(&got[at], &floats(&want[output]));
                group.1[at] = group.1[at].max(difference);
                if difference > tolerance {
                    failures.push(format!("{name} {what} {output}: {difference:.1e} > {tolerance:.0e}"));
                }
            }
        };
        if name.contains("/spatial") {
            check("xx", &interleaved(&network, &x, name == "conv2d/spatial_full"), &case["xx"]);
            continue;
        }
        let xx = kernels(&network, &x, None, d, 5);
        check("xx", &[xx.nngp, xx.ntk], &case["xx"]);
        if let Some(y) = input("x2") {
            let xy = kernels(&network, &x, Some(&floats(y)), d, 5);
            check("xy", &[xy.nngp, xy.ntk], &case["xy"]);
        }
    }
    println!("{worst:?}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(refused, 2);
}
