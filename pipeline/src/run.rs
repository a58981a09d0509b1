//! A run from data to answers: which stages, in which order, what to do when one fails.

use std::net::TcpStream;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::progress::Progress;
use crate::summary::Summary;

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

/// The processes of a run, as one of them sees it.
#[derive(Debug)]
pub struct Cluster {
    /// Number of this process, from 0.
    pub process: usize,
    /// A connected socket to each other process, `None` for this one; its length is the number of
    /// processes. One process alone: `vec![None]`.
    pub sockets: Vec<Option<TcpStream>>,
}

impl Cluster {
    /// One process alone.
    pub fn alone() -> Self {
        Self { process: 0, sockets: vec![None] }
    }
}

/// Does the job as far as `upto`, going on from whatever the store already holds.
///
/// # Errors
/// The same error in every process; [`Error::exit_code`] says how a program should end.
pub fn run(job: &Job, upto: Stage, cluster: Cluster, progress: Arc<dyn Progress>) -> Result<Summary> {
    let _ = (job, upto, cluster, progress);
    Err(Error::Defect("not there yet".into()))
}
