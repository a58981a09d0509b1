//! Runs of several processes: local ones started here, or one's place in a cluster.

pub mod connect;
mod hello;
pub mod local;

pub use connect::{Hosts, connect};
pub use hello::Hello;
