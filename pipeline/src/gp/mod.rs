//! Answers of the Gaussian process, from the factor's numbers. No I/O, no threads.

pub mod evidence;
pub mod scores;
