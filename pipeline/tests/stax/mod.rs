//! stax's layers, as the golden files hold them, in the words of a job file.

use serde_json::{Map, Value, json};

/// A list of stax layers.
pub fn layers(stax: &Value) -> Value {
    let list = stax.as_array().unwrap();
    let mut layers = Vec::new();
    let mut branches = Vec::new();
    for layer in list {
        match layer["op"].as_str().unwrap() {
            "FanOut" => {}
            "serial" => layers.extend(self::layers(&layer["layers"]).as_array().unwrap().iter().cloned()),
            "parallel" => {
                branches =
                    layer["layers"].as_array().unwrap().iter().map(|branch| self::layers(&json!([branch]))).collect();
            }
            op @ ("FanInSum" | "FanInProd" | "FanInConcat") => {
                let join = op.trim_start_matches("FanIn").to_lowercase();
                layers.push(json!({ "type": "parallel", "join": join, "branches": branches }));
            }
            "Identity" => {}
            _ => layers.push(self::layer(layer)),
        }
    }
    Value::Array(layers)
}

fn layer(stax: &Value) -> Value {
    let name = match stax["op"].as_str().unwrap() {
        "ABRelu" => "ab_relu".to_string(),
        "ElementwiseNumerical" => "elementwise".to_string(),
        op => {
            let mut name = String::new();
            for (at, letter) in op.char_indices() {
                if at > 0 && letter.is_uppercase() {
                    name.push('_');
                }
                name.extend(letter.to_lowercase());
            }
            name
        }
    };
    let mut layer = Map::new();
    layer.insert("type".into(), name.into());
    for (key, value) in stax.as_object().unwrap() {
        match key.as_str() {
            "op" | "do_stabilize" => {}
            _ if value.is_null() => {}
            "padding" => drop(layer.insert(key.clone(), value.as_str().unwrap().to_lowercase().into())),
            _ if key.starts_with("W_") => drop(layer.insert(key.to_lowercase(), value.clone())),
            _ => drop(layer.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(layer)
}
