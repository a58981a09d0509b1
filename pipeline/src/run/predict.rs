//! The border stage: posterior mean and variance on every test set, and the learning curve.

use std::collections::HashSet;
use std::sync::Arc;

use megagram_storage::bridge::Bridge;
use megagram_storage::table::Table;
use megagram_storage::{Id, Key, Kind, Manifest, TileGrid, TileId};
use serde_json::json;

use super::Run;
use super::data::{DataSets, TestRows};
use super::factor::Factor;
use super::gram::Gram;
use super::stage::Counting;
use crate::error::{Error, Result};
use crate::gp::evidence::{log_evidence, sizes};
use crate::gp::scores::{Posterior, scores};
use crate::job::Gp;
use crate::pass::Pass;
use crate::pass::apply::ApplyPass;
use crate::pass::border::{Ask, BorderPass, BorderPlace};
use crate::pass::covariance::CovariancePass;
use crate::pass::source::{Rows, Source};
use crate::plan::Forecast;
use crate::summary::{CurvePoint, SetScores};

/// Whether means alone are asked for, which need neither V nor the curve's sums.
pub(super) fn means_only(gp: &Gp) -> bool {
    !gp.variance && !gp.covariance && gp.curve == crate::job::Curve::None
}

/// A test set's border in the store.
struct Border {
    place: BorderPlace,
    cuts: Vec<u64>,
    source: Arc<Source>,
}

