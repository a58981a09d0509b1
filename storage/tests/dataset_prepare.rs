//! Prepared rows: formulas, limits, labels, and what happens when a run or a block breaks.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{Matrix, named, npy, put, source};
use megagram_storage::dataset::{
    Part, Prepare, Prepared, Request, Source, Targets, check_lengths, check_widths, prepare, repair,
};
use megagram_storage::{Error, Key, Kind, Store};

fn inputs(scale: f64, prepare: Prepare) -> Part<'static> {
    Part::Inputs { scale, prepare, standardise_by: None }
}

fn classes(classes: Option<u32>) -> Part<'static> {
    Part::Targets { targets: Targets::Classes, classes }
}

fn request<'a>(source: &'a Source, part: Part<'a>) -> Request<'a> {
    Request { source, part, limit: None, tile: 8 }
}

fn memory() -> Store {
    Store::open("memory://").unwrap()
}

/// All rows, block by block.
fn values(store: &Store, prepared: &Prepared) -> Vec<f64> {
    let (mut all, mut block) = (Vec::new(), Vec::new());
    for i in 0..prepared.blocks() {
        prepared.load_block(store, i, 8, &mut block).unwrap();
        let rows = prepared.grid().rows(i);
        assert_eq!(block.len(), 8 * prepared.width);
        assert!(block[rows * prepared.width..].iter().all(|v| *v == 0.0), "the padding is zero");
        all.extend(&block[..rows * prepared.width]);
    }
    all
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-13 * b.abs().max(1.0), "value {at}: {a} where {b} belongs");
    }
}

#[test]
fn rows_are_prepared_by_the_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let mut m = Matrix::new(21, 5);
    m.values[10..15].fill(0.0);
    (0..21).for_each(|row| m.values[row * 5 + 2] = 4.25);
    m.values[12] = 4.25;
    let source = source(&put(folder.path(), "x.npy", &npy(&m)));
    let store = memory();
    let scaled: Vec<f64> = m.values.iter().map(|v| v * 0.25).collect();
    let by_row = |f: &dyn Fn(&[f64]) -> Vec<f64>| scaled.chunks(5).flat_map(f).collect::<Vec<_>>();
    let unit = by_row(&|row| {
        let norm = (row.iter().map(|x| x * x).sum::<f64>() / 5.0).sqrt();
        row.iter().map(|x| x / norm).collect()
    });
    let layer = by_row(&|row| {
        let mean = row.iter().sum::<f64>() / 5.0;
        let var = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 5.0;
        row.iter().map(|x| (x - mean) / (var + 1e-15).sqrt()).collect()
    });
    let mut standard = scaled.clone();
    for col in 0..5 {
        let column: Vec<f64> = (0..21).map(|row| scaled[row * 5 + col]).collect();
        let mean = column.iter().sum::<f64>() / 21.0;
        let std = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 21.0).sqrt();
        (0..21).for_each(|row| standard[row * 5 + col] = if col == 2 { 0.0 } else { (column[row] - mean) / std });
    }
    let wanted = [
        (Prepare::None, scaled.clone()),
        (Prepare::UnitNorm, unit),
        (Prepare::LayerNorm, layer),
        (Prepare::Standardise, standard),
    ];
    for (kind, wanted) in wanted {
        let prepared = prepare(&store, &request(&source, inputs(0.25, kind))).unwrap();
        assert_eq!((prepared.n, prepared.width, prepared.column), (21, 5, "x"));
        close(&values(&store, &prepared), &wanted);
        assert_eq!(Prepared::read(&store, &prepared.id).unwrap(), prepared);
    }
}

