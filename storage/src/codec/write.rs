//! Tiles written: pages and footer are the Parquet crate's, the values between them are not copied.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Repetition, Type as PhysicalType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageEncodingStats, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{SchemaDescriptor, Type};

use super::read::{FooterError, Parts, column_range, footer};
use super::{BODY_SLACK, CREATED_BY, PAGE_BYTES, Stamp, Values, corrupt, digest};
use crate::error::{Error, Result};
use crate::key::{Id, Key};

const MAGIC: &[u8] = b"PAR1";

fn schema(columns: &[(&str, String)]) -> Result<SchemaDescriptor, ParquetError> {
    let fields = columns
        .iter()
        .map(|(name, _)| {
            Type::primitive_type_builder(name, PhysicalType::DOUBLE)
                .with_repetition(Repetition::REQUIRED)
                .build()
                .map(Arc::new)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(SchemaDescriptor::new(Arc::new(Type::group_type_builder("tile").with_fields(fields).build()?)))
}

/// Values in a page, but for the last of a column.
const PAGE_VALUES: usize = PAGE_BYTES / 8;

/// Writes a file whose columns have these names and digests, and whose values `page` gives: of a column,
/// the bytes of a range of values.
fn write(
    stamp: &Stamp,
    columns: &[(&str, String)],
    page: impl Fn(usize, Range<usize>) -> Bytes,
    sink: impl Write + Send,
) -> Result<(), ParquetError> {
    let count = stamp.rows * stamp.cols;
    let schema = Arc::new(schema(columns)?);
    let mut out = TrackedWrite::new(sink);
    out.write_all(MAGIC)?;
    let group_start = out.bytes_written() as i64;
    let mut chunks = Vec::with_capacity(columns.len());
    for column in 0..columns.len() {
        let start = out.bytes_written() as i64;
        let mut writer = SerializedPageWriter::new(&mut out);
        let mut pages = 0;
        for first in (0..count).step_by(PAGE_VALUES) {
            let values = first..count.min(first + PAGE_VALUES);
            let num_values = values.len() as u32;
            let buf = page(column, values);
            let len = buf.len();
            let page = Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            writer.write_page(CompressedPage::new(page, len))?;
            pages += 1;
        }
        let bytes = out.bytes_written() as i64 - start;
        let stats = PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: Encoding::PLAIN, count: pages };
        let chunk = ColumnChunkMetaData::builder(schema.column(column))
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_page_encoding_stats(vec![stats])
            .set_total_compressed_size(bytes)
            .set_total_uncompressed_size(bytes)
            .set_num_values(count as i64)
            .set_data_page_offset(start);
        chunks.push(chunk.build()?);
    }
    let group = RowGroupMetaData::builder(Arc::clone(&schema))
        .set_total_byte_size(out.bytes_written() as i64 - group_start)
        .set_column_metadata(chunks)
        .set_num_rows(count as i64)
        .set_ordinal(0)
        .set_file_offset(group_start)
        .build()?;
    let digests: Vec<_> = columns.iter().map(|(name, digest)| (*name, digest.clone())).collect();
    let pairs = Some(stamp.key_values(&digests));
    let facts = FileMetaData::new(1, count as i64, Some(CREATED_BY.to_owned()), pairs, schema, None);
    let metadata = ParquetMetaData::new(facts, vec![group]);
    ParquetMetaDataWriter::new_with_tracked(out, &metadata).finish()
}

fn refused(stamp: &Stamp) -> impl Fn(ParquetError) -> Error {
    move |e| Error::Store(format!("tile {}-{} of {}: cannot be encoded: {e}", stamp.i, stamp.j, stamp.id))
}

/// Writes a tile into `body` (emptied first, its memory reused).
///
/// # Errors
/// [`Error::Store`] if the Parquet writer refuses, which it has no reason to.
pub fn encode(stamp: &Stamp, columns: &[(&str, Values<'_>)], mut body: Vec<u8>) -> Result<Vec<u8>> {
    body.clear();
    // Exactly once: growing by doubling would hold twice the memory.
    body.reserve_exact(8 * stamp.rows * stamp.cols * columns.len() + BODY_SLACK);
    let named: Vec<_> =
        (columns.iter()).map(|(name, values)| (*name, digest(*values, stamp.rows, stamp.cols))).collect();
    let page = |column: usize, range: Range<usize>| {
        let mut bytes = Vec::with_capacity(8 * range.len());
        for run in columns[column].1.part(stamp.rows, range) {
            bytes.extend_from_slice(bytemuck::cast_slice(run));
        }
        Bytes::from(bytes)
    };
    write(stamp, &named, page, &mut body).map_err(refused(stamp))?;
    Ok(body)
}

/// A column of a tile that is to be written: its values without padding, as they stand in memory.
#[derive(Debug, Clone)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// The [`digest`] of its values.
    pub digest: String,
    /// `8 * rows * cols` bytes.
    pub bytes: Bytes,
}

/// A tile file in pieces: slices of the columns, and what stands around them. The same bytes as
/// [`encode`]'s.
///
/// # Errors
/// As [`encode`]; also if a column has not `rows * cols` values.
pub fn frame(stamp: &Stamp, columns: &[Column<'_>]) -> Result<Vec<Bytes>> {
    if let Some(column) = columns.iter().find(|c| c.bytes.len() != 8 * stamp.rows * stamp.cols) {
        let why = format!("column `{}` has {} bytes", column.name, column.bytes.len());
        return Err(refused(stamp)(ParquetError::General(why)));
    }
    let named: Vec<_> = columns.iter().map(|c| (c.name, c.digest.clone())).collect();
    let page = |column: usize, range: Range<usize>| columns[column].bytes.slice(8 * range.start..8 * range.end);
    let mut pieces = Pieces { columns, done: Vec::new(), around: Vec::new() };
    write(stamp, &named, page, &mut pieces).map_err(refused(stamp))?;
    pieces.cut();
    Ok(pieces.done)
}

/// Takes what the Parquet writer writes; what lies within a column is not copied.
struct Pieces<'a> {
    columns: &'a [Column<'a>],
    done: Vec<Bytes>,
    around: Vec<u8>,
}

impl Pieces<'_> {
    fn cut(&mut self) {
        if !self.around.is_empty() {
            self.done.push(std::mem::take(&mut self.around).into());
        }
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let given = bytes.as_ptr_range();
        let holds = |c: &&Column<'_>| {
            let held = c.bytes.as_ptr_range();
            held.start <= given.start && given.end <= held.end
        };
        match self.columns.iter().find(holds).filter(|_| !bytes.is_empty()) {
            Some(column) => {
                self.cut();
                self.done.push(column.bytes.slice_ref(bytes));
            }
            None => self.around.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
