//! Reading a `[kernel]` section: every mistake is named by its place.

use super::arguments::number;
use super::layer::{activation, layer_keys, layer_type, layer_types};
use super::monte_carlo::MonteCarlo;
use super::precision;
use super::spec::{KernelSpec, Layer, Output, SpecError, nearest};
use serde_json::{Map, Value, json};

const FC_KEYS: &[&str] = &["depth", "activation", "w_var", "w_std", "b_var", "b_std"];
const KERNEL_KEYS: &[&str] = &["output", "layers", "fc", "monte_carlo"];

/// Networks deeper than this are taken for a slip of the pen.
const LAYERS_MAX: usize = 100_000;

/// The whole section.
pub(super) fn kernel(value: &Value) -> Result<KernelSpec, SpecError> {
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
        (Some(list), None) => self::layers(list, "kernel.layers", &mut layers)?,
        (None, Some(fc)) => read_fc(fc, &mut layers)?,
        (Some(_), Some(_)) => {
            return Err(SpecError::new("kernel", "layers and fc are both given; keep one of them"));
        }
        (None, None) => return Err(SpecError::new("kernel", "layers (or fc) must be given")),
    }
    let monte_carlo = table.get("monte_carlo").map(|value| MonteCarlo::read(value, output)).transpose()?;
    Ok(KernelSpec { output, layers, monte_carlo })
}

/// A list of layers; `repeat` is unrolled.
pub(crate) fn layers(list: &Value, path: &str, layers: &mut Vec<Layer>) -> Result<(), SpecError> {
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
    precision::refuse(name, keys, table, path)?;
    known_keys(table, keys, path)?;
    match name {
        "repeat" => {
            let times = whole(table, "times", path)?
                .ok_or_else(|| SpecError::new(format!("{path}.times"), "it must be given"))?;
            let inner =
                table.get("layers").ok_or_else(|| SpecError::new(format!("{path}.layers"), "it must be given"))?;
            let mut body = Vec::new();
            self::layers(inner, &format!("{path}.layers"), &mut body)?;
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
        _ => {
            let kind = match layer_type(name) {
                Some(layer) => (layer.read)(table, path)?,
                None => {
                    activation(name, table, path).unwrap_or_else(|| Err(unknown_type(name, &format!("{path}.type"))))?
                }
            };
            layers.push(Layer::new(path, kind));
        }
    }
    Ok(())
}

fn unknown_type(name: &str, path: &str) -> SpecError {
    let near = nearest(name, layer_types());
    SpecError::new(path, format!("{name:?} is not a type of layer; the nearest is {near:?}"))
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
    let mut dense = Map::new();
    dense.insert("type".into(), "dense".into());
    for key in ["w_var", "w_std", "b_var", "b_std"] {
        dense.extend(table.get(key).map(|value| (key.to_string(), value.clone())));
    }
    let mut read = Vec::new();
    read_layer(&Value::Object(dense), path, &mut read)?;
    let dense = read;
    let given = table.get("activation").ok_or_else(|| SpecError::new("kernel.fc.activation", "it must be given"))?;
    // A name, or a layer with its arguments.
    let activation = match given {
        Value::String(name) => json!({ "type": name }),
        other => other.clone(),
    };
    let mut hidden = Vec::new();
    read_layer(&activation, "kernel.fc.activation", &mut hidden)?;
    if !hidden.iter().all(|layer| layer.kind().is_activation()) {
        return Err(SpecError::new("kernel.fc.activation", "it must be an activation"));
    }
    for _ in 0..depth {
        layers.extend(dense.iter().chain(&hidden).cloned());
    }
    layers.extend(dense);
    Ok(())
}

/// A variance, given as such or as a standard deviation.
pub(crate) fn variance(table: &Map<String, Value>, var: &str, std: &str, path: &str) -> Result<Option<f64>, SpecError> {
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

/// A table.
pub(crate) fn table<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, SpecError> {
    value.as_object().ok_or_else(|| SpecError::new(path, format!("a table was expected, not {value}")))
}

/// Refuses keys that nobody knows.
pub(crate) fn known_keys(table: &Map<String, Value>, keys: &[&str], path: &str) -> Result<(), SpecError> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => {
            let message = format!("unknown key; the nearest known key is {:?}", nearest(key, keys));
            Err(SpecError::new(format!("{path}.{key}"), message))
        }
        None => Ok(()),
    }
}

/// A word.
pub(crate) fn word<'a>(table: &'a Map<String, Value>, key: &str, path: &str) -> Result<Option<&'a str>, SpecError> {
    let read = |value: &'a Value| {
        value
            .as_str()
            .ok_or_else(|| SpecError::new(format!("{path}.{key}"), format!("a word was expected, not {value}")))
    };
    table.get(key).map(read).transpose()
}

/// A whole number.
pub(crate) fn whole(table: &Map<String, Value>, key: &str, path: &str) -> Result<Option<u64>, SpecError> {
    let read = |value: &Value| {
        value
            .as_u64()
            .ok_or_else(|| SpecError::new(format!("{path}.{key}"), format!("a whole number was expected, not {value}")))
    };
    table.get(key).map(read).transpose()
}

/// One of some words, in any case of letters.
pub(crate) fn known_word(given: &str, words: &[&'static str]) -> Result<&'static str, String> {
    let lower = given.to_lowercase();
    words
        .iter()
        .find(|word| **word == lower)
        .copied()
        .ok_or_else(|| format!("{given:?} is not known; the nearest is {:?}", nearest(&lower, words)))
}

/// Yes or no.
pub(crate) fn flag(table: &Map<String, Value>, key: &str, path: &str) -> Result<Option<bool>, SpecError> {
    let read = |value: &Value| {
        value
            .as_bool()
            .ok_or_else(|| SpecError::new(format!("{path}.{key}"), format!("true or false was expected, not {value}")))
    };
    table.get(key).map(read).transpose()
}

/// A list of whole numbers, each at least 1. `null` is as good as nothing.
pub(crate) fn sizes(table: &Map<String, Value>, key: &str, path: &str) -> Result<Option<Vec<u64>>, SpecError> {
    /// Windows wider than this are taken for a slip of the pen.
    const SIZE_MAX: u64 = 1 << 20;
    let told = |value: &Value| {
        let message = format!("a list of whole numbers from 1 on was expected, not {value}");
        SpecError::new(format!("{path}.{key}"), message)
    };
    let read = |value: &Value| {
        let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| told(value))?;
        let size = |size: &Value| size.as_u64().filter(|size| (1..=SIZE_MAX).contains(size)).ok_or_else(|| told(value));
        list.iter().map(size).collect()
    };
    table.get(key).filter(|value| !value.is_null()).map(read).transpose()
}