#[test]
fn a_test_set_is_standardised_by_the_training_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let train = source(&put(folder.path(), "train.npy", &npy(&Matrix::new(21, 5))));
    let m = Matrix { rows: 2, cols: 5, values: Matrix::new(21, 5).values[..10].to_vec() };
    let test = source(&put(folder.path(), "test.npy", &npy(&m)));
    let train_rows = prepare(&store, &request(&train, inputs(1.0, Prepare::Standardise))).unwrap();
    let part = Part::Inputs { scale: 1.0, prepare: Prepare::Standardise, standardise_by: Some(&train_rows) };
    let test_rows = prepare(&store, &request(&test, part)).unwrap();
    assert_eq!(values(&store, &test_rows), values(&store, &train_rows)[..10]);
    let narrow = source(&put(folder.path(), "narrow.npy", &npy(&Matrix::new(3, 4))));
    let error = prepare(&store, &request(&narrow, part)).unwrap_err().to_string();
    assert!(error.contains("has 4 columns, the training rows have 5"), "{error}");
}

#[test]
fn zero_rows_stay_zero() {
    let folder = tempfile::tempdir().unwrap();
    let m = Matrix { rows: 2, cols: 2, values: vec![0.0, 0.0, 3.0, 4.0] };
    let source = source(&put(folder.path(), "x.npy", &npy(&m)));
    let store = memory();
    for kind in [Prepare::UnitNorm, Prepare::LayerNorm] {
        let prepared = prepare(&store, &request(&source, inputs(1.0, kind))).unwrap();
        assert_eq!(values(&store, &prepared)[..2], [0.0, 0.0]);
    }
}

#[test]
fn a_limit_takes_the_first_rows_and_no_more_than_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let m = Matrix::new(20, 3);
    let store = memory();
    for (name, bytes) in fixture::all(&m) {
        let source = source(&put(folder.path(), name, &bytes));
        for limit in [1, 7, 8, 9, 16, 20] {
            let limited = Request { limit: Some(limit), ..request(&source, inputs(1.0, Prepare::None)) };
            let prepared = prepare(&store, &limited).unwrap();
            assert_eq!(values(&store, &prepared), m.values[..3 * limit as usize], "{name}, limit {limit}");
        }
        let beyond = Request { limit: Some(21), ..request(&source, inputs(1.0, Prepare::None)) };
        let error = prepare(&store, &beyond).unwrap_err();
        assert!(error.to_string().contains("limit = 21, but the file has 20 rows"), "{error}");
        let none = Request { limit: Some(0), ..beyond };
        assert_eq!(prepare(&store, &none).unwrap_err().exit_code(), 2);
    }
    let empty = source(&put(folder.path(), "empty.npy", &npy(&Matrix::new(0, 3))));
    let error = prepare(&store, &request(&empty, inputs(1.0, Prepare::None))).unwrap_err();
    assert!(error.to_string().contains("holds no rows"), "{error}");
}

#[test]
fn the_leading_blocks_of_a_longer_set_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix::new(40, 3))));
    let whole = prepare(&store, &request(&source, inputs(1.0, Prepare::LayerNorm))).unwrap();
    let part = Request { limit: Some(16), ..request(&source, inputs(1.0, Prepare::LayerNorm)) };
    let part = prepare(&store, &part).unwrap();
    assert_eq!(part.row_digests, whole.row_digests[..2]);
    assert_ne!(part.content(), whole.content());
}

#[test]
fn nothing_is_written_for_input_that_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let mut m = Matrix::new(23, 5);
    m.values[17 * 5 + 3] = f64::NAN;
    for (name, bytes) in fixture::all(&m) {
        let source = source(&put(folder.path(), name, &bytes));
        for kind in [Prepare::None, Prepare::UnitNorm, Prepare::LayerNorm, Prepare::Standardise] {
            let store = memory();
            let error = prepare(&store, &request(&source, inputs(1.0, kind))).unwrap_err();
            assert!(matches!(error, Error::NonFinite { row: 17, col: 3, .. }), "{name}: {error}");
            assert_eq!(store.list("").unwrap(), []);
        }
    }
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix { rows: 1, cols: 2, values: vec![1.0, 1e300] })));
    let error = prepare(&memory(), &request(&source, inputs(1e10, Prepare::None))).unwrap_err();
    assert!(error.to_string().contains("after scale and prepare: row 0, column 1"), "{error}");
}

