//! What the tests of the program share: a folder with a job in it, and the program itself.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of this; a test may stop at once")]

pub mod digits;
pub mod store;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that is gone after the test.
pub struct Folder(tempfile::TempDir);

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// Writes `job.toml`: a small regression job on `x.npy` and `y.npy`, then `more`.
    pub fn job(&self, more: &str) -> &Self {
        let text =
            "name = \"t\"\nstore = \"out\"\n[data]\ntrain = { x = \"x.npy\", y = \"y.npy\" }\ntargets = \"values\"\n";
        let kernel = "[kernel]\nfc = { depth = 1, activation = \"relu\", w_var = 2, b_var = 0.1 }\n";
        let x: Vec<f64> = (0..30).map(|v| f64::from(v * v % 17)).collect();
        write_npy(&self.path("x.npy"), &x, &[10, 3]);
        write_npy(&self.path("y.npy"), &x[..10], &[10]);
        self.write("job.toml", &format!("{text}{kernel}{more}"))
    }

    /// The program, in this folder, without any `MEGAGRAM_*` variable of the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_megagram"));
        command.args(arguments).current_dir(self.0.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MEGAGRAM_")) {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks that it ended with `code`, said `text` on stderr, and nothing on stdout.
    #[track_caller]
    pub fn refused(&self, code: i32, text: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.stderr.contains(text), "wanted: {text}\n{}", self.stderr);
        assert_eq!(
            self.stderr.lines().filter(|l| l.starts_with("error: ")).count(),
            1,
            "one error, said once:\n{}",
            self.stderr
        );
        assert_eq!(self.stdout, "");
    }

    /// The JSON object on stdout, after a success.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Writes a C-ordered f64 array.
pub fn write_npy(path: &Path, values: &[f64], shape: &[usize]) {
    let shape: String = shape.iter().map(|s| format!("{s}, ")).collect();
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// Reads what [`write_npy`] writes.
pub fn read_npy(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}
