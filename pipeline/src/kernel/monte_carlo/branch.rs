//! Branches of finite networks, joined by sum, product or concatenation.

use super::draft::Draft;
use super::signal::Signal;
use super::{Chain, Step};

/// How branches become one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Joined {
    Sum,
    Product,
    /// With the share of each branch in the covariance.
    Concatenation(Vec<f64>),
}

#[derive(Debug)]
struct Branches {
    joined: Joined,
    chains: Vec<Chain>,
    /// Of a concatenation: what the values of each branch are multiplied by.
    factors: Vec<f64>,
}

impl Draft {
    /// Joins the last `count` branches.
    pub(crate) fn join(&mut self, count: usize, joined: Joined) -> Result<(), String> {
        let branches = self.branches.split_off(self.branches.len().saturating_sub(count));
        let widths: Vec<usize> = branches.iter().map(|(_, _, channels)| *channels).collect();
        let pixels = branches.first().map_or(self.pixels, |(_, pixels, _)| *pixels);
        let (mut channels, mut factors) = (widths.first().copied().unwrap_or(self.channels), Vec::new());
        match &joined {
            Joined::Concatenation(shares) => {
                channels = widths.iter().sum();
                let factor = |(share, width): (&f64, &usize)| (share * channels as f64 / *width as f64).sqrt();
                factors = shares.iter().zip(&widths).map(factor).collect();
            }
            _ if widths.iter().any(|width| *width != channels) => {
                return Err(format!("with monte_carlo the branches have {widths:?} channels and must be as wide"));
            }
            _ => {}
        }
        self.advance(pixels, channels);
        let chains = branches.into_iter().map(|(chain, ..)| chain).collect();
        self.push(Branches { joined, chains, factors });
        Ok(())
    }
}

impl Step for Branches {
    fn apply(&self, drawn: &[Vec<f64>], signal: &mut Signal) {
        let mut ends = self.chains.iter().map(|chain| {
            let mut branch = signal.clone();
            chain.iter().for_each(|step| step.apply(drawn, &mut branch));
            branch
        });
        let joined = match self.joined {
            Joined::Sum => ends.reduce(|mut to, from| {
                to.values.iter_mut().zip(&from.values).for_each(|(to, from)| *to += from);
                to.tangents.iter_mut().zip(&from.tangents).for_each(|(to, from)| *to += from);
                to
            }),
            Joined::Product => ends.reduce(|mut to, from| {
                for (at, tangent) in to.tangents.iter_mut().enumerate() {
                    *tangent = *tangent * from.values[at] + to.values[at] * from.tangents[at];
                }
                to.values.iter_mut().zip(&from.values).for_each(|(to, from)| *to *= from);
                to
            }),
            Joined::Concatenation(_) => {
                let ends: Vec<Signal> = ends.by_ref().collect();
                ends.first().map(|first| self.concatenate(first, &ends))
            }
        };
        if let Some(joined) = joined {
            *signal = joined;
        }
    }
}

impl Branches {
    fn concatenate(&self, first: &Signal, ends: &[Signal]) -> Signal {
        let mut whole = Signal { channels: ends.iter().map(|end| end.channels).sum(), ..first.clone() };
        let positions = first.rows * first.pixels;
        let gather = |of: fn(&Signal) -> &Vec<f64>| {
            let mut values = Vec::new();
            for position in 0..positions {
                for (end, factor) in ends.iter().zip(&self.factors) {
                    let part = of(end).get(position * end.channels..(position + 1) * end.channels);
                    values.extend(part.into_iter().flatten().map(|value| value * factor));
                }
            }
            values
        };
        (whole.values, whole.tangents) = (gather(|s| &s.values), gather(|s| &s.tangents));
        whole
    }
}
