//! The factor stage: the noise ladder around the sweep. Then the solve stage: z and alpha.

use std::sync::Arc;

use megagram_storage::table::{Column, Table};
use megagram_storage::{Id, Key, Kind, Manifest, TileGrid};
use serde_json::json;

use super::Run;
use super::data::DataSets;
use super::gram::{Gram, tell_inputs};
use super::stage::Counting;
use crate::error::{BadPivot, Error, Result};
use crate::gp::evidence::{log_evidence, smallest_pivot};
use crate::job::{Gp, Noise};
use crate::pass::factor::{FactorPass, FactorPlace, Given};
use crate::pass::solve::{Direction, SolvePass, Solved};
use crate::plan::Forecast;
use crate::summary::Pivot;

/// A complete factor and what it says of the targets.
pub(super) struct Factor {
    pub(super) place: FactorPlace,
    pub(super) noise_var: f64,
    pub(super) z: Vec<Vec<f64>>,
    pub(super) alpha: Vec<Vec<f64>>,
    pub(super) l_diag: Vec<f64>,
}

/// The rungs of the noise ladder, as variances, first to last.
pub(super) fn rungs(noise: Noise, ladder: f64, max: f64, mean_diagonal: f64) -> Vec<f64> {
    // From nothing a ladder starts at 1e-10·trace/N.
    let (first, unit, start) = match noise {
        Noise::Absolute(v) => (v, 1.0, 1e-10 * mean_diagonal),
        Noise::Relative(v) => (v, mean_diagonal, 1e-10),
    };
    let mut rungs = vec![first];
    if ladder > 1.0 {
        let base = if first > 0.0 { first * ladder } else { start };
        // A little slack: ten times ten is not always a hundred.
        let more = std::iter::successors(Some(base), |v| Some(v * ladder)).take_while(|v| *v <= max * (1.0 + 1e-9));
        rungs.extend(more);
    }
    rungs.into_iter().map(|v| v * unit).collect()
}

