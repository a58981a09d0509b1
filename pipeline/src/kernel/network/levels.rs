//! The same tile at every level of vector instructions.

use super::*;
use crate::kernel::KernelSpec;
use serde_json::json;

/// The tile of some rows at every level of vector instructions.
fn tiles(kernel: serde_json::Value, shape: Option<Vec<usize>>) -> Vec<(Level, Vec<f64>)> {
    let (side, d) = (37, 6);
    let x: Vec<f64> = (0..side * d).map(|e| libm::sin(0.7 * (e * e) as f64)).collect();
    let Ok(spec) = KernelSpec::from_value(&kernel) else {
        return Vec::new();
    };
    let Ok(network) = Network::compile(&spec, Inputs { width: d, shape, mask: None }) else {
        return Vec::new();
    };
    let tile = |level| {
        let network = Network { level, ..network.clone() };
        let state = network.rows(&x, side);
        let mut tile = vec![0.0; 2 * side * side];
        let (nngp, ntk) = tile.split_at_mut(side * side);
        let mut out = KernelOut { nngp: Some(nngp), ntk: Some(ntk) };
        let mut scratch = Scratch::default();
        network.tile(&x, &state, &x, &state, side, false, &mut out, &mut scratch);
        (level, tile)
    };
    Level::all().into_iter().map(tile).collect()
}

#[test]
fn levels_agree_and_those_with_fma_in_every_bit() {
    let table = crate::kernel::activation::TABLE.iter();
    let activations = table.filter(|entry| entry.params.iter().all(|param| param.key == "precision"));
    let singles = ["relu", "abs", "erf", "sigmoid_like"].map(|name| json!({ "type": name, "precision": "f32" }));
    for name in activations.map(|entry| json!(entry.name)).chain([json!("identity")]).chain(singles) {
        let kernel = json!({ "output": "both", "fc": { "depth": 3, "activation": name, "w_var": 1.4, "b_var": 0.1 } });
        agree(&tiles(kernel, None), &name.to_string(), 1e-7);
    }
}

#[test]
fn levels_agree_on_attention() {
    let dense = json!({ "type": "dense", "w_var": 1.4, "b_var": 0.1 });
    // Behind sums in f32 a rectifier takes their last digits for an angle.
    for (precision, tolerance) in [("f64", 1e-7), ("f32", 1e-5)] {
        let attention = json!({ "type": "global_self_attention", "precision": precision });
        let relu = json!({ "type": "relu" });
        let layers = json!([dense, relu, attention, relu, { "type": "global_avg_pool" }]);
        agree(&tiles(json!({ "output": "both", "layers": layers }), Some(vec![3, 2])), precision, tolerance);
    }
}

/// All levels agree, and those with fused multiply-adds in every bit.
fn agree(tiles: &[(Level, Vec<f64>)], name: &str, tolerance: f64) {
    assert!(!tiles.is_empty());
    for (level, tile) in tiles {
        let (_, best) = &tiles[0];
        let largest = best.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (a, b) in tile.iter().zip(best) {
            assert!(*level == Level::Baseline || a.to_bits() == b.to_bits(), "{name}");
            assert!((a - b).abs() < tolerance * largest, "{name}: {a} is not {b}");
        }
    }
}
