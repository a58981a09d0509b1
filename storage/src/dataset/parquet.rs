//! Parquet tables, batch by batch.

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::batch::{BatchRows, Choice};
use super::file::File;
use super::rows::{Rows, guarded};
use super::source::Columns;
use crate::error::{Error, Result};

const BATCH_BYTES: usize = 4 << 20;

/// Opens the chosen columns of a table.
pub(crate) fn open(file: &File, columns: &Columns) -> Result<Box<dyn Rows>> {
    let name = file.name().to_owned();
    let damaged = |name: &str, e: &dyn std::fmt::Display| {
        Error::Input(format!("{name}: not a readable Parquet file: {e}; it is truncated, damaged or something else"))
    };
    let builder =
        guarded(&name, || ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(|e| damaged(&name, &e)))?;
    let choice = Choice::of(&name, columns, builder.schema())?;
    let rows = builder.metadata().file_metadata().num_rows();
    let rows = u64::try_from(rows).map_err(|e| damaged(&name, &e))?;
    let sorted = choice.sorted();
    let mask = ProjectionMask::roots(builder.parquet_schema(), sorted.iter().copied());
    let batch_rows = (BATCH_BYTES / (8 * sorted.len())).clamp(16, 8192);
    let reader = guarded(&name, || {
        builder.with_projection(mask).with_batch_size(batch_rows).build().map_err(|e| damaged(&name, &e))
    })?;
    let called = name.clone();
    let batches = reader.map(move |batch| batch.map_err(|e| damaged(&called, &e)));
    Ok(Box::new(BatchRows::new(&name, choice, Box::new(batches), Some(rows))))
}
