//! Numbers: kernels of infinitely wide networks, tile algebra, schedules and Timely dataflows.

#[allow(unused_extern_crates, reason = "named only to be linked")]
extern crate blas_src;
#[allow(unused_extern_crates, reason = "named only to be linked")]
extern crate blis_src;

mod check;
mod dataflow;
mod error;
mod gp;
mod job;
pub mod kernel;
pub mod leaf;
mod pages;
mod pass;
mod plan;
mod progress;
mod run;
pub mod schedule;
mod simulate;
mod summary;

pub use check::{RepairOptions, Residual, repair, residual};
pub use dataflow::Cluster;
pub use error::{BadPivot, Error, Result};
pub use job::{Compute, Covariance, Curve, Data, Gp, Job, Noise, Pair, TestSet};
pub use plan::Forecast;
pub use progress::{Progress, Silent};
pub use run::{Plan, Stage, StagePlan, StoreSpeed, check, gemm_gflops, plan, run};
pub use summary::{CurvePoint, Pivot, Rounded, Sampled, SetScores, StageReport, Summary};
