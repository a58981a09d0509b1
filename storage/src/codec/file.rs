//! A tile in a local file, read a page at a time: the whole of it is never in memory beside its values.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Result as IoResult};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::pool::Pool;

/// More than a page header of ours takes.
const HEADER_BYTES: usize = 128;

/// A local file as the Parquet reader wants it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    file: Arc<File>,
    len: u64,
    pages: Pool,
    failure: Arc<Mutex<Option<String>>>,
}

impl LocalFile {
    /// A file of `len` bytes, whose pages pass through the buffers of `pages`.
    pub(crate) fn new(file: File, len: u64, pages: Pool) -> Self {
        Self { file: Arc::new(file), len, pages, failure: Arc::default() }
    }

    /// Why the disk did not give what it holds, if it did not: that is not the file's fault.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().take()
    }

    fn checked<T>(&self, read: IoResult<T>) -> IoResult<T> {
        if let Err(error) = &read
            && !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::Interrupted)
        {
            *self.failure.lock() = Some(error.to_string());
        }
        read
    }
}

impl Length for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }
}

/// The bytes from an offset on.
#[derive(Debug)]
pub(crate) struct Tail {
    file: LocalFile,
    offset: u64,
}

impl Read for Tail {
    fn read(&mut self, out: &mut [u8]) -> IoResult<usize> {
        let count = self.file.checked(self.file.file.read_at(out, self.offset))?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl ChunkReader for LocalFile {
    type T = BufReader<Tail>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(HEADER_BYTES, Tail { file: self.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are more than the file has")));
        }
        let mut page = self.pages.take();
        if page.bytes.len() < length {
            page.bytes.resize(length, 0);
        }
        self.checked(self.file.read_exact_at(&mut page.bytes[..length], start))?;
        Ok(Bytes::from_owner(page).slice(..length))
    }
}
