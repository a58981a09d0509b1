//! A run from data to answers: which stages, in which order, what to do when one meets damage.
//!
//! Every process runs the same code on the same facts; what only one may decide (a listing, a noise try, a
//! manifest) process 0 decides and tells. Resume is "grid minus listing" at the start of each stage.

mod budget;
mod data;
mod events;
mod factor;
mod foresight;
mod gram;
mod pace;
mod precision;
mod predict;
mod results;
mod scrub;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use megagram_storage::dataset::Prepare;
use megagram_storage::{Error as StorageError, Key, Kind, Store};
use serde_json::json;

use self::events::Events;
use crate::dataflow::{Cluster, Crew};
use crate::error::{Error, Result};
use crate::gp::evidence::sizes;
use crate::job::Job;
use crate::kernel::{KernelSpec, Network};
use crate::leaf::{self, Blas};
use crate::progress::Progress;
use crate::summary::Summary;

pub use foresight::{Plan, StagePlan, StoreSpeed, plan};
pub use pace::gemm_gflops;

/// How far a run goes. Each stage does what it needs of the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Data and Gram.
    Gram,
    /// And the factor, `z` and `alpha`.
    Factor,
    /// And the answers.
    Predict,
}

/// Objects that may be found damaged at the same place before the store is given up.
const REPAIRS_OF_ONE_MAX: u32 = 3;

/// One run, as one process sees it.
struct Run<'a> {
    job: &'a Job,
    kernel: KernelSpec,
    store: Store,
    crew: Crew,
    progress: Arc<dyn Progress>,
    events: Arc<Events>,
    blas: String,
    summary: Summary,
}

/// Checks what can be checked of a job without its data.
///
/// # Errors
/// [`Error::Usage`].
pub fn check(job: &Job) -> Result<KernelSpec> {
    let kernel = KernelSpec::from_value(&job.kernel).map_err(|e| Error::Usage(e.to_string()))?;
    // Without a shape any width will do.
    let width =
        job.data.shape.as_ref().map_or(1, |shape| shape.iter().fold(1, |all: usize, n| all.saturating_mul(*n)).max(1));
    if job.data.mask.is_some() && job.data.prepare != Prepare::None {
        return Err(Error::Usage(
            "data.mask: padding is told by its value, which data.prepare would change; set prepare = \"none\"".into(),
        ));
    }
    let network = Network::compile(&kernel, job.data.inputs(width)).map_err(|e| Error::Usage(e.to_string()))?;
    let outputs = network.outputs();
    if let Some(wanted) = job.gp.kernel
        && !outputs.contains(&wanted)
    {
        let has: Vec<_> = outputs.iter().map(|o| o.name()).collect();
        return Err(Error::Usage(format!(
            "gp.kernel = \"{}\", but kernel.output stores only {}; set kernel.output = \"both\"",
            wanted.name(),
            has.join(", ")
        )));
    }
    if job.gp.kernel.is_none() && outputs.len() > 1 {
        return Err(Error::Usage("gp.kernel: kernel.output = \"both\" stores two; say which is the covariance".into()));
    }
    Ok(kernel)
}

/// Does the job as far as `upto`, going on from whatever the store already holds.
///
/// # Errors
/// The same error in every process; [`Error::exit_code`] says how a program should end.
pub fn run(job: &Job, upto: Stage, cluster: Cluster, progress: Arc<dyn Progress>) -> Result<Summary> {
    let blas = leaf::blas().to_string();
    let kernel = check(job)?;
    if upto >= Stage::Factor && job.data.train.y.is_none() {
        return Err(Error::Usage("data.train: targets (y) are needed for the factor's z and alpha".into()));
    }
    if job.store.starts_with("memory:") && cluster.sockets.len() > 1 {
        return Err(Error::Usage("store: memory:// lives in one process; processes need a store they share".into()));
    }
    let store = Store::open(&job.store)?;
    let crew = Crew::start(cluster, job.compute.workers)?;
    let events = Arc::new(Events::new(progress));
    let progress = Arc::clone(&events) as Arc<dyn Progress>;
    let mut run = Run { job, kernel, store, crew, progress, events, blas, summary: Summary::default() };
    run.same_everywhere()?;
    let outcome = run.rounds(upto);
    run.tell_end(&outcome);
    outcome.map(|()| run.summary)
}

