//! People: the megagram command line, job files, progress, reports and launching.

pub mod machine;
pub mod spec;
