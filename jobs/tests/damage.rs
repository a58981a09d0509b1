//! Tiles damaged on a store of digits: `verify` names each and changes nothing, `run` makes it again with the same bytes.
//! And what asks too much of a run, told before any work.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::path::Path;

use support::Folder;
use support::digits::Digits;
use support::store::{assert_same, computed, objects};

const JOB: Digits<'_> = Digits {
    limit: 300,
    test: 100,
    tile: 64,
    output: "nngp",
    gp: "noise_var = 1e-10",
    compute: "workers = 1\nmemory = \"64MiB\"",
};

/// What happens to a file, in words and in deed.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path));

fn flip(path: &Path, bit: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn any_damage_of_a_tile_is_named_by_verify_and_mended_by_run() {
    let folder = Folder::new();
    let summary = JOB.run(&folder, "out", &[]).json();
    let store = folder.path("out");
    let wanted = computed(&store);
    let bodies = 8 * 64 * 64;
    let damages: [Damage<'_>; 6] = [
        ("cut in half", &|p| cut(p, std::fs::metadata(p).unwrap().len() / 2)),
        ("cut by one byte", &|p| cut(p, std::fs::metadata(p).unwrap().len() - 1)),
        ("empty", &|p| cut(p, 0)),
        ("one bit of a value", &|p| flip(p, 8 * (bodies / 2) + 3)),
        ("one bit of the footer", &|p| flip(p, 8 * (std::fs::metadata(p).unwrap().len() as usize - 60))),
        ("another tile's bytes", &|p| {
            std::fs::copy(p.with_file_name("000000-000000.parquet"), p).unwrap();
        }),
    ];
    for (turn, (what, damage)) in damages.iter().enumerate() {
        for kind in ["gram", "factor"] {
            let what = format!("{kind}: {what}");
            let tile = ["000002-000001", "000003-000003", "000004-000000"][turn % 3];
            let id = summary["ids"][kind].as_str().unwrap();
            damage(&folder.path(&format!("out/{kind}/{id}/tiles/{tile}.parquet")));
            let damaged = objects(&store, &["gram", "factor", "border", "results", "data"]);
            let ended = folder.run(&["verify", "out", "--json"]);
            assert_eq!(ended.code, 1, "{what}: {ended:#?}");
            let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            let bad: Vec<_> =
                report["bad"].as_array().unwrap().iter().map(|b| (&b["matrix"], &b["id"], &b["tile"])).collect();
            assert_eq!(bad, [(&kind.into(), &id.into(), &tile.into())], "{what}");
            let text = folder.run(&["verify", "out"]);
            assert!(text.stdout.contains(tile), "{what}: {}", text.stdout);
            assert_same(
                &objects(&store, &["gram", "factor", "border", "results", "data"]),
                &damaged,
                "verify changes nothing",
            );
            let again = JOB.run(&folder, "out", if turn % 2 == 0 { &[] } else { &["--processes", "2"] }).json();
            assert!(again["repaired"].as_u64().unwrap() >= 1, "{what}: {}", again["repaired"]);
            for fact in ["log_evidence", "sets", "smallest_pivot"] {
                assert_eq!(again[fact], summary[fact], "{what}: {fact}");
            }
            assert_same(&computed(&store), &wanted, &what);
            assert_eq!(folder.run(&["verify", "out", "--json"]).code, 0, "{what}: sound again");
        }
    }
}

#[test]
fn damage_of_anything_else_that_is_reused_is_mended_too() {
    let folder = Folder::new();
    let summary = JOB.run(&folder, "out", &[]).json();
    let store = folder.path("out");
    let wanted = computed(&store);
    let all = objects(&store, &["data", "factor", "border"]);
    let parts = all.keys().filter(|k| k.ends_with(".parquet") && !k.contains("/tiles/"));
    for key in parts {
        let path = store.join(key);
        flip(&path, 8 * (std::fs::metadata(&path).unwrap().len() as usize / 3));
        let ended = JOB.run(&folder, "out", &[]);
        assert_eq!(ended.code, 0, "{key}: {ended:#?}");
        assert_eq!(ended.json()["sets"], summary["sets"], "{key}");
        assert_same(&computed(&store), &wanted, key);
    }
}

#[test]
fn verify_reads_every_other_file_too() {
    let folder = Folder::new();
    let job = Digits { gp: "covariance = true", ..JOB };
    job.run(&folder, "out", &[]).json();
    let store = folder.path("out");
    let all = objects(&store, &["data", "factor", "border", "results"]);
    let others = |key: &&String| key.ends_with(".parquet") && !(key.starts_with("factor/") && key.contains("/tiles/"));
    let others: Vec<&String> = all.keys().filter(others).collect();
    let sound = folder.run(&["verify", "out", "--json"]).json();
    assert_eq!(sound["files"]["read"].as_u64(), Some(others.len() as u64), "{others:?}");
    assert_eq!(sound["files"]["bad"].as_array().map(Vec::len), Some(0));
    for part in ["data/", "/z", "/alpha", "/strips/", "/tiles/", "/predictions-", "/covariance-"] {
        let key = others.iter().find(|key| key.contains(part)).unwrap();
        let path = store.join(key);
        let good = std::fs::read(&path).unwrap();
        flip(&path, 8 * (good.len() / 3));
        let damaged = std::fs::read(&path).unwrap();
        for repair in [&[][..], &["--repair"]] {
            let ended = folder.run(&[&["verify", "out", "--json"], repair].concat());
            assert_eq!(ended.code, 1, "{ended:?}");
            assert!(ended.stderr.contains("1 other bad files: run their job again"), "{}", ended.stderr);
            let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!(report["files"]["bad"][0]["key"].as_str(), Some(key.as_str()));
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{key} was changed");
        }
        // As the message says.
        job.run(&folder, "out", &[]).json();
        assert_eq!(folder.run(&["verify", "out"]).code, 0, "{key}");
        assert_eq!(std::fs::read(&path).unwrap(), good, "{key}");
    }
    // A block of rows that is not there is missed: its manifest tells of it.
    let rows = others.iter().find(|key| key.starts_with("data/")).unwrap();
    std::fs::remove_file(store.join(rows)).unwrap();
    let ended = folder.run(&["verify", "out"]);
    assert!(ended.code == 1 && ended.stdout.contains(&format!("{rows}: it is not there")), "{ended:?}");
}

#[test]
fn a_tile_of_v_that_is_damaged_or_gone_is_made_again() {
    let folder = Folder::new();
    let job = Digits { gp: "covariance = true", ..JOB };
    let summary = job.run(&folder, "out", &[]).json();
    let store = folder.path("out");
    let wanted = objects(&store, &["border", "results/digits/covariance-test.parquet"]);
    let id = summary["ids"]["border/test"].as_str().unwrap();
    let tile = folder.path(&format!("out/border/{id}/tiles/000001-000002.parquet"));
    let damages: [(Damage<'_>, u64); 2] =
        [(("gone", &|p| std::fs::remove_file(p).unwrap()), 0), (("one bit", &|p| flip(p, 80_000)), 1)];
    for ((what, damage), repaired) in damages {
        damage(&tile);
        // The answer that was made of it goes too: what is not needed is not looked at.
        std::fs::remove_file(store.join("results/digits/covariance-test.parquet")).unwrap();
        let again = job.run(&folder, "out", &[]).json();
        assert_eq!(again["repaired"], repaired, "{what}");
        let mut found = objects(&store, &["border", "results/digits/covariance-test.parquet"]);
        found.retain(|key, _| !key.contains("/aside/"));
        assert_same(&found, &wanted, what);
    }
}

#[test]
fn what_rm_took_is_made_again() {
    let folder = Folder::new();
    let summary = JOB.run(&folder, "out", &[]).json();
    let store = folder.path("out");
    let wanted = computed(&store);
    for (name, folder_of) in [("factor", "factor"), ("gram", "gram"), ("border/test", "border")] {
        let id = summary["ids"][name].as_str().unwrap();
        folder.run(&["rm", "out", "--id", id, "--yes", "--json"]).json();
        assert!(objects(&store, &[folder_of]).is_empty(), "{name} is gone");
        folder.run(&["rm", "out", "--id", id, "--yes"]).refused(2, &format!("there is no gram, factor or border {id}"));
        let again = JOB.run(&folder, "out", &[]).json();
        assert_eq!(again["sets"], summary["sets"]);
        assert_same(&computed(&store), &wanted, name);
    }
}

#[test]
fn the_memory_that_an_error_names_is_enough() {
    for (limit, flags, compute) in [
        (300, &["--workers", "1"][..], ""),
        (300, &["--workers", "3"], ""),
        (300, &["--workers", "1", "--processes", "2"], ""),
        (300, &["--workers", "2"], "keep_gram = false"),
        (600, &["--workers", "2"], ""),
    ] {
        for gp in ["", "curve = \"octaves\"", "variance = false", "covariance = true"] {
            let folder = Folder::new();
            let job = Digits { limit, gp, compute, ..JOB };
            let what = format!("n = {limit}, {flags:?}, {gp} {compute}");
            let ended = job.run(&folder, "out", &[flags, &["--memory", "64KiB"]].concat());
            ended.refused(2, "memory too small: ");
            let needed = ended.stderr.split("needs at least ").nth(1).unwrap().split(',').next().unwrap();
            assert!(objects(&folder.path("out"), &["gram", "factor"]).is_empty(), "{what}: told before any work");
            let (number, unit) = needed.split_at(needed.find(|c: char| !c.is_ascii_digit()).unwrap());
            let less = format!("{}{unit}", number.parse::<u64>().unwrap() - 1);
            job.run(&folder, "out", &[flags, &["--memory", &less]].concat()).refused(2, "memory too small: ");
            let ended = job.run(&folder, "out", &[flags, &["--memory", needed]].concat());
            assert_eq!(ended.code, 0, "{what} with {needed}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_curve_beyond_the_rows_is_told_before_any_work() {
    let folder = Folder::new();
    let ended = Digits { gp: "curve = [100, 301]", ..JOB }.run(&folder, "out", &[]);
    ended.refused(2, "gp.curve: size 301 is not among 1..=300, the training rows");
    assert!(objects(&folder.path("out"), &["gram", "factor"]).is_empty());
    let ended = folder.run(&["plan", "job.toml", "--json"]);
    ended.refused(2, "gp.curve: size 301");
}
