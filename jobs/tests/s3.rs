//! The digits on a real S3 server: one process and two write the same tiles as one on a folder.
//!
//! It runs where `MEGAGRAM_TEST_S3` names a place (`.ci/s3` starts a server and sets it).

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use std::collections::BTreeMap;

use megagram_storage::Store;
use support::Folder;

/// The tiles of a store, each as its bytes.
fn tiles(location: &str) -> BTreeMap<String, Vec<u8>> {
    let store = Store::open(location).unwrap();
    let keys = ["gram", "factor"].iter().flat_map(|folder| store.list(folder).unwrap());
    let tiles = keys.map(|(key, _)| key).filter(|key| key.is_tile());
    tiles.map(|key| (key.to_string(), store.get(&key).unwrap().to_vec())).collect()
}

#[test]
fn one_process_and_two_write_the_same_tiles_to_s3_as_to_a_folder() {
    let Ok(place) = std::env::var("MEGAGRAM_TEST_S3") else {
        eprintln!("skipped: MEGAGRAM_TEST_S3 is not set; `.ci/s3 cargo test --release` runs it");
        return;
    };
    let folder = Folder::new();
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/specs/digits.toml");
    let doctor = folder.run(&["doctor", "--store", &place, "--json"]).json();
    assert_eq!(doctor["store"]["conditional_put"], true, "the server honours put-if-absent");

    let here = folder.path("out").display().to_string();
    let (one, two) = (format!("{place}/one"), format!("{place}/two"));
    let base = folder.run(&["run", job, "--json", "--store", &here]).json();
    let base_tiles = tiles(&here);
    assert!(!base_tiles.is_empty());
    for (location, processes) in [(&one, "1"), (&two, "2")] {
        let flags = ["run", job, "--json", "--store", location, "--processes", processes];
        let summary = folder.run(&flags).json();
        for fact in ["n", "noise_var", "log_evidence", "sets", "curve"] {
            assert_eq!(summary[fact], base[fact], "{fact} with {processes} processes");
        }
        let found = tiles(location);
        assert!(found.keys().eq(base_tiles.keys()), "the same tiles");
        let different: Vec<_> = found.iter().filter(|(key, bytes)| base_tiles[*key] != **bytes).map(|t| t.0).collect();
        assert!(different.is_empty(), "{processes} processes wrote other bytes: {different:?}");
    }
    let again = folder.run(&["run", job, "--json", "--store", &two]).json();
    assert_eq!(again["stages"]["factor"]["tiles_done"], 0, "a finished job is not done again");
    assert_eq!(folder.run(&["verify", &two, "--json"]).json()["bad"].as_array().map(Vec::len), Some(0));
}
