//! How good a posterior is on a test set.

use crate::summary::SetScores;

/// A posterior on the rows of a test set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Posterior {
    /// `mean[c][row]`.
    pub mean: Vec<Vec<f64>>,
    /// Variance of the latent function at each row; empty if it was not asked for.
    pub variance: Vec<f64>,
}

/// The scores against the targets `y[c][row]`; without targets only the number of rows.
///
/// The nll is the mean over points and columns of `−log N(y; mean, variance + noise_var)`.
pub fn scores(posterior: &Posterior, rows: usize, y: Option<&[Vec<f64>]>, classes: bool, noise_var: f64) -> SetScores {
    let mut scores = SetScores { n: rows as u64, ..SetScores::default() };
    let Some(y) = y else { return scores };
    let count = (rows * y.len()) as f64;
    let pairs = || posterior.mean.iter().zip(y).flat_map(|(m, y)| m.iter().zip(y));
    scores.mse = Some(pairs().map(|(m, y)| (m - y) * (m - y)).sum::<f64>() / count);
    if classes {
        let hits = (0..rows).filter(|&r| largest(&posterior.mean, r) == largest(y, r)).count();
        scores.accuracy = Some(hits as f64 / rows as f64);
    }
    if !posterior.variance.is_empty() {
        let column = |m: &[f64], y: &[f64]| -> f64 {
            let terms = m.iter().zip(y).zip(&posterior.variance).map(|((m, y), variance)| {
                let spread = variance + noise_var;
                0.5 * ((2.0 * std::f64::consts::PI * spread).ln() + (y - m) * (y - m) / spread)
            });
            terms.sum()
        };
        let nll = posterior.mean.iter().zip(y).map(|(m, y)| column(m, y)).sum::<f64>() / count;
        // A variance of zero without noise has no density to tell.
        scores.nll = nll.is_finite().then_some(nll);
    }
    scores
}

/// The column with the largest value in a row; the first of equals.
fn largest(columns: &[Vec<f64>], row: usize) -> usize {
    let mut best = 0;
    for c in 1..columns.len() {
        if columns[c][row] > columns[best][row] {
            best = c;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_mean_has_accuracy_one_and_the_nll_of_its_spread() {
        let y = vec![vec![0.9, -0.1], vec![-0.1, 0.9]];
        let posterior = Posterior { mean: y.clone(), variance: vec![0.5, 0.5] };
        let s = scores(&posterior, 2, Some(&y), true, 0.5);
        assert_eq!((s.mse, s.accuracy), (Some(0.0), Some(1.0)));
        assert!((s.nll.unwrap() - 0.5 * (2.0 * std::f64::consts::PI).ln()).abs() < 1e-15);
        assert_eq!(scores(&posterior, 2, None, true, 0.5), SetScores { n: 2, ..SetScores::default() });
    }
}