impl Run<'_> {
    pub(super) fn factor(&mut self, data: &DataSets, gram: &Gram) -> Result<Factor> {
        let gp = &self.job.gp;
        let rungs = rungs(gp.noise, gp.noise_ladder, gp.noise_max, gram.mean_diagonal);
        let mut counting = Counting::begin("factor", &self.store);
        let outcome = self.climb(data, gram, &rungs, &mut counting);
        self.report(counting, &outcome)?;
        let (place, noise_var) = outcome?;
        let mut counting = Counting::begin("solve", &self.store);
        let outcome = self.solve(data, &place, &mut counting);
        self.report(counting, &outcome)?;
        let (z, alpha, l_diag) = outcome?;
        let factor = Factor { place, noise_var, z, alpha, l_diag };
        self.tell_factor(gram, &factor);
        Ok(factor)
    }

    /// Tries the rungs in order until one factors.
    fn climb(
        &mut self,
        data: &DataSets,
        gram: &Gram,
        rungs: &[f64],
        counting: &mut Counting,
    ) -> Result<(FactorPlace, f64)> {
        self.summary.noise_tried.clear();
        let mut last = None;
        for (at, &noise_var) in rungs.iter().enumerate() {
            self.summary.noise_tried.push(noise_var);
            match self.try_noise(data, gram, noise_var, counting) {
                Err(Error::NotPositiveDefinite(bad)) => {
                    if at + 1 < rungs.len() {
                        self.progress.say(&format!("{bad}trying noise_var {:e} next", rungs[at + 1]));
                    }
                    last = Some(bad);
                }
                Err(error) => return Err(error),
                Ok(place) => return Ok((place, noise_var)),
            }
        }
        let mut bad = last.ok_or_else(|| Error::Defect("a noise ladder without rungs".into()))?;
        bad.ladder = if rungs.len() > 1 {
            let last = rungs[rungs.len() - 1];
            format!("tried {} noises up to {last:e}; raise gp.noise_max, or mend the data", rungs.len())
        } else if gp_ladder_stopped(&self.job.gp) {
            "gp.noise_max lets no higher noise be tried; raise it or gp.noise_var, or mend the data".into()
        } else {
            "raise gp.noise_var, allow a gp.noise_ladder, or mend the data".into()
        };
        bad.near_row = self.nearest_row(data, bad.row)?;
        Err(Error::NotPositiveDefinite(bad))
    }

    fn try_noise(
        &mut self,
        data: &DataSets,
        gram: &Gram,
        noise_var: f64,
        counting: &mut Counting,
    ) -> Result<FactorPlace> {
        let spec = json!({
            "what": "factor", "gram": gram.place.id, "output": gram.output.name(), "noise_var": noise_var,
        });
        let place = FactorPlace { id: Id::of(&spec), grid: gram.place.grid };
        let failed = Key::beside(Kind::Factor, &place.id, "failed.json");
        let store = &self.store;
        let known: Option<BadPivot> = self.crew.lead(|| {
            if !store.has(&failed)? {
                return Ok(None);
            }
            // The record came before the deletion, which may have been cut short.
            remove_tiles(store, &place.id)?;
            let read = serde_json::from_slice(&store.get(&failed)?);
            read.map(Some).map_err(|e| Error::Storage(megagram_storage::Error::Format(format!("{failed}: {e}"))))
        })?;
        if let Some(bad) = known {
            return Err(Error::NotPositiveDefinite(Box::new(bad)));
        }
        let grid = gram.place.grid;
        let mut facts = json!({
            "n": grid.n, "tile": grid.tile, "dtype": "f64", "gram": gram.place.id, "output": gram.output.name(),
            "noise_var": noise_var, "blas": self.blas, "data": data.train.id, "kernel": self.kernel.canonical(),
        });
        tell_inputs(&mut facts, data.network.inputs());
        self.publish(Manifest::new(Kind::Factor, spec, facts))?;
        match self.fill_factor(data, gram, &place, noise_var, counting) {
            Err(Error::NotPositiveDefinite(bad)) => {
                self.crew.lead(|| {
                    let text = serde_json::to_vec_pretty(&bad).map_err(|e| Error::Defect(e.to_string()))?;
                    store_failed(&self.store, &failed, text)?;
                    remove_tiles(&self.store, &place.id)
                })?;
                Err(Error::NotPositiveDefinite(bad))
            }
            other => other.map(|()| place),
        }
    }

    fn fill_factor(
        &self,
        data: &DataSets,
        gram: &Gram,
        place: &FactorPlace,
        noise_var: f64,
        counting: &mut Counting,
    ) -> Result<()> {
        let network = (!gram.stored).then_some(&data.network);
        let (ledger, bridge, in_flight) = self.budget(1, network, data.train.n)?;
        let found =
            self.stored((Kind::Factor, &place.id), place.grid.lower().collect(), &["l"], &bridge, |tile, _| {
                place.load(tile)
            })?;
        counting.reuse(found.present);
        counting.foresee(&[Forecast { traffic: found.cost, ..Forecast::default() }]);
        if found.missing.is_empty() {
            return Ok(());
        }
        let given = if gram.stored {
            Given::Stored(gram.place.clone(), gram.output)
        } else {
            Given::Computed(self.training_source(data), gram.output)
        };
        let pass = FactorPass::new(
            place.clone(),
            given,
            noise_var,
            found.missing,
            (self.crew.processes, self.crew.workers),
            &in_flight.machine(self.store.folder().is_some()),
            ledger,
        )?;
        self.sweep(Arc::new(pass), &bridge, counting)
    }

    /// z and alpha of the job's targets, from the store or from the factor.
    #[allow(clippy::type_complexity, reason = "three plain things, named at the one place that takes them")]
    fn solve(
        &self,
        data: &DataSets,
        place: &FactorPlace,
        counting: &mut Counting,
    ) -> Result<(Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<f64>)> {
        let Some(targets) = &data.targets else {
            return Err(Error::Usage("data.train: targets (y) are needed for a factor's z and alpha".into()));
        };
        let y = self.columns_of(targets)?;
        let z = self.solved(place, &targets.id, ("z", Direction::Forward), y, counting)?;
        let alpha = self.solved(place, &targets.id, ("alpha", Direction::Backward), z.columns.clone(), counting)?;
        Ok((z.columns, alpha.columns, z.l_diag))
    }

    /// One of the two: read if it is there for these targets, otherwise solved for and stored.
    fn solved(
        &self,
        place: &FactorPlace,
        targets: &Id,
        (name, direction): (&str, Direction),
        given: Vec<Vec<f64>>,
        counting: &mut Counting,
    ) -> Result<Solved> {
        let store = &self.store;
        // The first targets have the plain name; others, which share the factor, a name of their own.
        let keys = [format!("{name}.parquet"), format!("{name}-{targets}.parquet")];
        let keys = keys.map(|file| Key::beside(Kind::Factor, &place.id, &file));
        let (found, free): (Option<usize>, usize) = self.crew.lead(|| {
            for (at, key) in keys.iter().enumerate() {
                if !store.has(key)? {
                    return Ok((None, at));
                }
                let table = Table::decode(key, store.get(key)?)?;
                if table.facts.get("targets").is_some_and(|t| t == targets.as_str()) {
                    return Ok((Some(at), at));
                }
            }
            Ok((None, keys.len() - 1))
        })?;
        let count = given.len();
        if found.is_none() {
            let (ledger, bridge, _) = self.budget(1, None, 0)?;
            let pass = Arc::new(SolvePass::new(place.clone(), direction, given, self.crew.workers, ledger)?);
            self.sweep(Arc::clone(&pass) as _, &bridge, counting)?;
            self.crew.lead(|| {
                let solved = pass.take();
                let mut table = Table::default();
                for (c, column) in solved.columns.into_iter().enumerate() {
                    table.columns.push((format!("{name}_{c}"), Column::F64(column)));
                }
                if direction == Direction::Forward {
                    table.columns.push(("l_diag".into(), Column::F64(solved.l_diag)));
                }
                table.facts.insert("factor".into(), place.id.to_string());
                table.facts.insert("targets".into(), targets.to_string());
                Ok(store.put(&keys[free], table.encode()?)?)
            })?;
        }
        let key = &keys[found.unwrap_or(free)];
        let table = Table::decode(key, store.get(key)?)?;
        let column = |name: &str| {
            let missing =
                || megagram_storage::Error::Corrupt { key: key.to_string(), why: format!("no column {name}") };
            table.floats(name).map(<[f64]>::to_vec).ok_or_else(missing)
        };
        let columns = (0..count).map(|c| column(&format!("{name}_{c}"))).collect::<Result<_, _>>()?;
        let l_diag = if direction == Direction::Forward { column("l_diag")? } else { Vec::new() };
        Ok(Solved { columns, l_diag })
    }

    fn tell_factor(&mut self, gram: &Gram, factor: &Factor) {
        let n = factor.place.grid.n;
        self.summary.ids.insert("factor".into(), factor.place.id.to_string());
        self.summary.noise_var = Some(factor.noise_var);
        self.summary.log_evidence = Some(log_evidence(&factor.z, &factor.l_diag, n as usize));
        self.summary.warnings.clear();
        if let Some((value, row)) = smallest_pivot(&factor.l_diag) {
            self.summary.smallest_pivot = Some(Pivot { value, row: row as u64 });
            let floor = 100.0 * n as f64 * f64::EPSILON * gram.mean_diagonal;
            if value < floor {
                self.summary.warnings.push(format!(
                    "the smallest pivot is {value:.3e} at row {row}, below 100·N·ε·trace/N = {floor:.3e}: rounding decides \
                     its digits; a larger noise_var makes the answers firmer"
                ));
            }
        }
        if self.summary.noise_tried.len() > 1 {
            self.summary.warnings.push(format!(
                "the noise ladder went from {:e} to {:e}",
                self.summary.noise_tried[0], factor.noise_var
            ));
        }
    }

    /// The earlier row whose input is nearest to that of `row`, and the distance.
    fn nearest_row(&self, data: &DataSets, row: u64) -> Result<Option<(u64, f64)>> {
        let (train, store) = (&data.train, &self.store);
        let grid: TileGrid = train.grid();
        self.crew.lead(|| {
            let mut values = Vec::new();
            let home = (row / u64::from(grid.tile)) as u32;
            train.load_block(store, home, grid.rows(home), &mut values)?;
            let at = (row - grid.start(home)) as usize * train.width;
            let probe = values[at..at + train.width].to_vec();
            let mut best: Option<(u64, f64)> = None;
            for block in 0..=home {
                train.load_block(store, block, grid.rows(block), &mut values)?;
                for (r, other) in (grid.start(block)..row).zip(values.chunks_exact(train.width)) {
                    let d = other.iter().zip(&probe).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
                    if best.is_none_or(|(_, nearest)| d < nearest) {
                        best = Some((r, d));
                    }
                }
            }
            Ok(best)
        })
    }
}

