//! Bytes: data sets, tiles and manifests of Megagram, as Parquet in an object store.
//!
//! - [`Store`]: objects under typed [`Key`]s, opened by URL.
//! - [`Manifest`], [`codec`], [`table`]: what the objects hold, with digests (docs/format.md).
//! - [`TileGrid`]: which tiles a matrix has.
//! - [`dataset`]: rows of .npy, Parquet, Arrow IPC, CSV and IDX files, prepared once.
//!
//! It knows no kernels and no algebra: that is `megagram-pipeline`.

pub mod bridge;
pub mod codec;
pub mod dataset;
mod error;
mod grid;
mod key;
mod manifest;
mod open;
mod pool;
pub mod table;

pub use error::{Error, Result};
pub use grid::{TileGrid, TileId};
pub use key::{FORMAT_VERSION, Id, Key, Kind};
pub use manifest::Manifest;
pub use open::{Meter, Store, Traffic, is_url};
