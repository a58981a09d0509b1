//! Which process owns which target: pure functions of the tile, so that all processes agree.

/// A rule that gives each tile of a pass to one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Tile by tile along antidiagonals: (i, k) belongs to (i + k) mod P. Even, but every process needs
    /// every row.
    Skewed {
        /// How many processes.
        processes: u32,
    },
    /// Block-cyclic over a grid of processes: patch (r, c) belongs to (r mod `rows`, c mod `cols`). A process needs one
    /// row in `rows` for its targets' own rows, and one in `cols` for their columns.
    Grid {
        /// Processes down.
        rows: u32,
        /// Processes across.
        cols: u32,
        /// Side of a patch.
        patch: u32,
    },
}

impl Owners {
    /// One process.
    pub const ALONE: Owners = Owners::Skewed { processes: 1 };

    /// Tile by tile along antidiagonals.
    pub fn skewed(processes: usize) -> Self {
        Owners::Skewed { processes: processes.max(1) as u32 }
    }

    /// The rules worth trying for `processes`: the skewed one, and the grids that are not wider than high: those read
    /// no less and wait more, since the tiles of a row are made one after the other.
    pub fn candidates(processes: usize) -> Vec<Self> {
        let p = processes.max(1) as u32;
        if p == 1 {
            return vec![Self::ALONE];
        }
        let shapes = (1..=p).filter(|rows| p.is_multiple_of(*rows) && rows * rows >= p);
        let grids = shapes.flat_map(|rows| [1, 2].map(|patch| Owners::Grid { rows, cols: p / rows, patch }));
        std::iter::once(Self::skewed(processes)).chain(grids).collect()
    }

    /// How many processes share the targets.
    pub fn processes(self) -> usize {
        match self {
            Owners::Skewed { processes } => processes as usize,
            Owners::Grid { rows, cols, .. } => (rows * cols) as usize,
        }
    }

    /// The process that owns tile (i, k).
    pub fn of(self, i: u32, k: u32) -> usize {
        match self {
            Owners::Skewed { processes } => ((i + k) % processes) as usize,
            Owners::Grid { rows, cols, patch } => ((i / patch % rows) * cols + k / patch % cols) as usize,
        }
    }

    /// Of `count` neighbouring block rows, the most in which one process has targets.
    pub fn rows_of(self, count: u32) -> u32 {
        match self {
            Owners::Skewed { .. } => count,
            Owners::Grid { rows, patch, .. } => share(count, rows, patch),
        }
    }

    /// Of `count` neighbouring block columns, the most in which one process has targets.
    pub fn cols_of(self, count: u32) -> u32 {
        match self {
            Owners::Skewed { .. } => count,
            Owners::Grid { cols, patch, .. } => share(count, cols, patch),
        }
    }

    /// The most targets that one process has in a rectangle of `rows`×`cols`.
    pub fn targets_of(self, rows: u32, cols: u32) -> u32 {
        match self {
            Owners::Skewed { processes } => (rows * cols.div_ceil(processes)).min(cols * rows.div_ceil(processes)),
            Owners::Grid { .. } => self.rows_of(rows) * self.cols_of(cols),
        }
    }

    /// The most targets that one process has in a panel of `cols` block columns whose first has `rows` block rows
    /// from the diagonal down.
    pub fn panel_of(self, rows: u32, cols: u32) -> u32 {
        match self {
            Owners::Skewed { processes } => (0..cols).map(|c| (rows - c).div_ceil(processes)).sum(),
            // Most has who has the first column.
            Owners::Grid { cols: across, patch, .. } => {
                let own = (0..cols).filter(|c| c / patch % across == 0);
                own.map(|c| self.rows_of(rows - c)).sum()
            }
        }
    }
}

/// Of `count` neighbours dealt out in patches to `among`, the most that one gets, wherever they begin.
fn share(count: u32, among: u32, patch: u32) -> u32 {
    if among == 1 {
        return count;
    }
    let (rounds, rest) = (count / (among * patch), count % (among * patch));
    rounds * patch + rest.min(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_told_are_the_largest_there_are() {
        for processes in [1, 2, 3, 4, 6, 16] {
            for owners in Owners::candidates(processes) {
                assert_eq!(owners.processes(), processes);
                for (r0, rows, c0, cols) in [(0u32, 7u32, 0u32, 5u32), (3, 4, 1, 1), (5, 1, 2, 9), (1, 12, 6, 12)] {
                    let mut targets = vec![0u32; processes];
                    let mut down = vec![std::collections::HashSet::new(); processes];
                    let mut across = down.clone();
                    for i in r0..r0 + rows {
                        for k in c0..c0 + cols {
                            let p = owners.of(i, k);
                            targets[p] += 1;
                            down[p].insert(i);
                            across[p].insert(k);
                        }
                    }
                    let most = |sets: &[std::collections::HashSet<u32>]| sets.iter().map(|s| s.len() as u32).max();
                    assert!(most(&down) <= Some(owners.rows_of(rows)), "{owners:?}");
                    assert!(most(&across) <= Some(owners.cols_of(cols)), "{owners:?}");
                    assert!(
                        targets.iter().all(|t| *t <= owners.targets_of(rows, cols)),
                        "{owners:?} {rows}×{cols} {targets:?}"
                    );
                }
            }
        }
    }
    #[test]
    fn the_targets_told_of_a_panel_are_the_most_there_are() {
        for processes in [1, 2, 3, 4, 6, 16] {
            for owners in Owners::candidates(processes) {
                for (first, rows, cols) in [(0u32, 9u32, 9u32), (3, 7, 2), (5, 12, 5), (2, 1, 1), (1, 20, 13)] {
                    let mut targets = vec![0u32; processes];
                    for (i, k) in (first..first + cols).flat_map(|k| (k..first + rows).map(move |i| (i, k))) {
                        targets[owners.of(i, k)] += 1;
                    }
                    let told = owners.panel_of(rows, cols);
                    assert!(targets.iter().all(|t| *t <= told), "{owners:?} {rows}×{cols}: {targets:?}, told {told}");
                    assert!(processes > 1 || targets[0] == told);
                }
            }
        }
    }
}
