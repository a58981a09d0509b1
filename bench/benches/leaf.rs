//! The leaf operations on one core, beside the peak of that core. Elements are floating-point operations:
//! "Gelem/s" reads GF/s.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::{peak, tiles};
use megagram_pipeline::leaf;

const PEAK_ROUNDS: u64 = 100_000;

fn peak_of_a_core(c: &mut Criterion) {
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements(peak::fma_f64(PEAK_ROUNDS) as u64));
    group.bench_function(peak::width(), |b| b.iter(|| peak::fma_f64(black_box(PEAK_ROUNDS))));
    group.finish();
}

fn operations(c: &mut Criterion) {
    // First of all, while there is one thread: it chooses the BLAS kernel.
    eprintln!("BLAS: {}", leaf::blas());
    for side in [256, 512, 1024] {
        let (a, b) = (tiles::noise(side * side, 1), tiles::noise(side * side, 2));
        let (l, definite) = (tiles::triangle(side), tiles::definite(side));
        let mut group = c.benchmark_group("leaf");
        group.sample_size(20);
        let flops = |f: fn(usize) -> f64| Throughput::Elements(f(side) as u64);
        let mut target = a.clone();
        group.throughput(flops(tiles::flops::gemm));
        group.bench_function(BenchmarkId::new("gemm_nt", side), |bench| {
            bench.iter(|| leaf::gemm_nt(&mut target, &a, &b, side, side));
        });
        group.throughput(flops(tiles::flops::syrk));
        group.bench_function(BenchmarkId::new("syrk", side), |bench| {
            bench.iter(|| leaf::syrk(&mut target, &a, side));
        });
        group.throughput(flops(tiles::flops::trsm));
        group.bench_function(BenchmarkId::new("trsm", side), |bench| {
            let solve = |c: &mut Vec<f64>| leaf::trsm(c, &l, side, side);
            bench.iter_batched_ref(|| a.clone(), solve, BatchSize::PerIteration);
        });
        group.throughput(flops(tiles::flops::potrf));
        group.bench_function(BenchmarkId::new("potrf", side), |bench| {
            let factor = |c: &mut Vec<f64>| leaf::potrf(c, side, side).unwrap();
            bench.iter_batched_ref(|| definite.clone(), factor, BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group!(benches, operations, peak_of_a_core);
criterion_main!(benches);
