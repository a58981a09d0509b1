//! The questions beside the usual one: no targets, the whole covariance, means alone, tables, values, a small budget.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::fmt::Write as _;

use serde_json::Value;
use support::digits::Digits;
use support::store::{objects, predictions, relative, result};
use support::{Folder, write_npy};

const JOB: Digits<'_> =
    Digits { limit: 500, test: 150, tile: 64, output: "nngp", gp: "", compute: "workers = 2\nmemory = \"64MiB\"" };

/// Runs `job.toml` with a part of its text replaced.
fn run_with(folder: &Folder, store: &str, changes: &[(&str, &str)]) -> Value {
    let mut text = std::fs::read_to_string(folder.path("job.toml")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}\n{text}");
        text = text.replace(from, to);
    }
    folder.write("changed.toml", &text).run(&["run", "changed.toml", "--json", "--store", store]).json()
}

#[test]
fn a_test_set_without_targets_is_predicted_and_not_scored() {
    let folder = Folder::new();
    let scored = JOB.run(&folder, "scored", &[]).json();
    let summary = run_with(&folder, "blind", &[(", y = \"test-y.npy\"", "")]);
    assert_eq!(predictions(&folder.path("blind"), "digits"), predictions(&folder.path("scored"), "digits"));
    assert_eq!(summary["sets"]["test"], serde_json::json!({ "n": 150 }));
    assert!(scored["sets"]["test"]["accuracy"].as_f64().unwrap() > 0.9);
    assert_eq!(summary["log_evidence"], scored["log_evidence"]);
}

#[test]
fn the_covariance_is_symmetric_with_the_variances_on_its_diagonal() {
    let folder = Folder::new();
    JOB.run(&folder, "usual", &[]).json();
    let (means, variances) = predictions(&folder.path("usual"), "digits");
    let mut first = None;
    for (store, memory, processes) in [("large", "64MiB", "1"), ("small", "1600KiB", "1"), ("two", "8MiB", "2")] {
        let job = Digits { gp: "covariance = true", ..JOB };
        job.run(&folder, store, &["--memory", memory, "--processes", processes]).json();
        let place = folder.path(store);
        let table = result(&place, "digits", "covariance-test.parquet");
        let covariance = table.floats("covariance").unwrap().to_vec();
        assert_eq!(covariance.len(), 150 * 150);
        for r in 0..150 {
            for c in 0..r {
                assert_eq!(covariance[r * 150 + c].to_bits(), covariance[c * 150 + r].to_bits());
            }
        }
        let diagonal: Vec<f64> = (0..150).map(|r| covariance[r * 151]).collect();
        assert!(relative(&diagonal, variances.as_ref().unwrap()) < 1e-10, "{store}");
        let most = diagonal.iter().copied().fold(0.0, f64::max);
        assert!(covariance.iter().all(|v| v.abs() <= most), "no covariance is above the largest variance");
        assert_eq!(predictions(&place, "digits"), (means.clone(), variances.clone()), "{store}");
        let tiles_of_v = objects(&place, &["border"]).keys().filter(|k| k.contains("/tiles/")).count();
        assert_eq!(tiles_of_v, 3 * 8, "{store}: V is stored when it is asked for");
        let bytes = covariance.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(first.get_or_insert_with(|| bytes.clone()), &bytes, "{store}: the same bits");
    }
}

#[test]
fn means_alone_are_the_same_means() {
    let folder = Folder::new();
    JOB.run(&folder, "both", &[]).json();
    let summary = Digits { gp: "variance = false", ..JOB }.run(&folder, "means", &[]).json();
    let ((means, _), (alone, none)) =
        (predictions(&folder.path("both"), "digits"), predictions(&folder.path("means"), "digits"));
    assert_eq!(none, None, "no variance was asked for");
    assert_eq!(alone.len(), 10);
    for (found, wanted) in alone.iter().zip(&means) {
        assert!(relative(found, wanted) < 1e-10);
    }
    assert!(summary["sets"]["test"].get("nll").is_none(), "without variances no likelihood");
    assert_eq!(summary["stages"]["border"]["gets"], 0, "α is enough: no tile of L is read");
}

#[test]
fn a_gram_that_is_not_kept_is_not_there() {
    let folder = Folder::new();
    let kept = JOB.run(&folder, "kept", &[]).json();
    let compute = "workers = 2\nmemory = \"64MiB\"\nkeep_gram = false";
    let summary = Digits { compute, ..JOB }.run(&folder, "not", &[]).json();
    assert!(objects(&folder.path("not"), &["gram"]).is_empty());
    assert!(summary["stages"].get("gram").is_none());
    for fact in ["log_evidence", "sets", "smallest_pivot"] {
        assert_eq!(summary[fact], kept[fact], "{fact}");
    }
    assert_eq!(predictions(&folder.path("not"), "digits"), predictions(&folder.path("kept"), "digits"));
}

