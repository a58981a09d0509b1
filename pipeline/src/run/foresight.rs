//! `plan`: what a job will read, write and compute. It runs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use megagram_storage::dataset::{Prepared, open, sample};
use megagram_storage::{Id, TileGrid, is_url};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::budget::{InFlight, ledger};
use super::pace::{gemm_gflops, kernel_flops};
use super::predict::means_only;
use super::{Stage, check};
use crate::error::{Error, Result};
use crate::gp::evidence::sizes;
use crate::job::{Job, Pair};
use crate::kernel::Network;
use crate::leaf;
use crate::pass::Pass;
use crate::pass::apply::ApplyPass;
use crate::pass::border::{Ask, BorderPass, BorderPlace};
use crate::pass::covariance::CovariancePass;
use crate::pass::factor::{FactorPass, FactorPlace, Given};
use crate::pass::gram::{GramPass, GramPlace};
use crate::pass::solve::{Direction, SolvePass};
use crate::pass::source::{Rows, Source};
use crate::plan::{Forecast, foresee};
use crate::simulate::{Machine, Simulated, simulate};

/// What a job will do from an empty store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Training rows.
    pub n: u64,
    /// Values in a row.
    pub width: usize,
    /// Tile side.
    pub tile: u32,
    /// Tiles of the lower triangle.
    pub tiles: u64,
    /// Name, version and kernel of the BLAS.
    pub blas: String,
    /// Measured rate of one worker's tile gemm, GF/s.
    pub gemm_gflops: f64,
    /// Measured rate of one worker at the kernel of the first rows, in nominal GF/s.
    pub kernel_gflops: f64,
    /// Peak memory of a process's buffers in bytes: the job's budget.
    pub memory: u64,
    /// Stages in order: `gram`, `factor`, `solve`, `border`.
    pub stages: BTreeMap<String, StagePlan>,
}

/// What a stage will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// Counted work.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// Bytes that each process may hold at once: slots, pack buffers, bodies in flight, states, and what the pass holds beside them.
    pub memory_bytes: u64,
    /// The most that one process reads, in bytes.
    pub bytes_read_each: u64,
    /// Seconds by simulation: kernels and all else at the rates measured now, the store as stated.
    pub seconds: f64,
    /// Of all workers' time, the part spent on tasks, by the same simulation.
    pub busy: f64,
}

/// The store that a plan's times are told for; `None` where the nominal one is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StoreSpeed {
    /// Seconds a request.
    pub latency: Option<f64>,
    /// Bytes a second, for each process and direction.
    pub bandwidth: Option<f64>,
}

/// What a forecast must know of the data.
pub(super) struct Shape {
    /// Training rows.
    pub(super) n: u64,
    /// Values in a row.
    pub(super) width: usize,
    /// Target columns; 0 where there are no targets.
    pub(super) columns: usize,
    /// Rows of each test set.
    pub(super) tests: Vec<u64>,
}

/// Where and with how much a job runs.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) processes: usize,
    pub(super) upto: Stage,
    /// Whether the store is a folder.
    pub(super) local: bool,
}

struct Planner<'a> {
    job: &'a Job,
    setting: Setting,
    network: &'a Network,
    stages: BTreeMap<String, StagePlan>,
    /// What the passes are simulated on, if they are.
    timed: Option<Timed>,
}

/// What times are told for.
#[derive(Clone, Copy)]
struct Timed {
    /// Operations a second of products of tiles, and of kernels.
    flops: f64,
    kernel_flops: f64,
    store: StoreSpeed,
}

/// Plans a job from an empty store for `processes` processes, with times for a store of this `speed`.
///
/// # Errors
/// As [`super::run`], for what can be told without running: sources, kernel, memory.
pub fn plan(job: &Job, processes: usize, speed: StoreSpeed) -> Result<Plan> {
    let kernel = check(job)?;
    let (rows, width) = shape(&job.data.train)?;
    let n = match job.data.limit {
        Some(limit) if limit > rows => {
            return Err(Error::Usage(format!("data.limit = {limit}, but the training file has {rows} rows")));
        }
        Some(limit) => limit,
        None => rows,
    };
    let network = Network::compile(&kernel, job.data.inputs(width)).map_err(|e| Error::Usage(e.to_string()))?;
    let tests = job.data.test.iter().map(|set| Ok(shape(&set.rows)?.0)).collect::<Result<_>>()?;
    let columns = target_columns(job)?;
    let local = !is_url(&job.store) || job.store.starts_with("file://");
    let upto = if columns == 0 { Stage::Gram } else { Stage::Predict };
    let setting = Setting { processes, upto, local };
    let side = job.compute.tile as usize;
    let flops = 1e9 * gemm_gflops(side);
    // A kernel of finite networks learns its rows at length, and its tiles are products.
    let kernel_flops = if network.monte_carlo().is_some() {
        None
    } else {
        let rows = sample(&job.data.train.x, 2 * side.min(n as usize), job.data.scale, job.data.prepare)?;
        kernel_flops(&network, &rows, side)
    };
    let kernel_flops = kernel_flops.unwrap_or(flops);
    let shape = Shape { n, width, columns, tests };
    let stages = simulated(job, &network, setting, &shape, Some(Timed { flops, kernel_flops, store: speed }))?;
    Ok(Plan {
        n,
        width,
        tile: job.compute.tile,
        tiles: TileGrid::new(n, job.compute.tile).lower_len(),
        blas: leaf::blas().to_string(),
        gemm_gflops: flops / 1e9,
        kernel_gflops: kernel_flops / 1e9,
        memory: job.compute.memory,
        stages,
    })
}

