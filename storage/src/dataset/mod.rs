//! Data sets: rows from files, and the prepared rows that a job works on.
//!
//! - [`open`]: rows of a [`Source`] in blocks, whatever its [`Format`].
//! - [`prepare`]: from a source to [`Prepared`] rows in the store, once.
//!
//! ```
//! use megagram_storage::Store;
//! use megagram_storage::dataset::{Columns, Part, Prepare, Request, Source, prepare};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("x.csv");
//! std::fs::write(&path, "a,b\n1,2\n3,4\n5,6\n")?;
//! let source = Source { location: path.display().to_string(), columns: Columns::All, header: true };
//! let part = Part::Inputs { scale: 0.5, prepare: Prepare::None, standardise_by: None };
//! let store = Store::open("memory://")?;
//! let rows = prepare(&store, &Request { source: &source, part, limit: None, tile: 2 })?;
//! assert_eq!((rows.n, rows.width, rows.blocks()), (3, 2, 2));
//! let mut block = Vec::new();
//! rows.load_block(&store, 1, 2, &mut block)?;
//! assert_eq!(block, [2.5, 3.0, 0.0, 0.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod array;
mod batch;
mod columns;
mod csv;
mod file;
mod format;
mod idx;
mod ipc;
mod npy;
mod npz;
mod number;
mod open;
mod parquet;
mod prepare;
mod prepared;
mod remote;
mod rows;
mod sample;
mod source;
mod transform;

pub use file::File;
pub use format::Format;
pub use open::{fingerprint, open, open_file};
pub use prepare::{Part, Request, prepare, repair};
pub use prepared::{Prepared, check_lengths, check_widths};
pub use rows::Rows;
pub use sample::sample;
pub use source::{Columns, Prepare, Source, Targets};
pub use transform::Moments;
