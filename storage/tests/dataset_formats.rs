//! Every format gives the same rows, in blocks of any size, and says clearly what is wrong.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int64Array, StringArray, UInt8Array};
use fixture::{Matrix, batch, gz, named, npy, npy_header, put, read, refusal, source};
use megagram_storage::dataset::{Columns, File, Source, open, open_file};
use megagram_storage::{Error, Key, Store};

#[test]
fn all_formats_agree_for_blocks_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let m = Matrix::new(23, 5);
    for (name, bytes) in fixture::all(&m) {
        let path = put(folder.path(), name, &bytes);
        for block in [1, 2, 3, 7, 23, 1000] {
            assert_eq!(read(&source(&path), block).unwrap(), m.values, "{name} in blocks of {block}");
        }
        assert_eq!(read(&source(&format!("file://{path}")), 4).unwrap(), m.values, "{name} by URL");
        let hint = open(&source(&path)).unwrap().len_hint();
        assert!(hint.is_none_or(|n| n == 23), "{name}: {hint:?}");
    }
}

#[test]
fn objects_of_a_store_are_read_in_ranges() {
    let store = Store::open("memory://").unwrap();
    let m = Matrix::new(9000, 20);
    for (name, bytes) in fixture::all(&m) {
        let key = Key::listed(name);
        store.put(&key, bytes.into()).unwrap();
        let file = File::object(&store, &key, name).unwrap();
        let rows = open_file(&file, &source(name)).unwrap();
        assert_eq!(fixture::drain(rows, 512).unwrap(), m.values, "{name}");
    }
    let missing = File::object(&store, &Key::listed("no.npy"), "s3://b/no.npy").unwrap_err();
    assert!(missing.to_string().contains("s3://b/no.npy: the object does not exist"), "{missing}");
}

#[test]
fn nan_is_found_in_row_17_column_3_of_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut m = Matrix::new(23, 5);
        m.values[17 * 5 + 3] = value;
        m.values[19 * 5] = f64::NAN;
        for (name, bytes) in fixture::all(&m) {
            let path = put(folder.path(), name, &bytes);
            let error = read(&source(&path), 8).unwrap_err();
            let Error::NonFinite { row, col, value: found, line, .. } = &error else { panic!("{name}: {error}") };
            assert_eq!((*row, *col, found.as_str()), (17, 3, value.to_string().as_str()), "{name}");
            let wanted = name.contains("csv").then_some(if name.contains("plain") { 18 } else { 19 });
            assert_eq!(*line, wanted, "{name}");
            assert_eq!(error.exit_code(), 3);
        }
    }
}

#[test]
fn every_number_type_of_npy_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let check = |descr: &str, shape: &str, body: &[u8], wanted: &[f64], width: usize| {
        let mut bytes = npy_header(descr, false, shape);
        bytes.extend(body);
        let path = source(&put(folder.path(), "a.npy", &bytes));
        assert_eq!(open(&path).unwrap().width(), width, "{descr}");
        assert_eq!(read(&path, 1).unwrap(), wanted, "{descr}");
    };
    check("|b1", "(3,)", &[0, 1, 1], &[0.0, 1.0, 1.0], 1);
    check("|u1", "(2, 1)", &[0, 255], &[0.0, 255.0], 1);
    check("|i1", "(2,)", &[0xFF, 5], &[-1.0, 5.0], 1);
    check("<i2", "(1,)", &[0xFE, 0xFF], &[-2.0], 1);
    check(">u2", "(1,)", &[1, 2], &[258.0], 1);
    check("<u4", "(1,)", &7u32.to_le_bytes(), &[7.0], 1);
    check(">i4", "(1,)", &(-9i32).to_be_bytes(), &[-9.0], 1);
    check("<i8", "(1,)", &(-1i64 << 40).to_le_bytes(), &[-1_099_511_627_776.0], 1);
    check(">u8", "(1,)", &(1u64 << 40).to_be_bytes(), &[1_099_511_627_776.0], 1);
    check("<f2", "(2,)", &[0x00, 0x3C, 0x00, 0xC0], &[1.0, -2.0], 1);
    check(">f4", "(1,)", &1.5f32.to_be_bytes(), &[1.5], 1);
    check("|u1", "(2, 2, 2)", &[0, 1, 2, 3, 4, 5, 6, 7], &[0., 1., 2., 3., 4., 5., 6., 7.], 4);
    let mut bytes = npy_header("|u1", true, "(2, 2, 2)");
    bytes.extend([0, 4, 2, 6, 1, 5, 3, 7]);
    let path = source(&put(folder.path(), "f.npy", &bytes));
    assert_eq!(read(&path, 1).unwrap(), [0., 1., 2., 3., 4., 5., 6., 7.]);
}

