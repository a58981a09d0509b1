//! How a stored gram or factor was made, read from its manifest.

use std::sync::Arc;

use megagram_storage::dataset::Prepared;
use megagram_storage::{Error as StorageError, Id, Kind, Manifest, Store, TileGrid};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::kernel::{Inputs, KernelSpec, Network};
use crate::pass::factor::FactorPlace;
use crate::pass::gram::GramPlace;
use crate::pass::source::{Rows, Source};

/// What made a matrix.
pub(super) struct Recipe {
    pub(super) source: Arc<Source>,
    pub(super) gram: GramPlace,
    /// Of a factor: where it is, the covariance and the noise.
    pub(super) factor: Option<(FactorPlace, Covariance, f64)>,
    /// The BLAS it was made with.
    pub(super) blas: String,
}

impl Recipe {
    /// Reads the recipe of a gram or a factor.
    pub(super) fn read(store: &Store, kind: Kind, id: &Id) -> Result<Recipe> {
        let manifest = Manifest::read(store, kind, id)?;
        let grid = TileGrid::new(manifest.fact("n")?, manifest.fact("tile")?);
        let of = |name: &str| -> Result<Value> {
            match kind {
                Kind::Factor => Ok(manifest.fact(name)?),
                _ => Ok(manifest.spec.get(name).cloned().unwrap_or_default()),
            }
        };
        let told = |why: String| Error::Storage(StorageError::Format(format!("{}: {why}", manifest.key())));
        let kernel = KernelSpec::from_value(&of("kernel")?).map_err(|e| told(e.to_string()))?;
        let data = Arc::new(Prepared::read(store, &manifest.fact("data")?)?);
        let shape = serde_json::from_value(of("shape")?).map_err(|e| told(format!("shape: {e}")))?;
        let inputs = Inputs { width: data.width, shape, mask: of("mask")?.as_f64() };
        let network = Network::compile(&kernel, inputs).map_err(|e| told(e.to_string()))?;
        let gram_id = if kind == Kind::Gram { id.clone() } else { manifest.fact("gram")? };
        let gram = GramPlace { id: gram_id, grid, outputs: network.outputs().to_vec() };
        let factor = match kind {
            Kind::Factor => {
                let place = FactorPlace { id: id.clone(), grid };
                Some((place, manifest.fact("output")?, manifest.fact("noise_var")?))
            }
            _ => None,
        };
        let rows = Arc::new(Rows::new(data, grid.tile));
        let source = Source { network, train: Arc::clone(&rows), test: rows, side: grid.tile as usize, slowness: 1.0 };
        Ok(Recipe { source: Arc::new(source), gram, factor, blas: manifest.fact("blas")? })
    }
}
