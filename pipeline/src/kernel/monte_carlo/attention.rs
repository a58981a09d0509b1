//! Attention of finite networks: one head, keys and queries tied, 1/d scaling.

use super::Step;
use super::draft::Draft;
use super::random::{Law, dot};
use super::signal::{Signal, multiply};

/// ζ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weighing {
    Softmax,
    Identity,
    Abs,
    Relu,
}

/// An attention layer as the limit knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionLayer {
    pub(crate) weighing: Weighing,
    /// Standard deviations: key times query, value times out.
    pub(crate) qk: f64,
    pub(crate) ov: f64,
    pub(crate) b_var: f64,
}

/// The places of the arrays among those drawn.
#[derive(Debug, Clone, Copy)]
struct Arrays {
    keys: usize,
    values: usize,
    out: usize,
    biases: usize,
}

#[derive(Debug)]
struct Attention {
    layer: AttentionLayer,
    width: usize,
    values: Arrays,
    tangents: Option<Arrays>,
}

impl Draft {
    /// Adds an attention layer.
    pub(crate) fn attention(&mut self, layer: AttentionLayer) {
        let (inputs, width) = (self.channels, self.settings.width);
        let arrays = |draft: &mut Draft| {
            let mut matrix =
                |rows: usize| draft.array(rows.saturating_mul(width), 1.0 / (rows as f64).sqrt(), Law::Gaussian);
            let (keys, values, out) = (matrix(inputs), matrix(inputs), matrix(width));
            Arrays { keys, values, out, biases: draft.array(width, layer.b_var.sqrt(), Law::Gaussian) }
        };
        let values = arrays(self);
        let tangents = self.ntk.then(|| arrays(self));
        self.advance(self.pixels, width);
        self.push(Attention { layer, width, values, tangents });
    }
}

impl Weighing {
    /// The weights of one query's scores, in place, and their derivatives along those of the scores.
    fn weigh(self, scores: &mut [f64], slopes: &mut [f64], counts: &[bool]) {
        let zero = |value: &mut f64, counts: bool| *value = if counts { *value } else { 0.0 };
        match self {
            Weighing::Identity => {}
            Weighing::Abs => {
                slopes.iter_mut().zip(&*scores).for_each(|(slope, score)| *slope *= score.signum());
                scores.iter_mut().for_each(|score| *score = score.abs());
            }
            Weighing::Relu => {
                slopes.iter_mut().zip(&*scores).for_each(|(slope, score)| zero(slope, *score > 0.0));
                scores.iter_mut().for_each(|score| *score = score.max(0.0));
            }
            Weighing::Softmax => {
                let known = scores.iter().zip(counts).filter(|(_, counts)| **counts);
                let largest = known.fold(f64::NEG_INFINITY, |largest, (score, _)| largest.max(*score));
                for (score, counts) in scores.iter_mut().zip(counts) {
                    *score = if *counts { libm::exp(*score - largest) } else { 0.0 };
                }
                let sum: f64 = scores.iter().sum();
                if sum > 0.0 {
                    scores.iter_mut().for_each(|score| *score /= sum);
                }
                let mean: f64 = scores.iter().zip(&*slopes).map(|(weight, slope)| weight * slope).sum();
                slopes.iter_mut().zip(&*scores).for_each(|(slope, weight)| *slope = weight * (*slope - mean));
            }
        }
        scores.iter_mut().zip(counts).for_each(|(score, counts)| zero(score, *counts));
        slopes.iter_mut().zip(counts).for_each(|(slope, counts)| zero(slope, *counts));
    }
}

/// The product of all positions with a matrix, and its derivative.
struct Linear {
    values: Vec<f64>,
    tangents: Vec<f64>,
}

impl Attention {
    fn linear(&self, signal: &Signal, (x, t): (&[f64], &[f64]), w: &[f64], v: Option<&[f64]>) -> Linear {
        let (n, level) = (self.width, signal.level);
        let of = |from: &[f64], w: &[f64], to: &mut [f64]| multiply(level, from, w, n, to);
        let len = signal.rows * signal.pixels * n;
        let (mut values, mut tangents) = (vec![0.0; len], Vec::new());
        of(x, w, &mut values);
        if let Some(v) = v {
            tangents.resize(len, 0.0);
            of(t, w, &mut tangents);
            of(x, v, &mut tangents);
        }
        Linear { values, tangents }
    }

