//! Foresight: what a pass will read, write and compute, by walking its own plan without doing it.

use megagram_storage::Traffic;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::schedule::Op;
use crate::schedule::residency::{Replay, Room, TooSmall};

/// What a pass costs, summed over processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Tile payload.
    pub traffic: Traffic,
    /// Nominal floating-point operations.
    pub flops: f64,
    /// Tiles finished.
    pub tiles: u64,
}

impl Forecast {
    /// Both, one after the other.
    pub fn plus(self, other: Forecast) -> Forecast {
        Forecast {
            traffic: self.traffic.plus(other.traffic),
            flops: self.flops + other.flops,
            tiles: self.tiles + other.tiles,
        }
    }
}

/// Walks the plan of every process; a forecast for each.
///
/// # Errors
/// [`Error::Defect`] if the plan does not fit the room it was made for.
pub fn foresee(pass: &dyn Pass, processes: usize) -> Result<Vec<Forecast>> {
    let rooms: Vec<Room> = pass.classes().iter().map(|c| c.room).collect();
    let mut all = Vec::with_capacity(processes);
    for process in 0..processes {
        let mut sum = Forecast::default();
        for planned in Replay::new(pass, &rooms, || pass.steps(process)) {
            let planned = planned.map_err(|TooSmall { class }| {
                Error::Defect(format!("the {} plan does not fit its own room (class {class})", pass.stage()))
            })?;
            for acquire in planned.acquire.iter().filter(|a| a.load) {
                sum.traffic = sum.traffic.plus(pass.read_cost(acquire.name, acquire.target)?);
            }
            for task in planned.step.tasks.iter().filter(|t| t.op == Op::Finish) {
                sum.traffic = sum.traffic.plus(pass.write_cost(task.target)?);
                sum.flops += pass.flops(task.target);
                sum.tiles += u64::from(pass.counts(task.target));
            }
        }
        all.push(sum);
    }
    Ok(all)
}
