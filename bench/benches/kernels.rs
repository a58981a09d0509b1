//! One tile of networks with positions. Elements are pairs of rows: the time of an element is that of an entry on one
//! core.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::tiles;
use megagram_pipeline::kernel::{Inputs, KernelOut, KernelSpec, Network, Scratch};
use serde_json::{Value, json};

fn convolutions(depth: usize, read_out: &str) -> Value {
    let conv = json!({ "type": "conv", "filter_shape": [3, 3], "padding": "same", "w_var": 2.0, "b_var": 0.1 });
    let dense = json!({ "type": "dense", "w_var": 2.0, "b_var": 0.1 });
    json!([{ "type": "repeat", "times": depth, "layers": [conv, { "type": "relu" }] }, { "type": read_out }, dense])
}

fn attention() -> Value {
    let dense = json!({ "type": "dense", "w_var": 1.7, "b_var": 0.04 });
    let attend = json!({ "type": "global_self_attention", "b_var": 0.09 });
    json!([dense, { "type": "relu" }, attend, { "type": "relu" }, { "type": "global_avg_pool" }, dense])
}

fn tile_of_a_network(c: &mut Criterion) {
    let networks: [(&str, Value, &[usize], usize); 5] = [
        ("flatten 3, 32×32", convolutions(3, "flatten"), &[32, 32, 3], 32),
        ("flatten 21, 32×32", convolutions(21, "flatten"), &[32, 32, 3], 32),
        ("pool 3, 16×16", convolutions(3, "global_avg_pool"), &[16, 16, 3], 8),
        ("pool 3, 32×32", convolutions(3, "global_avg_pool"), &[32, 32, 3], 8),
        ("attention, 50", attention(), &[50, 16], 8),
    ];
    let mut group = c.benchmark_group("kernels");
    group.sample_size(10);
    for (name, layers, shape, side) in networks {
        let width = shape.iter().product();
        let (x, y) = (tiles::noise(side * width, 1), tiles::noise(side * width, 2));
        let (mut nngp, mut ntk) = (vec![0.0; side * side], vec![0.0; side * side]);
        group.throughput(Throughput::Elements((side * side) as u64));
        for output in ["nngp", "both"] {
            let spec = KernelSpec::from_value(&json!({ "output": output, "layers": layers })).unwrap();
            let network = Network::compile(&spec, Inputs { width, shape: Some(shape.to_vec()), mask: None }).unwrap();
            let (xs, ys) = (network.rows(&x, side), network.rows(&y, side));
            let mut scratch = Scratch::default();
            group.bench_function(format!("{name}, {output}"), |b| {
                b.iter(|| {
                    let theta = (output == "both").then_some(&mut ntk[..]);
                    let mut out = KernelOut { nngp: Some(&mut nngp), ntk: theta };
                    network.tile(&x, &xs, &y, &ys, side, false, &mut out, &mut scratch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, tile_of_a_network);
criterion_main!(benches);
