//! Rows in blocks: what every format gives.

use std::io::{self, Read};

use super::file::failed;
use crate::error::{Error, Result};

/// Rows of a matrix, read from the first to the last.
pub trait Rows: Send {
    /// Values in a row.
    fn width(&self) -> usize;

    /// Number of rows, where the file tells it before it is read.
    fn len_hint(&self) -> Option<u64>;

    /// Appends up to `max_rows` (at least 1) rows to `out`, row-major, all of them finite, and
    /// returns how many; 0 at the end only.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for NaN, ±infinity and missing values; [`Error::Input`] for a file
    /// that is truncated, damaged or holds something else than numbers; [`Error::Store`].
    fn next_block(&mut self, max_rows: usize, out: &mut Vec<f64>) -> Result<usize>;

    /// The line, from 1, where row `row` of the latest block stands in a file of lines.
    fn line(&self, row: u64) -> Option<u64> {
        let _ = row;
        None
    }
}

/// Reads until `buffer` is full or the stream ends; returns how much was read.
pub(crate) fn read_full(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Finds the first value that is not finite in rows that start at row `first`.
pub(crate) fn check_finite(what: &str, first: u64, width: usize, values: &[f64]) -> Result<()> {
    let Some(at) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    Err(Error::NonFinite {
        what: what.to_owned(),
        row: first + (at / width) as u64,
        col: (at % width) as u64,
        value: values[at].to_string(),
        line: None,
    })
}

/// Calls a decoder of untrusted bytes; if it panics, to the caller that is damage like any other.
pub(crate) fn guarded<T>(name: &str, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Error::Input(format!("{name}: the file is damaged; fetch it again"))))
}

/// An error for a stream that ended before all rows were there.
pub(crate) fn truncated(name: &str, row: u64, rows: u64) -> Error {
    Error::Input(format!("{name}: the file ends in row {row} of {rows}, it is truncated; fetch it again"))
}

/// Reads a stream that should be at its end to that end, so that checksums there are verified.
pub(crate) fn finish(name: &str, stream: &mut dyn Read) -> Result<()> {
    io::copy(stream, &mut io::sink()).map(drop).map_err(|e| failed(name, &e))
}
