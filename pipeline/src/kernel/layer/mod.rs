//! The layers: one file a type (or family) and one line in [`LAYERS`].
//!
//! A layer is read from its table in the job file to a [`LayerSpec`], which knows its canonical form and
//! compiles itself to steps ([`Build`]).

mod affine;
mod attention;
mod branch;
mod build;
mod conv;
mod dropout;
mod layer_norm;
mod linear_attention;
mod mask;
mod nonlinear;
mod pool;
mod position;
mod read_out;
mod sandwich;
mod window;

pub(crate) use build::{Build, Chain, Signal, any_spatial};
pub(crate) use mask::{initial_mask, learn_mask};
pub(crate) use read_out::{GlobalPool, READ_OUTS};

use super::activation::TABLE;
use super::spec::SpecError;
use serde_json::{Map, Value};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

/// What a table of the job file says of a layer.
pub(crate) trait LayerSpec: Debug + Send + Sync {
    /// The layer as it is hashed, every default filled in. `widths`: whether widths matter anywhere in the
    /// network.
    fn canonical(&self, widths: bool) -> Map<String, Value>;

    /// Whether it makes the widths of other layers matter.
    fn needs_widths(&self) -> bool {
        false
    }

    /// Whether it is an activation.
    fn is_activation(&self) -> bool {
        false
    }

    /// Whether it gives positions a meaning: a network without any such layer sees its rows flat.
    fn is_spatial(&self) -> bool {
        false
    }

    /// Whether it reads positions out.
    fn is_flatten(&self) -> bool {
        false
    }

    /// Adds the layer's steps to the network.
    fn compile(&self, build: &mut Build, path: &str) -> Result<(), SpecError>;
}

/// Reads a layer's table, whose keys are known to be good; the second argument is its path.
pub(crate) type Read = fn(&Map<String, Value>, &str) -> Result<Arc<dyn LayerSpec>, SpecError>;

/// A line of the table of layers.
pub(crate) struct LayerType {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [&'static str],
    pub(crate) read: Read,
}

/// Every layer but the activations ([`TABLE`]) and `repeat` and `identity`, which leave no trace.
static LAYERS: &[LayerType] = &[
    LayerType { name: "dense", keys: affine::KEYS, read: affine::read },
    LayerType { name: "conv", keys: conv::KEYS, read: conv::conv },
    LayerType { name: "conv_local", keys: conv::KEYS, read: conv::conv_local },
    LayerType { name: "conv_transpose", keys: conv::KEYS, read: conv::conv_transpose },
    LayerType { name: "avg_pool", keys: pool::AVG_KEYS, read: pool::avg_pool },
    LayerType { name: "sum_pool", keys: pool::SUM_KEYS, read: pool::sum_pool },
    LayerType { name: "global_avg_pool", keys: &["type"], read: read_out::global_avg_pool },
    LayerType { name: "global_sum_pool", keys: &["type"], read: read_out::global_sum_pool },
    LayerType { name: "flatten", keys: &["type"], read: read_out::flatten },
    LayerType { name: "layer_norm", keys: layer_norm::KEYS, read: layer_norm::read },
    LayerType { name: "dropout", keys: dropout::KEYS, read: dropout::read },
    LayerType { name: "global_self_attention", keys: attention::KEYS, read: attention::read },
    LayerType { name: "residual", keys: branch::RESIDUAL_KEYS, read: branch::residual },
    LayerType { name: "parallel", keys: branch::PARALLEL_KEYS, read: branch::parallel },
];

/// Keys of `repeat`.
const REPEAT_KEYS: &[&str] = &["type", "times", "layers"];

/// The line of a type of layer that is not an activation.
pub(crate) fn layer_type(name: &str) -> Option<&'static LayerType> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// The types of layer that can be built.
pub fn layer_types() -> &'static [&'static str] {
    static TYPES: OnceLock<Vec<&'static str>> = OnceLock::new();
    TYPES.get_or_init(|| all_keys().iter().map(|(name, _)| *name).collect())
}

/// The keys of a type of layer, `type` included; none if there is no such type.
pub fn layer_keys(layer_type: &str) -> Option<&'static [&'static str]> {
    all_keys().iter().find(|(name, _)| *name == layer_type).map(|(_, keys)| keys.as_slice())
}

fn all_keys() -> &'static [(&'static str, Vec<&'static str>)] {
    static KEYS: OnceLock<Vec<(&'static str, Vec<&'static str>)>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut all: Vec<(&str, Vec<&str>)> = LAYERS.iter().map(|layer| (layer.name, layer.keys.to_vec())).collect();
        all.push(("repeat", REPEAT_KEYS.to_vec()));
        all.push(("identity", vec!["type"]));
        for entry in TABLE {
            let mut keys = vec!["type"];
            keys.extend(entry.params.iter().map(|param| param.key));
            all.push((entry.name, keys));
        }
        all
    })
}

/// The beginning of a canonical form.
fn typed(name: &str) -> Map<String, Value> {
    let mut table = Map::new();
    table.insert("type".into(), name.into());
    table
}

/// Reads an activation.
pub(crate) fn activation(
    name: &str,
    table: &Map<String, Value>,
    path: &str,
) -> Option<Result<Arc<dyn LayerSpec>, SpecError>> {
    nonlinear::read(name, table, path)
}
