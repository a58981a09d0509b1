//! A tile in a local file, read straight to its place: nothing of it is in memory beside its values.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Result as IoResult};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::PAGE_BYTES;
use super::read::{Pages, Source};

/// More than a page header of ours takes.
const HEADER_BYTES: usize = 128;

/// A local file as the Parquet reader wants it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    file: Arc<File>,
    len: u64,
    failure: Arc<Mutex<Option<String>>>,
}

impl LocalFile {
    /// A file of `len` bytes.
    pub(crate) fn new(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), len, failure: Arc::default() }
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

    fn within(&self, start: u64, length: usize) -> Result<(), ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are more than the file has")));
        }
        Ok(())
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
        self.within(start, length)?;
        let mut bytes = vec![0; length];
        self.checked(self.file.read_exact_at(&mut bytes, start))?;
        Ok(bytes.into())
    }
}

impl Source for LocalFile {
    type Pages = LatePages;

    fn pages(self) -> LatePages {
        LatePages { file: self, asked: Mutex::new(0) }
    }
}

/// The pages of a local file: they are read when their place is known. To the Parquet reader, which does not look into a
/// page of plain values, they are zeros.
pub(crate) struct LatePages {
    file: LocalFile,
    /// Where the page begins that was asked for last.
    asked: Mutex<u64>,
}

impl Length for LatePages {
    fn len(&self) -> u64 {
        self.file.len
    }
}

impl ChunkReader for LatePages {
    type T = BufReader<Tail>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        self.file.within(start, length)?;
        *self.asked.lock() = start;
        Ok(ZEROS.get(..length).map_or_else(|| vec![0; length].into(), Bytes::from_static))
    }
}

impl Pages for LatePages {
    fn bring(&self, _page: &[u8], from: usize, to: &mut [u8]) -> IoResult<()> {
        let start = *self.asked.lock() + from as u64;
        self.file.checked(self.file.file.read_exact_at(to, start))
    }
}
