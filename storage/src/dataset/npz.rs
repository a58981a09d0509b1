//! One array of an `.npz` archive.

use std::io::Read;

use flate2::Crc;
use zip::{CompressionMethod, ZipArchive};

use super::array::Stream;
use super::file::File;
use super::npy;
use super::rows::Rows;
use super::source::Columns;
use crate::error::{Error, Result};

/// Opens the array that `columns` names, or the only one.
pub(crate) fn open(file: &File, columns: &Columns) -> Result<Box<dyn Rows>> {
    let input = |why: String| Error::Input(format!("{}: {why}", file.name()));
    let damaged = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) if e.get_ref().is_some_and(|e| e.is::<Error>()) => file.failed(&e),
        e => input(format!("not a readable .npz archive: {e}; fetch it again")),
    };
    let mut archive = ZipArchive::new(file.reader(0)).map_err(damaged)?;
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        names.push(name.strip_suffix(".npy").map_or(name.clone(), str::to_owned));
    }
    let list = names.join(", ");
    let index = match columns {
        Columns::All if names.len() == 1 => 0,
        Columns::Named(wanted) if wanted.len() == 1 => match names.iter().position(|n| *n == wanted[0]) {
            Some(index) => index,
            None => return Err(input(format!("no array `{}` in it; it has {list}", wanted[0]))),
        },
        _ => return Err(input(format!("name the one array to read; it has {list}"))),
    };
    let member = archive.by_index_raw(index).map_err(damaged)?;
    let name = format!("{}, array `{}`", file.name(), names[index]);
    let start = member.data_start().ok_or_else(|| input("not a readable .npz archive".into()))?;
    let body = file.part(&name, start, member.compressed_size());
    let (bytes, plain): (Box<dyn Read + Send>, _) = match member.compression() {
        CompressionMethod::Stored => (Box::new(body.reader(0)), Some(body)),
        CompressionMethod::Deflated => (Box::new(flate2::read::DeflateDecoder::new(body.reader(0))), None),
        other => return Err(input(format!("the array is compressed with {other}; numpy writes deflate"))),
    };
    let bytes = Box::new(Verified { bytes, crc: Crc::new(), wanted: member.crc32() });
    npy::open(Stream { name, bytes, plain, checksum: true })
}

/// Checks the archive's CRC-32 at the end of a member.
struct Verified {
    bytes: Box<dyn Read + Send>,
    crc: Crc,
    wanted: u32,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.crc.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.crc.sum() != self.wanted {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "its checksum does not agree"));
        }
        Ok(count)
    }
}