#[test]
fn labels_become_one_hot_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let column = |values: &[f64]| Matrix { rows: values.len(), cols: 1, values: values.to_vec() };
    let y = source(&put(folder.path(), "y.npy", &npy(&column(&[0.0, 2.0, 1.0]))));
    let guessed = prepare(&store, &request(&y, classes(None))).unwrap();
    assert_eq!((guessed.width, guessed.classes, guessed.column), (3, Some(3), "y"));
    assert_eq!(values(&store, &guessed), [0.9, -0.1, -0.1, -0.1, -0.1, 0.9, -0.1, 0.9, -0.1]);
    assert_eq!(prepare(&store, &request(&y, classes(Some(5)))).unwrap().width, 5);
    let as_they_are = Part::Targets { targets: Targets::Values, classes: None };
    let plain = prepare(&store, &request(&y, as_they_are)).unwrap();
    assert_eq!((values(&store, &plain), plain.classes), (vec![0.0, 2.0, 1.0], None));

    let error = prepare(&store, &request(&y, classes(Some(2)))).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("row 1: label out of range: 2, with 2 classes the largest is 1"), "{error}");
    for bad in [1.5, -1.0, 1e20] {
        let y = source(&put(folder.path(), "bad.csv", format!("y\n0\n{bad}\n").as_bytes()));
        for wanted in [None, Some(3)] {
            let error = prepare(&store, &request(&y, classes(wanted))).unwrap_err().to_string();
            assert!(error.contains(&format!("row 1 (line 3 of the file): the label {bad}")), "{error}");
        }
    }
    let wide = source(&put(folder.path(), "wide.npy", &npy(&Matrix::new(3, 2))));
    for wanted in [None, Some(3)] {
        let error = prepare(&store, &request(&wide, classes(wanted))).unwrap_err().to_string();
        assert!(error.contains("labels are one column, the file has 2"), "{error}");
    }
    let many = source(&put(folder.path(), "many.npy", &npy(&column(&[0.0, 1e6]))));
    let error = prepare(&store, &request(&many, classes(None))).unwrap_err().to_string();
    assert!(error.contains("there would be 1000001 classes"), "{error}");
}

#[test]
fn lengths_and_widths_must_agree() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let (a, b) = (Matrix::new(5, 3), Matrix::new(4, 2));
    let (a, b) = (source(&put(folder.path(), "a.npy", &npy(&a))), source(&put(folder.path(), "b.npy", &npy(&b))));
    let part = inputs(1.0, Prepare::None);
    let (x, y) = (prepare(&store, &request(&a, part)).unwrap(), prepare(&store, &request(&b, part)).unwrap());
    assert!(check_lengths((&x, &a), (&x, &a)).is_ok() && check_widths((&x, &a), (&x, &a)).is_ok());
    let error = check_lengths((&x, &a), (&y, &b)).unwrap_err().to_string();
    assert!(error.contains("a.npy has 5 rows and") && error.contains("b.npy has 4"), "{error}");
    let error = check_widths((&x, &a), (&y, &b)).unwrap_err().to_string();
    assert!(error.contains("a.npy has 3 columns and") && error.contains("b.npy has 2"), "{error}");
}

#[test]
fn the_id_is_of_the_question_and_not_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let bytes = npy(&Matrix::new(9, 3));
    let (a, b) = (source(&put(folder.path(), "a.npy", &bytes)), source(&put(folder.path(), "b.npy", &bytes)));
    let part = inputs(1.0, Prepare::None);
    let id = |request: &Request<'_>| prepare(&store, request).unwrap().id;
    let base = id(&request(&a, part));
    assert_eq!(base, id(&request(&b, part)));
    let others = [
        request(&a, inputs(0.1, Prepare::None)),
        request(&a, inputs(1.0, Prepare::UnitNorm)),
        Request { limit: Some(9), ..request(&a, part) },
        Request { tile: 4, ..request(&a, part) },
        request(&a, Part::Targets { targets: Targets::Values, classes: None }),
    ];
    others.iter().for_each(|other| assert_ne!(base, id(other)));
    let prepared = prepare(&store, &request(&a, part)).unwrap();
    let limited = prepare(&store, &others[2]).unwrap();
    assert_eq!(prepared.content(), limited.content(), "the same rows make the same gram");
    let table = source(&put(folder.path(), "t.csv", b"a,b\n1,2\n"));
    let one = named(&table.location, &["a"]);
    assert_ne!(id(&request(&table, part)), id(&request(&one, part)));
}

