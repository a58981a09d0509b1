//! Reading a `[kernel]` section: every mistake is named by its place.

use super::activation::TABLE;
use super::layer::{Arguments, number};
use super::spec::{
    ActivationSpec, Dense, KernelSpec, Layer, Output, Parameterization, SpecError, layer_keys, layer_types, nearest,
};
use serde_json::{Map, Value, json};

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
        (Some(list), None) => read_layers(list, "kernel.layers", &mut layers)?,
        (None, Some(fc)) => read_fc(fc, &mut layers)?,
        (Some(_), Some(_)) => {
            return Err(SpecError::new("kernel", "layers and fc are both given; keep one of them"));
        }
        (None, None) => return Err(SpecError::new("kernel", "layers (or fc) must be given")),
    }
    Ok(KernelSpec { output, layers })
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
