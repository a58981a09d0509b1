//! Tiles for benches: the same numbers each time, and such that repeated operations stay finite.

/// `len` numbers in (−1, 1), the same for the same seed.
pub fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A lower triangular tile with a diagonal of 2 and little below it: far from singular.
pub fn triangle(side: usize) -> Vec<f64> {
    let mut tile = noise(side * side, 3);
    for (at, value) in tile.iter_mut().enumerate() {
        let (row, col) = (at % side, at / side);
        *value = match row.cmp(&col) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => 2.0,
            std::cmp::Ordering::Greater => *value / side as f64,
        };
    }
    tile
}

/// A positive definite tile: noise, and a diagonal that outweighs it.
pub fn definite(side: usize) -> Vec<f64> {
    let mut tile = noise(side * side, 4);
    for i in 0..side {
        tile[i + i * side] = 2.0 * side as f64;
    }
    tile
}

/// What an operation on tiles of this side counts as, in floating-point operations.
pub mod flops {
    /// C − A·Bᵀ.
    pub fn gemm(side: usize) -> f64 {
        2.0 * cube(side)
    }

    /// Lower triangle of C − A·Aᵀ.
    pub fn syrk(side: usize) -> f64 {
        cube(side)
    }

    /// C·L⁻ᵀ.
    pub fn trsm(side: usize) -> f64 {
        cube(side)
    }

    /// C = L·Lᵀ.
    pub fn potrf(side: usize) -> f64 {
        cube(side) / 3.0
    }

    fn cube(side: usize) -> f64 {
        (side as f64).powi(3)
    }
}
