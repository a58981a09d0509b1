//! Square resident blocks for the left-looking sweep: p×p targets stay, finished tiles stream past.

use std::ops::Range;
use std::sync::Arc;

use super::{Create, Name, Op, Space, Step, Task};

/// Targets that are in memory at the same time: block rows × block columns, lower triangle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// Block rows.
    pub rows: Range<u32>,
    /// Block columns.
    pub cols: Range<u32>,
}

impl Resident {
    /// The targets, column by column.
    pub fn targets(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (rows, cols) = (self.rows.clone(), self.cols.clone());
        cols.flat_map(move |k| (rows.start.max(k)..rows.end).map(move |i| (i, k)))
    }
}

/// The resident sets of side `p` that cover the lower triangle of `blocks`×`blocks` tiles, in an order
/// that respects the dependencies: block columns left to right, each from the diagonal down.
pub fn square(blocks: u32, p: u32) -> Vec<Resident> {
    let p = p.max(1);
    let cut = |c: u32| (c * p)..((c + 1) * p).min(blocks);
    let count = blocks.div_ceil(p);
    (0..count).flat_map(|c| (c..count).map(move |r| Resident { rows: cut(r), cols: cut(c) })).collect()
}

/// How a factor's targets begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// K is read from the stored Gram.
    Load,
    /// K is computed from the rows.
    Compute,
}

/// The steps of the factor sweep for one resident set and one process:
/// `L[i,k] = (K[i,k] − Σ_{j<k} L[i,j] L[k,j]ᵀ) L[k,k]⁻ᵀ` for the targets that `mine` holds.
///
/// Columns left of the set first, `abreast` rows of them a step, so that little needs to be in memory
/// beside the targets; then right-looking within the set, column j+1 first so that its diagonal tile is
/// factored while the rest of column j is applied.
pub fn factor_steps<'a>(
    set: &Resident,
    group: u32,
    begin: Begin,
    abreast: u32,
    mine: impl Fn(u32, u32) -> bool,
) -> Box<dyn Iterator<Item = Step> + 'a> {
    let l = |i, k| Name::new(Space::Factor, i, k);
    let x = |i| Name::new(Space::Rows, i, 0);
    let update = move |i, k, j| Task::new(Op::Update, l(i, k), Some(l(i, j)), Some(l(k, j)));
    let finish = move |i, k| Task::new(Op::Finish, l(i, k), None, (i != k).then(|| l(k, k)));
    let targets: Arc<[(u32, u32)]> = set.targets().filter(|(i, k)| mine(*i, *k)).collect();
    if targets.is_empty() {
        return Box::new(std::iter::empty());
    }
    // What one column does to the targets of others, a few rows of it at a time.
    let band_of = |i: u32| ((i - set.rows.start) / abreast.max(1)) as usize;
    let mut bands = vec![Vec::new(); band_of(set.rows.end - 1) + 1];
    for &(i, k) in targets.iter() {
        bands[band_of(i)].push((i, k));
    }
    let bands: Arc<[Vec<(u32, u32)>]> = bands.into();
    let apply = move |j: u32, band: usize, cols: Range<u32>| -> Step {
        let hit = bands[band].iter().filter(|(_, k)| cols.contains(k));
        Step::of(group, vec![], hit.map(|&(i, k)| update(i, k, j)).collect())
    };
    let count = band_of(set.rows.end - 1) + 1;
    let diagonal = {
        let targets = Arc::clone(&targets);
        move |k: u32| targets.contains(&(k, k)).then(|| finish(k, k))
    };
    let below = {
        let targets = Arc::clone(&targets);
        move |j: u32| -> Vec<Task> {
            let hit = targets.iter().filter(|&&(i, k)| k == j && i > j);
            hit.map(|&(i, k)| finish(i, k)).collect()
        }
    };
    let (first, end) = (set.cols.start, set.cols.end);
    let begins = (0..targets.len()).map(move |t| {
        let (i, k) = targets[t];
        let create = vec![Create { name: l(i, k), load: begin == Begin::Load }];
        let init = (begin == Begin::Compute).then(|| Task::new(Op::Init, l(i, k), Some(x(i)), Some(x(k))));
        Step::of(group, create, init.into_iter().collect())
    });
    let left = {
        let apply = apply.clone();
        (0..first).flat_map(move |j| {
            let apply = apply.clone();
            (0..count).map(move |band| apply(j, band, first..end))
        })
    };
    let corner = diagonal(first).into_iter().map(move |t| Step::of(group, vec![], vec![t]));
    let within = (first..end).flat_map(move |j| {
        let diagonal = (j + 1 < end).then(|| diagonal(j + 1)).flatten();
        let mut steps = vec![Step::of(group, vec![], below(j))];
        steps.extend((0..count).map(|band| apply(j, band, j + 1..j + 2)));
        steps.push(Step::of(group, vec![], diagonal.into_iter().collect()));
        steps.extend((0..count).map(|band| apply(j, band, j + 2..end)));
        steps
    });
    let steps = begins.chain(left).chain(corner).chain(within);
    Box::new(steps.filter(|s| !s.tasks.is_empty() || !s.creates.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::super::owners::Owners;
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn square_sets_cover_the_triangle_once() {
        for (blocks, p) in [(1, 1), (7, 3), (8, 4), (10, 16)] {
            let all: Vec<_> = square(blocks, p).iter().flat_map(Resident::targets).collect();
            let distinct: HashSet<_> = all.iter().copied().collect();
            assert_eq!(all.len(), distinct.len());
            assert_eq!(all.len() as u32, blocks * (blocks + 1) / 2);
        }
    }

    /// Runs the schedule of all processes in group order and checks that each target gets its updates in
    /// ascending order, once each, then its finish, and reads only what is finished.
    #[test]
    fn every_target_is_updated_in_order_and_finished_once() {
        let cases = [(5u32, 2, 1), (6, 3, 2), (4, 9, 3), (7, 4, 4)];
        let all = cases.iter().flat_map(|c| Owners::candidates(c.2).into_iter().map(move |o| (c.0, c.1, c.2, o)));
        for (blocks, p, processes, owners) in all {
            let mut applied: HashMap<Name, u32> = HashMap::new();
            let mut finished: HashSet<Name> = HashSet::new();
            for (group, set) in square(blocks, p).iter().enumerate() {
                let mut shares: Vec<std::collections::VecDeque<Step>> = (0..processes)
                    .map(|q| factor_steps(set, group as u32, Begin::Load, 2, |i, k| owners.of(i, k) == q).collect())
                    .collect();
                while shares.iter().any(|s| !s.is_empty()) {
                    let mut moved = false;
                    for share in &mut shares {
                        let ready = |s: &Step| {
                            let own: HashSet<_> =
                                s.tasks.iter().filter(|t| t.op == Op::Finish).map(|t| t.target).collect();
                            s.needs.iter().all(|n| finished.contains(n) && !own.contains(n))
                        };
                        if share.front().is_some_and(ready) {
                            for task in share.pop_front().unwrap().tasks {
                                let done = applied.entry(task.target).or_default();
                                match task.op {
                                    Op::Init => unreachable!(),
                                    Op::Update => {
                                        assert_eq!(task.a.unwrap().col, *done);
                                        *done += 1;
                                    }
                                    Op::Finish => {
                                        assert_eq!(*done, task.target.col);
                                        assert!(finished.insert(task.target));
                                    }
                                }
                            }
                            moved = true;
                        }
                    }
                    assert!(moved, "the schedule is stuck");
                }
            }
            assert_eq!(finished.len() as u32, blocks * (blocks + 1) / 2);
        }
    }
}
