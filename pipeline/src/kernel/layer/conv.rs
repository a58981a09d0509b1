//! `conv`, `conv_local` and `conv_transpose` (Novak et al. 2019, the operator A; Garriga-Alonso et al. 2019).
//!
//! A layer takes K to w·A(K) + b and Θ to w·A(Θ) + K', A being the mean over the filter of covariances shifted
//! along both positions.

use super::affine::Weights;
use super::window::{self, Axis, Padding, Window};
use super::{Build, LayerSpec, typed};
use crate::kernel::monte_carlo::WindowLayer;
use crate::kernel::spec::{Parameterization, SpecError};
use crate::kernel::sweep::{At, Geometry, Parts, Pool, State, Step, in_parts, through};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const KEYS: &[&str] = &[
    "type",
    "filter_shape",
    "strides",
    "dilation",
    "padding",
    "w_var",
    "w_std",
    "b_var",
    "b_std",
    "out_chan",
    "parameterization",
];

/// Which of the convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Weights are shared among positions.
    Shared,
    /// Every position has weights of its own: different positions are independent.
    Local,
    /// The transposed map, which spreads positions.
    Transposed,
}

#[derive(Debug)]
struct Conv {
    kind: Kind,
    window: Window,
    weights: Weights,
}

pub(super) fn conv(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    read(Kind::Shared, table, path)
}

pub(super) fn conv_local(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    read(Kind::Local, table, path)
}

pub(super) fn conv_transpose(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    read(Kind::Transposed, table, path)
}

fn read(kind: Kind, table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    let window = Window::read(table, path, "filter_shape")?;
    let weights = Weights::read(table, path, "out_chan")?;
    if kind == Kind::Transposed {
        if window.padding == Padding::Circular {
            let message = "a circular conv_transpose is not built in this version";
            return Err(SpecError::new(format!("{path}.padding"), message));
        }
        if window.is_dilated() {
            let message = "a dilated conv_transpose is not built in this version";
            return Err(SpecError::new(format!("{path}.dilation"), message));
        }
    }
    Ok(Arc::new(Conv { kind, window, weights }))
}

impl LayerSpec for Conv {
    fn canonical(&self, widths: bool) -> Map<String, Value> {
        let mut table = typed(match self.kind {
            Kind::Shared => "conv",
            Kind::Local => "conv_local",
            Kind::Transposed => "conv_transpose",
        });
        self.window.canonical(&mut table, "filter_shape");
        self.weights.canonical(&mut table, "out_chan", widths);
        table
    }

    fn needs_widths(&self) -> bool {
        self.weights.parameterization == Parameterization::Standard
    }

    fn is_spatial(&self) -> bool {
        true
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        build.needs_positions("conv", path)?;
        let axes = self.window.axes(build, self.kind == Kind::Transposed, path)?;
        if self.kind == Kind::Transposed && build.signal.mask.is_some() {
            return Err(SpecError::new(path, "conv_transpose with a mask is not built in this version"));
        }
        build.facts.unbanded |= self.kind != Kind::Shared;
        build.facts.strided |= self.window.is_strided();
        if !axes.iter().all(Axis::is_identity) {
            let circular = self.window.padding == Padding::Circular;
            build.facts.circular |= circular;
            build.facts.open |= !circular;
            build.push(Average { axes });
            self.window.advance(build, &axes);
            build.pixels_max = build.pixels_max.max(build.pixels());
        }
        let (table, taps) = (window::table(&axes), self.window.taps());
        let centre = (self.kind == Kind::Shared).then(|| self.window.centre());
        let window = WindowLayer { table, taps, centre, local: self.kind == Kind::Local };
        self.weights.compile(build, taps, Some(window), path)?;
        if self.kind == Kind::Local {
            build.push(Unshared);
        }
        build.remask();
        Ok(())
    }
}

/// The operator A.
#[derive(Debug)]
struct Average {
    axes: [Axis; 2],
}

impl Step for Average {
    fn pairs(&self, at: &At<'_>, state: &mut State, pool: &mut Pool) {
        self.pairs_then(at, state, pool, &[]);
    }

    fn pairs_then(&self, at: &At<'_>, state: &mut State, pool: &mut Pool, behind: &[Arc<dyn Step>]) {
        if state.geometry().bands().is_some() {
            window::average_band(at.level, &self.axes, state, pool, |parts| through(behind, at, parts));
        } else {
            window::average_all(at.level, &self.axes, state, pool);
            in_parts(behind, at, state);
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        2 * self.axes.iter().map(|axis| axis.size as u64).sum::<u64>()
    }

    fn output(&self, geometry: Geometry) -> Geometry {
        window::output(&self.axes, geometry)
    }
}

/// Different positions are independent.
#[derive(Debug)]
struct Unshared;

impl Step for Unshared {
    fn pairs(&self, _: &At<'_>, state: &mut State, _: &mut Pool) {
        let Parts { k, t, x, y, lanes } = state.parts();
        for (e, (p, q)) in x.iter().zip(y).enumerate() {
            if p != q {
                k[e * lanes..][..lanes].fill(0.0);
                if !t.is_empty() {
                    t[e * lanes..][..lanes].fill(0.0);
                }
            }
        }
    }

    fn flops(&self, _: Geometry) -> u64 {
        1
    }
}
