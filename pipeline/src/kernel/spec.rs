//! The `[kernel]` section of a job file.

use super::layer::LayerSpec;
use super::monte_carlo::MonteCarlo;
use super::precision::all_f64;
use super::read;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// A network and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct KernelSpec {
    /// Which kernels are stored.
    pub output: Output,
    /// The layers in the order that data flows; short forms are expanded.
    pub layers: Vec<Layer>,
    /// Finite random networks in place of the limit.
    pub monte_carlo: Option<MonteCarlo>,
}

/// Which kernels are computed and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// K, the covariance of the network's outputs at initialisation.
    Nngp,
    /// Θ, the neural tangent kernel.
    Ntk,
    /// Both, side by side.
    Both,
}

/// A layer and its place in the job file. Layers are equal if they do the same, wherever they are.
#[derive(Debug, Clone)]
pub struct Layer {
    path: Arc<str>,
    kind: Arc<dyn LayerSpec>,
}

impl Layer {
    pub(crate) fn new(path: &str, kind: Arc<dyn LayerSpec>) -> Layer {
        Layer { path: path.into(), kind }
    }

    /// Its place, as in `kernel.layers[2]`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn kind(&self) -> &dyn LayerSpec {
        self.kind.as_ref()
    }
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        self.kind.canonical(true) == other.kind.canonical(true)
    }
}

/// How Θ weighs the parameters of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameterization {
    /// Weights have variance 1 and are scaled in the layer: Θ' = w_var·Θ + K'.
    Ntk,
    /// Weights have variance w_var / width: Θ' = width·K + w_var·Θ, + 1 with biases.
    Standard,
}

/// What is wrong with a `[kernel]` section, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SpecError {
    /// The place, as in `kernel.layers[2].w_var`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl SpecError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> SpecError {
        SpecError { path: path.into(), message: message.into() }
    }
}

/// The word that is nearest by edit distance.
pub(crate) fn nearest<'a>(given: &str, known: &[&'a str]) -> &'a str {
    known.iter().min_by_key(|word| strsim::damerau_levenshtein(given, word)).copied().unwrap_or_default()
}

impl KernelSpec {
    /// Reads the section from its value in the job file (TOML or JSON alike).
    pub fn from_value(value: &Value) -> Result<KernelSpec, SpecError> {
        read::kernel(value)
    }

    /// The same network with every layer in f64; `None` if that is what this one is.
    ///
    /// # Errors
    /// None that reading the section had not.
    pub fn all_f64(&self) -> Result<Option<KernelSpec>, SpecError> {
        all_f64(&self.canonical()).map(|value| KernelSpec::from_value(&value)).transpose()
    }

    /// The section with every default filled in: equal questions have equal JSON.
    pub fn canonical(&self) -> Value {
        let widths = self.layers.iter().any(|layer| layer.kind().needs_widths());
        let layers = canonical_layers(&self.layers, widths);
        let output = match self.output {
            Output::Nngp => "nngp",
            Output::Ntk => "ntk",
            Output::Both => "both",
        };
        let mut canonical = json!({ "output": output, "layers": layers });
        if let Some(monte_carlo) = &self.monte_carlo {
            canonical["monte_carlo"] = monte_carlo.canonical();
        }
        canonical
    }
}

impl TryFrom<Value> for KernelSpec {
    type Error = SpecError;

    fn try_from(value: Value) -> Result<Self, SpecError> {
        KernelSpec::from_value(&value)
    }
}

impl From<KernelSpec> for Value {
    fn from(spec: KernelSpec) -> Value {
        spec.canonical()
    }
}

/// Layers as they are hashed. `widths`: whether widths, and the difference between no bias and b_var = 0, count.
pub(crate) fn canonical_layers(layers: &[Layer], widths: bool) -> Value {
    layers.iter().map(|layer| Value::Object(layer.kind().canonical(widths))).collect()
}
