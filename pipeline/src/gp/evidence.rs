//! log p(y), and at which sizes the learning curve is told.

use crate::error::{Error, Result};
use crate::job::Curve;

/// The log evidence of each target column for the first `n` rows, in nats:
/// `−½‖z‖² − Σ log Lᵢᵢ − (n/2) log 2π` (Rasmussen & Williams 2006, eq. 2.30), sums ascending.
pub fn log_evidence(z: &[Vec<f64>], l_diag: &[f64], n: usize) -> Vec<f64> {
    let log_det: f64 = l_diag[..n].iter().map(|l| l.ln()).sum();
    let constant = log_det + 0.5 * n as f64 * (2.0 * std::f64::consts::PI).ln();
    z.iter().map(|column| -0.5 * column[..n].iter().map(|v| v * v).sum::<f64>() - constant).collect()
}

/// The smallest pivot (the square of the factor's diagonal) and its row.
pub fn smallest_pivot(l_diag: &[f64]) -> Option<(f64, usize)> {
    let rows = l_diag.iter().enumerate().map(|(row, l)| (l * l, row));
    rows.min_by(|a, b| a.0.total_cmp(&b.0))
}

/// The sizes of a curve over `n` rows, ascending.
///
/// # Errors
/// [`Error::Usage`] for a size of 0 or above `n`.
pub fn sizes(curve: &Curve, n: u64) -> Result<Vec<u64>> {
    let mut sizes = match curve {
        Curve::None => Vec::new(),
        Curve::Octaves => std::iter::successors(Some(n), |s| Some(s / 2)).take_while(|s| *s >= 64).collect(),
        Curve::Sizes(sizes) => {
            if let Some(bad) = sizes.iter().find(|s| **s == 0 || **s > n) {
                return Err(Error::Usage(format!("gp.curve: size {bad} is not among 1..={n}, the training rows")));
            }
            sizes.clone()
        }
    };
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octaves_halve_down_to_64() {
        assert_eq!(sizes(&Curve::Octaves, 1000).unwrap(), [125, 250, 500, 1000].map(|v| v));
        assert_eq!(sizes(&Curve::Octaves, 63).unwrap(), Vec::<u64>::new());
        assert!(sizes(&Curve::Sizes(vec![10, 11]), 10).is_err());
    }

    #[test]
    fn the_evidence_of_white_noise_is_that_of_the_normal_distribution() {
        // K = 4 I: y / 2 = z, density of N(0, 4) at 1 and 2.
        let z = vec![vec![0.5, 1.0]];
        let expected = [1.0f64, 2.0].iter().map(|y| -y * y / 8.0 - (8.0 * std::f64::consts::PI).ln() / 2.0);
        let found = log_evidence(&z, &[2.0, 2.0], 2)[0];
        assert!((found - expected.sum::<f64>()).abs() < 1e-14);
    }
}
