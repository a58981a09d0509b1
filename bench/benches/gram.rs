//! One tile of the Gram, side 1024 from rows of 784 numbers, beside the product X·Xᵀ alone. Elements are the
//! product's operations, so the ratio of two rates is the share of the product in the time.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::tiles;
use megagram_pipeline::kernel::{KernelOut, KernelSpec, Network, Scratch};
use megagram_pipeline::leaf;
use serde_json::json;

const SIDE: usize = 1024;
const WIDTH: usize = 784;

fn tile_of_the_gram(c: &mut Criterion) {
    eprintln!("BLAS: {}", leaf::blas());
    let (x, y) = (tiles::noise(SIDE * WIDTH, 1), tiles::noise(SIDE * WIDTH, 2));
    let (mut nngp, mut ntk) = (vec![0.0; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    let mut scratch = Scratch::default();
    let mut group = c.benchmark_group("gram");
    group.sample_size(20);
    group.throughput(Throughput::Elements(2 * (SIDE * SIDE * WIDTH) as u64));
    group.bench_function("product alone", |b| b.iter(|| leaf::rows_gram(&x, &y, SIDE, WIDTH, &mut nngp)));
    for (activation, depth) in
        [("relu", 1), ("relu", 3), ("relu", 7), ("erf", 3), ("tanh", 1), ("tanh", 3), ("relu f32", 3), ("erf f32", 3)]
    {
        for output in ["nngp", "both"] {
            let layer = match activation.strip_suffix(" f32") {
                Some(name) => json!({ "type": name, "precision": "f32" }),
                None if activation == "tanh" => json!({ "type": "elementwise", "fn": activation }),
                None => json!(activation),
            };
            let fc = json!({ "depth": depth, "activation": layer, "w_var": 1.6, "b_var": 0.3 });
            let spec = KernelSpec::from_value(&json!({ "output": output, "fc": fc })).unwrap();
            let network = Network::compile(&spec, WIDTH).unwrap();
            let (xs, ys) = (network.rows(&x, SIDE), network.rows(&y, SIDE));
            group.bench_function(format!("{activation} {depth} {output}"), |b| {
                b.iter(|| {
                    let theta = (output == "both").then_some(&mut ntk[..]);
                    let mut out = KernelOut { nngp: Some(&mut nngp), ntk: theta };
                    network.tile(&x, &xs, &y, &ys, SIDE, false, &mut out, &mut scratch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, tile_of_the_gram);
criterion_main!(benches);
