//! The `[kernel]` section of a job file.

use super::activation::TABLE;
use super::layer::{Arguments, Entry, number};
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
const FC_KEYS: &[&str] = &["depth", "activation", "w_var", "w_std", "b_var", "b_std"];
const KERNEL_KEYS: &[&str] = &["output", "layers", "fc"];

/// Words of the job file that this version does not build.
const NOT_BUILT: &[&str] = &[
    "conv",
    "conv_local",
    "conv_transpose",
    "avg_pool",
    "sum_pool",
    "global_avg_pool",
    "global_sum_pool",
    "flatten",
    "layer_norm",
    "dropout",
    "global_self_attention",
    "residual",
    "parallel",
];

/// Networks deeper than this are taken for a slip of the pen.
const LAYERS_MAX: usize = 100_000;

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
        let table = table(value, "kernel")?;
        known_keys(table, KERNEL_KEYS, "kernel")?;
        let output = match word(table, "output", "kernel")?.unwrap_or("nngp") {
            "nngp" => Output::Nngp,
            "ntk" => Output::Ntk,
            "both" => Output::Both,
            other => {
                let message = format!("{other:?} is not known; it is \"nngp\", \"ntk\" or \"both\"");
                return Err(SpecError::new("kernel.output", message));
            }
        };
        let mut layers = Vec::new();
        match (table.get("layers"), table.get("fc")) {
            (Some(list), None) => read_layers(list, "kernel.layers", &mut layers)?,
            (None, Some(fc)) => read_fc(fc, &mut layers)?,
            (Some(_), Some(_)) => {
                return Err(SpecError::new("kernel", "layers and fc are both given; keep one of them"));
            }
            (None, None) => return Err(SpecError::new("kernel", "layers (or fc) must be given")),
        }
        Ok(KernelSpec { output, layers })
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

fn read_layers(list: &Value, path: &str, layers: &mut Vec<Layer>) -> Result<(), SpecError> {
    let list = list
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| SpecError::new(path, "a list of layers was expected"))?;
    for (index, value) in list.iter().enumerate() {
        read_layer(value, &format!("{path}[{index}]"), layers)?;
        if layers.len() > LAYERS_MAX {
            return Err(SpecError::new(path, format!("there are more than {LAYERS_MAX} layers")));
        }
    }
    Ok(())
}

fn read_layer(value: &Value, path: &str, layers: &mut Vec<Layer>) -> Result<(), SpecError> {
    let table = table(value, path)?;
    let name = word(table, "type", path)?
        .ok_or_else(|| SpecError::new(format!("{path}.type"), "it must be given: the type of the layer"))?;
    let Some(keys) = layer_keys(name) else {
        return Err(unknown_type(name, &format!("{path}.type")));
    };
    known_keys(table, keys, path)?;
    match name {
        "dense" => layers.push(Layer::Dense(read_dense(table, path)?)),
        "repeat" => {
            let times = whole(table, "times", path)?
                .ok_or_else(|| SpecError::new(format!("{path}.times"), "it must be given"))?;
            let inner =
                table.get("layers").ok_or_else(|| SpecError::new(format!("{path}.layers"), "it must be given"))?;
            let mut body = Vec::new();
            read_layers(inner, &format!("{path}.layers"), &mut body)?;
            if times.saturating_mul(body.len() as u64) > LAYERS_MAX as u64 {
                let message = format!("{times} times is more than {LAYERS_MAX} layers");
                return Err(SpecError::new(format!("{path}.times"), message));
            }
            for _ in 0..times {
                layers.extend(body.iter().cloned());
            }
        }
        // The identity leaves no trace, so that equal questions stay equal.
        "identity" => {}
        _ => layers.push(read_activation(name, table, path)?),
    }
    Ok(())
}

fn unknown_type(name: &str, path: &str) -> SpecError {
    if NOT_BUILT.contains(&name) {
        return SpecError::new(path, format!("{name:?} is not built in this version"));
    }
    let known: Vec<&str> = layer_types().iter().chain(NOT_BUILT).copied().collect();
    let near = nearest(name, &known);
    SpecError::new(path, format!("{name:?} is not a type of layer; the nearest is {near:?}"))
}

fn read_activation(name: &str, table: &Map<String, Value>, path: &str) -> Result<Layer, SpecError> {
    let entry =
        TABLE.iter().find(|entry| entry.name == name).ok_or_else(|| unknown_type(name, &format!("{path}.type")))?;
    let arguments = Arguments::read(entry, table, path)?;
    (entry.build)(&arguments).map_err(|message| SpecError::new(path, message))?;
    Ok(Layer::Activation(ActivationSpec { entry, arguments }))
}

