//! The first rows of a file, for those who want to know what rows are like and not what they are.

use super::open::open;
use super::source::{Prepare, Source};
use super::transform::{Running, inputs};
use crate::error::Result;

/// The first `rows` rows of a file or the fewer that it has, row-major, multiplied by `scale` and prepared. The store has no
/// part in it, so `standardise` goes by the moments of these rows.
///
/// # Errors
/// As [`open`], and what is wrong with these rows.
pub fn sample(source: &Source, rows: usize, scale: f64, prepare: Prepare) -> Result<Vec<f64>> {
    let mut file = open(source)?;
    let width = file.width();
    let mut values = Vec::new();
    while values.len() < rows * width {
        if file.next_block(rows - values.len() / width, &mut values)? == 0 {
            break;
        }
    }
    inputs(&mut values, width, scale, Prepare::None, None);
    let mut running = Running::new(width);
    values.chunks_exact(width).for_each(|row| running.add(row));
    inputs(&mut values, width, 1.0, prepare, Some(&running.moments()));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Columns;

    #[test]
    fn rows_come_prepared_and_no_more_than_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, "a,b\n1,2\n3,6\n5,7\n").unwrap();
        let source = Source { location: path.display().to_string(), columns: Columns::All, header: true };
        assert_eq!(sample(&source, 2, 0.5, Prepare::None).unwrap(), [0.5, 1.0, 1.5, 3.0]);
        assert_eq!(sample(&source, 9, 1.0, Prepare::None).unwrap(), [1.0, 2.0, 3.0, 6.0, 5.0, 7.0]);
        assert_eq!(sample(&source, 2, 0.5, Prepare::Standardise).unwrap(), [-1.0, -1.0, 1.0, 1.0]);
    }
}
