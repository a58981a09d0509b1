//! Says which tool is missing before the BLAS, which is built from source, fails for want of it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
    for (tool, what) in [(compiler.as_str(), "gcc"), ("make", "make"), ("python3", "python3")] {
        if Command::new(tool).arg("--version").output().is_err() {
            println!(
                "cargo::error={what} is missing: the BLAS is built from source with gcc, make and python3; install it"
            );
        }
    }
}
