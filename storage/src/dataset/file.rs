//! The bytes of a data file, local or in an object store, read in ranges.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

use super::remote::Remote;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::open::{Store, is_url};

const FIRST_BLOCK_BYTES: u64 = 64 << 10;
const BLOCK_BYTES_MAX: u64 = 8 << 20;

/// A file of known length. Cheap to clone.
#[derive(Debug, Clone)]
pub struct File {
    place: Place,
    name: Arc<str>,
    base: u64,
    len: u64,
}

#[derive(Debug, Clone)]
enum Place {
    Local(Arc<std::fs::File>),
    Remote(Arc<Remote>),
    Memory(Bytes),
}

impl File {
    /// Opens a path or URL.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such file, or it is not readable; [`Error::Store`] if the
    /// object store cannot be reached.
    pub fn open(location: &str) -> Result<File> {
        match location.strip_prefix("file://") {
            Some(path) => File::local(location, path),
            None if is_url(location) => {
                let bad =
                    || Error::Input(format!("{location}: the URL names no object; give one as scheme://bucket/key"));
                let (parent, name) = location.rsplit_once('/').ok_or_else(bad)?;
                if name.is_empty() || !is_url(parent) {
                    return Err(bad());
                }
                File::object(&Store::open(parent)?, &Key::listed(name), location)
            }
            None => File::local(location, location),
        }
    }

    fn local(location: &str, path: &str) -> Result<File> {
        let input = |why: String| Error::Input(format!("{location}: {why}"));
        let open = || {
            let file = std::fs::File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = open().map_err(|e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => input("the file does not exist; relative paths start at the job file".into()),
            _ => input(format!("cannot be opened: {e}")),
        })?;
        if !metadata.is_file() {
            return Err(input("is not a file".into()));
        }
        Ok(File { place: Place::Local(Arc::new(file)), name: location.into(), base: 0, len: metadata.len() })
    }

    /// Opens an object of a store that is open already; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn object(store: &Store, key: &Key, name: &str) -> Result<File> {
        let remote = match Remote::open(store, key) {
            Err(Error::NotFound { .. }) => {
                return Err(Error::Input(format!("{name}: the object does not exist; mend the URL")));
            }
            other => other?,
        };
        let len = remote.len();
        Ok(File { place: Place::Remote(Arc::new(remote)), name: name.into(), base: 0, len })
    }

    /// Bytes already in memory, under a name for errors.
    pub fn memory(name: &str, bytes: Bytes) -> File {
        File { base: 0, len: bytes.len() as u64, place: Place::Memory(bytes), name: name.into() }
    }

    /// The part `start..start + len` of the file as a file of its own, under a name of its own.
    pub fn part(&self, name: &str, start: u64, len: u64) -> File {
        let start = start.min(self.len);
        File { place: self.place.clone(), name: name.into(), base: self.base + start, len: len.min(self.len - start) }
    }

    /// What errors call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// When a local file was last written. With the size it tells a file that changed.
    pub fn modified(&self) -> Option<SystemTime> {
        match &self.place {
            Place::Local(file) => file.metadata().and_then(|m| m.modified()).ok(),
            _ => None,
        }
    }

    /// The bytes `start..start + len`, all of them.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end; whatever the disk or the store says.
    pub fn read_at(&self, start: u64, len: usize) -> io::Result<Bytes> {
        let end = start.checked_add(len as u64).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        let (start, end) = (self.base + start, self.base + end);
        match &self.place {
            Place::Local(file) => {
                let mut buffer = vec![0; len];
                file.read_exact_at(&mut buffer, start)?;
                Ok(buffer.into())
            }
            Place::Memory(bytes) => Ok(bytes.slice(start as usize..end as usize)),
            Place::Remote(remote) => remote.read(start, end),
        }
    }

    /// A reader that starts at `start`. Its blocks grow from 64 KiB to 8 MiB as it goes on.
    pub fn reader(&self, start: u64) -> Reader {
        Reader { file: self.clone(), position: start, block: Bytes::new(), next_bytes: FIRST_BLOCK_BYTES }
    }

    /// What `e`, met while reading this file, means.
    pub fn failed(&self, e: &io::Error) -> Error {
        failed(&self.name, e)
    }
}

/// What `e`, met while reading the file called `name`, means.
pub fn failed(name: &str, e: &io::Error) -> Error {
    if let Some(error) = e.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
        return error.clone();
    }
    Error::Input(match e.kind() {
        io::ErrorKind::UnexpectedEof => format!("{name}: the file ends too early, it is truncated; fetch it again"),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            format!("{name}: the file is damaged or not what its name says: {e}")
        }
        _ => format!("{name}: cannot be read: {e}"),
    })
}

/// A sequential reader with seek over a [`File`].
#[derive(Debug)]
pub struct Reader {
    file: File,
    position: u64,
    /// What is left of the block, from `position` on.
    block: Bytes,
    next_bytes: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            let left = self.file.len.saturating_sub(self.position);
            self.block = self.file.read_at(self.position.min(self.file.len), left.min(self.next_bytes) as usize)?;
            self.next_bytes = (2 * self.next_bytes).min(BLOCK_BYTES_MAX);
        }
        let count = buffer.len().min(self.block.len());
        buffer[..count].copy_from_slice(&self.block.split_to(count));
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(p) => Some(p),
            SeekFrom::End(d) => self.file.len.checked_add_signed(d),
            SeekFrom::Current(d) => self.position.checked_add_signed(d),
        };
        let position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let skip = position.checked_sub(self.position).filter(|skip| *skip <= self.block.len() as u64);
        match skip {
            Some(skip) => drop(self.block.split_to(skip as usize)),
            None => {
                self.block = Bytes::new();
                self.next_bytes = FIRST_BLOCK_BYTES;
            }
        }
        self.position = position;
        Ok(position)
    }
}

impl Length for File {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for File {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader, ParquetError> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.read_at(start, length).map_err(|e| ParquetError::External(Box::new(e)))
    }
}
