//! Checks and repairs of what a store holds, from its manifests alone: no job file is needed.

mod recipe;
mod repair;
mod residual;

pub use repair::{RepairOptions, repair};
pub use residual::{Residual, residual};
