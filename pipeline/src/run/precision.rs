//! Kernels with layers in f32: how far they are from f64, and whether the noise bears it.

use std::collections::BTreeMap;

use super::data::DataSets;
use super::gram::Gram;
use super::{Run, Stage};
use crate::error::{Error, Result};
use crate::job::Noise;
use crate::kernel::{KernelOut, Network, OutputKind, Scratch};
use crate::summary::Rounded;

/// Training rows, spread evenly, whose pairs are computed both ways.
const ROWS_MAX: u64 = 64;

/// The rest of the pairs may be so much worse.
const MARGIN: f64 = 4.0;

impl Run<'_> {
    /// Measures what layers in f32 do to the kernel, where there are any, and refuses a factor that cannot bear it.
    pub(super) fn bear_f32(&mut self, data: &DataSets, gram: &Gram, upto: Stage) -> Result<()> {
        let exact = self.kernel.all_f64().map_err(|e| Error::Usage(e.to_string()))?;
        self.summary.f32_layers = None;
        let Some(exact) = exact else {
            return Ok(());
        };
        let exact = Network::compile(&exact, data.network.inputs().clone()).map_err(|e| Error::Usage(e.to_string()))?;
        let rows = ROWS_MAX.min(data.train.n);
        let error = self.crew.lead(|| {
            let sample = self.sample(data, rows)?;
            Ok(difference(&data.network, &exact, &sample, rows as usize))
        })?;
        let noise_var = match self.job.gp.noise {
            Noise::Absolute(noise_var) => noise_var,
            Noise::Relative(share) => share * gram.mean_diagonal,
        };
        let n = data.train.n as f64;
        let borne = noise_var / (20.0 * n.sqrt());
        let here = error.get(gram.output.name()).copied().unwrap_or(f64::NAN);
        self.summary.f32_layers = Some(Rounded { rows, error, borne: (upto >= Stage::Factor).then_some(borne) });
        let bears = here <= borne;
        if upto >= Stage::Factor && !bears {
            return Err(Error::Usage(format!(
                "kernel: layers with precision = \"f32\" leave an error of about {here:.1e} in {} ({MARGIN} times the largest \
                 among {rows} training rows), and noise_var {noise_var:.1e} with {n} rows bears {borne:.1e} \
                 (noise_var/(20·√n)): use precision = \"f64\", or a noise_var of at least {:.1e}",
                gram.output.name(),
                here * 20.0 * n.sqrt(),
            )));
        }
        Ok(())
    }

    /// Some training rows, spread evenly.
    fn sample(&self, data: &DataSets, rows: u64) -> Result<Vec<f64>> {
        let (train, grid) = (&data.train, data.train.grid());
        let (mut sample, mut values, mut loaded) = (Vec::new(), Vec::new(), None);
        for at in 0..rows {
            let row = at * train.n / rows;
            let block = (row / u64::from(grid.tile)) as u32;
            if loaded.replace(block) != Some(block) {
                train.load_block(&self.store, block, grid.rows(block), &mut values)?;
            }
            let from = (row % u64::from(grid.tile)) as usize * train.width;
            sample.extend_from_slice(&values[from..from + train.width]);
        }
        Ok(sample)
    }
}

/// The largest difference of each output over all pairs of the rows, with a margin.
fn difference(rounded: &Network, exact: &Network, x: &[f64], rows: usize) -> BTreeMap<String, f64> {
    let tile = |network: &Network| {
        let state = network.rows(x, rows);
        let has = |output| network.outputs().contains(&output);
        let mut values = [OutputKind::Nngp, OutputKind::Ntk].map(|o| has(o).then(|| vec![0.0; rows * rows]));
        let [nngp, ntk] = &mut values;
        let mut out = KernelOut { nngp: nngp.as_deref_mut(), ntk: ntk.as_deref_mut() };
        network.tile(x, &state, x, &state, rows, true, &mut out, &mut Scratch::default());
        values
    };
    let (rounded, exact) = (tile(rounded), tile(exact));
    let mut differences = BTreeMap::new();
    for (output, pair) in [OutputKind::Nngp, OutputKind::Ntk].into_iter().zip(rounded.iter().zip(&exact)) {
        if let (Some(rounded), Some(exact)) = pair {
            let worst = rounded.iter().zip(exact).fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()));
            differences.insert(output.name().to_owned(), MARGIN * worst);
        }
    }
    differences
}
