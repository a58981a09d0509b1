//! What can go wrong below the numbers, named by what the caller can do about it.

use serde::{Deserialize, Serialize};

/// An error of the storage layer. It is plain data: it travels between workers and processes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// A data file or a request that cannot be served as it is: mend the job file or the file.
    #[error("{0}")]
    Input(String),
    /// A value that is NaN or infinite. Rows and columns count from 0.
    #[error("{what}: row {row}, column {col}: the value is {value}{}; mend or drop the row", line.map(|l| format!(" (line {l} of the file)")).unwrap_or_default())]
    NonFinite {
        /// The file and what it holds.
        what: String,
        /// Row, from 0.
        row: u64,
        /// Column, from 0.
        col: u64,
        /// `NaN`, `inf` or `-inf`.
        value: String,
        /// The line of a CSV file, from 1.
        line: Option<u64>,
    },
    /// The store cannot be reached, read or written: mend the store and run again.
    #[error("{0}")]
    Store(String),
    /// The store holds something of another format version: use another store or version.
    #[error("{0}")]
    Format(String),
    /// No object at this key.
    #[error("{key}: no such object in the store")]
    NotFound {
        /// The object's key.
        key: String,
    },
    /// An object whose bytes are not what they should be: fetch again, or recompute it.
    #[error("{key}: {why}")]
    Corrupt {
        /// The object's key.
        key: String,
        /// What does not agree.
        why: String,
    },
}

/// A result of the storage layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code that a program ends with on this error (docs/guide).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 2,
            Error::NonFinite { .. } => 3,
            Error::Store(_) | Error::Format(_) | Error::NotFound { .. } | Error::Corrupt { .. } => 4,
        }
    }
}
