//! Sums over a window along one axis.

use super::{Buffer, Pool};
use crate::kernel::level::{Level, Work};
use std::ops::Range;

/// A pass along one axis: each item of the output is the sum of some runs of the input, times a factor;
/// repeated over two outer axes.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    items: Vec<Item>,
    sources: Vec<usize>,
    /// Repetitions: how often, and the strides in the input and in the output.
    outer: [(usize, usize, usize); 2],
    /// Length of a run.
    run: usize,
}

#[derive(Debug)]
struct Item {
    /// Where it begins, and how many numbers it has.
    out: usize,
    len: usize,
    factor: f64,
    /// The end of its list in `sources`.
    end: usize,
}

impl Pass {
    /// A pass over runs of `run` numbers, repeated as `outer` says (count, stride of the input, of the output).
    /// There will be about `items` of about `sources` runs.
    pub(crate) fn new(run: usize, outer: [(usize, usize, usize); 2], items: usize, sources: usize) -> Pass {
        Pass { items: Vec::with_capacity(items), sources: Vec::with_capacity(items * sources), run, outer }
    }

    /// Adds an item: `out` and `from` are offsets.
    pub(crate) fn item(&mut self, out: usize, factor: f64, from: impl Iterator<Item = usize>) {
        self.sources.extend(from);
        self.items.push(Item { out, len: self.run, factor, end: self.sources.len() });
    }

    /// Adds an item, to the one before where both are one longer item: in the middle of an axis there is one, and not
    /// one a position, whose overhead would be more than its sum.
    pub(crate) fn joined(&mut self, out: usize, factor: f64, from: impl Iterator<Item = usize>) {
        let begin = self.sources.len();
        self.sources.extend(from);
        let before = self.items.len().checked_sub(2).map_or(0, |at| self.items[at].end);
        if let Some(last) = self.items.last_mut() {
            let (old, new) = (&self.sources[before..begin], &self.sources[begin..]);
            let follows = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old + last.len == *new);
            if follows && last.out + last.len == out && last.factor == factor {
                last.len += self.run;
                self.sources.truncate(begin);
                return;
            }
        }
        self.items.push(Item { out, len: self.run, factor, end: self.sources.len() });
    }

    /// Replaces `values` by the sums, `len` numbers.
    pub(crate) fn apply(&self, level: Level, values: &mut Buffer, len: usize, pool: &mut Pool) {
        if values.is_empty() {
            return;
        }
        let mut sums = pool.take(len);
        level.run(Sums { pass: self, items: 0..self.items.len(), from: values, to: &mut sums, origin: 0 });
        pool.give(std::mem::replace(values, sums));
    }

    /// Some of the items alone; `origin` is the offset of the first number of `to`.
    pub(crate) fn some(&self, level: Level, items: Range<usize>, from: &[f64], to: &mut [f64], origin: usize) {
        level.run(Sums { pass: self, items, from, to, origin });
    }

    /// All items, over and over: `times` times, with these strides in the input and in the output.
    pub(crate) fn repeated(&mut self, level: Level, [times, input, output]: [usize; 3], from: &[f64], to: &mut [f64]) {
        self.outer[0] = (times, input, output);
        level.run(Sums { pass: self, items: 0..self.items.len(), from, to, origin: 0 });
    }
}

struct Sums<'a> {
    pass: &'a Pass,
    items: Range<usize>,
    from: &'a [f64],
    to: &'a mut [f64],
    origin: usize,
}

impl Work for Sums<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sums { pass, items, from, to, origin } = self;
        let first = items.start.checked_sub(1).map_or(0, |before| pass.items[before].end);
        let [(n0, in0, out0), (n1, in1, out1)] = pass.outer;
        for i in 0..n0 {
            for j in 0..n1 {
                let (from, to) = (&from[i * in0 + j * in1..], &mut to[i * out0 + j * out1..]);
                let mut begin = first;
                for &Item { out, len: run, factor, end } in &pass.items[items.clone()] {
                    let to = &mut to[out - origin..][..run];
                    // The order of the sum is the same in all cases, and so are its bits.
                    match pass.sources[begin..end] {
                        [] => to.fill(0.0),
                        [a] => {
                            for (to, a) in to.iter_mut().zip(&from[a..][..run]) {
                                *to = a * factor;
                            }
                        }
                        [a, b, c] => {
                            let (a, b, c) = (&from[a..][..run], &from[b..][..run], &from[c..][..run]);
                            for e in 0..run {
                                to[e] = (a[e] + b[e] + c[e]) * factor;
                            }
                        }
                        [first, ref rest @ ..] => {
                            to.copy_from_slice(&from[first..][..run]);
                            for source in rest {
                                for (to, a) in to.iter_mut().zip(&from[*source..][..run]) {
                                    *to += a;
                                }
                            }
                            for to in to {
                                *to *= factor;
                            }
                        }
                    }
                    begin = end;
                }
            }
        }
    }
}
