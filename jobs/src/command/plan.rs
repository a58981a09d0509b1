//! `plan`: what a job would cost. Runs nothing.

use crate::cli::PlanArgs;
use crate::exit::{Error, Result};
use crate::output::Stdout;

/// Plans the job.
pub fn run(args: &PlanArgs, _out: &mut Stdout) -> Result<()> {
    let _loaded = super::load(&args.job, usize::from(args.processes), false)?;
    Err(Error::usage("the job file is fine; this version does not plan yet"))
}
