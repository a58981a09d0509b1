//! Rows of an array that lies in the file row by row: `.npy` in C order, IDX.

use std::io::Read;

use super::file::{File, failed};
use super::number::Number;
use super::rows::{Rows, check_finite, finish, read_full, truncated};
use crate::error::{Error, Result};

/// Bytes of an array as a stream, and what is known about them.
pub(crate) struct Stream {
    pub name: String,
    pub bytes: Box<dyn Read + Send>,
    /// The plain file, where the stream is one and starts at its start.
    pub plain: Option<File>,
    /// Whether there is a checksum at the end.
    pub checksum: bool,
}

impl Stream {
    /// The whole of a file, decompressed if it is gzipped.
    pub fn open(file: &File, gz: bool) -> Stream {
        let bytes: Box<dyn Read + Send> = match gz {
            true => Box::new(flate2::read::MultiGzDecoder::new(file.reader(0))),
            false => Box::new(file.reader(0)),
        };
        Stream { name: file.name().to_owned(), bytes, plain: (!gz).then(|| file.clone()), checksum: gz }
    }
}

/// Number of rows, values in a row, and bytes in all of an array of `shape`: the first axis counts
/// rows, the others are flattened.
pub(crate) fn extent(name: &str, shape: &[u64], number: Number) -> Result<(u64, usize, u64)> {
    let Some((rows, rest)) = shape.split_first() else {
        return Err(Error::Input(format!("{name}: holds a single number, not rows")));
    };
    let width = rest.iter().try_fold(1u64, |a, b| a.checked_mul(*b));
    let bytes = width.and_then(|w| w.checked_mul(*rows)?.checked_mul(number.bytes() as u64));
    match (width, bytes) {
        (Some(width), Some(bytes)) if width > 0 => Ok((*rows, width as usize, bytes)),
        (Some(0), _) => Err(Error::Input(format!("{name}: its shape {shape:?} holds no columns"))),
        _ => Err(Error::Input(format!("{name}: its shape {shape:?} is beyond any file; the file is damaged"))),
    }
}

/// Fails if a plain file is shorter than its header promises.
pub(crate) fn check_len(file: &File, shape: &[u64], header: u64, body: u64) -> Result<()> {
    let need = header.saturating_add(body);
    if file.size() >= need {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{}: the shape {shape:?} needs {need} bytes, the file has {}, it is truncated; fetch it again",
        file.name(),
        file.size()
    )))
}

/// Rows from a [`Stream`] that stands at the first of them.
pub(crate) struct ArrayRows {
    stream: Stream,
    number: Number,
    width: usize,
    rows: u64,
    next: u64,
    buffer: Vec<u8>,
}

impl ArrayRows {
    pub fn new(stream: Stream, number: Number, rows: u64, width: usize) -> Self {
        Self { stream, number, width, rows, next: 0, buffer: Vec::new() }
    }
}

impl Rows for ArrayRows {
    fn width(&self) -> usize {
        self.width
    }

    fn len_hint(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next_block(&mut self, max_rows: usize, out: &mut Vec<f64>) -> Result<usize> {
        let name = &self.stream.name;
        let count = (self.rows - self.next).min(max_rows as u64) as usize;
        let row_bytes = self.width * self.number.bytes();
        self.buffer.resize(count * row_bytes, 0);
        let filled = read_full(&mut self.stream.bytes, &mut self.buffer);
        let filled = filled.map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => truncated(name, self.next, self.rows),
            _ => failed(name, &e),
        })?;
        if filled < self.buffer.len() {
            return Err(truncated(name, self.next + (filled / row_bytes) as u64, self.rows));
        }
        let start = out.len();
        out.reserve(count * self.width);
        self.number.each(&self.buffer, |v| out.push(v));
        check_finite(name, self.next, self.width, &out[start..])?;
        self.next += count as u64;
        if count > 0 && self.next == self.rows && self.stream.checksum {
            finish(name, &mut self.stream.bytes)?;
        }
        Ok(count)
    }
}