fn read_dense(table: &Map<String, Value>, path: &str) -> Result<Dense, SpecError> {
    let parameterization = match word(table, "parameterization", path)?.unwrap_or("ntk") {
        "ntk" => Parameterization::Ntk,
        "standard" => Parameterization::Standard,
        other => {
            let message = format!("{other:?} is not known; it is \"ntk\" or \"standard\"");
            return Err(SpecError::new(format!("{path}.parameterization"), message));
        }
    };
    let out_dim = whole(table, "out_dim", path)?;
    if out_dim == Some(0) {
        return Err(SpecError::new(format!("{path}.out_dim"), "it must be at least 1"));
    }
    let (w_var, b_var) = read_variances(table, path)?;
    Ok(Dense { w_var, b_var, out_dim, parameterization })
}

/// The short form: `depth` hidden layers, `depth + 1` dense layers in all.
fn read_fc(value: &Value, layers: &mut Vec<Layer>) -> Result<(), SpecError> {
    let path = "kernel.fc";
    let table = table(value, path)?;
    known_keys(table, FC_KEYS, path)?;
    let depth = whole(table, "depth", path)?
        .ok_or_else(|| SpecError::new("kernel.fc.depth", "it must be given: the number of hidden layers"))?;
    if depth > LAYERS_MAX as u64 / 2 {
        return Err(SpecError::new("kernel.fc.depth", format!("{depth} is more than {}", LAYERS_MAX / 2)));
    }
    let (w_var, b_var) = read_variances(table, path)?;
    let dense = Layer::Dense(Dense { w_var, b_var, out_dim: None, parameterization: Parameterization::Ntk });
    let given = table.get("activation").ok_or_else(|| SpecError::new("kernel.fc.activation", "it must be given"))?;
    // A name, or a layer with its arguments.
    let activation = match given {
        Value::String(name) => json!({ "type": name }),
        other => other.clone(),
    };
    let mut hidden = Vec::new();
    read_layer(&activation, "kernel.fc.activation", &mut hidden)?;
    if !hidden.iter().all(|layer| matches!(layer, Layer::Activation(_))) {
        return Err(SpecError::new("kernel.fc.activation", "it must be an activation"));
    }
    for _ in 0..depth {
        layers.push(dense.clone());
        layers.extend(hidden.iter().cloned());
    }
    layers.push(dense);
    Ok(())
}

fn read_variances(table: &Map<String, Value>, path: &str) -> Result<(f64, Option<f64>), SpecError> {
    let w_var = variance(table, "w_var", "w_std", path)?
        .ok_or_else(|| SpecError::new(format!("{path}.w_var"), "it must be given (or w_std)"))?;
    Ok((w_var, variance(table, "b_var", "b_std", path)?))
}

/// A variance, given as such or as a standard deviation.
fn variance(table: &Map<String, Value>, var: &str, std: &str, path: &str) -> Result<Option<f64>, SpecError> {
    let read = |key: &str| {
        table
            .get(key)
            .map(|value| {
                let number = number(value)?;
                if number < 0.0 {
                    return Err(format!("it is {number}, and must not be negative"));
                }
                Ok(number)
            })
            .transpose()
            .map_err(|message| SpecError::new(format!("{path}.{key}"), message))
    };
    match (read(var)?, read(std)?) {
        (Some(_), Some(_)) => {
            let message = format!("{var} and {std} are both given; keep one of them");
            Err(SpecError::new(format!("{path}.{std}"), message))
        }
        (Some(variance), None) => Ok(Some(variance)),
        (None, Some(deviation)) => Ok(Some(deviation * deviation)),
        (None, None) => Ok(None),
    }
}

fn table<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, SpecError> {
    value.as_object().ok_or_else(|| SpecError::new(path, format!("a table was expected, not {value}")))
}

fn known_keys(table: &Map<String, Value>, keys: &[&str], path: &str) -> Result<(), SpecError> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => {
            let message = format!("unknown key; the nearest known key is {:?}", nearest(key, keys));
            Err(SpecError::new(format!("{path}.{key}"), message))
        }
        None => Ok(()),
    }
}

fn word<'a>(table: &'a Map<String, Value>, key: &str, path: &str) -> Result<Option<&'a str>, SpecError> {
    let read = |value: &'a Value| {
        value
            .as_str()
            .ok_or_else(|| SpecError::new(format!("{path}.{key}"), format!("a word was expected, not {value}")))
    };
    table.get(key).map(read).transpose()
}

fn whole(table: &Map<String, Value>, key: &str, path: &str) -> Result<Option<u64>, SpecError> {
    let read = |value: &Value| {
        value
            .as_u64()
            .ok_or_else(|| SpecError::new(format!("{path}.{key}"), format!("a whole number was expected, not {value}")))
    };
    table.get(key).map(read).transpose()
}
