//! In which numbers a layer computes: the key `precision`.

use super::arguments::Arguments;
use super::layer::{layer_keys, layer_types};
use super::spec::SpecError;
use serde_json::{Map, Value};

/// The key of layers that can choose.
pub(crate) const PRECISION: &str = "precision";

/// In which numbers a layer computes its inner part. What enters and leaves it is f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Precision {
    #[default]
    F64,
    F32,
}

impl Precision {
    /// Its name if it is not the default one, which leaves no trace in what is hashed.
    pub(crate) fn told(self) -> Option<&'static str> {
        (self == Precision::F32).then_some("f32")
    }

    /// Reads the value of the key.
    pub(crate) fn value(value: &Value) -> Result<Precision, String> {
        match value.as_str() {
            Some("f64") => Ok(Precision::F64),
            Some("f32") => Ok(Precision::F32),
            _ => Err(format!("\"f64\" or \"f32\" was expected, not {value}")),
        }
    }

    /// Refuses f32 where finite random networks stand in for the limit.
    pub(crate) fn of_finite(self) -> Result<(), String> {
        match self {
            Precision::F64 => Ok(()),
            Precision::F32 => {
                Err("precision = \"f32\" is of closed forms, and the finite networks of monte_carlo have \
                                   none: leave it out"
                    .into())
            }
        }
    }
}

/// Refuses the key where it has no meaning. `keys` are those of the layer.
pub(crate) fn refuse(name: &str, keys: &[&str], table: &Map<String, Value>, path: &str) -> Result<(), SpecError> {
    if !table.contains_key(PRECISION) || keys.contains(&PRECISION) {
        return Ok(());
    }
    let with = |name: &&&str| layer_keys(name).is_some_and(|keys| keys.contains(&PRECISION));
    let takers: Vec<&str> = layer_types().iter().filter(with).copied().collect();
    let message = format!("{name:?} is computed in f64 alone; layers that take a precision: {}", takers.join(", "));
    Err(SpecError::new(format!("{path}.{PRECISION}"), message))
}

/// A kernel with every layer in f64; `None` if it is so already.
pub(crate) fn all_f64(canonical: &Value) -> Option<Value> {
    fn strip(value: &mut Value) -> bool {
        match value {
            Value::Object(table) => {
                let here = table.contains_key("type") && table.remove(PRECISION).is_some();
                table.values_mut().fold(here, |any, value| strip(value) | any)
            }
            Value::Array(values) => values.iter_mut().fold(false, |any, value| strip(value) | any),
            _ => false,
        }
    }
    let mut stripped = canonical.clone();
    strip(&mut stripped).then_some(stripped)
}

impl Arguments {
    /// In which numbers an activation computes.
    pub(crate) fn precision(&self) -> Precision {
        if Some(self.word(PRECISION)) == Precision::F32.told() { Precision::F32 } else { Precision::F64 }
    }
}