/// Training and test rows of a small regression with two outputs.
fn regression(folder: &Folder) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let value = |k: usize| (0.37 * (k * k) as f64).sin() + 0.01 * (k % 7) as f64;
    let (x, t): (Vec<f64>, Vec<f64>) = ((0..40 * 3).map(value).collect(), (0..9 * 3).map(|k| value(k + 500)).collect());
    let y: Vec<f64> = x.chunks_exact(3).flat_map(|r| [r[0] * r[1], (r[2] - r[0]).cos()]).collect();
    write_npy(&folder.path("x.npy"), &x, &[40, 3]);
    write_npy(&folder.path("y.npy"), &y, &[40, 2]);
    write_npy(&folder.path("t.npy"), &t, &[9, 3]);
    folder.write(
        "job.toml",
        "name = \"r\"\nstore = \"out\"\n[data]\ntrain = { x = \"x.npy\", y = \"y.npy\" }\n\
         test = [{ name = \"test\", x = \"t.npy\" }]\ntargets = \"values\"\n\
         [kernel]\nfc = { depth = 2, activation = \"erf\", w_var = 2, b_var = 0.1 }\n\
         [gp]\nnoise_var = 1e-6\n[compute]\ntile = 16\nworkers = 1\nmemory = \"16MiB\"\n",
    );
    (x, y, t)
}

#[test]
fn a_table_with_named_columns_gives_the_same_predictions() {
    let folder = Folder::new();
    let (x, y, t) = regression(&folder);
    run_with(&folder, "npy", &[]);
    let mut train = String::from("left,a,out1,b,c,out0\n");
    for (x, y) in x.chunks_exact(3).zip(y.chunks_exact(2)) {
        writeln!(train, "7,{:?},{:?},{:?},{:?},{:?}", x[0], y[1], x[1], x[2], y[0]).unwrap();
    }
    let mut test = String::from("c,b,a\n");
    for t in t.chunks_exact(3) {
        writeln!(test, "{:?},{:?},{:?}", t[2], t[1], t[0]).unwrap();
    }
    folder.write("train.csv", &train).write("test.csv", &test);
    let columns = "x = [\"a\", \"b\", \"c\"]";
    let train = format!("{{ path = \"train.csv\", header = true, {columns}, y = [\"out0\", \"out1\"] }}");
    let test = format!("path = \"test.csv\", header = true, {columns}");
    run_with(&folder, "csv", &[("{ x = \"x.npy\", y = \"y.npy\" }", &train), ("x = \"t.npy\"", &test)]);
    let (npy, csv) = (predictions(&folder.path("npy"), "r"), predictions(&folder.path("csv"), "r"));
    assert_eq!((npy.0.len(), npy.0[0].len()), (2, 9));
    assert_eq!(npy, csv);
    let wrong = train.replace("\"b\"", "\"bb\"");
    let text = std::fs::read_to_string(folder.path("job.toml")).unwrap();
    folder.write("wrong.toml", &text.replace("{ x = \"x.npy\", y = \"y.npy\" }", &wrong));
    folder.run(&["run", "wrong.toml", "--store", "wrong"]).refused(2, "bb");
}

#[test]
fn two_columns_of_values_are_two_processes_with_one_kernel() {
    let folder = Folder::new();
    let (_, y, _) = regression(&folder);
    let both = run_with(&folder, "both", &[]);
    let (means, variances) = predictions(&folder.path("both"), "r");
    assert_eq!(means.len(), 2);
    for (c, wanted) in means.iter().enumerate() {
        let column: Vec<f64> = y.iter().skip(c).step_by(2).copied().collect();
        write_npy(&folder.path("y.npy"), &column, &[40]);
        let store = format!("column-{c}");
        let one = run_with(&folder, &store, &[]);
        let (mean, variance) = predictions(&folder.path(&store), "r");
        assert_eq!(mean.len(), 1);
        assert!(relative(&mean[0], wanted) < 1e-13);
        assert_eq!(variance, variances, "variances know nothing of targets");
        let evidence = |s: &Value, c: usize| [s["log_evidence"][c].as_f64().unwrap()];
        assert!(relative(&evidence(&one, 0), &evidence(&both, c)) < 1e-13);
        assert_eq!(one["ids"]["factor"], both["ids"]["factor"], "one factor serves both");
    }
    assert!(both["sets"]["test"].get("accuracy").is_none());
}

#[test]
fn targets_of_a_second_job_share_the_factor_of_the_first() {
    let folder = Folder::new();
    let (_, y, _) = regression(&folder);
    run_with(&folder, "out", &[]);
    let wanted = predictions(&folder.path("out"), "r");
    let doubled: Vec<f64> = y.iter().map(|v| 2.0 * v).collect();
    write_npy(&folder.path("y2.npy"), &doubled, &[40, 2]);
    let summary = run_with(&folder, "out", &[("\"r\"", "\"r2\""), ("\"y.npy\"", "\"y2.npy\"")]);
    assert_eq!(summary["stages"]["factor"]["tiles_done"], 0);
    let (means, variances) = predictions(&folder.path("out"), "r2");
    for (found, first) in means.iter().zip(&wanted.0) {
        assert!(found.iter().zip(first).all(|(f, w)| *f == 2.0 * w), "twice the targets, twice the means");
    }
    assert_eq!(variances, wanted.1);
    run_with(&folder, "out", &[]);
    assert_eq!(predictions(&folder.path("out"), "r"), wanted, "the first job's answers are its own still");
}

#[test]
fn a_small_budget_is_kept() {
    let folder = Folder::new();
    let job = Digits { limit: 3000, test: 1797, tile: 128, gp: "curve = \"octaves\"", compute: "", ..JOB };
    let summary = job.run(&folder, "out", &["--memory", "48MiB", "--workers", "2"]).json();
    for stage in ["gram", "factor", "border"] {
        let peak = summary["stages"][stage]["peak_rss_bytes"].as_u64().unwrap();
        assert!(peak > 0 && peak <= (48 + 64) << 20, "{stage}: {peak} bytes");
    }
    assert!(summary["sets"]["test"]["accuracy"].as_f64().unwrap() > 0.98);
}
