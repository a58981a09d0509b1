//! The stages `factor` and `border` of whole jobs with a store in memory, on all cores: what the summary tells of them, reads,
//! digests and writes included. Elements are nominal floating-point operations: "Gelem/s" reads GF/s.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench may stop at once")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use megagram_bench::tiles;
use megagram_pipeline::{Cluster, Compute, Curve, Data, Gp, Job, Noise, Pair, Silent, Stage, StageReport, TestSet};
use megagram_pipeline::{leaf, run};
use megagram_storage::dataset::{Columns, Prepare, Source, Targets};
use serde_json::json;

const ROWS: usize = 4096;
const WIDTH: usize = 64;

/// A matrix as `.npy`.
fn matrix(folder: &Path, name: &str, values: &[f64], shape: &str) -> Source {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let path = folder.join(name);
    std::fs::write(&path, file).unwrap();
    Source { location: path.to_str().unwrap().to_owned(), columns: Columns::All, header: false }
}

fn job(folder: &Path) -> Job {
    let x = |seed| tiles::noise(ROWS * WIDTH, seed);
    let shape = format!("({ROWS}, {WIDTH})");
    let train = Pair {
        x: matrix(folder, "x.npy", &x(1), &shape),
        y: Some(matrix(folder, "y.npy", &x(1)[..ROWS], &format!("({ROWS},)"))),
    };
    let test = TestSet { name: "test".into(), rows: Pair { x: matrix(folder, "t.npy", &x(2), &shape), y: None } };
    Job {
        name: "bench".into(),
        store: "memory://".into(),
        data: Data {
            train,
            test: vec![test],
            limit: None,
            targets: Targets::Values,
            classes: None,
            prepare: Prepare::None,
            shape: None,
            scale: 1.0,
            mask: None,
        },
        kernel: json!({ "fc": { "depth": 1, "activation": "relu", "w_var": 1.6, "b_var": 0.3 } }),
        gp: Gp {
            kernel: None,
            noise: Noise::Absolute(0.1),
            noise_ladder: 1.0,
            noise_max: 1.0,
            variance: true,
            covariance: false,
            curve: Curve::None,
        },
        compute: Compute {
            tile: 512,
            memory: 2 << 30,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            keep_gram: true,
            allow_mixed_bits: false,
        },
    }
}

fn stages(c: &mut Criterion) {
    // First of all, while there is one thread: it chooses the BLAS kernel.
    eprintln!("BLAS: {}", leaf::blas());
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path());
    let report = |stage: &str, upto| -> StageReport {
        let summary = run(&job, upto, Cluster::alone(), Arc::new(Silent)).unwrap();
        summary.stages[stage].clone()
    };
    let mut group = c.benchmark_group("stages");
    group.sample_size(10);
    for (stage, upto) in [("factor", Stage::Factor), ("border", Stage::Predict)] {
        group.throughput(Throughput::Elements(report(stage, upto).flops as u64));
        group.bench_function(format!("{stage} {ROWS}"), |b| {
            b.iter_custom(|times| {
                let seconds: f64 = (0..times).map(|_| report(stage, upto).seconds).sum();
                Duration::from_secs_f64(seconds)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
