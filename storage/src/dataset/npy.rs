//! NumPy arrays, in C order or Fortran order.

use std::io::Read;

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::array::{ArrayRows, Stream, check_len, extent};
use super::file::{File, failed};
use super::number::{Kind, Number};
use super::rows::{Rows, check_finite, finish};
use crate::error::{Error, Result};

/// A Fortran-ordered array that cannot be read in ranges is held in memory up to this size.
const FORTRAN_BYTES_MAX: u64 = 64 << 20;

/// Counts what goes through, to know where the data start.
struct Counted<'a> {
    stream: &'a mut (dyn Read + Send),
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

fn number(name: &str, dtype: &DType) -> Result<Number> {
    let bad = |what: &str| {
        Error::Input(format!(
            "{name}: holds {what} ({}), not plain numbers; save it as float64, float32 or integers",
            dtype.descr()
        ))
    };
    let DType::Plain(plain) = dtype else { return Err(bad("a structured array")) };
    let kind = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Bool, 1) => Kind::Bool,
        (TypeChar::Uint, 1) => Kind::U8,
        (TypeChar::Uint, 2) => Kind::U16,
        (TypeChar::Uint, 4) => Kind::U32,
        (TypeChar::Uint, 8) => Kind::U64,
        (TypeChar::Int, 1) => Kind::I8,
        (TypeChar::Int, 2) => Kind::I16,
        (TypeChar::Int, 4) => Kind::I32,
        (TypeChar::Int, 8) => Kind::I64,
        (TypeChar::Float, 2) => Kind::F16,
        (TypeChar::Float, 4) => Kind::F32,
        (TypeChar::Float, 8) => Kind::F64,
        (TypeChar::Complex, _) => return Err(bad("complex numbers")),
        (TypeChar::Object, _) => return Err(bad("Python objects")),
        _ => return Err(bad("another type")),
    };
    Ok(Number { kind, big_endian: plain.endianness() == Endianness::Big })
}

/// Opens the array that `stream` starts with.
pub(crate) fn open(mut stream: Stream) -> Result<Box<dyn Rows>> {
    let name = stream.name.clone();
    let mut counted = Counted { stream: &mut stream.bytes, bytes: 0 };
    let header = NpyHeader::from_reader(&mut counted).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => failed(&name, &e),
        _ if e.get_ref().is_some_and(|e| e.is::<Error>()) => failed(&name, &e),
        _ => Error::Input(format!("{name}: not a readable .npy array: {e}; save it with numpy.save")),
    })?;
    let start = counted.bytes;
    let number = number(&name, &header.dtype())?;
    let shape = header.shape();
    let (rows, width, bytes) = extent(&name, shape, number)?;
    if let Some(file) = &stream.plain {
        check_len(file, shape, start, bytes)?;
    }
    if header.order() == Order::C || shape.len() == 1 {
        return Ok(Box::new(ArrayRows::new(stream, number, rows, width)));
    }
    let (file, start) = match stream.plain {
        Some(file) => {
            // Columns are read here and there: a checksum is verified before, or never.
            if stream.checksum {
                finish(&name, &mut stream.bytes)?;
            }
            (file, start)
        }
        None if bytes <= FORTRAN_BYTES_MAX => {
            let mut body = Vec::new();
            stream.bytes.read_to_end(&mut body).map_err(|e| failed(&name, &e))?;
            let file = File::memory(&name, body.into());
            check_len(&file, shape, 0, bytes)?;
            (file, 0)
        }
        None => {
            return Err(Error::Input(format!(
                "{name}: a compressed array in Fortran order cannot be read row by row; save \
                 numpy.ascontiguousarray(x), or save it uncompressed"
            )));
        }
    };
    Ok(Box::new(ColumnRows { file, start, number, rows, columns: columns(shape), next: 0 }))
}

/// The place in Fortran order of each column, columns counted in C order over all but the first axis.
fn columns(shape: &[u64]) -> Vec<u64> {
    let mut places = vec![0];
    let mut stride = 1;
    for side in &shape[1..] {
        places = places.iter().flat_map(|place| (0..*side).map(move |k| place + k * stride)).collect();
        stride *= side;
    }
    places
}

/// Rows of an array that lies in the file column by column.
struct ColumnRows {
    file: File,
    start: u64,
    number: Number,
    rows: u64,
    columns: Vec<u64>,
    next: u64,
}

impl Rows for ColumnRows {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn len_hint(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next_block(&mut self, max_rows: usize, out: &mut Vec<f64>) -> Result<usize> {
        let count = (self.rows - self.next).min(max_rows as u64) as usize;
        let (width, first) = (self.columns.len(), out.len());
        out.resize(first + count * width, 0.0);
        let size = self.number.bytes();
        for (col, place) in self.columns.iter().enumerate() {
            let start = self.start + (place * self.rows + self.next) * size as u64;
            let bytes = self.file.read_at(start, count * size).map_err(|e| self.file.failed(&e))?;
            let mut at = first + col;
            self.number.each(&bytes, |v| {
                out[at] = v;
                at += width;
            });
        }
        check_finite(self.file.name(), self.next, width, &out[first..])?;
        self.next += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_three_axes_follow_the_strides() {
        assert_eq!(columns(&[7, 2, 3]), [0, 2, 4, 1, 3, 5]);
        assert_eq!(columns(&[7, 4]), [0, 1, 2, 3]);
    }
}
