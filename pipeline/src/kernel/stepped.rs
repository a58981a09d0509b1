//! Rows whose numbers lie on at most 256 even steps: images of bytes, counts, and what a scale and a shift and norm of each row
//! make of them. Their scalar products are sums of products of bytes, exact, and cost an eighth.
//!
//! With x = mean + step·(m − m̄), m whole from 0 to 255 and m̄ its mean, x·x'/d = mean·mean' + (step/d)·(step'/d)·(d·Σmm' − Σm·Σm').

use super::level::{Level, Work, mul_add};
use crate::leaf::{BYTE_TERMS_MAX, ByteSide, Bytes};

/// Fewer numbers are not worth it, and might lie on steps by chance.
const WIDTH_MIN: usize = 64;
/// With more d²·255² would not be a whole number of f64.
const WIDTH_MAX: usize = 1 << 18;
/// How far from its step a number may lie, in ulps of the largest number of its row: what preparing rows may round.
const ULPS: f64 = 16.0;
/// The last step.
const LAST: f64 = 255.0;
/// Its lowest bits are whole numbers.
const WHOLE: f64 = (1u64 << 52) as f64;

/// The steps of a block of rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    width: f64,
    /// The least number of a row and the inverse of its step.
    least: Vec<f64>,
    inverse: Vec<f64>,
    /// Its mean, its step divided by the width, and Σm.
    mean: Vec<f64>,
    step: Vec<f64>,
    sum: Vec<f64>,
    /// x·x/d.
    square: Vec<f64>,
    /// Rows that lie on no steps, ascending.
    loose: Vec<usize>,
}

impl Steps {
    /// Whether rows of this width may lie on steps.
    pub(crate) fn may_be(width: usize) -> bool {
        (WIDTH_MIN..=WIDTH_MAX).contains(&width)
    }

    /// The steps of `rows` rows of `x`, row-major; `None` if no row has any.
    pub(crate) fn of(level: Level, x: &[f64], rows: usize) -> Option<Steps> {
        let width = x.len() / rows.max(1);
        if !Steps::may_be(width) {
            return None;
        }
        let mut steps = Steps { width: width as f64, ..Steps::default() };
        for (row, values) in x.chunks_exact(width).enumerate() {
            let Found { least, step, inverse, sum, squares } = find(level, values).unwrap_or_else(|| {
                steps.loose.push(row);
                Found::default()
            });
            steps.least.push(least);
            steps.inverse.push(inverse);
            steps.mean.push(step * (sum / steps.width) + least);
            steps.step.push(step / steps.width);
            steps.sum.push(sum);
            let numbers = steps.numbers(row);
            let mut square = [squares];
            level.run(Covariances { steps: &steps, first: row, column: numbers, k: &mut square });
            steps.square.push(square[0]);
        }
        steps.step.iter().any(|step| *step > 0.0).then_some(steps)
    }

    /// x·x/d of a row, with the bits of [`Steps::covariances`]; `None` if the row lies on no steps.
    pub(crate) fn square(&self, row: usize) -> Option<f64> {
        if self.is_loose(row) { None } else { Some(self.square[row]) }
    }

    /// Whether a row lies on no steps.
    pub(crate) fn is_loose(&self, row: usize) -> bool {
        self.loose.binary_search(&row).is_ok()
    }

    /// Rows that lie on no steps, ascending.
    pub(crate) fn loose(&self) -> &[usize] {
        &self.loose
    }

    /// Bytes of memory for so many rows.
    pub(crate) fn memory(rows: usize) -> usize {
        7 * rows * size_of::<f64>()
    }

    /// Lays out the whole numbers of the rows of `x` from term `from` on, at most [`BYTE_TERMS_MAX`].
    pub(crate) fn lay(&self, level: Level, x: &[f64], from: usize, side: ByteSide, bytes: &mut Bytes) {
        let width = x.len() / self.sum.len();
        let terms = BYTE_TERMS_MAX.min(width - from);
        bytes.start(side, self.sum.len(), terms);
        level.run(Lay { steps: self, x, width, from, terms, bytes });
    }

    /// Makes x·x'/d of Σmm', for the rows from `first` on with one `column` of `other`.
    pub(crate) fn covariances(&self, level: Level, first: usize, other: &Steps, column: usize, k: &mut [f64]) {
        level.run(Covariances { steps: self, first, column: other.numbers(column), k });
    }

    fn numbers(&self, row: usize) -> [f64; 3] {
        [self.mean[row], self.step[row], self.sum[row]]
    }
}

#[inline(always)]
fn covariance<const FMA: bool>(row: [f64; 3], column: [f64; 3], products: f64, width: f64) -> f64 {
    // Whole numbers below 2⁵³: exact.
    let spread = width * products - row[2] * column[2];
    // A zero row's are +0, as sums of f64 are.
    mul_add::<FMA>(row[1] * column[1], spread, row[0] * column[0]) + 0.0
}

