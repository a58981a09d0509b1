//! The tile grid of a symmetric matrix: which tiles exist, how large each is.

use serde::{Deserialize, Serialize};

/// A tile's place: block row and block column, lower triangle only (`row >= col`) for a gram or
/// a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TileId {
    /// Block row.
    pub row: u32,
    /// Block column.
    pub col: u32,
}

impl TileId {
    /// The tile at block row `row` and block column `col`.
    pub fn new(row: u32, col: u32) -> Self {
        Self { row, col }
    }

    /// Whether the tile lies on the diagonal.
    pub fn is_diagonal(self) -> bool {
        self.row == self.col
    }
}

impl std::fmt::Display for TileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06}-{:06}", self.row, self.col)
    }
}

impl std::str::FromStr for TileId {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let (row, col) = s.split_once('-').ok_or(())?;
        if row.len() != 6 || col.len() != 6 {
            return Err(());
        }
        Ok(Self { row: row.parse().map_err(|_| ())?, col: col.parse().map_err(|_| ())? })
    }
}

/// The grid of `n` rows cut into tiles of side `tile`; the last block may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileGrid {
    /// Rows of the matrix.
    pub n: u64,
    /// Tile side.
    pub tile: u32,
}

impl TileGrid {
    /// A grid of `n` rows in tiles of side `tile` (both at least 1).
    pub fn new(n: u64, tile: u32) -> Self {
        Self { n, tile: tile.max(1) }
    }

    /// Number of block rows.
    pub fn blocks(&self) -> u32 {
        self.n.div_ceil(u64::from(self.tile)) as u32
    }

    /// Rows in block `i`; 0 past the end.
    pub fn rows(&self, i: u32) -> usize {
        let start = self.start(i);
        self.n.saturating_sub(start).min(u64::from(self.tile)) as usize
    }

    /// First row of block `i`.
    pub fn start(&self, i: u32) -> u64 {
        u64::from(i) * u64::from(self.tile)
    }

    /// Tiles of the lower triangle, column by column.
    pub fn lower(&self) -> impl Iterator<Item = TileId> + use<> {
        let blocks = self.blocks();
        (0..blocks).flat_map(move |col| (col..blocks).map(move |row| TileId { row, col }))
    }

    /// Number of tiles of the lower triangle.
    pub fn lower_len(&self) -> u64 {
        let b = u64::from(self.blocks());
        b * (b + 1) / 2
    }

    /// Payload bytes of tile `id` as stored (without padding), f64.
    pub fn tile_bytes(&self, id: TileId) -> u64 {
        8 * self.rows(id.row) as u64 * self.rows(id.col) as u64
    }
}
