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
    // All but parallel rows: a smooth activation then needs all terms of its series.
    let [near_x, near_y] = [&x, &y].map(|rows| rows.iter().map(|value| 0.1 * value + 1.5).collect::<Vec<_>>());
    group.bench_function("product alone", |b| b.iter(|| leaf::rows_gram(&x, &y, SIDE, WIDTH, &mut nngp)));
    for (activation, depth) in [
        ("relu", 1),
        ("relu", 3),
        ("relu", 7),
        ("erf", 3),
        ("tanh", 1),
        ("tanh", 3),
        ("tanh near", 3),
        ("relu f32", 3),
        ("erf f32", 3),
    ] {
        let (name, how) = activation.split_once(' ').unwrap_or((activation, ""));
        let (x, y) = if how == "near" { (&near_x, &near_y) } else { (&x, &y) };
        for output in ["nngp", "both"] {
            let layer = match (name, how) {
                ("tanh", _) => json!({ "type": "elementwise", "fn": name }),
                (_, "f32") => json!({ "type": name, "precision": how }),
                _ => json!(name),
            };
            let fc = json!({ "depth": depth, "activation": layer, "w_var": 1.6, "b_var": 0.3 });
            let spec = KernelSpec::from_value(&json!({ "output": output, "fc": fc })).unwrap();
            let network = Network::compile(&spec, WIDTH).unwrap();
            let (xs, ys) = (network.rows(x, SIDE), network.rows(y, SIDE));
            group.bench_function(format!("{activation} {depth} {output}"), |b| {
                b.iter(|| {
                    let theta = (output == "both").then_some(&mut ntk[..]);
                    let mut out = KernelOut { nngp: Some(&mut nngp), ntk: theta };
                    network.tile(x, &xs, y, &ys, SIDE, false, &mut out, &mut scratch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, tile_of_the_gram);
criterion_main!(benches);
