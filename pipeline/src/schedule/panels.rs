//! Panels: how the block columns are taken together, chosen by counted tile loads.
//!
//! A panel is `width` block columns from `first`. Whatever its mode, every tile left of it and not above
//! it is read at least once: `first · (blocks − first)` loads. The modes differ in what must be resident
//! so that once is enough:
//! - *strip*: the panel's own rows of L, `width · first` tiles; every lower row passes by once;
//! - *panel*: all targets of the panel, `width · (blocks − first)` tiles; the columns pass by once;
//! - *rect*: a rectangle of targets; the panel's own rows pass by once for each rectangle.
//!
//! Wide panels read less, narrow ones need less memory; dynamic programming over the first column finds
//! the cheapest list. The lower bound is N³/(3√2·√S) words (Beaumont et al., SPAA 2022).
//!
//! Several processes share each panel. Then each holds, and passes by, only what its own targets need
//! ([`Owners::rows_of`], [`Owners::cols_of`]), and their loads are added.

use super::blocks::Resident;
use super::owners::Owners;

/// What is resident while a panel is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The panel's own rows of L.
    Strip,
    /// All targets.
    Panel,
    /// A rectangle of targets.
    Rect,
}

/// A panel of block columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panel {
    /// First block column.
    pub first: u32,
    /// Block columns.
    pub width: u32,
    /// What is resident.
    pub mode: Mode,
    /// Block rows whose targets are in memory together.
    pub rows: u32,
}

/// What the planner may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Tiles that each process holds.
    pub slots: usize,
    /// Who owns which target.
    pub owners: Owners,
    /// Workers of a process.
    pub workers: usize,
    /// Tiles kept free for what is being fetched and stored.
    pub slack: usize,
    /// Rows of a strip under way at once, as a multiple of what keeps the workers busy: more of them
    /// hide the way of a tile from one process to another.
    pub flight: u32,
}

impl Space {
    /// Rows that are needed together in one step while the columns pass by.
    pub fn rows_abreast(self) -> u32 {
        (2 * self.workers as u32).max(2)
    }

    fn fits(self, panel: Panel, blocks: u32) -> bool {
        let of = |count: u32| self.owners.cols_of(count) as usize;
        let targets = |rows: u32| self.owners.targets_of(rows, panel.width) as usize;
        let (first, w, own) = (panel.first as usize, panel.width as usize, of(panel.width));
        let below = blocks - panel.first;
        let abreast = self.rows_abreast() as usize + self.slack;
        let needed = match panel.mode {
            // Two rounds of targets: one is finished and stored while the next begins.
            Mode::Strip => own * first + own * (w + 1) - own * (own + 1) / 2 + 2 * targets(panel.rows) + abreast,
            Mode::Panel => {
                // Where nobody else makes tiles and none lie to the left, nothing passes by.
                let alone = first == 0 && self.owners.processes() == 1;
                let passing = if alone { self.slack.min(below as usize) } else { own + abreast };
                self.owners.panel_of(below, panel.width) as usize + passing
            }
            Mode::Rect => targets(panel.rows) + own + abreast,
        };
        needed <= self.slots
    }
}

/// Tiles of L that all processes together read for a panel.
fn loads(panel: Panel, blocks: u32, owners: Owners) -> u64 {
    let below = blocks - panel.first;
    let (first, w) = (u64::from(panel.first), u64::from(panel.width));
    let own = u64::from(owners.cols_of(panel.width));
    // Columns left of the panel, and those in it that others own, past the rows of the process's targets.
    let once = (first + w - own) * u64::from(owners.rows_of(below));
    // The rows of its columns, unless they are among those rows anyway.
    let heads = if owners.rows_of(below) < below { own * first } else { 0 };
    let again = match panel.mode {
        Mode::Strip | Mode::Panel => 0,
        Mode::Rect => u64::from(below.div_ceil(panel.rows) - 1) * (own * first + own * (w + 1) / 2),
    };
    let each = once + heads + again;
    each * owners.processes() as u64
}

/// The cheapest list of panels for `blocks` block columns, or `None` if not even one column fits.
pub fn choose(blocks: u32, space: Space) -> Option<Vec<Panel>> {
    let mut best: Vec<Option<(u64, Option<Panel>)>> = vec![None; blocks as usize + 1];
    best[blocks as usize] = Some((0, None));
    for first in (0..blocks).rev() {
        for width in 1..=blocks - first {
            let Some((rest, _)) = best[(first + width) as usize] else { continue };
            for panel in candidates(first, width, blocks, space) {
                // Of equals the widest: fewer panels have fewer seams.
                let cost = rest + loads(panel, blocks, space.owners);
                if best[first as usize].is_none_or(|(known, _)| cost <= known) {
                    best[first as usize] = Some((cost, Some(panel)));
                }
            }
        }
    }
    let mut panels = Vec::new();
    let mut first = 0;
    while first < blocks {
        let panel = best[first as usize]?.1?;
        panels.push(panel);
        first += panel.width;
    }
    Some(panels)
}