#[test]
fn every_number_type_of_idx_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let check = |code: u8, body: &[u8], wanted: &[f64]| {
        let mut bytes = vec![0, 0, code, 3, 0, 0, 0, 1, 0, 0, 0, 1];
        bytes.extend((wanted.len() as u32).to_be_bytes());
        bytes.extend(body);
        let path = source(&put(folder.path(), "t10k-images-idx3-ubyte", &bytes));
        assert_eq!(read(&path, 1).unwrap(), wanted);
    };
    check(0x08, &[0, 255], &[0.0, 255.0]);
    check(0x09, &[0xFF, 1], &[-1.0, 1.0]);
    check(0x0B, &[0xFF, 0xFE], &[-2.0]);
    check(0x0C, &[0, 0, 1, 0], &[256.0]);
    check(0x0D, &1.5f32.to_be_bytes(), &[1.5]);
    check(0x0E, &(-0.1f64).to_be_bytes(), &[-0.1]);
}

fn people() -> arrow::array::RecordBatch {
    batch(vec![
        ("age", Arc::new(UInt8Array::from(vec![30, 40, 50])) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["ann", "bob", "cem"]))),
        ("height", Arc::new(Float32Array::from(vec![1.5, 1.75, 2.0]))),
        ("label", Arc::new(Int64Array::from(vec![1, 0, 2]))),
        ("tall", Arc::new(BooleanArray::from(vec![false, true, true]))),
    ])
}

#[test]
fn columns_of_tables_are_chosen_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let table = people();
    let text = "age,name,height,label,tall\n30,ann,1.5,1,False\n40,bob,1.75,0,True\n50,\"c\nem\",2.0,2,True\n";
    let files = [
        put(folder.path(), "p.parquet", &fixture::parquet(&table, 2)),
        put(folder.path(), "p.arrow", &fixture::ipc_file(&table, 2)),
        put(folder.path(), "s.arrow", &fixture::ipc_stream(&table, 2)),
        put(folder.path(), "p.csv", text.as_bytes()),
    ];
    for path in &files {
        let choice = named(path, &["tall", "age", "height"]);
        assert_eq!(read(&choice, 2).unwrap(), [0.0, 30.0, 1.5, 1.0, 40.0, 1.75, 1.0, 50.0, 2.0], "{path}");
        let but = Columns::AllBut(vec!["name".into(), "label".into()]);
        let rows = read(&Source { columns: but, ..source(path) }, 9).unwrap();
        assert_eq!(rows, [30.0, 1.5, 0.0, 40.0, 1.75, 1.0, 50.0, 2.0, 1.0], "{path}");
        let error = read(&named(path, &["hieght"]), 9).unwrap_err().to_string();
        assert!(error.contains("no column `hieght`; did you mean `height`?"), "{error}");
        let error = read(&source(path), 9).unwrap_err().to_string();
        assert!(error.contains("column 1 `name`"), "{error}");
        assert_eq!(read(&named(path, &["name"]), 9).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn missing_values_are_named_by_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let table = batch(vec![
        ("a", Arc::new(Int64Array::from(vec![Some(1), Some(2), None])) as ArrayRef),
        ("b", Arc::new(Float32Array::from(vec![Some(1.0), None, None]))),
    ]);
    for (name, bytes) in [
        ("n.parquet", fixture::parquet(&table, 9)),
        ("n.arrow", fixture::ipc_file(&table, 9)),
        ("n.csv", b"a,b\n1,1.0\n2,\n,\n".to_vec()),
    ] {
        let error = read(&source(&put(folder.path(), name, &bytes)), 9).unwrap_err();
        let Error::NonFinite { row, col, value, .. } = &error else { panic!("{error}") };
        assert_eq!((*row, *col), (1, 1), "{error}");
        assert!(value == "null" || value == "missing", "{error}");
    }
}

#[test]
fn truncated_files_are_told_apart_from_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    let m = Matrix::new(40, 6);
    for (name, bytes) in fixture::all(&m) {
        if name == "header.csv" || name == "plain.csv" {
            continue;
        }
        for cut in [1, 9, bytes.len() / 3, bytes.len() / 2, bytes.len() - 30, bytes.len()] {
            let path = put(folder.path(), name, &bytes[..bytes.len() - cut]);
            match read(&source(&path), 16) {
                // A stream's last bytes only say that it ends.
                Ok(values) => {
                    assert!(name == "stream.ipc" && cut < 10 && values == m.values, "{name} less {cut} bytes")
                }
                Err(error) => {
                    assert!(matches!(error, Error::Input(_)), "{name}: {error:?}");
                    assert!(error.to_string().contains(name), "{error}");
                }
            }
        }
    }
}

