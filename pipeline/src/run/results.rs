//! What a run leaves for its reader: `results/<job>/`.

use megagram_storage::table::{Column, Table};
use megagram_storage::{Id, Key, Kind, Manifest};

use super::data::DataSets;
use super::foresight::{Setting, Shape, forecast};
use super::gram::gram_spec;
use super::{Run, Stage};
use crate::error::{Error, Result};
use crate::gp::scores::Posterior;

/// The predictions of a test set as a table: `row`, `mean_0…`, `variance`.
pub(super) fn predictions(posterior: &Posterior) -> Table {
    let rows = posterior.mean.first().map_or(0, Vec::len);
    let mut table = Table::default();
    table.columns.push(("row".into(), Column::I64((0..rows as i64).collect())));
    for (c, mean) in posterior.mean.iter().enumerate() {
        table.columns.push((format!("mean_{c}"), Column::F64(mean.clone())));
    }
    if !posterior.variance.is_empty() {
        table.columns.push(("variance".into(), Column::F64(posterior.variance.clone())));
    }
    table
}

impl Run<'_> {
    /// Refuses to begin what memory or a local disk cannot hold, before any work.
    pub(super) fn enough_room(&self, data: &DataSets, upto: Stage) -> Result<()> {
        let store = &self.store;
        let shape = Shape {
            n: data.train.n,
            width: data.train.width,
            columns: data.targets.as_ref().map_or(0, |t| t.width),
            tests: data.tests.iter().map(|t| t.x.n).collect(),
        };
        let local = store.folder().is_some();
        let setting = Setting { processes: self.crew.processes, upto, local };
        let stages = forecast(self.job, &data.network, setting, &shape)?;
        let wanted: u64 = stages.values().map(|s| s.forecast.traffic.bytes_written).sum();
        self.crew.lead(|| {
            let Some(free) = store.folder().and_then(free_bytes) else { return Ok(()) };
            // What is there already needs no room: a rerun of a finished job must not be refused.
            let there = self.stored_bytes(data)?;
            if wanted.saturating_sub(there) > free {
                return Err(Error::Usage(format!(
                    "the store {} has {} MiB free, the plan writes {} MiB: make room (megagram rm), or use another store",
                    store.url(),
                    free >> 20,
                    wanted >> 20
                )));
            }
            Ok(())
        })
    }

    /// Bytes of this job's gram, of the factors of it and of the borders of those, in the store.
    fn stored_bytes(&self, data: &DataSets) -> Result<u64> {
        let gram = Id::of(&gram_spec(&self.kernel.canonical(), data.train.content(), data.network.inputs()));
        let mut folders = vec![format!("gram/{gram}/tiles")];
        let mut of = vec![gram];
        for (kind, fact) in [(Kind::Factor, "gram"), (Kind::Border, "factor")] {
            let ids = self.store.folders(kind.folder())?;
            let ids: Vec<Id> = ids.iter().filter_map(|name| Id::parse(name)).collect();
            let mut found = Vec::new();
            for id in ids {
                let manifest = Manifest::find(&self.store, kind, &id)?;
                let Some(source) = manifest.and_then(|m| m.fact::<Id>(fact).ok()) else { continue };
                if of.contains(&source) {
                    folders.push(format!("{kind}/{id}/tiles"));
                    found.push(id);
                }
            }
            of = found;
        }
        let sizes = folders.iter().map(|folder| Ok(self.store.list(folder)?.iter().map(|(_, size)| size).sum::<u64>()));
        sizes.sum()
    }

    /// Writes `summary.json`. A run that stops earlier does not replace the summary of a whole one.
    pub(super) fn write_summary(&mut self, upto: Stage) -> Result<()> {
        let key = Key::result(&self.job.name, "summary.json");
        let store = &self.store;
        if upto < Stage::Predict && self.crew.lead(|| Ok(store.has(&key)?))? {
            return Ok(());
        }
        self.summary.files.push(key.to_string());
        let (store, summary) = (&self.store, &self.summary);
        self.crew.lead(|| {
            let text = serde_json::to_vec_pretty(summary).map_err(|e| Error::Defect(e.to_string()))?;
            Ok(store.put(&key, text.into())?)
        })
    }
}

/// Free bytes of the file system that holds `folder`.
fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is a C string and `stat` is written whole when the call succeeds.
    let ok = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } == 0;
    // SAFETY: as above.
    let stat = ok.then(|| unsafe { stat.assume_init() })?;
    Some(stat.f_bavail as u64 * stat.f_frsize as u64)
}
