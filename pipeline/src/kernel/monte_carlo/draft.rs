//! A finite network under construction, beside the limit's steps: layers tell it what they are.

use super::random::{Draw, Law};
use super::settings::MonteCarlo;
use super::{Chain, Step};
use std::sync::Arc;

/// The steps so far, and what the next one gets.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) settings: MonteCarlo,
    pub(super) ntk: bool,
    pub(super) steps: Chain,
    pub(super) draws: Vec<Draw>,
    /// Of the signal here.
    pub(super) pixels: usize,
    pub(super) channels: usize,
    /// Numbers of one row in the widest signal.
    pub(super) largest: usize,
    /// Branches that wait for their join, with the positions and channels at their ends.
    pub(super) branches: Vec<(Chain, usize, usize)>,
    /// Whether the layer being compiled has said what it is.
    told: bool,
}

/// Where a branch began.
#[derive(Debug)]
pub(crate) struct Fork {
    steps: Chain,
    pixels: usize,
    channels: usize,
}

impl Draft {
    pub(crate) fn new(settings: MonteCarlo, ntk: bool, pixels: usize, channels: usize) -> Draft {
        let largest = pixels * channels;
        let (steps, draws, branches) = (Vec::new(), Vec::new(), Vec::new());
        Draft { settings, ntk, steps, draws, pixels, channels, largest, branches, told: false }
    }

    /// Whether the layer just compiled has told; and forgets.
    pub(crate) fn was_told(&mut self) -> bool {
        std::mem::take(&mut self.told)
    }

    pub(super) fn push(&mut self, step: impl Step + 'static) {
        self.steps.push(Arc::new(step));
        self.told = true;
    }

    /// An array that every network draws; returns its place.
    pub(super) fn array(&mut self, count: usize, std: f64, law: Law) -> usize {
        self.draws.push(Draw { count, std, law });
        self.draws.len() - 1
    }

    /// The signal behind the next step.
    pub(super) fn advance(&mut self, pixels: usize, channels: usize) {
        (self.pixels, self.channels) = (pixels, channels);
        self.largest = self.largest.max(pixels.saturating_mul(channels));
    }

    /// Begins a branch.
    pub(crate) fn fork(&mut self) -> Fork {
        Fork { steps: std::mem::take(&mut self.steps), pixels: self.pixels, channels: self.channels }
    }

    /// Ends it: the signal is again that of its beginning.
    pub(crate) fn end(&mut self, fork: Fork) {
        let steps = std::mem::replace(&mut self.steps, fork.steps);
        self.branches.push((steps, self.pixels, self.channels));
        (self.pixels, self.channels) = (fork.pixels, fork.channels);
    }
}
