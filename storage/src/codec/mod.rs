//! Tiles as Parquet: one row group, one flat float column per output, PLAIN, uncompressed
//! (docs/format.md). The bytes are a pure function of the values and the [`Stamp`].
//!
//! The digest of each column stands in the footer; [`decode`] believes nothing else.

mod file;
mod read;
mod write;

use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};

use crate::error::Error;
use crate::key::{FORMAT_VERSION, Id, Key};

pub(crate) use file::LocalFile;
pub use read::{FooterError, Pages, Parts, Source, column_range, decode, footer};
pub use write::{Column, chunk_len, encode, encoded_len, frame};

/// What wrote a file: a constant of the format, so that equal tiles have equal bytes.
pub const CREATED_BY: &str = "megagram format 1";
/// How much of the end of a file is fetched to find its footer.
pub const FOOTER_BYTES: u64 = 4096;
/// What a tile file holds beside its values, at most: page headers and footer.
pub const BODY_SLACK: usize = 64 << 10;
/// Bytes of values in a page.
const PAGE_BYTES: usize = 1 << 20;

/// What a tile file says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The matrix.
    pub id: Id,
    /// Block row.
    pub i: u32,
    /// Block column.
    pub j: u32,
    /// Rows stored.
    pub rows: usize,
    /// Columns stored.
    pub cols: usize,
}

impl Stamp {
    fn key_values(&self, digests: &[(&str, String)]) -> Vec<KeyValue> {
        let mut pairs = vec![
            ("megagram.format_version".to_owned(), FORMAT_VERSION.to_string()),
            ("megagram.id".to_owned(), self.id.to_string()),
            ("megagram.i".to_owned(), format!("{:06}", self.i)),
            ("megagram.j".to_owned(), format!("{:06}", self.j)),
            ("megagram.rows".to_owned(), format!("{:06}", self.rows)),
            ("megagram.cols".to_owned(), format!("{:06}", self.cols)),
            ("megagram.dtype".to_owned(), "f64".to_owned()),
        ];
        pairs.extend(digests.iter().map(|(name, d)| (format!("megagram.blake3.{name}"), d.clone())));
        pairs.into_iter().map(|(k, v)| KeyValue::new(k, v)).collect()
    }
}

/// A column-major block within a buffer of leading dimension `ld`.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The buffer: at least `ld * cols` values.
    pub data: &'a [f64],
    /// Rows from one column to the next.
    pub ld: usize,
}

impl<'a> Values<'a> {
    /// The runs of values that are stored, in order.
    pub(crate) fn runs(self, rows: usize, cols: usize) -> impl Iterator<Item = &'a [f64]> {
        let (run, count, step) = if rows == self.ld { (rows * cols, 1, 0) } else { (rows, cols, self.ld) };
        (0..count).map(move |c| &self.data[c * step..c * step + run])
    }

    /// The same of a range of values.
    fn part(self, rows: usize, range: std::ops::Range<usize>) -> impl Iterator<Item = &'a [f64]> {
        // Without padding all columns are one run.
        let pad = self.ld - rows;
        let run = if pad == 0 { range.end.max(1) } else { rows };
        (range.start / run..range.end.div_ceil(run)).map(move |r| {
            let (first, last) = (range.start.max(r * run), range.end.min((r + 1) * run));
            let at = first + first / run * pad;
            &self.data[at..at + last - first]
        })
    }
}

pub(crate) fn properties() -> WriterPropertiesPtr {
    Arc::new(
        WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encoding(Encoding::PLAIN)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(None)
            .set_data_page_row_count_limit(usize::MAX)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_write_batch_size(PAGE_BYTES / 8)
            .build(),
    )
}

/// The blake3 of a block's stored values, as hex.
pub fn digest(values: Values<'_>, rows: usize, cols: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for run in values.runs(rows, cols) {
        hasher.update(bytemuck::cast_slice(run));
    }
    hasher.finalize().to_hex().to_string()
}

