//! Eight rows whose kernels and posteriors are known to twelve digits, from neural-tangents and from an independent
//! program (jobs/specs/toy): they must come out of the command line.
//!
//! It catches a wrong recursion, diagonal, evidence or border, with tiles that do not divide the rows evenly; it is
//! too small to tell anything of memory or of order.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::Folder;
use support::digits::specs;
use support::store::{floats, predictions, relative};

/// What is known of a posterior: mean at the first test row, variances at all three, log evidence.
struct Known {
    job: &'static str,
    /// Entries 00 and 01 of the NNGP kernel and of the NTK.
    nngp: [f64; 2],
    ntk: [f64; 2],
    /// K(x0, t0).
    cross: f64,
    mean: [f64; 2],
    variance: [f64; 3],
    log_evidence: [f64; 2],
    /// The least and the largest eigenvalue of K, and of Θ.
    eigenvalues: [[f64; 2]; 2],
    /// Mean at the first test row of a network trained for ever, and Θ(x0, t0).
    trained: [f64; 2],
    ntk_cross: f64,
}

const KNOWN: [Known; 2] = [
    Known {
        job: "toy-relu",
        nngp: [3.635887853064, 3.193604387783],
        ntk: [9.903000662257345, 6.250443372720],
        cross: 3.271904317295,
        mean: [0.555019824842, 0.894220199542],
        variance: [0.222303878075, 0.543492888250, 0.084395771916],
        log_evidence: [-16.521593683262, -9.872201583502],
        eigenvalues: [[0.158747270437, 25.921603723405], [2.106901978908, 52.912157510454]],
        trained: [0.404397395573, 0.664596156806],
        ntk_cross: 7.191516071486,
    },
    Known {
        job: "toy-erf",
        nngp: [0.708996077268, 0.299113645453],
        ntk: [2.918300628461, 0.689937078862],
        cross: 0.503407277413,
        mean: [0.253585783285, 1.080208284782],
        variance: [0.252739381253, 0.473965237266, 0.089201019085],
        log_evidence: [-24.557695137786, -7.685392315097],
        eigenvalues: [[0.092847205536, 2.522658273462], [0.888259809326, 6.667746866743]],
        trained: [0.233205722602, 0.931387619724],
        ntk_cross: 1.603991467082,
    },
];

const N: usize = 8;

#[track_caller]
fn close(found: &[f64], wanted: &[f64], tolerance: f64, what: &str) {
    for (f, w) in found.iter().zip(wanted) {
        assert!(((f - w) / w).abs() < tolerance, "{what}: {f} and not {w}");
    }
    assert_eq!(found.len(), wanted.len(), "{what}");
}

fn run(folder: &Folder, job: &str, flags: &[&str]) -> Value {
    let spec = specs().join(format!("{job}.toml"));
    folder.run(&[&["run", spec.to_str().unwrap(), "--store", job, "--json"], flags].concat()).json()
}

fn first_means(store: &Path, job: &str) -> Vec<f64> {
    predictions(store, job).0.iter().map(|column| column[0]).collect()
}

