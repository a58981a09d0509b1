//! Sums over a window along one axis.

use super::Pool;
use crate::kernel::level::{Level, Work};

/// A pass along one axis: each item of the output is the sum of some runs of the input, times a factor;
/// repeated over two outer axes.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Where each item begins, its factor, and the end of its list in `sources`.
    items: Vec<(usize, f64, usize)>,
    sources: Vec<usize>,
    /// Repetitions: how often, and the strides in the input and in the output.
    outer: [(usize, usize, usize); 2],
    /// Length of a run.
    run: usize,
}

impl Pass {
    /// A pass over runs of `run` numbers, repeated as `outer` says (count, stride of the input, of the output).
    pub(crate) fn new(run: usize, outer: [(usize, usize, usize); 2]) -> Pass {
        Pass { run, outer, ..Pass::default() }
    }

    /// Adds an item: `out` and `from` are offsets.
    pub(crate) fn item(&mut self, out: usize, factor: f64, from: impl Iterator<Item = usize>) {
        self.sources.extend(from);
        self.items.push((out, factor, self.sources.len()));
    }

    /// Replaces `values` by the sums, `len` numbers.
    pub(crate) fn apply(&self, level: Level, values: &mut Vec<f64>, len: usize, pool: &mut Pool) {
        if values.is_empty() {
            return;
        }
        let mut sums = pool.take(len);
        level.run(Sums { pass: self, from: values, to: &mut sums });
        pool.give(std::mem::replace(values, sums));
    }
}

struct Sums<'a> {
    pass: &'a Pass,
    from: &'a [f64],
    to: &'a mut [f64],
}

impl Work for Sums<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Sums { pass, from, to } = self;
        let [(n0, in0, out0), (n1, in1, out1)] = pass.outer;
        let run = pass.run;
        for i in 0..n0 {
            for j in 0..n1 {
                let (from, to) = (&from[i * in0 + j * in1..], &mut to[i * out0 + j * out1..]);
                let mut begin = 0;
                for &(out, factor, end) in &pass.items {
                    let to = &mut to[out..][..run];
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