struct Covariances<'a> {
    steps: &'a Steps,
    first: usize,
    column: [f64; 3],
    k: &'a mut [f64],
}

impl Work for Covariances<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Covariances { steps, first, column, k } = self;
        let n = k.len();
        let (mean, step) = (&steps.mean[first..][..n], &steps.step[first..][..n]);
        let (sum, width) = (&steps.sum[first..][..n], steps.width);
        for i in 0..n {
            k[i] = covariance::<FMA>([mean[i], step[i], sum[i]], column, k[i], width);
        }
    }
}

/// The steps on which the numbers of a row lie, `least + step·m`, and Σm and Σm².
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Found {
    least: f64,
    step: f64,
    inverse: f64,
    sum: f64,
    squares: f64,
}

/// The steps of a row. Those of a zero row are nothing; other equal numbers lie on none, for no row's steps may turn on what
/// else is in its block.
fn find(level: Level, row: &[f64]) -> Option<Found> {
    let mut ends = Ends::default();
    level.run(FindEnds { row, ends: &mut ends });
    let Ends { least, largest } = ends;
    let range = largest - least;
    if range == 0.0 {
        return (least == 0.0).then(Found::default);
    }
    let near = ULPS * f64::EPSILON * least.abs().max(largest.abs());
    let mut gap = range;
    level.run(FindGap { row, least, gap: &mut gap });
    // The first number above the least is some whole number of steps away.
    for steps_of_gap in 1..=LAST as u32 {
        let steps_of_gap = f64::from(steps_of_gap);
        let last = (steps_of_gap * range / gap).round();
        if last > LAST {
            return None;
        }
        if (last * gap - steps_of_gap * range).abs() > (last + steps_of_gap) * near {
            continue;
        }
        let (step, inverse) = (range / last, last / range);
        if !(step.is_normal() && inverse.is_normal()) {
            return None;
        }
        let mut found = Found { least, step, inverse, sum: 0.0, squares: 0.0 };
        let mut far = f64::INFINITY;
        level.run(Try { row, found: &mut found, far: &mut far });
        if far <= near {
            return Some(found);
        }
    }
    None
}

/// The whole number of a number in the low bits of what is returned.
#[inline(always)]
fn whole(x: f64, least: f64, inverse: f64) -> f64 {
    (x - least) * inverse + WHOLE
}

#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    least: f64,
    largest: f64,
}

/// Numbers that loops take at once.
const WIDE: usize = 16;

struct FindEnds<'a> {
    row: &'a [f64],
    ends: &'a mut Ends,
}

impl Work for FindEnds<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let first = self.row[0];
        let (pieces, rest) = self.row.as_chunks::<WIDE>();
        let (mut least, mut largest) = ([first; WIDE], [first; WIDE]);
        for at in 0..=pieces.len() {
            let piece = if at < pieces.len() { pieces[at] } else { filled(rest, first) };
            for i in 0..WIDE {
                least[i] = if piece[i] < least[i] { piece[i] } else { least[i] };
                largest[i] = if piece[i] > largest[i] { piece[i] } else { largest[i] };
            }
        }
        let (least, largest) = (least.into_iter().fold(first, f64::min), largest.into_iter().fold(first, f64::max));
        *self.ends = Ends { least, largest };
    }
}

/// The last piece of a row, filled up.
#[inline(always)]
fn filled(rest: &[f64], with: f64) -> [f64; WIDE] {
    let mut piece = [with; WIDE];
    piece[..rest.len()].copy_from_slice(rest);
    piece
}

struct FindGap<'a> {
    row: &'a [f64],
    least: f64,
    gap: &'a mut f64,
}

impl Work for FindGap<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (pieces, rest) = self.row.as_chunks::<WIDE>();
        let mut gaps = [*self.gap; WIDE];
        for at in 0..=pieces.len() {
            let piece = if at < pieces.len() { pieces[at] } else { filled(rest, self.least) };
            for i in 0..WIDE {
                let gap = piece[i] - self.least;
                gaps[i] = if (gap > 0.0) & (gap < gaps[i]) { gap } else { gaps[i] };
            }
        }
        *self.gap = gaps.into_iter().fold(*self.gap, f64::min);
    }
}

/// How far the farthest number of a row lies from the steps; sums over its whole numbers.
struct Try<'a> {
    row: &'a [f64],
    found: &'a mut Found,
    far: &'a mut f64,
}

