//! What a stage did, counted and summed over processes.

use std::sync::Arc;
use std::time::Instant;

use megagram_storage::bridge::Bridge;
use megagram_storage::{Store, Traffic};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Run;
use crate::dataflow::Done;
use crate::error::Result;
use crate::pass::Pass;
use crate::plan::{Forecast, foresee};
use crate::summary::StageReport;

/// A stage under way in this process.
pub(super) struct Counting {
    name: &'static str,
    since: Instant,
    traffic: Traffic,
    done: Done,
    reused: u64,
    forecast: Forecast,
}

/// What one process has to tell of a stage.
#[derive(Clone, Serialize, Deserialize)]
struct Share {
    traffic: Traffic,
    done: Done,
    peak_rss_bytes: u64,
}

impl Counting {
    /// Begins to count.
    pub(super) fn begin(name: &'static str, store: &Store) -> Self {
        Counting {
            name,
            since: Instant::now(),
            traffic: store.traffic(),
            done: Done::default(),
            reused: 0,
            forecast: Forecast::default(),
        }
    }

    /// Tiles that were there already.
    pub(super) fn reuse(&mut self, tiles: u64) {
        self.reused += tiles;
    }

    /// What is about to be done, as foreseen for each process.
    pub(super) fn foresee(&mut self, forecasts: &[Forecast]) {
        self.forecast = forecasts.iter().fold(self.forecast, |sum, f| sum.plus(*f));
    }
}

impl Run<'_> {
    /// Runs a pass of a stage, which knows beforehand what it will cost.
    pub(super) fn sweep(&self, pass: Arc<dyn Pass>, bridge: &Bridge, counting: &mut Counting) -> Result<()> {
        let forecasts = foresee(&*pass, self.crew.processes)?;
        let before = counting.forecast;
        counting.foresee(&forecasts);
        let since = self.store.traffic();
        let tiles = forecasts.get(self.crew.process).map_or(0, |f| f.tiles);
        if tiles > 0 {
            self.progress.begin(counting.name, "tiles", tiles);
        }
        let done = self.crew.sweep(pass, bridge, &self.progress);
        if tiles > 0 {
            self.progress.end();
        }
        if done.is_err() {
            // What was not done is not to be expected; what was, is.
            let spent = self.crew.gather(&self.store.traffic().since(since))?;
            let traffic = spent.into_iter().fold(Traffic::default(), Traffic::plus);
            counting.forecast = before.plus(Forecast { traffic, ..Forecast::default() });
        }
        let done = done?;
        counting.done.tiles += done.tiles;
        counting.done.flops += done.flops;
        Ok(())
    }

    /// Ends a stage: its report joins the summary, beside what earlier rounds of it did. A round that
    /// broke off was not to be foreseen: it counts as expected what it did.
    pub(super) fn report<T>(&mut self, counting: Counting, outcome: &Result<T>) -> Result<()> {
        let traffic = self.store.traffic().since(counting.traffic);
        let share = Share { traffic, done: counting.done, peak_rss_bytes: peak_rss_bytes() };
        let shares = self.crew.gather(&share)?;
        let seconds = counting.since.elapsed().as_secs_f64();
        let report = self.summary.stages.entry(counting.name.to_owned()).or_default();
        for share in &shares {
            report.traffic = report.traffic.plus(share.traffic);
            report.flops += share.done.flops;
            report.tiles_done += share.done.tiles;
            report.peak_rss_bytes = report.peak_rss_bytes.max(share.peak_rss_bytes);
        }
        report.seconds += seconds;
        report.gflops = report.flops / 1e9 / report.seconds.max(1e-9);
        report.tiles_reused = report.tiles_reused.max(counting.reused);
        let did = shares.iter().fold(Traffic::default(), |sum, share| sum.plus(share.traffic));
        let name = counting.name;
        let tiles: u64 = shares.iter().map(|s| s.done.tiles).sum();
        self.events.keep(
            json!({ "event": "end of stage", "stage": name, "seconds": seconds, "tiles": tiles, "traffic": did }),
        );
        if self.crew.process == 0 {
            self.events.write(&self.store, &self.job.name)?;
        }
        add(report, if outcome.is_ok() { counting.forecast.traffic } else { did });
        Ok(())
    }
}

fn add(report: &mut StageReport, predicted: Traffic) {
    report.predicted_bytes_read += predicted.bytes_read;
    report.predicted_bytes_written += predicted.bytes_written;
    report.predicted_gets += predicted.gets;
    report.predicted_puts += predicted.puts;
}

/// The peak resident memory of this process in bytes (VmHWM), 0 where the system does not tell.
pub(super) fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|v| v.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
