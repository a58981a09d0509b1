//! Border strips: blocks of test rows that stay while the factor streams past.

use std::ops::Range;

use super::{Create, Name, Op, Space, Step, Task};

/// The steps of the border for the strips `strips` and the block columns `cols`:
/// `V[s,k] = (K*[s,k] − Σ_{j<k} V[s,j] L[k,j]ᵀ) L[k,k]⁻ᵀ`.
///
/// With all block columns at once L is read once and V never; with fewer, the columns of V before them are
/// read again.
pub fn border_steps(strips: Range<u32>, cols: Range<u32>, group: u32) -> impl Iterator<Item = Step> {
    let v = |s, k| Name::new(Space::Border, s, k);
    let l = |i, k| Name::new(Space::Factor, i, k);
    let each = move |make: &dyn Fn(u32) -> Task| strips.clone().map(make).collect::<Vec<_>>();
    let update = {
        let each = each.clone();
        move |j: u32, k: u32| {
            let tasks = each(&|s| Task::new(Op::Update, v(s, k), Some(v(s, j)), Some(l(k, j))));
            Step::of(group, vec![], tasks)
        }
    };
    let begins = {
        let each = each.clone();
        cols.clone().map(move |k| {
            let rows = Name::new(Space::Rows, k, 0);
            let tasks = each(&|s| Task::new(Op::Init, v(s, k), Some(Name::new(Space::TestRows, s, 0)), Some(rows)));
            let creates = tasks.iter().map(|t| Create { name: t.target, load: false }).collect();
            Step::of(group, creates, tasks)
        })
    };
    let (first, end) = (cols.start, cols.end);
    let left = {
        let update = update.clone();
        (0..first).flat_map(move |j| {
            let update = update.clone();
            (first..end).map(move |k| update(j, k))
        })
    };
    let within = (first..end).flat_map(move |j| {
        let finish = each(&|s| Task::new(Op::Finish, v(s, j), None, Some(l(j, j))));
        let update = update.clone();
        std::iter::once(Step::of(group, vec![], finish)).chain((j + 1..end).map(move |k| update(j, k)))
    });
    begins.chain(left).chain(within)
}
