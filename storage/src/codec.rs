//! Tiles as Parquet: one row group, one flat float column per output, PLAIN, uncompressed
//! (docs/format.md). The bytes are a pure function of the values and the [`Stamp`].
//!
//! The digest of each column stands in the footer; [`decode`] believes nothing else.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Repetition, Type as PhysicalType};
use parquet::column::reader::ColumnReader;
use parquet::data_type::DoubleType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::error::{Error, Result};
use crate::key::{FORMAT_VERSION, Id, Key};

/// What wrote a file: a constant of the format, so that equal tiles have equal bytes.
pub const CREATED_BY: &str = "megagram format 1";
/// How much of the end of a file is fetched to find its footer.
pub const FOOTER_BYTES: u64 = 4096;
/// What a tile file holds beside its values, at most: page headers and footer.
pub const BODY_SLACK: usize = 64 << 10;
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
    fn runs(self, rows: usize, cols: usize) -> impl Iterator<Item = &'a [f64]> {
        let (run, count, step) = if rows == self.ld { (rows * cols, 1, 0) } else { (rows, cols, self.ld) };
        (0..count).map(move |c| &self.data[c * step..c * step + run])
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

fn schema(columns: &[&str]) -> Result<Arc<Type>, ParquetError> {
    let fields = columns
        .iter()
        .map(|name| {
            Type::primitive_type_builder(name, PhysicalType::DOUBLE)
                .with_repetition(Repetition::REQUIRED)
                .build()
                .map(Arc::new)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("tile").with_fields(fields).build().map(Arc::new)
}

/// The blake3 of a block's stored values, as hex.
pub fn digest(values: Values<'_>, rows: usize, cols: usize) -> String {
    let mut hasher = blake3::Hasher::new();
    for run in values.runs(rows, cols) {
        hasher.update(bytemuck::cast_slice(run));
    }
    hasher.finalize().to_hex().to_string()
}

/// Writes a tile into `body` (emptied first, its memory reused).
///
/// # Errors
/// [`Error::Store`] if the Parquet writer refuses, which it has no reason to.
pub fn encode(stamp: &Stamp, columns: &[(&str, Values<'_>)], mut body: Vec<u8>) -> Result<Vec<u8>> {
    body.clear();
    // Exactly once: growing by doubling would hold twice the memory.
    body.reserve_exact(8 * stamp.rows * stamp.cols * columns.len() + BODY_SLACK);
    let write = |body: Vec<u8>| -> Result<Vec<u8>, ParquetError> {
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let mut writer = SerializedFileWriter::new(body, schema(&names)?, properties())?;
        let mut group = writer.next_row_group()?;
        let mut digests = Vec::with_capacity(columns.len());
        for (name, values) in columns {
            let Some(mut column) = group.next_column()? else {
                return Err(ParquetError::General("the schema has too few columns".into()));
            };
            for run in values.runs(stamp.rows, stamp.cols) {
                column.typed::<DoubleType>().write_batch(run, None, None)?;
            }
            column.close()?;
            digests.push((*name, digest(*values, stamp.rows, stamp.cols)));
        }
        group.close()?;
        for pair in stamp.key_values(&digests) {
            writer.append_key_value_metadata(pair);
        }
        writer.into_inner()
    };
    write(body)
        .map_err(|e| Error::Store(format!("tile {}-{} of {}: cannot be encoded: {e}", stamp.i, stamp.j, stamp.id)))
}

/// The size in bytes of a tile file of this shape.
///
/// # Errors
/// As [`encode`].
pub fn encoded_len(rows: usize, cols: usize, columns: &[&str]) -> Result<u64> {
    let stamp = Stamp { id: Id::of(&serde_json::Value::Null), i: 0, j: 0, rows, cols };
    let zeros = vec![0.0; rows * cols];
    let values = Values { data: &zeros, ld: rows };
    let columns: Vec<_> = columns.iter().map(|name| (*name, values)).collect();
    Ok(encode(&stamp, &columns, Vec::new())?.len() as u64)
}

/// The size in bytes of one column's pages within a tile file of this shape.
///
/// # Errors
/// As [`encode`].
pub fn chunk_len(rows: usize, cols: usize) -> Result<u64> {
    let stamp = Stamp { id: Id::of(&serde_json::Value::Null), i: 0, j: 0, rows, cols };
    let zeros = vec![0.0; rows * cols];
    let bytes = encode(&stamp, &[("nngp", Values { data: &zeros, ld: rows })], Vec::new())?;
    let key = Key::listed("shape");
    match footer(&key, &Parts::whole(bytes.into())) {
        Ok(metadata) => column_range(&key, &metadata, "nngp").map(|r| r.end - r.start),
        Err(FooterError::Bad(e)) => Err(e),
        Err(FooterError::Needs(_)) => Err(corrupt(&key, "its footer has no end")),
    }
}

/// Parts of a file at their offsets: enough of it to read one column.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Length of the whole file in bytes.
    pub len: u64,
    /// `(offset, bytes)`
    pub parts: Vec<(u64, Bytes)>,
}

impl Parts {
    /// A whole file.
    pub fn whole(bytes: Bytes) -> Self {
        Self { len: bytes.len() as u64, parts: vec![(0, bytes)] }
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let (offset, bytes) = self
            .parts
            .iter()
            .find(|(offset, bytes)| (*offset..offset + bytes.len() as u64).contains(&start))
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))?;
        Ok(bytes::Buf::reader(bytes.slice((start - offset) as usize..)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start + length as u64;
        let (offset, bytes) = self
            .parts
            .iter()
            .find(|(offset, bytes)| *offset <= start && end <= offset + bytes.len() as u64)
            .ok_or_else(|| ParquetError::EOF(format!("bytes {start}..{end} were not fetched")))?;
        Ok(bytes.slice((start - offset) as usize..(end - offset) as usize))
    }
}

fn corrupt(key: &Key, why: impl std::fmt::Display) -> Error {
    Error::Corrupt { key: key.to_string(), why: why.to_string() }
}

/// The metadata at the end of a file, or how many bytes of the end are needed to read it.
///
/// # Errors
/// [`Error::Corrupt`] if it is no Parquet file.
pub fn footer(key: &Key, parts: &Parts) -> Result<ParquetMetaData, FooterError> {
    use parquet::file::metadata::ParquetMetaDataReader;
    ParquetMetaDataReader::new().parse_and_finish(parts).map_err(|e| match e {
        ParquetError::NeedMoreData(bytes) => FooterError::Needs(bytes as u64),
        e => FooterError::Bad(corrupt(key, format!("not a readable Parquet file: {e}"))),
    })
}

/// Why a footer could not be read.
#[derive(Debug)]
pub enum FooterError {
    /// That many bytes of the end are needed.
    Needs(u64),
    /// It never will be.
    Bad(Error),
}

/// The byte range of a column's pages.
///
/// # Errors
/// [`Error::Corrupt`] if the file has no such column.
pub fn column_range(key: &Key, metadata: &ParquetMetaData, column: &str) -> Result<std::ops::Range<u64>> {
    let index = column_index(key, metadata, column)?;
    let (start, len) = metadata.row_group(0).column(index).byte_range();
    Ok(start..start + len)
}

fn column_index(key: &Key, metadata: &ParquetMetaData, column: &str) -> Result<usize> {
    if metadata.num_row_groups() != 1 {
        return Err(corrupt(key, "a tile has one row group"));
    }
    let found = metadata.row_group(0).columns().iter().position(|c| c.column_path().string() == column);
    found.ok_or_else(|| corrupt(key, format!("it has no column `{column}`")))
}

/// Reads one column of a tile into `out`: column-major with leading dimension `ld >= rows`; the
/// padding is zero. `out` is emptied first; its memory is reused.
///
/// # Errors
/// [`Error::Corrupt`] unless version, id, place, shape and digest are what `stamp` says;
/// [`Error::Format`] for another format version.
pub fn decode(key: &Key, parts: Parts, stamp: &Stamp, column: &str, ld: usize, out: &mut Vec<f64>) -> Result<()> {
    let reader =
        SerializedFileReader::new(parts).map_err(|e| corrupt(key, format!("not a readable Parquet file: {e}")))?;
    let metadata = reader.metadata();
    let pairs = metadata.file_metadata().key_value_metadata();
    let value = |name: &str| {
        let pair = pairs.into_iter().flatten().find(|p| p.key == name);
        pair.and_then(|p| p.value.clone()).unwrap_or_default()
    };
    let version = value("megagram.format_version");
    if version != FORMAT_VERSION.to_string() {
        if version.parse::<u32>().is_ok() {
            return Err(Error::Format(format!(
                "{key}: format version {version}; this program reads version {FORMAT_VERSION}"
            )));
        }
        return Err(corrupt(key, "its metadata names no format version"));
    }
    for pair in stamp.key_values(&[]) {
        let (found, wanted) = (value(&pair.key), pair.value.unwrap_or_default());
        if found != wanted {
            return Err(corrupt(key, format!("its metadata says {} = {found:?} where {wanted:?} belongs", pair.key)));
        }
    }
    let index = column_index(key, metadata, column)?;
    let count = stamp.rows * stamp.cols;
    if metadata.row_group(0).num_rows() != count as i64 {
        return Err(corrupt(key, format!("{} values where {count} belong", metadata.row_group(0).num_rows())));
    }
    out.clear();
    out.reserve(ld * stamp.cols);
    let read = || -> Result<(), ParquetError> {
        let column = reader.get_row_group(0)?.get_column_reader(index)?;
        let ColumnReader::DoubleColumnReader(mut column) = column else {
            return Err(ParquetError::General("the column is not of doubles".into()));
        };
        while out.len() < count {
            let (records, _, _) = column.read_records(count - out.len(), None, None, out)?;
            if records == 0 {
                return Err(ParquetError::EOF("the column ends early".into()));
            }
        }
        Ok(())
    };
    // The Parquet reader panics on some damaged pages; to the caller that is damage like any other.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ParquetError::General("its pages are damaged".into())))
        .map_err(|e| corrupt(key, e))?;
    let values = Values { data: out, ld: stamp.rows };
    let (found, wanted) = (digest(values, stamp.rows, stamp.cols), value(&format!("megagram.blake3.{column}")));
    if found != wanted {
        return Err(corrupt(key, format!("the blake3 of column `{column}` is {found}, the footer says {wanted}")));
    }
    spread(out, stamp.rows, stamp.cols, ld);
    Ok(())
}

/// Moves packed columns of `rows` values to leading dimension `ld`, zeros between.
fn spread(out: &mut Vec<f64>, rows: usize, cols: usize, ld: usize) {
    if rows == ld {
        return;
    }
    out.resize(ld * cols, 0.0);
    for c in (0..cols).rev() {
        out.copy_within(c * rows..(c + 1) * rows, c * ld);
        out[c * ld + rows..(c + 1) * ld].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::TileId;
    use crate::key::Kind;

    fn stamp(rows: usize, cols: usize) -> Stamp {
        Stamp { id: Id::of(&serde_json::json!("test")), i: 3, j: 2, rows, cols }
    }

    fn key() -> Key {
        Key::tile(Kind::Gram, &stamp(1, 1).id, TileId::new(3, 2))
    }

    #[test]
    fn padded_and_packed_buffers_give_the_same_bytes() {
        let (rows, cols, ld) = (3, 2, 5);
        let packed: Vec<f64> = (0..6).map(f64::from).collect();
        let mut padded = vec![9.0; ld * cols];
        for c in 0..cols {
            padded[c * ld..c * ld + rows].copy_from_slice(&packed[c * rows..(c + 1) * rows]);
        }
        let s = stamp(rows, cols);
        let a = encode(&s, &[("l", Values { data: &packed, ld: rows })], Vec::new()).unwrap();
        let b = encode(&s, &[("l", Values { data: &padded, ld })], vec![1; 100]).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.len() as u64, encoded_len(rows, cols, &["l"]).unwrap());
        let mut out = Vec::new();
        decode(&key(), Parts::whole(a.into()), &s, "l", ld, &mut out).unwrap();
        assert_eq!(out, [0., 1., 2., 0., 0., 3., 4., 5., 0., 0.]);
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
            let mut out = Vec::new();
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