impl Work for Try<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Found { least, step, inverse, .. } = *self.found;
        let (pieces, rest) = self.row.as_chunks::<WIDE>();
        let (mut far, mut sums, mut squares) = ([0.0; WIDE], [0.0; WIDE], [0.0; WIDE]);
        for at in 0..=pieces.len() {
            let piece = if at < pieces.len() { pieces[at] } else { filled(rest, least) };
            for i in 0..WIDE {
                let m = whole(piece[i], least, inverse) - WHOLE;
                let off = (piece[i] - (m * step + least)).abs();
                far[i] = if off > far[i] { off } else { far[i] };
                sums[i] += m;
                squares[i] += m * m;
            }
        }
        *self.far = far.into_iter().fold(0.0, f64::max);
        (self.found.sum, self.found.squares) = (sums.iter().sum(), squares.iter().sum());
    }
}

struct Lay<'a> {
    steps: &'a Steps,
    x: &'a [f64],
    width: usize,
    from: usize,
    terms: usize,
    bytes: &'a mut Bytes,
}

impl Work for Lay<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Lay { steps, x, width, from, terms, bytes } = self;
        let mut whole_numbers = [0; BYTE_TERMS_MAX];
        for (row, values) in x.chunks_exact(width).enumerate() {
            let (least, inverse) = (steps.least[row], steps.inverse[row]);
            let whole_numbers = &mut whole_numbers[..terms];
            for (m, x) in whole_numbers.iter_mut().zip(&values[from..][..terms]) {
                *m = whole(*x, least, inverse).to_bits() as u8;
            }
            bytes.set(row, whole_numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(width: usize, seed: usize) -> Vec<f64> {
        (0..width).map(|i| if i % 3 == 0 { 0.0 } else { ((i * i * 7 + seed * 31) % 256) as f64 }).collect()
    }

    /// Rows as preparations leave them.
    fn prepared(raw: &[f64]) -> Vec<Vec<f64>> {
        let n = raw.len() as f64;
        let mean = raw.iter().sum::<f64>() / n;
        let deviation = (raw.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
        let norm = (raw.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        let map = |f: &dyn Fn(f64) -> f64| raw.iter().map(|x| f(*x)).collect::<Vec<_>>();
        vec![
            raw.to_vec(),
            map(&|x| x * (1.0 / 255.0)),
            map(&|x| x / norm),
            map(&|x| (x * 0.00392 - mean * 0.00392) / (deviation * 0.00392)),
            map(&|x| (x - 127.0) * -3.0e-7),
        ]
    }

    #[test]
    fn prepared_bytes_lie_on_steps_and_their_products_are_exact() {
        for level in Level::all() {
            for width in [64, 100, 784, 3072] {
                let (one, other) = (prepared(&bytes(width, 1)), prepared(&bytes(width, 2)));
                for (row, (x, y)) in one.iter().zip(&other).enumerate() {
                    let both = [x.as_slice(), y.as_slice()].concat();
                    let steps = Steps::of(level, &both, 2).expect("rows of bytes");
                    assert!(steps.loose().is_empty(), "{width}: row {row}");
                    let (mut a, mut b) = (Bytes::default(), Bytes::default());
                    let mut products = vec![0.0; 4];
                    for from in (0..width).step_by(BYTE_TERMS_MAX) {
                        steps.lay(level, &both, from, ByteSide::Left, &mut a);
                        steps.lay(level, &both, from, ByteSide::Right, &mut b);
                        crate::leaf::byte_products(&mut a, &mut b, &mut products, (from > 0, false));
                    }
                    let mut k = [products[2], products[3]];
                    steps.covariances(level, 0, &steps, 1, &mut k);
                    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
                    let want = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / width as f64;
                    let bound = 4e-16 * norm(x) * norm(y) / width as f64 * (width as f64).sqrt();
                    assert!((k[0] - want).abs() <= bound, "{width}: row {row}: {} is not {want}", k[0]);
                    assert_eq!(Some(k[1]), steps.square(1), "the diagonal has the bits of the product");
                }
            }
        }
    }

    #[test]
    fn other_rows_lie_on_none() {
        let wave: Vec<f64> = (0..100).map(|i| libm::sin(i as f64)).collect();
        let equal = vec![3.0; 100];
        let many: Vec<f64> = (0..300).map(f64::from).collect();
        let mut off = bytes(100, 1);
        off[17] += 1e-9;
        for row in [&wave, &equal, &many, &off] {
            assert!(Steps::of(Level::detect(), row, 1).is_none());
        }
        let mixed = [wave, bytes(100, 1), vec![0.0; 100]].concat();
        let steps = Steps::of(Level::detect(), &mixed, 3).expect("a row of bytes");
        assert_eq!(steps.loose(), [0]);
        assert_eq!((steps.square(0), steps.square(2)), (None, Some(0.0)));
    }
}
