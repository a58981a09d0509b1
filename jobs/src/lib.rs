//! People: the megagram command line, job files, progress, reports and launching.
//!
//! Everything that computes is in `megagram-pipeline`, everything that stores in
//! `megagram-storage`. This crate turns what people write into a job, and what comes back into
//! what people and scripts read. stdout is data, stderr is talk (docs/guide/command-line.md).

mod allocator;
pub mod cli;
mod command;
pub mod exit;
mod faults;
pub mod launch;
pub mod machine;
mod output;
mod progress;
mod report;
pub mod spec;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

/// The program: reads the command line, does what it asks, and returns the exit code.
pub fn main() -> u8 {
    allocator::tune();
    let cli = cli::Cli::parse();
    faults::install();
    // The BLAS chooses its kernels by variables, which only a process of one thread may set.
    megagram_pipeline::leaf::blas();
    let mut out = output::Stdout::claim(cli.json);
    match catch_unwind(AssertUnwindSafe(|| command::run(&cli, &mut out))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            if !error.is_silent() {
                output::talk(format_args!("error: {error}"));
            }
            error.code()
        }
        Err(_) => {
            faults::defect("a damaged Parquet file was not handled");
            1
        }
    }
}