impl Run<'_> {
    /// Goes through the stages, and again after each repair.
    fn rounds(&mut self, upto: Stage) -> Result<()> {
        let mut damage: BTreeMap<String, u32> = BTreeMap::new();
        loop {
            match self.stages(upto) {
                Err(Error::Storage(error @ (StorageError::Corrupt { .. } | StorageError::NotFound { .. }))) => {
                    let (key, why) = match &error {
                        StorageError::Corrupt { key, why } => (key.clone(), why.as_str()),
                        StorageError::NotFound { key } => (key.clone(), "it is gone"),
                        _ => return Err(Error::Storage(error)),
                    };
                    let times = damage.entry(key.clone()).or_default();
                    *times += 1;
                    if *times > REPAIRS_OF_ONE_MAX {
                        return Err(Error::Storage(error));
                    }
                    self.set_aside(&Key::listed(&key), why)?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The last line of the log. The outcome stands, whether or not it can be logged.
    fn tell_end(&self, outcome: &Result<()>) {
        if self.crew.process == 0 {
            let error = outcome.as_ref().err().map(ToString::to_string);
            self.events.keep(json!({ "event": "end", "error": error, "repaired": self.summary.repaired }));
            if let Err(error) = self.events.write(&self.store, &self.job.name) {
                self.progress.say(&format!("the log of this run is not written: {error}"));
            }
        }
    }

    /// Bits depend on the BLAS and its kernel, so all processes must have the same.
    fn same_everywhere(&self) -> Result<()> {
        let all = self.crew.gather(&self.blas)?;
        match all.iter().position(|b| !Blas::same_bits(b, &self.blas)) {
            Some(other) if !self.job.compute.allow_mixed_bits => {
                let (mut a, mut b) = (all[0].clone(), all[other].clone());
                if let Some(odd) = all.iter().find(|b| !Blas::same_bits(b, &all[0])) {
                    (a, b) = (all[0].clone(), odd.clone());
                }
                Err(Error::MixedBits(format!(
                    "processes have different BLAS kernels ({a} and {b}), so tiles would differ in their last bits; \
                     use equal machines, or set compute.allow_mixed_bits = true"
                )))
            }
            _ => Ok(()),
        }
    }

    fn stages(&mut self, upto: Stage) -> Result<()> {
        self.summary.name = self.job.name.clone();
        self.summary.store = self.store.url().to_owned();
        self.summary.tile = self.job.compute.tile;
        self.summary.blas = self.blas.clone();
        (self.summary.processes, self.summary.workers) = (self.crew.processes, self.crew.workers);
        let data = self.data()?;
        self.summary.n = data.train.n;
        sizes(&self.job.gp.curve, data.train.n)?;
        self.enough_room(&data, upto)?;
        let gram = self.gram(&data, upto)?;
        if upto >= Stage::Factor {
            let factor = self.factor(&data, &gram)?;
            if upto >= Stage::Predict {
                self.predict(&data, &gram, &factor)?;
            }
        }
        self.write_summary(upto)
    }

    /// Puts a damaged object out of the way, so that the next round makes it anew: a tile is kept aside,
    /// what is small is removed.
    fn set_aside(&mut self, key: &Key, why: &str) -> Result<()> {
        self.progress.say(&format!("{key}: {why}; it is made again"));
        let store = &self.store;
        let rows = key.owner().is_some_and(|(kind, _)| kind == Kind::Data);
        if rows {
            self.repair_data()?;
        } else {
            self.crew.lead(|| {
                if let (Some((kind, id)), Some(tile)) = (key.owner(), key.tile_id())
                    && let Ok(bytes) = store.get(key)
                {
                    store.put(&Key::aside(kind, &id, tile), bytes)?;
                }
                Ok(store.remove(key)?)
            })?;
        }
        self.summary.repaired += 1;
        Ok(())
    }
}
