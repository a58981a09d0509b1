//! What happens to a row between the file and the store.

use serde::{Deserialize, Serialize};

use super::source::Prepare;
use crate::error::{Error, Result};

/// The variance below which a row counts as constant, as in the papers' code.
const LAYER_NORM_EPS: f64 = 1e-15;
/// The one-hot code of a label: mean 0 over ten classes.
const HOT: f64 = 0.9;
const COLD: f64 = -0.1;

/// Mean and standard deviation of each column of the training rows, after `scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Means.
    pub mean: Vec<f64>,
    /// Population standard deviations; 0 for a constant column.
    pub std: Vec<f64>,
}

/// Welford's running moments: one pass, no cancellation.
pub(crate) struct Running {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Running {
    pub fn new(width: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; width], squares: vec![0.0; width] }
    }

    pub fn add(&mut self, row: &[f64]) {
        self.count += 1.0;
        for ((x, mean), squares) in row.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let delta = x - *mean;
            *mean += delta / self.count;
            *squares += delta * (x - *mean);
        }
    }

    pub fn moments(self) -> Moments {
        let std = self.squares.iter().map(|s| (s / self.count).sqrt()).collect();
        Moments { mean: self.mean, std }
    }
}

/// Multiplies rows by `scale` and prepares each. `moments` are needed for standardisation only.
pub(crate) fn inputs(rows: &mut [f64], width: usize, scale: f64, prepare: Prepare, moments: Option<&Moments>) {
    if scale != 1.0 {
        rows.iter_mut().for_each(|x| *x *= scale);
    }
    for row in rows.chunks_exact_mut(width) {
        match (prepare, moments) {
            (Prepare::None, _) | (Prepare::Standardise, None) => {}
            (Prepare::UnitNorm, _) => unit_norm(row),
            (Prepare::LayerNorm, _) => layer_norm(row),
            (Prepare::Standardise, Some(moments)) => standardise(row, moments),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.sum::<f64>() / count as f64
}

fn unit_norm(row: &mut [f64]) {
    let mut mean_square = mean(row.iter().map(|x| x * x), row.len());
    if !mean_square.is_normal() {
        // The squares left the range of f64, or all are zero.
        let largest = row.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        if largest == 0.0 {
            return;
        }
        row.iter_mut().for_each(|x| *x /= largest);
        mean_square = mean(row.iter().map(|x| x * x), row.len());
    }
    let norm = mean_square.sqrt();
    row.iter_mut().for_each(|x| *x /= norm);
}

fn layer_norm(row: &mut [f64]) {
    let centre = mean(row.iter().copied(), row.len());
    row.iter_mut().for_each(|x| *x -= centre);
    let variance = mean(row.iter().map(|x| x * x), row.len());
    let spread = (variance + LAYER_NORM_EPS).sqrt();
    row.iter_mut().for_each(|x| *x /= spread);
}

fn standardise(row: &mut [f64], moments: &Moments) {
    for ((x, mean), std) in row.iter_mut().zip(&moments.mean).zip(&moments.std) {
        *x = if *std > 0.0 { (*x - mean) / std } else { 0.0 };
    }
}

/// A label as a class number.
///
/// # Errors
/// [`Error::Input`] unless it is an integer of at least 0.
pub(crate) fn label(what: &str, row: u64, line: Option<u64>, value: f64) -> Result<u32> {
    if value.fract() == 0.0 && (0.0..f64::from(u32::MAX)).contains(&value) {
        return Ok(value as u32);
    }
    Err(Error::Input(format!(
        "{what}: row {row}{}: the label {value} is not an integer of at least 0; number the classes from 0, or say \
         targets = \"values\"",
        in_line(line)
    )))
}

/// Appends the one-hot code of a label.
///
/// # Errors
/// [`Error::Input`] for a label that is not below `classes`.
pub(crate) fn one_hot(
    what: &str,
    row: u64,
    line: Option<u64>,
    label: u32,
    classes: u32,
    out: &mut Vec<f64>,
) -> Result<()> {
    if label >= classes {
        return Err(Error::Input(format!(
            "{what}: row {row}{}: label out of range: {label}, with {classes} classes the largest is {}; raise \
             `classes` or mend the labels",
            in_line(line),
            classes.saturating_sub(1)
        )));
    }
    out.extend((0..classes).map(|class| if class == label { HOT } else { COLD }));
    Ok(())
}

fn in_line(line: Option<u64>) -> String {
    line.map(|l| format!(" (line {l} of the file)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(row: &[f64], prepare: Prepare) -> Vec<f64> {
        let mut row = row.to_vec();
        let width = row.len();
        inputs(&mut row, width, 1.0, prepare, None);
        row
    }

    #[test]
    fn unit_norm_has_mean_square_one_at_any_size() {
        for size in [1.0, 1e-170, 1e170, 5e-320] {
            let row = prepared(&[3.0 * size, -4.0 * size], Prepare::UnitNorm);
            let wanted = 12.5f64.sqrt();
            assert!((row[0] - 3.0 / wanted).abs() < 1e-3, "{size}: {row:?}");
            assert!((row[1] + 4.0 / wanted).abs() < 1e-3, "{size}: {row:?}");
        }
        assert_eq!(prepared(&[0.0, 0.0], Prepare::UnitNorm), [0.0, 0.0]);
    }

    #[test]
    fn layer_norm_of_a_constant_row_is_zero() {
        assert_eq!(prepared(&[7.0, 7.0, 7.0], Prepare::LayerNorm), [0.0; 3]);
        let row = prepared(&[1.0, 3.0], Prepare::LayerNorm);
        assert!((row[0] + 1.0).abs() < 1e-14 && (row[1] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn running_moments_are_those_of_two_passes() {
        let rows: Vec<[f64; 2]> = (0..1000).map(|i| [1e9 + f64::from(i % 7), 4.0]).collect();
        let mut running = Running::new(2);
        rows.iter().for_each(|row| running.add(row));
        let moments = running.moments();
        let mean = rows.iter().map(|r| r[0]).sum::<f64>() / 1000.0;
        let var = rows.iter().map(|r| (r[0] - mean).powi(2)).sum::<f64>() / 1000.0;
        assert!((moments.mean[0] - mean).abs() < 1e-5);
        assert!((moments.std[0] / var.sqrt() - 1.0).abs() < 1e-9);
        assert_eq!((moments.mean[1], moments.std[1]), (4.0, 0.0));
    }
}