fn objects(store: &Store) -> Vec<(Key, Vec<u8>)> {
    let keys = store.list("").unwrap().into_iter().map(|(key, _)| key);
    keys.map(|key| (key.clone(), store.get(&key).unwrap().to_vec())).collect()
}

#[test]
fn a_preparation_that_was_killed_is_repeated_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix::new(30, 4))));
    let request = request(&source, inputs(0.1, Prepare::Standardise));
    let whole = memory();
    let prepared = prepare(&whole, &request).unwrap();
    let wanted = objects(&whole);
    assert_eq!(wanted.len(), 5);
    for kept in 0..4 {
        let store = memory();
        for (key, bytes) in wanted.iter().filter(|(key, _)| key.as_str().contains("/rows/")).take(kept) {
            store.put(key, bytes.clone().into()).unwrap();
        }
        assert!(matches!(Prepared::read(&store, &prepared.id), Err(Error::NotFound { .. })), "no manifest, no matrix");
        assert_eq!(prepare(&store, &request).unwrap(), prepared);
        assert_eq!(objects(&store), wanted);
    }
}

#[test]
fn a_damaged_block_is_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store").display().to_string()).unwrap();
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix::new(30, 4))));
    let request = request(&source, inputs(1.0, Prepare::LayerNorm));
    let prepared = prepare(&store, &request).unwrap();
    assert_eq!(prepared.verify(&store).unwrap(), []);
    let wanted = objects(&store);

    let key = Key::rows(&prepared.id, 2);
    let mut bytes = store.get(&key).unwrap().to_vec();
    bytes[200] ^= 1;
    store.put(&key, bytes.into()).unwrap();
    let error = prepared.load_block(&store, 2, 8, &mut Vec::new()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { key, .. } if key.contains("rows/000002.parquet")), "{error}");
    store.remove(&Key::rows(&prepared.id, 0)).unwrap();
    let swapped = store.get(&Key::rows(&prepared.id, 1)).unwrap();
    store.put(&Key::rows(&prepared.id, 3), swapped).unwrap();

    let bad: Vec<u32> = prepared.verify(&store).unwrap().into_iter().map(|(block, _)| block).collect();
    assert_eq!(bad, [0, 2, 3]);
    assert_eq!(repair(&store, &request).unwrap(), (prepared.clone(), bad));
    assert_eq!(objects(&store), wanted);
    assert_eq!(repair(&store, &request).unwrap().1, Vec::<u32>::new());
}

#[test]
fn a_manifest_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix::new(3, 2))));
    let request = request(&source, inputs(1.0, Prepare::None));
    let prepared = prepare(&store, &request).unwrap();
    let key = Key::manifest(Kind::Data, &prepared.id);
    let text = String::from_utf8(store.get(&key).unwrap().to_vec()).unwrap();
    store.put(&key, text.replace("\"format_version\": 1", "\"format_version\": 9").into()).unwrap();
    assert!(matches!(prepare(&store, &request), Err(Error::Format(_))));
}

#[test]
fn moments_come_back_from_the_manifest_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = memory();
    let source = source(&put(folder.path(), "x.npy", &npy(&Matrix::new(1000, 50))));
    let scale = 0.1 + 0.2;
    let prepared = prepare(&store, &request(&source, inputs(scale, Prepare::Standardise))).unwrap();
    let fresh = memory();
    let again = prepare(&fresh, &request(&source, inputs(scale, Prepare::Standardise))).unwrap();
    assert_eq!(prepared, again);
    let scaled: Vec<f64> = Matrix::new(1000, 50).values.iter().map(|v| v * scale).collect();
    let moments = prepared.moments.unwrap();
    let mut mean = 0.0;
    for row in 0..1000 {
        mean += (scaled[row * 50] - mean) / (row + 1) as f64;
    }
    assert_eq!(moments.mean[0].to_bits(), mean.to_bits());
}
