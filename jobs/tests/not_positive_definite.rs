//! Matrices that are singular but for rounding: one try and a clear refusal, or a ladder of noises whose failed rungs are
//! recorded and leave no tiles.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::store::{floats, objects};
use support::{Folder, write_npy};

const WIDTH: usize = 5;
const DIFFERENT: usize = 8;
const TIMES: usize = 6;

/// Eight rows, six times over: of the forty pivots that are zero but for rounding, some is not above it.
fn job(gp: &str) -> Folder {
    let folder = Folder::new();
    let x: Vec<f64> = (0..DIFFERENT * WIDTH).map(|v| (0.7 * (v * v) as f64).sin()).collect();
    let rows = DIFFERENT * TIMES;
    write_npy(&folder.path("x.npy"), &x.repeat(TIMES), &[rows, WIDTH]);
    write_npy(&folder.path("y.npy"), &(0..rows).map(|v| (v % DIFFERENT) as f64).collect::<Vec<_>>(), &[rows]);
    folder.write(
        "job.toml",
        &format!(
            "name = \"t\"\nstore = \"out\"\n[data]\ntrain = {{ x = \"x.npy\", y = \"y.npy\" }}\n\
             test = [{{ name = \"test\", x = \"x.npy\", y = \"y.npy\" }}]\ntargets = \"values\"\n\
             [kernel]\nfc = {{ depth = 1, activation = \"relu\", w_var = 2, b_var = 0.1 }}\n\
             [gp]\n{gp}\n[compute]\ntile = 8\nworkers = 1\nmemory = \"64MiB\"\n"
        ),
    );
    folder
}

/// Folders of factors in which a try has failed, and what each says of it.
fn failed(folder: &Folder) -> Vec<(PathBuf, Value)> {
    let factors = std::fs::read_dir(folder.path("out/factor")).unwrap().map(|e| e.unwrap().path());
    let failed = factors.filter(|path| path.join("failed.json").exists());
    failed
        .map(|path| (path.clone(), serde_json::from_slice(&std::fs::read(path.join("failed.json")).unwrap()).unwrap()))
        .collect()
}

fn factor_tiles(folder: &Folder) -> Vec<String> {
    objects(&folder.path("out"), &["factor"]).into_keys().filter(|key| key.contains("/tiles/")).collect()
}

#[test]
fn one_try_ends_with_row_pivot_tile_and_the_equal_row() {
    for processes in ["1", "2"] {
        let folder = job("noise_var = 0\nnoise_ladder = 1");
        let run = || folder.run(&["run", "job.toml", "--processes", processes]);
        let ended = run();
        ended.refused(3, "not positive definite: pivot ");
        let records = failed(&folder);
        assert_eq!(records.len(), 1, "one failed try is recorded");
        let (_, record) = &records[0];
        let row = record["row"].as_u64().unwrap();
        let (tile, earlier) = (row / 8, row % DIFFERENT as u64);
        assert!(row >= DIFFERENT as u64 && record["tile"] == tile, "{record}");
        for text in [
            format!(" at row {row} "),
            format!("(diagonal tile {tile:06}-{tile:06})"),
            "with noise_var 0e0".to_owned(),
            format!("its input equals that of row {earlier}"),
            "raise gp.noise_var".to_owned(),
        ] {
            assert!(ended.stderr.contains(&text), "wanted: {text}\n{}", ended.stderr);
        }
        assert_eq!(factor_tiles(&folder), Vec::<String>::new(), "no tile of a failed try is left");
        run().refused(3, &format!(" at row {row} "));
        assert!(!folder.path("out/results/t/summary.json").exists());
    }
}

#[test]
fn each_rung_of_the_ladder_is_recorded_and_leaves_no_tiles() {
    let folder = job("noise_var = 0\nnoise_max = 1e-3\ncurve = [8, 48]");
    let summary = folder.run(&["run", "job.toml", "--json"]).json();
    let tried = floats(&summary["noise_tried"]);
    assert!(tried.len() >= 2 && tried[0] == 0.0, "{tried:?}");
    assert_eq!(summary["noise_var"].as_f64(), tried.last().copied());
    for pair in tried[1..].windows(2) {
        assert!((pair[1] / pair[0] - 10.0).abs() < 1e-9, "{tried:?}");
    }
    let warnings = summary["warnings"].to_string();
    assert!(warnings.contains("the noise ladder went from 0e0 to"), "{warnings}");
    assert!(warnings.contains("the noise ladder fired for all rows"), "the curve says so too: {warnings}");
    let records = failed(&folder);
    let mut noises: Vec<f64> = records.iter().map(|(_, record)| record["noise_var"].as_f64().unwrap()).collect();
    noises.sort_by(f64::total_cmp);
    assert_eq!(noises, tried[..tried.len() - 1]);
    let used = summary["ids"]["factor"].as_str().unwrap();
    let tiles = factor_tiles(&folder);
    assert_eq!(tiles.len(), 21);
    assert!(tiles.iter().all(|key| key.contains(used)), "{tiles:?}");

    // A deletion that was cut short is repeated, and no failed try is made again.
    let (place, _) = &records[0];
    std::fs::create_dir_all(place.join("tiles")).unwrap();
    std::fs::write(place.join("tiles/000000-000000.parquet"), "left behind").unwrap();
    let again = folder.run(&["run", "job.toml", "--json"]).json();
    assert_eq!(factor_tiles(&folder), tiles);
    assert_eq!((&again["noise_tried"], &again["log_evidence"]), (&summary["noise_tried"], &summary["log_evidence"]));
    assert_eq!(again["stages"]["factor"]["tiles_done"], 0);
    assert_eq!(again["stages"]["factor"]["tiles_reused"], 21);
}

#[test]
fn a_ladder_that_ends_in_vain_says_how_far_it_went() {
    // Up to 1e-30, which is nothing beside the rounding of entries of order one.
    let folder = job("noise_var = 1e-32\nnoise_max = 1e-30");
    let ended = folder.run(&["run", "job.toml"]);
    ended.refused(3, "tried 3 noises up to 1e-30; raise gp.noise_max, or mend the data");
    assert_eq!(failed(&folder).len(), 3);
    assert_eq!(factor_tiles(&folder), Vec::<String>::new());
}

#[test]
fn pivots_that_rounding_decides_are_warned_of() {
    // Twice the noise is the pivot of an equal row: above rounding, below 100·N·ε·trace/N.
    let folder = job("noise_var = 1e-13\nnoise_ladder = 1");
    let summary = folder.run(&["run", "job.toml", "--json"]).json();
    let pivot = &summary["smallest_pivot"];
    assert!(pivot["row"].as_u64().unwrap() >= DIFFERENT as u64, "{pivot}");
    let value = pivot["value"].as_f64().unwrap();
    assert!(0.0 < value && value < 1e-12, "{value}");
    let warnings = summary["warnings"].to_string();
    assert!(
        warnings.contains("below 100·N·ε·trace/N") && warnings.contains(&format!("at row {}", pivot["row"])),
        "{warnings}"
    );
    let firm = job("noise_var = 1e-6").run(&["run", "job.toml", "--json"]).json();
    assert_eq!(firm["warnings"].as_array().map(Vec::len), Some(0), "{}", firm["warnings"]);
}
