//! A `.npy` file of a matrix, written block by block in any order.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A C-ordered f64 matrix on its way to a file. What is never written is zero. The file has its name
/// only when it is complete.
#[derive(Debug)]
pub struct Npy {
    file: File,
    part: PathBuf,
    to: PathBuf,
    start: u64,
    rows: Range<u64>,
    cols: Range<u64>,
    line: Vec<u8>,
}

impl Npy {
    /// A file for the rows `rows` and columns `cols` of some matrix.
    pub fn create(to: &Path, rows: Range<u64>, cols: Range<u64>) -> std::io::Result<Self> {
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut file = File::create(&part)?;
        let (height, width) = (rows.end - rows.start, cols.end - cols.start);
        let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({height}, {width}), }}");
        let unpadded = 10 + header.len() + 1;
        header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
        header.push('\n');
        let length = u16::try_from(header.len()).map_err(std::io::Error::other)?;
        file.write_all(b"\x93NUMPY\x01\x00")?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let start = 10 + u64::from(length);
        file.set_len(start + 8 * height * width)?;
        Ok(Self { file, part, to: to.to_owned(), start, rows, cols, line: Vec::new() })
    }

    /// Whether any of a block is wanted.
    pub fn wants(&self, rows: &Range<u64>, cols: &Range<u64>) -> bool {
        rows.start < self.rows.end
            && self.rows.start < rows.end
            && cols.start < self.cols.end
            && self.cols.start < cols.end
    }

    /// Writes the wanted part of a block of the matrix; `value(r, c)` counts from the block's corner.
    pub fn block(
        &mut self,
        rows: &Range<u64>,
        cols: &Range<u64>,
        value: impl Fn(usize, usize) -> f64,
    ) -> std::io::Result<()> {
        let (top, bottom) = (rows.start.max(self.rows.start), rows.end.min(self.rows.end));
        let (left, right) = (cols.start.max(self.cols.start), cols.end.min(self.cols.end));
        let width = self.cols.end - self.cols.start;
        for row in top..bottom {
            self.line.clear();
            for col in left..right {
                let value = value((row - rows.start) as usize, (col - cols.start) as usize);
                self.line.extend_from_slice(&value.to_le_bytes());
            }
            let at = (row - self.rows.start) * width + (left - self.cols.start);
            self.file.write_all_at(&self.line, self.start + 8 * at)?;
        }
        Ok(())
    }

    /// Gives the complete file its name.
    pub fn finish(self) -> std::io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.to)
    }
}

impl Drop for Npy {
    /// Leaves no part of a file behind; a finished one has another name by now.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_any_order_make_the_wanted_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.npy");
        let mut npy = Npy::create(&path, 1..4, 2..4).unwrap();
        assert!(!npy.wants(&(0..1), &(0..4)));
        for (rows, cols) in [(2..4, 2..4), (0..2, 2..4)] {
            assert!(npy.wants(&rows, &cols));
            let (r0, c0) = (rows.start, cols.start);
            npy.block(&rows, &cols, |r, c| ((r0 + r as u64) * 10 + c0 + c as u64) as f64).unwrap();
        }
        assert!(!path.exists());
        npy.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(bytes.len(), 128 + 6 * 8);
        let header = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(header.contains("'shape': (3, 2)"), "{header}");
        let values: Vec<f64> = bytes[128..].chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(values, [12., 13., 22., 23., 32., 33.]);
    }
}
