//! `dense`, and what it shares with convolutions: variances, widths, parameterization.

use super::{Build, LayerSpec, typed};
use crate::kernel::level::{Affine, AffineNtk, affine};
use crate::kernel::monte_carlo::{AffineLayer, WindowLayer};
use crate::kernel::read::{variance, whole, word};
use crate::kernel::spec::{Parameterization, SpecError};
use crate::kernel::sweep::{At, Entrywise, Geometry, Parts, Step};
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) const KEYS: &[&str] = &["type", "w_var", "w_std", "b_var", "b_std", "out_dim", "parameterization"];

/// The arguments of an affine map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    /// Variance of a weight, times the width of the input.
    pub(super) w_var: f64,
    /// Variance of a bias; without it there are no biases. Only under "standard" does none differ from 0.
    pub(super) b_var: Option<f64>,
    /// The layer's width, which matters to later layers under "standard" and where channels are concatenated.
    pub(super) width: Option<u64>,
    pub(super) parameterization: Parameterization,
}

impl Weights {
    /// `width` is the name of the width.
    pub(super) fn read(table: &Map<String, Value>, path: &str, width_key: &str) -> Result<Weights, SpecError> {
        let parameterization = match word(table, "parameterization", path)?.unwrap_or("ntk") {
            "ntk" => Parameterization::Ntk,
            "standard" => Parameterization::Standard,
            other => {
                let message = format!("{other:?} is not known; it is \"ntk\" or \"standard\"");
                return Err(SpecError::new(format!("{path}.parameterization"), message));
            }
        };
        let width = whole(table, width_key, path)?;
        if width == Some(0) {
            return Err(SpecError::new(format!("{path}.{width_key}"), "it must be at least 1"));
        }
        let w_var = variance(table, "w_var", "w_std", path)?
            .ok_or_else(|| SpecError::new(format!("{path}.w_var"), "it must be given (or w_std)"))?;
        let b_var = variance(table, "b_var", "b_std", path)?;
        Ok(Weights { w_var, b_var, width, parameterization })
    }

    /// Widths, and the difference between no bias and b_var = 0, only count where widths do.
    pub(super) fn canonical(&self, table: &mut Map<String, Value>, width_key: &str, widths: bool) {
        table.insert("w_var".into(), self.w_var.into());
        let (name, standard) = match self.parameterization {
            Parameterization::Ntk => ("ntk", false),
            Parameterization::Standard => ("standard", true),
        };
        if let Some(b_var) = self.b_var.or((!standard).then_some(0.0)) {
            table.insert("b_var".into(), b_var.into());
        }
        if let Some(width) = self.width.filter(|_| widths) {
            table.insert(width_key.into(), width.into());
        }
        table.insert("parameterization".into(), name.into());
    }

    /// The map, with `taps` inputs for each channel, and the change of the signal.
    pub(super) fn compile(
        &self,
        build: &mut Build,
        taps: usize,
        window: Option<WindowLayer>,
        path: &str,
    ) -> Result<(), SpecError> {
        let ntk = match self.parameterization {
            Parameterization::Ntk => AffineNtk::Ntk,
            Parameterization::Standard => {
                let width = build.signal.channels.ok_or_else(|| {
                    let message = "parameterization \"standard\" needs the width of the input: give the layer before \
                                   this one its out_dim (out_chan, n_chan_out)";
                    SpecError::new(path, message)
                })?;
                let bias = if self.b_var.is_some() { 1.0 } else { 0.0 };
                AffineNtk::Standard { width: width as f64 * taps as f64, bias }
            }
        };
        let map = Affine { w_var: self.w_var, b_var: self.b_var.unwrap_or(0.0), ntk };
        let (w_tangent, b_tangent) = match ntk {
            AffineNtk::Ntk => (map.w_var, map.b_var),
            AffineNtk::Standard { width, bias } => (width, bias),
        };
        let layer = AffineLayer { w_var: map.w_var, b_var: map.b_var, w_tangent, b_tangent, window };
        build.draft(path, |draft| draft.affine(layer))?;
        build.signal.channels = self.width;
        build.signal.gaussian = true;
        build.signal.input = false;
        build.push(AffineStep(map));
        Ok(())
    }
}

#[derive(Debug)]
struct Dense(Weights);

pub(super) fn read(table: &Map<String, Value>, path: &str) -> Result<Arc<dyn LayerSpec>, SpecError> {
    Ok(dense(Weights::read(table, path, "out_dim")?))
}

fn dense(weights: Weights) -> Arc<dyn LayerSpec> {
    Arc::new(Dense(weights))
}

impl LayerSpec for Dense {
    fn canonical(&self, widths: bool) -> Map<String, Value> {
        let mut table = typed("dense");
        self.0.canonical(&mut table, "out_dim", widths);
        table
    }

    fn needs_widths(&self) -> bool {
        self.0.parameterization == Parameterization::Standard
    }

    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError> {
        self.0.compile(build, 1, None, path)?;
        build.remask();
        Ok(())
    }
}

/// k ← w·k + b, and Θ with it, entry by entry.
#[derive(Debug)]
struct AffineStep(Affine);

impl Step for AffineStep {
    fn entrywise(&self) -> Option<&dyn Entrywise> {
        Some(self)
    }

    fn flops(&self, _: Geometry) -> u64 {
        4
    }
}

impl Entrywise for AffineStep {
    fn entries(&self, at: &At<'_>, parts: Parts<'_>) {
        affine(at.level, &self.0, parts.k, parts.t);
    }
}
