//! `status`, `export` and `rm` on a store made by hand: a gram of both outputs and a factor.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod support;

use megagram_storage::codec::{Stamp, Values, encode};
use megagram_storage::{Id, Key, Kind, Manifest, Store, TileGrid};
use serde_json::json;
use support::{Folder, read_npy};

const N: u64 = 7;
const TILE: u32 = 3;

/// Element (r, c) of a made-up symmetric matrix, or of a lower triangle.
fn element(kind: Kind, column: &str, r: u64, c: u64) -> f64 {
    let sign = if column == "ntk" { -1.0 } else { 1.0 };
    match kind {
        Kind::Factor if c > r => 0.0,
        Kind::Factor => (10 * r + c + 1) as f64,
        _ => sign * (10 * r.max(c) + r.min(c) + 1) as f64,
    }
}

fn make(store: &Store, kind: Kind, n: u64, columns: &[&str], facts: serde_json::Value) -> Id {
    let manifest = Manifest::new(kind, json!({ "n": n, "kind": kind }), facts).publish(store).unwrap();
    let grid = TileGrid::new(n, TILE);
    for tile in grid.lower() {
        let (rows, cols) = (grid.rows(tile.row), grid.rows(tile.col));
        let stamp = Stamp { id: manifest.id.clone(), i: tile.row, j: tile.col, rows, cols };
        let values = |column: &str| -> Vec<f64> {
            let place = |k: usize| (grid.start(tile.row) + (k % rows) as u64, grid.start(tile.col) + (k / rows) as u64);
            (0..rows * cols).map(place).map(|(r, c)| element(kind, column, r, c)).collect()
        };
        let blocks: Vec<_> = columns.iter().map(|c| (*c, values(c))).collect();
        let blocks: Vec<_> = blocks.iter().map(|(c, data)| (*c, Values { data, ld: rows })).collect();
        let body = encode(&stamp, &blocks, Vec::new()).unwrap();
        store.put(&Key::tile(kind, &manifest.id, tile), body.into()).unwrap();
    }
    manifest.id
}

struct Made {
    folder: Folder,
    store: Store,
    gram: Id,
    factor: Id,
}

fn made() -> Made {
    let folder = Folder::new();
    let store = Store::open(folder.path("out").to_str().unwrap()).unwrap();
    let facts = json!({ "n": N, "tile": TILE, "outputs": ["nngp", "ntk"] });
    let gram = make(&store, Kind::Gram, N, &["nngp", "ntk"], facts);
    let facts = json!({ "n": N, "tile": TILE, "gram": gram, "output": "nngp", "noise_var": 1e-3 });
    let factor = make(&store, Kind::Factor, N, &["l"], facts);
    Made { folder, store, gram, factor }
}

fn wanted(kind: Kind, column: &str, rows: std::ops::Range<u64>, cols: std::ops::Range<u64>) -> Vec<f64> {
    rows.flat_map(|r| cols.clone().map(move |c| (r, c))).map(|(r, c)| element(kind, column, r, c)).collect()
}

