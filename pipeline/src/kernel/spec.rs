//! The `[kernel]` section of a job file.

use super::activation::TABLE;
use super::layer::{Arguments, Entry};
use super::read;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// A network and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct KernelSpec {
    /// Which kernels are stored.
    pub output: Output,
    /// The layers in the order that data flows; short forms are expanded.
    pub layers: Vec<Layer>,
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

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// An affine map with independent Gaussian weights.
    Dense(Dense),
    /// An activation, applied to each unit.
    Activation(ActivationSpec),
}

/// A dense layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Variance of a weight, times the width of the input.
    pub w_var: f64,
    /// Variance of a bias; without it there are no biases. Only under "standard" does none differ from 0.
    pub b_var: Option<f64>,
    /// The layer's width, which matters to the next layer under "standard".
    pub out_dim: Option<u64>,
    /// How Θ weighs the parameters.
    pub parameterization: Parameterization,
}

/// How Θ weighs the parameters of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameterization {
    /// Weights have variance 1 and are scaled in the layer: Θ' = w_var·Θ + K'.
    Ntk,
    /// Weights have variance w_var / width: Θ' = width·K + w_var·Θ, + 1 with biases.
    Standard,
}

/// An activation with its arguments, defaults filled in.
#[derive(Debug, Clone)]
pub struct ActivationSpec {
    pub(crate) entry: &'static Entry,
    pub(crate) arguments: Arguments,
}

impl ActivationSpec {
    /// Its name in the job file.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }
}

impl PartialEq for ActivationSpec {
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name && self.arguments == other.arguments
    }
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

const DENSE_KEYS: &[&str] = &["type", "w_var", "w_std", "b_var", "b_std", "out_dim", "parameterization"];
const REPEAT_KEYS: &[&str] = &["type", "times", "layers"];
/// The types of layer that can be built.
pub fn layer_types() -> &'static [&'static str] {
    static TYPES: OnceLock<Vec<&'static str>> = OnceLock::new();
    TYPES.get_or_init(|| layer_table().iter().map(|(name, _)| *name).collect())
}

/// The keys of a type of layer, `type` included; none if there is no such type.
pub fn layer_keys(layer_type: &str) -> Option<&'static [&'static str]> {
    layer_table().iter().find(|(name, _)| *name == layer_type).map(|(_, keys)| keys.as_slice())
}

fn layer_table() -> &'static [(&'static str, Vec<&'static str>)] {
    static LAYERS: OnceLock<Vec<(&'static str, Vec<&'static str>)>> = OnceLock::new();
    LAYERS.get_or_init(|| {
        let mut layers =
            vec![("dense", DENSE_KEYS.to_vec()), ("repeat", REPEAT_KEYS.to_vec()), ("identity", vec!["type"])];
        for entry in TABLE {
            let mut keys = vec!["type"];
            keys.extend(entry.params.iter().map(|param| param.key));
            layers.push((entry.name, keys));
        }
        layers
    })
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

    /// The section with every default filled in: equal questions have equal JSON.
    pub fn canonical(&self) -> Value {
        let standard = self.layers.iter().any(|layer| match layer {
            Layer::Dense(dense) => dense.parameterization == Parameterization::Standard,
            Layer::Activation(_) => false,
        });
        let layers: Vec<Value> = self.layers.iter().map(|layer| canonical(layer, standard)).collect();
        let output = match self.output {
            Output::Nngp => "nngp",
            Output::Ntk => "ntk",
            Output::Both => "both",
        };
        json!({ "output": output, "layers": layers })
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

/// A layer as it is hashed. Widths, and the difference between no bias and b_var = 0, only count in a
/// network with the "standard" parameterization somewhere.
fn canonical(layer: &Layer, standard: bool) -> Value {
    let mut table = Map::new();
    match layer {
        Layer::Dense(dense) => {
            table.insert("type".into(), "dense".into());
            table.insert("w_var".into(), dense.w_var.into());
            let name = match dense.parameterization {
                Parameterization::Ntk => "ntk",
                Parameterization::Standard => "standard",
            };
            if let Some(b_var) = dense.b_var.or((name == "ntk").then_some(0.0)) {
                table.insert("b_var".into(), b_var.into());
            }
            if let Some(out_dim) = dense.out_dim.filter(|_| standard) {
                table.insert("out_dim".into(), out_dim.into());
            }
            table.insert("parameterization".into(), name.into());
        }
        Layer::Activation(activation) => {
            table.insert("type".into(), activation.name().into());
            table.extend(activation.arguments.canonical());
        }
    }
    Value::Object(table)
}