/// What each stage will do from an empty store.
///
/// # Errors
/// [`Error::Memory`] for the first stage that does not fit, [`Error::Usage`] for a curve that does not.
pub(super) fn forecast(
    job: &Job,
    network: &Network,
    setting: Setting,
    shape: &Shape,
) -> Result<BTreeMap<String, StagePlan>> {
    simulated(job, network, setting, shape, None)
}

fn simulated(
    job: &Job,
    network: &Network,
    setting: Setting,
    shape: &Shape,
    timed: Option<Timed>,
) -> Result<BTreeMap<String, StagePlan>> {
    let at = |memory: u64| {
        let mut job = job.clone();
        job.compute.memory = memory;
        let mut planner = Planner { job: &job, setting, network, stages: BTreeMap::new(), timed };
        planner.all(shape).map(|()| planner.stages)
    };
    let given = job.compute.memory;
    let mut tried = given;
    let mut short = None;
    // Each stage tells only what it needs itself: ask again until all are content.
    loop {
        match at(tried) {
            Err(Error::Memory { what, needed, .. }) => {
                tried = needed;
                short = Some(what);
            }
            Ok(stages) => {
                let Some(what) = short else { return Ok(stages) };
                return Err(Error::Memory { what, needed: tried, given });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Rows and columns of a source, without keeping any.
fn shape(pair: &Pair) -> Result<(u64, usize)> {
    let mut source = open(&pair.x)?;
    let width = source.width();
    if let Some(rows) = source.len_hint() {
        return Ok((rows, width));
    }
    let (mut rows, mut block) = (0, Vec::new());
    loop {
        block.clear();
        match source.next_block(4096, &mut block)? {
            0 => return Ok((rows, width)),
            more => rows += more as u64,
        }
    }
}

/// How many columns the targets have.
fn target_columns(job: &Job) -> Result<usize> {
    use megagram_storage::dataset::Targets;
    let Some(source) = &job.data.train.y else { return Ok(0) };
    if let (Targets::Classes, Some(classes)) = (job.data.targets, job.data.classes) {
        return Ok(classes as usize);
    }
    let mut y = open(source)?;
    if job.data.targets == Targets::Values {
        return Ok(y.width());
    }
    let (mut left, mut largest, mut block) = (job.data.limit.unwrap_or(u64::MAX), 0.0f64, Vec::new());
    loop {
        block.clear();
        let rows = y.next_block(left.min(4096) as usize, &mut block)?;
        left -= rows as u64;
        largest = block.iter().copied().fold(largest, f64::max);
        if rows == 0 || left == 0 {
            return Ok(largest as usize + 1);
        }
    }
}

/// Rows that nobody has read: a plan needs only their number.
fn unread(n: u64, width: usize, tile: u32) -> Arc<Rows> {
    let id = Id::of(&json!(null));
    let data = Prepared { id, n, width, tile, row_digests: Vec::new(), classes: None, moments: None, column: "x" };
    Arc::new(Rows::new(Arc::new(data), tile))
}

impl Planner<'_> {
    fn all(&mut self, shape: &Shape) -> Result<()> {
        let (job, tile, Setting { processes, upto, .. }) = (self.job, self.job.compute.tile, self.setting);
        let (n, width) = (shape.n, shape.width);
        let grid = TileGrid::new(n, tile);
        let train = unread(n, width, tile);
        let source = self.source(&train, &train);
        let id = Id::of(&json!(null));
        let outputs = self.network.outputs().to_vec();
        let output = job.gp.kernel.or(outputs.first().copied());
        let output = output.ok_or_else(|| Error::Defect("a network without outputs".into()))?;
        let gram = GramPlace { id: id.clone(), grid, outputs };
        let everything = || grid.lower().collect();
        if job.compute.keep_gram || upto == Stage::Gram {
            let (book, in_flight) = self.ledger(gram.outputs.len(), true, n);
            let split = (job.compute.workers, in_flight.saves);
            let pass = GramPass::new(gram.clone(), Arc::clone(&source), everything(), processes, split, book)?;
            self.add("gram", &pass, in_flight)?;
        }
        if upto < Stage::Factor {
            return Ok(());
        }
        let place = FactorPlace { id: id.clone(), grid };
        let given = if job.compute.keep_gram {
            Given::Stored(gram, output)
        } else {
            Given::Computed(Arc::clone(&source), output)
        };
        let (book, in_flight) = self.ledger(1, !job.compute.keep_gram, n);
        let machine = in_flight.machine(self.setting.local);
        let crew = (processes, job.compute.workers);
        self.add(
            "factor",
            &FactorPass::new(place.clone(), given, 0.0, everything(), crew, &machine, book)?,
            in_flight,
        )?;
        let zeros = vec![vec![0.0; n as usize]; shape.columns];
        for direction in [Direction::Forward, Direction::Backward] {
            let (book, in_flight) = self.ledger(1, false, 0);
            let pass = SolvePass::new(place.clone(), direction, zeros.clone(), job.compute.workers, book)?;
            self.add("solve", &pass, in_flight)?;
        }
        let mut cuts = sizes(&job.gp.curve, n)?;
        if cuts.last() != Some(&n) {
            cuts.push(n);
        }
        if upto < Stage::Predict {
            return Ok(());
        }
        for &m in &shape.tests {
            let test = unread(m, width, tile);
            let source = self.source(&train, &test);
            let place_v = BorderPlace { id: id.clone(), test: TileGrid::new(m, tile), train: grid };
            let strips: Vec<u32> = (0..place_v.test.blocks()).collect();
            let crew = (processes, job.compute.workers);
            let (book, in_flight) = self.ledger(1, true, n + m);
            if means_only(&job.gp) {
                let grids = (place_v.test, grid);
                let pass = ApplyPass::new(id.clone(), grids, source, output, zeros.clone(), &strips, crew, book)?;
                self.add("border", &pass, in_flight)?;
                continue;
            }
            let ask = Ask { output, cuts: cuts.clone(), store_v: job.gp.covariance };
            let of = place.clone();
            let pass =
                BorderPass::new(place_v.clone(), of, Arc::clone(&source), ask, zeros.clone(), &strips, crew, book)?;
            self.add("border", &pass, in_flight)?;
            if job.gp.covariance {
                let (book, in_flight) = self.ledger(1, true, m);
                self.add("border", &CovariancePass::new(place_v, source, output, book)?, in_flight)?;
            }
        }
        Ok(())
    }

    fn source(&self, train: &Arc<Rows>, test: &Arc<Rows>) -> Arc<Source> {
        let (train, test) = (Arc::clone(train), Arc::clone(test));
        let slowness = self.timed.map_or(1.0, |timed| timed.flops / timed.kernel_flops);
        let side = self.job.compute.tile as usize;
        Arc::new(Source { network: self.network.clone(), train, test, side, slowness })
    }

    fn ledger(&self, columns: usize, kernel: bool, rows: u64) -> (crate::pass::ledger::Ledger, InFlight) {
        let compute = &self.job.compute;
        let tile = u64::from(compute.tile);
        let in_flight = InFlight::of(compute.memory, 8 * tile * tile * columns as u64 + 65_536, self.setting.local);
        let network = kernel.then_some(self.network);
        let book = ledger(compute.memory, compute.workers, compute.tile, in_flight, network, rows);
        (book, in_flight)
    }

    fn add(&mut self, name: &str, pass: &dyn Pass, in_flight: InFlight) -> Result<()> {
        let forecasts = foresee(pass, self.setting.processes)?;
        let stage = self.stages.entry(name.to_owned()).or_default();
        stage.memory_bytes = stage.memory_bytes.max(pass.memory_bytes());
        stage.bytes_read_each += forecasts.iter().map(|f| f.traffic.bytes_read).max().unwrap_or(0);
        stage.forecast = forecasts.into_iter().fold(stage.forecast, Forecast::plus);
        if let Some(Timed { flops, store: speed, .. }) = self.timed {
            let nominal = in_flight.machine(self.setting.local);
            let latency = speed.latency.unwrap_or(nominal.latency);
            let machine =
                Machine { flops, latency, bandwidth: speed.bandwidth.unwrap_or(nominal.bandwidth), ..nominal };
            let crew = (self.setting.processes, self.job.compute.workers);
            let Simulated { seconds, busy } = simulate(pass, crew, &machine)?;
            let worked = stage.busy * stage.seconds + busy * seconds;
            stage.seconds += seconds;
            stage.busy = if stage.seconds > 0.0 { worked / stage.seconds } else { 1.0 };
        }
        Ok(())
    }
}
