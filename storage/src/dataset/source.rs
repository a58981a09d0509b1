//! Where a matrix comes from, as a job file says it.

use serde::{Deserialize, Serialize};

/// A file of rows: a path or URL, and which of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Path (already resolved against the job file) or URL. The format follows from the name:
    /// `.npy .npz .parquet .csv .arrow .feather .ipc` or IDX (`…idx1-ubyte`, `.idx`), each also `.gz`
    /// but `.npz`, `.parquet` and the Arrow file format.
    pub location: String,
    /// Which columns of a table, or which array of an `.npz`.
    pub columns: Columns,
    /// Whether a CSV file starts with a line of names.
    pub header: bool,
}

/// A choice of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// All of them, in the order of the file.
    All,
    /// These, in this order.
    Named(Vec<String>),
    /// All but these, in the order of the file.
    AllBut(Vec<String>),
}

/// How each row is prepared, after `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepare {
    /// As it is.
    #[default]
    None,
    /// Mean square 1 per row; zero rows stay zero.
    UnitNorm,
    /// Mean 0 and variance 1 per row.
    LayerNorm,
    /// Mean 0 and variance 1 per column, by the training rows; constant columns become 0.
    Standardise,
}

/// What the targets mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// Integer labels; one-hot 0.9 / −0.1.
    Classes,
    /// Values as they are, `(N,)` or `(N, C)`.
    Values,
}
