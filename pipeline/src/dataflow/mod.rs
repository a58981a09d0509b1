//! Dataflows: how a pass runs on Timely, with threads and with processes alike.

mod crew;
mod desk;
mod gather;
mod loader;
mod sweep;

pub use crew::{Cluster, Crew};
pub use desk::{Done, QUEUE_MAX, window};