fn corrupt(key: &Key, why: impl std::fmt::Display) -> Error {
    Error::Corrupt { key: key.to_string(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::basic::{Repetition, Type as PhysicalType};
    use parquet::data_type::DoubleType;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types::Type;

    use super::*;
    use crate::grid::TileId;
    use crate::key::Kind;

    fn stamp(rows: usize, cols: usize) -> Stamp {
        Stamp { id: Id::of(&serde_json::json!("test")), i: 3, j: 2, rows, cols }
    }

    fn key() -> Key {
        Key::tile(Kind::Gram, &stamp(1, 1).id, TileId::new(3, 2))
    }

    /// A tile as the column writer of the Parquet crate lays it out.
    fn by_the_column_writer(stamp: &Stamp, columns: &[(&str, Values<'_>)]) -> Vec<u8> {
        let fields = (columns.iter())
            .map(|(name, _)| {
                let double = Type::primitive_type_builder(name, PhysicalType::DOUBLE);
                Arc::new(double.with_repetition(Repetition::REQUIRED).build().unwrap())
            })
            .collect();
        let schema = Arc::new(Type::group_type_builder("tile").with_fields(fields).build().unwrap());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut digests = Vec::new();
        for (name, values) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let packed: Vec<f64> = values.runs(stamp.rows, stamp.cols).flatten().copied().collect();
            column.typed::<DoubleType>().write_batch(&packed, None, None).unwrap();
            column.close().unwrap();
            digests.push((*name, digest(*values, stamp.rows, stamp.cols)));
        }
        group.close().unwrap();
        for pair in stamp.key_values(&digests) {
            writer.append_key_value_metadata(pair);
        }
        writer.into_inner().unwrap()
    }

    fn local(bytes: &[u8]) -> LocalFile {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        LocalFile::new(file, bytes.len() as u64)
    }

    #[test]
    fn the_bytes_are_those_of_the_column_writer() {
        for (rows, cols, ld) in [(1, 1, 1), (3, 2, 5), (40, 30, 40), (700, 400, 700), (700, 400, 768), (512, 512, 512)]
        {
            let values: Vec<f64> = (0..2 * ld * cols).map(|v| (v as f64).sin()).collect();
            let (a, b) = values.split_at(ld * cols);
            let s = stamp(rows, cols);
            let all = [("nngp", Values { data: a, ld }), ("ntk", Values { data: b, ld })];
            for columns in [&all[..1], &all[..]] {
                let wanted = by_the_column_writer(&s, columns);
                assert!(encode(&s, columns, Vec::new()).unwrap() == wanted, "{rows} x {cols} in {ld}");
                let pack = |v: Values<'_>| v.runs(rows, cols).flatten().flat_map(|x| x.to_le_bytes()).collect();
                let columns: Vec<_> = (columns.iter())
                    .map(|(name, v)| Column { name, digest: digest(*v, rows, cols), bytes: pack(*v) })
                    .collect();
                let pieces = frame(&s, &columns).unwrap();
                assert!(pieces.concat() == wanted, "{rows} x {cols} in {ld}, in pieces");
                let held = |p: &&Bytes| columns.iter().any(|c| c.bytes.as_ptr_range().contains(&p.as_ptr()));
                let kept: usize = pieces.iter().filter(held).map(Bytes::len).sum();
                assert_eq!(kept, if rows < 40 { 0 } else { 8 * rows * cols * columns.len() });
            }
        }
    }

    #[test]
    fn padded_and_packed_buffers_give_the_same_bytes() {
        for (rows, cols, ld) in [(3, 2, 5), (700, 400, 768)] {
            let packed: Vec<f64> = (0..rows * cols).map(|v| v as f64).collect();
            let mut padded = vec![9.0; ld * cols];
            for c in 0..cols {
                padded[c * ld..c * ld + rows].copy_from_slice(&packed[c * rows..(c + 1) * rows]);
            }
            let s = stamp(rows, cols);
            let a = encode(&s, &[("l", Values { data: &packed, ld: rows })], Vec::new()).unwrap();
            let b = encode(&s, &[("l", Values { data: &padded, ld })], vec![1; 100]).unwrap();
            assert!(a == b);
            assert_eq!(a.len() as u64, encoded_len(rows, cols, &["l"]).unwrap());
            let [mut out, mut from_file] = [Vec::new(), Vec::new()];
            decode(&key(), local(&a), &s, "l", ld, &mut from_file).unwrap();
            decode(&key(), Parts::whole(a.into()), &s, "l", ld, &mut out).unwrap();
            assert_eq!(out, from_file);
            let value = |at: usize| if at % ld < rows { packed[at / ld * rows + at % ld] } else { 0.0 };
            assert!(out.iter().enumerate().all(|(at, v)| *v == value(at)) && out.len() == ld * cols);
        }
    }

    #[test]
    fn a_local_file_that_ends_early_is_corrupt() {
        let s = stamp(700, 400);
        let values = vec![1.5; 280_000];
        let good = encode(&s, &[("l", Values { data: &values, ld: 700 })], Vec::new()).unwrap();
        for len in [0, 4, good.len() / 2, good.len() - 1] {
            let read = decode(&key(), local(&good[..len]), &s, "l", 700, &mut Vec::new());
            assert!(matches!(read, Err(Error::Corrupt { .. })), "{len} of {} bytes", good.len());
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let s = stamp(4, 4);
        let values: Vec<f64> = (0..16).map(|v| f64::from(v).sin()).collect();
        let good = encode(&s, &[("l", Values { data: &values, ld: 4 })], Vec::new()).unwrap();
        let mut harmless = 0;
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 4;
            let [mut out, mut from_file] = [Vec::new(), Vec::new()];
            let file_is_ok = decode(&key(), local(&bad), &s, "l", 4, &mut from_file).is_ok();
            assert!(!file_is_ok || from_file == values, "byte {byte} changed the values of a file unnoticed");
            if decode(&key(), Parts::whole(bad.into()), &s, "l", 4, &mut out).is_ok() {
                assert_eq!(out, values, "byte {byte} changed the values unnoticed");
                harmless += 1;
            }
        }
        assert!(harmless < good.len() / 2, "{harmless} of {} flips went unnoticed", good.len());
    }

    #[test]
    fn one_of_two_columns_is_read_from_its_own_range() {
        let s = stamp(64, 64);
        let a: Vec<f64> = (0..4096).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|v| -v).collect();
        let file =
            encode(&s, &[("nngp", Values { data: &a, ld: 64 }), ("ntk", Values { data: &b, ld: 64 })], Vec::new());
        let file = Bytes::from(file.unwrap());
        let len = file.len() as u64;
        let tail = len - FOOTER_BYTES;
        let mut parts = Parts { len, parts: vec![(tail, file.slice(tail as usize..))] };
        let metadata = footer(&key(), &parts).unwrap();
        let range = column_range(&key(), &metadata, "ntk").unwrap();
        assert!(range.end - range.start < 33_000);
        parts.parts.push((range.start, file.slice(range.start as usize..range.end as usize)));
        let mut out = Vec::new();
        decode(&key(), parts, &s, "ntk", 64, &mut out).unwrap();
        assert_eq!(out, b);
    }
}
