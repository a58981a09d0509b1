//! Data sets: rows from files, and the prepared rows that a job works on.

mod source;

pub use source::{Columns, Prepare, Source, Targets};
