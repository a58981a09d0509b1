//! What a run measures is what it predicted, and what `plan` predicts is what a run from an empty store measures.
//!
//! It catches a read that the schedule does not know of: a tile fetched twice, a verification that is not counted.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use serde_json::Value;
use support::Folder;
use support::digits::Digits;

const FACTS: [&str; 4] = ["bytes_read", "bytes_written", "gets", "puts"];

fn job<'a>(gp: &'a str, compute: &'a str, output: &'a str) -> Digits<'a> {
    Digits { limit: 700, test: 200, tile: 64, output, gp, compute }
}

/// The number under `name`, wherever in an object it stands.
fn number(value: &Value, name: &str) -> Option<f64> {
    let Value::Object(map) = value else { return None };
    map.get(name).and_then(Value::as_f64).or_else(|| map.values().find_map(|v| number(v, name)))
}

#[track_caller]
fn within(measured: f64, predicted: f64, what: &str) {
    assert!((measured - predicted).abs() <= 0.02 * predicted, "{what}: measured {measured}, predicted {predicted}");
}

/// Each stage did what it said it would, and nothing was counted that was not said.
fn as_predicted(summary: &Value, what: &str) {
    for (name, stage) in summary["stages"].as_object().unwrap() {
        for fact in FACTS {
            let predicted = number(stage, &format!("predicted_{fact}")).unwrap();
            within(number(stage, fact).unwrap(), predicted, &format!("{what}: {fact} of the {name}"));
        }
    }
}

#[test]
fn a_run_from_nothing_does_what_plan_says() {
    let folder = Folder::new();
    let everything: [(&str, Digits<'_>); 5] = [
        ("plain", job("noise_var = 1e-10", "", "nngp")),
        ("curve and both", job("curve = \"octaves\"", "", "both")),
        ("means only", job("variance = false", "", "nngp")),
        ("covariance", job("covariance = true", "", "nngp")),
        ("not kept", job("noise_var = 1e-8", "keep_gram = false", "nngp")),
    ];
    let mut border_reads = Vec::new();
    for (name, job) in &everything {
        for (memory, processes, workers) in
            [("1GiB", "1", "2"), ("4MiB", "1", "1"), ("3MiB", "1", "2"), ("4MiB", "2", "1")]
        {
            let what = format!("{name}, {memory}, {processes} processes of {workers} workers");
            let flags = ["--memory", memory, "--processes", processes, "--workers", workers];
            let store = what.replace([' ', ','], "-");
            job.write(&folder);
            let plan = folder.run(&[&["plan", "job.toml", "--json", "--store", &store][..], &flags].concat()).json();
            let summary = job.run(&folder, &store, &flags).json();
            as_predicted(&summary, &what);
            let (planned, ran) = (plan["stages"].as_object().unwrap(), summary["stages"].as_object().unwrap());
            assert!(planned.keys().eq(ran.keys()), "{what}: {:?} and {:?}", planned.keys(), ran.keys());
            for (stage, done) in ran {
                for fact in FACTS {
                    let said = number(&planned[stage], fact).unwrap();
                    within(number(done, fact).unwrap(), said, &format!("{what}: {fact} of the {stage} by plan"));
                }
                // Sums of many terms, in another order for another number of processes.
                let (flops, said) = (number(done, "flops").unwrap(), number(&planned[stage], "flops").unwrap());
                assert!((flops - said).abs() <= 1e-12 * said, "{what}: flops of the {stage}: {flops}, {said} by plan");
                assert_eq!(
                    number(done, "tiles_done"),
                    number(&planned[stage], "tiles"),
                    "{what}: tiles of the {stage}"
                );
            }
            border_reads.push(number(&ran["factor"], "gets").unwrap());
        }
    }
    border_reads.sort_by(f64::total_cmp);
    border_reads.dedup();
    assert!(border_reads.len() >= 4, "the budgets were to make a difference: {border_reads:?}");
}

/// What a stage holds beside its tiles is told too: where memory is short, less than a tile of it is left over.
#[test]
fn a_plan_tells_all_memory_that_a_stage_has() {
    let folder = Folder::new();
    let job = job("covariance = true", "workers = 1", "nngp");
    job.write(&folder);
    let tile = f64::from(8 * 64 * 64);
    for memory in [2 << 20, 1 << 30] {
        let plan = folder.run(&["plan", "job.toml", "--json", "--memory", &memory.to_string()]).json();
        let of = |stage: &str| number(&plan["stages"][stage], "memory_bytes").unwrap();
        let given = f64::from(memory);
        assert!(["gram", "factor", "solve", "border"].iter().all(|stage| of(stage) <= given), "{memory}");
        assert_eq!(of("factor") > given - tile, memory < 1 << 30, "{memory}: {}", of("factor"));
    }
}

#[test]
fn a_plan_needs_no_word_on_classes_nor_a_target_column() {
    let folder = Folder::new();
    let job = job("curve = [100]", "memory = \"1100KiB\"\nworkers = 1", "nngp");
    job.write(&folder);
    let text = std::fs::read_to_string(folder.path("job.toml")).unwrap();
    let labels = text.replace("classes = 10\n", "");
    let values = labels.replace("targets = \"classes\"", "targets = \"values\"");
    assert!(labels != text && values != labels);
    for (store, text) in [("labels", &labels), ("values", &values)] {
        folder.write("job.toml", text);
        let plan = folder.run(&["plan", "job.toml", "--json", "--store", store]).json();
        let summary = folder.run(&["run", "job.toml", "--json", "--store", store]).json();
        for (stage, done) in summary["stages"].as_object().unwrap() {
            for fact in FACTS {
                assert_eq!(number(done, fact), number(&plan["stages"][stage], fact), "{store}: {fact} of the {stage}");
            }
        }
    }
}

#[test]
fn runs_that_go_on_predict_what_is_left() {
    let folder = Folder::new();
    let job = job("noise_var = 1e-10", "memory = \"4MiB\"\nworkers = 1", "nngp");
    job.run(&folder, "out", &[]).json();
    as_predicted(&job.run(&folder, "out", &[]).json(), "again");
    let mut removed = 0;
    support::store::walk(&folder.path("out"), &mut |path| {
        let text = path.to_str().unwrap();
        // Every fifth tile, and the strips.
        let tile = text.contains("/tiles/") && text.ends_with("3.parquet");
        if tile || text.contains("/strips/") {
            std::fs::remove_file(path).unwrap();
            removed += u32::from(tile);
        }
    });
    assert!(removed > 10);
    let summary = job.run(&folder, "out", &["--processes", "2"]).json();
    as_predicted(&summary, "after a loss");
    let count = |stage: &str, fact: &str| summary["stages"][stage][fact].as_u64().unwrap();
    assert_eq!(count("gram", "tiles_done") + count("factor", "tiles_done"), u64::from(removed));
    assert_eq!(count("gram", "tiles_reused") + count("gram", "tiles_done"), 66);
    assert_eq!(count("factor", "tiles_reused") + count("factor", "tiles_done"), 66);
}

#[test]
fn a_plan_runs_nothing() {
    let folder = Folder::new();
    job("curve = \"octaves\"", "", "nngp").write(&folder).run(&["plan", "job.toml", "--json", "--store", "out"]).json();
    let mut files = 0;
    support::store::walk(&folder.path("out"), &mut |_| files += 1);
    assert_eq!(files, 0);
}
