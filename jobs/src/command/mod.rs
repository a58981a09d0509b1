//! The commands, one a file.

mod doctor;
mod export;
mod npy;
mod plan;
mod rm;
mod run;
mod status;
mod stored;
mod take_name;
mod verify;

use megagram_pipeline::Stage;
use megagram_storage::{Store, is_url};

use crate::cli::{Cli, Command, JobArgs};
use crate::exit::{Error, Result};
use crate::output::{Stdout, talk};
use crate::spec::{self, Loaded, Overrides};

/// Does what the command line asks.
///
/// # Errors
/// Whatever the command ends with; [`Error::code`] is its exit code.
pub fn run(cli: &Cli, out: &mut Stdout) -> Result<()> {
    match &cli.command {
        Command::Run(args) | Command::Predict(args) => run::run(args, Stage::Predict, out),
        Command::Gram(args) => run::run(args, Stage::Gram, out),
        Command::Factor(args) => run::run(args, Stage::Factor, out),
        Command::Plan(args) => plan::run(args, out),
        Command::Status(args) => status::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Export(args) => export::run(args, out),
        Command::Rm(args) => rm::run(args, out),
        Command::Doctor(args) => doctor::run(args, out),
    }
}

/// Reads a job file with the flags given; warnings are said unless `quiet`.
fn load(args: &JobArgs, sharers: usize, quiet: bool) -> Result<Loaded> {
    let loaded = spec::load(&args.job, &Overrides::new(args.flags()), sharers)?;
    for warning in loaded.warnings.iter().filter(|_| !quiet) {
        talk(format_args!("warning: {warning}"));
    }
    Ok(loaded)
}

/// Opens a store to look at it: a folder that is not there is an error, not a new store.
fn open_existing(location: &str) -> Result<Store> {
    let folder = location.strip_prefix("file://").unwrap_or(location);
    if (folder != location || !is_url(location)) && !std::path::Path::new(folder).is_dir() {
        let text = format!("store {location}: there is no such folder");
        return Err(Error::from(megagram_storage::Error::Store(text)));
    }
    Ok(Store::open(location)?)
}