/// x with Θ x = b, by elimination with pivoting.
fn solve(matrix: &[f64], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut rows: Vec<Vec<f64>> = (0..n).map(|r| [&matrix[r * n..(r + 1) * n], &b[r..=r]].concat()).collect();
    for c in 0..n {
        let best = (c..n).max_by(|&p, &q| rows[p][c].abs().total_cmp(&rows[q][c].abs())).unwrap();
        rows.swap(c, best);
        for r in (0..n).filter(|r| *r != c) {
            let factor = rows[r][c] / rows[c][c];
            let pivot = rows[c].clone();
            rows[r].iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    (0..n).map(|r| rows[r][n] / rows[r][r]).collect()
}

/// The largest eigenvalue by the power method.
fn largest(multiply: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    let mut v = vec![1.0; N];
    let mut value = 0.0;
    for step in 0..4000 {
        let w = multiply(&v);
        value = w.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A start that is nearly orthogonal to the wanted vector would be slow.
        v = w
            .iter()
            .enumerate()
            .map(|(i, x)| x / value + if step == 0 { 0.1 * (i as f64).sin() } else { 0.0 })
            .collect();
    }
    value
}

fn times(matrix: &[f64], v: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(v.len()).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
}

#[test]
fn the_kernels_come_out_of_export() {
    let folder = Folder::new();
    for known in &KNOWN {
        run(&folder, known.job, &[]);
        for (output, wanted, tolerance, [least, most]) in
            [("nngp", known.nngp, 1e-9, known.eigenvalues[0]), ("ntk", known.ntk, 1e-8, known.eigenvalues[1])]
        {
            let matrix = folder.export(known.job, &["--matrix", "gram", "--output", output]);
            let what = format!("{} {output}", known.job);
            close(&matrix[..2], &wanted, tolerance, &what);
            for r in 0..N {
                for c in 0..N {
                    assert_eq!(matrix[r * N + c].to_bits(), matrix[c * N + r].to_bits(), "{what} is symmetric");
                }
            }
            close(&[largest(|v| times(&matrix, v))], &[most], tolerance, &what);
            close(&[1.0 / largest(|v| solve(&matrix, v))], &[least], tolerance, &what);
        }
    }
}

#[test]
fn kernels_between_training_and_test_rows_come_out_of_export() {
    let folder = Folder::new();
    let toy = specs().join("toy");
    let read = |name: &str| support::read_npy(&toy.join(name));
    let both = [read("train-x.npy"), read("test-x.npy")].concat();
    support::write_npy(&folder.path("x.npy"), &both, &[11, 5]);
    for known in &KNOWN {
        let text = std::fs::read_to_string(specs().join(format!("{}.toml", known.job))).unwrap();
        let (kernel, rest) =
            text.split_once("[data]").unwrap().1.split_once("[kernel]").unwrap().1.split_once("[gp]").unwrap();
        assert!(!rest.is_empty());
        let job = format!(
            "name = \"c\"\nstore = \"c-{}\"\n[data]\ntrain = {{ x = \"x.npy\" }}\n[kernel]{kernel}[gp]\nkernel = \"nngp\"\n[compute]\ntile = 4\n",
            known.job
        );
        folder.write("cross.toml", &job).run(&["gram", "cross.toml", "--json"]).json();
        for (output, wanted, tolerance) in [("nngp", known.cross, 1e-9), ("ntk", known.ntk_cross, 1e-8)] {
            let flags = ["--matrix", "gram", "--output", output, "--rows", "0..1", "--cols", "8..9"];
            close(&folder.export(&format!("c-{}", known.job), &flags), &[wanted], tolerance, known.job);
        }
    }
}

#[test]
fn means_variances_and_evidence_are_the_known_ones_whatever_the_tile() {
    for known in &KNOWN {
        for tile in ["4", "3", "1", "8", "100"] {
            let folder = Folder::new();
            let summary = run(&folder, known.job, &["--tile", tile]);
            let what = format!("{} with tile {tile}", known.job);
            close(&floats(&summary["log_evidence"]), &known.log_evidence, 1e-9, &what);
            let store = folder.path(known.job);
            close(&first_means(&store, known.job), &known.mean, 1e-9, &what);
            close(&predictions(&store, known.job).1.unwrap(), &known.variance, 1e-9, &what);
        }
    }
}

#[test]
fn a_network_trained_for_ever_predicts_the_known_means() {
    for known in &KNOWN {
        let folder = Folder::new();
        let job = format!("{}-ntk", known.job);
        run(&folder, &job, &[]);
        let store = folder.path(&job);
        close(&first_means(&store, &job), &known.trained, 1e-8, &job);

        // Θ(t, X) Θ⁻¹ Y, from the exported Θ of training and test rows together.
        let toy = specs().join("toy");
        let read = |name: &str| support::read_npy(&toy.join(name));
        support::write_npy(&folder.path("x.npy"), &[read("train-x.npy"), read("test-x.npy")].concat(), &[11, 5]);
        let text = std::fs::read_to_string(specs().join(format!("{job}.toml"))).unwrap();
        let kernel = text.split_once("[kernel]").unwrap().1;
        let all = format!("name = \"all\"\nstore = \"all\"\n[data]\ntrain = {{ x = \"x.npy\" }}\n[kernel]{kernel}");
        folder.write("all.toml", &all).run(&["gram", "all.toml", "--json"]).json();
        let theta = folder.export("all", &["--matrix", "gram"]);
        let square: Vec<f64> = (0..N).flat_map(|r| theta[r * 11..r * 11 + N].to_vec()).collect();
        let y = read("train-y.npy");
        let means = predictions(&store, &job).0;
        for (c, found) in means.iter().enumerate() {
            let alpha = solve(&square, &y.iter().skip(c).step_by(2).copied().collect::<Vec<_>>());
            let wanted: Vec<f64> = (8..11).map(|t| times(&theta[t * 11..t * 11 + N], &alpha)[0]).collect();
            assert!(relative(found, &wanted) < 1e-12, "{job}: {found:?} and not {wanted:?}");
        }
    }
}