#[test]
fn export_writes_whole_matrices_and_parts() {
    let made = made();
    let export = |flags: &[&str]| made.folder.run(&[&["export", "out", "--to", "m.npy", "--json"], flags].concat());
    let file = || read_npy(&made.folder.path("m.npy"));
    let exported = export(&["--matrix", "gram", "--output", "ntk"]).json();
    assert_eq!((exported["rows"].as_u64(), exported["id"].as_str()), (Some(N), Some(made.gram.as_str())));
    assert_eq!(file(), wanted(Kind::Gram, "ntk", 0..N, 0..N));
    export(&["--matrix", "factor"]).json();
    assert_eq!(file(), wanted(Kind::Factor, "l", 0..N, 0..N));
    for (a, b, c, d) in [(0, 1, 0, 7), (2, 5, 1, 7), (6, 7, 6, 7), (0, 7, 5, 6)] {
        let (rows, cols) = (format!("{a}..{b}"), format!("{c}..{d}"));
        export(&["--matrix", "gram", "--output", "nngp", "--rows", &rows, "--cols", &cols]).json();
        assert_eq!(file(), wanted(Kind::Gram, "nngp", a..b, c..d), "{rows} {cols}");
    }
    export(&["--matrix", "gram"]).refused(2, "holds nngp and ntk; say which with --output");
    export(&["--matrix", "factor", "--output", "ntk"]).refused(2, "there is no stored factor of ntk");
    export(&["--matrix", "factor", "--rows", "0..8"]).refused(2, "--rows 0..8: the matrix has 7");
    export(&["--matrix", "factor", "--id", "0123"]).refused(2, "there is no factor 0123");
    let second = make(&made.store, Kind::Factor, 4, &["l"], json!({ "n": 4, "tile": TILE, "output": "nngp" }));
    let several = export(&["--matrix", "factor"]);
    several.refused(2, "choose one with --id");
    for id in [&second, &made.factor] {
        assert!(several.stderr.contains(id.as_str()));
    }
    export(&["--matrix", "factor", "--id", second.as_str()]).json();
    assert_eq!(file(), wanted(Kind::Factor, "l", 0..4, 0..4));
}

#[test]
fn an_export_of_a_damaged_tile_leaves_no_file() {
    let made = made();
    let cut = made.folder.path(&format!("out/factor/{}/tiles/000001-000000.parquet", made.factor));
    let length = std::fs::metadata(&cut).unwrap().len();
    std::fs::File::options().write(true).open(&cut).unwrap().set_len(length / 2).unwrap();
    let ended = made.folder.run(&["export", "out", "--matrix", "factor", "--to", "m.npy"]);
    ended.refused(4, "000001-000000");
    assert!(!made.folder.path("m.npy").exists() && !made.folder.path("m.npy.part").exists());
}

#[test]
fn status_tells_what_is_there_and_rm_removes_it() {
    let made = made();
    let status = made.folder.run(&["status", "out", "--json"]).json();
    let matrices = status["matrices"].as_array().unwrap();
    assert_eq!(matrices.len(), 2);
    assert_eq!((matrices[0]["kind"].as_str(), matrices[0]["tiles"].as_u64()), (Some("gram"), Some(6)));
    assert_eq!((matrices[1]["noise_var"].as_f64(), matrices[1]["missing"].as_u64()), (Some(1e-3), Some(0)));
    let text = made.folder.run(&["status", "out"]);
    assert!(text.stdout.contains("n 7, tile 3") && text.stdout.contains("complete, 6 tiles"), "{}", text.stdout);
    let id = made.gram.as_str();
    made.folder.run(&["rm", "out", "--id", id]).refused(2, "give --yes");
    made.folder
        .run(&["rm", "out", "--id", "nothing", "--yes"])
        .refused(2, "there is no gram, factor or border nothing");
    assert_eq!(made.folder.run(&["rm", "out", "--id", id, "--yes", "--json"]).json()["objects"], 7);
    assert!(made.store.list("gram").unwrap().is_empty());
    assert_eq!(made.store.list("factor").unwrap().len(), 7);
}

#[test]
fn another_format_version_is_exit_4() {
    let made = made();
    let key = Key::manifest(Kind::Factor, &made.factor);
    let text = String::from_utf8(made.store.get(&key).unwrap().to_vec()).unwrap();
    made.store.put(&key, text.replace("\"format_version\": 1", "\"format_version\": 9").into()).unwrap();
    for command in [&["verify", "out"][..], &["export", "out", "--matrix", "factor", "--to", "m.npy"]] {
        made.folder.run(command).refused(4, "format version 9; this program reads and writes version 1");
    }
    let status = made.folder.run(&["status", "out"]);
    assert_eq!(status.code, 4);
    assert!(status.stdout.contains("unreadable") && status.stdout.contains("complete, 6 tiles"), "{}", status.stdout);
}

#[test]
fn a_broken_pipe_is_no_error() {
    let made = made();
    let mut child = made.folder.command(&["status", "out"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
