//! Layers in f32 through the command line: other matrices, refused where the noise does not bear them, and close to those
//! in f64 where it does.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use serde_json::Value;
use support::{Ended, Folder, write_npy};

const N: usize = 90;
const PLAIN: &str = "\"relu\"";
const SINGLE: &str = "{ type = \"relu\", precision = \"f32\" }";

/// A regression job, and how it ended.
fn run(folder: &Folder, store: &str, activation: &str, gp: &str, command: &str) -> Ended {
    let x: Vec<f64> = (0..N * 5).map(|v| ((v * v) as f64 * 0.7).sin()).collect();
    let y: Vec<f64> = (0..N).map(|row| x[row * 5] + 0.3 * x[row * 5 + 2] * x[row * 5 + 1]).collect();
    write_npy(&folder.path("x.npy"), &x, &[N, 5]);
    write_npy(&folder.path("y.npy"), &y, &[N]);
    folder.write(
        "job.toml",
        &format!(
            "name = \"p\"\nstore = \"out\"\n[data]\ntrain = {{ x = \"x.npy\", y = \"y.npy\" }}\ntargets = \"values\"\n\
             limit = 70\ntest = [{{ name = \"test\", x = \"x.npy\", y = \"y.npy\" }}]\n\
             [kernel]\noutput = \"both\"\nfc = {{ depth = 3, activation = {activation}, w_var = 1.7, b_var = 0.2 }}\n\
             [gp]\nkernel = \"nngp\"\n{gp}\n[compute]\ntile = 32\n"
        ),
    );
    folder.run(&[command, "job.toml", "--json", "--store", store])
}

fn error(summary: &Value, output: &str) -> f64 {
    summary["f32_layers"]["error"][output].as_f64().unwrap()
}

#[test]
fn small_noise_is_refused_and_large_noise_is_not() {
    let folder = Folder::new();
    for gp in ["noise_var = 0", "noise_var = 1e-8", "noise_relative = 1e-8"] {
        let ended = run(&folder, "refused", SINGLE, gp, "run");
        ended.refused(2, "layers with precision = \"f32\" leave an error of about");
        assert!(ended.stderr.contains("use precision = \"f64\", or a noise_var of at least"), "{ended:#?}");
    }
    for gp in ["noise_var = 1e-2", "noise_relative = 1e-2"] {
        let double = run(&folder, "double", PLAIN, &format!("{gp}\n"), "run").json();
        let single = run(&folder, "single", SINGLE, gp, "run").json();
        assert!(double.get("f32_layers").is_none(), "{double:#}");
        assert_ne!(double["ids"]["gram"], single["ids"]["gram"]);
        let (error, borne) = (error(&single, "nngp"), single["f32_layers"]["borne"].as_f64().unwrap());
        assert!(error > 0.0 && error < borne, "{single:#}");
        let mse = [double, single].map(|summary| summary["sets"]["test"]["mse"].as_f64().unwrap());
        assert!((mse[0] - mse[1]).abs() < 1e-5 * mse[0], "{mse:?}");
        let _ = std::fs::remove_dir_all(folder.path("double"));
        let _ = std::fs::remove_dir_all(folder.path("single"));
    }
}

#[test]
fn a_gram_is_told_of_and_not_refused() {
    let folder = Folder::new();
    let double = run(&folder, "double", PLAIN, "noise_var = 0", "gram").json();
    let same = run(&folder, "same", "{ type = \"relu\", precision = \"f64\" }", "noise_var = 0", "gram").json();
    assert_eq!(double["ids"]["gram"], same["ids"]["gram"]);
    let single = run(&folder, "single", SINGLE, "noise_var = 0", "gram").json();
    assert!(single["f32_layers"].get("borne").is_none(), "{single:#}");
    for output in ["nngp", "ntk"] {
        let told = error(&single, output);
        let of = |store| folder.export(store, &["--matrix", "gram", "--output", output]);
        let (double, single) = (of("double"), of("single"));
        let largest = double.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let worst = double.iter().zip(&single).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst > 0.0 && worst <= told && told < 1e-5 * largest, "{output}: {worst} {told} {largest}");
        for row in 0..70 {
            assert_eq!(double[row * 71], single[row * 71], "{output}: the diagonal");
        }
        for (at, value) in single.iter().enumerate() {
            assert_eq!(*value, single[at % 70 * 70 + at / 70], "{output}: symmetric");
        }
    }
    let text = folder.run(&["gram", "job.toml", "--store", "single"]);
    assert!(text.stdout.contains("f32 layers    nngp ±"), "{text:#?}");
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    for (activation, text) in [
        (
            "{ type = \"gelu\", precision = \"f32\" }",
            "kernel.fc.activation.precision: \"gelu\" is computed in f64 alone; layers that take a precision: ",
        ),
        ("{ type = \"relu\", precision = \"f16\" }", "kernel.fc.activation.precision: \"f64\" or \"f32\" was expected"),
    ] {
        run(&folder, "out", activation, "", "gram").refused(2, text);
    }
    let random = format!("{SINGLE}, w_var = 1 }}\nmonte_carlo = {{ samples = 2 }}\n#");
    run(&folder, "out", &random, "", "gram").refused(2, "precision = \"f32\" is of closed forms");
}