#[test]
fn damage_under_a_checksum_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let m = Matrix::new(40, 6);
    for (name, mut bytes) in fixture::all(&m) {
        if !(name.ends_with(".gz") || name.ends_with(".npz")) {
            continue;
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        let error = read(&source(&put(folder.path(), name, &bytes)), 16).unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{name}: {error:?}");
    }
}

#[test]
fn arrays_of_an_archive_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (Matrix::new(4, 3), Matrix::new(4, 1));
    let bytes = fixture::npz(&[("x.npy", npy(&x)), ("y.npy", npy(&y))], true);
    let path = put(folder.path(), "d.npz", &bytes);
    assert_eq!(read(&named(&path, &["y"]), 2).unwrap(), y.values);
    let error = read(&source(&path), 2).unwrap_err().to_string();
    assert!(error.contains("name the one array to read; it has x, y"), "{error}");
    let error = read(&named(&path, &["z"]), 2).unwrap_err().to_string();
    assert!(error.contains("no array `z` in it; it has x, y"), "{error}");
}

#[test]
fn names_that_tell_no_format_and_missing_files_are_refused() {
    let error = read(&source("x.txt"), 1).unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.txt", "noextension", "x.npz.gz"] {
        let error = read(&source(&put(folder.path(), name, b"1")), 1).unwrap_err().to_string();
        assert!(error.contains(".npy .npz .parquet .csv .arrow"), "{error}");
    }
    let missing = folder.path().join("no-such.npy").display().to_string();
    for location in [missing.clone(), format!("file://{missing}")] {
        let error = read(&source(&location), 1).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("no-such.npy: the file does not exist"), "{error}");
    }
    let at = folder.path().join("sub.npy");
    std::fs::create_dir(&at).unwrap();
    assert!(read(&source(&at.display().to_string()), 1).unwrap_err().to_string().contains("is not a file"));
}

#[test]
fn other_content_than_the_name_says_is_refused() {
    for (name, _) in fixture::all(&Matrix::new(2, 2)) {
        if !name.contains("csv") {
            let text = refusal(name, b"this is not what the name says it is, whatever the name may be");
            assert!(text.contains(name), "{text}");
        }
    }
    assert!(refusal("s.npy", &npy_header("<U5", false, "(3,)")).contains("not plain numbers"));
    assert!(refusal("s.npy", &npy_header("<c16", false, "(3,)")).contains("complex"));
    assert!(refusal("s.npy", &npy_header("<f8", false, "()")).contains("a single number"));
    assert!(refusal("s.npy", &npy_header("<f8", false, "(3, 0)")).contains("no columns"));
    assert!(refusal("s.npy", &npy_header("<f8", false, "(4294967296, 4294967296, 4)")).contains("beyond any file"));
    assert!(refusal("s.npy.gz", &gz(&npy_header("<f8", false, "(3, 3)"))).contains("row 0 of 3"));
}

#[test]
fn csv_errors_name_the_line() {
    let text = refusal("a.csv", b"a,b\n1,2\n3,x\n");
    assert!(text.contains("row 1, column 1 `b`: \"x\" is not a number (line 3 of the file)"), "{text}");
    let text = refusal("a.csv", b"a,b\n1,2\n3\n");
    assert!(text.contains("line 3 of the file has 1 fields where 2 belong"), "{text}");
    let text = refusal("plain.csv", b"a,b\n1,2\n");
    assert!(text.contains("say header = true"), "{text}");
    let text = refusal("a.csv", b"1.5,2\n3,4\n");
    assert!(text.contains("say header = false"), "{text}");
    assert!(refusal("a.csv", b"").contains("the file is empty"));
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "running.csv", b"\xef\xbb\xbf0, 1\r\n5, 6\r\n7,8");
    assert_eq!(read(&source(&path), 3).unwrap(), [5.0, 6.0, 7.0, 8.0]);
}
