//! The megagram command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(megagram_jobs::main())
}
