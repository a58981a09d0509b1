//! A sample of every group of the golden kernels (pipeline/tests/golden/README.md) through the command line: job file,
//! rows on disk, `gram`, `export`; and the golden posteriors through `run`.
//!
//! `pipeline/tests` compare all of them with the kernels themselves. What is caught here is what lies between: keys that
//! do not arrive, shapes and masks, tiles that are cut, columns that are swapped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at once")]

#[path = "../../pipeline/tests/stax/mod.rs"]
mod stax;
mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use support::Folder;
use support::store::{predictions, relative};

/// Cases of each group.
const SAMPLE: usize = 4;

fn golden(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipeline/tests/golden").join(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn shape(value: &Value) -> Vec<usize> {
    value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// A value as TOML, tables in one line.
fn toml(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(toml).collect())),
        Value::Object(table) => {
            format!("{{ {} }}", list(table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect()))
        }
        other => other.to_string(),
    }
}

/// Writes an input as `name.npy`.
fn write(folder: &Folder, name: &str, input: &Value) {
    support::write_npy(&folder.path(&format!("{name}.npy")), &floats(input), &shape(input));
}

/// The largest difference, relative to the largest entry; null asks for a finite number only.
fn difference(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().filter(|w| w.is_finite()).fold(0.0f64, |most, w| most.max(w.abs()));
    let apart = found.iter().zip(wanted).map(|(f, w)| match (f.is_finite(), w.is_nan()) {
        (false, _) => f64::INFINITY,
        (true, true) => 0.0,
        (true, false) => (f - w).abs() / largest,
    });
    apart.fold(0.0, f64::max)
}

/// The first, the last and some cases in between of each group.
fn sample(golden: &Value) -> Vec<&Value> {
    let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for case in golden["kernels"].as_array().unwrap() {
        // Refused cases, and those that end with positions, have no Gram matrix.
        let spatial = case["name"].as_str().unwrap().contains("/spatial");
        // neural-tangents misses numerical activations by up to 7e-3: README.
        let numerical = case["activation"] == "ElementwiseNumerical";
        if case["xx"].get("error").is_none() && !spatial && !numerical {
            groups.entry(case["group"].as_str().unwrap()).or_default().push(case);
        }
    }
    let some = |cases: Vec<&'_ Value>| -> Vec<usize> {
        (0..SAMPLE.min(cases.len())).map(|at| at * (cases.len() - 1) / (SAMPLE - 1).max(1)).collect()
    };
    groups.into_values().flat_map(|cases| some(cases.clone()).into_iter().map(move |at| cases[at])).collect()
}

fn through_the_command_line(golden: &Value, groups: usize) {
    let folder = Folder::new();
    let cases = sample(golden);
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case["group"].as_str().unwrap()).collect();
    assert_eq!(names.len(), groups, "{names:?}");
    for (at, case) in cases.into_iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let input = &golden["inputs"][case["x1"].as_str().unwrap()];
        let shape = shape(input);
        write(&folder, "x", input);
        let mut data = String::new();
        if shape.len() > 2 {
            data += &format!("shape = {:?}\n", &shape[1..]);
        }
        if let Some(mask) = case["mask_constant"].as_f64() {
            data += &format!("mask = {mask:?}\n");
        }
        let layers = toml(&stax::layers(&case["spec"]));
        let store = format!("out{at}");
        let job = format!(
            "name = \"g\"\nstore = \"{store}\"\n[data]\ntrain = {{ x = \"x.npy\" }}\n{data}\
             [kernel]\noutput = \"both\"\nlayers = {layers}\n[gp]\nkernel = \"nngp\"\n[compute]\ntile = 3\n"
        );
        folder.write("job.toml", &job).run(&["gram", "job.toml", "--json"]).json();
        for (output, tolerance) in [("nngp", 1e-9), ("ntk", 2e-7)] {
            let found = folder.export(&store, &["--matrix", "gram", "--output", output]);
            let mut wanted = floats(&case["xx"][output]);
            // Where neural-tangents' own rounding is the larger part: pipeline/tests/oracle_kernel_golden.rs.
            if ["Sign/", "Rbf/", "RectifiedMonomial/"].iter().any(|op| name.contains(op)) {
                wanted.iter_mut().step_by(shape[0] + 1).for_each(|value| *value = f64::NAN);
            }
            let difference = difference(&found, &wanted);
            assert!(difference < tolerance, "{name} {output}: {difference:.1e}");
        }
    }
}

#[test]
fn fully_connected_kernels_come_out_of_export() {
    through_the_command_line(&golden("dense.json.gz"), 3);
}

#[test]
fn kernels_with_positions_come_out_of_export() {
    // Both cases of the seventh group, conv_spatial, end with positions.
    through_the_command_line(&golden("positions.json.gz"), 6);
}

#[test]
fn posteriors_come_out_of_run() {
    let golden = golden("dense.json.gz");
    let folder = Folder::new();
    for (at, set) in golden["predict"].as_array().unwrap().iter().enumerate() {
        for (name, key) in [("x", "x_train"), ("y", "y_train"), ("t", "x_test")] {
            write(&folder, name, &golden["inputs"][set[key].as_str().unwrap()]);
        }
        let regularizer = set["diag_reg"].as_f64().unwrap();
        let noise = if set["diag_reg_absolute_scale"] == true { "noise_var" } else { "noise_relative" };
        for answer in set["gp_inference"].as_array().unwrap() {
            let kernel = answer["get"].as_str().unwrap();
            if !["nngp", "ntk"].contains(&kernel) {
                continue;
            }
            let store = format!("{kernel}{at}");
            let job = format!(
                "name = \"p\"\nstore = \"{store}\"\n[data]\ntrain = {{ x = \"x.npy\", y = \"y.npy\" }}\n\
                 test = [{{ name = \"test\", x = \"t.npy\" }}]\ntargets = \"values\"\n\
                 [kernel]\noutput = \"both\"\nlayers = {}\n[gp]\nkernel = \"{kernel}\"\n{noise} = {regularizer:?}\n\
                 [compute]\ntile = 4\n",
                toml(&stax::layers(&set["spec"]))
            );
            folder.write("job.toml", &job).run(&["run", "job.toml", "--json"]).json();
            let (means, variances) = predictions(&folder.path(&store), "p");
            let (wanted, columns) = (floats(&answer["mean"]), means.len());
            for (column, means) in means.iter().enumerate() {
                let wanted: Vec<f64> = wanted.iter().skip(column).step_by(columns).copied().collect();
                let apart = relative(means, &wanted);
                assert!(apart < 1e-6, "{} {kernel}: {apart:.1e}", set["name"]);
            }
            // There the variance under Θ is that of an ensemble of networks, not of a process.
            if kernel == "nngp" {
                let n = variances.as_ref().unwrap().len();
                let wanted: Vec<f64> = floats(&answer["cov"]).into_iter().step_by(n + 1).collect();
                let apart = relative(&variances.unwrap(), &wanted);
                assert!(apart < 1e-6, "{}: {apart:.1e}", set["name"]);
            }
        }
    }
}
