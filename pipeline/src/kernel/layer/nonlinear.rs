//! Activations as layers.

use super::{Build, LayerSpec, typed};
use crate::kernel::activation::{Activation, Block, TABLE};
use crate::kernel::arguments::{Arguments, Entry};
use crate::kernel::level::Level;
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Entrywise, Geometry, Kept, Parts, Pool, Slot, State, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

#[derive(Debug)]
struct Nonlinear {
    entry: &'static Entry,
    arguments: Arguments,
}

/// Reads an activation; `None` if there is none of that name.
pub(super) fn read(
    name: &str,
    table: &Map<String, Value>,
    path: &str,
) -> Option<Result<Arc<dyn LayerSpec>, SpecError>> {
    let entry = TABLE.iter().find(|entry| entry.name == name)?;
    let read = || {
        let arguments = Arguments::read(entry, table, path)?;
        (entry.build)(&arguments).map_err(|message| SpecError::new(path, message))?;
        Ok(Arc::new(Nonlinear { entry, arguments }) as Arc<dyn LayerSpec>)
    };
    Some(read())
}

impl LayerSpec for Nonlinear {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        let mut table = typed(self.entry.name);
        table.extend(self.arguments.canonical());
        table
    }

    fn is_activation(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        let name = self.entry.name;
        if !build.signal.gaussian {
            let message =
                format!("{name:?} needs a dense or convolutional layer before it: only its output is Gaussian");
            return Err(SpecError::new(path, message));
        }
        let activation = (self.entry.build)(&self.arguments).map_err(|message| SpecError::new(path, message))?;
        let slot = build.slot(Slot::Terms { pixels: build.pixels(), planes: activation.planes() });
        build.push(Applied { activation, slot });
        build.draft(path, |draft| {
            self.arguments.precision().of_finite()?;
            draft.activation(name, &self.arguments)
        })?;
        build.signal.gaussian = false;
        build.remask();
        Ok(())
    }
}

#[derive(Debug)]
struct Applied {
    activation: Box<dyn Activation>,
    slot: usize,
}

impl Entrywise for Applied {
    fn entries(&self, at: &At<'_>, parts: Parts<'_>) {
        let (xs, ys) = (at.xs.terms(self.slot), at.ys.terms(self.slot));
        let block = Block { xs, first: at.first, ys, column: at.column, each: at.each, parts };
        self.activation.block(at.level, block);
    }
}

impl Step for Applied {
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        Some(self)
    }

    fn rows(&self, level: Level, kept: &mut Kept, first: usize, state: &mut State, pool: &mut Pool) {
        let (geometry, lanes) = (state.geometry(), state.lanes);
        let terms = kept.terms_mut(self.slot);
        for pixel in 0..geometry.pixels() {
            if let Some(entry) = geometry.diagonal(pixel) {
                let q = &state.k[entry * lanes..][..lanes];
                terms.learn(self.activation.as_ref(), pixel, first, q);
            }
        }
        if !geometry.is_diagonal() {
            return self.pairs(&At::each(level, kept, first), state, pool);
        }
        // The diagonal is known: no need to compute it again.
        for pixel in 0..geometry.pixels() {
            let (f, slope) = terms.from(first).at(pixel, lanes).diagonal();
            state.k[pixel * lanes..][..lanes].copy_from_slice(f);
            for (t, slope) in state.t.iter_mut().skip(pixel * lanes).zip(slope) {
                *t *= slope;
            }
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        self.activation.flops()
    }
}
