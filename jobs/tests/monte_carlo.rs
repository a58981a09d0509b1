//! Kernels of finite random networks through the command line: the same bytes for every tile, worker and process, the
//! error that is told, and mistakes in `[kernel.monte_carlo]`.
//!
//! It catches random numbers that depend on who draws them, and settings that do not arrive; whether the numbers are
//! right is the matter of `pipeline/tests/oracle_kernel_monte_carlo.rs`.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use support::{Folder, write_npy};

const N: usize = 23;

/// Writes `job.toml`: masked sequences, a convolution and attention.
fn write(folder: &Folder, monte_carlo: &str) {
    let mut x: Vec<f64> = (0..N * 12).map(|v| (v as f64 * 1.7).sin()).collect();
    for row in 0..N {
        x[(row + 1) * 12 - row % 5 * 2..(row + 1) * 12].fill(9.0);
    }
    write_npy(&folder.path("x.npy"), &x, &[N, 6, 2]);
    let y: Vec<f64> = (0..N).map(|row| (row as f64).cos()).collect();
    write_npy(&folder.path("y.npy"), &y, &[N]);
    folder.write(
        "job.toml",
        &format!(
            "name = \"m\"\nstore = \"out\"\n[data]\ntrain = {{ x = \"x.npy\", y = \"y.npy\" }}\ntargets = \"values\"\n\
             test = [{{ name = \"test\", x = \"x.npy\", y = \"y.npy\" }}]\nshape = [6, 2]\nmask = 9.0\n\
             [kernel]\noutput = \"both\"\nlayers = [\n\
             {{ type = \"conv\", filter_shape = [3], padding = \"same\", w_var = 2, b_var = 0.1 }}, {{ type = \"relu\" }},\n\
             {{ type = \"global_self_attention\" }}, {{ type = \"global_avg_pool\" }}, {{ type = \"dense\", w_var = 1 }}]\n\
             {monte_carlo}\n[gp]\nkernel = \"ntk\"\nnoise_relative = 1e-3\n[compute]\ntile = 32\n"
        ),
    );
}

#[test]
fn bytes_do_not_depend_on_tiles_workers_or_processes() {
    let folder = Folder::new();
    write(&folder, "monte_carlo = { samples = 3, width = 20, seed = 4 }");
    let mut first = None;
    for (store, flags) in [
        ("a", vec!["--tile", "64", "--workers", "1"]),
        ("b", vec!["--tile", "5", "--workers", "2"]),
        ("c", vec!["--tile", "7", "--processes", "2", "--workers", "1"]),
    ] {
        folder.run(&[vec!["gram", "job.toml", "--json", "--store", store], flags].concat()).json();
        let outputs = ["nngp", "ntk"].map(|output| folder.export(store, &["--matrix", "gram", "--output", output]));
        assert_eq!(outputs[0].len(), N * N);
        let wanted = first.get_or_insert_with(|| outputs.clone());
        assert_eq!(wanted, &outputs, "{store}");
    }
}

#[test]
fn a_run_tells_its_standard_error() {
    let folder = Folder::new();
    let told = |samples: u32| {
        write(&folder, &format!("monte_carlo = {{ samples = {samples}, width = 32 }}"));
        let summary = folder.run(&["run", "job.toml", "--json", "--store", &format!("out{samples}")]).json();
        assert!(summary["sets"]["test"]["mse"].as_f64().unwrap() < 0.5, "{summary:#}");
        let sampled = summary["monte_carlo"].clone();
        assert_eq!((sampled["samples"].as_u64(), sampled["width"].as_u64()), (Some(u64::from(samples)), Some(32)));
        ["nngp", "ntk"].map(|output| sampled["standard_error"][output]["relative"].as_f64())
    };
    assert_eq!(told(1), [None, None]);
    for (few, many) in told(8).into_iter().zip(told(128)) {
        let ratio = few.unwrap() / many.unwrap();
        assert!((2.0..8.0).contains(&ratio), "sixteen times as many samples: {ratio}");
    }
    let text = folder.run(&["gram", "job.toml", "--store", "text"]);
    assert!(text.stdout.contains("monte carlo   128 networks of width 32, nngp ±"), "{text:#?}");
    assert_eq!(folder.run(&["verify", "out8"]).code, 0);
}

#[test]
fn the_limit_has_no_error() {
    let folder = Folder::new();
    write(&folder, "");
    let summary = folder.run(&["gram", "job.toml", "--json"]).json();
    assert!(summary.get("monte_carlo").is_none(), "{summary:#}");
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    for (monte_carlo, text) in [
        ("monte_carlo = { width = 8 }", "kernel.monte_carlo.samples: it must be given"),
        ("monte_carlo = { samples = 0 }", "kernel.monte_carlo.samples: it is 0; a whole number from 1 to"),
        (
            "monte_carlo = { samples = 2, widht = 8 }",
            "kernel.monte_carlo.widht: unknown key; the nearest known key is \"width\"",
        ),
        ("monte_carlo = { samples = 2, init = \"delta\" }", "kernel.monte_carlo.init: \"delta\" is not known"),
        ("monte_carlo = { samples = 2, init = \"delta-orthogonal\" }", "set kernel.output = \"nngp\""),
        ("monte_carlo = 7", "kernel.monte_carlo: a table was expected, not 7"),
    ] {
        write(&folder, monte_carlo);
        folder.run(&["gram", "job.toml"]).refused(2, text);
    }
}
