//! Tiles read: footer and page headers by the Parquet crate, values straight from the pages to their place.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::{Stamp, corrupt};
use crate::error::{Error, Result};
use crate::key::{FORMAT_VERSION, Key};

/// Bytes brought and then digested while they are in the cache.
const STRIDE: usize = 64 << 10;

/// Where the bytes of a tile come from.
pub trait Source: ChunkReader {
    /// Its pages.
    type Pages: Pages + 'static;

    /// For reading pages alone.
    fn pages(self) -> Self::Pages;
}

/// Pages whose values are brought to their place from where they are.
pub trait Pages: ChunkReader {
    /// Fills `to` with the bytes from `from` on of the page that was asked for last, of which the Parquet reader has made `page`.
    ///
    /// # Errors
    /// What the disk says.
    fn bring(&self, page: &[u8], from: usize, to: &mut [u8]) -> std::io::Result<()>;
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

impl Source for Parts {
    type Pages = Self;

    fn pages(self) -> Self {
        self
    }
}

impl Pages for Parts {
    fn bring(&self, page: &[u8], from: usize, to: &mut [u8]) -> std::io::Result<()> {
        to.copy_from_slice(&page[from..from + to.len()]);
        Ok(())
    }
}

/// The metadata at the end of a file, or how many bytes of the end are needed to read it.
///
/// # Errors
/// [`Error::Corrupt`] if it is no Parquet file.
pub fn footer(key: &Key, parts: &Parts) -> Result<ParquetMetaData, FooterError> {
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
/// padding is zero. The memory of `out` is reused.
///
/// # Errors
/// [`Error::Corrupt`] unless version, id, place, shape and digest are what `stamp` says;
/// [`Error::Format`] for another format version.
pub fn decode(
    key: &Key,
    source: impl Source,
    stamp: &Stamp,
    column: &str,
    ld: usize,
    out: &mut Vec<f64>,
) -> Result<()> {
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&source)
        .map_err(|e| corrupt(key, format!("not a readable Parquet file: {e}")))?;
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
    let index = column_index(key, &metadata, column)?;
    let count = stamp.rows * stamp.cols;
    if metadata.row_group(0).num_rows() != count as i64 {
        return Err(corrupt(key, format!("{} values where {count} belong", metadata.row_group(0).num_rows())));
    }
    if metadata.row_group(0).column(index).column_type() != PhysicalType::DOUBLE {
        return Err(corrupt(key, "the column is not of doubles"));
    }
    room(out, ld * stamp.cols);
    let values = bytemuck::cast_slice_mut(&mut out[..count]);
    // The Parquet reader panics on some damaged pages; to the caller that is damage like any other.
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fill(source.pages(), metadata.row_group(0).column(index), values)
    }))
    .unwrap_or_else(|_| Err(ParquetError::General("its pages are damaged".into())))
    .map_err(|e| corrupt(key, e))?;
    let wanted = value(&format!("megagram.blake3.{column}"));
    if found != wanted {
        return Err(corrupt(key, format!("the blake3 of column `{column}` is {found}, the footer says {wanted}")));
    }
    spread(out, stamp.rows, stamp.cols, ld);
    Ok(())
}

/// Makes `out` as long as it has to be; what it holds will be written over, so it is not cleared.
fn room(out: &mut Vec<f64>, len: usize) {
    if out.capacity() < len {
        *out = vec![0.0; len];
    } else {
        out.resize(len, 0.0);
    }
}

/// Brings the values of a column from its pages to their place; returns their blake3.
fn fill(
    source: impl Pages + 'static,
    column: &ColumnChunkMetaData,
    mut rest: &mut [u8],
) -> Result<String, ParquetError> {
    let source = Arc::new(source);
    let mut pages = SerializedPageReader::new(Arc::clone(&source), column, rest.len() / 8, None)?;
    let mut hasher = blake3::Hasher::new();
    while !rest.is_empty() {
        let page = pages.get_next_page()?.ok_or_else(|| ParquetError::EOF("the column ends early".into()))?;
        let Page::DataPage { buf, num_values, encoding: Encoding::PLAIN, .. } = page else {
            return Err(ParquetError::General("a page is not of plain values".into()));
        };
        if buf.len() != 8 * num_values as usize || buf.len() > rest.len() {
            return Err(ParquetError::General(format!("a page has {} bytes for {num_values} values", buf.len())));
        }
        let (values, later) = rest.split_at_mut(buf.len());
        for (stride, to) in values.chunks_mut(STRIDE).enumerate() {
            source.bring(&buf, stride * STRIDE, to)?;
            hasher.update(to);
        }
        rest = later;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Moves packed columns of `rows` values to leading dimension `ld`, zeros between.
fn spread(out: &mut [f64], rows: usize, cols: usize, ld: usize) {
    if rows == ld {
        return;
    }
    for c in (0..cols).rev() {
        out.copy_within(c * rows..(c + 1) * rows, c * ld);
        out[c * ld + rows..(c + 1) * ld].fill(0.0);
    }
}
