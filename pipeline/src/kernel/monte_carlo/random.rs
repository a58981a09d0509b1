//! The random numbers: for each array of each network a stream of its own, so that weights do not depend on
//! who draws them, when, or for which rows.

use std::f64::consts::TAU;

/// What an array of numbers is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Law {
    /// Independent Gaussians.
    Gaussian,
    /// A matrix of `rows` × `columns` with orthonormal rows or columns, uniformly (Haar).
    Orthogonal { rows: usize, columns: usize },
}

/// An array that every network draws: `count` numbers, each of this standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    pub(super) count: usize,
    pub(super) std: f64,
    pub(super) law: Law,
}

impl Draw {
    /// The array with this index of a sample.
    pub(super) fn draw(&self, seed: u64, sample: u64, index: u64) -> Vec<f64> {
        let mut normals = Normals::new(seed, sample, index);
        match self.law {
            Law::Gaussian => (0..self.count).map(|_| normals.next() * self.std).collect(),
            Law::Orthogonal { rows, columns } => orthogonal(rows, columns, self.std, &mut normals),
        }
    }
}

/// Gaussian numbers (Box and Muller 1958) of a counter-based stream, BLAKE3's extended output.
struct Normals {
    stream: blake3::OutputReader,
    bytes: [u8; 4096],
    at: usize,
    spare: Option<f64>,
}

impl Normals {
    fn new(seed: u64, sample: u64, index: u64) -> Normals {
        let mut hasher = blake3::Hasher::new_derive_key("megagram: weights of random networks, 1");
        for word in [seed, sample, index] {
            hasher.update(&word.to_le_bytes());
        }
        Normals { stream: hasher.finalize_xof(), bytes: [0; 4096], at: 4096, spare: None }
    }

    /// 53 random bits.
    fn bits(&mut self) -> u64 {
        if self.at == self.bytes.len() {
            self.stream.fill(&mut self.bytes);
            self.at = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[self.at..self.at + 8]);
        self.at += 8;
        u64::from_le_bytes(word) >> 11
    }

    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        // Above 0, so that the logarithm is finite.
        let radius = (-2.0 * libm::log((self.bits() + 1) as f64 * UNIT)).sqrt();
        let (sin, cos) = libm::sincos(self.bits() as f64 * UNIT * TAU);
        self.spare = Some(radius * sin);
        radius * cos
    }
}

/// A Haar matrix whose entries have the standard deviation `std`: Gaussian vectors made orthonormal, twice,
/// as once leaves too much.
fn orthogonal(rows: usize, columns: usize, std: f64, normals: &mut Normals) -> Vec<f64> {
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(short);
    while basis.len() < short {
        let mut vector: Vec<f64> = (0..long).map(|_| normals.next()).collect();
        for _ in 0..2 {
            for earlier in &basis {
                let share = dot(&vector, earlier);
                vector.iter_mut().zip(earlier).for_each(|(v, e)| *v -= share * e);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        // A vector within the span of the others has probability 0; another is as good.
        if norm > 1e-6 {
            vector.iter_mut().for_each(|v| *v /= norm);
            basis.push(vector);
        }
    }
    let scale = std * (long as f64).sqrt();
    let entry = |r: usize, c: usize| if rows >= columns { basis[c][r] } else { basis[r][c] };
    (0..rows * columns).map(|e| scale * entry(e / columns, e % columns)).collect()
}

/// The scalar product, in one order whatever the machine.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (whole, rest) = (a.chunks_exact(LANES).zip(b.chunks_exact(LANES)), a.len() / LANES * LANES);
    for (a, b) in whole {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let tail: f64 = a[rest..].iter().zip(&b[rest..]).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn gaussians_have_their_moments() {
        let draw = Draw { count: 200_000, std: 2.0, law: Law::Gaussian };
        let numbers = draw.draw(7, 3, 1);
        let moment = |power: i32| numbers.iter().map(|n| n.powi(power)).sum::<f64>() / numbers.len() as f64;
        assert!(moment(1).abs() < 0.02, "{}", moment(1));
        assert!((moment(2) - 4.0).abs() < 0.06, "{}", moment(2));
        assert!((moment(4) - 48.0).abs() < 2.5, "{}", moment(4));
        assert_eq!(numbers[..10], draw.draw(7, 3, 1)[..10]);
        assert_ne!(numbers[0], draw.draw(7, 4, 1)[0]);
        assert_ne!(numbers[0], draw.draw(8, 3, 1)[0]);
    }

    #[test]
    fn orthogonal_matrices_are() {
        for (rows, columns) in [(5, 3), (3, 5), (16, 16)] {
            let law = Law::Orthogonal { rows, columns };
            let m = Draw { count: rows * columns, std: 1.0, law }.draw(0, 0, 0);
            let (long, short) = (rows.max(columns), rows.min(columns));
            let entry = |v: usize, e: usize| if rows >= columns { m[e * columns + v] } else { m[v * columns + e] };
            for a in 0..short {
                for b in 0..short {
                    let product: f64 = (0..long).map(|e| entry(a, e) * entry(b, e)).sum();
                    let want = if a == b { long as f64 } else { 0.0 };
                    assert!((product - want).abs() < 1e-10, "{rows} {columns}: {product}");
                }
            }
        }
    }
}
