//! IDX arrays, the format of MNIST: big-endian, bytes 0–255 as they are.

use super::array::{ArrayRows, Stream, check_len, extent};
use super::file::failed;
use super::number::{Kind, Number};
use super::rows::{Rows, read_full};
use crate::error::{Error, Result};

/// Opens the array that `stream` starts with.
pub(crate) fn open(mut stream: Stream) -> Result<Box<dyn Rows>> {
    let name = stream.name.clone();
    let mut header = |buffer: &mut [u8]| match read_full(&mut stream.bytes, buffer) {
        Ok(filled) if filled == buffer.len() => Ok(()),
        Ok(_) => Err(failed(&name, &std::io::ErrorKind::UnexpectedEof.into())),
        Err(e) => Err(failed(&name, &e)),
    };
    let mut magic = [0; 4];
    header(&mut magic)?;
    let kind = match magic {
        [0, 0, 0x08, _] => Kind::U8,
        [0, 0, 0x09, _] => Kind::I8,
        [0, 0, 0x0B, _] => Kind::I16,
        [0, 0, 0x0C, _] => Kind::I32,
        [0, 0, 0x0D, _] => Kind::F32,
        [0, 0, 0x0E, _] => Kind::F64,
        _ => {
            return Err(Error::Input(format!(
                "{name}: not an IDX file: it starts with the bytes {magic:02x?}; gzipped files end in .gz"
            )));
        }
    };
    let mut shape = Vec::new();
    for _ in 0..magic[3] {
        let mut word = [0; 4];
        header(&mut word)?;
        shape.push(u64::from(u32::from_be_bytes(word)));
    }
    let number = Number { kind, big_endian: true };
    let (rows, width, bytes) = extent(&name, &shape, number)?;
    if let Some(file) = &stream.plain {
        check_len(file, &shape, 4 + 4 * shape.len() as u64, bytes)?;
    }
    Ok(Box::new(ArrayRows::new(stream, number, rows, width)))
}
