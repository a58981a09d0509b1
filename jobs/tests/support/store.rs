//! What a run leaves in a store on a folder, seen as files.

use std::collections::BTreeMap;
use std::path::Path;

use megagram_storage::table::Table;
use megagram_storage::{Id, Key, Kind};

use super::Folder;

/// The objects below `folders` of a store, by key, each as its bytes; without what a killed process left half written.
pub fn objects(store: &Path, folders: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in folders {
        walk(&store.join(folder), &mut |path| {
            let key = path.strip_prefix(store).unwrap().to_str().unwrap().to_owned();
            if !key.contains('#') {
                found.insert(key, std::fs::read(path).unwrap());
            }
        });
    }
    found
}

/// Tiles, z and alpha, strips, predictions: what a run computes whatever its budget, so without the tiles of V.
pub fn computed(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = objects(store, &["gram", "factor", "border", "results"]);
    let tile_of_v = |key: &str| key.starts_with("border/") && key.contains("/tiles/");
    all.retain(|key, _| key.ends_with(".parquet") && !key.contains("/aside/") && !tile_of_v(key));
    all
}

/// Calls `each` for every file below `folder`; one that is not there is empty.
pub fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.map_while(Result::ok) {
        // What vanishes while it is looked at was never there.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), each),
            Ok(_) => each(&entry.path()),
            Err(_) => {}
        }
    }
}

/// Checks that two sets of objects are the same, bytes and all.
#[track_caller]
pub fn assert_same(found: &BTreeMap<String, Vec<u8>>, wanted: &BTreeMap<String, Vec<u8>>, what: &str) {
    let keys = |a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        a.keys().filter(|k| !b.contains_key(*k)).cloned().collect()
    };
    assert_eq!((keys(found, wanted), keys(wanted, found)), (vec![], vec![]), "{what}: objects of one side only");
    let other: Vec<_> = wanted.iter().filter(|(key, bytes)| found[*key] != **bytes).map(|(key, _)| key).collect();
    assert!(other.is_empty(), "{what}: other bytes in {other:?}");
}

/// The only matrix of a kind in a store.
pub fn only(store: &Path, kind: Kind) -> Id {
    let names: Vec<_> = std::fs::read_dir(store.join(kind.folder())).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    Id::parse(names[0].to_str().unwrap()).unwrap()
}

/// A table of results.
pub fn result(store: &Path, job: &str, name: &str) -> Table {
    let key = Key::result(job, name);
    Table::decode(&key, std::fs::read(store.join(key.as_str())).unwrap().into()).unwrap()
}

/// The predictions of the test set "test": means by target column, and variances if there are any.
pub fn predictions(store: &Path, job: &str) -> (Vec<Vec<f64>>, Option<Vec<f64>>) {
    let table = result(store, job, "predictions-test.parquet");
    let means = (0..).map_while(|c| table.floats(&format!("mean_{c}")).map(<[f64]>::to_vec)).collect();
    (means, table.floats("variance").map(<[f64]>::to_vec))
}

impl Folder {
    /// A stored matrix as the program exports it, row by row.
    #[track_caller]
    pub fn export(&self, store: &str, flags: &[&str]) -> Vec<f64> {
        self.run(&[&["export", store, "--to", "exported.npy", "--json"], flags].concat()).json();
        super::read_npy(&self.path("exported.npy"))
    }
}

/// The largest difference, relative to the largest entry wanted.
pub fn relative(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let scale = wanted.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let off = found
        .iter()
        .zip(wanted)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m });
    off / scale
}

/// The floats of a JSON list.
pub fn floats(list: &serde_json::Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}
