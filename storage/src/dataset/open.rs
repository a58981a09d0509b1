//! A source, opened: the format by name, the bytes from a path or URL.

use std::io::Read;

use super::array::Stream;
use super::file::File;
use super::format::Format;
use super::rows::Rows;
use super::source::{Columns, Source};
use super::{csv, idx, ipc, npy, npz, parquet};
use crate::error::{Error, Result};

const HASH_BYTES: usize = 1 << 20;

/// Opens the rows of a source.
///
/// # Errors
/// [`Error::Input`] for a file that is missing, of an unknown name, unreadable, truncated or
/// damaged, and for columns that it lacks or that hold no numbers; [`Error::Store`] for an object
/// store that cannot be reached.
pub fn open(source: &Source) -> Result<Box<dyn Rows>> {
    open_file(&File::open(&source.location)?, source)
}

/// Opens the rows of `file`, whose format follows from the source's location.
///
/// # Errors
/// As [`open`].
pub fn open_file(file: &File, source: &Source) -> Result<Box<dyn Rows>> {
    let (format, gz) = Format::of(&source.location)?;
    match format {
        Format::Npy | Format::Idx if source.columns != Columns::All => {
            Err(Error::Input(format!("{}: its columns have no names to choose by", source.location)))
        }
        Format::Npy => npy::open(Stream::open(file, gz)),
        Format::Idx => idx::open(Stream::open(file, gz)),
        Format::Npz => npz::open(file, &source.columns),
        Format::Parquet => parquet::open(file, &source.columns),
        Format::Ipc => ipc::open(file, gz, &source.columns),
        Format::Csv => csv::open(Stream::open(file, gz), &source.columns, source.header),
    }
}

/// The blake3 of the source's bytes as they lie there, as hex. Names are no part of it.
///
/// # Errors
/// [`Error::Input`] or [`Error::Store`] if they cannot be read.
pub fn fingerprint(source: &Source) -> Result<String> {
    let file = File::open(&source.location)?;
    let mut reader = file.reader(0);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        let count = reader.read(&mut buffer).map_err(|e| file.failed(&e))?;
        if count == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..count]);
    }
}
