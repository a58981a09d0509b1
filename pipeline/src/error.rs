//! What can go wrong with the numbers, named by what the caller can do about it.

use serde::{Deserialize, Serialize};

/// An error of a run. It is plain data: it travels downstream to every worker of every process.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// The store or the data.
    #[error(transparent)]
    Storage(#[from] megagram_storage::Error),
    /// The job asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The memory cannot hold a resident block.
    #[error("memory too small: {what} needs at least {}, the job gives {}; raise `memory` or lower `tile`", size(*needed), size(*given))]
    Memory {
        /// What does not fit.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes given.
        given: u64,
    },
    /// A pivot of the Cholesky factor is not positive.
    #[error("{0}")]
    NotPositiveDefinite(Box<BadPivot>),
    /// Finite input that the kernel takes beyond what f64 holds.
    #[error("{0}")]
    Overflow(String),
    /// The BLAS or its kernel is not the one that made what is stored.
    #[error("{0}")]
    MixedBits(String),
    /// Another process of the cluster is gone.
    #[error("{0}")]
    Lost(String),
    /// Something that must hold does not: a defect of this program.
    #[error("{0}; this is a defect of megagram, please report it")]
    Defect(String),
}

/// Where and how a factorisation failed. Rows count from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadPivot {
    /// Global row.
    pub row: u64,
    /// The pivot's value, as text (it may be NaN).
    pub pivot: String,
    /// Block row and column of the diagonal tile.
    pub tile: u32,
    /// The noise tried.
    pub noise_var: f64,
    /// An earlier row with the same or nearly the same input, and the distance.
    pub near_row: Option<(u64, f64)>,
    /// What the ladder did.
    pub ladder: String,
}

impl std::fmt::Display for BadPivot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "not positive definite: pivot {} at row {} (diagonal tile {:06}-{:06}) with noise_var {:e}",
            self.pivot, self.row, self.tile, self.tile, self.noise_var
        )?;
        match self.near_row {
            Some((row, 0.0)) => write!(f, "; its input equals that of row {row}")?,
            Some((row, d)) => write!(f, "; the nearest earlier input is row {row}, at distance {d:.3e}")?,
            None => {}
        }
        write!(f, "; {}", self.ladder)
    }
}

/// A size that is not smaller than `bytes`, in the unit a job file would take it in.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{}KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{}MiB", bytes.div_ceil(1 << 20)),
    }
}

/// A result of the pipeline.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code that a program ends with on this error (docs/guide).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Storage(e) => e.exit_code(),
            Error::Usage(_) | Error::Memory { .. } => 2,
            Error::NotPositiveDefinite(_) | Error::Overflow(_) => 3,
            Error::MixedBits(_) => 4,
            Error::Lost(_) => 5,
            Error::Defect(_) => 1,
        }
    }
}