    /// The mean of the values of one row by the weights of each query, into `out` (values, tangents).
    fn mix(&self, keys: [&[f64]; 2], values: [&[f64]; 2], counts: &[bool], out: [&mut [f64]; 2]) {
        let n = self.width;
        let [out, out_slopes] = out;
        let scale = self.layer.qk / n as f64;
        let at = |list: &[f64], position: usize| -> std::ops::Range<usize> {
            if list.is_empty() { 0..0 } else { position * n..(position + 1) * n }
        };
        let pixels = counts.len();
        let ntk = !keys[1].is_empty();
        let (mut scores, mut slopes) = (vec![0.0; pixels], vec![0.0; if ntk { pixels } else { 0 }]);
        for p in 0..pixels {
            let key = |list: usize, position: usize| &keys[list][at(keys[list], position)];
            for a in 0..pixels {
                scores[a] = scale * dot(key(0, p), key(0, a));
                if ntk {
                    slopes[a] = scale * (dot(key(1, p), key(0, a)) + dot(key(0, p), key(1, a)));
                }
            }
            self.layer.weighing.weigh(&mut scores, &mut slopes, counts);
            for a in 0..pixels {
                let value = &values[0][at(values[0], a)];
                let out = &mut out[p * n..][..n];
                out.iter_mut().zip(value).for_each(|(out, value)| *out += scores[a] * value);
                if ntk {
                    let tangent = &values[1][at(values[1], a)];
                    for (c, out) in out_slopes[p * n..][..n].iter_mut().enumerate() {
                        *out += slopes[a] * value[c] + scores[a] * tangent[c];
                    }
                }
            }
        }
    }
}

impl Step for Attention {
    fn apply(&self, drawn: &[Vec<f64>], signal: &mut Signal) {
        let n = self.width;
        let direction = |of: fn(Arrays) -> usize| self.tangents.map(|arrays| drawn[of(arrays)].as_slice());
        let input = (signal.values.as_slice(), signal.tangents.as_slice());
        let keys = self.linear(signal, input, &drawn[self.values.keys], direction(|a| a.keys));
        let values = self.linear(signal, input, &drawn[self.values.values], direction(|a| a.values));
        let (mut mixed, mut slopes) = (vec![0.0; values.values.len()], vec![0.0; values.tangents.len()]);
        let of_row = signal.pixels * n;
        for row in 0..signal.rows {
            let counts: Vec<bool> = (0..signal.pixels).map(|p| signal.counts(row * signal.pixels + p)).collect();
            let part = |list: &'_ [f64]| -> std::ops::Range<usize> {
                if list.is_empty() { 0..0 } else { row * of_row..(row + 1) * of_row }
            };
            let of = |of: &'_ Linear| (part(&of.values), part(&of.tangents));
            let ((k, kt), (v, vt), st) = (of(&keys), of(&values), part(&slopes));
            self.mix(
                [&keys.values[k.clone()], &keys.tangents[kt]],
                [&values.values[v], &values.tangents[vt]],
                &counts,
                [&mut mixed[k], &mut slopes[st]],
            );
        }
        let Linear { mut values, mut tangents } =
            self.linear(signal, (&mixed, &slopes), &drawn[self.values.out], direction(|a| a.out));
        let finish = |values: &mut [f64], biases: &[f64]| {
            for position in values.chunks_exact_mut(n) {
                position.iter_mut().zip(biases).for_each(|(value, bias)| *value = self.layer.ov * *value + bias);
            }
        };
        finish(&mut values, &drawn[self.values.biases]);
        if let Some(arrays) = self.tangents {
            finish(&mut tangents, &drawn[arrays.biases]);
        }
        (signal.values, signal.tangents, signal.channels) = (values, tangents, n);
    }
}
