//! Which format a file has, by its name.

use crate::error::{Error, Result};

/// The formats that rows are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy array.
    Npy,
    /// Zip of NumPy arrays.
    Npz,
    /// Parquet table.
    Parquet,
    /// Arrow IPC table, file or stream.
    Ipc,
    /// Comma-separated values.
    Csv,
    /// IDX array, the format of MNIST.
    Idx,
}

const KNOWN: &str = ".npy .npz .parquet .csv .arrow .feather .ipc .idx or …idx3-ubyte, and .npy.gz .csv.gz .arrow.gz \
                     .idx.gz …idx3-ubyte.gz";
const IDX_ENDS: [&str; 7] = ["ubyte", "byte", "sbyte", "short", "int", "float", "double"];

impl Format {
    /// The format by name, and whether the file is gzipped.
    ///
    /// # Errors
    /// [`Error::Input`] for a name that tells no known format; it lists those that are known.
    pub fn of(location: &str) -> Result<(Format, bool)> {
        let name = location.rsplit(['/', '\\']).next().unwrap_or(location).to_ascii_lowercase();
        let (stem, gz) = name.strip_suffix(".gz").map_or((name.as_str(), false), |stem| (stem, true));
        let unknown = || {
            let why = if gz { "is of no format that is read gzipped" } else { "is of no known format" };
            Error::Input(format!("{location}: its name {why}; known are {KNOWN}: rename or convert it"))
        };
        let format = match stem.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "parquet" => Format::Parquet,
            "arrow" | "feather" | "ipc" => Format::Ipc,
            "csv" => Format::Csv,
            "idx" => Format::Idx,
            _ if stem.contains("idx") && IDX_ENDS.iter().any(|end| stem.ends_with(end)) => Format::Idx,
            _ => return Err(unknown()),
        };
        if gz && matches!(format, Format::Npz | Format::Parquet) {
            return Err(unknown());
        }
        Ok((format, gz))
    }

    /// A short name that does not change between versions: it is part of ids.
    pub fn name(self) -> &'static str {
        match self {
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Parquet => "parquet",
            Format::Ipc => "ipc",
            Format::Csv => "csv",
            Format::Idx => "idx",
        }
    }
}