fn candidates(first: u32, width: u32, blocks: u32, space: Space) -> impl Iterator<Item = Panel> {
    let of = move |mode, rows| Panel { first, width, mode, rows };
    // Enough targets in flight that no worker waits for a chain of updates on one.
    let workers = 2 * space.workers as u32;
    let in_flight = (1..).find(|rows| space.owners.rows_of(*rows) * space.owners.cols_of(width) >= workers);
    let below = blocks - first;
    let rows = (in_flight.unwrap_or(1) * space.flight).min(below);
    let rect = (1..=below).rev().map(move |rows| of(Mode::Rect, rows)).find(|p| space.fits(*p, blocks));
    let others = [of(Mode::Strip, rows), of(Mode::Panel, below)];
    let others = others.into_iter().filter(move |p| space.fits(*p, blocks));
    rect.into_iter().chain(others)
}

/// The resident sets of a list of panels, in order.
pub fn resident_sets(panels: &[Panel], blocks: u32) -> Vec<Resident> {
    let mut sets = Vec::new();
    for panel in panels {
        let cols = panel.first..panel.first + panel.width;
        let mut from = panel.first;
        if panel.mode == Mode::Strip {
            sets.push(Resident { rows: cols.clone(), cols: cols.clone() });
            from = cols.end;
        }
        while from < blocks {
            let to = (from + panel.rows.max(1)).min(blocks);
            sets.push(Resident { rows: from..to, cols: cols.clone() });
            from = to;
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::super::blocks::square;
    use super::*;
    use std::collections::HashSet;

    fn space(slots: usize) -> Space {
        Space { slots, owners: Owners::ALONE, workers: 2, slack: 6, flight: 1 }
    }

    fn total(panels: &[Panel], blocks: u32) -> u64 {
        panels.iter().map(|p| loads(*p, blocks, Owners::ALONE)).sum()
    }

    #[test]
    fn the_sets_of_panels_cover_the_triangle_once() {
        for (blocks, slots, processes) in [(1, 20, 1), (10, 24, 1), (32, 118, 1), (33, 60, 3), (12, 500, 1)] {
            let panels = choose(blocks, Space { owners: Owners::skewed(processes), ..space(slots) }).unwrap();
            let all: Vec<_> = resident_sets(&panels, blocks).iter().flat_map(Resident::targets).collect();
            let distinct: HashSet<_> = all.iter().collect();
            assert_eq!(all.len(), distinct.len());
            assert_eq!(all.len() as u32, blocks * (blocks + 1) / 2);
        }
    }

    #[test]
    fn the_plan_reads_less_than_squares_and_not_less_than_the_bound() {
        for (blocks, slots) in [(32u32, 118usize), (59, 490), (40, 60)] {
            let panels = choose(blocks, space(slots)).unwrap();
            let p = (1..blocks).take_while(|p| (p * p + 2 * p) as usize <= slots).last().unwrap();
            let square: u64 = square(blocks, p)
                .iter()
                .map(|s| {
                    let diagonal = s.rows == s.cols;
                    let rows = if diagonal { s.rows.len() } else { s.rows.len() + s.cols.len() };
                    (rows * s.cols.start as usize) as u64
                        + if diagonal { 0 } else { (s.cols.len() * (s.cols.len() + 1) / 2) as u64 }
                })
                .sum();
            let planned = total(&panels, blocks);
            assert!(planned < square, "{blocks} blocks in {slots}: planned {planned}, square {square}");
            let bound = f64::from(blocks).powi(3) / (3.0 * 2f64.sqrt() * (slots as f64).sqrt()) - slots as f64;
            assert!(planned as f64 >= bound.min(square as f64 / 3.0));
        }
    }

    /// The slow twin: the best of all lists of panels, by trying every first width.
    fn cheapest(first: u32, blocks: u32, space: Space) -> Option<u64> {
        if first == blocks {
            return Some(0);
        }
        (1..=blocks - first)
            .filter_map(|w| {
                let here = candidates(first, w, blocks, space).map(|p| loads(p, blocks, space.owners)).min()?;
                Some(here + cheapest(first + w, blocks, space)?)
            })
            .min()
    }

    #[test]
    fn no_list_of_panels_is_cheaper() {
        for slots in [14, 20, 30, 44, 100] {
            let found = choose(11, space(slots)).map(|p| total(&p, 11));
            assert_eq!(found, cheapest(0, 11, space(slots)), "{slots} slots");
        }
    }
}
