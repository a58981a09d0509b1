//! The data stage: every source prepared once, checked before any work.

use std::sync::Arc;

use megagram_storage::dataset::{Part, Prepared, Request, Source, check_lengths, check_widths, prepare, repair};
use megagram_storage::{Id, Store};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::error::{Error, Result};
use crate::job::{Data, Pair, TestSet};
use crate::kernel::Network;

/// Ids of a pair of prepared matrices.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PairIds {
    x: Id,
    y: Option<Id>,
}

/// Prepared inputs and targets of a test set.
pub(super) struct TestRows {
    pub(super) name: String,
    pub(super) x: Arc<Prepared>,
    pub(super) y: Option<Arc<Prepared>>,
}

/// All that a run knows of its data.
pub(super) struct DataSets {
    pub(super) train: Arc<Prepared>,
    pub(super) targets: Option<Arc<Prepared>>,
    pub(super) tests: Vec<TestRows>,
    pub(super) network: Network,
}

/// A request for inputs.
fn inputs<'a>(data: &Data, source: &'a Source, train: Option<&'a Prepared>, tile: u32) -> Request<'a> {
    let part = Part::Inputs { scale: data.scale, prepare: data.prepare, standardise_by: train };
    let limit = if train.is_none() { data.limit } else { None };
    Request { source, part, limit, tile }
}

/// A request for targets; those of a test set take the training set's number of classes.
fn targets<'a>(data: &Data, source: &'a Source, train: Option<&Prepared>, tile: u32) -> Request<'a> {
    let classes = train.map_or(data.classes, |t| t.classes);
    let part = Part::Targets { targets: data.targets, classes };
    let limit = if train.is_none() { data.limit } else { None };
    Request { source, part, limit, tile }
}

/// Prepares, or finds, all matrices of a job.
fn prepare_all(
    store: &Store,
    data: &Data,
    tile: u32,
    each: impl Fn(&Store, &Request<'_>) -> Result<Prepared>,
) -> Result<Vec<PairIds>> {
    let pair = |pair: &Pair, train: Option<(&Prepared, Option<&Prepared>)>| -> Result<(Prepared, Option<Prepared>)> {
        let x = each(store, &inputs(data, &pair.x, train.map(|t| t.0), tile))?;
        let y = match &pair.y {
            Some(source) => {
                let y = each(store, &targets(data, source, train.and_then(|t| t.1), tile))?;
                check_lengths((&x, &pair.x), (&y, source))?;
                Some(y)
            }
            None => None,
        };
        Ok((x, y))
    };
    let ids = |x: &Prepared, y: &Option<Prepared>| PairIds { x: x.id.clone(), y: y.as_ref().map(|y| y.id.clone()) };
    let (train_x, train_y) = pair(&data.train, None)?;
    let mut all = vec![ids(&train_x, &train_y)];
    for TestSet { rows, .. } in &data.test {
        let (x, y) = pair(rows, Some((&train_x, train_y.as_ref())))?;
        check_widths((&train_x, &data.train.x), (&x, &rows.x))?;
        if let (Some(train_y), Some(train), Some(y), Some(test)) = (&train_y, &data.train.y, &y, &rows.y) {
            check_widths((train_y, train), (y, test))?;
        }
        all.push(ids(&x, &y));
    }
    Ok(all)
}

impl Run<'_> {
    pub(super) fn data(&mut self) -> Result<DataSets> {
        let (data, tile, store) = (&self.job.data, self.job.compute.tile, &self.store);
        let sources = 1 + data.test.len() as u64;
        self.progress.begin("data", "sets", sources);
        let ids = self.crew.lead(|| prepare_all(store, data, tile, |store, request| Ok(prepare(store, request)?)))?;
        self.progress.advance(sources);
        self.progress.end();
        let read = |id: &Id| -> Result<Arc<Prepared>> { Ok(Arc::new(Prepared::read(store, id)?)) };
        let missing = || Error::Defect("process 0 prepared fewer matrices than the job has".into());
        let mut ids = ids.into_iter();
        let first = ids.next().ok_or_else(missing)?;
        let train = read(&first.x)?;
        let targets = first.y.as_ref().map(read).transpose()?;
        let mut tests = Vec::new();
        for set in &data.test {
            let pair = ids.next().ok_or_else(missing)?;
            tests.push(TestRows {
                name: set.name.clone(),
                x: read(&pair.x)?,
                y: pair.y.as_ref().map(read).transpose()?,
            });
        }
        let network =
            Network::compile(&self.kernel, data.inputs(train.width)).map_err(|e| Error::Usage(e.to_string()))?;
        self.summary.ids.insert("data".into(), train.id.to_string());
        Ok(DataSets { train, targets, tests, network })
    }

    /// Makes damaged or missing rows anew from their sources.
    pub(super) fn repair_data(&self) -> Result<()> {
        let (data, tile, store) = (&self.job.data, self.job.compute.tile, &self.store);
        self.crew.lead(|| {
            prepare_all(store, data, tile, |store, request| Ok(repair(store, request)?.0))?;
            Ok(())
        })
    }

    /// All values of a prepared matrix of targets, by column.
    pub(super) fn columns_of(&self, targets: &Prepared) -> Result<Vec<Vec<f64>>> {
        let mut columns = vec![Vec::with_capacity(targets.n as usize); targets.width];
        let mut block = Vec::new();
        for b in 0..targets.blocks() {
            targets.load_block(&self.store, b, targets.grid().rows(b), &mut block)?;
            for row in block.chunks_exact(targets.width) {
                for (column, value) in columns.iter_mut().zip(row) {
                    column.push(*value);
                }
            }
        }
        Ok(columns)
    }
}
