//! The same bytes for any number of workers and processes and any memory, and leading parts of a longer run equal to
//! shorter ones, bit for bit.
//!
//! It catches sums taken in another order, a tile split among workers, an edge tile computed by another call. That the
//! numbers are right as well is for `oracle_dense`.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::process::Stdio;

use support::digits::Digits;
use support::store::{assert_same, computed, floats, objects, predictions, relative};
use support::{Ended, Folder};

/// Eleven by eleven blocks, the last one short; four strips of test rows.
const JOB: Digits<'_> = Digits {
    limit: 700,
    test: 200,
    tile: 64,
    output: "nngp",
    gp: "noise_var = 1e-10\ncurve = [100, 512, 700]",
    compute: "",
};

#[test]
fn workers_processes_and_memory_change_no_byte() {
    let folder = Folder::new();
    let base = JOB.run(&folder, "base", &["--workers", "1", "--memory", "1GiB"]).json();
    let wanted = computed(&folder.path("base"));
    assert_eq!(wanted.keys().filter(|k| k.contains("/tiles/")).count(), 2 * 66, "gram and factor");
    // A budget in which neither the factor's triangle nor one strip of V fits.
    let small = "1100KiB";
    let ways: [&[&str]; 9] = [
        &["--workers", "2", "--memory", "1GiB"],
        &["--workers", "3", "--memory", "8MiB"],
        &["--workers", "1", "--memory", "1GiB", "--processes", "2"],
        &["--workers", "2", "--memory", "8MiB", "--processes", "2"],
        &["--workers", "1", "--memory", "1GiB", "--processes", "3"],
        &["--workers", "1", "--memory", "3MiB"],
        &["--workers", "1", "--memory", small],
        &["--workers", "1", "--memory", small, "--processes", "2"],
        &["--workers", "1", "--memory", small, "--processes", "3"],
    ];
    for (at, flags) in ways.iter().enumerate() {
        let to = format!("way-{at}");
        let summary = JOB.run(&folder, &to, flags).json();
        assert_same(&computed(&folder.path(&to)), &wanted, &format!("{flags:?}"));
        for fact in ["n", "noise_var", "noise_tried", "log_evidence", "smallest_pivot", "sets", "curve"] {
            assert_eq!(summary[fact], base[fact], "{fact} with {flags:?}");
        }
        if flags.contains(&small) {
            let more = |stage: &str, fact: &str| {
                let of = |s: &serde_json::Value| s["stages"][stage][fact].as_u64().unwrap();
                assert!(of(&summary) > of(&base), "{flags:?}: the {stage} was to have {fact} above {}", of(&base));
            };
            more("factor", "gets");
            more("border", "gets");
            more("border", "puts");
        }
    }
}

#[test]
fn a_gram_that_is_not_kept_gives_the_same_factor() {
    let folder = Folder::new();
    JOB.run(&folder, "kept", &["--workers", "1"]).json();
    let not_kept = Digits { compute: "keep_gram = false", ..JOB };
    for flags in [&["--workers", "2"][..], &["--workers", "1", "--memory", "3MiB"], &["--processes", "2"]] {
        let to = format!("made-{}", flags.concat());
        not_kept.run(&folder, &to, flags).json();
        let parts = |store: &str| {
            objects(&folder.path(store), &["factor", "border", "results/digits/predictions-test.parquet"])
        };
        assert_same(&parts(&to), &parts("kept"), &format!("keep_gram = false {flags:?}"));
        assert!(objects(&folder.path(&to), &["gram"]).is_empty(), "no gram is left");
    }
}

#[test]
fn an_output_stored_beside_another_is_the_same() {
    let folder = Folder::new();
    JOB.run(&folder, "one", &[]).json();
    Digits { output: "both", ..JOB }.run(&folder, "both", &[]).json();
    for flags in [&["--matrix", "gram", "--output", "nngp"][..], &["--matrix", "factor"]] {
        let (one, both) = (folder.export("one", flags), folder.export("both", flags));
        assert!(one.iter().zip(&both).all(|(a, b)| a.to_bits() == b.to_bits()), "{flags:?}");
    }
    assert_eq!(predictions(&folder.path("one"), "digits"), predictions(&folder.path("both"), "digits"));
}

#[test]
fn stages_one_by_one_and_two_runs_at_once_leave_the_same_store() {
    let folder = Folder::new();
    JOB.run(&folder, "whole", &[]).json();
    let wanted = computed(&folder.path("whole"));
    for command in ["gram", "factor", "predict"] {
        folder.run(&[command, "job.toml", "--json", "--store", "staged"]).json();
    }
    assert_same(&computed(&folder.path("staged")), &wanted, "stage by stage");
    let start = || {
        let mut command = folder.command(&["run", "job.toml", "--json", "--store", "shared"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in [start(), start()] {
        Ended::of(child.wait_with_output().unwrap()).json();
    }
    assert_same(&computed(&folder.path("shared")), &wanted, "two runs at once");
}

#[test]
fn leading_parts_are_the_shorter_runs_and_the_curve_tells_them() {
    let folder = Folder::new();
    let all = Digits { limit: 3823, test: 300, tile: 256, gp: "curve = [700, 1500, 3823]", ..JOB };
    let whole = all.run(&folder, "whole", &["--workers", "2", "--memory", "24MiB"]).json();
    assert_eq!(whole["curve"].as_array().unwrap().len(), 3);
    for (at, n) in [700usize, 1500].into_iter().enumerate() {
        let (to, range) = (format!("{n}"), format!("0..{n}"));
        let part = Digits { limit: n, gp: "", ..all }.run(&folder, &to, &["--workers", "1", "--memory", "1GiB"]).json();
        for matrix in ["gram", "factor"] {
            let short = folder.export(&to, &["--matrix", matrix]);
            let leading = folder.export("whole", &["--matrix", matrix, "--rows", &range, "--cols", &range]);
            assert_eq!(short.len(), n * n);
            let other = short.iter().zip(&leading).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(other.map(|at| (at / n, at % n)), None, "the {matrix} of {n} rows differs there");
        }
        let point = &whole["curve"][at];
        assert_eq!(point["n"], n);
        let told = floats(&point["log_evidence"]);
        assert!(relative(&told, &floats(&part["log_evidence"])) < 1e-12, "evidence at {n}");
        for score in ["mse", "accuracy", "nll"] {
            let (told, run) = (&point["sets"]["test"][score], &part["sets"]["test"][score]);
            let (told, run) = (told.as_f64().unwrap(), run.as_f64().unwrap());
            assert!((told - run).abs() <= 1e-12 * run.abs(), "{score} at {n}: {told} and not {run}");
        }
    }
    let last = &whole["curve"][2];
    assert_eq!((&last["log_evidence"], &last["sets"]), (&whole["log_evidence"], &whole["sets"]));
}
