//! Arrow IPC tables (`.arrow`, `.feather`, `.ipc`), the file and the stream format.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use std::io::{self, Read};

use super::array::Stream;
use super::batch::{BatchRows, Choice};
use super::file::{File, failed};
use super::rows::{Rows, guarded, read_full};
use super::source::Columns;
use crate::error::{Error, Result};

const FILE_MAGIC: &[u8; 6] = b"ARROW1";

fn damaged(name: &str, e: ArrowError) -> Error {
    match e {
        ArrowError::IoError(_, e) => failed(name, &e),
        e => {
            Error::Input(format!("{name}: not a readable Arrow file: {e}; it is truncated, damaged or something else"))
        }
    }
}

/// Opens the chosen columns of a table.
pub(crate) fn open(file: &File, gz: bool, columns: &Columns) -> Result<Box<dyn Rows>> {
    let name = file.name();
    let mut magic = [0; 6];
    let mut start = Stream::open(file, gz).bytes;
    read_full(&mut start, &mut magic).map_err(|e| failed(name, &e))?;
    match (&magic == FILE_MAGIC, gz) {
        (true, true) => Err(Error::Input(format!(
            "{name}: a gzipped Arrow file cannot be read in parts; gunzip it, or write the stream format"
        ))),
        (true, false) => open_file(file, columns),
        (false, _) if magic.starts_with(b"FEA1") => {
            Err(Error::Input(format!("{name}: Feather version 1 is not read; write version 2")))
        }
        (false, _) => open_stream(name, Stream::open(file, gz).bytes, columns),
    }
}

fn open_file(file: &File, columns: &Columns) -> Result<Box<dyn Rows>> {
    let name = file.name();
    let reader =
        |projection| guarded(name, || FileReader::try_new(file.reader(0), projection).map_err(|e| damaged(name, e)));
    let choice = Choice::of(name, columns, &reader(None)?.schema())?;
    let batches = reader(Some(choice.sorted()))?;
    Ok(rows(name, choice, batches))
}

fn open_stream(name: &str, bytes: Box<dyn Read + Send>, columns: &Columns) -> Result<Box<dyn Rows>> {
    let mut reader = guarded(name, || StreamReader::try_new(bytes, None).map_err(|e| damaged(name, e)))?;
    let choice = Choice::of(name, columns, &reader.schema())?;
    let sorted = choice.sorted();
    let batches = std::iter::from_fn(move || match reader.next() {
        Some(batch) => Some(batch.and_then(|batch| batch.project(&sorted))),
        // What is left may hold a checksum.
        None => io::copy(reader.get_mut(), &mut io::sink()).err().map(|e| Err(e.into())),
    });
    Ok(rows(name, choice, batches))
}

fn rows(
    name: &str,
    choice: Choice,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> Box<dyn Rows> {
    let called = name.to_owned();
    let batches = batches.map(move |batch| batch.map_err(|e| damaged(&called, e)));
    Box::new(BatchRows::new(name, choice, Box::new(batches), None))
}
