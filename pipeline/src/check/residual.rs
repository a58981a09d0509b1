//! The residual of a factor on sampled rows: how far L Lᵀ is from K + noise_var I.

use std::collections::BTreeSet;

use megagram_storage::codec::{Parts, decode};
use megagram_storage::{Id, Kind, Store, TileId};
use serde::Serialize;

use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::leaf;
use crate::pass::Origin;
use crate::schedule::{Name, Space};

/// How far L Lᵀ is from K + noise_var I on sampled rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Residual {
    /// The factor.
    pub factor: Id,
    /// The rows looked at.
    pub rows: Vec<u64>,
    /// The largest `|L Lᵀ − K|[r, c] / √(K[r,r] K[c,c])` over these rows r and all c ≤ r.
    pub worst: f64,
    /// What rounding may make of it: (n + 1)·ε (Higham 2002, theorem 10.3).
    pub bound: f64,
}

impl Residual {
    /// Whether the factor is that of its matrix.
    pub fn holds(&self) -> bool {
        self.worst <= self.bound
    }
}

/// Rows sampled of a factor, spread over it: the first, the last, and some between.
fn sampled(id: &Id, n: u64) -> Vec<u64> {
    let seed = u64::from_str_radix(id.as_str(), 16).unwrap_or(0);
    let between = (1..7).map(|k| (seed.wrapping_mul(2 * k + 1) >> 7) % n);
    let rows: BTreeSet<u64> = [0, n - 1].into_iter().chain(between).collect();
    rows.into_iter().collect()
}

/// Computes the residual of a complete factor. Memory: a few tiles, and 24 n bytes a sampled row.
///
/// # Errors
/// [`megagram_storage::Error::Corrupt`] or `NotFound` for a tile that cannot be used.
pub fn residual(store: &Store, id: &Id) -> Result<Residual> {
    let recipe = Recipe::read(store, Kind::Factor, id)?;
    let Some((place, output, noise_var)) = &recipe.factor else {
        return Err(Error::Defect("the recipe of a factor is none".into()));
    };
    let grid = place.grid;
    let (side, blocks) = (grid.tile as usize, grid.blocks());
    let rows = sampled(id, grid.n);
    let home = |row: u64| (row / u64::from(grid.tile)) as u32;
    let tile = |i, k, out: &mut Vec<f64>| -> Result<()> {
        let load = place.load(TileId::new(i, k));
        decode(&load.key, Parts::whole(store.get(&load.key)?), &load.stamp, "l", side, out)?;
        out.resize(side * side, 0.0);
        Ok(())
    };
    let mut values = Vec::new();
    // Minus the sampled rows of L, one s×side block a block column; zero right of the diagonal.
    let count = rows.len();
    let mut picked = vec![vec![0.0; count * side]; blocks as usize];
    for (s, &row) in rows.iter().enumerate() {
        let at = (row - grid.start(home(row))) as usize;
        for k in 0..=home(row) {
            tile(home(row), k, &mut values)?;
            for c in 0..side {
                picked[k as usize][c * count + s] = -values[c * side + at];
            }
        }
    }
    // found(s×side) −= (−L[r, k]) L[c, k]ᵀ, each tile read once.
    let mut found = vec![vec![0.0; count * side]; blocks as usize];
    for k in 0..blocks {
        for c in k..blocks {
            tile(c, k, &mut values)?;
            leaf::gemm_nt(&mut found[c as usize], &picked[k as usize], &values, count, side);
        }
    }
    let mut worst: f64 = 0.0;
    let source = &recipe.source;
    let read = |i: u32, out: &mut Vec<f64>| -> Result<Name> {
        let name = Name::new(Space::Rows, i, 0);
        if let Origin::Rows { data, block, side } = source.origin(name) {
            data.load_block(store, block, side, out)?;
        }
        source.learn(name, out);
        Ok(name)
    };
    let (mut x, mut y, mut k) = (Vec::new(), Vec::new(), Vec::new());
    for c in 0..blocks {
        let bt = read(c, &mut y)?;
        let homes: BTreeSet<u32> = rows.iter().map(|r| home(*r)).filter(|h| *h >= c).collect();
        for h in homes {
            let at = read(h, &mut x)?;
            source.tile(&[*output], (at, &x), (bt, &y), &mut k)?;
            let (tops, lefts) = (source.diagonal(at, *output)?, source.diagonal(bt, *output)?);
            for (s, &row) in rows.iter().enumerate().filter(|(_, r)| home(**r) == h) {
                let r = (row - grid.start(h)) as usize;
                for col in (0..grid.rows(c)).filter(|col| grid.start(c) + *col as u64 <= row) {
                    let noise = if grid.start(c) + col as u64 == row { *noise_var } else { 0.0 };
                    let wanted = k[col * side + r] + noise;
                    let scale = ((tops[r] + noise_var) * (lefts[col] + noise_var)).sqrt();
                    let difference = (found[c as usize][col * count + s] - wanted).abs() / scale;
                    // A NaN must not pass for small.
                    worst = if difference.is_finite() { worst.max(difference) } else { f64::INFINITY };
                }
            }
        }
    }
    let bound = (grid.n + 1) as f64 * f64::EPSILON;
    Ok(Residual { factor: id.clone(), rows, worst, bound })
}
