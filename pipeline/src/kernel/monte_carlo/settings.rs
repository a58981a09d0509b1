//! `[kernel.monte_carlo]`: how many networks, how wide, and how they are drawn.

use crate::kernel::read::{known_keys, known_word, table, whole, word};
use crate::kernel::spec::{Output, SpecError};
use serde_json::{Value, json};

const KEYS: &[&str] = &["samples", "width", "seed", "init"];
const PATH: &str = "kernel.monte_carlo";

/// More of either is taken for a slip of the pen.
const SAMPLES_MAX: u64 = 1 << 20;
const WIDTH_MAX: u64 = 1 << 14;

/// Width of a layer, if none is given.
const WIDTH: u64 = 256;

/// How weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Independent Gaussians.
    Gaussian,
    /// Dense layers are orthogonal; a filter is zero but for its centre, which is (Xiao et al. 2018).
    DeltaOrthogonal,
}

const INITS: [(&str, Init); 2] = [("gaussian", Init::Gaussian), ("delta-orthogonal", Init::DeltaOrthogonal)];

/// Kernels of finite random networks in place of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonteCarlo {
    /// Networks that are drawn.
    pub samples: usize,
    /// Channels of every layer with weights, the last included.
    pub width: usize,
    /// Everything drawn follows from it.
    pub seed: u64,
    /// How weights are drawn.
    pub init: Init,
}

impl MonteCarlo {
    /// Reads the table.
    pub(crate) fn read(value: &Value, output: Output) -> Result<MonteCarlo, SpecError> {
        let table = table(value, PATH)?;
        known_keys(table, KEYS, PATH)?;
        let at = |key: &str| format!("{PATH}.{key}");
        let count = |key: &str, default: Option<u64>, most: u64| {
            let given =
                whole(table, key, PATH)?.or(default).ok_or_else(|| SpecError::new(at(key), "it must be given"))?;
            if (1..=most).contains(&given) {
                return Ok(given as usize);
            }
            Err(SpecError::new(at(key), format!("it is {given}; a whole number from 1 to {most} was expected")))
        };
        let (samples, width) = (count("samples", None, SAMPLES_MAX)?, count("width", Some(WIDTH), WIDTH_MAX)?);
        let seed = whole(table, "seed", PATH)?.unwrap_or(0);
        let words = INITS.map(|(name, _)| name);
        let name = known_word(word(table, "init", PATH)?.unwrap_or("gaussian"), &words)
            .map_err(|message| SpecError::new(at("init"), message))?;
        let init = INITS.iter().find(|(known, _)| *known == name).map_or(Init::Gaussian, |(_, init)| *init);
        if init == Init::DeltaOrthogonal && output != Output::Nngp {
            let message = "\"delta-orthogonal\" has no tangent kernel in this version; set kernel.output = \"nngp\"";
            return Err(SpecError::new(at("init"), message));
        }
        Ok(MonteCarlo { samples, width, seed, init })
    }

    pub(crate) fn canonical(&self) -> Value {
        let init = INITS.iter().find(|(_, init)| *init == self.init).map_or("", |(name, _)| name);
        json!({ "samples": self.samples, "width": self.width, "seed": self.seed, "init": init })
    }
}