impl Run<'_> {
    pub(super) fn predict(&mut self, data: &DataSets, gram: &Gram, factor: &Factor) -> Result<()> {
        let n = data.train.n;
        let curve = sizes(&self.job.gp.curve, n)?;
        self.summary.curve = curve
            .iter()
            .map(|&n| CurvePoint {
                n,
                log_evidence: log_evidence(&factor.z, &factor.l_diag, n as usize),
                ..CurvePoint::default()
            })
            .collect();
        self.warn_of_curve();
        self.summary.sets.clear();
        self.summary.files.clear();
        for test in &data.tests {
            let border = self.border(data, gram, factor, test, &curve)?;
            let mut counting = Counting::begin("border", &self.store);
            let outcome = self.fill_border(gram, factor, &border, &mut counting);
            let outcome = outcome.and_then(|()| self.covariance(gram, test, &border, &mut counting));
            self.report(counting, &outcome)?;
            outcome?;
            self.answer(data, factor, test, &border)?;
        }
        Ok(())
    }

    fn warn_of_curve(&mut self) {
        if self.summary.curve.is_empty() {
            return;
        }
        let mut why = Vec::new();
        if matches!(self.job.gp.noise, crate::job::Noise::Relative(_)) {
            why.push("noise_relative follows the trace of all rows");
        }
        if self.summary.noise_tried.len() > 1 {
            why.push("the noise ladder fired for all rows");
        }
        if self.job.data.prepare == megagram_storage::dataset::Prepare::Standardise {
            why.push("prepare = \"standardise\" uses all rows");
        }
        if !why.is_empty() {
            self.summary.warnings.push(format!(
                "the curve at n is the posterior of the first n rows at this noise_var and preparation, not what a run at n \
                 would choose: {}",
                why.join("; ")
            ));
        }
    }

    /// Names a test set's border and publishes its manifest.
    fn border(
        &mut self,
        data: &DataSets,
        gram: &Gram,
        factor: &Factor,
        test: &TestRows,
        curve: &[u64],
    ) -> Result<Border> {
        let tile = self.job.compute.tile;
        let gp = &self.job.gp;
        let mut cuts = curve.to_vec();
        if cuts.last() != Some(&data.train.n) {
            cuts.push(data.train.n);
        }
        let targets = data.targets.as_ref().map(|t| t.id.clone());
        let spec = json!({
            "what": "border", "factor": factor.place.id, "targets": targets, "test": test.x.content(), "cuts": cuts,
            "means_only": means_only(gp), "stores_v": gp.covariance,
        });
        let facts = json!({
            "n": data.train.n, "m": test.x.n, "tile": tile, "dtype": "f64", "factor": factor.place.id,
            "columns": factor.z.len(), "cuts": cuts, "blas": self.blas,
        });
        let (test_grid, train_grid) = (TileGrid::new(test.x.n, tile), factor.place.grid);
        let place = BorderPlace { id: Id::of(&spec), test: test_grid, train: train_grid };
        self.publish(Manifest::new(Kind::Border, spec, facts))?;
        self.summary.ids.insert(format!("border/{}", test.name), place.id.to_string());
        let source = Arc::new(Source {
            network: data.network.clone(),
            train: Arc::new(Rows::new(Arc::clone(&data.train), tile)),
            test: Arc::new(Rows::new(Arc::clone(&test.x), tile)),
            side: tile as usize,
            slowness: 1.0,
        });
        debug_assert!(gram.place.grid == train_grid);
        Ok(Border { place, cuts, source })
    }

    /// Strips that are not in the store, or whose tiles of V are wanted and not all there. What is there
    /// has been read whole and verified.
    fn missing_strips(&self, border: &Border, bridge: &Bridge, counting: &mut Counting) -> Result<Vec<u32>> {
        let store = &self.store;
        let id = &border.place.id;
        let strips = 0..border.place.test.blocks();
        let mut torn = HashSet::new();
        if self.job.gp.covariance {
            let blocks = border.place.train.blocks();
            let wanted = strips.clone().flat_map(|s| (0..blocks).map(move |k| TileId::new(s, k))).collect();
            let load = |tile, _| border.place.load(tile);
            let found = self.stored((Kind::Border, id), wanted, &["v"], bridge, load)?;
            counting.foresee(&[Forecast { traffic: found.cost, ..Forecast::default() }]);
            torn = found.missing.iter().map(|tile| tile.row).collect();
        }
        self.crew.lead(|| {
            let mut missing = Vec::new();
            for strip in strips {
                let key = Key::strip(id, strip);
                if !torn.contains(&strip) && store.has(&key)? {
                    Table::decode(&key, store.get(&key)?)?;
                } else {
                    missing.push(strip);
                }
            }
            Ok(missing)
        })
    }

    fn fill_border(&self, gram: &Gram, factor: &Factor, border: &Border, counting: &mut Counting) -> Result<()> {
        let rows = border.place.test.n + border.place.train.n;
        let (ledger, bridge, _) = self.budget(1, Some(&border.source.network), rows)?;
        let missing = self.missing_strips(border, &bridge, counting)?;
        let (strips, blocks) = (border.place.test.blocks(), border.place.train.blocks());
        let means_only = means_only(&self.job.gp);
        let tiles_a_strip = if means_only { 1 } else { u64::from(blocks) };
        counting.reuse((u64::from(strips) - missing.len() as u64) * tiles_a_strip);
        if missing.is_empty() {
            return Ok(());
        }
        let crew = (self.crew.processes, self.crew.workers);
        let source = Arc::clone(&border.source);
        let pass: Arc<dyn Pass> = if means_only {
            let grids = (border.place.test, border.place.train);
            let id = border.place.id.clone();
            Arc::new(ApplyPass::new(id, grids, source, gram.output, factor.alpha.clone(), &missing, crew, ledger)?)
        } else {
            let ask = Ask { output: gram.output, cuts: border.cuts.clone(), store_v: self.job.gp.covariance };
            let (place, of) = (border.place.clone(), factor.place.clone());
            Arc::new(BorderPass::new(place, of, source, ask, factor.z.clone(), &missing, crew, ledger)?)
        };
        self.sweep(pass, &bridge, counting)?;
        if self.job.gp.covariance {
            return Ok(());
        }
        // V that went through the store for want of memory has served.
        let store = &self.store;
        self.crew.lead(|| {
            for (key, _) in store.list(&format!("border/{}/tiles", border.place.id))? {
                store.remove(&key)?;
            }
            Ok(())
        })
    }

    /// Writes the full test covariance, if it is asked for and not there.
    fn covariance(&mut self, gram: &Gram, test: &TestRows, border: &Border, counting: &mut Counting) -> Result<()> {
        if !self.job.gp.covariance {
            return Ok(());
        }
        let name = format!("covariance-{}.parquet", test.name);
        let key = Key::result(&self.job.name, &name);
        self.summary.files.push(key.to_string());
        let (store, id) = (&self.store, border.place.id.as_str());
        let there = self.crew.lead(|| {
            if !store.has(&key)? {
                return Ok(false);
            }
            let table = Table::decode(&key, store.get(&key)?)?;
            Ok(table.facts.get("border").is_some_and(|b| b == id))
        })?;
        if there {
            return Ok(());
        }
        let rows = border.place.test.n;
        let (ledger, bridge, _) = self.budget(1, Some(&border.source.network), rows)?;
        let pass = CovariancePass::new(border.place.clone(), Arc::clone(&border.source), gram.output, ledger)?;
        let pass = Arc::new(pass);
        self.sweep(Arc::clone(&pass) as _, &bridge, counting)?;
        self.crew.lead(|| {
            let mut table = Table::default();
            let matrix = megagram_storage::table::Column::F64(pass.take());
            table.columns.push(("covariance".into(), matrix));
            table.facts.insert("rows".into(), rows.to_string());
            table.facts.insert("cols".into(), rows.to_string());
            table.facts.insert("border".into(), id.to_owned());
            Ok(store.put(&key, table.encode()?)?)
        })
    }

    /// Reads the strips together, scores them, writes the predictions.
    fn answer(&mut self, data: &DataSets, factor: &Factor, test: &TestRows, border: &Border) -> Result<()> {
        let y = test.y.as_ref().map(|y| self.columns_of(y)).transpose()?;
        let classes = self.job.data.targets == megagram_storage::dataset::Targets::Classes;
        let score =
            |posterior: &Posterior| scores(posterior, test.x.n as usize, y.as_deref(), classes, factor.noise_var);
        let count = factor.z.len();
        let store = &self.store;
        let name = &self.job.name;
        let variance = self.job.gp.variance;
        let file = Key::result(name, &format!("predictions-{}.parquet", test.name));
        let points: Vec<(u64, SetScores)> = self.crew.lead(|| {
            let strips = (0..border.place.test.blocks()).map(|strip| {
                let key = Key::strip(&border.place.id, strip);
                Table::decode(&key, store.get(&key)?)
            });
            let strips = strips.collect::<Result<Vec<_>, _>>()?;
            let mut points = Vec::new();
            for &n in &border.cuts {
                let posterior = gather_strips(&strips, n, count, variance)?;
                if n == data.train.n {
                    store.put(&file, super::results::predictions(&posterior).encode()?)?;
                }
                points.push((n, score(&posterior)));
            }
            Ok(points)
        })?;
        self.summary.files.push(file.to_string());
        for (n, scores) in points {
            if n == data.train.n {
                self.summary.sets.insert(test.name.clone(), scores.clone());
            }
            if let Some(point) = self.summary.curve.iter_mut().find(|p| p.n == n) {
                point.sets.insert(test.name.clone(), scores);
            }
        }
        Ok(())
    }
}

/// The posterior of the first `n` training rows on all test rows.
fn gather_strips(strips: &[Table], n: u64, count: usize, variance: bool) -> Result<Posterior> {
    let column = |name: &str| -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for strip in strips {
            let part = strip.floats(name).ok_or_else(|| Error::Defect(format!("a strip has no column {name}")))?;
            all.extend_from_slice(part);
        }
        Ok(all)
    };
    let mean = (0..count).map(|c| column(&format!("mean_{n}_{c}"))).collect::<Result<_>>()?;
    let variance = if variance { column(&format!("variance_{n}"))? } else { Vec::new() };
    Ok(Posterior { mean, variance })
}