/// Whether it was the cap that left the ladder with one rung.
fn gp_ladder_stopped(gp: &Gp) -> bool {
    gp.noise_ladder > 1.0
}

/// Records a failed try, if nobody has yet.
fn store_failed(store: &megagram_storage::Store, key: &Key, text: Vec<u8>) -> Result<()> {
    store.create(key, text.into())?;
    Ok(())
}

/// Removes all tiles of a factor.
fn remove_tiles(store: &megagram_storage::Store, id: &Id) -> Result<()> {
    for (key, _) in store.list(&format!("factor/{id}/tiles"))? {
        store.remove(&key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_climbs_by_its_factor_to_its_cap() {
        let r = rungs(Noise::Absolute(1e-10), 10.0, 1e-2, 5.0);
        assert_eq!(r.len(), 9);
        assert!((r[8] / 1e-2 - 1.0).abs() < 1e-9);
        assert_eq!(rungs(Noise::Absolute(0.5), 1.0, 1.0, 5.0), [0.5]);
        let from_zero = rungs(Noise::Absolute(0.0), 10.0, 1e-8, 2.0);
        assert_eq!(from_zero[..2], [0.0, 2e-10]);
        assert_eq!(rungs(Noise::Relative(1e-3), 10.0, 1e-3, 2.0), [2e-3]);
    }
}
