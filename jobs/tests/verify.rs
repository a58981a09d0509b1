//! `verify` on the store of a real run: what is damaged is found, named, and mended only when asked.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::path::PathBuf;

use support::{Ended, Folder};

/// A finished run, and a tile of its gram and one of its factor.
fn finished() -> (Folder, PathBuf, PathBuf, serde_json::Value) {
    let folder = Folder::new();
    folder.job("[compute]\ntile = 3\nworkers = 1\nmemory = \"64MiB\"\n");
    let summary = folder.run(&["run", "job.toml", "--json"]).json();
    let tile = |kind: &str, tile: &str| {
        let id = summary["ids"][kind].as_str().unwrap();
        folder.path(&format!("out/{kind}/{id}/tiles/{tile}.parquet"))
    };
    let (gram, factor) = (tile("gram", "000002-000001"), tile("factor", "000001-000000"));
    (folder, gram, factor, summary)
}

fn flip(path: &PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &PathBuf) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn a_sound_store_is_sound() {
    let (folder, _, _, _) = finished();
    let report = folder.run(&["verify", "out", "--json"]).json();
    assert_eq!((report["tiles"].as_u64(), report["bad"].as_array().map(Vec::len)), (Some(20), Some(0)));
    assert_eq!(report["residuals"].as_array().map(Vec::len), Some(1));
}

#[test]
fn damage_is_named_and_mended_only_when_asked() {
    let (folder, gram, factor, summary) = finished();
    let (good_gram, good_factor) = (std::fs::read(&gram).unwrap(), std::fs::read(&factor).unwrap());
    flip(&gram);
    cut(&factor);
    let damaged = std::fs::read(&gram).unwrap();
    let ended = folder.run(&["verify", "out", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let bad = report["bad"].as_array().unwrap().iter();
    let bad: Vec<_> = bad.map(|b| (b["id"].clone(), b["tile"].as_str().unwrap().to_owned())).collect();
    let ids = &summary["ids"];
    assert_eq!(bad, [(ids["gram"].clone(), "000002-000001".into()), (ids["factor"].clone(), "000001-000000".into())]);
    assert!(ended.stderr.contains("2 bad tiles; nothing was changed"), "{}", ended.stderr);
    assert_eq!(std::fs::read(&gram).unwrap(), damaged, "verify changes nothing");
    let report = folder.run(&["verify", "out", "--repair", "--json"]).json();
    assert_eq!(report["repaired"], 2);
    assert_eq!((std::fs::read(&gram).unwrap(), std::fs::read(&factor).unwrap()), (good_gram, good_factor));
    assert_eq!(folder.run(&["verify", "out"]).code, 0);
}

#[test]
fn a_run_mends_what_it_meets_and_says_so() {
    for damage in [flip, cut] {
        let (folder, gram, factor, summary) = finished();
        let good = std::fs::read(&factor).unwrap();
        damage(&gram);
        damage(&factor);
        let again = Ended::of(folder.command(&["run", "job.toml", "--json"]).output().unwrap());
        assert!(again.stderr.contains("000001-000000"), "{}", again.stderr);
        let again = again.json();
        assert!(again["repaired"].as_u64() >= Some(1), "{again}");
        assert_eq!((&again["log_evidence"], &again["noise_var"]), (&summary["log_evidence"], &summary["noise_var"]));
        assert_eq!(std::fs::read(&factor).unwrap(), good);
        assert_eq!(folder.run(&["verify", "out"]).code, 0);
    }
}
