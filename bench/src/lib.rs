//! Evidence: benches, peers side by side and the tidy test.
//!
//! - [`peak`]: what a core could do at best, for rates to be read against.
//! - [`tiles`]: the numbers that the benches work on.
//!
//! Nothing here asserts a time. See README.md for what is measured and how to read it.

pub mod peak;
pub mod tiles;
