//! Data, kernels and stores that a job cannot be done with: one clear error, the right exit code, nothing lost.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use support::{Folder, write_npy};

const ROWS: usize = 30;
const WIDTH: usize = 5;

/// A classification job on 30 rows of 5 values; `change` edits rows and labels, `kernel` is the section's body.
fn job(change: impl FnOnce(&mut Vec<f64>, &mut Vec<f64>), kernel: &str, more: &str) -> Folder {
    let folder = Folder::new();
    let mut x: Vec<f64> = (0..ROWS * WIDTH).map(|v| ((v * v * 7 + 3 * v) % 101) as f64 / 50.0).collect();
    let mut y: Vec<f64> = (0..ROWS).map(|v| (v % 3) as f64).collect();
    change(&mut x, &mut y);
    write_npy(&folder.path("x.npy"), &x, &[x.len() / WIDTH, WIDTH]);
    write_npy(&folder.path("y.npy"), &y, &[y.len()]);
    folder.write(
        "job.toml",
        &format!(
            "name = \"t\"\nstore = \"out\"\n[data]\ntrain = {{ x = \"x.npy\", y = \"y.npy\" }}\ntargets = \"classes\"\nclasses = 3\n\
             [kernel]\n{kernel}\n[compute]\ntile = 8\nworkers = 1\nmemory = \"64MiB\"\n{more}"
        ),
    );
    folder
}

const KERNEL: &str = "fc = { depth = 1, activation = \"relu\", w_var = 2, b_var = 0.1 }";

#[test]
fn files_that_are_missing_or_of_wrong_shape_are_exit_2() {
    let folder = job(|_, _| {}, KERNEL, "");
    std::fs::remove_file(folder.path("x.npy")).unwrap();
    folder.run(&["run", "job.toml"]).refused(2, "x.npy");
    job(|_, y| y.truncate(29), KERNEL, "").run(&["run", "job.toml"]).refused(2, "29");
    let folder = job(|_, _| {}, KERNEL, "");
    write_npy(&folder.path("x.npy"), &[1.0; 8], &[2, 2, 2]);
    folder.run(&["run", "job.toml"]).refused(2, "x.npy");
    folder.write("x.npy", "these are no numbers");
    folder.run(&["run", "job.toml"]).refused(2, "x.npy");
    let folder = job(|_, _| {}, KERNEL, "");
    folder.run(&["run", "job.toml", "--limit", "31"]).refused(2, "30");
}

#[test]
fn labels_out_of_range_are_exit_2() {
    job(|_, y| y[11] = 3.0, KERNEL, "").run(&["run", "job.toml"]).refused(2, "row 11");
    job(|_, y| y[11] = 0.5, KERNEL, "").run(&["run", "job.toml"]).refused(2, "row 11");
    job(|_, y| y[11] = -1.0, KERNEL, "").run(&["run", "job.toml"]).refused(2, "row 11");
}

#[test]
fn nan_and_infinity_are_exit_3_with_row_and_column() {
    let put = |value: f64| move |x: &mut Vec<f64>, _: &mut Vec<f64>| x[17 * WIDTH + 3] = value;
    job(put(f64::NAN), KERNEL, "").run(&["run", "job.toml"]).refused(3, "row 17, column 3: the value is NaN");
    job(put(f64::INFINITY), KERNEL, "").run(&["run", "job.toml"]).refused(3, "row 17, column 3: the value is inf");
    let folder = job(put(f64::NAN), KERNEL, "");
    folder.run(&["run", "job.toml", "--processes", "2"]).refused(3, "row 17, column 3");
}

#[test]
fn kernels_that_cannot_be_are_exit_2() {
    for (kernel, text) in [
        ("fc = { depth = 1, activation = \"relu\", w_vra = 2 }", "w_var"),
        ("fc = { depth = 1, activation = \"relu\", w_var = -2 }", "w_var"),
        ("fc = { depth = 1, activation = \"rely\", w_var = 2 }", "relu"),
        ("layers = [{ type = \"dnese\", w_var = 2 }]", "dense"),
    ] {
        let ended = job(|_, _| {}, kernel, "").run(&["run", "job.toml"]);
        ended.refused(2, text);
        assert!(ended.stderr.contains("kernel"), "the path is named: {}", ended.stderr);
    }
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let folder = job(|_, _| {}, KERNEL, "");
    let ended = folder.run(&["run", "job.toml", "--memory", "64KiB"]);
    ended.refused(2, "memory too small");
    assert!(ended.stderr.contains("needs at least"), "{}", ended.stderr);
}

#[test]
fn equal_rows_without_noise_are_exit_3_naming_both() {
    let twins = |x: &mut Vec<f64>, _: &mut Vec<f64>| x.copy_within(4 * WIDTH..5 * WIDTH, 21 * WIDTH);
    let folder = job(twins, KERNEL, "[gp]\nnoise_var = 0\nnoise_ladder = 1\n");
    let ended = folder.run(&["run", "job.toml"]);
    // Rounding decides whether the pivot of a singular matrix is a little above zero or below.
    if ended.code != 0 {
        ended.refused(3, "not positive definite: pivot");
        assert!(ended.stderr.contains("row 21") && ended.stderr.contains("row 4"), "{}", ended.stderr);
    }
    assert_eq!(job(twins, KERNEL, "[gp]\nnoise_var = 0\n").run(&["run", "job.toml"]).code, 0, "the ladder helps");
}

#[test]
fn a_store_of_another_format_or_in_the_way_is_exit_4() {
    let folder = job(|_, _| {}, KERNEL, "");
    folder.write("file", "in the way");
    folder.run(&["run", "job.toml", "--store", "file/store"]).refused(4, "store file/store: cannot make the folder");
    let summary = folder.run(&["run", "job.toml", "--json"]).json();
    let id = summary["ids"]["gram"].as_str().unwrap();
    let manifest = format!("out/gram/{id}/manifest.json");
    let text = std::fs::read_to_string(folder.path(&manifest)).unwrap();
    folder.write(&manifest, &text.replace("\"format_version\": 1", "\"format_version\": 2"));
    folder.run(&["run", "job.toml"]).refused(4, "format version 2; this program reads and writes version 1");
}

#[test]
fn results_of_another_job_are_kept_until_overwritten() {
    let folder = job(|_, _| {}, KERNEL, "");
    folder.run(&["run", "job.toml", "--json"]).json();
    let kept = std::fs::read(folder.path("out/results/t/summary.json")).unwrap();
    folder.run(&["run", "job.toml", "--limit", "20"]).refused(2, "taken by another job (it differs in data.limit)");
    folder.run(&["run", "job.toml", "--limit", "31", "--overwrite"]).refused(2, "30");
    assert_eq!(std::fs::read(folder.path("out/results/t/summary.json")).unwrap(), kept, "nothing is lost");
    assert_eq!(folder.run(&["run", "job.toml", "--limit", "20", "--overwrite", "--json"]).json()["n"], 20);
    folder.run(&["run", "job.toml"]).refused(2, "taken by another job");
}
