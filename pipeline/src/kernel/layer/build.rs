//! Compiling layers to steps.

use super::LayerSpec;
use crate::kernel::monte_carlo::Draft;
use crate::kernel::spec::{Layer, SpecError};
use crate::kernel::sweep::{Shape, Slot, Step};
use std::sync::Arc;

/// Steps in the order that data flows.
pub(crate) type Chain = Vec<Arc<dyn Step>>;

/// What is known of a signal between two layers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signal {
    /// Its positions; 1 × 1 without.
    pub(crate) shape: Shape,
    /// How many axes of positions there are: 0, 1 or 2.
    pub(crate) rank: usize,
    /// Channels, where known.
    pub(crate) channels: Option<u64>,
    /// Whether it is Gaussian in the limit, as an activation needs.
    pub(crate) gaussian: bool,
    /// Whether it is the input itself.
    pub(crate) input: bool,
    /// The slot that says which positions count; `None`: all do.
    pub(crate) mask: Option<usize>,
    /// Strides so far.
    pub(crate) stride: [usize; 2],
}

/// What decides which pairs of positions the network needs.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Positions are coupled by more than a common shift: only all pairs will do.
    pub(crate) coupled: bool,
    /// Convolutions: circular ones, others, with strides.
    pub(crate) circular: bool,
    pub(crate) open: bool,
    pub(crate) strided: bool,
    /// Something that does not take a band to a band.
    pub(crate) unbanded: bool,
    /// Read-outs.
    pub(crate) flattens: usize,
    pub(crate) globals: usize,
}

/// A network under construction.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) signal: Signal,
    pub(crate) facts: Facts,
    pub(crate) slots: Vec<Slot>,
    pub(crate) steps: Chain,
    /// The largest number of positions of any signal.
    pub(crate) pixels_max: usize,
    /// How deep branches are nested here, and at most.
    pub(crate) depth: usize,
    pub(crate) depth_max: usize,
    /// The place of the last global pooling among the outermost steps, and the signal that it reads.
    pub(crate) global: Option<(usize, super::GlobalPool, Signal)>,
    /// The finite network of the same layers, for Monte Carlo.
    pub(crate) draft: Option<Draft>,
}

impl Build {
    pub(crate) fn new(signal: Signal, draft: Option<Draft>) -> Build {
        let pixels_max = signal.shape[0] * signal.shape[1];
        Build {
            signal,
            facts: Facts::default(),
            slots: Vec::new(),
            steps: Vec::new(),
            pixels_max,
            depth: 0,
            depth_max: 0,
            global: None,
            draft,
        }
    }

    pub(crate) fn push(&mut self, step: impl Step + 'static) {
        self.steps.push(Arc::new(step));
        self.pixels_max = self.pixels_max.max(self.pixels());
    }

    /// A new slot.
    pub(crate) fn slot(&mut self, slot: Slot) -> usize {
        self.slots.push(slot);
        self.slots.len() - 1
    }

    /// Positions of the signal.
    pub(crate) fn pixels(&self) -> usize {
        self.signal.shape[0] * self.signal.shape[1]
    }

    /// Compiles layers one after the other.
    pub(crate) fn layers(&mut self, layers: &[Layer]) -> Result<(), SpecError> {
        for layer in layers {
            layer.kind().compile(self, layer.path())?;
            if self.draft.as_mut().is_some_and(|draft| !draft.was_told()) {
                return Err(SpecError::new(layer.path(), "monte_carlo is not built for this layer in this version"));
            }
        }
        Ok(())
    }

    /// Tells the finite network of the layer that is being compiled.
    pub(crate) fn draft(
        &mut self,
        path: &str,
        tell: impl FnOnce(&mut Draft) -> Result<(), String>,
    ) -> Result<(), SpecError> {
        self.draft.as_mut().map_or(Ok(()), tell).map_err(|message| SpecError::new(path, message))
    }

    /// Compiles layers as a branch: its steps, and the signal at its end. The build's own signal stays.
    pub(crate) fn branch(&mut self, layers: &[Layer]) -> Result<(Chain, Signal), SpecError> {
        let before = self.signal.clone();
        let outer = std::mem::take(&mut self.steps);
        let fork = self.draft.as_mut().map(Draft::fork);
        self.depth += 1;
        self.depth_max = self.depth_max.max(self.depth);
        let done = self.layers(layers);
        self.depth -= 1;
        let steps = std::mem::replace(&mut self.steps, outer);
        let signal = std::mem::replace(&mut self.signal, before);
        if let (Some(draft), Some(fork)) = (&mut self.draft, fork) {
            draft.end(fork);
        }
        done.map(|()| (steps, signal))
    }

    /// Zeroes what is masked, where there is a mask.
    pub(crate) fn remask(&mut self) {
        if let Some(slot) = self.signal.mask {
            self.push(super::mask::Remask { slot });
            if let Some(draft) = &mut self.draft {
                draft.zero_padding();
            }
        }
    }

    /// The error of a layer that needs positions.
    pub(crate) fn needs_positions(&self, name: &str, path: &str) -> Result<(), SpecError> {
        if self.signal.rank > 0 {
            return Ok(());
        }
        let message = format!(
            "{name:?} needs positions, and its input has none: give data.shape ([H, W, C] or [L, C]), and put it before \
             flatten and global pooling"
        );
        Err(SpecError::new(path, message))
    }
}

/// Whether layers, nested ones too, give positions a meaning.
pub(crate) fn any_spatial(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| LayerSpec::is_spatial(layer.kind()))
}
