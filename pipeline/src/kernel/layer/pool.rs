//! `avg_pool` and `sum_pool`: windows over both positions, which couple all pairs.

use super::window::{self, Axis, Padding, Window, is_plural};
use super::{Build, LayerSpec, typed};
use crate::kernel::read::flag;
use crate::kernel::spec::SpecError;
use crate::kernel::sweep::{At, Geometry, Pool as Buffers, State, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const AVG_KEYS: &[&str] = &["type", "window_shape", "strides", "padding", "normalize_edges"];
pub(crate) const SUM_KEYS: &[&str] = &["type", "window_shape", "strides", "padding"];

/// What a window is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Divisor {
    /// Nothing: a sum.
    One,
    /// The size of the window.
    Window,
    /// The part of the window that is within the edges.
    Inside,
}

#[derive(Debug)]
struct Pool {
    window: Window,
    divisor: Divisor,
}

pub(super) fn avg_pool(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let edges = flag(table, "normalize_edges", path)?.unwrap_or(false);
    let window = Window::read(table, path, "window_shape")?;
    // Only "same" leaves a window's edges outside.
    let inside = edges && window.padding == Padding::Same;
    Ok(Arc::new(Pool { window, divisor: if inside { Divisor::Inside } else { Divisor::Window } }))
}

pub(super) fn sum_pool(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    Ok(Arc::new(Pool { window: Window::read(table, path, "window_shape")?, divisor: Divisor::One }))
}

impl LayerSpec for Pool {
    fn canonical(&self, _: bool) -> Map<String, Value> {
        let mut table = typed(if self.divisor == Divisor::One { "sum_pool" } else { "avg_pool" });
        self.window.canonical(&mut table, "window_shape");
        if self.divisor == Divisor::Inside {
            table.insert("normalize_edges".into(), true.into());
        }
        table
    }

    fn is_spatial(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        build.needs_positions("pooling", path)?;
        let axes = self.window.axes(build, false, path)?;
        build.facts.coupled |= is_plural(build.signal.shape);
        let pooled = Pooled { axes, divisor: self.divisor };
        let outputs = (0..axes[0].out).flat_map(|i| (0..axes[1].out).map(move |j| [i, j]));
        let factors = outputs.map(|at| pooled.factor(&axes[0], at[0]) * pooled.factor(&axes[1], at[1])).collect();
        build.draft(path, |draft| {
            draft.pool(window::table(&axes), factors);
            Ok(())
        })?;
        build.push(pooled);
        self.window.advance(build, &axes);
        build.remask();
        Ok(())
    }
}

#[derive(Debug)]
struct Pooled {
    axes: [Axis; 2],
    divisor: Divisor,
}

impl Pooled {
    /// What the sum over the window of output `i` is multiplied by.
    fn factor(&self, axis: &Axis, i: usize) -> f64 {
        match self.divisor {
            Divisor::One => 1.0,
            Divisor::Window => 1.0 / axis.size as f64,
            Divisor::Inside => 1.0 / axis.taps(i).count().max(1) as f64,
        }
    }
}

impl Step for Pooled {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Buffers) {
        let factor = |axis: &Axis, i: usize| self.factor(axis, i);
        if is_plural(state.geometry().shape) {
            window::sum(at.level, &self.axes, factor, state, pool);
        } else {
            // One position: each window holds it as often as the padding repeats it.
            let factor: f64 = self.axes.iter().map(|axis| factor(axis, 0) * axis.taps(0).count() as f64).product();
            state.k.iter_mut().chain(state.t.iter_mut()).for_each(|value| *value *= factor * factor);
            state.set_geometry(self.output(state.geometry()));
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        4 * self.axes.iter().map(|axis| axis.size as u64).sum::<u64>()
    }

    fn output(&self, geometry: Geometry) -> Geometry {
        Geometry { shape: self.axes.map(|axis| axis.out), pairing: geometry.pairing }
    }
}
