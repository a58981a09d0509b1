//! The gram stage: the kernel matrix, tile by tile, whatever of it is missing.

use std::sync::Arc;

use megagram_storage::{Id, Kind, Manifest, TileGrid};
use serde_json::{Value, json};

use super::data::DataSets;
use super::stage::Counting;
use super::{Run, Stage};
use crate::error::{Error, Result};
use crate::job::Covariance;
use crate::kernel::{Inputs, Network, RowState};
use crate::leaf::Blas;
use crate::pass::gram::{GramPass, GramPlace};
use crate::pass::source::{Rows, Source};
use crate::plan::Forecast;
use crate::summary::Sampled;

/// The matrix that the factor is of.
pub(super) struct Gram {
    pub(super) place: GramPlace,
    /// The output taken as the covariance.
    pub(super) output: Covariance,
    /// Whether its tiles are in the store.
    pub(super) stored: bool,
    /// trace(K)/N of the covariance, without noise.
    pub(super) mean_diagonal: f64,
}

impl Run<'_> {
    /// The source of kernel tiles among the training rows.
    pub(super) fn training_source(&self, data: &DataSets) -> Arc<Source> {
        let train = Arc::new(Rows::new(Arc::clone(&data.train), self.job.compute.tile));
        let test = Arc::clone(&train);
        let side = self.job.compute.tile as usize;
        Arc::new(Source { network: data.network.clone(), train, test, side, slowness: 1.0 })
    }

    pub(super) fn gram(&mut self, data: &DataSets, upto: Stage) -> Result<Gram> {
        let spec = gram_spec(&self.kernel.canonical(), data.train.content(), data.network.inputs());
        let outputs = data.network.outputs().to_vec();
        let grid = TileGrid::new(data.train.n, self.job.compute.tile);
        let output = self.job.gp.kernel.or(outputs.first().copied());
        let output = output.ok_or_else(|| Error::Defect("a network without outputs".into()))?;
        let (mean_diagonal, sampled) = self.mean_diagonal(data, output)?;
        self.summary.monte_carlo = sampled;
        let stored = self.job.compute.keep_gram || upto == Stage::Gram;
        let mut gram = Gram { place: GramPlace { id: Id::of(&spec), grid, outputs }, output, stored, mean_diagonal };
        self.summary.ids.insert("gram".into(), gram.place.id.to_string());
        self.bear_f32(data, &gram, upto)?;
        if stored {
            let facts = json!({
                "n": grid.n, "tile": grid.tile, "dtype": "f64", "outputs": gram.place.columns(),
                "data": data.train.id, "blas": self.blas,
            });
            self.publish(Manifest::new(Kind::Gram, spec, facts))?;
            self.fill_gram(data, &mut gram)?;
        }
        Ok(gram)
    }

    fn fill_gram(&mut self, data: &DataSets, gram: &mut Gram) -> Result<()> {
        let mut counting = Counting::begin("gram", &self.store);
        let place = gram.place.clone();
        let (ledger, bridge, in_flight) = self.budget(place.outputs.len(), Some(&data.network), data.train.n)?;
        let load = |tile, column| place.load(tile, column);
        let tiles = place.grid.lower().collect();
        let found = self.stored((Kind::Gram, &place.id), tiles, &place.columns(), &bridge, load);
        let outcome = found.and_then(|found| {
            counting.reuse(found.present);
            counting.foresee(&[Forecast { traffic: found.cost, ..Forecast::default() }]);
            if found.missing.is_empty() {
                return Ok(());
            }
            let split = (self.crew.workers, in_flight.saves);
            let source = self.training_source(data);
            let pass = GramPass::new(place.clone(), source, found.missing, self.crew.processes, split, ledger)?;
            self.sweep(Arc::new(pass), &bridge, &mut counting)
        });
        self.report(counting, &outcome)?;
        outcome
    }

    /// trace(K)/N, from the diagonal map of the rows, and what the first block tells of the kernel's error.
    fn mean_diagonal(&self, data: &DataSets, output: Covariance) -> Result<(f64, Option<Sampled>)> {
        let store = &self.store;
        self.crew.lead(|| {
            let (mut sum, mut values, mut sampled) = (0.0, Vec::new(), None);
            for block in 0..data.train.blocks() {
                let rows = data.train.grid().rows(block);
                data.train.load_block(store, block, rows, &mut values)?;
                let state = data.network.rows(&values, rows);
                sampled = sampled.or_else(|| self::sampled(&data.network, &state));
                sum += state.diagonal(output).iter().sum::<f64>();
            }
            let mean = sum / data.train.n as f64;
            if !mean.is_finite() {
                return Err(Error::Overflow(format!(
                    "the kernel overflows: the mean of its diagonal is {mean}; lower w_var and b_var, the depth, or data.scale"
                )));
            }
            Ok((mean, sampled))
        })
    }

    /// Publishes a manifest and checks that what is stored was made with the same BLAS kernel.
    pub(super) fn publish(&self, manifest: Manifest) -> Result<Manifest> {
        let store = &self.store;
        let found = self.crew.lead(|| Ok(manifest.publish(store)?))?;
        let theirs: String = found.fact("blas")?;
        if !Blas::same_bits(&theirs, &self.blas) && !self.job.compute.allow_mixed_bits {
            return Err(Error::MixedBits(format!(
                "{}: was made with BLAS {theirs}, this process has {}; tiles would differ in their last bits: \
                 use a machine of the same kind, remove it (megagram rm), or set compute.allow_mixed_bits = true",
                found.key(),
                self.blas
            )));
        }
        Ok(found)
    }
}

/// How sure the means over random networks are, where there are any.
fn sampled(network: &Network, rows: &RowState) -> Option<Sampled> {
    let settings = network.monte_carlo()?;
    let error = |output: &Covariance| Some((output.name().to_owned(), network.standard_error(rows, *output)?));
    let standard_error = network.outputs().iter().filter_map(error).collect();
    Some(Sampled { samples: settings.samples, width: settings.width, standard_error })
}

/// The canonical question that a gram answers.
pub(super) fn gram_spec(kernel: &Value, data: Value, inputs: &Inputs) -> Value {
    let mut spec = json!({ "what": "gram", "kernel": kernel, "data": data, "dtype": "f64" });
    tell_inputs(&mut spec, inputs);
    spec
}

/// Adds the shape and the mask of the rows where they matter, so that ids of other matrices stay.
pub(super) fn tell_inputs(facts: &mut Value, inputs: &Inputs) {
    if let Some(shape) = &inputs.shape {
        facts["shape"] = json!(shape);
    }
    if let Some(mask) = inputs.mask {
        facts["mask"] = json!(mask);
    }
}
