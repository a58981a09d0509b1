//! The digits against a dense solution by NumPy and LAPACK (golden/README.md), and runs against dense algebra on what
//! they export.
//!
//! A scaled residual ‖LLᵀ − A‖ / (N ε ‖A‖) catches a wrong factor of any kernel; the golden numbers catch a wrong kernel
//! too. Neither can tell a preparation that both sides got wrong: the script prepares the rows as the guide says.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::digits::Digits;
use support::store::{floats, predictions, relative};
use support::{Folder, read_npy};

#[test]
fn predictions_variances_and_evidence_are_those_of_lapack() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let facts: Value = serde_json::from_slice(&std::fs::read(golden.join("digits-3000.json")).unwrap()).unwrap();
    let fact = |name: &str| facts[name].as_f64().unwrap();
    let dense = read_npy(&golden.join("digits-3000.npy"));
    let bound = 100.0 * f64::EPSILON * fact("eigenvalue_largest") / (fact("eigenvalue_least") + fact("noise_var"));
    let tolerance = bound.max(1e-8);
    assert!(tolerance < 1e-6, "the question is well posed: {tolerance}");
    let column = |c: usize| dense.iter().skip(c).step_by(11).copied().collect::<Vec<_>>();

    // Budgets that take the two roads through the border.
    for memory in ["1GiB", "8MiB"] {
        let folder = Folder::new();
        let job = Digits { limit: 3000, test: 200, tile: 128, output: "nngp", gp: "noise_var = 1e-10", compute: "" };
        let summary = job.run(&folder, "out", &["--memory", memory, "--workers", "2"]).json();
        let (means, variances) = predictions(&folder.path("out"), "digits");
        assert_eq!((means.len(), means[0].len()), (10, 200));
        for (c, mean) in means.iter().enumerate() {
            let off = relative(mean, &column(c));
            assert!(off < tolerance, "{memory}: the means of class {c} are off by {off:e}, allowed is {tolerance:e}");
        }
        let off = relative(&variances.unwrap(), &column(10));
        assert!(off < tolerance, "{memory}: the variances are off by {off:e}, allowed is {tolerance:e}");
        let off = relative(&floats(&summary["log_evidence"]), &floats(&facts["log_evidence"]));
        assert!(off < tolerance, "{memory}: the evidence is off by {off:e}, allowed is {tolerance:e}");
        let pivot = &summary["smallest_pivot"];
        assert_eq!(pivot["row"], facts["pivot_least_row"]);
        assert!((pivot["value"].as_f64().unwrap() / fact("pivot_least") - 1.0).abs() < tolerance, "{pivot}");
        assert_eq!(summary["warnings"].as_array().map(Vec::len), Some(0), "{}", summary["warnings"]);
    }
}

#[test]
fn the_factor_times_its_transpose_is_the_matrix() {
    for (output, tile, noise, memory) in [
        ("nngp", 64, 1e-10, "1GiB"),
        ("nngp", 100, 1e-3, "3MiB"),
        ("both", 37, 1e-6, "2MiB"),
        ("nngp", 600, 0.0, "64MiB"),
    ] {
        let folder = Folder::new();
        let n = 500;
        let gp = format!("noise_var = {noise:e}");
        let job = Digits { limit: n, test: 50, tile, output, gp: &gp, compute: "workers = 2" };
        let summary = job.run(&folder, "out", &["--memory", memory]).json();
        let mut matrix = folder.export("out", &["--matrix", "gram", "--output", "nngp"]);
        for i in 0..n {
            matrix[i * n + i] += noise;
        }
        let l = folder.export("out", &["--matrix", "factor"]);
        let (mut off, mut norm) = (0.0f64, 0.0f64);
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..=i.min(j)).map(|k| l[i * n + k] * l[j * n + k]).sum();
                off += (sum - matrix[i * n + j]).powi(2);
                norm += matrix[i * n + j].powi(2);
                assert!(j <= i || l[i * n + j] == 0.0, "zeros above the diagonal");
            }
        }
        let residual = (off / norm).sqrt() / (n as f64 * f64::EPSILON);
        assert!(residual < 1.0, "tile {tile}, {memory}: ‖LLᵀ − A‖ / (N ε ‖A‖) = {residual}");
        let (row, pivot) = (0..n).map(|i| (i, l[i * n + i].powi(2))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let told =
            (summary["smallest_pivot"]["row"].as_u64().unwrap(), summary["smallest_pivot"]["value"].as_f64().unwrap());
        assert_eq!(told, (row as u64, pivot));
    }
}
