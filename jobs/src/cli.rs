//! The command line. Each flag is defined here once: parser and help follow from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Exact Gaussian processes on whole data sets, out of core.
#[derive(Debug, Parser)]
#[command(name = "megagram", version, about, arg_required_else_help = true, after_help = AFTER)]
pub struct Cli {
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Every key of a job file can also be given as a variable MEGAGRAM_<KEY>; a flag beats it, it beats the file.

Exit codes: 0 done; 1 a check failed; 2 usage, job file or data; 3 NaN or infinite input, not positive definite;
4 store unreachable or of another format; 5 a process was lost, run again; 130 interrupted.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All stages of a job; continues where it stopped
    Run(RunArgs),
    /// The Gram matrix of a job
    Gram(RunArgs),
    /// The Cholesky factor of a job, and what it needs
    Factor(RunArgs),
    /// The answers of a job, and what they need
    Predict(RunArgs),
    /// What a job would cost: tiles, bytes, requests, flops, memory, time; runs nothing
    Plan(PlanArgs),
    /// What a store holds and what is missing
    Status(StoreArg),
    /// Check every tile of a store; changes nothing unless --repair
    Verify(VerifyArgs),
    /// Write a matrix as a .npy file
    Export(ExportArgs),
    /// Remove one gram, factor or border
    Rm(RmArgs),
    /// What this machine and a store can do
    Doctor(DoctorArgs),
}

/// A job file, and flags that beat its values.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// The job file
    #[arg(value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Folder or URL of the store
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// Only the first N training rows
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub limit: Option<String>,
    /// Noise variance, absolute
    #[arg(long, value_name = "VARIANCE", allow_negative_numbers = true)]
    pub noise_var: Option<String>,
    /// Noise variance, as a multiple of trace/N
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true)]
    pub noise_relative: Option<String>,
    /// Tile side
    #[arg(long, value_name = "SIDE", allow_negative_numbers = true)]
    pub tile: Option<String>,
    /// Memory of each process, such as 4GiB
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Timely workers in each process
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub workers: Option<String>,
}

impl JobArgs {
    /// The flags that were given, by the key they beat.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let flags = [
            ("store", &self.store),
            ("limit", &self.limit),
            ("noise_var", &self.noise_var),
            ("noise_relative", &self.noise_relative),
            ("tile", &self.tile),
            ("memory", &self.memory),
            ("workers", &self.workers),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }
}

/// `run`, `gram`, `factor`, `predict`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Replace the results of another job of the same name
    #[arg(long)]
    pub overwrite: bool,
    /// The processes
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// How many processes, and where.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Start N local processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub processes: Option<u16>,
    /// Join a cluster: a file with one host:port a line, the same on each machine
    #[arg(long, value_name = "FILE", requires = "process")]
    pub hosts: Option<PathBuf>,
    /// The number of this process: its line in the hosts file, from 0
    #[arg(long, value_name = "P")]
    pub process: Option<usize>,
    /// How long to wait for the other processes to start, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait: u64,
    /// Given by the launcher to its children: the addresses of all of them
    #[arg(long, hide = true, value_delimiter = ',', requires = "process")]
    pub launched: Vec<String>,
}

impl ClusterArgs {
    /// Whether this process is a launcher's child.
    pub fn is_child(&self) -> bool {
        !self.launched.is_empty()
    }
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The job
    #[command(flatten)]
    pub job: JobArgs,
    /// Plan for N processes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub processes: u16,
    /// Milliseconds that the store takes for a request, for the times told
    #[arg(long, value_name = "MS", value_parser = not_negative)]
    pub latency: Option<f64>,
    /// Megabytes a second that a process reads, and as many that it writes, for the times told
    #[arg(long, value_name = "MB", value_parser = positive)]
    pub bandwidth: Option<f64>,
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if f64::is_finite(value) && value >= 0.0 => Ok(value),
        _ => Err("a number, 0 or more".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match not_negative(text) {
        Ok(value) if value > 0.0 => Ok(value),
        _ => Err("a number above 0".into()),
    }
}

/// A store.
#[derive(Debug, Args)]
pub struct StoreArg {
    /// Folder or URL of the store
    #[arg(value_name = "STORE")]
    pub store: String,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The store
    #[command(flatten)]
    pub store: StoreArg,
    /// Compute bad tiles again
    #[arg(long)]
    pub repair: bool,
}

/// Which of the two matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Matrix {
    /// The full symmetric training matrix, without noise
    Gram,
    /// The Cholesky factor, zeros above the diagonal
    Factor,
}

/// The kernel's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The network's NNGP kernel
    Nngp,
    /// Its neural tangent kernel
    Ntk,
}

impl Output {
    /// Its name in tiles and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Output::Nngp => "nngp",
            Output::Ntk => "ntk",
        }
    }
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The store
    #[command(flatten)]
    pub store: StoreArg,
    /// Which matrix
    #[arg(long, value_enum)]
    pub matrix: Matrix,
    /// Which output, where there are two
    #[arg(long, value_enum)]
    pub output: Option<Output>,
    /// The .npy file to write
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Rows A to B−1 only
    #[arg(long, value_name = "A..B", value_parser = range)]
    pub rows: Option<std::ops::Range<u64>>,
    /// Columns C to D−1 only
    #[arg(long, value_name = "C..D", value_parser = range)]
    pub cols: Option<std::ops::Range<u64>>,
    /// Which one, where the store holds several
    #[arg(long)]
    pub id: Option<String>,
}

/// `rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The store
    #[command(flatten)]
    pub store: StoreArg,
    /// What to remove: an id that `status` shows
    #[arg(long)]
    pub id: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Test this store too
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let parse = || {
        let (from, to) = text.split_once("..")?;
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    match parse() {
        Some((from, to)) if from < to => Ok(from..to),
        _ => Err("expected A..B with A < B, counted from 0, B not included".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_are_half_open_and_not_empty() {
        assert_eq!(range("3..7"), Ok(3..7));
        for text in ["3", "7..3", "3..3", "a..b", "-1..3", "3..=7"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
