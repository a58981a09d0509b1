//! The loader: one thread a process that follows the plan, brings blocks in, lays tasks out.
//!
//! It goes strictly in plan order and takes a slot only for a block that can be read now, so the lowest
//! unfinished task of the process always has, or can get, all it needs: nothing deadlocks.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pass::Origin;
use crate::schedule::residency::{Acquire, Replay, Room, TooSmall};

use super::desk::Desk;

/// Runs the loader to its end.
pub fn run(desk: &Arc<Desk>) {
    if let Err(error) = follow(desk) {
        desk.fail(error);
    }
    desk.loader_done();
}

fn follow(desk: &Arc<Desk>) -> Result<()> {
    let pass = Arc::clone(&desk.pass);
    let rooms: Vec<Room> = pass.classes().iter().map(|c| c.room).collect();
    for planned in Replay::new(&*pass, &rooms, || pass.steps(desk.process)) {
        let planned = planned.map_err(|TooSmall { class }| {
            Error::Defect(format!("the {} plan does not fit its own room (class {class})", pass.stage()))
        })?;
        for acquire in planned.acquire {
            if !bring(desk, acquire)? {
                return Ok(());
            }
        }
        if !desk.lay(planned.step.group, &planned.step.tasks) {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes a slot and starts the read; `false` if the pass has failed elsewhere.
fn bring(desk: &Arc<Desk>, acquire: Acquire) -> Result<bool> {
    let Acquire { name, load, target, evict } = acquire;
    if load && !target && desk.pass.makes(name) && !desk.wait_stored(name) {
        return Ok(false);
    }
    let Some(buffer) = desk.take_slot(name, evict, load) else { return Ok(false) };
    if !load {
        return Ok(true);
    }
    let this = Arc::clone(desk);
    let done = move |mut values: Vec<f64>, result: megagram_storage::Result<()>| {
        let result = result.map_err(Error::from).and_then(|()| this.pass.loaded(name, target, &mut values));
        this.loaded(name, target, values, result);
    };
    match desk.pass.origin(name, target) {
        Ok(Origin::Tile(load)) => desk.bridge.load(load, buffer, done),
        Ok(Origin::Rows { data, block, side }) => {
            let read = move |store: &_, values: &mut Vec<f64>| data.load_block(store, block, side, values);
            desk.bridge.read_with(buffer, read, done);
        }
        Err(error) => {
            desk.loaded(name, target, buffer, Err(error));
            return Ok(false);
        }
    }
    Ok(true)
}
